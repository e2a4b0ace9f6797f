"""TempCompass (Liu et al. 2024, arXiv 2403.00476): speed, direction, order and change in videos, in four forms of task.

Dataset lmms-eval/TempCompass, split test of the configurations multi-choice, yes_no and caption_matching. The fourth
form, captioning, is judged by a language model and left out. Prompts are lmms-eval's. A response that matches none of
the authors' rules is wrong here; the authors ask a language model there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks import choice
from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import final
from ral.evaluation.benchmarks.folder import Items, Joined, rows
from ral.evaluation.benchmarks.items import Item, Judged, ScoredItem, mean
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example

EXPECTED = "lmms-eval/TempCompass: folders multi-choice, yes_no, caption_matching with test-*.parquet, and videos/"
COLUMNS = ("video_id", "question", "answer", "dim")
INSTRUCTIONS = {
    "multi-choice": "\nPlease directly give the best option:",
    "yes_no": "\nPlease answer yes or no:",
    "caption_matching": "\nPlease directly give the best option:",
}
_LETTERED = re.compile(r"^([A-H])\.\s*(.+)$", re.MULTILINE)
_NAMED = re.compile(r"^(?:Sentence|Option|Caption) (\w+): ?(.*)$", re.MULTILINE)


def load(path: str | Path, tasks: Sequence[str] = tuple(INSTRUCTIONS)) -> Sequence[Item]:
    """Return the items, task by task; group: the aspect (action, speed, ...); facts: the task.

    path: the downloaded folder. UserError where the folder has another layout.
    """
    parts = [
        [{**row, "task": task, "number": n} for n, row in enumerate(rows(path, "test", task, EXPECTED, COLUMNS))]
        for task in tasks
    ]
    clips = Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        kinds = {"yes_no": "free-form"}
        example = Example(
            uid=f"{row['task']}/{row['number']}",
            question=row["question"] + INSTRUCTIONS[row["task"]],
            answer=row["answer"],
            problem_type=kinds.get(row["task"], "multiple choice"),
            media=(clips.named(str(row["video_id"])),),
            options=tuple(f"{name}. {text}" for name, text in _LETTERED.findall(row["question"])),
        )
        return Item(example, group=row["dim"], facts={"task": row["task"]})

    return Items(Joined(parts), item)


def judge(item: Item, response: str) -> Judged:
    """Return score 1 for the right answer by the rule of the item's task, else 0.

    multi-choice: the letter. yes_no: yes or no at the beginning. caption_matching: the sentence (see `sentence`).
    """
    task, text = item.facts["task"], final(response)
    if task == "multi-choice":
        return choice.judge(item, response)
    if task == "yes_no":
        word = next((w for w in ("yes", "no") if text.lower().startswith(w)), "")
        return Judged(word, float(word != "" and word == item.example.answer.lower()))
    named = sentence(item.example.question, text)
    return Judged(named, float(named != "" and named == sentence(item.example.question, item.example.answer)))


def sentence(question: str, text: str) -> str:
    """Return the name ("A", "1") of the question's sentence that `text` names; "" for none.

    `text` may be the sentence's line, its own words, or its name ("A", "Sentence A").
    """
    line = " ".join(text.split()).strip().rstrip(".")
    for name, own in _NAMED.findall(question):
        own = " ".join(own.split()).rstrip(".")
        whole = [f"{kind}{name}" for kind in ("", "Sentence ", "Option ", "Caption ")]
        forms = {own, *whole, *(f"{w}: {own}" for w in whole), f"{name}) {own}", f"({name}) {own}", f"{name}. {own}"}
        if line in forms or line.casefold() in {f.casefold() for f in forms if len(f) > 1}:
            return str(name)
    return ""


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy over all questions, that of each task, and that of each aspect."""
    by_task = means(records, lambda r: str(r.facts["task"]))
    return {"accuracy": mean([r.score for r in records]), **by_task, **means(records, lambda r: r.group)}
