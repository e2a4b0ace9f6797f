"""Sizes of images and of frames of videos: the settings, the size that fits them, and resizing to that size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ral.errors import UserError

TOKEN_PIXELS = 28 * 28  # pixels of one visual token: 14-pixel patches, merged 2 x 2
LARGEST_ASPECT = 200  # longest by shortest side, as in Transformers
Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class MediaSettings:
    """Settings by which images and videos are sampled and resized. UserError for values that fit no file.

    fps: frames to sample a second. max_frames: most frames of one video. *_pixels: bounds of the area of an image, or
    of each frame of a video; defaults are those of RAL (arXiv 2602.04884, section 4.1), with the lower bound for frames
    at 16 tokens. factor: both sides become multiples of it, in pixels. timeout_s: seconds that one reader may take for
    one video, which is then read in a process of its own; None: read in this process, without limit.
    """

    fps: float = 1.0
    max_frames: int = 128
    image_min_pixels: int = 128 * TOKEN_PIXELS
    image_max_pixels: int = 5120 * TOKEN_PIXELS
    video_min_pixels: int = 16 * TOKEN_PIXELS
    video_max_pixels: int = 128 * TOKEN_PIXELS
    factor: int = 28
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.max_frames < 2 or self.factor < 1:
            raise UserError(f"media: fps, max_frames or factor too small in {self}; write fps > 0, max_frames >= 2")
        bounds = {
            "image": (self.image_min_pixels, self.image_max_pixels),
            "video": (self.video_min_pixels, self.video_max_pixels),
        }
        for kind, (least, most) in bounds.items():
            if least > most:
                raise UserError(
                    f"media: {kind}_min_pixels={least} is above {kind}_max_pixels={most}; write "
                    f"{kind}_max_pixels={least} or more"
                )
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise UserError(f"media: timeout_s={self.timeout_s:g} leaves no time; write seconds above 0, or null")


def smart_resize(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Return (height, width), multiples of `factor`, with an area within the bounds and nearly the same aspect ratio.

    The results are those of `smart_resize` in transformers.models.qwen2_vl. ValueError for an aspect ratio over 200.
    """
    if max(height, width) / min(height, width) > LARGEST_ASPECT:
        raise ValueError(f"aspect ratio of {width} x {height} pixels is above {LARGEST_ASPECT}")
    rows, cols = round(height / factor), round(width / factor)
    if rows * cols * factor**2 > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows = max(1, math.floor(height / shrink / factor))
        cols = max(1, math.floor(width / shrink / factor))
    elif rows * cols * factor**2 < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows, cols = math.ceil(height * grow / factor), math.ceil(width * grow / factor)
    return rows * factor, cols * factor


def resized(picture: Image.Image, size: tuple[int, int]) -> Frames:
    """Return an RGB image as uint8 [H W 3], resized bicubically as in Transformers. size: (height, width)."""
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.BICUBIC))
