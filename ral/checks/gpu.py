"""Checks and measurements that need a GPU: tests, the default run, steps of large shapes, the benchmarks.

In this module `given` is the parsed command line of scripts/gpu_check.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from ral.benches.step import SIZES
from ral.benches.work import LARGEST_PROMPT, TOKEN_SIDE, VOCABULARY, drawn, write_bench_model, write_data
from ral.files import jsonl
from ral.files.repository import ROOT

STOPPED = 124  # exit code of a run that took too long
GRACE = 30.0  # seconds that a stopped run has to leave
STEPS = 3  # of a 3B run; the first warms up
POLL = 0.5  # seconds between readings of the GPU's memory


def gpu_memory_mb() -> float | None:
    """Return the memory in use on the first GPU, in MiB, as nvidia-smi gives it; None where there is no GPU."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(query, capture_output=True, text=True)
    return float(done.stdout.split()[0]) if done.returncode == 0 else None


def timed(given: argparse.Namespace, log: Path, *command: str) -> dict[str, Any]:
    """Run a Python command, with its output in `log`; return exit code, seconds and the GPU's peak memory in MiB.

    The exit code is STOPPED where the command took longer than given.timeout seconds. The memory is None without a GPU.
    """
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
    """Wait for a process; return its exit code, or STOPPED where it took more than `seconds` and was ended."""
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
    """Return {"step_s": median seconds of a step without the first, "accuracy": [first, last]} from a run's metrics.

    step_s is NaN for a run without steps.
    """
    lines = jsonl.read(folder / "metrics.jsonl")
    times = [line["time/step_s"] for line in lines if "time/step_s" in line]
    accuracies = [line["eval/accuracy"] for line in lines if "eval/accuracy" in line]
    return {"step_s": median(times[1:] or times or [float("nan")]), "accuracy": accuracies[:1] + accuracies[-1:]}


def train(given: argparse.Namespace, name: str, *overrides: str) -> dict[str, Any]:
    """Run train.py with the overrides; return its accuracies, seconds, memory and exit code.

    name: folder of the run.
    """
    folder = given.output / name
    common = [f"hardware={given.hardware}", "logger=jsonl", f"hydra.run.dir={folder}"]
    facts = timed(given, given.output / f"{name}.log", "train.py", *common, *overrides) | of_run(folder)
    for part in ("hf", "checkpoints") if name.startswith("large") else ():
        shutil.rmtree(folder / part, ignore_errors=True)  # of billions of random weights
    return facts


def tests(given: argparse.Namespace) -> dict[str, Any]:
    """Run the tests that compare CPU and GPU and those of whole runs on a GPU; return their exit code and seconds."""
    command = ["-m", "pytest", "-q", "-m", "", "-n", "4", "tests/test_gpu.py"]
    return {"all": timed(given, given.output / "tests.log", *command)}


def tiny(given: argparse.Namespace) -> dict[str, Any]:
    """Run the default training on the shipped model."""
    return {"ral": train(given, "tiny", f"max_steps={given.steps}")}


def large(given: argparse.Namespace) -> dict[str, Any]:
    """Measure steps of a random model of shape given.shape: with adapters, in full, with adapters on a 4-bit base.

    The last is measured on a GPU alone, where bitsandbytes is installed.
    """
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
    if given.hardware != "cpu" and importlib.util.find_spec("bitsandbytes") is not None:
        four_bit = ["lora.base=nf4", "lora.merge=false"]
        found["qlora"] = train(given, "large_qlora", *common, *adapters, *four_bit)
    shutil.rmtree(folder)
    return found


def attention(given: argparse.Namespace) -> dict[str, Any]:
    """Measure the cost of the attention term at the shapes 3b and 7b.

    At 7b each side runs alone, since both do not fit.
    """
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
    """Measure a whole step with all savings and with none, at the shapes 3b and 7b, in bf16 with adapters."""
    common = ["--hardware", "single_gpu", "--variants", "plain,all", "--updates", "2"]
    common += ["--more", "lora.rank=16", "hardware.dtype=bfloat16", "hardware.gradient_checkpointing=true"]
    return {
        f"{model}_{tokens}": bench(given, f"step_{model}_{tokens}", "bench_step.py", *sized(model, tokens), *common)
        for model in ("3b", "7b")
        for tokens in ("4096", "16384")
    }


def rollout(given: argparse.Namespace) -> dict[str, Any]:
    """Measure decoding at the shapes 3b and 7b, with fp32 weights under bf16 arithmetic, and the memory's bandwidth.

    The engines are the native one as it is, without steps of fixed shapes, and with weights cast at every token;
    Transformers' generate; vLLM where it is installed.
    """
    engines = ["native", "native_steps", "native_casts", "hf"]
    engines += ["vllm"] if importlib.util.find_spec("vllm") is not None else []
    common = ["--engines", ",".join(engines), "--device", "cuda", "--dtype", "bfloat16", "--trained", "--apart"]
    common += ["--response-tokens", "256", "--repeats", "5", "--cache-gb", "8"]
    return {
        f"{model}_1024": bench(given, f"rollout_{model}", "bench_rollout.py", *sized(model, "1024"), *common)
        for model in ("3b", "7b")
    }


def plan(given: argparse.Namespace) -> dict[str, Any]:
    """Measure memory and seconds of a step with adapters beside its plan; shape 7b, or given.shape without a GPU."""
    shape = "7b" if given.hardware != "cpu" else given.shape
    common = ["--runs", "adapters", "--hardware", given.hardware, "--prompt-tokens", str(given.prompt_tokens)]
    return {f"{shape}_lora": bench(given, f"plan_{shape}", "bench_plan.py", "--shape", shape, *common)}


def vllm(given: argparse.Namespace) -> dict[str, Any]:
    """Compare vLLM with the trainer in fp32, and at the shape 3b in bf16; measure its tokens a second there."""
    shape = ["--model", "3b", "--cache-gb", "8", "--prompt-tokens", "1024", "--response-tokens", "128"]
    common = ["--engines", "native,vllm", "--device", "cuda", "--dtype", "bfloat16", "--trained", "--apart"]
    speed = [*common, "--response-tokens", "256", "--repeats", "5", "--cache-gb", "8"]
    return {
        "fp32": bench(given, "vllm_fp32", "check_vllm.py", "--device", "cuda", "--dtype", "float32", "--cache-gb", "2"),
        "3b": bench(given, "vllm_3b", "check_vllm.py", "--device", "cuda", *shape),
        "speed": bench(given, "vllm_speed", "bench_rollout.py", *sized("3b", "1024"), *speed),
    }


def sized(model: str, tokens: str, *more: str) -> list[str]:
    """Return a benchmark's command-line arguments for a shape and a prompt length in visual tokens."""
    return ["--model", model, "--prompt-tokens", tokens, *more]


def bench(given: argparse.Namespace, name: str, script: str, *arguments: str) -> dict[str, Any]:
    """Run one benchmark in a folder of its own; return its exit code, seconds, memory and result.

    result: content of the benchmark's JSON file; missing where it failed.
    """
    folder = given.output / name
    facts = timed(given, given.output / f"{name}.log", f"scripts/{script}", *arguments, "--output", str(folder))
    results = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    for model in folder.glob("*/model*.safetensors"):
        shutil.rmtree(model.parent, ignore_errors=True)
    return facts | ({"result": results[0]} if facts["exit_code"] == 0 and results else {})


PARTS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "tests": tests,
    "tiny": tiny,
    "3b": large,
    "attention": attention,
    "step": step,
    "rollout": rollout,
    "plan": plan,
    "vllm": vllm,
}
"""{name of a part on the command line: the function that measures it}"""
BY_ITSELF = [name for name in PARTS if name != "vllm"]
"""Parts that need no package beyond this project's."""
