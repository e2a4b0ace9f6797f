"""What reinforced attention costs: one update of RAL against one of GRPO, and against RAL the naive way.

    python scripts/bench_attention.py --prompt-tokens 1024,4096,8192 --repeats 5
    python scripts/bench_attention.py --device cuda --model 7b --prompt-tokens 4096,16384 --checkpointing  # GPU, bf16

The same prompt, responses and frozen signals; the sides take turns, one update each, and ratios are taken pair by pair.
Naive: eager attention everywhere and the weights of all layers returned, one response at a time; it is left out where
its attention weights alone would not fit into memory, where it runs out of memory, and with --checkpointing. On a GPU
the side that waits gives its memory back, unless --apart; both then allocate anew in every update, within its time. The
last line is a JSON object.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.benches.attention import ROW, SIZES, VOCABULARY, WARMUP, markdown, measure, naive_repeats, ratios
from ral.benches.measure import machine, progress_bar, publish
from ral.benches.work import drawn, sizes_of, write_bench_model
from ral.errors import UserError


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt-tokens", default="1024,4096,8192", help="visual tokens, multiples of 32, comma list")
    parser.add_argument("--response-tokens", type=int, default=256, help="tokens of each response")
    parser.add_argument("--group-size", type=int, default=8, help="responses to the prompt")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of updates that count")
    parser.add_argument("--naive-repeats", type=int, default=None, help="of the naive side (default: repeats); 0: none")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side")
    parser.add_argument("--apart", action="store_true", help="one side after the other: both do not fit into memory")
    parser.add_argument("--checkpointing", action="store_true", help="recompute layers in the backward pass")
    parser.add_argument("--model", choices=list(SIZES), default="100m", help="shape of the decoder, random weights")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    return parser.parse_args()


def main() -> None:
    """Measure every size; one line and exit code 1 where something is wrong."""
    given = arguments()
    given.output.mkdir(parents=True, exist_ok=True)
    naive = naive_repeats(given)
    try:
        sizes = sizes_of(given.prompt_tokens)
        if any(size % ROW for size in sizes):
            raise UserError(f"--prompt-tokens {given.prompt_tokens}: write multiples of {ROW}")
        folder = given.output / f"decoder_{given.model}"
        model = write_bench_model(folder, SIZES[given.model], VOCABULARY, *drawn(given.device == "cuda"))
        rounds = [WARMUP + repeats for repeats in (given.repeats, naive) if repeats]
        total = len(sizes) * 2 * sum(rounds)
        with progress_bar() as progress:
            task = progress.add_task("loading", total=total)
            found = {size: measure(given, model, size, progress, task) for size in sizes}
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {k: v for k, v in vars(given).items() if k != "output"}
    last = ratios(found[sizes[-1]])
    each = {str(size): {**ratios(f), **f} for size, f in found.items()}
    result = {**last, "sizes": each, "settings": settings, "machine": machine(threads=str(given.threads))}
    publish(given.output / f"attention_{given.model}_{given.device}", result, markdown(found))


if __name__ == "__main__":
    main()
