"""A sheet of pictures under their attention maps, each strip below its caption."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ral.report.overlay import overlay
from ral.report.records import Attention
from ral.report.samples import slots
from ral.types import Evidence, Pixels

SIDES = (320, 640)  # pixels of a picture's longer side, at least and at most
FRAME_SIDES = (160, 240)  # of a frame of a clip
GAP, LINE, LETTER = 8, 16, 7  # pixels between pictures, of a line of text, and of a letter at most
NARROWEST, MOST_LINES = 640, 6  # pixels of the page, and lines of a caption


def attention_of(found: Mapping[str, Any]) -> Attention:
    """Return the map that an evaluation found, as the page's record."""
    t, h, w = found["grid"]
    return Attention((t, h, w), tuple(found["weights"]), found["seconds_per_slot"])


def strip(attention: Attention, evidence: Sequence[Evidence], pixels: Pixels, peak: float) -> list[Image.Image]:
    """Return the picture, or frames evenly over the clip, under the attention; `peak` is full heat."""
    frames = np.asarray(pixels.frames)
    maps = np.asarray(attention.weights).reshape(attention.grid)
    smallest, largest = FRAME_SIDES if pixels.kind == "video" else SIDES
    box = evidence[0].box if evidence else None
    return [
        overlay(frames[frame], maps[slot], box, peak=peak, smallest=smallest, largest=largest)
        for slot, frame, *_ in slots(attention, len(frames), pixels.seconds_per_frame)
    ]


def sheet(strips: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    """Return the strips below each other, each under its caption."""
    width = max(NARROWEST, *(sum(i.width + GAP for i in images) + GAP for _, images in strips))
    captions = ["\n".join(textwrap.wrap(text, width // LETTER)[:MOST_LINES]) for text, _ in strips]
    heights = [LINE * (text.count("\n") + 1) + 2 * GAP for text in captions]
    page = Image.new("RGB", (width, sum(heights) + sum(images[0].height for _, images in strips)), "white")
    draw, top = ImageDraw.Draw(page), 0
    for text, height, (_, images) in zip(captions, heights, strips, strict=True):
        draw.text((GAP, top + GAP), text.encode("latin-1", "replace").decode("latin-1"), fill="black")
        for place, image in enumerate(images):
            page.paste(image, (GAP + place * (image.width + GAP), top + height))
        top += height + images[0].height
    return page
