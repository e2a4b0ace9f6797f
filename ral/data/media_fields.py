"""Images and videos that an entry names, in fields or in the conversation, each put at its place in the example."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ral.data.chat import FIELDS
from ral.data.fields import VIDEO_SUFFIXES, Entry, Kind, shown
from ral.data.foreign import is_picture
from ral.data.located import FRAME_SUFFIXES, media_of
from ral.data.marks import REMEDY, marks_in, misfit, placed, user_texts, without_leading
from ral.data.reading import merged, reading_of
from ral.data.stray import is_medium, refuse_sound, refuse_stray, refuse_unread_media
from ral.types import IMAGE_MARK, VIDEO_MARK, Example, Media

MEDIA: dict[str, Kind | None] = {"image": "image", "images": "image", "video": "video", "videos": "video", "path": None}


def _columns(entry: Entry) -> list[Media]:
    """Return the media in the fields image(s), video(s) and path, in this order.

    Fields with equal contents count once. BadSample where only some media of a field also stand in another one.
    """
    found: list[Media] = []
    for name, kind in MEDIA.items():
        if entry.data.get(name) is None:
            continue
        here = _field(entry, name, kind)
        if here and here == found:
            continue
        if twice := [medium for medium in here if medium in found]:
            entry.fail(name, f"{twice[0].path} stands under another name, too", "each picture and clip once")
        found += here
    return found


def _field(entry: Entry, name: str, kind: Kind | None) -> list[Media]:
    """Return the media of one field, which holds one or a list. A flat list of images under `video` is one video."""
    value = entry.data[name]
    if not isinstance(value, list):
        return [media_of(entry, name, value, kind)]
    if None in value:
        entry.fail(name, f"{shown(value)}: null is no picture and no clip", "each path, or leave it out")
    if kind == "video" and value:
        pictures = [_is_picture(item) for item in value]
        if all(pictures):
            return [media_of(entry, name, value, kind)]
        if any(pictures):
            entry.fail(name, "pictures and clips in one list", "a list of frames for each clip, or clips alone")
    return [media_of(entry, name, item, kind) for item in value]


def _is_picture(item: object) -> bool:
    """Tell whether an item of the field `video` is an image by its suffix, and so a frame."""
    if isinstance(item, dict):
        item = item.get("path") or item.get("image") or item.get("url")
    return isinstance(item, str) and any(item.strip().lower().endswith(suffix) for suffix in FRAME_SUFFIXES)


def with_reading(entry: Entry, media: Sequence[Media], answer: str = "") -> tuple[Media, ...]:
    """Return the media, each with its own settings for reading, else with those of the entry.

    answer: the gold answer in words. BadSample for settings that fit no medium, for fields that look meant for the
    media and are not read (`ral.data.stray`), and for an image file named as a video.
    """
    refuse_stray(entry, media, answer)
    for clip in (medium for medium in media if medium.kind == "video" and not medium.frames):
        if is_picture(clip.path):
            name = entry.named(["video", "videos", "path"]) or "messages"
            entry.fail(name, f"{clip.path.name} is a picture, not a clip", 'it as "image", or a list of all frames')
    whole = reading_of(entry, entry.data, None)
    clips = sum(medium.kind == "video" for medium in media)
    parts = [key for key in ("video_start", "video_end") if entry.data.get(key) is not None]
    if parts and clips != 1:
        write = '{"video": ..., "video_start": ..., "video_end": ...} for each clip'
        entry.fail(parts[0], f"there are {clips} clips that it could be of", write)
    if {"fps", "frame_count"} & set(whole) and not clips:
        entry.fail("fps" if "fps" in whole else "nframes", "there is no clip", "it beside a clip alone")
    return tuple(replace(medium, **merged(whole, _own(medium), medium.kind)) for medium in media)


def _own(medium: Media) -> dict[str, Any]:
    names = ("start", "end", "fps", "frame_count", "min_pixels", "max_pixels")
    return {name: getattr(medium, name) for name in names if getattr(medium, name) is not None}


def with_media(entry: Entry, example: Example, given: Sequence[Media | None]) -> Example:
    """Return the example with all media of its entry, in the order of their marks.

    given: for each mark in the user's turns and the question, the medium that the conversation names there; None where
    a field names it. BadSample where marks and media do not fit, or no field names any media.
    """
    columns, own = _columns(entry), [medium for medium in given if medium is not None]
    if own and len(own) == len(given) and columns == own:
        columns = []  # the files of the conversation once more
    refuse_sound(entry, user_texts(example, example.question))
    if not own and not columns:
        refuse_tagged(entry, user_texts(example, example.question))
        refuse_unread_media(entry)
        if entry.named(list(MEDIA)) is None:
            problem = "no picture and no clip"
            entry.fail("image", problem, '"image", "video" or "path" ("images": [] for an entry of text alone)')
    _refuse_other_kind(entry, [*own, *columns])
    marks = marks_in([*user_texts(example, example.question), *example.options])
    if not marks and columns and any(turn.role == "user" for turn in example.turns):
        example, marks = _in_front(example, columns)
    everything = (*own, *columns)
    check_places(entry, marks, everything)
    padded = (*given, *(None,) * (len(marks) - len(given)))
    media = placed(marks, padded, columns) if marks else everything
    return without_leading_marks(replace(example, media=with_reading(entry, media, _gold(example))), marks)


_TAGGED = re.compile(
    r"<(img|image|video)>\s*([^<>\n]+\.\w{2,4})\s*</\1>|<img\s[^>]*src=[\"']?([^\"'>\s]+)|!\[[^\]\n]*\]\(([^)\s]+)\)"
)
"""Pattern of a file inside a text: Qwen-VL's tag, HTML, Markdown."""


def refuse_tagged(entry: Entry, texts: Sequence[str]) -> None:
    """Raise BadSample where a text of an entry without media names an image or video file, which nothing reads."""
    for found in (match for text in texts for match in _TAGGED.finditer(text)):
        file = (found[2] or found[3] or found[4]).strip()
        if is_medium(file):
            field = entry.named(["question", "problem", *FIELDS]) or "question"
            kind = "video" if file.lower().endswith(tuple(VIDEO_SUFFIXES)) else "image"
            problem = f"nothing reads {shown(found[0])} in the text, and it looks like a medium"
            entry.fail(field, problem, f'"{kind}": "{file}" and <{kind}> in its place in the text')


def _gold(example: Example) -> str:
    """Return the gold answer in words, with its option where it is a letter; for preferences the chosen response."""
    option = next((text for text in example.options if example.answer and text.startswith(example.answer)), "")
    return f"{example.answer or example.chosen or ''} {option}"


def _refuse_other_kind(entry: Entry, media: Sequence[Media]) -> None:
    """Raise BadSample where data_type says video and all media are images, or the reverse."""
    said, kinds = str(entry.data.get("data_type") or "").lower(), {medium.kind for medium in media}
    if said == "video" and kinds == {"image"}:
        entry.fail("data_type", "it says video, and the media are pictures", '"video": [frame, frame, ...] for a clip')
    if said == "image" and kinds == {"video"}:
        entry.fail("data_type", "it says image, and the media are clips", '"data_type": "video"')


def check_places(entry: Entry, marks: Sequence[str], media: Sequence[Media]) -> None:
    """Raise BadSample where marks and media differ in number or kind; never where there is no mark."""
    if problem := misfit(marks, media):
        entry.fail(entry.named(["question", "problem", *FIELDS]) or "question", problem, REMEDY)


def without_leading_marks(example: Example, marks: Sequence[str]) -> Example:
    """Return the example without the marks that begin its question, where `marks` holds no others.

    Media without a mark stand at the question's beginning anyway.
    """
    alone = list(marks) == marks_in([example.question])
    return replace(example, question=without_leading(example.question)) if alone else example


def _in_front(example: Example, media: Sequence[Media]) -> tuple[Example, list[str]]:
    """Return (example, marks) of a conversation without marks: marks for all media now begin the first user turn."""
    marks = [IMAGE_MARK if medium.kind == "image" else VIDEO_MARK for medium in media]
    first = next(n for n, turn in enumerate(example.turns) if turn.role == "user")
    turn = example.turns[first]
    turns = (*example.turns[:first], replace(turn, text="".join(marks) + turn.text), *example.turns[first + 1 :])
    return replace(example, turns=turns), marks
