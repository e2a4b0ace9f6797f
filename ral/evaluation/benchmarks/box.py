"""Boxes as answers: right where intersection over union with the gold box is at least one half."""

from __future__ import annotations

import re

from ral.evaluation.benchmarks.choice import final
from ral.evaluation.benchmarks.items import Item, Judged
from ral.types import Box

RIGHT = 0.5
"""Least intersection over union of a right box, as in referring expression comprehension (Acc@0.5)."""
_NUMBER = r"(-?\d*\.?\d+)"
_BOX = re.compile(
    rf"{_NUMBER}[\s,;]+{_NUMBER}(?:[\s,;]+|\s*[)\]]\s*,?\s*(?:and|to)?\s*[(\[]\s*){_NUMBER}[\s,;]+{_NUMBER}"
)
_SIDES = (r"x_?(?:1|min)|left", r"y_?(?:1|min)|top", r"x_?(?:2|max)|right", r"y_?(?:2|max)|bottom")
_NAMED = tuple(re.compile(rf"\b(?:{side})[\"']?\s*[=:]\s*{_NUMBER}", re.IGNORECASE) for side in _SIDES)


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes; 0 where a box has no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0) for box in (one, other)]
    return common / (sum(areas) - common) if min(areas) > 0 else 0.0


def boxes(text: str) -> list[tuple[str, ...]]:
    """Return the boxes in a text, each as four numbers as written: left, top, right, bottom.

    A box is four numbers in a row, or two pairs in brackets. A text with neither of these forms may have one box whose
    four sides are named ("x1=0.1, y1=0.1, x2=0.6, y2=0.6").
    """
    named = [side.findall(text) for side in _NAMED]
    alone = [tuple(found[0] for found in named)] if all(len(found) == 1 for found in named) else []
    return _BOX.findall(text) or alone


def judge(item: Item, response: str) -> Judged:
    """Return score 1 where the response's box overlaps the box of the first evidence by RIGHT or more, else 0.

    The response's box is the last one in its answer (`boxes`), in fractions of the image. The score is 0 where the
    answer has no box, or the example no evidence.
    """
    said = boxes(final(response))
    if not said or not item.example.evidence:
        return Judged("", 0.0)
    left, top, right, bottom = (float(number) for number in said[-1])
    score = overlap((left, top, right, bottom), item.example.evidence[0].box) >= RIGHT
    return Judged(", ".join(said[-1]), float(score))
