"""Plans (ral.planning) against runs on this machine: peak memory of each rank, memory at load, seconds of a step.

The model is random, of some 25 million weights; runs are fp32, on CPU processes of one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from ral.benches.work import QUESTION
from ral.config.check import plain
from ral.errors import UserError
from ral.files import jsonl
from ral.files.markdown import table
from ral.files.repository import CONF, ROOT, SHIPPED, find
from ral.models.fresh import write_model
from ral.models.recipe import Sizes
from ral.planning.calibration import MEASURED, calibrated, numbers
from ral.planning.device import Device, device_of
from ral.planning.host import loaded
from ral.planning.memory import GB
from ral.planning.plan import Plan, plan_of

MIDDLE = Sizes(hidden=512, layers=8, heads=8, kv_heads=2, mlp=1408, vision_hidden=128, vision_depth=2, vision_heads=4)
"""Some 25 million weights."""
COMMON = (
    *("eval.every=0", "eval.before=false", "eval.prompts=1", "diagnostics.gradients=false"),
    *("checkpoint.every=0", "checkpoint.best=null", "hardware.threads=1", "hardware.num_workers=0"),
    *("dataset.source.clip_share=0", "algo.updates_per_rollout=2", "algo.group_size=4"),
    "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
)
PAIR = ("algo.prompts_per_step=2", "dataset.max_new_tokens=48")
OF_TWO = ("hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.devices=2")
FOUR = ("algo=grpo", "algo.prompts_per_step=4", "dataset.max_new_tokens=48", *OF_TWO)
RUNS: Mapping[str, tuple[str, ...]] = {
    "full": ("algo=grpo", *PAIR),
    "lora": ("algo=grpo", *PAIR, "lora.rank=16"),
    "checkpointing": ("algo=ral", *PAIR, "hardware.gradient_checkpointing=true"),
    "distillation": ("algo=ral_distill", *PAIR),
    "long prompt": ("algo=ral", "dataset.max_new_tokens=32", "algo.prompts_per_step=1", "dataset.source.grid=32"),
    "2 ranks, ddp": (*FOUR, "hardware=ddp"),
    "2 ranks, fsdp": (*FOUR, "hardware=fsdp"),
}
"""Overrides of train.py by the name of a run."""
CALIBRATION = "full"
"""The run by whose seconds the numbers of the machine are set for the others."""
SMALL = ("dataset.max_new_tokens=6", "max_steps=1")
KINDS = ("memory", "time")
"""What is measured."""
GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Settings with which glibc returns what is freed at once, so that resident memory is that of live tensors."""
TIMEOUT = 900
"""Seconds that a run may take."""
POLL = 0.2
"""Seconds between two looks at the processes of a run."""


def models(output: Path) -> tuple[str, str]:
    """Return the folders of the random model, written if it is not there, and of a small one."""
    folder = output / "plan_model"
    if not (folder / "video_preprocessor_config.json").is_file():
        write_model(folder, [QUESTION, "user assistant 0 1 2 3"], sizes=MIDDLE, seed=3, vocab_size=300)
    return str(folder.absolute()), find(SHIPPED)


def overrides_of(name: str, model: str, data: Path, steps: int) -> list[str]:
    """Return the overrides of a run of RUNS with this model."""
    own = (f"model.pretrained={model}", f"model.teacher={model}", f"dataset.path={data.absolute()}")
    return [*own, *COMMON, *RUNS[name], f"max_steps={steps}", "overwrite=true"]


def planned(overrides: Sequence[str], device: Device | None = None) -> Plan:
    """Return the plan of a run. device: None for the one that its configuration names."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        tree = plain(compose("train", [*overrides, "planning.text_tokens=40"]))
    return plan_of(tree, device or device_of(tree))


def run(folder: Path, spec: Mapping[str, Any], ranks: int, more: Mapping[str, str]) -> list[dict[str, Any]]:
    """Make a run in `ranks` processes of one thread each; return what each wrote. UserError where one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ral.benches.plan_worker", json.dumps({**spec, "folder": str(folder)})]
    kept = {key: value for key, value in os.environ.items() if key != "RAL_RUN_FOLDER"}
    kept |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), **more}
    port = free_port()
    with ExitStack() as stack:
        logs = [stack.enter_context((folder / f"rank_{rank}.log").open("w+")) for rank in range(ranks)]
        processes = [
            subprocess.Popen(command, env=kept | of_rank(rank, ranks, port), stdout=log, stderr=subprocess.STDOUT)
            for rank, log in enumerate(logs)
        ]
        codes = ended(processes)
    for rank in sorted(range(ranks), key=lambda rank: codes[rank] < 0):  # one that failed before those that it took along
        if codes[rank]:
            words = (folder / f"rank_{rank}.log").read_text().strip().splitlines() or ["nothing"]
            raise UserError(f"rank {rank} of {ranks} ended; its last words: {words[-1]} (all: {folder}/rank_{rank}.log)")
    return [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(ranks)]


def ended(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Return the exit codes of processes when all have ended; where one fails, or TIMEOUT is over, end the others."""
    until = time.monotonic() + TIMEOUT
    while any(process.poll() is None for process in processes):
        if time.monotonic() > until or any(process.poll() for process in processes):
            for process in processes:
                process.kill()
        time.sleep(POLL)
    return [process.returncode for process in processes]


def of_rank(rank: int, ranks: int, port: int) -> dict[str, str]:
    """Return the environment by which a process is one of several, as Lightning sets it; {} for the only one."""
    if ranks == 1:
        return {}
    own = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in own.items()}


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def folder_of(output: Path, kind: str, name: str) -> Path:
    """Return the folder of one measurement."""
    return output / f"plan_{kind}_{name.replace(', ', '_').replace(' ', '_')}"


def ranks_of(plan: Plan) -> int:
    """Return the number of processes of a plan."""
    return plan.networks.work.ranks.count


def memory(name: str, output: Path) -> dict[str, Any]:
    """Return planned and measured memory of one step of a run on each rank, beyond that of the bare process."""
    model, small = models(output)
    overrides = overrides_of(name, model, output / "plan_data", steps=1)
    plan = planned(overrides)
    least = [*overrides, f"model.pretrained={small}", f"model.teacher={small}", *SMALL]
    spec = {"small": least, "run": overrides}
    said = run(folder_of(output, "memory", name), spec, ranks_of(plan), GIVES_BACK)
    peaks, loads = ([rank[key] - rank["before"] for rank in said] for key in ("peak", "load"))
    return {
        "memory": against(plan.peak.total / GB, peaks) | {"phase": plan.peak.name},
        "load": against(loaded(plan.networks) / GB, loads),
    }


def against(planned_gb: float, ranks: Sequence[float]) -> dict[str, Any]:
    """Return planned and measured GB, and planned over the most of any rank."""
    measured_gb = [round(value, 4) for value in ranks]
    return {"planned_gb": round(planned_gb, 4), "measured_gb": measured_gb, "ratio": round(planned_gb / max(ranks), 3)}


def seconds(name: str, output: Path, repeats: int) -> dict[str, float]:
    """Return the median seconds of a step of a run and of its phases, {phase: s}; the first step does not count."""
    model, _ = models(output)
    overrides = overrides_of(name, model, output / "plan_data", repeats + 1)
    folder = folder_of(output, "time", name)
    run(folder, {"run": overrides}, ranks_of(planned(overrides)), {})
    lines = [line for line in jsonl.read(folder / "run" / "metrics.jsonl") if "time/step_s" in line][1:]
    names = sorted({key for line in lines for key in line if key.startswith("time/")})
    return {key.removeprefix("time/"): statistics.median(line.get(key, 0.0) for line in lines) for key in names}


def time_of(name: str, output: Path, taken: Mapping[str, float], device: Device) -> dict[str, Any]:
    """Return planned and measured seconds of a step of a run, and those of its phases. taken: of `seconds`."""
    model, _ = models(output)
    plan = planned(overrides_of(name, model, output / "plan_data", steps=1), device)
    phases = {
        part.name: {"planned_s": round(part.seconds, 4), "bound": part.bound, "measured_s": taken[MEASURED[part.name]]}
        for part in plan.step
    }
    step = taken["step_s"]
    ratio = round(plan.step_s / step, 3)
    return {"time": {"planned_s": round(plan.step_s, 4), "measured_s": step, "ratio": ratio, "phases": phases}}


def measured(given: argparse.Namespace, progress: Callable[[], object]) -> dict[str, Any]:
    """Return {"runs": {name: figures by kind}}, and the calibrated numbers of the machine where time is measured."""
    found: dict[str, dict[str, Any]] = {name: {} for name in given.runs}
    for name in given.runs if "memory" in given.kinds else ():
        found[name] |= memory(name, given.output)
        progress()
    if "time" not in given.kinds:
        return {"runs": found}
    taken: dict[str, Mapping[str, float]] = {}
    for name in dict.fromkeys((CALIBRATION, *given.runs)):
        taken[name] = seconds(name, given.output, given.repeats)
        progress()
    model, _ = models(given.output)
    first = planned(overrides_of(CALIBRATION, model, given.output / "plan_data", steps=1))
    device = calibrated(first, taken[CALIBRATION])
    for name in given.runs:
        found[name] |= time_of(name, given.output, taken[name], device)
    return {"runs": found, "calibrated": numbers(device)}


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures of runs, {name: facts}, as Markdown tables, one for each kind that was measured."""
    heads = {
        "memory": ("run", "planned, GB", "measured on each rank, GB", "planned / measured"),
        "load": ("run", "planned at load, GB", "measured on each rank, GB", "planned / measured"),
        "time": ("run", "planned, s a step", "measured, s a step", "planned / measured"),
    }
    parts = []
    for kind, head in heads.items():
        rows = [(name, *cells(each[kind])) for name, each in found.items() if kind in each]
        if rows:
            parts.append(table(head, rows, left=1))
    return "\n".join(parts)


def cells(figures: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return planned, measured and ratio of one kind as cells of a table."""
    if "planned_s" in figures:
        return f"{figures['planned_s']:.2f}", f"{figures['measured_s']:.2f}", f"{figures['ratio']:.2f}"
    ranks = ", ".join(f"{value:.3f}" for value in figures["measured_gb"])
    return f"{figures['planned_gb']:.3f}", ranks, f"{figures['ratio']:.2f}"
