"""Tells what stands in the place of a picture and holds no pixels: a drawing, a document, a web page."""

from __future__ import annotations

import re

HEAD = 2**12  # bytes that are looked at
DRAWN = "the picture drawn as PNG or JPEG"
FETCHED = "the file itself (a log-in or an error page came in its place)"
_SVG = re.compile(rb"<(?:\w+:)?svg[\s>/]", re.IGNORECASE)
_PAGE = re.compile(rb"\s*<(?:!doctype html|html|head|body)[\s>]", re.IGNORECASE)
_BEGINS = {
    b"%PDF": ("a PDF document", DRAWN),
    b"%!PS": ("a PostScript document", DRAWN),
    b"\xd7\xcd\xc6\x9a": ("a WMF drawing", DRAWN),
    b"PK\x03\x04": ("a zip archive", "the picture that is in it"),
    b"\x1aE\xdf\xa3": ("a clip", 'it under "video"'),
}
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"isom": "", b"mp42": "", b"qt  ": ""}
"""Brands of files with `ftyp` at byte 4 -> the format of their pictures; "" for a clip."""


def foreign(data: bytes) -> tuple[str, str] | None:
    """Return (what it is, what to write) of the beginning of a file that is no picture of pixels; None for no idea."""
    head = data[:HEAD].lstrip(b"\xef\xbb\xbf")
    if _SVG.search(head) and head.lstrip().startswith(b"<"):
        return "an SVG drawing, which has no pixels", DRAWN
    if _PAGE.match(head):
        return "a web page", FETCHED
    if head[4:8] == b"ftyp" and head[8:12] in _BRANDS:
        name = _BRANDS[head[8:12]]
        return (f"a {name} picture, which is not read", DRAWN) if name else ("a clip", 'it under "video"')
    return next((found for begins, found in _BEGINS.items() if head.startswith(begins)), None)
