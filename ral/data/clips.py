"""Video files as sampled and resized frames, by decord or by PyAV. Imports neither torch nor other slow packages.

A reader is a function (path, settings, part) -> (frames [T H W 3] uint8, length in seconds of the part that they show),
T even; without `part` it reads the whole video. It opens the file for one read, since a decord reader that lives across
a fork hangs. Frames are resized one by one, so that memory holds few of the file's own size.

Which frames are shown, and when, is read from the packets by PyAV (`ral.data.packets`) for both readers. decord ignores
edit lists and mirrored frames, counts packets for frames and finds those behind an open group of pictures by a wrong
number, so it decodes only videos that have none of these, and PyAV's decoder the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ral.data.clip_times import WHOLE, BadRequest, Excerpt, Timeline, frames_at, span
from ral.data.packets import MOST_MISSING, Stream, decoded, look
from ral.data.sizes import Frames, MediaSettings, resized, smart_resize
from ral.data.upright import matrix_of, upright

EOF_RETRIES = "128"  # how often decord reads on behind a damaged tail before it gives up (its own default: 10240)
SAME_TIME = 0.01  # seconds by which decord, which counts in float32, may differ about the time of the last frame
UNSIZED_BYTES = 2**26  # frames of the file's own size that are held at once


def frame_count(total: int, duration: float, settings: MediaSettings) -> int:
    """Return the number of frames to sample from `total` frames that take `duration` seconds.

    It is the greatest even number up to duration * fps, max_frames and `total`, but at least 2, even where `total` is
    1.
    """
    wanted = round(duration * settings.fps, 3)  # 239.9999 is 240: containers round their frame rates
    return max(2, min(int(wanted), settings.max_frames, total) // 2 * 2)


def frame_indices(total: int, count: int) -> list[int]:
    """Return `count` evenly spaced indices into `total` frames, first and last included; for one frame all are 0."""
    return [round(x) for x in np.linspace(0, total - 1, count).tolist()]


def _sampled(shown: Timeline, settings: MediaSettings, part: Excerpt) -> tuple[list[int], float]:
    """Return the indices of the frames to decode for a part of a video, and the part's length in seconds.

    BadRequest where the part is not in the video, or has fewer frames than the entry asks for.
    """
    chosen = span(shown, part)
    count = frame_count(chosen.total, chosen.seconds, settings) if part.count is None else part.count
    if part.count is not None and count > max(chosen.total, 2):
        reason = f"asks for {count} frames, but {chosen.total} are there"
        raise BadRequest(reason, f"ask for {max(2, chosen.total // 2 * 2)} at most")
    return frames_at(shown, chosen, count), chosen.seconds


def fitted(frames: Iterable[Frames], settings: MediaSettings) -> list[Frames]:
    """Return all frames resized to one size: the size, within the settings' bounds, that fits the first frame.

    ValueError for a first frame over 200 times longer than wide, or the reverse.
    """
    size, small = None, []
    for frame in frames:
        bounds = (settings.video_min_pixels, settings.video_max_pixels)
        size = size or smart_resize(frame.shape[0], frame.shape[1], settings.factor, *bounds)
        small.append(resized(Image.fromarray(frame), size))
    return small


def _decord_batches(reader: Any, indices: Sequence[int]) -> Iterator[Frames]:
    """Yield the frames at `indices`, as many at once as UNSIZED_BYTES allows."""
    first: Frames = reader.get_batch(indices[:1]).asnumpy()
    yield first[0]
    at_once = max(1, UNSIZED_BYTES // first.nbytes)
    for start in range(1, len(indices), at_once):
        yield from reader.get_batch(indices[start : start + at_once]).asnumpy()


def read_by_decord(path: Path, settings: MediaSettings, part: Excerpt = WHOLE) -> tuple[Frames, float]:
    """Return frames [T H W 3] uint8, T even, and the length in seconds of the part that they show.

    decord decodes where it counts frames as a player does, PyAV's decoder elsewhere. BadRequest where the video has no
    such part; other exceptions for unreadable files.
    """
    stream = look(path)
    if not stream.plain:
        return _decoded(path, settings, part, stream)
    os.environ.setdefault("DECORD_EOF_RETRY_MAX", EOF_RETRIES)  # read when decord is loaded
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=MOST_MISSING)
    shown = stream.timeline()
    if not _agrees(reader, shown):
        return _decoded(path, settings, part, stream)
    indices, seconds = _sampled(shown, settings, part)
    return np.stack(fitted(_decord_batches(reader, indices), settings)), seconds


def _agrees(reader: Any, shown: Timeline) -> bool:
    """Tell whether decord has as many frames as a timeline, and the same time between the first and the last."""
    total = len(reader)
    if total != len(shown.times):
        return False
    first, last = reader.get_frame_timestamp([0, total - 1])[:, 0].tolist()
    return bool(abs(last - first - shown.times[-1]) <= SAME_TIME)


def read_by_pyav(path: Path, settings: MediaSettings, part: Excerpt = WHOLE) -> tuple[Frames, float]:
    """Return frames [T H W 3] uint8, T even, and the length in seconds of the part that they show.

    PyAV decodes. BadRequest where the video has no such part; other exceptions for unreadable files.
    """
    return _decoded(path, settings, part, look(path))


def _decoded(path: Path, settings: MediaSettings, part: Excerpt, stream: Stream) -> tuple[Frames, float]:
    """Return frames and seconds by PyAV's decoder, which runs a second time where the packets gave wrong times."""
    if stream.ticks is not None:
        indices, seconds = _sampled(stream.timeline(), settings, part)
        seen: list[int | None] = []
        frames = fitted(_picked(path, indices, seen), settings)
        if len(frames) == len(indices) and tuple(seen) == stream.ticks[: len(seen)]:
            return np.stack(frames), seconds
    indices, seconds = _sampled(stream.timeline(_all_ticks(path, stream)), settings, part)
    return np.stack(fitted(_picked(path, indices, []), settings)), seconds


def _picked(path: Path, indices: Sequence[int], seen: list[int | None]) -> Iterator[Frames]:
    """Yield the decoded frames with the given numbers, which ascend, each as often as it is named.

    seen: list to which the timestamp of each decoded frame is appended.
    """
    for number, frame in enumerate(decoded(path)):
        seen.append(frame.pts)
        pixels = _upright(frame) if number in indices else None
        for _ in range(indices.count(number)):
            assert pixels is not None
            yield pixels
        if number >= indices[-1]:
            return


def _all_ticks(path: Path, stream: Stream) -> tuple[int | None, ...]:
    """Return timestamps of all frames that can be decoded. ValueError where many behind the first of these are missing.

    Frames before the first one may be missing: a cut without encoding anew removes frames on which they depend.
    """
    ticks = tuple(frame.pts for frame in decoded(path))
    if not ticks:
        raise ValueError("no frames")
    first = ticks[0]
    wanted = 0 if stream.ticks is None or first is None else sum(tick >= first for tick in stream.ticks)
    if len(ticks) < (1 - MOST_MISSING) * wanted:
        raise ValueError(f"damaged: {len(ticks)} of {wanted} frames can be decoded")
    return ticks


def _upright(frame: Any) -> Frames:
    """Return a frame as a player shows it; decord turns its frames by itself."""
    return upright(frame.to_ndarray(format="rgb24"), matrix_of(frame))


ClipReader = Callable[..., tuple[Frames, float]]
READERS: tuple[tuple[str, ClipReader], ...] = (("decord", read_by_decord), ("PyAV", read_by_pyav))
"""(name, reader) of the readers, in the order in which they are tried."""
