"""The records of finished stages (done.json in their folders), and whether a record fits the stage's present inputs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ral.report.environment import git_commit
from ral.study.paper.graph import BASE, TRAIN, Graph, Stage
from ral.study.plan import DONE
from ral.study.processes import mark

NEW, BEGUN, DONE_STATE = "not begun", "begun", "done"
"""States of a stage."""
WORDS = {"begins": "start", "data": "folder of data", "teacher": "teacher"}
"""{key of done.json: its name in messages}"""


def record_of(stage: Stage) -> dict[str, Any] | None:
    """Return the content of a stage's done.json; None where the stage is not finished."""
    path = stage.folder / DONE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def state_of(stage: Stage) -> str:
    """Return the state of a stage: "done", "begun" or "not begun"."""
    if record_of(stage) is not None:
        return DONE_STATE
    return BEGUN if stage.folder.is_dir() and any(stage.folder.iterdir()) else NEW


def made_of(stage: Stage, graph: Graph) -> dict[str, Any]:
    """Return a stage's present inputs: settings, the model that it starts from, data or benchmarks, teacher.

    The model of another stage is named by the time when that stage was finished; None where it is not finished.
    """
    begins = graph.places.base if stage.begins == BASE else (record_of(graph.stage(stage.begins)) or {}).get("finished")
    data = graph.places.data / stage.file if stage.program == TRAIN else graph.places.benchmarks
    teacher = {"teacher": graph.places.teacher} if stage.teacher else {}
    return {"settings": list(stage.settings), "begins": {stage.begins: begins}, "data": str(data), **teacher}


def write_record(stage: Stage, graph: Graph, seconds: float) -> None:
    """Write done.json into a stage's folder. seconds: duration of the process that finished the stage."""
    facts = {
        "finished": datetime.now().astimezone().isoformat(),
        "seconds": round(seconds, 1),
        "commit": git_commit(),
        **made_of(stage, graph),
    }
    mark(stage.folder / DONE, facts)


def stale(stages: Sequence[Stage], graph: Graph) -> list[str]:
    """Return a line for each finished stage that was made with other inputs than the present ones."""
    lines = []
    for stage in stages:
        record = record_of(stage)
        now = made_of(stage, graph)
        different = [key for key in now if record is not None and record.get(key) != now[key]]
        if record is not None and different:
            lines.append(_difference(stage, different[0], record.get(different[0]), now[different[0]]))
    return lines


def _difference(stage: Stage, key: str, before: Any, now: Any) -> str:
    if isinstance(before, list) and isinstance(now, list):
        parts = {"with": [v for v in before if v not in now], "without": [v for v in now if v not in before]}
        how = " and ".join(f"{word} {' '.join(own)}" for word, own in parts.items() if own) or "in another order"
    else:
        how = f"of another {WORDS[key]} ({before}, and now {now})"
    write = f"remove the folder {stage.folder} to make it anew, or write output=<another folder>"
    return f"{stage.name} is done, but was made {how}; {write}"
