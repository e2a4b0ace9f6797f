"""Cards of chosen questions: an image or video, and the responses and their attention before and after training."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from ral.data.recorded import recorded
from ral.report.overlay import enlarge, outline, overlay
from ral.report.records import Attention, Item
from ral.report.summary import Pair, category
from ral.report.words import CATEGORY_NAMES, percent, seconds, verdict
from ral.types import Box, Evidence, Media, Pixels, UserError

ReadPixels = Callable[[Media], Pixels]
Slot = tuple[int, int, float, float]

MOST_SLOTS = 8  # frames shown of a clip; more would not fit beside each other
FRAME_SIDES = (144, 224)  # pixels: smallest and largest longer side of a clip's frame
PICTURE_SIDES = (224, 448)  # pixels: the same of a picture


@dataclass(frozen=True)
class Strip:
    """A row of images on a card: its name, the images as data URLs, and a short text under each ("" for none)."""

    name: str
    images: tuple[str, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A response as the page shows it.

    when: "before" or "after" training. answer: the text extracted from the response, None where there is none. sign,
    words: the verdict. grounding: in percent, "" where it is not known.
    """

    when: str
    response: str
    answer: str | None
    sign: str
    words: str
    grounding: str


@dataclass(frozen=True)
class Card:
    """One chosen question with its responses.

    strips: () where the question has no image or video, or it cannot be read, as `note` then says. peak: the share of
    attention that the overlays draw in their strongest colour, in percent; "" without overlays.
    """

    item: Item
    category: str
    title: str
    strips: tuple[Strip, ...]
    answers: tuple[Answer, ...]
    note: str
    peak: str = ""


def make_card(pair: Pair, read: ReadPixels) -> Card:
    """Return the card of one question. A medium that cannot be read becomes a note on the card."""
    strips: tuple[Strip, ...] = ()
    note = ""
    if pair.item.asked.media and pair.item.asked.data_type != "text":
        try:
            strips = _strips(pair, read(_medium(pair.item)))
        except Exception as error:  # of decoders, or of records that do not fit their medium
            kind = "" if isinstance(error, UserError | OSError) else f"{type(error).__name__}: "
            note = f"The picture or clip cannot be shown: {kind}{error}"
    if len(pair.item.asked.media) > 1:
        note = f"{note} Shown is the first of {len(pair.item.asked.media)} media.".strip()
    name = category(pair)
    title = CATEGORY_NAMES[pair.before is not None and pair.after is not None, name]
    peak = percent(_peak(pair)) if len(strips) > 1 else ""
    return Card(pair.item, name, title, strips, _answers(pair), note, peak)


def slots(
    attention: Attention | None, frame_count: int, seconds_per_frame: float, most: int = MOST_SLOTS
) -> list[Slot]:
    """Return at most `most` slots spread evenly over a video: (slot, index of its frame, start, end), times in seconds.

    With an attention map a slot is one of the map's T time slots, and its frame is the one nearest the slot's middle;
    without a map (None) every frame is a slot.
    """
    count = attention.grid[0] if attention else frame_count
    total = seconds_per_frame * frame_count
    width = attention.seconds_per_slot if attention and attention.seconds_per_slot > 0 else total / count
    chosen = sorted({round(x) for x in np.linspace(0, count - 1, min(count, most))})
    frames_a_slot = width / seconds_per_frame if seconds_per_frame > 0 else frame_count / count
    frames = [min(int((slot + 0.5) * frames_a_slot), frame_count - 1) for slot in chosen]
    return [(slot, frame, slot * width, (slot + 1) * width) for slot, frame in zip(chosen, frames, strict=True)]


def _peak(pair: Pair) -> float:
    """Return the largest weight of a cell, before or after: what full heat shows."""
    return max((max(side.attention.weights) for _, side in _sides(pair) if side.attention is not None), default=0.0)


def _medium(item: Item) -> Media:
    path = item.asked.media[0]
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    said = item.asked.reading[0] if item.asked.reading else {}
    return recorded("video" if item.asked.data_type == "video" else "image", path, said)


def _strips(pair: Pair, pixels: Pixels) -> tuple[Strip, ...]:
    """Return the image or video plain with its evidence, then attention before and after on one scale of heat."""
    frames = np.asarray(pixels.frames)
    sides = [(name, side.attention) for name, side in _sides(pair) if side.attention is not None]
    first = sides[0][1] if sides else None
    times = slots(first, len(frames), pixels.seconds_per_frame)
    clip = pair.item.asked.data_type == "video"
    bounds = FRAME_SIDES if clip else PICTURE_SIDES
    plain = [
        outline(enlarge(frames[k], *bounds), boxes_at(pair.item.evidence, start, end)) for _, k, start, end in times
    ]
    captions = tuple(f"{seconds(start)}-{seconds(end)} s" if clip else "" for _, _, start, end in times)
    strips = [Strip("clip" if clip else "picture", tuple(map(data_address, plain)), captions)]
    peak = _peak(pair)
    for name, attention in sides:
        if first is None or attention.grid != first.grid:
            raise UserError(f"attention grids before {first and first.grid} and after {attention.grid} differ")
        strips.append(_heat_strip(name, pair.item, attention, frames, times, peak))
    return tuple(strips)


def _heat_strip(
    name: str,
    item: Item,
    attention: Attention,
    frames: np.ndarray,
    times: Sequence[Slot],
    peak: float,
) -> Strip:
    clip = item.asked.data_type == "video"
    smallest, largest = FRAME_SIDES if clip else PICTURE_SIDES
    maps = np.asarray(attention.weights, dtype=np.float64).reshape(attention.grid)
    images = []
    for slot, frame, start, end in times:
        picture = overlay(frames[frame], maps[slot], None, peak=peak, smallest=smallest, largest=largest)
        images.append(data_address(outline(picture, boxes_at(item.evidence, start, end))))
    shares = tuple(percent(float(maps[slot].sum())) if clip else "" for slot, *_ in times)
    return Strip(f"attention {name}", tuple(images), shares)


def boxes_at(evidence: Sequence[Evidence], start: float, end: float) -> list[Box]:
    """Return the evidence boxes that hold at some moment of [start, end), in seconds.

    A box without a time span always holds.
    """
    return [e.box for e in evidence if e.span is None or (e.span[0] < end and e.span[1] > start)]


def _sides(pair: Pair) -> list[tuple[str, Item]]:
    return [(name, side) for name, side in (("before", pair.before), ("after", pair.after)) if side is not None]


def _answers(pair: Pair) -> tuple[Answer, ...]:
    def answer(when: str, side: Item) -> Answer:
        grounding = "" if side.scores.grounding is None else percent(side.scores.grounding)
        return Answer(when, side.response, side.answer, *verdict(side), grounding)

    return tuple(answer(when, side) for when, side in _sides(pair))


def data_address(image: Image.Image) -> str:
    """Return an image as a data URL (WebP in base64)."""
    buffer = BytesIO()
    image.save(buffer, format="webp", quality=88, method=3)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
