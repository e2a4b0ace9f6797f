"""V* (Wu and Xie 2023, arXiv 2312.14135): 191 questions about small details of large images.

Dataset lmms-lab-encoder/vstar-bench. Its column `text` holds question and options, as in "... (A) red (B) blue"; here
each option has a line, "A. red", as in lmms-eval 0.7. An instruction at the end of `text` is not repeated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import CACHE, Items, picture, rows
from ral.evaluation.benchmarks.items import Item
from ral.types import Example

EXPECTED = "lmms-lab-encoder/vstar-bench: data/test-00000-of-00001.parquet"
COLUMNS = ("image", "text", "category", "label", "question_id")
INSTRUCTION = "Answer with the option's letter from the given choices directly."


def load(path: str | Path, cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items; group: direct_attributes or relative_position. path: the downloaded folder.

    cache: folder for images. UserError where the folder has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        text = row["text"].strip().removesuffix(INSTRUCTION)
        question, *rest = (part.strip() for part in re.split(r"\(([A-D])\)", text))
        options = lettered(rest[1::2])
        example = Example(
            uid=f"{row['category']}/{row['question_id']}/{n}",
            question="\n".join((question, *options, INSTRUCTION)),
            answer=row["label"],
            problem_type="multiple choice",
            media=(picture(row["image"], cache),),
            options=options,
        )
        return Item(example, group=row["category"])

    return Items(rows(path, "test", expected=EXPECTED, columns=COLUMNS), item)
