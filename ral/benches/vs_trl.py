"""Whole training steps of this project and of TRL's GRPOTrainer on the same work.

A step is data, rollout, rewards, scoring and updates. In this module `given` is the parsed command line of
scripts/bench_vs_trl.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.progress import Progress

from ral.benches.measure import Worker, compare, in_turn, machine, range_text, spread
from ral.benches.work import LARGEST_PROMPT, TOKEN_SIDE, write_bench_model, write_data
from ral.errors import UserError
from ral.files.markdown import table
from ral.files.repository import ROOT

TRL = "trl==1.16.0"
TORCHVISION = "torchvision==0.28.0"
"""The release that goes with the torch in constraints.txt.

TRL reads images with Transformers' processor, which needs it.
"""
WARMUP = 2
"""Steps of each side before the first one that counts."""
SAME = (
    *("prompt_tokens", "response_tokens", "updates", "trained_parameters", "dtype", "optimizer", "vision_attention"),
    *("threads", "malloc", "versions"),
)
"""Facts that must be equal in both workers' reports."""


def trl_python(folder: Path) -> Path:
    """Return the interpreter of TRL's environment in `folder`, which is made where it is missing or of other versions.

    UserError where making it fails.
    """
    stamp, python = folder / ".ready", folder / "bin" / "python"
    wanted = f"{TRL} {TORCHVISION}\n{(ROOT / 'constraints.txt').read_text()}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"making {folder} with {TRL} (some minutes, once)", file=sys.stderr, flush=True)
    torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    pip = [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, torch],  # first and alone: a looser request may choose another build
        [*pip, TRL, "transformers", "accelerate", "datasets", "pillow"],
        [*pip, "--no-deps", TORCHVISION],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr + done.stdout).strip().splitlines()
            reason = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "nothing")
            raise UserError(f"{folder}: TRL's environment cannot be made: `{' '.join(command[2:])}` said: {reason}")
    stamp.write_text(wanted)
    return python


def specification(given: argparse.Namespace, model: Path, data: Path) -> dict[str, Any]:
    """Return the specification that both sides' workers get."""
    return {
        "model": str(model.absolute()),
        "data": str(data.absolute()),
        "largest_picture": LARGEST_PROMPT * TOKEN_SIDE**2,
        "prompts": given.prompts,
        "group_size": given.group_size,
        "response_tokens": given.response_tokens,
        "updates": given.updates,
        "steps": WARMUP + given.repeats,
        "threads": given.threads,
        "learning_rate": 1e-6,
        "temperature": 0.9,
        "beta": 0.04,
        "max_grad_norm": 1.0,
    }


def check_fair(spec: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise UserError unless both sides did the same work, and as much as `spec` asks for.

    ours, theirs: facts of the sides' last steps.
    """
    asked = {
        "response_tokens": spec["prompts"] * spec["group_size"] * spec["response_tokens"],
        "updates": spec["steps"] * spec["updates"],
    }
    wrong = [f"{key}: {ours[key]} against {theirs[key]}" for key in SAME if ours[key] != theirs[key]]
    wrong += [f"{key}: {ours[key]}, asked for {value}" for key, value in asked.items() if ours[key] != value]
    if wrong:
        raise UserError("the two sides did not do the same work: " + "; ".join(wrong))


def measure(given: argparse.Namespace, python: Path, size: int, progress: Progress, task: Any) -> dict[str, Any]:
    """Run both sides, step by step in turn, on prompts of `size` visual tokens; return their figures.

    The figures are those of `compare`, and: same (facts of the work, alike on both sides but for decoder_attention),
    times (our median seconds by part of a step), pairs ([ours, theirs] seconds of each step). UserError where the two
    did not do the same work, or a worker ends early.

    python: interpreter of TRL's environment. task: id of the bar in `progress`, advanced at each step.
    """
    steps = WARMUP + given.repeats
    data = write_data(given.output / "data" / str(size), size, (steps + 2) * given.prompts + 1)
    spec = specification(given, write_bench_model(given.output / "model"), data)
    workers: dict[str, Worker] = {}
    try:
        for name, interpreter in (("ral", Path(sys.executable)), ("trl", python)):
            run = given.output / "runs" / f"{name}_{size}"
            run.mkdir(parents=True, exist_ok=True)
            own = spec | {"run": str(run.absolute())}
            workers[name] = Worker(interpreter, f"ral.benches.{name}_worker", own, run / "log.txt", given.threads)
        progress.update(task, description=f"{size} visual tokens")
        replies = in_turn(workers, WARMUP, given.repeats, lambda: progress.advance(task))
    finally:
        for worker in workers.values():
            worker.close()
    ours, theirs = replies["ral"], replies["trl"]
    facts = {name: r[-1]["facts"] for name, r in replies.items()}
    check_fair(spec, facts["ral"], facts["trl"])
    same = {key: facts["ral"][key] for key in SAME} | {"updates": given.updates, "trl": facts["trl"]["trl"]}
    same["decoder_attention"] = {name: fact["decoder_attention"] for name, fact in facts.items()}
    times = {key: spread([r["facts"]["times"][key] for r in ours])["median"] for key in facts["ral"]["times"]}
    pairs = [[round(r["seconds"], 4) for r in pair] for pair in zip(ours, theirs, strict=True)]
    return compare(ours, theirs) | {"same": same, "times": times, "pairs": pairs}


def summary(given: argparse.Namespace, found: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Return the content of the JSON file.

    At its top the figures at the last number of visual tokens, "settings" and "machine"; under "sizes" the figures at
    each number. found: {visual tokens: result of `measure`}.
    """
    last = found[list(found)[-1]]
    same = last["same"]
    settings = ("prompts", "group_size", "response_tokens", "updates", "repeats")
    return {
        **{key: last[key] for key in ("ratio", "cpu_ratio", "memory_ratio", "ours", "theirs")},
        "settings": {key: getattr(given, key) for key in settings},
        "sizes": {str(size): values for size, values in found.items()},
        "machine": machine(**same["versions"], trl=same["trl"], threads=same["threads"]),
    }


def markdown(result: dict[str, Any]) -> str:
    """Return a Markdown page of the result of `summary`: a row for each size, then settings and machine."""
    columns = (
        "visual tokens",
        "TRL, s a step",
        "ral, s a step",
        "TRL / ral",
        "by CPU time",
        "TRL, GB",
        "ral, GB",
        "ral / TRL",
    )
    rows = [
        (
            size,
            *(range_text(values[side]["seconds"]) for side in ("theirs", "ours")),
            *(range_text(values[key]) for key in ("ratio", "cpu_ratio")),
            *(f"{values[side]['peak_gb']:.2f}" for side in ("theirs", "ours")),
            f"{values['memory_ratio']:.2f}",
        )
        for size, values in result["sizes"].items()
    ]
    first = next(iter(result["sizes"].values()))
    notes = {"Settings": result["settings"], "Machine": result["machine"], "Same on both sides": first["same"]}
    lines = (f"{name}: " + ", ".join(f"{k} {v}" for k, v in part.items()) + "\n" for name, part in notes.items())
    head = "Seconds: median (min to max); ratios pair by pair; peak resident memory of the process."
    return "\n".join([f"{head}\n", table(columns, rows, left=0), *lines])
