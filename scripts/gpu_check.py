"""Everything that wants a GPU, in one command: tests, the default run, steps of a 3B shape, the benchmarks.

    python scripts/gpu_check.py                               # all parts, on one GPU
    python scripts/gpu_check.py --parts tiny 3b               # some
    python scripts/gpu_check.py --parts tiny 3b --hardware cpu --shape small --prompt-tokens 64   # without one

parts: tests (tests/test_gpu.py), tiny (the shipped model, 100 steps), 3b (a random Qwen2.5-VL of that shape: 3 steps
with LoRA and 3 without), attention and step (scripts/bench_attention.py and bench_step.py at 3B and 7B, 4,096 and
16,384 visual tokens). Writes <output>/gpu_check.json as parts end and prints it last; a run that fails or takes longer
than --timeout is named and does not end the others (exit code 1). Random models are deleted after use.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench.measure import machine
from bench_step import SIZES
from bench_vs_trl import LARGEST_PROMPT, TOKEN_SIDE, VOCABULARY, drawn, write_bench_model, write_data

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("tests", "tiny", "3b", "attention", "step")
STOPPED = 124  # exit code of a run that took too long
GRACE = 30.0  # seconds that a stopped run has to leave
STEPS = 3  # of a 3B run; the first warms up
POLL = 0.5  # seconds between readings of the GPU's memory


def gpu_memory_mb() -> float | None:
    """Memory in use on the first GPU; None without one."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(query, capture_output=True, text=True)
    return float(done.stdout.split()[0]) if done.returncode == 0 else None


def timed(given: argparse.Namespace, log: Path, *command: str) -> dict[str, Any]:
    """Run a command, its output in `log`: exit code (124: stopped), seconds, highest memory of the whole GPU."""
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
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        code = ended(process, given.timeout)
    over.set()
    watcher.join()
    facts = {"command": shlex.join(["python", *command]), "exit_code": code, "log": str(log)}
    return facts | {"seconds": round(time.monotonic() - started, 1), "gpu_peak_mb": max(peaks, default=None)}


def ended(process: subprocess.Popen[bytes], seconds: float) -> int:
    """The exit code; STOPPED where it took longer and was ended."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return STOPPED


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
    facts = timed(given, given.output / f"{name}.log", "train.py", *common, *overrides) | of_run(folder)
    for part in ("hf", "checkpoints") if name.startswith("large") else ():
        shutil.rmtree(folder / part, ignore_errors=True)  # of billions of random weights
    return facts


def tests(given: argparse.Namespace) -> dict[str, Any]:
    """The tests of the same computation on CPU and GPU, and of whole runs on one."""
    command = ["-m", "pytest", "-q", "-m", "", "-n", "4", "tests/test_gpu.py"]
    return {"all": timed(given, given.output / "tests.log", *command)}


def tiny(given: argparse.Namespace) -> dict[str, Any]:
    """The default run."""
    return {"ral": train(given, "tiny", f"max_steps={given.steps}")}


def large(given: argparse.Namespace) -> dict[str, Any]:
    """Steps of a random model of a large shape, with LoRA and without."""
    folder = given.output / "models" / given.shape
    model = write_bench_model(folder, SIZES[given.shape], VOCABULARY, *drawn(given.hardware != "cpu"))
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
    found = {"lora": train(given, "large_lora", *common, *adapters), "full": train(given, "large_full", *common)}
    shutil.rmtree(folder)
    return found


def attention(given: argparse.Namespace) -> dict[str, Any]:
    """Cost of the attention term at both shapes; at 7B one side after the other, as both do not fit."""
    sides = {
        "3b_4096": ["3b", "4096"],
        "3b_16384": ["3b", "16384", "--checkpointing"],
        "7b_4096": ["7b", "4096", "--checkpointing", "--apart"],
        "7b_16384": ["7b", "16384", "--checkpointing", "--apart"],
    }
    return {
        name: bench(given, f"attention_{name}", "bench_attention.py", "--device", "cuda", *sized(*side))
        for name, side in sides.items()
    }


def step(given: argparse.Namespace) -> dict[str, Any]:
    """A whole step, plain against shared, at both shapes, in bf16 with LoRA."""
    common = ["--hardware", "single_gpu", "--variants", "plain,all", "--updates", "2"]
    common += ["--more", "lora.rank=16", "hardware.dtype=bfloat16", "hardware.gradient_checkpointing=true"]
    return {
        f"{model}_{tokens}": bench(given, f"step_{model}_{tokens}", "bench_step.py", *sized(model, tokens), *common)
        for model in ("3b", "7b")
        for tokens in ("4096", "16384")
    }


def sized(model: str, tokens: str, *more: str) -> list[str]:
    """Arguments of a benchmark."""
    return ["--model", model, "--prompt-tokens", tokens, *more]


def bench(given: argparse.Namespace, name: str, script: str, *arguments: str) -> dict[str, Any]:
    """One benchmark in a folder of its own, whose JSON file is read back."""
    folder = given.output / name
    facts = timed(given, given.output / f"{name}.log", f"scripts/{script}", *arguments, "--output", str(folder))
    results = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    for model in folder.glob("*/model*.safetensors"):
        shutil.rmtree(model.parent, ignore_errors=True)
    return facts | ({"result": results[0]} if facts["exit_code"] == 0 and results else {})


def main() -> None:
    """Run the parts, write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--hardware", default="single_gpu", help="hardware group of the runs (default: %(default)s)")
    parser.add_argument("--shape", choices=list(SIZES), default="3b", help="of part 3b (default: %(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=1024, help="visual tokens, part 3b (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each run (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="of part tiny (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "outputs" / "gpu_check", help="folder for all of it")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    given.output = given.output.absolute()
    if given.hardware != "cpu" and not torch.cuda.is_available():
        sys.exit("error: this torch sees no GPU: install its CUDA build, or try with --hardware cpu --shape small")
    makers = {"tests": tests, "tiny": tiny, "3b": large, "attention": attention, "step": step}
    found: dict[str, Any] = {}
    for part in given.parts:
        print(f"part {part} ...", file=sys.stderr, flush=True)
        found[part] = makers[part](given)
        found["machine"] = machine()
        (given.output / "gpu_check.json").write_text(json.dumps(found, indent=1) + "\n")
    failed = [f"{part}: {name}" for part in given.parts for name, run in found[part].items() if run["exit_code"]]
    print(json.dumps(found))
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}; see their logs in {given.output}")


if __name__ == "__main__":
    main()
