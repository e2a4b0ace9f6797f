"""MME (Fu et al. 2023, arXiv 2306.13394): 14 subtasks of yes-or-no questions, two on each image, scored in points.

Dataset lmms-lab-encoder/MME, 2,374 questions. A subtask has at most 200 points: accuracy over questions plus accuracy+
over images (share with both questions right), each in percent. Ten subtasks make perception (at most 2000 points), four
make cognition (800).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.choice import final
from ral.evaluation.benchmarks.folder import CACHE, Items, picture, rows
from ral.evaluation.benchmarks.items import Item, Judged, ScoredItem, mean
from ral.types import Example

EXPECTED = "lmms-lab-encoder/MME: data/test-*.parquet"
COLUMNS = ("question_id", "image", "question", "answer", "category")
PUBLISHED = " Please answer yes or no."  # stands in the dataset; lmms-eval puts INSTRUCTION in its place
INSTRUCTION = "\nAnswer the question using a single word or phrase."
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


def load(path: str | Path, cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items; group: the subtask; facts: the image that two questions share. path: the downloaded folder.

    cache: folder for images. UserError where the folder has another layout.
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        example = Example(
            uid=f"{row['question_id']}/{n}",
            question=row["question"].strip().replace(PUBLISHED, "") + INSTRUCTION,
            answer=row["answer"],
            problem_type="free-form",
            media=(picture(row["image"], cache),),
        )
        return Item(example, group=row["category"], facts={"picture": row["question_id"]})

    return Items(rows(path, "test", expected=EXPECTED, columns=COLUMNS), item)


def said(text: str) -> str:
    """Return "yes", "no" or "" for neither, as the authors' evaluation reads a text.

    "y" and "n" count, and a "yes" or "no" within the first four characters; case and points are ignored.
    """
    text = text.lower().strip().replace(".", "")
    head = {"y": "yes", "n": "no"}.get(text, text[:4])
    return "yes" if "yes" in head else "no" if "no" in head else ""


def judge(item: Item, response: str) -> Judged:
    """Return score 1 for the gold word, yes or no, else 0."""
    word = said(final(response))
    return Judged(word, float(word == item.example.answer.lower().strip().replace(".", "")))


def points(records: Sequence[ScoredItem]) -> float:
    """Return the points of one subtask: 100 * (accuracy + accuracy+), at most 200.

    An image of which only one question was asked (a limit cut the items) counts as wrong in accuracy+.
    """
    pictures: dict[str, list[float]] = defaultdict(list)
    for record in records:
        pictures[str(record.facts["picture"])].append(record.score)
    plus = [float(scores == [1.0, 1.0]) for scores in pictures.values()]
    return 100 * (mean([mean(scores) for scores in pictures.values()]) + mean(plus))


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return "score" (perception plus cognition, as in the paper), both parts, accuracy, and each subtask's points."""
    tasks = {
        group: points([r for r in records if r.group == group]) for group in dict.fromkeys(r.group for r in records)
    }
    cognition = sum(value for name, value in tasks.items() if name in COGNITION)
    total = sum(tasks.values())
    accuracy = mean([r.score for r in records])
    return {"score": total, "perception": total - cognition, "cognition": cognition, "accuracy": accuracy, **tasks}
