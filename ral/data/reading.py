"""Settings in an entry for reading its media: part of a video, frames, pixels (keys of qwen-vl-utils)."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ral.data.fields import Entry, Kind, is_number, shown

CLIP_KEYS = {"video_start": "start", "video_end": "end", "fps": "fps", "nframes": "frame_count"}
AREA_KEYS = {"min_pixels": "min_pixels", "max_pixels": "max_pixels"}
WHOLE = {"nframes", "min_pixels", "max_pixels"}
EXAMPLES = {"video_start": "2.5", "video_end": "4.5", "fps": "2", "nframes": "16"}
MOST_ENLARGED = 178_956_970  # pixels: pillow opens no larger picture, so none is made larger than that
PLAIN = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
OTHER_KEYS = {
    "resized_height": "min_pixels and max_pixels, the area in pixels",
    "resized_width": "min_pixels and max_pixels, the area in pixels",
    "min_frames": "nframes, or fps",
    "max_frames": "nframes here, or dataset.media.max_frames for all clips",
    "total_pixels": "max_pixels, the area of one frame",
    "raw_fps": "fps, frames to sample a second",
    "sample_fps": "fps, frames to sample a second",
}
"""{key of qwen-vl-utils that is not read here: advice for error messages}"""
_TELLING = """
    type text detail id uuid index name filename file_name title alt caption description source license metadata
    mime_type media_type format mode width height size channels duration sha256 md5 hash cache_control
"""
TELLING = frozenset(_TELLING.split())
"""Keys of an image's or video's object that describe it, and do not change how it is read."""
MEANT = {
    **dict.fromkeys(("start", "start_time", "begin", "from"), "video_start"),
    **dict.fromkeys(("end", "end_time", "stop", "to"), "video_end"),
    **dict.fromkeys(("frames", "num_frames", "n_frames", "frame_count"), "nframes"),
    **dict.fromkeys(("frame_rate", "sample_rate", "rate"), "fps"),
}
"""{key that is not read: the key that is read for the same purpose}"""


def _number(entry: Entry, key: str, value: object) -> float:
    """Return the value of `key` as a number, also from text as in a table's cell.

    BadSample where it is no number, too small, or no whole number for a key of WHOLE.
    """
    write = f"a number such as {EXAMPLES.get(key, '200704')}"
    if isinstance(value, str) and PLAIN.fullmatch(value.strip()):  # a cell of a table is text
        value = float(value)
    if not isinstance(value, int | float) or not is_number(value):
        entry.fail(key, f"{shown(value)} is not a number", write)
    if value < 0 or (value == 0 and key != "video_start"):
        entry.fail(key, f"{shown(value)} is too small", write)
    if key in WHOLE and value != int(value):
        entry.fail(key, f"{shown(value)} is not a whole number", write)
    return int(value) if key in WHOLE else float(value)


def reading_of(entry: Entry, said: Mapping[str, Any], kind: Kind | None) -> dict[str, Any]:
    """Return the fields of `Media` that an object sets, {field: number}; null sets nothing.

    said: an entry, or the object of one medium in it. kind: kind of that medium; None where `said` is the whole entry.
    BadSample for values that are malformed or contradict each other, for times of an image, and for keys of OTHER_KEYS.
    """
    for key, write in OTHER_KEYS.items():
        if said.get(key) is not None:
            entry.fail(key, "is not read here", write)
    keys = {key: name for key, name in (CLIP_KEYS | AREA_KEYS).items() if said.get(key) is not None}
    if kind == "image" and (wrong := [key for key in keys if key in CLIP_KEYS]):
        entry.fail(wrong[0], "a picture has no time", "it beside a clip alone")
    found = {name: _number(entry, key, said[key]) for key, name in keys.items()}
    _check(entry, found)
    return found


def refuse_unknown(entry: Entry, field: str, said: Mapping[str, Any], holders: Sequence[str]) -> None:
    """Raise BadSample where the object `said` of an image or video has a key that is not read.

    field: the entry's field that holds the object. holders: keys under which its file may stand.
    """
    reads = [*CLIP_KEYS, *AREA_KEYS]
    known = {*holders, *reads, *OTHER_KEYS, *TELLING}
    unknown = next((key for key, value in said.items() if value is not None and key not in known), None)
    if unknown is None:
        return
    close = [MEANT[unknown]] if unknown in MEANT else difflib.get_close_matches(unknown, [*holders, *reads], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    entry.fail(field, f"nothing reads the key {shown(unknown)} of a medium{hint}", f"one of {', '.join(reads)}")


def _check(entry: Entry, found: Mapping[str, float]) -> None:
    """Raise BadSample where values contradict each other, or ask for more pixels than pillow opens."""
    if "end" in found and found["end"] <= found.get("start", 0.0):
        entry.fail("video_end", f"{found['end']:g} is not after {found.get('start', 0):g}", "a time after video_start")
    if "fps" in found and "frame_count" in found:
        entry.fail("nframes", "there is fps, too", "one of the two")
    if found.get("min_pixels", 0) > MOST_ENLARGED:
        problem = f"{shown(found['min_pixels'])} is more than any picture or frame may have"
        entry.fail("min_pixels", problem, f"at most {MOST_ENLARGED}")
    if found.get("min_pixels", 0) > found.get("max_pixels", math.inf):
        entry.fail("min_pixels", f"{found['min_pixels']} is above max_pixels", "min_pixels <= max_pixels")


def merged(whole: Mapping[str, Any], own: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """Return the settings for reading one image or video: its `own`, and the others of the `whole` entry.

    fps and frame_count mean the same thing, so one of these among its own drops both of the entry's. An image takes no
    times from the entry.
    """
    dense = {"fps", "frame_count"}  # two ways to say the same
    clip = set(CLIP_KEYS.values())
    kept = {
        name for name in whole if (kind == "video" or name not in clip) and not (name in dense and dense & set(own))
    }
    return {name: whole[name] for name in kept} | dict(own)
