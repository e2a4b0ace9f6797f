"""Fields of an entry that nothing reads, and that look like media or like settings for reading a video."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ral.data.fields import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Entry, evidence_of, shown
from ral.data.lacking import READ as KNOWN
from ral.data.reading import AREA_KEYS, CLIP_KEYS, MEANT, OTHER_KEYS
from ral.data.stray_spans import parts_by_value
from ral.data.stray_times import FROM_FRAME, frames_asked, part_asked, repeats, words_of
from ral.data.time_texts import opened
from ral.types import Media

_NUMBERED = re.compile(r"(image|video)s?[_-]?\d+")
SETTINGS = frozenset({"kwargs", "config", "settings", "sampling", "args", "params"})
"""Words in the name of an object that mean it holds settings for reading."""
SPELT = {**MEANT, **OTHER_KEYS}
ASKING = frozenset({*CLIP_KEYS, *AREA_KEYS, *SPELT})
READ = frozenset(
    {*CLIP_KEYS, *AREA_KEYS, *OTHER_KEYS, "image", "images", "video", "videos", "path", "evidence", "steps"}
)
"""Fields of an entry that are read by other modules."""
_OF_MEDIA = re.compile(
    r"(?:.*_)?(?:images?|imgs?|pictures?|pics?|photos?|videos?|clips?|frames?|audios?)(?:_?\d+)?"
    r"(?:_(?:paths?|files?|filenames?|urls?|uris?|bytes|b64|base64))?"
)
_PATH = re.compile(r"\S*[/\\]\S*|\S{64,}|\S+\.[A-Za-z]\w{1,3}")
STORED = frozenset({"bytes", "path"})
"""Keys of a medium as the package datasets stores it."""
TABLES = ("", ".parquet", ".arrow")
"""Suffixes of tables and of their folders."""


def refuse_stray(entry: Entry, media: Sequence[Media], answer: str = "") -> None:
    """Raise BadSample where an entry has a field that looks meant for its media and is not read.

    Such fields are: a further image or video (image2); beside a video, the part of it to read, unless video_start or
    video_end is there; a number of frames or a rate, unless nframes or fps is there; and keys for reading in an object
    of settings. answer: the gold answer in words. A field whose times all stand in the answer only repeats it, and is
    ignored.
    """
    here, clip = entry.data, any(medium.kind == "video" for medium in media)
    part = clip and here.get("video_start") is None and here.get("video_end") is None
    rate = clip and here.get("nframes") is None and here.get("fps") is None
    for name, value in here.items():
        if value is None or not isinstance(name, str) or name in READ:
            continue
        if media and (kind := _another(entry, name, value)):
            write = f'"{kind}s": [..., {shown(value)}], a list of all of them'
            entry.fail(name, f"nothing reads it, and it looks like another {kind}", write)
        medium, value = is_medium(value), opened(value)
        if part and (write := part_asked(name, value, medium)) and not repeats(name, value, answer):
            why = (
                f"; it is not what is asked for, since the answer {shown(answer)} does not have its times"
                if answer
                else ""
            )
            entry.fail(name, "nothing reads it, and it looks like a part of the clip", f"{write}, or leave it out{why}")
        if rate and (write := frames_asked(name, value)):
            entry.fail(name, "nothing reads it, and it looks like frames to read of the clip", write)
        if clip and (key := _setting(name, value)):
            entry.fail(name, f"nothing reads it, and it has '{key}'", f"{SPELT.get(key, key)} beside the clip")
    if part:
        _refuse_pairs(entry, answer)


def _refuse_pairs(entry: Entry, answer: str) -> None:
    """Raise BadSample where unread fields hold, by their values, two times that neither evidence nor answer has."""
    unread = {name: opened(value) for name, value in entry.data.items() if isinstance(name, str) and name not in READ}
    shown_at = [list(item.span) for item in evidence_of(entry) if item.span]
    for name, times in parts_by_value(unread):
        if times not in shown_at and not repeats(name, times, answer):
            problem = f"nothing reads it, and {shown(times)} looks like a part of the clip"
            entry.fail(name, problem, f"video_start and video_end, {FROM_FRAME}, or leave it out")


def _another(entry: Entry, name: str, value: object) -> str:
    """Return "image" or "video" for a further medium under a numbered name, such as image2; "" for any other field."""
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered and is_medium(value) and not _named(entry, numbered[1], value) else ""


def _setting(name: str, value: object) -> str:
    """Return the first key for reading a video in an object of settings; "" where there is none."""
    if not isinstance(value, Mapping) or not SETTINGS.intersection(words_of(name)):
        return ""
    return next((key for key in value if key in ASKING and value[key] is not None), "")


def _named(entry: Entry, kind: str, value: object) -> bool:
    """Tell whether a medium also stands under the usual names of its kind."""
    usual = [entry.data.get(kind), entry.data.get(f"{kind}s")]
    return any(value == here or (isinstance(here, list) and value in here) for here in usual)


def is_medium(value: object) -> bool:
    """Tell whether a value looks like an image or video file, its bytes, or an object or list that holds one."""
    if isinstance(value, str):
        return value.startswith("data:") or value.strip().lower().endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if isinstance(value, dict):
        return any(map(is_medium, value.values()))
    return isinstance(value, bytes) or (isinstance(value, list) and any(map(is_medium, value)))


def refuse_unread_media(entry: Entry) -> None:
    """Raise BadSample where an entry without media has a field that nothing reads and that holds a medium."""
    for name in filter(None, (unread_medium(name, value) for name, value in entry.data.items())):
        of_table = f" (of a table: dataset=hf dataset.source.columns.image={name})" if in_table(entry) else ""
        write = f'"image", "images", "video" or "videos" in its place{of_table}, or leave it out for text alone'
        entry.fail(name, "nothing reads it, and it looks like a medium", write)


def unread_medium(name: object, value: object) -> str:
    """Return the name of a field that nothing reads and that, by its value or its name, holds a medium; else ""."""
    if not isinstance(name, str) or name in KNOWN:
        return ""
    named_so = _OF_MEDIA.fullmatch("_".join(words_of(name))) is not None
    return name if _is_unread(value, named_so) else ""


def _is_unread(value: object, named_so: bool) -> bool:
    """Tell whether a value is a medium: stored bytes, a file of an image or video, or a path.

    named_so: whether the field's name speaks of media; else a path without a suffix of media does not count.
    """
    if isinstance(value, list):
        return any(_is_unread(item, named_so) for item in value)
    if isinstance(value, Mapping):
        if value.keys() <= STORED:
            return any(item is not None for item in value.values())
        return any(_is_unread(item, named_so) for item in value.values())
    if isinstance(value, str):
        text = value.strip()
        return (is_medium(text) and not re.search(r"\s", text)) or (named_so and _PATH.fullmatch(text) is not None)
    return isinstance(value, bytes) and named_so


def in_table(entry: Entry) -> bool:
    """Tell whether an entry is a row of a table on disk."""
    return entry.file.suffix.lower() in TABLES


def refuse_sound(entry: Entry, texts: Sequence[str]) -> None:
    """Raise BadSample where a text has the mark of a sound that the entry holds, since no sound is read."""
    name = entry.named(["audios", "audio"])
    if name and entry.data[name] and any("<audio>" in text for text in texts):
        entry.fail(name, "no sound is read, and the text has its mark <audio>", "an entry without both")
