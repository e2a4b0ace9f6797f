"""Times of a part of a video in fields whose names do not say so: `t0` and `t1`, `offset` and `duration`, `range`.

Such fields are judged by their values: two times, the second after the first. A time has a fraction or is a clock's
("00:12"), and the two do not both lie within 0 to 1, as shares and scores do. Whole numbers count only under a name
that says seconds or time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ral.data.fields import is_number
from ral.data.reading import TELLING
from ral.data.stray_times import ENDS, STARTS, is_time, words_of
from ral.data.time_texts import says_times, seconds_of, two_times

_TIMELY = "t ts time times sec secs second seconds s ms msec pts timestamp timestamps video clip"
TIMELY = frozenset(_TIMELY.split())
"""Words of a name under which whole numbers are times too."""
_OTHERS = """
    x y z xs ys width height w h size sizes shape dim dims resolution aspect ratio scale area pixel pixels fps
    rate frame frames box boxes bbox bboxes point points center centre position pos coord coords coordinate
    coordinates location lat lon gps depth crop roi score scores prob probs probability logit logits logprob
    logprobs confidence conf rating ratings quality reward rewards weight weights loss metric metrics embedding
    feature features mean std variance difficulty threshold price cost age year date version id ids uid index
    label labels class count counts num number token tokens char chars character word words line lines page
    answer answers gt gold target targets relevant truth solution option options choice choices question problem
    evidence audio speech interaction ci temperature
"""
OTHERS = frozenset(_OTHERS.split()) | TELLING - {"format", "mode", "duration"}
"""Words of names whose values are no times of a video, or are times that a question asks for."""
OFFSETS, LENGTHS = frozenset({"offset"}), frozenset({"duration", "length", "len", "dur"})
SIDES = {"in": "out", "s": "e", "st": "et", "ss": "to", "first": "last", "enter": "exit", "since": "till"}
"""{word in the name of a field with a start: the word in its place in the name of the field with the end}"""
COUNTING = frozenset({"first", "enter"})
"""Words of SIDES under which whole numbers may be numbers of anything."""
_NUMBERED = re.compile(r"(.*?)[_-]?(\d+)")


def parts_by_value(data: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield (name of a field, the two times of a part) for each part of a video in one field, or in two fields.

    data: the fields that nothing reads.
    """
    plain = {
        name: value for name, value in data.items() if not OTHERS.intersection(words_of(name.rstrip("0123456789")))
    }
    for name, value in plain.items():
        if isinstance(value, str) and not says_times(value) and not TIMELY.intersection(words_of(name)):
            continue
        if (pair := _pair(value)) and _are_times(pair, "time" if isinstance(value, str) else name):
            yield name, pair
    for one, other in _numbered(plain):
        if _are_times(pair := [plain[one], plain[other]], one.rstrip("0123456789")):
            yield one, pair
    for one, other in _sides(plain):
        if _are_times(pair := [plain[one], plain[other]], "" if COUNTING.intersection(words_of(one)) else "time"):
            yield one, pair
    begin, length = (_named(plain, words) for words in (OFFSETS, LENGTHS))
    if begin and length:
        first, seconds = (seconds_of(str(plain[name])) for name in (begin, length))
        yield begin, [first, first + seconds]


def _pair(value: object) -> list[Any] | None:
    """Return the two values of a list, of a list in a list of one, or of an object of a start and an end; else None."""
    if isinstance(value, Mapping) and len(value) == 2:
        words = [set(words_of(str(key))) for key in value]
        return list(value.values()) if words[0] & STARTS and words[1] & ENDS else None
    if isinstance(value, list | tuple) and len(value) == 1:
        return _pair(value[0])
    if isinstance(value, str):
        return list(two_times(value) or ()) or None
    return list(value) if isinstance(value, list | tuple) and len(value) == 2 else None


def _are_times(pair: list[Any], name: str) -> bool:
    """Tell whether two values are times of a video, the second after the first, rather than anything else."""
    if not all(is_time(value) for value in pair):
        return False
    first, last = (seconds_of(str(value)) for value in pair)
    if not 0 <= first < last or any(is_number(value) and value < 0 for value in pair):
        return False
    whole = all(isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) for value in pair)
    return bool(TIMELY.intersection(words_of(name))) or (not whole and last > 1)


def _numbered(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of two fields that differ in a number only, which follow one another, such as t0 and t1."""
    stems: dict[str, list[tuple[int, str]]] = {}
    for name in data:
        if found := _NUMBERED.fullmatch(name):
            stems.setdefault(found[1], []).append((int(found[2]), name))
    for there in stems.values():
        there.sort()
        if len(there) == 2 and there[1][0] - there[0][0] == 1:
            yield there[0][1], there[1][1]


def _sides(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names of two fields that differ in a word of SIDES only, such as in and out, first_sec and last_sec."""
    names = {tuple(words_of(name)): name for name in data}
    for words, name in names.items():
        for place, word in enumerate(words):
            other = names.get((*words[:place], SIDES.get(word, word), *words[place + 1 :]), name)
            if other != name and set(words) - {word} <= TIMELY:
                yield name, other


def _named(data: Mapping[str, Any], words: frozenset[str]) -> str:
    """Return the field that holds a time and whose name has one of `words`, beside words for a video or time.

    "" where there is none.
    """
    allowed = words | TIMELY
    known = ((name, set(words_of(name))) for name, value in data.items() if is_time(value))
    return next((name for name, said in known if said & words and said <= allowed), "")
