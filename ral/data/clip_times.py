"""Times of a video's frames, the part of the video that an entry asks for, and the frames to sample from that part.

Times are seconds from the first frame that a player would show. T: number of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST_HELD = 10.0  # seconds that the last frame may stay where no other stays as long; more is a muxer's slip
NOMINAL = 0.1  # seconds; shorter ones are what a muxer writes by the rate of a stream where it knows nothing better
ABOUT = 0.1  # share of the mean gap by which the last duration may differ by rounding
LONGEST_GAP = 3600.0  # seconds between two frames; more are damaged timestamps
ROUNDED = 1e-3  # seconds by which containers round times
SOON = 0.5  # seconds before its time from which a frame may stand for a moment
BEYOND_END = 0.5  # seconds by which a part may end behind the clip: annotations and containers round


class BadRequest(ValueError):
    """Raised where an image or video cannot give what its entry asks for.

    The message is the fault; `write` is the remedy.
    """

    def __init__(self, reason: str, write: str = "change the entry") -> None:
        super().__init__(reason, write)
        self.reason, self.write = reason, write

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Excerpt:
    """The part of a video to read.

    start, end: seconds; None for the beginning and the end of the video. count: number of frames; None for the number
    by the dataset's settings.
    """

    start: float | None = None
    end: float | None = None
    count: int | None = None


WHOLE = Excerpt()


@dataclass(frozen=True)
class Timeline:
    """Times of the frames that a player would show.

    times [T] float64: the second at which each frame begins, ascending from 0. seconds: the second at which the last
    frame ends.
    """

    times: NDArray[np.float64]
    seconds: float


@dataclass(frozen=True)
class Span:
    """A part of a timeline: frames `first` to `last`, both included, visible for `seconds` from second `begin` on."""

    first: int
    last: int
    begin: float
    seconds: float

    @property
    def total(self) -> int:
        """Return the number of frames."""
        return self.last - self.first + 1


def last_held(held: float | None, gaps: NDArray[np.float64]) -> float:
    """Return the seconds for which a video's last frame stays on screen.

    held: the last frame's duration by its packet, in seconds; None where that says nothing. gaps [T - 1], T >= 2:
    seconds between consecutive frames. The result is `held`, except that it is the mean gap where `held` is None,
    within ABOUT of the mean gap, a muxer's nominal value much shorter than any gap, or longer than every gap and
    LONGEST_HELD.
    """
    mean, nominal = float(gaps.mean()), held is not None and held <= NOMINAL and held < gaps.min() / 2
    if held is None or nominal or held > max(float(gaps.max()), LONGEST_HELD):
        return mean
    return mean if abs(held - mean) <= mean * ABOUT else held


def timeline(ticks: Sequence[int | None], base: float, held: int | None, rate: float) -> Timeline:
    """Return the timeline of T frames, at least one, given in the order in which they are shown.

    ticks: their timestamps in units of `base` seconds, None for a missing one. held: duration of the last frame in the
    same units, None where unknown. rate: frames a second, used where timestamps are missing. ValueError where nothing
    tells how long the video takes, or two timestamps are over an hour apart.
    """
    own = None if held is None or held <= 0 else held * base
    if len(ticks) == 1:
        return Timeline(np.zeros(1), own if own is not None and own <= LONGEST_HELD else 1 / _possible(rate))
    known = _mended(ticks)
    if known is None:
        return Timeline(np.arange(len(ticks)) / _possible(rate), len(ticks) / rate)
    times = (known - known[0]) * base
    gaps = np.diff(times)
    if times[-1] <= 0:
        raise ValueError("no duration")
    if gaps.max() > LONGEST_GAP:
        raise ValueError(f"its timestamps leap by {gaps.max():.0f} s")
    return Timeline(times, float(times[-1]) + last_held(own, gaps))


def _possible(rate: float) -> float:
    if not rate > 0 or not math.isfinite(rate):
        raise ValueError("no duration")
    return rate


def _mended(ticks: Sequence[int | None]) -> NDArray[np.float64] | None:
    """Return ascending timestamps, missing ones interpolated or extrapolated; None where fewer than two are known.

    Timestamps that are complete and all differ, but are not in the order of the frames, are those of decoding, and are
    sorted. Any other order gives None too.
    """
    places = [n for n, tick in enumerate(ticks) if tick is not None]
    known = np.array([tick for tick in ticks if tick is not None], dtype=np.float64)
    if len(known) < 2:
        return None
    ascending = bool((np.diff(known) >= 0).all())
    if len(known) == len(ticks) and not ascending and len(set(ticks)) == len(ticks):
        return np.sort(known)
    if not ascending:
        return None
    gap = (known[-1] - known[0]) / (places[-1] - places[0])
    inside = np.interp(np.arange(len(ticks)), places, known)
    before, after = np.arange(places[0], 0, -1), np.arange(1, len(ticks) - places[-1])
    inside[: places[0]] = known[0] - gap * before
    inside[places[-1] + 1 :] = known[-1] + gap * after
    return inside


def span(shown: Timeline, part: Excerpt) -> Span:
    """Return the frames that are visible during a part of a video, with the part's time.

    BadRequest where the part is not in the video.
    """
    begin, end = part.start or 0.0, shown.seconds if part.end is None else part.end
    if begin >= shown.seconds - ROUNDED and begin > 0:
        raise BadRequest(f"asks for a part from {begin:g} s on, but the clip takes {shown.seconds:.6g} s", _PART)
    if end > shown.seconds + BEYOND_END:
        raise BadRequest(f"asks for a part that ends at {end:g} s, but the clip takes {shown.seconds:.6g} s", _PART)
    end = min(end, shown.seconds)
    first = int(np.searchsorted(shown.times, begin + ROUNDED, side="right")) - 1
    last = int(np.searchsorted(shown.times, end - ROUNDED, side="left")) - 1
    return Span(first, max(first, last), begin, end - begin)


_PART = "write a start and an end within the clip"


def frames_at(shown: Timeline, part: Span, count: int) -> list[int]:
    """Return the indices of `count` frames, evenly spaced in time between the first and the last frame of a span.

    Each of `count` evenly spaced moments takes the frame that is visible then. It takes the next frame instead if that
    begins nearer to the moment, at most SOON seconds and at most half a spacing after it. For a constant frame rate
    this equals rounding evenly spaced indices.
    """
    times, begin = shown.times, max(part.begin, float(shown.times[part.first]))
    moments, step = np.linspace(begin, max(begin, float(times[part.last])), count, retstep=True)
    held = (np.searchsorted(times, moments + ROUNDED / 2, side="right") - 1).clip(0)
    following = (held + 1).clip(max=len(times) - 1)
    ahead = times[following] - moments
    soon = (ahead < moments - times[held]) & (ahead <= min(step / 2, SOON))
    return [int(n) for n in np.where(soon, following, held).clip(part.first, part.last)]
