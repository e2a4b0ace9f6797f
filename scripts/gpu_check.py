"""Everything that wants a GPU, in one command: tests, the default run, steps of a 3B shape, the benchmarks.

    python scripts/gpu_check.py                               # all parts, on one GPU
    python scripts/gpu_check.py --parts tiny 3b               # some
    python scripts/gpu_check.py --parts rollout --timeout 3600   # decoding alone
    python scripts/gpu_check.py --parts vllm --timeout 3600   # with vLLM installed: CUDA IPC, sleep, adapters, speed
    python scripts/gpu_check.py --parts tiny 3b --hardware cpu --shape small --prompt-tokens 64   # without one

parts: tests (tests/test_gpu.py), tiny (the shipped model, 100 steps), 3b (a random Qwen2.5-VL of that shape: 3 steps
with LoRA and 3 without), attention and step (scripts/bench_attention.py and bench_step.py at 3B and 7B, 4,096 and
16,384 visual tokens), rollout (scripts/bench_rollout.py at 3B and 7B: tokens a second beside the bandwidth of memory,
Transformers' generate, and vLLM where it is installed), vllm (scripts/check_vllm.py: weights handed over by files and
by CUDA IPC, sleep, adapters alone, exact after every push; then tokens a second). Writes <output>/gpu_check.json as
parts end and prints it last; a run that fails or takes longer than --timeout is named and does not end the others (exit
code 1). Random models are deleted after use.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from ral.benches.measure import machine
from ral.benches.step import SIZES
from ral.checks.gpu import BY_ITSELF, PARTS
from ral.files.repository import OUTPUTS


def main() -> None:
    """Run the parts, write what they gave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(BY_ITSELF), help="default: all but vllm")
    parser.add_argument("--hardware", default="single_gpu", help="hardware group of the runs (default: %(default)s)")
    parser.add_argument("--shape", choices=list(SIZES), default="3b", help="of part 3b (default: %(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=1024, help="visual tokens, part 3b (default: %(default)s)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for each run (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="of part tiny (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUTS / "gpu_check", help="folder for all of it")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    given.output = given.output.absolute()
    if given.hardware != "cpu" and not torch.cuda.is_available():
        sys.exit("error: this torch sees no GPU: install its CUDA build, or try with --hardware cpu --shape small")
    found: dict[str, Any] = {}
    for part in given.parts:
        print(f"part {part} ...", file=sys.stderr, flush=True)
        found[part] = PARTS[part](given)
        found["machine"] = machine()
        (given.output / "gpu_check.json").write_text(json.dumps(found, indent=1) + "\n")
    failed = [f"{part}: {name}" for part in given.parts for name, run in found[part].items() if run["exit_code"]]
    print(json.dumps(found))
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}; see their logs in {given.output}")


if __name__ == "__main__":
    main()
