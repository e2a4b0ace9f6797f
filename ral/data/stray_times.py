"""Names and values of fields that look like the part of a video to read, or like the number of frames to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ral.data.fields import is_number
from ral.data.time_texts import is_time_text, seconds_of, two_times

STARTS = frozenset({"start", "begin", "beginning", "from", "onset"})
ENDS = frozenset({"end", "stop", "finish", "until", "to"})
MOMENTS = frozenset({"timestamp", "ts", "moment", "timecode", "time", "realtime"})
_SPANS = """
    clip clips segment segments span spans interval intervals window windows trim moments times timestamps
    subclip subclips excerpt excerpts snippet snippets
"""
SPANS = MOMENTS | frozenset(_SPANS.split())
NEAR = frozenset({"range", "ranges", "bounds"})
"""Words that mean a time span where one of ABOUT stands beside them."""
_ABOUT = """
    video clip clips time times frame frames sec secs second seconds s ms msec msecs millis millisecond milliseconds t
    pts ts idx index indices indexes ids number numbers num no n offset point pos position segment event scene shot
    action moment window temporal query question ask asked at crop cut
"""
ABOUT = frozenset(_ABOUT.split())
"""Words that may stand in a field's name beside the words for a part of a video."""
MILLISECONDS = frozenset({"ms", "msec", "msecs", "millis", "millisecond", "milliseconds"})
FRAMES = frozenset({"frame", "frames", "indices"})
PLURAL = frozenset({"frames", "nframe", "nframes"})
_COUNTS = "num number n count nframe nframes max maximum target sample sampled sampling total"
COUNTS = frozenset(_COUNTS.split())
NUMBERING = frozenset({"idx", "index", "number", "num", "no", "n"})
DESCRIBING = frozenset({"total", "count"})
"""Words with which a number of frames describes the video, and does not ask for frames."""
FASTEST = 240  # frames a second: a number above is of something else, such as sound
MOST_ASKED = 768
"""Most frames that an entry may ask for (qwen-vl-utils reads no more). A larger number is the video's own."""
LATEST = 10**6  # seconds: a number above is a date, not a time in a clip
ROUNDED, ROUNDED_ALONE = 0.5, 0.05  # seconds by which the times of a span, and one alone, may differ in an answer
_TIMES = re.compile(r"\d+(?::\d{2}){1,2}(?:\.\d+)?|\d+(?:\.\d+)?")
_JOINED = re.compile(r"\b(start|begin|end|stop)(?=(?:time|timestamp|second|sec|frame|ms|ts|s)\b)")
_STARTING = re.compile(r"\b(start|begin|end)n?ing (?=(?:time|timestamp|timecode|seconds?|secs?|frame|ms|ts|point)\b)")
_T_START = re.compile(r"\b[tv](?=(?:start|begin|end|stop)\b)")
FROM_FRAME = "in seconds from the clip's first frame"


def words_of(name: str) -> list[str]:
    """Return the words of a field's name in small letters: ["video", "start", "time"] for videoStartTime."""
    plain = re.sub(r"[^a-z0-9]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()).strip()
    plain = _JOINED.sub(r"\1 ", plain).replace("time stamp", "timestamp").replace("time code", "timecode")
    return _T_START.sub("t ", _STARTING.sub(r"\1 ", plain)).split()


def part_asked(name: str, value: object, is_file: bool) -> str:
    """Return advice for a field that looks like the part of a video to read; "" for any other field.

    is_file: whether the value is itself an image or video.
    """
    words = set(words_of(name))
    starts, ends, spans = words & STARTS, words & ENDS, words & SPANS
    near = words & NEAR and words & ABOUT
    if not words <= STARTS | ENDS | SPANS | NEAR | ABOUT:
        return ""
    seconds = f"{FROM_FRAME}{' (1500 ms are 1.5)' if words & MILLISECONDS else ''}"
    if bool(starts) != bool(ends) and is_time(value):
        return f"{'video_start' if starts else 'video_end'}, {seconds}"
    moment = words & MOMENTS and not words & NUMBERING and is_time(value)
    if (spans or near or starts or ends) and (is_span(value) or moment or (spans and is_file)):
        seen = '"evidence": [{"span": [start, end]}] where the answer is seen'
        return f'video_start and video_end, {seconds}, or {seen} (another clip: "videos": [..., ...])'
    if words & FRAMES and not words & COUNTS - {"number"} and _are_numbers(value, alone=words != {"frames"}):
        return 'these frames as pictures in order under "video", or nframes, or video_start and video_end in seconds'
    return ""


def frames_asked(name: str, value: object) -> str:
    """Return advice for a field that looks like a number of frames to sample, in all or a second; else ""."""
    words = [word for word in words_of(name) if word not in ("video", "clip")]
    asked = set(words) - {"of", "per"}
    number = _number(value)
    if number is None or asked & DESCRIBING:
        return ""
    if asked <= COUNTS | {"frame", "frames"} and (asked & PLURAL or words[1:] == ["frame"]):
        return "nframes, or nothing where it only tells how many the clip has" if 0 < number <= MOST_ASKED else ""
    known = asked <= COUNTS | {"fps", "frame", "rate", "frames", "second"}
    rated = known and asked & COUNTS and asked & {"fps", "rate", "second"} and 0 < number <= FASTEST
    return "fps, frames to read a second" if rated else ""


def _number(value: Any) -> float | None:
    """Return the number in a value, also in a text as in a table's cell; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\d+(?:\.\d+)?", value.strip()):
        return float(value)
    return float(value) if is_number(value) else None


def is_time(value: Any) -> bool:
    """Tell whether a value may be a time in a video: a number below LATEST, or a text such as "00:12" or "2.5"."""
    return (is_number(value) and abs(float(value)) < LATEST) or (isinstance(value, str) and is_time_text(value))


def is_span(value: object) -> bool:
    """Tell whether a value is a list or object of times, possibly nested, or a text of two; an empty one is none."""
    if isinstance(value, str):
        return two_times(value) is not None
    items = list(value.values()) if isinstance(value, Mapping) else value
    return isinstance(items, list | tuple) and bool(items) and all(is_time(item) or is_span(item) for item in items)


def _are_numbers(value: object, alone: bool) -> bool:
    if isinstance(value, list):
        return bool(value) and all(map(is_number, value))
    return alone and is_number(value)


def repeats(name: str, value: object, answer: str) -> bool:
    """Tell whether all times of a field stand in the gold answer, so that the field repeats what the question asks for.

    A start or an end alone counts only where the answer has at least two times.
    """
    said, wanted = [seconds_of(text) for text in _TIMES.findall(answer)], list(_times(value))
    if is_time(value) and set(words_of(name)) & (STARTS | ENDS) and len(said) < 2:
        return False
    near = ROUNDED_ALONE if is_time(value) else ROUNDED
    return bool(wanted) and all(any(abs(time - there) <= near for there in said) for time in wanted)


def _times(value: Any) -> Iterator[float]:
    """Yield, in seconds, the times of a value for which `is_time` or `is_span` holds."""
    if isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _times(item)
    elif is_time(value):
        yield seconds_of(str(value))
    elif isinstance(value, str):
        yield from two_times(value) or ()
