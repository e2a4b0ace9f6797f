"""Answers of a begun evaluation whose benchmark has changed under the same path: those of unchanged items stay."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ral.data.bad import BadSample
from ral.evaluation.benchmarks import items_file
from ral.evaluation.benchmarks.items import Item
from ral.files.contents import data_content
from ral.files.first_answer import SETTINGS
from ral.files.hashed import text_hash
from ral.types import Media

DIGITS = 16
ITEM_HASH = "item_hash"
"""Key of an answer's facts under which the hash of its item stands; answers of earlier versions have none."""


def data_hash(path: str) -> str | None:
    """Return a hash of the benchmark's files at `path`, media aside; None where there are none, and for made data.

    UserError where a file cannot be read.
    """
    content = data_content(path, ("train", "validation", "test"))
    return (
        None if content is None or content.made else text_hash(json.dumps(dict(content.files), sort_keys=True))[:DIGITS]
    )


def item_hash(item: Item) -> str:
    """Return a hash of what the prompt, the media and the score of an item follow from, whatever its place and uid."""
    example = item.example
    said = [example.question, example.answer, example.problem_type, *example.options, *item.answers, item.group]
    turns, places = [asdict(turn) for turn in example.turns], [asdict(piece) for piece in example.evidence]
    facts = [item.facts, turns, places, [asdict(step) for step in example.steps], *map(_medium, example.media)]
    return text_hash(json.dumps([said, facts], sort_keys=True, default=str))[:DIGITS]


def _medium(medium: Media) -> dict[str, Any]:
    """Return the facts of a medium: its settings, the name of its file and that file's size."""
    path = Path(medium.path)
    size = path.stat().st_size if path.is_file() else None
    return asdict(replace(medium, path=Path(path.name))) | {"size": size}


def drop_changed(items: Sequence[Item], count: int, path: Path, by_uid: bool) -> str:
    """Leave in the file `path` the answers to items that are unchanged, each at its item's present place.

    count: number of items that are asked. by_uid: whether an answer depends on the item's uid too (it was sampled).
    Return a line that says how many stay and are asked again. UserError as `items_file.read` raises.
    """
    kept = items_file.read(path)
    free: dict[tuple[str | None, str], list[items_file.Answered]] = {}
    for answered in kept:
        free.setdefault((answered.facts.get(ITEM_HASH), answered.uid if by_uid else ""), []).append(answered)
    stay = []
    for index, item in _readable(items, count):
        if same := free.get((item_hash(item), item.example.uid if by_uid else "")):
            stay.append(replace(same.pop(0), index=index, uid=item.example.uid))
    items_file.rewrite(path, stay)
    return (
        f"the benchmark's files have changed since {path} was begun: {len(stay)} of {len(kept)} answers are to items "
        f"that are as they were and stay, {count - len(stay)} items are asked"
    )


def _readable(items: Sequence[Item], count: int) -> Iterable[tuple[int, Item]]:
    """Yield (index, item) of the first `count` items, without those that cannot be read."""
    for index in range(count):
        try:
            yield index, items[index]
        except BadSample:
            continue


def tell_changed(settings: Mapping[str, Any], drop: Callable[[], str], folder: Path) -> None:
    """Call `drop` where the data are not those of the answers in `folder`; print its line, and note the data's hash.

    settings: the present settings; the folder's are compared with them already, but for the data.
    """
    path, now = folder / SETTINGS, settings["data"]
    there = json.loads(path.read_text(encoding="utf-8"))
    before = there.get("data")
    if now is None or now == before:
        return
    older = f"{path} holds no hash of the data, being of an earlier version: whether these changed is not checked"
    print(f"warning: {older if before is None else drop()}", file=sys.stderr, flush=True)
    path.write_text(json.dumps(there | {"data": now}, indent=2) + "\n", encoding="utf-8")
