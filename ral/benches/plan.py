"""Plans (ral.planning) beside runs on this machine: peak memory of each rank, memory at load, seconds of a step.

Most runs train a random model of some 25 million weights in fp32, on CPU processes of one thread each. In this module
`given` is the parsed command line of scripts/bench_plan.py.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from ral.benches.ranks import run
from ral.benches.step import SIZES
from ral.benches.work import (
    LARGEST_PROMPT,
    QUESTION,
    TOKEN_SIDE,
    VOCABULARY,
    drawn,
    write_bench_model,
    write_data,
)
from ral.config.check import plain
from ral.files import jsonl
from ral.files.markdown import table
from ral.files.repository import CONF, SHIPPED, find
from ral.models.fresh import write_model
from ral.models.recipe import Sizes
from ral.planning.calibration import MEASURED, calibrated, numbers
from ral.planning.device import Device, device_of
from ral.planning.host import loaded
from ral.planning.memory import GB
from ral.planning.plan import Plan, plan_of, stages

MIDDLE = Sizes(hidden=512, layers=8, heads=8, kv_heads=2, mlp=1408, vision_hidden=128, vision_depth=2, vision_heads=4)
"""Shape of the random model, some 25 million weights."""
COMMON = (
    *("eval.every=0", "eval.before=false", "eval.prompts=1", "diagnostics.gradients=false", "start_check=false"),
    *("checkpoint.every=0", "checkpoint.best=null", "hardware.threads=1", "hardware.num_workers=0"),
    *("algo.updates_per_rollout=2", "overwrite=true"),
)
MADE = (
    *("dataset.source.clip_share=0", "algo.group_size=4"),
    "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
)
PAIR = (*MADE, "algo.prompts_per_step=2", "dataset.max_new_tokens=48")
OF_TWO = ("hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.devices=2")
FOUR = (*MADE, "algo=grpo", "algo.prompts_per_step=4", "dataset.max_new_tokens=48", *OF_TWO)
RUNS: Mapping[str, tuple[str, ...]] = {
    "full": ("algo=grpo", *PAIR),
    "lora": ("algo=grpo", *PAIR, "lora.rank=16"),
    "checkpointing": ("algo=ral", *PAIR, "hardware.gradient_checkpointing=true"),
    "distillation": ("algo=ral_distill", *PAIR),
    "long prompt": (
        "algo=ral",
        *MADE,
        "dataset.max_new_tokens=32",
        "algo.prompts_per_step=1",
        "dataset.source.grid=32",
    ),
    "2 ranks, ddp": (*FOUR, "hardware=ddp"),
    "2 ranks, fsdp": (*FOUR, "hardware=fsdp"),
}
"""{name of a run: its overrides of train.py}"""
ADAPTERS = "adapters"
"""Run with adapters on a random model of a large shape (--shape), whose images have --prompt-tokens visual tokens."""
CALIBRATION = "full"
"""The run whose measured seconds set the machine's numbers for all plans; where it is not run, the first one does."""
EXCHANGE = "2 ranks, ddp"
"""The run whose measured seconds set the rate of exchange between processes."""
SMALL = ("dataset.max_new_tokens=6", "max_steps=1")
KINDS = ("memory", "time")
"""Values of --kinds: memory (at load and by stage of a step) and time (seconds of a step)."""
GIVES_BACK = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Settings with which glibc returns freed memory at once, so that resident memory is that of live tensors."""
WORKER = "ral.benches.plan_worker"


def models(given: argparse.Namespace, name: str) -> tuple[str, str]:
    """Return the folder of a run's random model, written unless it is there, and that of the small shipped model."""
    if name == ADAPTERS:
        folder = given.output / f"plan_model_{given.shape}"
        write_bench_model(folder, SIZES[given.shape], VOCABULARY, *drawn(given.hardware != "cpu"))
    else:
        folder = given.output / "plan_model"
        if not (folder / "video_preprocessor_config.json").is_file():
            write_model(folder, [QUESTION, "user assistant 0 1 2 3"], sizes=MIDDLE, seed=3, vocab_size=300)
    return str(folder.absolute()), find(SHIPPED)


def overrides_of(given: argparse.Namespace, name: str, steps: int) -> list[str]:
    """Return the overrides of train.py for the run `name` of `steps` steps."""
    model, _ = models(given, name)
    own = large(given) if name == ADAPTERS else [*RUNS[name], f"dataset.path={(given.output / 'plan_data').absolute()}"]
    teacher = [f"model.teacher={model}"] if name == "distillation" else []
    return [*own, *COMMON, f"model.pretrained={model}", *teacher, f"max_steps={steps}"]


def large(given: argparse.Namespace) -> list[str]:
    """Return the overrides of the run ADAPTERS: RAL on one prompt with eight responses of 64 tokens."""
    data = write_data(given.output / "plan_pictures", given.prompt_tokens, 16).absolute()
    dtype = "float32" if given.hardware == "cpu" else "bfloat16"
    return [
        *("algo=ral", "model=qwen2_5_vl", f"hardware={given.hardware}", f"hardware.dtype={dtype}", "lora.rank=16"),
        *("hardware.gradient_checkpointing=true", "algo.prompts_per_step=1", "algo.group_size=8"),
        *("dataset=jsonl", f"dataset.path={data / 'data.jsonl'}", "dataset.source.validation_size=2"),
        *("dataset.max_new_tokens=64", "dataset.media.image_min_pixels=784"),
        *(f"dataset.media.image_max_pixels={LARGEST_PROMPT * TOKEN_SIDE**2}",),
        f"planning.visual_tokens={given.prompt_tokens}",
    ]


def planned(overrides: Sequence[str], device: Device | None = None) -> Plan:
    """Return the plan of a run.

    device: None for the machine that the configuration names, else the GPU here where its numbers are known, else the
    default device.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        tree = plain(compose("train", [*overrides, "planning.text_tokens=40"]))
    here = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return plan_of(tree, device or device_of(tree, here))


def folder_of(output: Path, kind: str, name: str) -> Path:
    """Return the folder of one measurement. kind: "memory" or "time". name: name of the run."""
    return output / f"plan_{kind}_{name.replace(', ', '_').replace(' ', '_')}"


def ranks_of(plan: Plan) -> int:
    """Return the number of ranks of the run that a plan is for."""
    return plan.networks.work.ranks.count


def memory(given: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return planned and measured memory of a run's steps on each rank, and by stage of a step on the first rank.

    Measured on a GPU is what PyTorch allocated; else resident memory beyond that of the bare process, which is also
    measured at load. The run has two steps, since the first begins without gradients and the optimizer's state.
    """
    overrides = overrides_of(given, name, steps=2)
    plan = planned(overrides)
    spec: dict[str, Any] = {"run": overrides}
    if not plan.networks.work.ranks.on_gpu:
        _, small = models(given, name)
        other = [f"model.teacher={small}"] if name == "distillation" else []
        spec["small"] = [*overrides, f"model.pretrained={small}", *other, *SMALL]
    said = run(WORKER, folder_of(given.output, "memory", name), spec, ranks_of(plan), GIVES_BACK)
    bare = [rank["before"] for rank in said]
    peaks, loads = ([rank[key] - own for rank, own in zip(said, bare, strict=True)] for key in ("peak", "load"))
    found = {"memory": against(plan.peak.total / GB, peaks) | {"phase": plan.peak.name}}
    found["stages"] = {
        stage: against(gb, [said[0]["stages"][key] - bare[0]])
        for stage, key, gb in ((stage, MEASURED[stage], gb) for stage, gb in stages(plan).items())
    }
    return found if plan.networks.work.ranks.on_gpu else found | {"load": against(loaded(plan.networks) / GB, loads)}


def against(planned_gb: float, ranks: Sequence[float]) -> dict[str, Any]:
    """Return planned and measured GB, and the ratio of planned GB to the largest of any rank.

    ranks: measured GB of each rank.
    """
    measured_gb = [round(value, 4) for value in ranks]
    return {"planned_gb": round(planned_gb, 4), "measured_gb": measured_gb, "ratio": round(planned_gb / max(ranks), 3)}


def seconds(given: argparse.Namespace, name: str) -> dict[str, float]:
    """Return {phase: its median seconds in a step of a run}; "step_s" is the whole step.

    The first step does not count. UserError where the run fails.
    """
    overrides = overrides_of(given, name, given.repeats + 1)
    folder = folder_of(given.output, "time", name)
    run(WORKER, folder, {"run": overrides}, ranks_of(planned(overrides)), {})
    lines = [line for line in jsonl.read(folder / "run" / "metrics.jsonl") if "time/step_s" in line][1:]
    names = sorted({key for line in lines for key in line if key.startswith("time/")})
    return {key.removeprefix("time/"): statistics.median(line.get(key, 0.0) for line in lines) for key in names}


def time_of(plan: Plan, taken: Mapping[str, float]) -> dict[str, Any]:
    """Return {"time": planned and measured seconds of a step and of its phases}. taken: result of `seconds`."""
    phases = {
        part.name: {"planned_s": round(part.seconds, 4), "bound": part.bound, "measured_s": taken[MEASURED[part.name]]}
        for part in plan.step
    }
    step = taken["step_s"]
    ratio = round(plan.step_s / step, 3)
    return {"time": {"planned_s": round(plan.step_s, 4), "measured_s": step, "ratio": ratio, "phases": phases}}


def measured(given: argparse.Namespace, progress: Callable[[], object]) -> dict[str, Any]:
    """Return {"runs": {name: figures by kind}} and, where time is measured, "calibrated": the machine's numbers.

    These numbers come from the runs listed under "by", so that the plans of the other runs are put to the test.
    progress: called after each measurement. UserError where a run fails.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in given.runs}
    for name in given.runs if "memory" in given.kinds else ():
        found[name] |= memory(given, name)
        progress()
    if "time" not in given.kinds:
        return {"runs": found}
    taken: dict[str, Mapping[str, float]] = {}
    for name in given.runs:
        taken[name] = seconds(given, name)
        progress()
    first = CALIBRATION if CALIBRATION in taken else given.runs[0]
    device = calibrated(planned(overrides_of(given, first, steps=1)), taken[first])
    if EXCHANGE in taken:
        device = calibrated(planned(overrides_of(given, EXCHANGE, steps=1), device), taken[EXCHANGE], ("network",))
    for name in given.runs:
        found[name] |= time_of(planned(overrides_of(given, name, steps=1), device), taken[name])
    by = [name for name in (first, EXCHANGE) if name in taken]
    return {"runs": found, "calibrated": numbers(device), "by": by}


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return Markdown tables of the runs' figures, one for each kind that was measured.

    found: {name: figures by kind}.
    """
    heads: Mapping[str, tuple[str, ...]] = {
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
    """Return planned value, measured values and their ratio as cells of a table. figures: those of one kind and run."""
    if "planned_s" in figures:
        return f"{figures['planned_s']:.2f}", f"{figures['measured_s']:.2f}", f"{figures['ratio']:.2f}"
    ranks = ", ".join(f"{value:.3f}" for value in figures["measured_gb"])
    return f"{figures['planned_gb']:.3f}", ranks, f"{figures['ratio']:.2f}"
