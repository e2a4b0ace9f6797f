"""Reads data URIs (RFC 2397): a type, parameters, and bytes in base64 or percent-encoded."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_HEAD = re.compile(r'\s*data:((?:"[^"]*"|[^,"])*),', re.IGNORECASE)
_PARAMETER = re.compile(r';((?:"[^"]*"|[^;"])*)')
_TYPE = re.compile(r"[\w.+-]+/[\w.+*-]+")


class DataURI(NamedTuple):
    """Content of a data URI.

    kind: media type in small letters, "" where missing; base64: whether it was encoded so; data: its bytes, None where
    the base64 is damaged.
    """

    kind: str
    base64: bool
    data: bytes | None


def data_uri(text: str) -> DataURI | None:
    """Read a data URI; None where no comma ends its head, or its type is malformed (`data:image/png;base64,...`).

    `base64` may stand among its parameters (`;charset=utf-8;base64`, `;name="a,b.png";base64`) at any place, in any
    case.
    """
    found = _HEAD.match(text)
    kind, semicolon, rest = found[1].partition(";") if found else ("", "", "")
    if found is None or (kind.strip() and not _TYPE.fullmatch(kind.strip())):
        return None
    encoded = "base64" in (part.strip().lower() for part in _PARAMETER.findall(semicolon + rest))
    payload = unquote_to_bytes(text[found.end() :])
    return DataURI(kind.strip().lower(), encoded, decoded(payload.decode("latin-1")) if encoded else payload)


def decoded(text: str) -> bytes | None:
    """Decode base64 text, also without padding and in the alphabet for URLs; None where it is no base64."""
    compact = re.sub(r"\s+", "", text).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
