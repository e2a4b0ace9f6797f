"""Records of responses to held-out prompts: collected from all ranks, written as JSON lines, averaged to metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.looks import MEASURES
from ral.learner.ranks import gather

MEANS = ("reward", "accuracy", "format", *MEASURES, "grounding_answer", "tokens", "finished")
"""Fields of a record whose means are logged as metrics."""


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records as JSON lines to `path`, which appears only when the file is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    aside.replace(path)


def gather_records(mine: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of all ranks in the order of the prompts. Every rank must call this function.

    mine: this rank's records. Rank r of R had every R-th prompt, from number r on.
    """
    everyone = gather(mine)
    longest = max(len(records) for records in everyone)
    return [records[i] for i in range(longest) for records in everyone if i < len(records)]


def evaluation_means(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the metrics eval/*: means of MEANS, accuracies by problem type and by medium, and the number of records.

    A mean is over the records that have the field, and is left out where no record has it.
    """

    def mean(key: str, chosen: Sequence[Mapping[str, Any]]) -> float | None:
        values = [float(r[key]) for r in chosen if r.get(key) is not None]
        return sum(values) / len(values) if values else None

    means = {f"eval/{k}": mean(k, records) for k in MEANS}
    for field in ("problem_type", "data_type"):
        for value in sorted({r[field] for r in records}):
            chosen = [r for r in records if r[field] == value]
            means[f"eval/accuracy_{value.replace(' ', '_').replace('-', '_').lower()}"] = mean("accuracy", chosen)
    found = {k: v for k, v in means.items() if v is not None} | layer_means(records)
    return found | {"eval/prompts": float(len(records))}


def layer_means(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return {eval/<measure>_layer_<k>: mean}, k from 0, of the records with measures by layer (eval.layers=all).

    {} where no record has them.
    """
    means: dict[str, float] = {}
    for name in MEASURES:
        columns = zip(*(found for r in records if (found := r.get(f"{name}_by_layer"))), strict=True)
        means |= {f"eval/{name}_layer_{k}": sum(values) / len(values) for k, values in enumerate(columns)}
    return means
