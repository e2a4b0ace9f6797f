"""Published questions with known evidence (`ral.data.grounded`), as benchmarks that also measure where answers look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ral.evaluation.benchmarks.items import Item, ScoredItem, accuracy
from ral.evaluation.benchmarks.own import OwnItems
from ral.types import Example


class GroundedItems(OwnItems):
    """The examples of a dataset with evidence as items. The group of an item is the part of its uid before "/".

    facts: {"cut": number of its boxes or time spans that were clipped at an edge}.
    """

    def item(self, at: int) -> Item:
        """Return the item at a position, from 0. Errors are those of `OwnItems.item`."""
        found = super().item(at)
        cut = sum(evidence.cut for evidence in found.example.evidence)
        return replace(found, group=found.example.uid.split("/")[0], facts={"cut": cut})


def load(path: str | Path, *, read: Callable[[str | Path], Sequence[Example]]) -> GroundedItems:
    """Return the items of a dataset. read: the loader that opens it at `path`."""
    return GroundedItems({Path(path).name: read(path)})


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy, and "cut": the number of items whose evidence was clipped at an edge."""
    return {**accuracy(records), "cut": float(sum(bool(record.facts.get("cut")) for record in records))}
