"""Facts on a video's frames, taken from its packets before any frame is decoded, and the decoded frames, by PyAV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ral.data.clip_times import BadRequest, Timeline, timeline
from ral.data.upright import is_turn, matrix_of

MOST_MISSING = 0.1  # share of a clip's frames that may be missing or undecodable before it is an error
FASTEST = 300  # frames a second in a codec's header; more are ticks of a clock, 1000 or 90000 a second
MICROSECONDS = 1_000_000  # in a second: the unit of a container's duration
INDEXED = {"mov", "matroska"}  # containers in which decord finds frames by their number
SOUGHT = {"h264", "hevc", "vp9", "mpeg4"}  # codecs of which it decodes one frame a packet


@dataclass(frozen=True)
class Stream:
    """Facts on the video stream of a file.

    ticks: timestamps of the frames that a player shows, in their order, in units of `base` seconds; None where the
    packets do not give them. held: how long the last frame is shown, in the same units; None where unknown. rate:
    frames a second by the header; 0 where it does not say. plain: whether it is the file's only video stream, every
    packet is one shown frame, decoding may begin at every key frame, and a player mirrors nothing.
    """

    ticks: tuple[int, ...] | None
    held: int | None
    base: float
    rate: float
    plain: bool

    def timeline(self, ticks: tuple[int | None, ...] | None = None) -> Timeline:
        """Return the times of the frames, in seconds: from the packets, or from `ticks` where they are given.

        ticks: timestamps of all decoded frames in units of `base`, None for a missing one; give them where self.ticks
        is None. Missing ones are interpolated; where fewer than two are known, the frames follow each other at `rate`.
        ValueError where nothing tells how long the video takes, or frames lie over an hour apart.
        """
        return timeline(self.ticks or () if ticks is None else ticks, self.base, self.held, self.rate)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file for the block; yield its container and the video stream that a player shows (the first of `tracks`).

    ValueError where it has no video stream.
    """
    import av

    with av.open(str(path)) as container:
        if not (streams := tracks(container)):
            raise ValueError("no video stream")
        yield container, streams[0]


def tracks(container: Any) -> list[Any]:
    """Return a container's video streams, without cover pictures; those marked as default come first, as in players."""
    from av.stream import Disposition

    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    return sorted(moving, key=lambda stream: not stream.disposition & Disposition.default)


def look(path: Path) -> Stream:
    """Return the facts on a video that its packets give. At most one packet is decoded.

    ValueError where the file has no video stream or no frames, or where a large part of it is missing; BadRequest where
    nothing in it tells when a frame is shown.
    """
    with opened(path) as (container, stream):
        everything = [p for p in container.demux() if p.size or p.pts is not None]
        packets = [p for p in everything if p.stream_index == stream.index]
        _complete(container, stream, sum(bool(p.size) for p in packets))
        _until_the_end(*_declared(container, stream), packets, everything)
        shown = [p for p in packets if p.size and not p.is_discard]
        rate = _rate(container, stream)
        base, codec, formats = float(stream.time_base or 0), stream.codec_context.name, container.format.name.split(",")
        times = [p.pts for p in shown]
        timed = None not in times and len(set(times)) == len(times)
        sought = timed and not INDEXED.isdisjoint(formats) and codec in SOUGHT and len(shown) == len(packets) > 0
        plain = sought and _closed(packets) and _unmirrored(stream, packets[0]) and len(tracks(container)) == 1
    if not shown:
        raise ValueError("no frames")
    if not timed:
        return Stream(None, None, base, rate, False)
    last = max(shown, key=lambda p: p.pts)
    return Stream(tuple(sorted(times)), last.duration, base, rate, plain)


def _rate(container: Any, stream: Any) -> float:
    """Return the frames a second by the header; 0 where it does not say.

    In raw streams it is the rate of the codec's header; FFmpeg gives 25 as their average, and times by that where the
    codec has none. BadRequest for such a one, and for a header of a variable rate, which has the clock's ticks there.
    """
    from av.format import Flags

    if not container.format.flags & Flags.no_timestamps.value:
        return float(stream.average_rate or stream.base_rate or 0)
    if 0 < (rate := stream.codec_context.framerate or 0) <= FASTEST:
        return float(rate)
    reason = f"is a raw {stream.codec_context.name} stream without times and without a frame rate in its header"
    raise BadRequest(reason, "write it to a file with times, as by: ffmpeg -framerate <rate> -i <this file> <name>.mp4")


def _complete(container: Any, stream: Any, found: int) -> None:
    """Raise ValueError where over MOST_MISSING of the frames that the file's index or header counts are missing."""
    indexed = {"mov", "avi"} & set(container.format.name.split(","))
    named = len(stream.index_entries) if indexed else stream.frames
    if found < (1 - MOST_MISSING) * named:
        raise ValueError(f"cut off: {found} of {named} frames are there")


def _declared(container: Any, stream: Any) -> tuple[float | None, bool]:
    """Return (end, alone): the second at which the header says that the video ends, None where it does not say.

    alone: True where this is the end of the images, False where it may be the end of the sound.
    """
    formats = set(container.format.name.split(","))
    if "avi" in formats:  # its length, too, is one of the index, which ends where the file was cut
        return (float(stream.frames * stream.time_base) if stream.frames else None), True
    if formats.isdisjoint({"matroska", "flv"}):  # of others it may be an estimate
        return None, False
    if found := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = (float(part) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds, True
    return (container.duration / MICROSECONDS if container.duration else None), False


def _until_the_end(declared: float | None, alone: bool, packets: list[Any], everything: list[Any]) -> None:
    """Raise ValueError where the packets end long before the declared end. declared, alone: as from `_declared`.

    The last frame may stay as long as the longest other one. A single frame may stay for any time.
    """
    times = sorted(float(p.pts * p.time_base) for p in packets if p.pts is not None)
    if declared is None or len(times) < 2:
        return
    held = max(after - before for before, after in pairwise(times))
    others = [] if alone else [p for p in everything if p.pts is not None]
    ends = [float((p.pts + (p.duration or 0)) * p.time_base) for p in (*packets, *others) if p.pts is not None]
    end, begin = max(*ends, times[-1] + held), times[0]
    wanted = declared - max(begin, 0.0)  # some count from 0, some from the first frame
    if end - begin < (1 - MOST_MISSING) * wanted:
        raise ValueError(f"cut off: {end - begin:.6g} of {wanted:.6g} s are there")


def _closed(packets: list[Any]) -> bool:
    """Tell whether key frames divide the video: frames before one in the file are shown before it, others after it."""
    latest = key = -float("inf")
    if not packets[0].is_keyframe:
        return False
    for packet in packets:
        if packet.is_keyframe:
            if packet.pts <= latest:
                return False
            key = packet.pts
        elif packet.pts <= key:
            return False
        latest = max(latest, packet.pts)
    return True


def _unmirrored(stream: Any, key: Any) -> bool:
    """Tell whether a player turns the frames at most, and mirrors none. key: packet of a key frame, which is decoded.

    False where it gives no frame.
    """
    import av

    try:
        frames = [*stream.codec_context.decode(key), *stream.codec_context.decode(None)]
    except av.error.FFmpegError:
        return False
    return bool(frames) and is_turn(matrix_of(frames[0]))


def decoded(path: Path) -> Iterator[Any]:
    """Yield every frame that a player would show, in order, as PyAV frames.

    A packet that cannot be decoded is left out. ValueError where the file has no video stream.
    """
    import av

    with opened(path) as (container, stream):
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            yield from frames
