"""Data URIs (RFC 2397): a type, parameters, and bytes in base64 or percent-encoded."""

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

    kind: media type in small letters, "" where it is missing. base64: whether the bytes were encoded in base64. data:
    the bytes; None where the base64 is damaged.
    """

    kind: str
    base64: bool
    data: bytes | None


def data_uri(text: str) -> DataURI | None:
    """Return the content of a data URI such as `data:image/png;base64,...`.

    None where no comma ends its head, or its type is malformed. `base64` may stand at any place among its parameters,
    in any case (`;charset=utf-8;base64`, `;name="a,b.png";base64`).
    """
    found = _HEAD.match(text)
    kind, semicolon, rest = found[1].partition(";") if found else ("", "", "")
    if found is None or (kind.strip() and not _TYPE.fullmatch(kind.strip())):
        return None
    encoded = "base64" in (part.strip().lower() for part in _PARAMETER.findall(semicolon + rest))
    payload = unquote_to_bytes(text[found.end() :])
    return DataURI(kind.strip().lower(), encoded, decoded(payload.decode("latin-1")) if encoded else payload)


def decoded(text: str) -> bytes | None:
    """Return the bytes of a base64 text, also without padding or in the alphabet for URLs; None for other text."""
    compact = re.sub(r"\s+", "", text).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
