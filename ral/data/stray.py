"""Fields of an entry that nothing reads and that look like more media, or like the part of a clip."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ral.data.fields import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Entry, is_number, shown
from ral.types import Media

STARTS = frozenset(
    {"start", "begin", "start time", "start frame", "frame start", "start sec", "start seconds", "t start"}
)
ENDS = frozenset({"end", "stop", "end time", "end frame", "frame end", "end sec", "end seconds", "t end"})
SPANS = frozenset(
    {"clip", "clips", "segment", "segments", "span", "time span", "time range", "timestamps", "timestamp"}
)
SPANS |= {"ts", "times", "frame times", "frame timestamps", "relevant windows"}
MOMENTS = frozenset({"timestamp", "ts"})
FRAMES = frozenset(
    {"frame idx", "frame ids", "frame index", "frame indices", "frame indexes", "frame numbers", "indices"}
)
"""Names as `_plain` has them. MOMENTS: those that one time suffices for, too."""
LATEST = 10**6  # seconds: a number above is a date, not a time in a clip
_NUMBERED = re.compile(r"(image|video)s?[_-]?\d+")
_CLOCK = re.compile(r"\d{1,2}(?::\d{2}){1,2}(?:\.\d+)?|\d+(?:\.\d+)? ?s?")


def refuse_stray(entry: Entry, media: Sequence[Media]) -> None:
    """Raise the bad entry's error where a field beside its media is meant for them, and nothing reads it.

    Times count beside a clip, unless video_start or video_end says which part of it is meant.
    """
    timed = entry.data.keys().isdisjoint(("video_start", "video_end")) and any(m.kind == "video" for m in media)
    for name, value in entry.data.items():
        if value is None:
            continue
        if (
            media
            and (numbered := _NUMBERED.fullmatch(name))
            and is_medium(value)
            and not _named(entry, numbered[1], value)
        ):
            kind = numbered[1]
            write = f'"{kind}s": [..., {shown(value)}], a list of all of them'
            entry.fail(name, f"nothing reads it, and it looks like another {kind}", write)
        if timed and (write := _part(name, value)):
            entry.fail(name, "nothing reads it, and it looks like a part of the clip", write)


def _named(entry: Entry, kind: str, value: object) -> bool:
    """Tell whether a medium stands under the usual names of its kind, too."""
    usual = [entry.data.get(kind), entry.data.get(f"{kind}s")]
    return any(value == here or (isinstance(here, list) and value in here) for here in usual)


def _part(name: str, value: object) -> str:
    """Return what to write for a field that says which part of a clip is meant; "" for any other."""
    seconds, name = "in seconds from the clip's first frame", _plain(name)
    if name in STARTS and _is_time(value):
        return f"video_start, {seconds}"
    if name in ENDS and _is_time(value):
        return f"video_end, {seconds}"
    if name in SPANS and (_is_span(value) or is_medium(value) or (name in MOMENTS and _is_time(value))):
        return f'video_start and video_end, {seconds} (another clip: "videos": [..., ...])'
    if name in FRAMES and isinstance(value, list) and value and all(map(is_number, value)):
        return 'these frames as pictures in order under "video", or nframes, or video_start and video_end in seconds'
    return ""


def _plain(name: str) -> str:
    """Return a field's name in small words, without "video" or "clip" in front: "start time" of videoStartTime."""
    words = re.sub(r"[^a-z0-9]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()).strip()
    return re.sub(r"^(?:video|clip) (?=\S)", "", words)


def _is_time(value: Any) -> bool:
    """Tell whether a value is a number, or a text such as "00:12" or "2.5"."""
    return (is_number(value) and abs(float(value)) < LATEST) or (
        isinstance(value, str) and _CLOCK.fullmatch(value.strip()) is not None
    )


def _is_span(value: object) -> bool:
    """Tell whether a value is a pair of times."""
    items = list(value.values()) if isinstance(value, dict) else value
    return isinstance(items, list) and bool(items) and all(_is_time(item) or _is_span(item) for item in items)


def is_medium(value: object) -> bool:
    """Tell whether a value is a file of pictures or clips, its bytes, or an object or a list of these."""
    if isinstance(value, str):
        return value.startswith("data:") or value.strip().lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if isinstance(value, dict):
        return any(map(is_medium, value.values()))
    return isinstance(value, bytes) or (isinstance(value, list) and any(map(is_medium, value)))
