"""Everything that wants a GPU, in one command: the default run, steps of a 3B shape, the benchmarks.

    python scripts/gpu_check.py                               # all parts, on one GPU
    python scripts/gpu_check.py --parts tiny 3b               # some
    python scripts/gpu_check.py --parts tiny 3b --hardware cpu --shape small --prompt-tokens 64   # without one

parts: tests (tests/test_gpu.py), tiny (the shipped model, 100 steps), 3b (a random Qwen2.5-VL of that shape: 3 steps
with LoRA and 3 without), attention and step (scripts/bench_attention.py and bench_step.py at 3B and 7B, 4,096 and
16,384 visual tokens; half an hour). Writes <output>/gpu_check.json as parts end and prints it last; a part that fails
is named and does not end the others (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import machine
from bench_step import SIZES
from bench_vs_trl import LARGEST_PROMPT, TOKEN_SIDE, VOCABULARY, write_bench_model, write_data

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("tests", "tiny", "3b", "attention", "step")
STEPS = 3  # of a 3B run; the first warms up
POLL = 0.5  # seconds between readings of the GPU's memory


def gpu_memory_mb() -> float | None:
    """Memory in use on the first GPU; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(query, capture_output=True, text=True)
    return float(done.stdout.split()[0]) if done.returncode == 0 else None


def timed(command: Sequence[str], log: Path) -> dict[str, Any]:
    """Run a command, its output in `log`: exit code, seconds, highest memory of the GPU."""
    peaks: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            if (used := gpu_memory_mb()) is not None:
                peaks.append(used)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    with log.open("wb") as file:
        code = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT).returncode
    over.set()
    watcher.join()
    facts = {"command": "python " + " ".join(command), "exit_code": code, "log": str(log)}
    return facts | {"seconds": round(time.monotonic() - started, 1), "gpu_peak_mb": max(peaks, default=None)}


def of_run(folder: Path) -> dict[str, Any]:
    """Accuracies and the median seconds of a step, without the first, from a run's metrics."""
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    times = [line["time/step_s"] for line in lines if "time/step_s" in line]
    accuracies = [line["eval/accuracy"] for line in lines if "eval/accuracy" in line]
    return {"step_s": median(times[1:] or times or [float("nan")]), "accuracy": accuracies[:1] + accuracies[-1:]}


def train(given: argparse.Namespace, name: str, *overrides: str) -> dict[str, Any]:
    """A run of train.py and what it measured."""
    folder = given.output / name
    common = [f"hardware={given.hardware}", "logger=jsonl", f"hydra.run.dir={folder}"]
    return timed(["train.py", *common, *overrides], given.output / f"{name}.log") | of_run(folder)


def tests(given: argparse.Namespace) -> dict[str, Any]:
    """The tests of the same computation on CPU and GPU, and of whole runs on one."""
    command = ["-m", "pytest", "-q", "-m", "", "-n", "4", "tests/test_gpu.py"]
    return {"gpu": timed(command, given.output / "tests.log")}


def tiny(given: argparse.Namespace) -> dict[str, Any]:
    """The default run."""
    return {"ral": train(given, "tiny", f"max_steps={given.steps}")}


def large(given: argparse.Namespace) -> dict[str, Any]:
    """Steps of a random model of a large shape, with LoRA and without."""
    drawn = ("cpu", "float32") if given.hardware == "cpu" else ("cuda", "bfloat16")
    model = write_bench_model(given.output / "models" / given.shape, SIZES[given.shape], VOCABULARY, *drawn)
    data = write_data(given.output / "data", given.prompt_tokens, 16)
    pixels = LARGEST_PROMPT * TOKEN_SIDE**2
    common = [
        *(
            "algo=ral",
            "model=qwen2_5_vl",
            f"model.pretrained={model.absolute()}",
            "hardware.gradient_checkpointing=true",
        ),
        *("dataset=jsonl", f"dataset.path={(data / 'data.jsonl').absolute()}", "dataset.source.validation_size=2"),
        *(
            f"dataset.media.image_max_pixels={pixels}",
            "dataset.media.image_min_pixels=784",
            "dataset.max_new_tokens=64",
        ),
        *(
            "algo.prompts_per_step=1",
            "algo.group_size=8",
            f"max_steps={STEPS}",
            "start_check=false",
            "checkpoint.every=0",
        ),
        *("eval.before=false", "eval.every=0", "eval.prompts=1", "eval.batch=1"),
    ]
    adapters = ["lora.rank=16", "hardware.dtype=bfloat16"] if given.hardware != "cpu" else ["lora.rank=16"]
    return {"lora": train(given, "large_lora", *common, *adapters), "full": train(given, "large_full", *common)}


def attention(given: argparse.Namespace) -> dict[str, Any]:
    """Cost of the attention term at both shapes; the naive way only where nothing needs to be recomputed."""
    sides = {
        "3b_4096": ["--model", "3b", "--prompt-tokens", "4096"],
        "3b_16384": ["--model", "3b", "--prompt-tokens", "16384", "--checkpointing"],
        "7b": ["--model", "7b", "--prompt-tokens", "4096,16384", "--checkpointing"],
    }
    return {n: bench(given, "bench_attention.py", f"attention_{n}", "--device", "cuda", *s) for n, s in sides.items()}


def step(given: argparse.Namespace) -> dict[str, Any]:
    """A whole step, plain against shared, at both shapes, in bf16 with LoRA."""
    sides = ["--hardware", "single_gpu", "--prompt-tokens", "4096,16384", "--variants", "plain,all", "--updates", "2"]
    sides += ["--more", "lora.rank=16", "hardware.dtype=bfloat16", "hardware.gradient_checkpointing=true"]
    return {m: bench(given, "bench_step.py", f"step_{m}", "--model", m, *sides) for m in ("3b", "7b")}


def bench(given: argparse.Namespace, script: str, name: str, *arguments: str) -> dict[str, Any]:
    """One benchmark, its models, log and tables in a folder of its own; its last line, the result, is read back."""
    folder, log = given.output / name, given.output / f"{name}.log"
    facts = timed([f"scripts/{script}", *arguments, "--output", str(folder)], log)
    last = (log.read_text().strip().splitlines() or [""])[-1]
    return facts | ({"result": json.loads(last)} if facts["exit_code"] == 0 else {})


def main() -> None:
    """Run the parts, write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--hardware", default="single_gpu", help="hardware group of the runs (default: %(default)s)")
    parser.add_argument("--shape", choices=list(SIZES), default="3b", help="of part 3b (default: %(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=1024, help="visual tokens, part 3b (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="of part tiny (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "gpu_check", help="folder for all of it")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    given.output = given.output.absolute()
    if "cpu" not in given.hardware and gpu_memory_mb() is None:
        sys.exit(
            "error: no GPU here (nvidia-smi finds none): write --hardware cpu --shape small to try the script without"
        )
    makers = {"tests": tests, "tiny": tiny, "3b": large, "attention": attention, "step": step}
    found: dict[str, Any] = {"machine": machine()}
    for part in given.parts:
        print(f"part {part} ...", file=sys.stderr, flush=True)
        found[part] = makers[part](given)
        (given.output / "gpu_check.json").write_text(json.dumps(found, indent=1) + "\n")
    failed = [f"{part}: {name}" for part in given.parts for name, run in found[part].items() if run["exit_code"]]
    print(json.dumps(found))
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}; see their logs in {given.output}")


if __name__ == "__main__":
    main()
