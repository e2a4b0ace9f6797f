"""Pictures and clips on disk -> uint8 RGB pixels of a size that Qwen2-VL's vision tower can cut into patches.

Clips are read by decord and, where it cannot, by PyAV. A reader is opened for one read and closed after it: one that
lives across a fork hangs.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ral.types import Media, Pixels, UserError

TOKEN_PIXELS = 28 * 28  # pixels of one visual token: 14-pixel patches, merged 2 x 2
LARGEST_ASPECT = 200  # longest by shortest side, as in Transformers
EOF_RETRIES = "128"  # how often decord reads on behind a damaged tail before it gives up (its own default: 10240)
MOST_REPAIRED = 0.1  # share of undecodable frames that decord may fill with copies of others before it is an error
Frames = NDArray[np.uint8]


class BadMedia(UserError):
    """A file that cannot be read as the picture or clip it should be; the message names the file."""


@dataclass(frozen=True)
class MediaSettings:
    """How media are sampled and resized. fps: sampled frames a second; max_frames: of one clip.

    *_pixels: area of a picture, or of each frame of a clip; defaults are the paper's (section 4.1), with the lower
    bound for frames at 16 tokens. factor: both sides become a multiple of it (pixels).
    """

    fps: float = 1.0
    max_frames: int = 128
    image_min_pixels: int = 128 * TOKEN_PIXELS
    image_max_pixels: int = 5120 * TOKEN_PIXELS
    video_min_pixels: int = 16 * TOKEN_PIXELS
    video_max_pixels: int = 128 * TOKEN_PIXELS
    factor: int = 28

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.max_frames < 2 or self.factor < 1:
            raise UserError(f"media: fps, max_frames or factor too small in {self}; write fps > 0, max_frames >= 2")
        if self.image_min_pixels > self.image_max_pixels or self.video_min_pixels > self.video_max_pixels:
            raise UserError(f"media: a min_pixels is above its max_pixels in {self}; write min <= max")


def smart_resize(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """(height, width) nearest to the given ones: multiples of `factor`, area within bounds, aspect ratio kept.

    The same results as `smart_resize` of transformers.models.qwen2_vl. Raises ValueError for an aspect ratio over 200.
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


def frame_count(duration: float, settings: MediaSettings) -> int:
    """Frames to sample from `duration` seconds: the even number at or below duration * fps, from 2 to max_frames."""
    wanted = round(duration * settings.fps, 3)  # 239.9999 is 240: containers round their frame rates
    return max(2, min(int(wanted // 2) * 2, settings.max_frames // 2 * 2))


def frame_indices(total: int, count: int) -> list[int]:
    """`count` evenly spaced indices into `total` frames, first and last included; one frame is given repeatedly."""
    return [round(x) for x in np.linspace(0, total - 1, count).tolist()]


def _decord_frames(path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    """Sampled frames [T H W 3] and the clip's duration in seconds, through decord."""
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", EOF_RETRIES)  # read when decord is loaded
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=MOST_REPAIRED)
    total = len(reader)
    if total == 0:
        raise ValueError("no frames")
    duration = total / reader.get_avg_fps()
    frames: Frames = reader.get_batch(frame_indices(total, frame_count(duration, settings))).asnumpy()
    return frames, duration


def _decodable(path: Path) -> tuple[int, float]:
    """Frames that PyAV can decode, and the frame rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sum(1 for _ in container.decode(stream)), float(stream.average_rate or stream.base_rate or 1)


def _pyav_frames(path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    """The same as `_decord_frames` through PyAV: counts first, then decodes once more and keeps what is wanted."""
    total, rate = _decodable(path)
    if total == 0:
        raise ValueError("no frames")
    indices = frame_indices(total, frame_count(total / rate, settings))
    wanted, kept = set(indices), {}
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(container.streams.video[0])):
            if number in wanted:
                kept[number] = frame.to_ndarray(format="rgb24")
            if number >= indices[-1]:
                break
    return np.stack([kept[index] for index in indices]), total / rate


READERS: tuple[tuple[str, Callable[[Path, MediaSettings], tuple[Frames, float]]], ...] = (
    ("decord", _decord_frames),
    ("PyAV", _pyav_frames),
)


def sample_clip(path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    """Sampled frames [T H W 3] uint8 and the duration in seconds; BadMedia where no reader can give them."""
    reasons = []
    for name, read in READERS:
        try:
            return read(path, settings)
        except Exception as error:  # decoders raise many kinds; all reasons are reported below
            reasons.append(f"{name}: {(str(error).strip().splitlines() or [type(error).__name__])[0]}")
    raise BadMedia(f"{path}: unreadable clip, or no frames in it ({'; '.join(reasons)}); replace or remove the file")


def _opaque(image: Image.Image) -> Image.Image:
    """Any mode -> RGB: transparency over white, 16-bit grey scaled down to 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        scale = 257.0 if image.mode.startswith("I") and values.max(initial=0) > 255 else 1.0
        return Image.fromarray((values / scale).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def load_picture(path: Path) -> Image.Image:
    """An RGB picture, upright; the first frame of an animated one. BadMedia where it cannot be read."""
    try:
        with Image.open(path) as image:
            return _opaque(ImageOps.exif_transpose(image))
    except Exception as error:  # pillow's plugins raise many kinds for a damaged file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadMedia(f"{path}: unreadable picture ({reason}); replace or remove the file") from error


def _resized(frames: Sequence[Image.Image], size: tuple[int, int]) -> torch.Tensor:
    """Frames as uint8 [T H W 3] of size (height, width), resized bicubically as Transformers does."""
    height, width = size
    arrays = [np.asarray(frame.resize((width, height), Image.Resampling.BICUBIC)) for frame in frames]
    return torch.from_numpy(np.stack(arrays))


def _target_size(path: Path, height: int, width: int, factor: int, bounds: tuple[int, int]) -> tuple[int, int]:
    try:
        return smart_resize(height, width, factor, *bounds)
    except ValueError as error:
        raise BadMedia(f"{path}: {error}; crop or remove the file") from error


def read_picture(path: Path, settings: MediaSettings) -> Pixels:
    """A picture as Pixels, frames uint8 [1 H W 3]."""
    picture = load_picture(path)
    bounds = (settings.image_min_pixels, settings.image_max_pixels)
    size = _target_size(path, picture.height, picture.width, settings.factor, bounds)
    return Pixels("image", _resized([picture], size))


def read_clip(path: Path, settings: MediaSettings) -> Pixels:
    """A clip as Pixels, frames uint8 [T H W 3] with T even; seconds_per_frame = duration / T."""
    frames, duration = sample_clip(path, settings)
    bounds = (settings.video_min_pixels, settings.video_max_pixels)
    size = _target_size(path, frames.shape[1], frames.shape[2], settings.factor, bounds)
    return Pixels("video", _resized([Image.fromarray(frame) for frame in frames], size), duration / len(frames))


class MediaReader:
    """Reads media and keeps the latest results, at most `cache_bytes` of pixels. Results are shared: do not write."""

    def __init__(self, settings: MediaSettings, cache_bytes: int = 0) -> None:
        self.settings = settings
        self.cache_bytes = cache_bytes
        self.held_bytes = 0
        self._cache: OrderedDict[Media, Pixels] = OrderedDict()

    def read(self, media: Media) -> Pixels:
        """The pixels of one picture or clip. Errors: BadMedia naming the file."""
        if media in self._cache:
            self._cache.move_to_end(media)
            return self._cache[media]
        if not media.path.is_file():
            raise BadMedia(f"{media.path}: no such file; check the dataset's path and media_root")
        pixels = (read_picture if media.kind == "image" else read_clip)(media.path, self.settings)
        self._keep(media, pixels)
        return pixels

    def _keep(self, media: Media, pixels: Pixels) -> None:
        """Add a result, dropping the longest unused ones; one larger than the cache is not kept."""
        if pixels.frames.nbytes > self.cache_bytes:
            return
        self._cache[media] = pixels
        self.held_bytes += pixels.frames.nbytes
        while self.held_bytes > self.cache_bytes:
            _, dropped = self._cache.popitem(last=False)
            self.held_bytes -= dropped.frames.nbytes
