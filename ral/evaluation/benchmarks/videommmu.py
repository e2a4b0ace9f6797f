"""Video-MMMU (Hu et al. 2025, arXiv 2501.13826): questions on 300 lecture videos: what is seen, understood, applied.

Dataset lmms-eval/VideoMMMU, configurations Perception, Comprehension and Adaptation, split test, 300 questions each.
Prompts are lmms-eval's; in Adaptation the image that a question is about is the end of the video. Open questions (a few
of Adaptation) are scored by MMMU's rules (`open_answer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks import choice
from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import final, lettered
from ral.evaluation.benchmarks.folder import Items, Joined, rows
from ral.evaluation.benchmarks.items import Item, Judged, ScoredItem, mean
from ral.evaluation.benchmarks.open_answer import right
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example

EXPECTED = (
    "lmms-eval/VideoMMMU: folders Perception, Comprehension, Adaptation with test-*.parquet, and clips (Science/)"
)
COLUMNS = ("id", "question", "options", "answer", "question_type")
TRACKS = ("Perception", "Comprehension", "Adaptation")
APPLY = (
    "You should watch and learn the video content. Then apply what you learned to answer the following {} question. "
)
APPLY += "The image for this question is at the end of the video.\n"
IGNORE = "\nPlease ignore the Quiz question in last frame of the video."
OPEN = "open"


def load(path: str | Path, tracks: Sequence[str] = TRACKS) -> Sequence[Item]:
    """Return the items, track by track; group: the track; facts: track and subject. path: the downloaded folder.

    UserError where the folder has another layout.
    """
    parts = [[{**row, "track": t} for row in rows(path, "test", t, EXPECTED, COLUMNS)] for t in tracks]
    clips = Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = options_of(row)
        answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
        example = Example(
            uid=f"{row['track']}/{row['id']}",
            question=asked(row, options),
            answer=str(answers[0]),
            problem_type="free-form" if is_open(row) else "multiple choice",
            media=(clips.named(row["id"]),),
            options=() if is_open(row) else options,
        )
        facts = {"track": row["track"], "subject": "_".join(row["id"].split("_")[1:-1])}
        return Item(example, group=row["track"], answers=tuple(map(str, answers)), facts=facts)

    return Items(Joined(parts), item)


def is_open(row: Mapping[str, Any]) -> bool:
    """Tell whether a row's question has no options to choose from."""
    return str(row["question_type"]).lower().startswith(OPEN) or not row["options"]


def options_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row's options with letters, those published or else added here."""
    given = [str(option) for option in row["options"] or ()]
    have = all(option.startswith(f"{letter}.") for letter, option in zip("ABCDEFGHIJ", given, strict=False))
    return tuple(given) if have else lettered(given)


def asked(row: Mapping[str, Any], options: Sequence[str]) -> str:
    """Return the text of the user's turn for a row. options: the row's options, with letters."""
    question = "\n".join((row["question"], *options))
    if row["track"] != "Adaptation":
        return question + IGNORE
    return APPLY.format("open-ended") + row["question"] if is_open(row) else APPLY.format("multi-choice") + question


def judge(item: Item, response: str) -> Judged:
    """Return score 1 for the gold letter, or for a gold answer to an open question; else 0."""
    if item.example.options:
        return choice.judge(item, response)
    text = final(response)
    return Judged(text, float(right(text, item.answers)))


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy (the mean over the tracks, which are equally large) and the accuracy of each track."""
    parts = means(records, lambda r: r.group)
    return {"accuracy": mean(list(parts.values())), **parts}
