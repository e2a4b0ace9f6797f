"""Video-MME (Fu et al. 2024, arXiv 2405.21075): 900 videos of 11 seconds to an hour, three questions each.

Dataset lmms-eval/Video-MME, split test, 2,700 questions with four options. Only the video is shown, since the paper's
figure is the one without subtitles (the prompt speaks of subtitles all the same, as lmms-eval's does).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.folder import Items, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example

EXPECTED = "lmms-eval/Video-MME: videomme/test-*.parquet and the clips, as data/VIDEO_ID.mp4"
COLUMNS = ("videoID", "question_id", "question", "options", "answer", "duration", "domain", "task_type")
OPENING = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
INSTRUCTION = "\nAnswer with the option's letter from the given choices directly."


def load(path: str | Path) -> Sequence[Item]:
    """Return the items; group: short, medium or long; facts: domain and task. path: the downloaded folder.

    UserError where the folder has another layout.
    """
    table, clips = rows(path, "test", None, EXPECTED, COLUMNS), Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = tuple(str(option) for option in row["options"])  # "A. ..." as published
        example = Example(
            uid=str(row["question_id"]),
            question="\n".join((OPENING, row["question"], *options, INSTRUCTION)),
            answer=row["answer"],
            problem_type="multiple choice",
            media=(clips.named(row["videoID"]),),
            options=options,
        )
        return Item(example, group=row["duration"], facts={"domain": row["domain"], "task": row["task_type"]})

    return Items(table, item)


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy over all questions, and that of each duration."""
    return {"accuracy": mean([r.score for r in records]), **means(records, lambda r: r.group)}
