"""BLINK (Fu et al. 2024, arXiv 2404.12390): 14 subtasks of visual perception that people solve at a glance.

Dataset BLINK-Benchmark/BLINK, split val (the split test has no answers), 1,901 questions on one to four images. The
images come before the text, which speaks of "the first image". Prompt and instruction are lmms-eval's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import CACHE, Items, Joined, picture, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.types import Example

EXPECTED = "BLINK-Benchmark/BLINK: a folder for each subtask, such as Counting/val-00000-of-00001.parquet"
COLUMNS = ("idx", "sub_task", "image_1", "choices", "answer", "prompt")
PICTURES = ("image_1", "image_2", "image_3", "image_4")
INSTRUCTION = "Note: You only need to respond with {} without providing any additional information.\n"
SUBTASKS = (
    "Art_Style",
    "Counting",
    "Forensic_Detection",
    "Functional_Correspondence",
    "IQ_Test",
    "Jigsaw",
    "Multi-view_Reasoning",
    "Object_Localization",
    "Relative_Depth",
    "Relative_Reflectance",
    "Semantic_Correspondence",
    "Spatial_Relation",
    "Visual_Correspondence",
    "Visual_Similarity",
)


def instruction(count: int) -> str:
    """Return the line that lmms-eval puts before a question of BLINK or CV-Bench. count: number of choices."""
    return INSTRUCTION.format(", ".join("ABCDEFGH"[:count]))


def load(path: str | Path, subtasks: Sequence[str] = SUBTASKS, cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items, subtask by subtask; group: the subtask. path: the downloaded folder. cache: folder for images.

    UserError where the folder has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = lettered(row["choices"])
        example = Example(
            uid=row["idx"],
            question=instruction(len(options)) + row["prompt"].replace("<image>", ""),
            answer=row["answer"],
            problem_type="multiple choice",
            media=tuple(picture(row[name], cache) for name in PICTURES if row.get(name) is not None),
            options=options,
        )
        return Item(example, group=row["sub_task"])

    return Items(Joined([rows(path, "val", subtask, EXPECTED, COLUMNS) for subtask in subtasks]), item)


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return "accuracy", the mean over subtasks as the authors report it, and "overall", that over all questions."""
    parts = means(records, lambda r: r.group)
    return {"accuracy": mean(list(parts.values())), "overall": mean([r.score for r in records])}
