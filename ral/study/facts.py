"""Facts that runs of `scripts/reproduce.py` tell: data, thinking, machine, commit, questions, grounding."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from ral.files import jsonl
from ral.study.results import Run, TableResult

PACKAGES = ("python", "torch", "transformers", "lightning", "numpy")
"""Versions that a page names, in order."""


def all_runs(results: Sequence[TableResult]) -> list[Run]:
    """Return every run once."""
    found = {str(run.folder): run for result in results for row in result.rows for run in row.runs.values()}
    return list(found.values())


def config_of(run: Run) -> dict[str, Any]:
    """Return the run's config.yaml."""
    return dict(yaml.safe_load((run.folder / "config.yaml").read_text()))


def data_of(run: Run) -> str:
    """Return the name of the dataset in words, with what the run set of its seed and distractors."""
    source = config_of(run).get("dataset", {}).get("source", {})
    name = str(source.get("_target_", "unknown.source")).split(".")[-2]
    return ", ".join([f"`{name}`", *(f"{key} {source[key]}" for key in ("seed", "distractors") if key in source)])


def thinks(run: Run) -> bool:
    """Tell whether the run asks for thinking."""
    return bool(config_of(run).get("algo", {}).get("thinking", True))


def environment_of(run: Run) -> dict[str, str]:
    """Return the run's environment.json; empty where it has none."""
    path = run.folder / "environment.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def machine(env: Mapping[str, str]) -> str:
    """Return processor and versions, whatever the number of threads; "" where the environment is not known."""
    if not env:
        return ""
    processor, comma, last = env.get("cpu", "unknown").rpartition(", ")
    cpu = processor if comma and last.endswith("threads") else env.get("cpu", "unknown")
    return f"{cpu}; {', '.join(f'{key} {env[key]}' for key in PACKAGES if key in env)}"


def machines(found: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return {machine: runs} of environments, the commonest first; runs that do not tell are left out."""
    return dict(Counter(name for env in found if (name := machine(env))).most_common())


def days(found: Sequence[Mapping[str, str]]) -> str:
    """Return the first and last day of environments; one where they agree, "" where none tells."""
    dates = sorted({env["date"][:10] for env in found if env.get("date")})
    return " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else ""


def commits(results: Sequence[TableResult]) -> dict[str, list[str]]:
    """Return {commit: commands of the runs made at it}, the commonest first."""
    found: dict[str, list[str]] = {}
    for run in all_runs(results):
        found.setdefault(run.commit, []).append(run.command)
    return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))


def records(run: Run) -> list[dict[str, Any]]:
    """Return the run's last evaluation, question by question; empty where there is no file."""
    return jsonl.read(run.folder / "eval" / "after.jsonl")


def question_counts(run: Run) -> dict[str, int]:
    """Return {problem type: questions} of the run's last evaluation, the types named as in metrics."""
    return dict(Counter(str(r["problem_type"]).replace(" ", "_").replace("-", "_").lower() for r in records(run)))


def grounded_share(runs: Iterable[Run]) -> float | None:
    """Return the share of questions that a grounding is known of, over the runs whose records are there; None without
    any.

    An entry without evidence has none.
    """
    known = [r["grounding"] is not None for run in runs for r in records(run) if "grounding" in r]
    return sum(known) / len(known) if known else None
