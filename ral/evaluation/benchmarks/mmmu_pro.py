"""MMMU-Pro (Yue et al. 2024, arXiv 2409.02813): college questions with up to ten options, also as screenshots.

Dataset MMMU/MMMU_Pro, configurations "standard (10 options)" and "vision", 1,730 questions each. `options` is the text
of a Python list, lettered in its order. In "standard" the text keeps its "<image 1>"; the images that it names come
before it, in order of number. In "vision" question and options are in the image, and the text is the instruction alone.
A response that names no letter is wrong; the authors' code guesses at random there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import CACHE, Items, Joined, picture, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.types import Example, UserError

STANDARD, VISION = "standard (10 options)", "vision"
COLUMNS = ("id", "options", "answer", "subject")
INSTRUCTION = "Answer with the option letter from the given choices directly."


def load(path: str | Path, subsets: Sequence[str] = (STANDARD, VISION), cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items of all subsets, one subset after another; group: the subject; facts: the subset.

    path: the downloaded folder. cache: folder for images. UserError where it has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = lettered(_options(path, row))
        subset = "standard" if "question" in row else VISION
        text = "\n".join((row["question"], *options, "", INSTRUCTION)) if "question" in row else INSTRUCTION
        names = sorted({f"image_{k}" for k in re.findall(r"<image (\d)>", text)}) if "question" in row else ["image"]
        example = Example(
            uid=f"{subset}/{row['id']}",
            question=text,
            answer=row["answer"],
            problem_type="multiple choice",
            media=tuple(picture(row[name], cache) for name in names),
            options=options,
        )
        return Item(example, group=row["subject"], facts={"subset": subset})

    expected = "MMMU/MMMU_Pro: 'standard (10 options)'/test-*.parquet and vision/test-*.parquet"
    images = {VISION: ("image",)}
    parts = [rows(path, "test", s, expected, (*COLUMNS, *images.get(s, ("question", "image_1")))) for s in subsets]
    return Items(Joined(parts), item)


def _options(path: str | Path, row: Mapping[str, Any]) -> list[str]:
    """Return the options of a row, published as the text of a Python list."""
    try:
        return [str(option) for option in ast.literal_eval(row["options"])]
    except (ValueError, SyntaxError, TypeError) as error:
        write = "fetch the dataset again"
        raise UserError(f"{path}: '{row['id']}': options {row['options']!r} are no list in text; {write}") from error


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy (the mean over subsets, as the authors' overall score) and the accuracy of each subset."""
    parts = means(records, lambda r: str(r.facts["subset"]))
    return {"accuracy": mean(list(parts.values())), **parts}
