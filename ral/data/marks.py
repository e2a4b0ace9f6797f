"""Marks (`<image>`, `<video>`) in texts. Each is the place of one image or video."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ral.types import IMAGE_MARK, VIDEO_MARK, Example, Media

KINDS = {IMAGE_MARK: "image", VIDEO_MARK: "video"}
NAMES = {IMAGE_MARK: "picture", VIDEO_MARK: "clip"}
MARK = re.compile("|".join(map(re.escape, KINDS)))
_LEADING = re.compile(rf"(?:\s*(?:{MARK.pattern}))*\s*")


def marks_in(texts: Iterable[str]) -> list[str]:
    """Return all marks of some texts, in order."""
    return [mark for text in texts for mark in MARK.findall(text)]


def misfit(marks: Sequence[str], media: Sequence[Media]) -> str | None:
    """Return how the numbers of marks and of media differ, in words; None where they fit or there is no mark."""
    counts = {mark: (marks.count(mark), sum(m.kind == kind for m in media)) for mark, kind in KINDS.items()}
    wrong = [mark for mark, (places, there) in counts.items() if marks and places != there]
    if not wrong:
        return None
    mark = max(wrong, key=lambda mark: counts[mark][0])  # one that stands there, rather than one that lacks
    places, there = counts[mark]
    return f"{_counted(places, f'place {mark}')}, and {_counted(there, NAMES[mark]) if there else f'no {NAMES[mark]}'}"


def _counted(number: int, name: str) -> str:
    """Return a number with its noun, in the plural where needed: "1 clip", "3 places <image>"."""
    first, *rest = name.split()
    return " ".join((str(number), first if number == 1 else f"{first}s", *rest))


REMEDY = f"one {IMAGE_MARK} for each picture and one {VIDEO_MARK} for each clip, or no mark for all in front"


def placed(marks: Sequence[str], given: Sequence[Media | None], rest: Sequence[Media]) -> tuple[Media, ...]:
    """Return the media in the order of their marks. Marks and media have to fit (see `misfit`).

    given: for each mark the medium that stands there, or None to take the next one of the mark's kind from `rest`.
    """
    queues = {mark: iter([m for m in rest if m.kind == kind]) for mark, kind in KINDS.items()}
    return tuple(own or next(queues[mark]) for mark, own in zip(marks, given, strict=True))


def without_leading(text: str) -> str:
    """Return a text without the marks that it begins with; unchanged where other marks follow these."""
    rest = text[_LEADING.match(text).end() :]  # type: ignore[union-attr]
    return text if MARK.search(rest) else rest


def split(text: str) -> Iterator[str]:
    """Yield the marks of a text and the texts between them, in order, without empty ones."""
    return (part for part in re.split(f"({MARK.pattern})", text) if part)


def user_texts(example: Example, text: str) -> list[str]:
    """Return the texts whose marks count: those of the user's earlier turns, then `text`, the question."""
    return [*(turn.text for turn in example.turns if turn.role == "user"), text]
