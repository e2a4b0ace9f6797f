"""Drawing of `visual_search` scenes: PNG images with pillow, H.264 videos with PyAV."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ral.worlds.scene import CELL, SALIENT_SIGN_PIXELS, SLOT_FRAMES, Item, Scene, states

RGB = {
    "red": (220, 35, 35),
    "green": (30, 160, 60),
    "blue": (40, 80, 225),
    "yellow": (235, 195, 0),
    "purple": (140, 45, 180),
    "orange": (250, 120, 15),
}
DARK_TEXT = ("yellow", "orange")  # signs too bright for white letters
SMALL_FONT, SALIENT_FONT = 15, 20  # pixels
SMOOTH = 4  # shapes are drawn this many times larger and scaled down
FRAMES_PER_SECOND = 1
CRF = "12"  # H.264 quality: visually lossless, a few kB a clip

Point = tuple[float, float]


def _star() -> list[Point]:
    radii = (0.5, 0.21) * 5
    angles = [math.pi * (n / 5 - 0.5) for n in range(10)]
    return [(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


def _cross() -> list[Point]:
    a, b = 0.33, 0.67
    return [(a, 0), (b, 0), (b, a), (1, a), (1, b), (b, b), (b, 1), (a, 1), (a, b), (0, b), (0, a), (a, a)]


def _arrow(turns: int) -> list[Point]:
    """Return the corners of an arrow that points up, turned right by `turns` quarters."""
    points: list[Point] = [(0.5, 0), (1, 0.5), (0.68, 0.5), (0.68, 1), (0.32, 1), (0.32, 0.5), (0, 0.5)]
    for _ in range(turns):
        points = [(1 - y, x) for x, y in points]
    return points


OUTLINES: dict[str, Callable[[], list[Point]]] = {  # corners in the unit square
    "square": lambda: [(0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95)],
    "sign": lambda: [(0, 0), (1, 0), (1, 1), (0, 1)],
    "triangle": lambda: [(0.5, 0), (1, 1), (0, 1)],
    "diamond": lambda: [(0.5, 0), (0.9, 0.5), (0.5, 1), (0.1, 0.5)],
    "star": _star,
    "cross": _cross,
    "up": lambda: _arrow(0),
    "right": lambda: _arrow(1),
    "down": lambda: _arrow(2),
    "left": lambda: _arrow(3),
}


def silhouette(shape: str, size: int) -> Image.Image:
    """Return a shape as a mask of size x size pixels with smooth edges, in PIL mode L."""
    side = size * SMOOTH
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    if shape == "circle":
        pen.ellipse((0, 0, side - 1, side - 1), fill=255)
    else:
        pen.polygon([(x * (side - 1), y * (side - 1)) for x, y in OUTLINES[shape]()], fill=255)
    return mask.resize((size, size), Image.Resampling.BOX)


@lru_cache(maxsize=4096)
def sprite_of(shape: str, color: str, size: int, text: str) -> Image.Image:
    """Return one object, or a sign with `text`, as an RGBA image of size x size pixels."""
    sprite = Image.new("RGBA", (size, size), RGB[color])
    if text:
        ink = (0, 0, 0) if color in DARK_TEXT else (255, 255, 255)
        font = ImageFont.load_default(size=SALIENT_FONT if size >= SALIENT_SIGN_PIXELS else SMALL_FONT)
        ImageDraw.Draw(sprite).text((size / 2, size / 2), text, fill=ink, font=font, anchor="mm")
    sprite.putalpha(silhouette(shape, size))
    return sprite


def render(items: Sequence[Item], grid: int, background: tuple[int, int, int]) -> Image.Image:
    """Return the items on their cells, as an RGB image of grid * 28 pixels a side."""
    canvas = Image.new("RGB", (grid * CELL, grid * CELL), background)
    for item in items:
        margin = (CELL - item.size) // 2
        corner = (item.col * CELL + margin + item.dx, item.row * CELL + margin + item.dy)
        sprite = sprite_of(item.shape, item.color, item.size, item.text)
        canvas.paste(sprite, corner, sprite)
    return canvas


def frames_of(scene: Scene) -> list[Image.Image]:
    """Return every frame of a scene's video in order: SLOT_FRAMES equal frames for each slot."""
    slots = [render(items, scene.grid, scene.background) for items in states(scene)]
    return [slot for slot in slots for _ in range(SLOT_FRAMES)]


def write_picture(scene: Scene, path: Path) -> None:
    """Write the scene as a PNG to `path`."""
    render(scene.items, scene.grid, scene.background).save(path, compress_level=1)


def write_clip(scene: Scene, path: Path) -> None:
    """Write the scene as an H.264 MP4 of one frame a second to `path`."""
    write_frames(frames_of(scene), path)


def write_frames(frames: Sequence[Image.Image], path: Path, fps: int = FRAMES_PER_SECOND) -> None:
    """Write RGB frames of one size, with even sides, as an H.264 MP4 (libx264, yuv420p)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": CRF, "preset": "veryfast", "bf": "0"})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # the same bytes on every machine
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
