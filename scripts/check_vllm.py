"""Checks vLLM beside the trainer: weights by each transport, sleep, adapters alone; exact after every push.

    python scripts/check_vllm.py --device cuda --model 3b --cache-gb 8     # on a GPU: needs the package vllm
    .venv-vllm/bin/python scripts/check_vllm.py                            # on a CPU: the shipped model, no sleep

Each combination that the machine can do starts an engine, pushes weights --pushes times, samples after each, and
compares log-probs with the trainer's. NCCL (--transports broadcast) needs a second GPU. One line a combination, a JSON
object last; exit code 1 where one is wrong.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import json
import sys
from pathlib import Path

import torch

from ral.benches.measure import machine
from ral.benches.rollout import MODELS
from ral.checks.handover import ADAPTERS, LEVELS, TINY, TRANSPORTS, cases, chosen, measured
from ral.errors import UserError
from ral.rollout.vllm.process import check_package


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[TINY, *MODELS], default=TINY, help="the shipped one, or random of a shape")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: bfloat16 on a GPU, float32 without")
    parser.add_argument("--transports", default="file,ipc,broadcast", help="a comma list (default: %(default)s)")
    parser.add_argument("--sleep", default="0,1,2", help="levels, 0: awake (default: %(default)s)")
    parser.add_argument("--adapters", default="merged,alone", help="a comma list (default: %(default)s)")
    parser.add_argument("--pushes", type=int, default=3, help="of each combination (default: %(default)s)")
    parser.add_argument("--prompts", type=int, default=4, help="pictures a rollout (default: %(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=64, help="visual tokens of each (default: %(default)s)")
    parser.add_argument("--group-size", type=int, default=8, help="responses to each (default: %(default)s)")
    parser.add_argument("--response-tokens", type=int, default=32, help="most tokens of each (default: %(default)s)")
    parser.add_argument("--cache-gb", type=float, default=0.25, help="vLLM's keys and values (default: %(default)s)")
    parser.add_argument("--folder", help="where files are handed over (default: main memory)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    given = parser.parse_args()
    given.dtype = given.dtype or ("float32" if given.device == "cpu" else "bfloat16")
    return given


def main() -> None:
    """Check every combination; one line and exit code 1 where something is wrong."""
    given, found = arguments(), {}
    try:
        asked = [(given.transports, TRANSPORTS, "--transports"), (given.sleep, LEVELS, "--sleep")]
        values = [chosen(*each) for each in (*asked, (given.adapters, ADAPTERS, "--adapters"))]
        gpus = 0 if given.device == "cpu" else torch.cuda.device_count()
        if given.device != "cpu" and not gpus:
            raise UserError(f"--device {given.device}: this torch sees no GPU: install its CUDA build, or write cpu")
        check_package()
    except UserError as error:
        sys.exit(f"error: {error}")
    given.output.mkdir(parents=True, exist_ok=True)
    for case in cases(*values, gpus=gpus, half=given.dtype != "float32"):
        found[case.name()] = measured(given, case)
        print(f"{'FAILED' if found[case.name()]['wrong'] else 'ok    '} {case.name()}", file=sys.stderr, flush=True)
    settings = {k: v for k, v in vars(given).items() if k != "output"}
    result = {"cases": found, "settings": settings, "machine": machine()}
    (given.output / "check_vllm.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
    if failed := [f"{name}: {case['wrong']}" for name, case in found.items() if case["wrong"]]:
        sys.exit(f"error: {len(failed)} of {len(found)} are wrong: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
