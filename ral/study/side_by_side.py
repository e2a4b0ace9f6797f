"""Several evaluations in one table, by problem type, with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ral.files import jsonl, markdown
from ral.files.repository import CONF
from ral.report.summary import bootstrap
from ral.study.statistics import interval
from ral.types import UserError

RESAMPLES = 10_000
OWN = ("checkpoint", "weights", "versions")  # settings in which evaluations of one table may differ
"""Settings in which evaluations of one table may differ."""
PLAIN = ("template", "max_new_tokens", "greedy", "temperature", "seed", "limit", "batch", "dtype")
"""Settings whose name in summary.json is also their key in evaluate.py."""
SAMPLED = ("temperature", "seed")
"""Settings of PLAIN that are null where answers are greedy."""
Scores = Mapping[str, np.ndarray]


def read(folder: Path) -> tuple[Scores, dict[str, object]]:
    """Return an evaluation's {type: scores [n]}, "all" first, and the settings that must be equal in a table.

    n: number of questions of the type. These settings include the numbers of questions. UserError where the folder has
    no finished evaluation.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no summary.json in it; write the output folder of a finished evaluation") from error
    items = {item["index"]: item for item in jsonl.read(folder / "items.jsonl")}  # one asked again has a later line
    scores = {"all": np.array([item["score"] for item in items.values()])}
    for group in sorted({item["group"] for item in items.values()}):
        scores[group] = np.array([item["score"] for item in items.values() if item["group"] == group])
    settings = {key: value for key, value in summary["settings"].items() if key not in OWN}
    return scores, settings | {"items": {name: len(values) for name, values in scores.items()}}


def typed(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return the arguments for evaluate.py that turn an evaluation with settings `here` into one with settings `there`.

    Settings that no key sets, such as the scorer's version, are left out; so are sampling settings that are null.
    """
    task = f"benchmark.tasks.{there.get('benchmark')}"
    path = CONF / "benchmark" / f"{there.get('benchmark')}.yaml"
    task_media = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}).get("media") or {}
    keys = {name: name for name in PLAIN if there.get(name) is not None or name not in SAMPLED}
    keys |= {"path": "benchmark.path", "looks": f"{task}.looks"}
    pairs = [(key, there.get(name), here.get(name)) for name, key in keys.items()]
    for part, above in (("media", "media"), ("source", f"{task}.source")):
        mine, theirs = here.get(part) or {}, there.get(part) or {}
        own = {name: f"{task}.media" for name in task_media} if part == "media" else {}
        pairs += [(f"{own.get(name, above)}.{name}", value, mine.get(name)) for name, value in theirs.items()]
    return [f"{key}={_text(value)}" for key, value, now in pairs if value != now and not isinstance(value, dict)]


def _text(value: object) -> str:
    """Return a value as it is typed on a command line."""
    return value if isinstance(value, str) else json.dumps(value)


def cell(runs: Sequence[np.ndarray]) -> str:
    """Return the mean accuracy with its 95% interval, in percent and within 0 and 100, as text.

    runs: the scores [n] of each evaluation. For one evaluation the interval is a bootstrap over items, for several it
    is Student's t over their means.
    """
    if len(runs) == 1:
        (found,) = bootstrap(runs[0][:, None], RESAMPLES)
        mean, low, high = found.mean, found.low, found.high
    else:
        over = interval([float(run.mean()) for run in runs])
        mean, low, high = over.mean, max(over.low, 0.0), min(over.high, 1.0)
    return f"{100 * mean:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def table(rows: Mapping[str, Sequence[Path]]) -> str:
    """Return the Markdown table of accuracies by problem type. rows: {name: folders of evaluations}.

    UserError where the settings of evaluations differ, or a folder has no finished evaluation.
    """
    found = {name: [read(folder) for folder in folders] for name, folders in rows.items()}
    (first, settings), *_ = next(iter(found.values()))
    for name, runs in found.items():
        for (_, other), folder in zip(runs, rows[name], strict=True):
            if different := [key for key in settings if settings[key] != other.get(key)]:
                key, way = different[0], " ".join(typed(settings, other))
                differs = f"{folder}: {key} is {other.get(key)}, but {settings[key]} in the first evaluation"
                raise UserError(f"{differs}: evaluate again with {way} and another output" if way else differs)
    head = ["", "runs", *(f"{kind} (n={len(values)})" for kind, values in first.items())]
    lines = [
        [name, str(len(runs)), *(cell([scores[kind] for scores, _ in runs]) for kind in first)]
        for name, runs in found.items()
    ]
    return markdown.table(head, lines)
