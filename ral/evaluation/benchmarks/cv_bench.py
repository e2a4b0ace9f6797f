"""CV-Bench (Tong et al. 2024, arXiv 2406.16860): 2,638 questions, 2D (count, relation) and 3D (depth, distance).

Dataset nyu-visionx/CV-Bench, split test, test_2d.parquet and test_3d.parquet. Prompt and instruction are lmms-eval's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.blink import instruction
from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import CACHE, Items, picture, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.types import Example

EXPECTED = "nyu-visionx/CV-Bench: test_2d.parquet and test_3d.parquet"
COLUMNS = ("idx", "type", "task", "image", "choices", "answer", "prompt", "source")


def load(path: str | Path, cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items, 2D before 3D; group: the task; facts: 2D or 3D, and the source of the image.

    path: the downloaded folder. cache: folder for images. UserError where the folder has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = lettered(row["choices"])
        example = Example(
            uid=f"{row['type']}/{row['idx']}",
            question=f"{instruction(len(options))}\n{row['prompt']}",
            answer=row["answer"],
            problem_type="multiple choice",
            media=(picture(row["image"], cache),),
            options=options,
        )
        return Item(example, group=row["task"], facts={"type": row["type"], "source": row["source"]})

    return Items(rows(path, "test", expected=EXPECTED, columns=COLUMNS), item)


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return "accuracy", the mean of 2D and 3D; these two; and "overall", the mean over all questions.

    The accuracy of 2D is the mean over its two sources of images, ADE20K and COCO.
    """
    dimensions = dict.fromkeys(str(r.facts["type"]) for r in records)
    parts = {d: _by_source([r for r in records if r.facts["type"] == d]) for d in dimensions}
    return {"accuracy": mean(list(parts.values())), **parts, "overall": mean([r.score for r in records])}


def _by_source(records: Sequence[ScoredItem]) -> float:
    return mean(list(means(records, lambda r: str(r.facts["source"])).values()))
