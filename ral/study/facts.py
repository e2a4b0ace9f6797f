"""Facts of the runs of `scripts/reproduce.py`: data, thinking, machine, commit, questions, grounding."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from ral.files import jsonl
from ral.study.results import Run, TableResult

PACKAGES = ("python", "torch", "transformers", "lightning", "numpy")
"""Software versions that a page names, in this order."""


def all_runs(results: Sequence[TableResult]) -> list[Run]:
    """Return every run of the tables, each once."""
    found = {str(run.folder): run for result in results for row in result.rows for run in row.runs.values()}
    return list(found.values())


def config_of(run: Run) -> dict[str, Any]:
    """Return the content of the run's config.yaml."""
    return dict(yaml.safe_load((run.folder / "config.yaml").read_text()))


def data_of(run: Run) -> str:
    """Return the name of a run's dataset as text, with the seed and number of distractors that the run set."""
    source = config_of(run).get("dataset", {}).get("source", {})
    name = str(source.get("_target_", "unknown.source")).split(".")[-2]
    return ", ".join([f"`{name}`", *(f"{key} {source[key]}" for key in ("seed", "distractors") if key in source)])


def thinks(run: Run) -> bool:
    """Tell whether the run's prompts ask for a think block."""
    return bool(config_of(run).get("algo", {}).get("thinking", True))


def environment_of(run: Run) -> dict[str, str]:
    """Return the content of the run's environment.json; {} where there is no such file."""
    path = run.folder / "environment.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def machine(env: Mapping[str, str]) -> str:
    """Return a machine's processor and software versions as text, without the number of threads; "" for {}.

    env: content of a run's environment.json.
    """
    if not env:
        return ""
    processor, comma, last = env.get("cpu", "unknown").rpartition(", ")
    cpu = processor if comma and last.endswith("threads") else env.get("cpu", "unknown")
    return f"{cpu}; {', '.join(f'{key} {env[key]}' for key in PACKAGES if key in env)}"


def machines(found: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Return {machine as text: number of runs}, the commonest first.

    found: environments of the runs; {} is left out.
    """
    return dict(Counter(name for env in found if (name := machine(env))).most_common())


def days(found: Sequence[Mapping[str, str]]) -> str:
    """Return the first and last day of the runs as text; one day where they are equal, "" where no date is known.

    found: environments of the runs.
    """
    dates = sorted({env["date"][:10] for env in found if env.get("date")})
    return " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else ""


def commits(results: Sequence[TableResult]) -> dict[str, list[str]]:
    """Return {commit: commands of the runs made at it}, the commit with most runs first."""
    found: dict[str, list[str]] = {}
    for run in all_runs(results):
        found.setdefault(run.commit, []).append(run.command)
    return dict(sorted(found.items(), key=lambda pair: -len(pair[1])))


def records(run: Run) -> list[dict[str, Any]]:
    """Return the records of the run's last evaluation, one for each question; [] where the file is missing."""
    return jsonl.read(run.folder / "eval" / "after.jsonl")


def question_counts(run: Run) -> dict[str, int]:
    """Return {problem type: number of questions} of the run's last evaluation. Types are spelled as in metrics."""
    return dict(Counter(str(r["problem_type"]).replace(" ", "_").replace("-", "_").lower() for r in records(run)))


def asked_of(results: Sequence[TableResult]) -> dict[str, int]:
    """Return {dataset as text: number of questions of an evaluation}; 0 where no run has records."""
    found: dict[str, int] = {}
    for runs in (list(row.runs.values()) for result in results for row in result.full):
        name = data_of(runs[0])
        if not found.get(name):
            found[name] = next(filter(None, (sum(question_counts(run).values()) for run in runs)), 0)
    return found


def grounded_share(runs: Iterable[Run]) -> float | None:
    """Return the share in [0, 1] of questions with a grounding, over the records of the runs; None without records.

    An entry without evidence has no grounding.
    """
    known = [r["grounding"] is not None for run in runs for r in records(run) if "grounding" in r]
    return sum(known) / len(known) if known else None
