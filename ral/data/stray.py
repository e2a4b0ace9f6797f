"""Fields of an entry that nothing reads and that look like more media, or like the part of a clip."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ral.data.fields import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Entry, is_number, shown
from ral.types import Media

STARTS = frozenset({"start", "begin", "start_time", "start_frame", "frame_start", "start_sec", "clip_start"})
ENDS = frozenset({"end", "stop", "end_time", "end_frame", "frame_end", "end_sec", "clip_end"})
SPANS = frozenset({"clip", "clips", "segment", "clip_segment", "video_segment", "time_span", "time_range"})
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
            and _is_medium(value)
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
    seconds = "in seconds from the clip's first frame"
    if name in STARTS and _is_time(value):
        return f"video_start, {seconds}"
    if name in ENDS and _is_time(value):
        return f"video_end, {seconds}"
    if name in SPANS and (_is_span(value) or _is_medium(value)):
        return f'video_start and video_end, {seconds} (another clip: "videos": [..., ...])'
    return ""


def _is_time(value: object) -> bool:
    """Tell whether a value is a number, or a text such as "00:12" or "2.5"."""
    return is_number(value) or (isinstance(value, str) and _CLOCK.fullmatch(value.strip()) is not None)


def _is_span(value: object) -> bool:
    """Tell whether a value is a pair of times."""
    items = list(value.values()) if isinstance(value, dict) else value
    return isinstance(items, list) and bool(items) and all(_is_time(item) or _is_span(item) for item in items)


def _is_medium(value: object) -> bool:
    """Tell whether a value is a file of pictures or clips, its bytes, or an object or a list of these."""
    if isinstance(value, str):
        return value.startswith("data:") or value.strip().lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if isinstance(value, dict):
        return any(map(_is_medium, value.values()))
    return isinstance(value, bytes) or (isinstance(value, list) and any(map(_is_medium, value)))
