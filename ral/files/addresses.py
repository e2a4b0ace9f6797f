"""Checks addresses of servers as people write them, without connecting to them, and says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from ral.errors import UserError

PORT = 8000
"""Default port of scripts/serve_vllm.py."""
SCHEMES = ("http", "https")
OF_AN_API = re.compile(r"/(?:v1|ral)(?:/.*)?")
"""Paths that belong to the servers' API and not to an address."""


def check_addresses(urls: Sequence[str], key: str) -> None:
    """Raise UserError unless there is at least one address, each with scheme, host and port, none twice.

    An address with https may have no port. A path may be a proxy's, but not one of the servers' API. key: the setting
    that names the addresses.
    """
    if not urls:
        raise UserError(f"{key} is empty: write {key}=[http://127.0.0.1:{PORT}], of scripts/serve_vllm.py")
    for url in urls:
        if problem := _problem(str(url)):
            what, write = problem
            raise UserError(f"{key}: {url!r} {what}; write {write}")
    if twice := next((url for n, url in enumerate(urls) if _same(url) in map(_same, urls[:n])), None):
        raise UserError(f"{key} names {twice} twice; write each server once")


def _same(url: str) -> str:
    return url.rstrip("/").lower()


def _problem(url: str) -> tuple[str, str] | None:
    """Return (the fault of an address, the address to write instead); None for an address without fault."""
    scheme, separator, rest = url.strip().partition("://")
    host = rest if separator else url.strip().removeprefix("http:").removeprefix("https:").strip("/")
    whole = _whole(host)
    if not separator or scheme.lower() not in SCHEMES:
        return (f"begins with {scheme}://, and not with http://" if separator else "has no http:// in front"), whole
    if url != url.strip() or re.search(r"\s", url):
        return "holds a blank", whole
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        return "has a port that is no number from 1 to 65535", f"such as http://127.0.0.1:{PORT}"
    if not parts.hostname or port == 0:
        return f"has no {'port' if parts.hostname else 'host'}", f"such as http://127.0.0.1:{PORT}"
    if parts.query or parts.fragment:
        return "has a question or a fragment behind it", f"{scheme}://{parts.netloc}{parts.path}"
    if OF_AN_API.fullmatch(parts.path):
        return f"ends with {parts.path}, which is asked for by itself", f"{scheme}://{parts.netloc}"
    if port is None and scheme.lower() == "http":
        return "has no port", f"http://{parts.netloc}:{PORT}{parts.path} (:80 where it listens there)"
    return None


def _whole(host: str) -> str:
    """Return the address that was perhaps meant. host: a host, with or without a port and a path of the API."""
    name, _, port = re.sub(r"\s|/(?:v1|ral)?(?:/.*)?$", "", host).partition(":")
    return f"http://{name or '127.0.0.1'}:{port if port.isdigit() else PORT}"
