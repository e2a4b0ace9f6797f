"""LongVideoBench (Wu et al. 2024, arXiv 2407.15754): questions that refer to a moment of videos of up to an hour.

Dataset longvideobench/LongVideoBench, split validation, 1,337 questions with up to five options. Only the video is
shown, not the subtitles that a variant puts between the frames. Prompt and instruction are lmms-eval's. A response that
names no option is wrong; the authors' code guesses at random there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import Items, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example

EXPECTED = "longvideobench/LongVideoBench: validation-*.parquet (or lvb_val.json) and the folder videos/"
COLUMNS = ("id", "video_path", "question", "option0", "correct_choice", "duration_group", "question_category")
INSTRUCTION = "Answer with the option's letter from the given choices directly.\n"
MOST_OPTIONS = 5
NO_OPTION = "N/A"  # fills the columns of a question with fewer options
FILE = "lvb_val.json"


def load(path: str | Path) -> Sequence[Item]:
    """Return the items; group: longest duration of its videos in seconds (15 to 3600); facts: the category.

    path: the downloaded folder. UserError where it has another layout.
    """
    folder = Path(path).expanduser()
    table = rows(folder / FILE if (folder / FILE).is_file() else path, "validation", None, EXPECTED, ("id", "question"))
    clips = Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = lettered(options_of(row))
        example = Example(
            uid=str(row["id"]),
            question="\n".join((row["question"], *options, INSTRUCTION)),
            answer="ABCDE"[int(row["correct_choice"])],
            problem_type="multiple choice",
            media=(clips.named(row["video_path"]),),
            options=options,
        )
        return Item(example, group=str(row["duration_group"]), facts={"category": row["question_category"]})

    return Items(table, item)


def options_of(row: Mapping[str, Any]) -> list[str]:
    """Return the options of a row: its columns option0 to option4, or `candidates` in the authors' JSON file."""
    if "candidates" in row:
        return [str(option) for option in row["candidates"]]
    found = [row.get(f"option{n}") for n in range(MOST_OPTIONS)]
    return [str(option) for option in found if option not in (None, NO_OPTION)]


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy over all questions, and that of each group of durations."""
    return {"accuracy": mean([r.score for r in records]), **means(records, lambda r: f"{r.group} s")}
