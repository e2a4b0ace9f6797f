"""What computing everything once is worth: whole training steps of this project against itself with the savings off.

    python scripts/bench_step.py --prompt-tokens 1500                            # plain, each saving alone, all
    python scripts/bench_step.py --prompt-tokens 100,400,1500,4000 --variants plain,all
    python scripts/bench_step.py --growth                        # seconds and memory over P, G, C, with exponents
    python scripts/bench_step.py --hardware single_gpu --model 7b --prompt-tokens 4096,16384 --variants plain,all \
        --more lora.rank=16 hardware.dtype=bfloat16 hardware.gradient_checkpointing=true   # on a GPU

A step is data, rollout, rewards, scoring and `--updates` updates of `algo=ral` on one prompt; the sides take turns, one
step each, and ratios are taken pair by pair. The last line is a JSON object.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.benches.measure import machine, progress_bar, publish
from ral.benches.step import GROWTH, SIZES, WARMUP, against_itself, growth
from ral.benches.variants import VARIANTS
from ral.benches.work import sizes_of
from ral.errors import UserError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt-tokens", default="1500", help="visual tokens of a prompt, a comma list")
    parser.add_argument("--response-tokens", type=int, default=64, help="tokens of each response, exactly")
    parser.add_argument("--group-size", type=int, default=8, help="responses to a prompt")
    parser.add_argument("--updates", type=int, default=4, help="optimizer updates a step")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each side that count")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="sides, a comma list; ratios are to `all`")
    parser.add_argument("--growth", action="store_true", help="instead: seconds and memory of `all` over P, G and C")
    parser.add_argument("--model", choices=list(SIZES), default="small", help="shape of the model")
    parser.add_argument("--hardware", default="cpu", help="hardware group of the runs: cpu, or single_gpu")
    parser.add_argument("--more", nargs="*", default=[], help="more overrides of train.py, for every side")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    return parser.parse_args()


def main() -> None:
    """Measure; one line and exit code 1 where something is wrong."""
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    variants = given.variants.split(",")
    try:
        sizes = sizes_of(given.prompt_tokens)
        if not set(variants) <= set(VARIANTS) or "all" not in variants:
            raise UserError(f"--variants {given.variants}: write all and some of {', '.join(VARIANTS)}")
        sides = sum(len(v) for v in GROWTH.values()) if given.growth else len(sizes) * len(variants)
        with progress_bar() as progress:
            task = progress.add_task("steps", total=sides * (WARMUP + given.repeats))

            def advance() -> None:
                progress.advance(task)

            result, text = growth(given, advance) if given.growth else against_itself(given, sizes, advance)
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {k: v for k, v in vars(given).items() if k != "output"}
    result |= {"settings": settings, "machine": machine(threads=str(given.threads))}
    name = given.output / ("step_growth" if given.growth else f"step_{given.model}_{len(sizes)}_sizes")
    publish(name, result, text)


if __name__ == "__main__":
    main()
