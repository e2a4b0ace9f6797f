"""One image or video that an entry names: a path, a file:// or data URI, base64, bytes, or a video's images."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from PIL import Image, UnidentifiedImageError

from ral.data.bad import ROOT_KEY
from ral.data.fields import IMAGE_SUFFIXES, Entry, Kind, kind_of, shown
from ral.data.foreign import foreign
from ral.data.reading import reading_of, refuse_unknown
from ral.data.uris import data_uri, decoded
from ral.types import Media

FRAME_SUFFIXES = IMAGE_SUFFIXES - {".gif"}  # under `video`, a GIF is a clip of its own
HOLDERS = ("bytes", "image", "video", "image_url", "video_url", "url", "path")
"""Keys of an image's or video's object under which its file may stand; the first that has a value counts."""
ENDS = ("", "_url")
SHORTEST_BASE64, LONGEST_NAME, LONGEST_SHOWN = 64, 255, 300
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\0", b"MM\0*")
"""First bytes of image files."""
URI = '"data:image/png;base64,..."'
PATH = 'a string such as "./pictures/1.png"'
_FILE = re.compile(r"file:(?://(?:localhost(?=/))?)?", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def media_of(entry: Entry, field: str, value: object, kind: Kind | None) -> Media:
    """Return the image or video that the content of a field stands for.

    value: the content. kind: "image" or "video"; None to find out by `kind_of`. BadSample where the value is missing or
    in no known form, or its file does not exist.
    """
    if isinstance(value, dict):
        return _of_object(entry, field, value, kind)
    if isinstance(value, bytes):
        return _of_bytes(entry, field, value, kind)
    if isinstance(value, list) and kind == "video":
        return _of_frames(entry, field, value)
    if not isinstance(value, str) or not value.strip():
        entry.fail(field, f"{shown(value)} is not a path", PATH)
    if value.lstrip()[:5].lower() == "data:":
        return _of_data_uri(entry, field, value.strip(), kind)
    return _of_path(entry, field, value, kind)


def _of_object(entry: Entry, field: str, value: dict[str, Any], kind: Kind | None) -> Media:
    """Return the medium in {"path": ...}, {"bytes": ..., "path": ...}, {"url": ...} or {"video": ..., "fps": ...}."""
    holder = next((key for key in HOLDERS if value.get(key) is not None), None)
    if holder is None:
        entry.fail(field, f"{shown(value)} names no file and holds no bytes: it is not a path", PATH)
    held = value[holder]
    refuse_unknown(entry, field, value, HOLDERS)
    if any(value.get(f"image{end}") is not None for end in ENDS) and any(value.get(f"video{end}") for end in ENDS):
        entry.fail(field, "one object names a picture and a clip", "an object for each")
    if holder == "bytes" and isinstance(held, str):
        held = f"data:image/*;base64,{held}"
    elif holder == "bytes" and not isinstance(held, bytes):
        entry.fail(field, f"bytes {shown(held)} is not a path and no base64 text", PATH)
    named: Kind | None = "image" if holder.startswith("image") else "video" if holder.startswith("video") else kind
    medium = media_of(entry, field, held, kind or named)
    return replace(medium, **reading_of(entry, value, medium.kind))


def _of_bytes(entry: Entry, field: str, data: bytes, kind: Kind | None) -> Media:
    """Return an image whose bytes stand in the entry. Its path is only a name for messages."""
    if kind == "video":
        entry.fail(field, "a clip as bytes is not read", "the clip to a file, and its path here")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(data)).close()
    except UnidentifiedImageError:
        if found := foreign(data):
            entry.fail(field, f"{found[0]}, stands in the entry", found[1])
        entry.fail(field, f"{len(data)} bytes in the entry that are no picture", "the picture again, or its path")
    except Exception:  # what else is wrong with it, its reader says
        return Media("image", Path(f"{entry.place}, field '{field}'"), data=data)
    return Media("image", Path(f"{entry.place}, field '{field}'"), data=data)


def _of_data_uri(entry: Entry, field: str, text: str, kind: Kind | None) -> Media:
    """Return the image in a data URI, base64 or percent-encoded."""
    found = data_uri(text)
    if found is None:
        entry.fail(field, f"{shown(text)} is no data URI: a type and a comma are missing", URI)
    if kind == "video" or found.kind.startswith("video/"):
        entry.fail(field, "a clip as a data URI is not read", "the clip to a file, and its path here")
    if found.base64 and not found.data:
        entry.fail(field, f"{shown(text)} is a data URI whose base64 is damaged or empty", "the picture again")
    return _of_bytes(entry, field, found.data or b"", kind)


def _of_frames(entry: Entry, field: str, value: list[Any]) -> Media:
    """Return a video that is given as a list of its images, in order."""
    if not value:
        entry.fail(field, "a clip without frames", 'its pictures, such as ["1.jpg", "2.jpg"]')
    frames = [media_of(entry, field, item, "image") for item in value]
    if any(frame.data is not None for frame in frames):
        entry.fail(field, "a frame as bytes is not read", "the frames to files, and their paths here")
    if wrong := [frame for frame in frames if frame.path.suffix.lower() not in FRAME_SUFFIXES]:
        entry.fail(field, f"{wrong[0].path.name} among the frames of a clip is no picture", "pictures alone, or clips")
    if any(replace(frame, path=frames[0].path) != Media("image", frames[0].path) for frame in frames):
        entry.fail(field, "a frame has settings of its own", "them beside the clip")
    return Media("video", frames[0].path, frames=tuple(frame.path for frame in frames))


def natural(path: Path) -> list[str | int]:
    """Return a key for sorting files by name that puts frame2.jpg before frame10.jpg."""
    return [int(part) if n % 2 else part.casefold() for n, part in enumerate(re.split(r"([0-9]+)", path.name))]


def _of_folder(entry: Entry, field: str, folder: Path) -> Media:
    """Return the video whose frames are the images in a folder, in the order of the numbers in their names."""
    files = [file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file()]
    frames = sorted((file for file in files if file.suffix.lower() in FRAME_SUFFIXES), key=natural)
    if not frames:
        entry.fail(field, f"{folder} is a folder without pictures", "a clip, or a folder of its frames", folder)
    return Media("video", frames[0], frames=tuple(frames))


def _spellings(text: str) -> Iterator[str]:
    """Yield the paths that a text may mean, likeliest first."""
    yield text
    plain = text.strip()
    if uri := _FILE.match(plain):
        yield from (unquote(plain[uri.end() :]), plain[uri.end() :])
        return
    yield plain
    if plain.startswith("~"):
        yield os.path.expanduser(plain)
    if "\\" in plain and not _DRIVE.match(plain):
        yield plain.replace("\\", "/")


def _of_path(entry: Entry, field: str, text: str, kind: Kind | None) -> Media:
    """Return the image or video at a path. A folder is a video, given as images.

    The text may also be an image in base64.
    """
    for spelling in _spellings(text):
        full = entry.media_root / spelling
        if os.path.isfile(full):  # False also for what no file can be called
            return Media(kind or kind_of(entry, field, spelling), full)
        if os.path.isdir(full) and (kind or entry.data.get("data_type")) == "video":
            return _of_folder(entry, field, full)
    compact = re.sub(r"\s+", "", text)
    if len(compact) >= SHORTEST_BASE64 and _BASE64.fullmatch(compact):
        data = decoded(compact)
        if data is not None and data.startswith(SIGNATURES):
            return _of_bytes(entry, field, data, kind)
    _missing(entry, field, text)


def _looks_encoded(text: str) -> bool:
    """Tell whether a text looks like base64 and not like a path: letters of both cases and digits, nothing else."""
    mixed = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return mixed and _BASE64.fullmatch(re.sub(r"\s+", "", text)) is not None


def _missing(entry: Entry, field: str, text: str) -> NoReturn:
    """Raise BadSample for a path where nothing is found, with a remedy that fits the path's form."""
    plain = text.strip()
    scheme = None if _FILE.match(plain) else _SCHEME.match(plain)
    if scheme is not None:
        entry.fail(field, f"{shown(plain)} is not on this machine", "the path of the file: download it first")
    if len(plain) > LONGEST_NAME and _looks_encoded(plain):
        entry.fail(field, f"{shown(plain)} looks like base64 and holds no picture", URI)
    if _DRIVE.match(plain):
        entry.fail(field, f"{shown(plain)} is a path of Windows", f"a path of this machine, below {ROOT_KEY}")
    *_, spelling = _spellings(text)
    full = entry.media_root / spelling
    name = str(full) if len(str(full)) <= LONGEST_SHOWN else f"{str(full)[:LONGEST_SHOWN]}..."
    what = " (it is a folder)" if os.path.isdir(full) else ""
    write = f"a path below {entry.media_root}, or {ROOT_KEY}=<the folder that it starts from>"
    entry.fail(field, f"no such file: {name}{what}", write, full)
