"""The paper's table from its configuration: plans of its stages, or the runs of its stages and the page of results."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ral.api.job import compose
from ral.config.check import plain
from ral.errors import UserError
from ral.files.repository import CONF
from ral.planning.device import device_of
from ral.planning.graph import disk_gb, table_of, totals
from ral.planning.plan import Plan, plan_of
from ral.study.paper.command import Settings
from ral.study.paper.graph import TRAIN, Asked, Graph, Stage, choose, read_graph
from ral.study.paper.made import make_inputs
from ral.study.paper.make import refuse_failed, run_stages
from ral.study.paper.missing import missing
from ral.study.paper.page import report
from ral.study.paper.records import record_of, stale
from ral.study.processes import alone


def graph_of(settings: Settings) -> Graph:
    """Return the graph of stages for the settings of the command line. UserError for an unknown scale or stage."""
    raw = yaml.safe_load((CONF / "paper.yaml").read_text(encoding="utf-8"))
    places: dict[str, Any] = dict(settings.places)
    for folder in ("data", "benchmarks"):
        places |= {folder: Path(places[folder]).expanduser()} if folder in places else {}
    return read_graph(raw, Asked(settings.scale, settings.folder, settings.seed, more=settings.more, **places))


def plans_of(graph: Graph, stages: Sequence[Stage]) -> dict[str, Plan]:
    """Return {name of stage: plan} of the training stages. UserError where a network's shape is not known.

    A stage that starts from another stage's model is planned with the pretrained one, which has the same shape.
    """
    found = {}
    for stage in (stage for stage in stages if stage.program == TRAIN):
        settings = [f"model.pretrained={graph.places.base}", *stage.names[1:]]
        tree = plain(compose([*stage.settings, *settings], "train").settings)
        found[stage.name] = plan_of(tree, device_of(tree))
    return found


def plan(settings: Settings) -> str:
    """Return the text that plan=true prints: a table of stages, a note on those not planned, and a last line of JSON.

    UserError for an unknown scale or stage, and where a network's shape is not known.
    """
    graph = graph_of(settings)
    stages = choose(graph, settings.stages)
    plans = plans_of(graph, stages)
    left_out = [stage.name for stage in stages if stage.program != TRAIN]
    note = "hours are lower bounds (docs/planning.md); evaluations are not planned: " + (", ".join(left_out) or "none")
    summary = {**totals(plans), "stages": {name: made.summary() for name, made in plans.items()}}
    return f"{table_of(plans)}{note}\n{json.dumps(summary)}"


def make(settings: Settings) -> Path:
    """Run the chosen stages that are not done and write the page of results; return its folder.

    UserError, before any stage runs, for an unknown scale or stage, where something is missing, where a finished stage
    has other inputs now, and where another process makes runs in the folder; and where a stage failed, once the page is
    written.
    """
    graph = graph_of(settings)
    stages = choose(graph, settings.stages)
    if graph.made:
        with alone(graph.places.output):
            make_inputs(graph.places)
    refuse({"stale": stale(stages, graph), "missing": missing(graph, stages, needed_gb(graph, stages))})
    with alone(graph.places.output):
        failed = run_stages(graph, stages, settings.ways)
        folder = report(graph, failed)
    refuse_failed(failed, folder)
    return folder


def needed_gb(graph: Graph, stages: Sequence[Stage]) -> float:
    """Return the disk, in GB, that is needed: the number that the scale names, else that of the plans of open stages.

    stages: the chosen ones, of which those that are done need no more disk.
    """
    todo = [stage for stage in stages if record_of(stage) is None]
    return graph.disk_gb if graph.disk_gb is not None else disk_gb(plans_of(graph, todo))


def refuse(found: Mapping[str, Sequence[str]]) -> None:
    """Print every line of {kind of problem: lines} to stderr, and raise UserError where there is any line."""
    lines = [f"{kind}: {line}" for kind, own in found.items() for line in own]
    for line in lines:
        print(line, file=sys.stderr)
    if lines:
        raise UserError(f"nothing was run: the lines above say what is in the way ({len(lines)})")
