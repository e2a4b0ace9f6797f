"""LVBench (Wang et al. 2024, arXiv 2406.08035): 1,549 questions on 103 videos of more than half an hour.

Dataset lmms-eval/LVBench, split train, four options. Options in a column of their own are added to the question as "(A)
..."; options that the question already holds are read from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.folder import Items, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example

EXPECTED = "lmms-eval/LVBench: data/train-*.parquet and the clips"
COLUMNS = ("uid", "video_path", "question", "answer", "question_type")
INSTRUCTION = "\nAnswer the question with the option letter"
_SHOWN = re.compile(r"^\s*\(([A-H])\)\s*(.+?)\s*$", re.MULTILINE)


def load(path: str | Path) -> Sequence[Item]:
    """Return the items; group: the first of the question's types; facts: all of its types. path: the downloaded folder.

    UserError where the folder has another layout.
    """
    table, clips = rows(path, "train", None, EXPECTED, COLUMNS), Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        given = [f"({letter}) {option}" for letter, option in zip("ABCDEFGH", row.get("options") or (), strict=False)]
        question = "\n".join((row["question"], *given))
        kinds = row["question_type"] if isinstance(row["question_type"], list) else [row["question_type"]]
        example = Example(
            uid=str(row["uid"]),
            question=question + INSTRUCTION,
            answer=row["answer"],
            problem_type="multiple choice",
            media=(clips.named(Path(row["video_path"]).name),),
            options=tuple(f"{letter}. {text}" for letter, text in _SHOWN.findall(question)),
        )
        return Item(example, group=str(kinds[0]) if kinds else "", facts={"types": kinds})

    return Items(table, item)


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy over all questions, and that of each type. A question counts for each of its types."""
    kinds = sorted({kind for r in records for kind in r.facts["types"]})
    by_type = {kind: mean([r.score for r in records if kind in r.facts["types"]]) for kind in kinds}
    return {"accuracy": mean([r.score for r in records]), **by_type}
