"""ChartQA (Masry et al. 2022, arXiv 2203.10244): 2,500 questions about charts, half by people, half by a machine.

Dataset lmms-lab-encoder/ChartQA. Scored by relaxed accuracy: a number may be off by 5% of the gold number; any other
text has to equal the gold text but for case. "12%" is 0.12. A gold 0 is met by the same text alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.choice import final
from ral.evaluation.benchmarks.folder import CACHE, Items, picture, rows
from ral.evaluation.benchmarks.items import Item, Judged
from ral.types import Example

EXPECTED = "lmms-lab-encoder/ChartQA: data/test-*.parquet"
COLUMNS = ("type", "question", "answer", "image")
INSTRUCTION = "\nAnswer the question with a single word."
TOLERANCE = 0.05  # of the gold number


def load(path: str | Path, cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items; group: human or augmented. path: the downloaded folder. cache: folder for images.

    UserError where the folder has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        group = row["type"].removesuffix("_test")
        question = row["question"] + INSTRUCTION
        media = (picture(row["image"], cache),)
        return Item(Example(f"{group}/{n}", question, row["answer"], "free-form", media), group=group)

    return Items(rows(path, "test", expected=EXPECTED, columns=COLUMNS), item)


def _number(text: str) -> float | None:
    """Return the number in a text, a percentage as a fraction; None for other text."""
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed(answer: str, gold: str) -> bool:
    """Tell whether an answer is within TOLERANCE of the gold number, or equals the gold text but for case.

    Texts are compared where one of the two is no number, or the gold number is 0.
    """
    said, true = _number(answer), _number(gold)
    if said is None or not true:
        return answer.lower() == gold.lower()
    return abs(said - true) / abs(true) <= TOLERANCE


def judge(item: Item, response: str) -> Judged:
    """Return score 1 where the answer is right by `relaxed`, else 0."""
    answer = final(response)
    return Judged(answer, float(relaxed(answer, item.example.answer)))
