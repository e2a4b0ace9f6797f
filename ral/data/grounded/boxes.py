"""Boxes and time spans of published rows as evidence: in fractions of the image, and in seconds of the video.

A box or span that reaches over an edge is clipped there and marked by Evidence.cut. One without extent, outside the
image or video, or in other units than the dataset's own raises BadSample for its entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, Literal

from PIL import ExifTags, Image

from ral.data.fields import Entry, is_number, shown
from ral.data.parse import parse_own
from ral.types import Evidence, Example, Media

Form = Literal["x, y, width, height", "left, top, right, bottom"]
SIZES: Form = "x, y, width, height"
CORNERS: Form = "left, top, right, bottom"
WHOLE = (0.0, 0.0, 1.0, 1.0)
LEAST_PIXELS = 2.0
"""A box whose numbers all lie below this holds fractions, which may reach over an edge; any other box is in pixels."""


def as_own(entry: Entry, uid: str, fields: Mapping[str, Any]) -> Example:
    """Return the example of a row. fields: the row, in the fields of a user's own entry (`ral.data.sources.jsonl`).

    BadSample as in `ral.data.parse.parse_own`.
    """
    return replace(parse_own(replace(entry, data=dict(fields))), uid=uid)


def numbers_in(entry: Entry, field: str, form: Form) -> list[float] | None:
    """Return the numbers in a field that holds a box as text, "[0.1, 0.2, 0.3, 0.4]"; None for null or "".

    form: order of the numbers, for messages. BadSample for any other value.
    """
    value = entry.data.get(field)
    if value is None or value == "":
        return None
    try:
        return numbers(value.strip("[]() "))
    except (AttributeError, ValueError):
        entry.fail(field, f"{shown(value)} is no box as text", f'"[{form}]", with numbers')


def numbers(text: str) -> list[float]:
    """Return the numbers in a text, which commas separate. ValueError where a part is no number."""
    if "_" in text:  # float takes 1_0 for 10
        raise ValueError(text)
    return [float(number) for number in text.split(",")]


def boxes_of(entry: Entry, field: str, value: object, size: tuple[float, float], form: Form) -> tuple[Evidence, ...]:
    """Return the evidence in the value of a field: no box (null, []), one box, or a list of boxes.

    size: (width, height) in pixels of the image that the boxes lie in; (1, 1) for boxes in fractions. form: order of a
    box's numbers. BadSample for a box that is malformed, without area or outside the image.
    """
    if value is None or value == []:
        return ()
    if not isinstance(value, list | tuple):
        entry.fail(field, f"{shown(value)} is no box", _wanted(form, size))
    several = isinstance(value[0], list | tuple)
    return tuple(_evidence(entry, field, box, size, form) for box in (value if several else [value]))


def _wanted(form: Form, size: tuple[float, float]) -> str:
    return f"[{form}] {'as fractions' if max(size) == 1 else 'in pixels'}, or a list of such boxes"


def _evidence(entry: Entry, field: str, value: Any, size: tuple[float, float], form: Form) -> Evidence:
    """Return one box as evidence."""
    if not isinstance(value, list | tuple) or len(value) != 4 or not all(map(is_number, value)):
        entry.fail(field, f"box {shown(value)} is not four numbers", _wanted(form, size))
    left, top, *end = (float(x) for x in value)
    right, bottom = (left + end[0], top + end[1]) if form == SIZES else end
    farthest = max(abs(x) for x in (left, top, right, bottom))
    if max(size) > 1 and farthest < LEAST_PIXELS:
        entry.fail(field, f"box {shown(value)} looks like fractions", _wanted(form, size))
    if max(size) == 1 and farthest >= LEAST_PIXELS:
        entry.fail(field, f"box {shown(value)} looks like pixels", _wanted(form, size))
    if right <= left or bottom <= top:
        entry.fail(field, f"box {shown(value)} has no area, or its corners are swapped", _wanted(form, size))
    width, height = size
    inside = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        problem = f"box {shown(value)} lies outside the picture of {width:g} x {height:g}"
        entry.fail(field, problem, _wanted(form, size))
    box = (inside[0] / width, inside[1] / height, inside[2] / width, inside[3] / height)
    return Evidence(box, cut=inside != (left, top, right, bottom))


def spans_of(entry: Entry, field: str, value: object, duration: object) -> tuple[Evidence, ...]:
    """Return the evidence in the value of a field: no time (null, []), or a list of [start, end] in seconds of a video.

    duration: the video's length in seconds. BadSample for a time that is malformed, without length or outside the
    video.
    """
    wanted = "[[start, end], ...] in seconds of the clip"
    if value is None or value == []:
        return ()
    if not isinstance(value, list):
        entry.fail(field, f"{shown(value)} is no list of times", wanted)
    if not is_number(duration) or float(duration) <= 0:  # type: ignore[arg-type]
        entry.fail("duration", f"{shown(duration)} is no length of a clip", "its seconds, such as 35")
    return tuple(_span(entry, field, span, float(duration), wanted) for span in value)  # type: ignore[arg-type]


def _span(entry: Entry, field: str, value: object, duration: float, wanted: str) -> Evidence:
    """Return one time span of a video of `duration` seconds as evidence."""
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(is_number, value)):
        entry.fail(field, f"span {shown(value)} is not two numbers", wanted)
    start, end = (float(x) for x in value)
    if end <= start:
        entry.fail(field, f"span {shown(value)} ends before it begins", wanted)
    inside = (max(start, 0.0), min(end, duration))
    if inside[0] >= inside[1]:
        entry.fail(field, f"span {shown(value)} lies outside the clip of {duration:g} s", wanted)
    return Evidence(WHOLE, inside, cut=inside != (start, end))


def size_of(entry: Entry, field: str, picture: Media) -> tuple[int, int]:
    """Return (width, height) of an image in pixels, from its header.

    BadSample where the image cannot be read, or its EXIF turns it.
    """
    try:
        with Image.open(BytesIO(picture.data) if picture.data is not None else picture.path) as image:
            size, turned = image.size, image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # pillow raises many kinds
        reason = f"{picture.path} is no picture that can be read ({type(error).__name__})"
        entry.fail(field, reason, "the picture again", picture.path)
    if turned != 1:
        problem = f"{picture.path} is turned by its EXIF, so that its boxes may be of either side"
        entry.fail(field, problem, "it upright, without EXIF", picture.path)
    return size


def on_picture(
    entry: Entry, example: Example, field: str, value: object, form: Form, *, fractions: bool = False
) -> Example:
    """Return the example with the boxes of a field as evidence; unchanged where there are none.

    value: content of the field. form: order of a box's numbers. fractions: whether they are fractions of the image, not
    pixels. BadSample as in `boxes_of`.
    """
    if value is None or value == []:
        return example
    size = size_of(entry, "image", example.media[0])
    return replace(example, evidence=boxes_of(entry, field, value, (1, 1) if fractions else size, form))


def cuts(examples: Sequence[Example]) -> int:
    """Return the number of examples that have evidence clipped at an edge."""
    return sum(any(item.cut for item in example.evidence) for example in examples)
