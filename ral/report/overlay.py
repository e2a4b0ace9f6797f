"""Attention drawn over an image. Pure functions: arrays in, PIL images out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Box = tuple[float, float, float, float]

SMALLEST = 224  # pixels of the longer side below which a picture is enlarged, so that 28-pixel cells can be seen
LARGEST = 448  # pixels of the longer side above which a picture is reduced, so that the page stays small
RAMP = ((0.0, 255, 221, 120, 0.0), (0.3, 250, 150, 50, 0.55), (0.65, 214, 50, 60, 0.72), (1.0, 96, 16, 100, 0.82))
"""(heat, R, G, B, opacity): the colours of some values of heat in [0, 1], interpolated between them."""
GREY = 0.75  # share of the picture's colour taken away, so that red and yellow objects do not pass for heat
PALE = 0.45  # share of white mixed into the picture, so that the heat is the darkest and the strongest on it


def enlarge(picture: np.ndarray, smallest: int = SMALLEST, largest: int = LARGEST) -> Image.Image:
    """Return a picture, uint8 [H, W, 3], resized so that its longer side has from `smallest` to `largest` pixels."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    longer = max(image.size)
    scale = min(max(longer, smallest), largest) / longer
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def overlay(
    picture: np.ndarray,
    weights: np.ndarray,
    box: Box | None,
    *,
    peak: float | None = None,
    smallest: int = SMALLEST,
    largest: int = LARGEST,
) -> Image.Image:
    """Return the picture, paler, tinted by its attention weights and with the evidence box outlined.

    picture: uint8 [H, W, 3]. weights: [h, w] >= 0, one for each visual token (h rows of w). box: (left, top, right,
    bottom) as fractions of the sides, or None. peak: the weight of full heat; None: the largest of `weights`; give two
    maps the same peak to compare them. smallest, largest: bounds of the longer side, in pixels.
    """
    base = np.asarray(enlarge(picture, smallest, largest), dtype=np.float32)
    heat = _spread(weights, peak, (base.shape[1], base.shape[0]))
    grey = base * (1 - GREY) + base.mean(axis=2, keepdims=True) * GREY
    pale = grey * (1 - PALE) + 255 * PALE
    tint = colours(heat)
    blended = pale * (1 - tint[..., 3:]) + tint[..., :3] * tint[..., 3:]
    image = Image.fromarray(blended.round().clip(0, 255).astype(np.uint8))
    return image if box is None else outline(image, [box])


def colours(heat: np.ndarray) -> np.ndarray:
    """Return the colours of heat in [0, 1] along a new last axis: red, green, blue (0 to 255) and opacity (0 to 1)."""
    at, *channels = zip(*RAMP, strict=True)
    return np.stack([np.interp(heat, at, channel) for channel in channels], axis=-1).astype(np.float32)


def gradient() -> str:
    """Return a CSS gradient of the colours of RAMP on white, from no heat at the left to full heat at the right."""
    stops = (f"rgba({r}, {g}, {b}, {opacity}) {100 * at:.0f}%" for at, r, g, b, opacity in RAMP)
    return f"linear-gradient(to right, {', '.join(stops)}), #fff"


def colour_bar(width: int, height: int) -> Image.Image:
    """Return a bar of the colours on white, from no heat at the left to full heat at the right. Sizes are in pixels."""
    tint = colours(np.linspace(0, 1, width))
    row = 255 * (1 - tint[:, 3:]) + tint[:, :3] * tint[:, 3:]
    return Image.fromarray(np.broadcast_to(row.round().astype(np.uint8), (height, width, 3)).copy())


def outline(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Return a copy of the image with each box drawn as a white line between dark ones, visible on any background.

    boxes: (left, top, right, bottom) as fractions of the sides.
    """
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for box in boxes:
        left, right = sorted(round(x * (image.width - 1)) for x in (box[0], box[2]))
        top, bottom = sorted(round(y * (image.height - 1)) for y in (box[1], box[3]))
        for inset, colour in ((0, "black"), (1, "white"), (2, "white"), (3, "black")):
            if right - left > 2 * inset and bottom - top > 2 * inset:
                draw.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=colour)
    return image


def _spread(weights: np.ndarray, peak: float | None, size: tuple[int, int]) -> np.ndarray:
    """Return weights [h, w] as heat in [0, 1] at `size` (width, height), one flat cell a visual token."""
    weights = np.asarray(weights, dtype=np.float32)
    top = float(weights.max()) if peak is None else peak
    share = np.clip(weights / top, 0, 1) if top > 0 else np.zeros_like(weights)
    return np.asarray(Image.fromarray(share).resize(size, Image.Resampling.NEAREST))
