"""Rollout engines beside each other on a random Qwen2.5-VL: this project's own, vLLM, and Transformers' generate.

    python scripts/bench_rollout.py --engines native,vllm,hf --repeats 5         # vLLM: with .venv-vllm/bin/python
    python scripts/bench_rollout.py --engines native,native_casts --dtype bfloat16 --trained   # of fp32 weights
    python scripts/bench_rollout.py --model 7b --device cuda --dtype bfloat16 --response-tokens 768   # on a GPU

A step answers `--prompts` new pictures, `--group-size` responses of exactly `--response-tokens` tokens to each, vision
tower included; the engines take turns, one step each; ratios are to the first. Variants of the native engine:
native_casts (weights cast at every token), native_steps (no steps of fixed shapes), native_fixed (these on a CPU too).
The last line is a JSON object.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.benches.measure import machine, progress_bar, publish
from ral.benches.rollout import MODELS, WARMUP, engines_of, measured, summary
from ral.benches.work import sizes_of
from ral.errors import UserError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", help="of native, vllm, hf (unless given, those that run here) and variants")
    parser.add_argument("--prompt-tokens", default="64,256", help="visual tokens of a prompt, a comma list")
    parser.add_argument("--response-tokens", type=int, default=64, help="tokens of each response, exactly")
    parser.add_argument("--prompts", type=int, default=8, help="prompts a step")
    parser.add_argument("--group-size", type=int, default=8, help="responses to a prompt")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each engine that count")
    parser.add_argument("--threads", type=int, default=1, help="threads of each engine")
    parser.add_argument("--model", choices=list(MODELS), default="30m", help="shape of the model")
    parser.add_argument("--dtype", default="float32", help="float32 or bfloat16, of the arithmetic")
    parser.add_argument(
        "--apart", action="store_true", help="one engine after the other, where they do not fit at once"
    )
    parser.add_argument("--trained", action="store_true", help="the language model's weights are fp32, as in training")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--cache-gb", type=float, default=1.0, help="memory of vLLM's keys and values")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    return parser.parse_args()


def main() -> None:
    """Measure; one line and exit code 1 where something is wrong."""
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        engines, sizes = engines_of(given.engines), sizes_of(given.prompt_tokens)
        with progress_bar() as progress:
            task = progress.add_task("steps", total=len(sizes) * len(engines) * (WARMUP + given.repeats))
            found = {str(s): measured(given, engines, s, lambda: progress.advance(task)) for s in sizes}
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {k: v for k, v in vars(given).items() if k != "output"}
    result = {"sizes": found, "settings": settings, "machine": machine(threads=str(given.threads))}
    publish(given.output / f"rollout_{given.model}", result, summary(found))


if __name__ == "__main__":
    main()
