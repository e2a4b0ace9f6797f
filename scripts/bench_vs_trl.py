"""Times whole training steps (data, rollout, rewards, scoring, updates) against TRL's GRPOTrainer on the same work.

    python scripts/bench_vs_trl.py --prompt-tokens 64,256,1024 --repeats 7

Both sides load the same model folder, pictures and questions, generate the same number of tokens and make the same
number of updates; they take turns, one step each, and the ratio is taken pair by pair. TRL gets an environment of its
own, made at first use. The last line is a JSON object; it and a table are also written below --output.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.measure import Worker, compare, in_turn, machine, progress_bar, publish, range_text, spread, table
from PIL import Image
from rich.progress import Progress

from ral.errors import UserError
from ral.models.fresh import Sizes, write_model
from ral.models.mllm import DTYPES

ROOT = Path(__file__).resolve().parents[1]
TRL = "trl==1.16.0"
TORCHVISION = "torchvision==0.28.0"
"""The release that belongs to the torch in constraints.txt; TRL reads pictures with Transformers' own processor."""
SIZES = Sizes(hidden=512, layers=8, heads=8, kv_heads=2, mlp=1408, vision_hidden=256, vision_depth=4, vision_heads=8)
VOCABULARY = 6144
"""With SIZES about 30 million parameters; vision tower and vocabulary have shares like those of Qwen2.5-VL-3B."""
TOKEN_SIDE = 28
"""Pixels of a visual token's side."""
LARGEST_PROMPT = 16384
"""Visual tokens of the largest picture that the model folder lets pass unscaled."""
WARMUP = 2
"""Steps of each side before the first that counts."""
QUESTION = "What do you see in the picture? Describe every shape, its color and its place."
SAME = (
    *("prompt_tokens", "response_tokens", "updates", "trained_parameters", "dtype", "optimizer", "vision_attention"),
    *("threads", "malloc", "versions"),
)
"""Facts that both workers must report alike."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt-tokens", default="64,256,1024", help="visual tokens of a prompt, a comma list")
    parser.add_argument("--response-tokens", type=int, default=64, help="tokens of each response, exactly")
    parser.add_argument("--group-size", type=int, default=8, help="responses to a prompt")
    parser.add_argument("--prompts", type=int, default=1, help="prompts a step")
    parser.add_argument("--updates", type=int, default=1, help="optimizer updates a step")
    parser.add_argument("--repeats", type=int, default=7, help="pairs of steps that count")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    return parser.parse_args()


def sizes_of(text: str) -> list[int]:
    """The list of sizes; UserError where it is none."""
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= LARGEST_PROMPT for size in sizes):
        raise UserError(f"--prompt-tokens {text}: write numbers from 1 to {LARGEST_PROMPT} such as 64,256,1024")
    return sizes


def trl_python(folder: Path) -> Path:
    """The interpreter of TRL's environment, made at first use; UserError where that fails."""
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


def write_bench_model(
    folder: Path, sizes: Sizes = SIZES, vocabulary: int = VOCABULARY, device: str = "cpu", dtype: str = "float32"
) -> Path:
    """A random Qwen2.5-VL, once; its weights are drawn on `device` and written in `dtype`."""
    if not (folder / "video_preprocessor_config.json").is_file():
        letters = random.Random(0)
        words = ["".join(letters.choices("etaoinshrdlu", k=letters.randint(2, 8))) for _ in range(8 * vocabulary)]
        texts = [*[f"user assistant {QUESTION}"] * 1000, " ".join(words)]
        largest = LARGEST_PROMPT * TOKEN_SIDE**2
        pixels = (TOKEN_SIDE**2, largest)
        kind = DTYPES[dtype]
        write_model(folder, texts, sizes=sizes, vocab_size=vocabulary, pixels=pixels, device=device, dtype=kind)
        if device != "cpu":
            gc.collect()
            torch.cuda.empty_cache()  # what is measured next is another process's
    return folder


def drawn(on_gpu: bool) -> tuple[str, str]:
    """Device and dtype for write_bench_model: on a GPU billions of weights take a second."""
    return ("cuda", "bfloat16") if on_gpu else ("cpu", "float32")


def write_data(folder: Path, visual_tokens: int, entries: int) -> Path:
    """Different PNG pictures of exactly this many visual tokens, with one question: data.jsonl and question.j2."""
    rows = next(n for n in range(math.isqrt(visual_tokens), 0, -1) if visual_tokens % n == 0)
    side = (visual_tokens // rows * TOKEN_SIDE, rows * TOKEN_SIDE)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(entries):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(side, Image.Resampling.NEAREST).save(folder / f"{number}.png")
        entry = {"question": QUESTION, "answer": "?", "problem_type": "free-form", "image": f"{number}.png"}
        lines.append(json.dumps(entry) + "\n")
    (folder / "data.jsonl").write_text("".join(lines))
    (folder / "question.j2").write_text("{{ question }}")
    return folder


def specification(given: argparse.Namespace, model: Path, data: Path) -> dict[str, Any]:
    """What both sides are to do."""
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
    """UserError unless both sides did the same work, and the work asked for, up to the last step."""
    asked = {
        "response_tokens": spec["prompts"] * spec["group_size"] * spec["response_tokens"],
        "updates": spec["steps"] * spec["updates"],
    }
    wrong = [f"{key}: {ours[key]} against {theirs[key]}" for key in SAME if ours[key] != theirs[key]]
    wrong += [f"{key}: {ours[key]}, asked for {value}" for key, value in asked.items() if ours[key] != value]
    if wrong:
        raise UserError("the two sides did not do the same work: " + "; ".join(wrong))


def measure(given: argparse.Namespace, python: Path, size: int, progress: Progress, task: Any) -> dict[str, Any]:
    """Both sides on prompts of `size` visual tokens."""
    steps = WARMUP + given.repeats
    data = write_data(given.output / "data" / str(size), size, (steps + 2) * given.prompts + 1)
    spec = specification(given, write_bench_model(given.output / "model"), data)
    workers: dict[str, Worker] = {}
    try:
        for name, interpreter in (("ral", Path(sys.executable)), ("trl", python)):
            run = given.output / "runs" / f"{name}_{size}"
            run.mkdir(parents=True, exist_ok=True)
            own = spec | {"run": str(run.absolute())}
            workers[name] = Worker(interpreter, f"bench.{name}_worker", own, run / "log.txt", given.threads)
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
    """The JSON object: the last size's figures on top, every size's below."""
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
    """What was run, on what, and a row for each size."""
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
    return "\n".join([f"{head}\n", table(columns, rows), *lines])


def main() -> None:
    """Measure every size; one line and exit code 1 where something is wrong."""
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        sizes = sizes_of(given.prompt_tokens)
        python = trl_python(given.output / "trl_venv")
        with progress_bar() as progress:
            task = progress.add_task("loading", total=2 * len(sizes) * (WARMUP + given.repeats))
            found = {size: measure(given, python, size, progress, task) for size in sizes}
    except UserError as error:
        sys.exit(f"error: {error}")
    result = summary(given, found)
    publish(given.output / f"vs_trl_{given.updates}_updates", result, markdown(result))


if __name__ == "__main__":
    main()
