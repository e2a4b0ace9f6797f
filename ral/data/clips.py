"""Clips -> sampled and resized frames, by decord or by PyAV. Needs neither torch nor anything else that loads slowly.

A reader is a function (path, settings) -> (frames [T H W 3] uint8, duration in seconds), T even. It opens the file for
one read: a decord reader that lives across a fork hangs. Frames are resized as they come, so that memory holds few of
the file's own size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ral.errors import UserError

TOKEN_PIXELS = 28 * 28  # pixels of one visual token: 14-pixel patches, merged 2 x 2
LARGEST_ASPECT = 200  # longest by shortest side, as in Transformers
EOF_RETRIES = "128"  # how often decord reads on behind a damaged tail before it gives up (its own default: 10240)
MOST_REPAIRED = 0.1  # share of undecodable frames that decord may fill with copies of others before it is an error
UNSIZED_BYTES = 2**26  # frames of the file's own size that are held at once
Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class MediaSettings:
    """How media are sampled and resized. fps: sampled frames a second; max_frames: of one clip.

    *_pixels: area of a picture, or of each frame of a clip; defaults are the paper's (section 4.1), with the lower
    bound for frames at 16 tokens. factor: both sides become a multiple of it (pixels). timeout_s: seconds that one
    reader may take for one clip, which then is read in a process of its own; None = read here, without limit.
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
        if self.image_min_pixels > self.image_max_pixels or self.video_min_pixels > self.video_max_pixels:
            raise UserError(f"media: a min_pixels is above its max_pixels in {self}; write min <= max")
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise UserError(f"media: timeout_s={self.timeout_s:g} leaves no time; write seconds above 0, or null")


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


def resized(picture: Image.Image, size: tuple[int, int]) -> Frames:
    """uint8 [H W 3] of size (height, width), resized bicubically as Transformers does."""
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def frame_count(total: int, duration: float, settings: MediaSettings) -> int:
    """Frames to sample from `total` that take `duration` seconds: the even number at or below duration * fps.

    At least 2, at most max_frames and not more than there are.
    """
    wanted = round(duration * settings.fps, 3)  # 239.9999 is 240: containers round their frame rates
    return max(2, min(int(wanted), settings.max_frames, total) // 2 * 2)


def frame_indices(total: int, count: int) -> list[int]:
    """`count` evenly spaced indices into `total` frames, first and last included; one frame is given repeatedly."""
    return [round(x) for x in np.linspace(0, total - 1, count).tolist()]


def duration_of(total: int, first: float | None, last: float | None, rate: float) -> float:
    """Seconds that `total` frames take: by the times of the first and last one, else by the frame rate.

    None: the frames have no times. What the header claims as the clip's length is not asked. ValueError where frames
    that follow each other are all of one time, and where nothing says how long one lasts.
    """
    if total > 1 and first is not None and last is not None:
        rate = (total - 1) / (last - first) if last > first else math.nan
    if not rate > 0 or not math.isfinite(rate):
        raise ValueError("no duration")
    return total / rate


def _fit(frames: Iterator[Frames], settings: MediaSettings) -> Frames:
    """Frames of any size -> [T H W 3] within the settings' bounds."""
    first = next(frames)
    bounds = (settings.video_min_pixels, settings.video_max_pixels)
    size = smart_resize(first.shape[0], first.shape[1], settings.factor, *bounds)
    small = [resized(Image.fromarray(first), size)]
    small += [resized(Image.fromarray(frame), size) for frame in frames]
    return np.stack(small)


def _decord_batches(reader: Any, indices: Sequence[int]) -> Iterator[Frames]:
    """The frames at `indices`, as many at once as UNSIZED_BYTES allows."""
    first: Frames = reader.get_batch(indices[:1]).asnumpy()
    yield first[0]
    at_once = max(1, UNSIZED_BYTES // first.nbytes)
    for start in range(1, len(indices), at_once):
        yield from reader.get_batch(indices[start : start + at_once]).asnumpy()


def read_by_decord(path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    """Through decord."""
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", EOF_RETRIES)  # read when decord is loaded
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=MOST_REPAIRED)
    total = len(reader)
    if total == 0:
        raise ValueError("no frames")
    first, last = reader.get_frame_timestamp([0, total - 1])[:, 0].tolist()
    seconds = duration_of(total, first, last, reader.get_avg_fps())
    indices = frame_indices(total, frame_count(total, seconds, settings))
    return _fit(_decord_batches(reader, indices), settings), seconds


def _pyav_frames(path: Path) -> Iterator[Any]:
    """Every decoded frame of the first video stream that is no cover picture."""
    import av

    with av.open(str(path)) as container:
        cover = av.stream.Disposition.attached_pic
        stream = next((s for s in container.streams.video if not s.disposition & cover), None)
        if stream is None:
            raise ValueError("no video stream")
        yield stream
        yield from container.decode(stream)


def _pyav_length(path: Path) -> tuple[int, float]:
    """Frames that can be decoded, and their duration in seconds. ValueError where many that should be there are not."""
    frames = _pyav_frames(path)
    stream = next(frames)
    times = [frame.time for frame in frames]
    total = len(times)
    if total == 0:
        raise ValueError("no frames")
    if total < (1 - MOST_REPAIRED) * stream.frames:
        raise ValueError(f"cut off: {total} of {stream.frames} frames are there")
    return total, duration_of(total, times[0], times[-1], float(stream.average_rate or stream.base_rate or 0))


def read_by_pyav(path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    """Through PyAV: decodes once to count the frames, and once more to keep what is wanted."""
    total, seconds = _pyav_length(path)
    indices = frame_indices(total, frame_count(total, seconds, settings))
    frames = _pyav_frames(path)
    next(frames)
    wanted = (_upright(frame) for number, frame in enumerate(frames) for _ in range(indices.count(number)))
    return _fit(wanted, settings), seconds


def _upright(frame: Any) -> Frames:
    """A frame as the camera was held; decord does that by itself."""
    pixels: Frames = frame.to_ndarray(format="rgb24")
    return np.rot90(pixels, frame.rotation // 90).copy() if frame.rotation else pixels


Reader = Callable[[Path, MediaSettings], tuple[Frames, float]]
READERS: tuple[tuple[str, Reader], ...] = (("decord", read_by_decord), ("PyAV", read_by_pyav))
"""The readers, in the order in which they are tried."""
