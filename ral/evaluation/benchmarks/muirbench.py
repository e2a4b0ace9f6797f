"""MuirBench (Wang et al. 2024, arXiv 2406.09411): 2,600 questions on several images each, 12 tasks.

Dataset MUIRBENCH/MUIRBENCH. Text and options say <image> where an image stands. Here all images come first, in their
order, and these placeholders are removed, as lmms-eval does for Qwen-VL: an option that is an image is an empty line
"B. ".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks import choice
from ral.evaluation.benchmarks.folder import CACHE, Items, picture, rows
from ral.evaluation.benchmarks.items import Item, Judged
from ral.types import Example

EXPECTED = "MUIRBENCH/MUIRBENCH: data/test-*.parquet"
COLUMNS = ("idx", "task", "question", "options", "answer", "image_list")
INSTRUCTION = "Answer with the option's letter from the given choices directly."


def load(path: str | Path, cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items; group: the task. path: the downloaded folder. cache: folder for images.

    UserError where the folder has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = choice.lettered(row["options"])
        example = Example(
            uid=str(row["idx"]),
            question="\n".join((row["question"], *options, INSTRUCTION)).replace("<image>", ""),
            answer=row["answer"],
            problem_type="multiple choice",
            media=tuple(picture(value, cache) for value in row["image_list"]),
            options=options,
        )
        return Item(example, group=row["task"])

    return Items(rows(path, "test", expected=EXPECTED, columns=COLUMNS), item)


def judge(item: Item, response: str, strict: bool = True) -> Judged:
    """Return score 1 for the gold letter, else 0.

    strict: whether only "B", "b" or "B. ..." names a letter (as in lmms-eval); else prose is read too.
    """
    if not strict:
        return choice.judge(item, response)
    text = choice.final(response)
    opened = re.match(r"[A-Z](?=\.)", text)
    named = opened[0] if opened else text
    return Judged(named, float(named.upper() == item.example.answer.strip().upper()))
