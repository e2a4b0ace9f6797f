"""A sheet of images without and with attention maps: captions above, times below, a colour bar at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ral.report.overlay import colour_bar, enlarge, outline, overlay
from ral.report.records import Attention
from ral.report.samples import boxes_at, slots
from ral.report.words import percent, seconds
from ral.types import Evidence, Pixels

SIDES = (320, 640)  # pixels of a picture's longer side, at least and at most
FRAME_SIDES = (160, 240)  # of a frame of a clip
GAP, LINE, LETTER = 8, 16, 7  # pixels between pictures, of a line of text, and of a letter at most
BAR = (256, 12)  # pixels of the colour bar
NARROWEST, MOST_LINES = 640, 6  # pixels of the page, and lines of a caption


@dataclass(frozen=True)
class Shown:
    """A strip of the sheet: its caption, its images, and a text under each image ("" for none)."""

    caption: str
    images: Sequence[Image.Image]
    under: Sequence[str]


def attention_of(found: Mapping[str, Any]) -> Attention:
    """Return an evaluation's map as the report's record. found: {"grid", "weights", "seconds_per_slot"}."""
    t, h, w = found["grid"]
    return Attention((t, h, w), tuple(found["weights"]), found["seconds_per_slot"])


def plain(attention: Attention, evidence: Sequence[Evidence], pixels: Pixels) -> Shown:
    """Return the strip without attention: the image, or frames of the video with their times below, with the evidence.

    attention: its time slots decide the frames, as in `strip`.
    """
    frames, clip = np.asarray(pixels.frames), pixels.kind == "video"
    times = slots(attention, len(frames), pixels.seconds_per_frame)
    images = [
        outline(enlarge(frames[frame], *_sides(pixels)), boxes_at(evidence, start, end))
        for _, frame, start, end in times
    ]
    under = [f"{seconds(start)}-{seconds(end)} s" if clip else "" for *_, start, end in times]
    return Shown("clip" if clip else "picture", images, under)


def strip(attention: Attention, evidence: Sequence[Evidence], pixels: Pixels, peak: float, caption: str = "") -> Shown:
    """Return the strip with attention: the image, or frames spread evenly over the video, tinted by their weights.

    peak: the weight of full heat. Below a frame stands its share of the attention.
    """
    frames, clip = np.asarray(pixels.frames), pixels.kind == "video"
    maps = np.asarray(attention.weights).reshape(attention.grid)
    smallest, largest = _sides(pixels)
    images, under = [], []
    for slot, frame, start, end in slots(attention, len(frames), pixels.seconds_per_frame):
        heat = overlay(frames[frame], maps[slot], None, peak=peak, smallest=smallest, largest=largest)
        images.append(outline(heat, boxes_at(evidence, start, end)))
        under.append(percent(float(maps[slot].sum())) if clip else "")
    return Shown(caption, images, under)


def _sides(pixels: Pixels) -> tuple[int, int]:
    return FRAME_SIDES if pixels.kind == "video" else SIDES


def sheet(strips: Sequence[Shown], peak: float) -> Image.Image:
    """Return the strips one below the other, with a colour bar.

    peak: the share of attention that is drawn as full heat.
    """
    width = max(NARROWEST, *(sum(i.width + GAP for i in own.images) + GAP for own in strips))
    captions = ["\n".join(textwrap.wrap(own.caption, width // LETTER)[:MOST_LINES]) for own in strips]
    heights = [LINE * (text.count("\n") + 1) + 2 * GAP for text in captions]
    below = [LINE if any(own.under) else 0 for own in strips]
    end = sum(heights) + sum(below) + sum(own.images[0].height for own in strips)
    page = Image.new("RGB", (width, end + 2 * GAP + LINE), "white")
    draw, top = ImageDraw.Draw(page), 0
    for text, height, under, own in zip(captions, heights, below, strips, strict=True):
        draw.text((GAP, top + GAP), _latin(text), fill="black")
        for place, (image, note) in enumerate(zip(own.images, own.under, strict=True)):
            left = GAP + place * (image.width + GAP)
            page.paste(image, (left, top + height))
            draw.text((left, top + height + image.height), _latin(note), fill="black")
        top += height + own.images[0].height + under
    page.paste(colour_bar(*BAR), (GAP + 3 * LETTER, end + GAP))
    draw.text((GAP, end + GAP), "0", fill="black")
    draw.text((2 * GAP + 3 * LETTER + BAR[0], end + GAP), f"{percent(peak)} of the attention, one cell", fill="black")
    return page


def _latin(text: str) -> str:
    """Return the text with the letters that the built-in font has."""
    return text.encode("latin-1", "replace").decode("latin-1")
