"""Numbers and sentences of the page of a run, in plain English."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ral.report.records import Item
from ral.report.summary import Estimate, Row

CATEGORY_NAMES = {
    (True, "fixed"): "fixed by training",
    (True, "broken"): "broken by training",
    (True, "wrong"): "wrong before and after",
    (True, "right"): "right before and after",
    (False, "wrong"): "wrong",
    (False, "right"): "right",
}
FILE_NOTES = {
    "config.yaml": "the resolved config: everything the run was told",
    "environment.json": "versions, machine and command",
    "metrics.jsonl": "one object a logged step",
    "eval": "every evaluated item before and after",
    "bad_samples.jsonl": "entries that were skipped, with the reason",
    "checkpoints": "to resume from",
    "hf": "model and processor for from_pretrained",
    "adapter": "the trained adapter, for peft",
    "wandb": "the W&B run",
    "tensorboard": "metrics for TensorBoard",
    "csv": "metrics as a table",
    "mlruns": "metrics and configuration for MLflow",
    "trackio": "the name of its run in Trackio",
    "profile": "where the time of some steps went",
    "skipped": "batches of steps that were skipped",
    "explore.html": "the attention of the sampled answers, token by token",
    "report.html": "this page",
}


def percent(share: float) -> str:
    """Return a share as text with one decimal: 0.4167 as 41.7%."""
    return f"{100 * share:.1f}%"


def points(change: float) -> str:
    """Return a change of a share in points, as text: 0.3667 as +36.7.

    A loss has a minus sign (U+2212), zero has no sign.
    """
    text = f"{100 * change:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def headline(row: Row | None) -> str:
    """Return the result of the run in one sentence.

    row: the row of all items; None where the model was not evaluated.
    """
    if row is None:
        return "The model was not evaluated, so there is no accuracy to show."
    found, items = row.accuracy, _items(row.n)
    if found.before and found.after and found.change:
        return (
            f"Accuracy went from {percent(found.before.mean)} to {percent(found.after.mean)} on {items}: "
            f"{points(found.change.mean)} points."
        )
    when, known = ("Before", found.before) if found.before else ("After", found.after)
    assert known is not None
    return f"{when} training, accuracy was {percent(known.mean)} on {items}."


def details(row: Row | None) -> str:
    """Return the headline's intervals, whether the change may be chance, and the grounding, as sentences.

    row: the row of all items; None where the model was not evaluated, which gives "".
    """
    if row is None:
        return ""
    change, known = row.accuracy.change, (("before", row.accuracy.before), ("after", row.accuracy.after))
    parts = [f"{when} {_interval(estimate)}" for when, estimate in known if estimate]
    if change:
        parts.append(f"change {points(change.low)} to {points(change.high)} points")
    doubt = "The interval of the change includes zero, so it may be chance. " if _doubtful(change) else ""
    return f"95% bootstrap intervals over items: {', '.join(parts)}. {doubt}{_grounding(row)}"


def verdict(item: Item) -> tuple[str, str]:
    """Return the verdict (sign, words) on an item's response, by its accuracy."""
    return verdict_of(item.scores.accuracy)


def verdict_of(score: float) -> tuple[str, str]:
    """Return the verdict (sign, words) on a score in [0, 1]: right from 1 on, wrong at 0, else its percentage."""
    if score >= 1:
        return "✓", "right"
    return ("✗", "wrong") if score <= 0 else ("≈", f"scores {percent(score)}")


def label(config: Mapping[str, Any], group: str) -> str:
    """Return the short name of a config group: its value as text, its `name`, or the end of its `pretrained` folder.

    "" where the configuration has none of these.
    """
    value = config.get(group)
    if isinstance(value, Mapping):
        value = value.get("name") or Path(str(value.get("pretrained") or "")).name
    return str(value) if value else ""


def progress_note(config: Mapping[str, Any], metrics: tuple[Mapping[str, Any], ...]) -> str | None:
    """Return a sentence where the run stopped before its last step; None where it did not, or where that is unknown.

    config: the run's configuration as plain values. metrics: lines of its metrics.jsonl.
    """
    wanted, steps = config.get("max_steps"), [row["step"] for row in metrics if isinstance(row.get("step"), int)]
    if not isinstance(wanted, int) or not steps or max(steps) >= wanted:
        return None
    return f"The run stopped early: the last logged step is {max(steps)} of {wanted}."


def size(count: int) -> str:
    """Return a number of bytes as text in a fitting unit: 512 B, 12.3 kB, 4.0 MB."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def seconds(value: float) -> str:
    """Return seconds as text with at most two decimals and no trailing zeros: 1.0 as 1, 0.25 as 0.25."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _items(n: int) -> str:
    return f"{n} evaluation item" + ("" if n == 1 else "s")


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.low:.1f} to {percent(estimate.high)}"


def _doubtful(change: Estimate | None) -> bool:
    return change is not None and change.mean != 0 and change.low <= 0 <= change.high


def _grounding(row: Row) -> str:
    before, after = row.grounding.before, row.grounding.after
    if before is not None and after is not None:
        return (
            "The share of the attention to the picture that falls on the evidence, where the response looks hardest, "
            f"went from {percent(before)} to {percent(after)}."
        )
    known = before if before is not None else after
    if known is None:
        return ""
    return f"Where the response looks hardest, {percent(known)} of its attention to the picture falls on the evidence."
