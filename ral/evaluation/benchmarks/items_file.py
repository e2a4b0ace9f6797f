"""The file items.jsonl: a line for each item, written as answers come, so that an evaluation can be resumed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.items import ScoredItem
from ral.files import jsonl
from ral.types import UserError

SCORER_VERSION = 8  # raise when the same responses get other scores


@dataclass(frozen=True)
class Answered:
    """A line of items.jsonl.

    index: position in the benchmark, from 0. prompt: the whole prompt, as the model reads it. answer: the text
    extracted from the response. gold: the gold answer, or all of them. score: in [0, 1]. seconds: this item's share of
    its batch's time. finished: False where the length limit cut the response. error: why the item was not asked, so
    that it scores 0; None where it was. facts: further values that the summary reads, and the hash of the item. looks:
    grounding, pointing and chance of the response (`ral.evaluation.looked`); None where these are not measured.
    """

    index: int
    uid: str
    group: str
    prompt: str
    response: str
    answer: str
    gold: str | list[str]
    score: float
    seconds: float
    finished: bool
    error: str | None
    facts: Mapping[str, Any]
    looks: Mapping[str, float] | None = None

    def record(self) -> ScoredItem:
        """Return the part of the item that a summary reads."""
        return ScoredItem(self.uid, self.group, self.score, self.facts)


NAMES = [f.name for f in fields(Answered)]


def read(path: Path) -> list[Answered]:
    """Return the items answered so far, sorted by index; [] where there is no file.

    A last line that was cut while written, and items with an error, are left out, and so asked again. UserError for a
    file with lines of another kind.
    """
    lines = jsonl.parse(path.read_bytes()) if path.exists() else ()
    found: dict[int, Answered] = {}
    for line in (line for line in lines if line.ended):  # what follows the last line break was cut while written
        try:
            answered = Answered(**(line.value or {}))
        except TypeError as error:
            problem = f"line {line.number} is no item of an evaluation"
            raise UserError(f"{path}: {problem}; write another output=<folder>") from error
        if answered.error is None:
            found[answered.index] = answered
    return [found[index] for index in sorted(found)]


def rewrite(path: Path, items: Iterable[Answered]) -> None:
    """Replace the file by one with `items` alone."""
    draft = path.with_suffix(".tmp")
    draft.write_text("".join(map(_line, items)), encoding="utf-8")
    draft.replace(path)


def append(path: Path, items: Iterable[Answered]) -> None:
    """Add items to the end of the file, which is closed when this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(map(_line, items))


def by_group(items: Sequence[Answered]) -> dict[str, dict[str, float]]:
    """Return {group: {"accuracy": mean score, "n": number of items}}, groups in alphabetical order."""
    groups: dict[str, list[float]] = defaultdict(list)
    for item in items:
        groups[item.group].append(item.score)
    return {name: {"accuracy": sum(s) / len(s), "n": len(s)} for name, s in sorted(groups.items())}


def check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of an evaluation to `path`, or compare them with those that the file holds already.

    UserError where the file holds other settings; `versions` and `data` may differ.
    """
    settings = json.loads(json.dumps(settings))
    if path.exists():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            there = None
        if not isinstance(there, dict):
            raise UserError(f"{path}: not the settings of an evaluation; write another output=<folder>")
        for key in sorted((there.keys() | settings.keys()) - {"versions", "data"}):
            if there.get(key) != settings.get(key):
                differs = f"{key}={there.get(key)}, and now it is {settings.get(key)}"
                write = "write the same settings to go on with it, or another output=<folder>"
                raise UserError(f"{path.parent}: holds an evaluation with {differs}; {write}")
        return
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _line(item: Answered) -> str:
    return json.dumps(asdict(item), ensure_ascii=False) + "\n"
