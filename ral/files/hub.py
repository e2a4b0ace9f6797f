"""A check, before anything is loaded, that a model which is not on this machine can be fetched from the hub.

Transformers would try for a minute. Nothing heavy is imported here, so that the answer comes at once.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ral.errors import UserError

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")
HUB = "https://huggingface.co"
PATIENCE = 4.0
"""Seconds to wait for an address and a connection; a network that takes longer counts as reachable."""


def check_reachable(named: str, key: str, env: Mapping[str, str] = os.environ) -> None:
    """Raise UserError where the hub certainly cannot be reached and its cache lacks the model.

    Where the cache has the model, HF_HUB_OFFLINE=1 is set in os.environ, so that later code does not ask the hub
    either; not once huggingface_hub is imported, which reads it only then. named: the hub id. key: the setting that
    holds it. env: environment variables to read.
    """
    if (reason := unreachable(env)) is None:
        return
    if not cached(named, env):
        gone = f"{named} is not on this machine, and {reason}"
        raise UserError(f"write {key}=/my/folder, a folder with the model: {gone}")
    if "huggingface_hub" not in sys.modules:  # it reads this once, when it is imported
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def cached(named: str, env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the hub's cache has config.json of the model `named`, owner/name. env: environment variables."""
    home = env.get("HF_HOME") or f"{env.get('XDG_CACHE_HOME') or Path.home() / '.cache'}/huggingface"
    cache = env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE") or f"{home}/hub"
    folder = Path(cache).expanduser() / f"models--{named.replace('/', '--')}"
    return any(folder.glob("snapshots/*/config.json"))


def unreachable(env: Mapping[str, str] = os.environ) -> str | None:
    """Return the reason why the hub certainly cannot be reached; None where it may be, as behind a proxy.

    env: environment variables.
    """
    for name in OFFLINE:
        if env.get(name, "").lower() in ("1", "true", "yes", "on"):
            return f"{name}={env[name]} forbids to fetch it"
    if any(env.get(name) for name in PROXIES):
        return None
    address = urlsplit(env.get("HF_ENDPOINT") or HUB)
    host, port = address.hostname or "", address.port or (80 if address.scheme == "http" else 443)
    found: list[OSError] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), PATIENCE).close()
        except TimeoutError:
            return  # slow, not absent
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)  # to look up a name has no time limit of its own
    thread.start()
    thread.join(PATIENCE)
    return f"{host} cannot be reached ({found[0].strerror or found[0]})" if found else None
