"""The kind, by its first bytes, of a file that should be an image or a video and is not."""

from __future__ import annotations

import re
from pathlib import Path

HEAD = 2**12  # bytes that are looked at
LONGEST_MARK = 12
PACKET = 188  # bytes
DRAWN = "the picture drawn as PNG or JPEG"
FETCHED = "the file itself (a log-in or an error page came in its place)"
_SVG = re.compile(rb"<(?:\w+:)?svg[\s>/]", re.IGNORECASE)
_PAGE = re.compile(rb"\s*<(?:!doctype html|html|head|body)[\s>]", re.IGNORECASE)
_BEGINS = {
    b"%PDF": ("a PDF document", DRAWN),
    b"%!PS": ("a PostScript document", DRAWN),
    b"\xd7\xcd\xc6\x9a": ("a WMF drawing", DRAWN),
    b"PK\x03\x04": ("a zip archive", "the picture that is in it"),
}
_CLIPS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\0\0\1\xba", b"\0\0\1\xb3", b"0&\xb2u\x8ef\xcf\x11")
"""First bytes of Matroska and WebM, FLV, Ogg, MPEG and ASF. Those of AVI and MP4 come later in the file."""
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}
"""{brand of a file with `ftyp` at byte 4 that holds images: its format}; files of other brands are videos."""


def foreign(data: bytes) -> tuple[str, str] | None:
    """Return (kind, remedy) for a file that no image reader takes; None where its kind is not known.

    data: the file's first bytes.
    """
    head = data[:HEAD].lstrip(b"\xef\xbb\xbf")
    if _SVG.search(head) and head.lstrip().startswith(b"<"):
        return "an SVG drawing, which has no pixels", DRAWN
    if _PAGE.match(head):
        return "a web page", FETCHED
    if head[4:8] == b"ftyp" and (name := _BRANDS.get(head[8:12])):
        return f"a {name} picture, which is not read", DRAWN
    if _is_clip(data):
        return "a clip", 'it under "video"'
    return next((found for begins, found in _BEGINS.items() if head.startswith(begins)), None)


def _is_clip(data: bytes) -> bool:
    """Tell whether a file begins like a video of a known format."""
    avi = data.startswith(b"RIFF") and data[8:12] == b"AVI "
    transport = data[:1] == b"G" and data[PACKET : PACKET + 1] == b"G"  # a "G" begins each packet of MPEG-TS
    return data[4:8] == b"ftyp" or data.startswith(_CLIPS) or avi or transport


def is_picture(path: Path) -> bool:
    """Tell whether a file is an image by its first bytes, whatever its suffix. A GIF counts as a video.

    False where the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            head = file.read(LONGEST_MARK)
    except OSError:
        return False
    return (
        head.startswith(_PICTURES)
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS)
    )
