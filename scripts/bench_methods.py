"""Times whole training steps of several algorithms on the same prompts, in turns, against a step of GRPO.

    python scripts/bench_methods.py                                             # the methods of perception
    python scripts/bench_methods.py --algorithms ral,papo --prompt-tokens 400,1500

A step is data, rollout, rewards, scoring and `--updates` updates on one prompt, whose picture has evidence; ratios of
processor time are taken pair by pair. The last line is a JSON object.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path
from typing import Any

from ral.benches.measure import machine, progress_bar, publish, range_text
from ral.benches.methods import BASE, measured
from ral.benches.step import WARMUP
from ral.benches.work import sizes_of
from ral.errors import UserError
from ral.files.markdown import table

METHODS = "papo,vppo,ease,evidence_distill,attention_advantage"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default=METHODS, help="a comma list; ratios are to grpo")
    parser.add_argument("--prompt-tokens", default="1500", help="visual tokens of a prompt, a comma list")
    parser.add_argument("--response-tokens", type=int, default=64, help="tokens of each response, exactly")
    parser.add_argument("--group-size", type=int, default=8, help="responses to a prompt")
    parser.add_argument("--updates", type=int, default=4, help="updates a step")
    parser.add_argument("--repeats", type=int, default=5, help="steps that count")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    return parser.parse_args(namespace=argparse.Namespace(hardware="cpu", model="small", threads=1, more=[]))


def main() -> None:
    """Measure; one line and exit code 1 where something is wrong."""
    given, rows, result = arguments(), [], dict[str, Any]()
    names = [name for name in given.algorithms.split(",") if name != BASE]
    try:
        sizes = sizes_of(given.prompt_tokens)
        with progress_bar() as bar:
            task = bar.add_task("steps", total=len(sizes) * (len(names) + 1) * (WARMUP + given.repeats))
            for size in sizes:
                result[str(size)] = found = measured(given, size, names, lambda: bar.advance(task))
                for name, f in found.items():
                    seconds, memory = range_text(f["theirs"]["cpu_seconds"]), f"{1 / f['memory_ratio']:.2f}"
                    rows.append((size, name, seconds, range_text(f["cpu_ratio"]), memory))
    except UserError as error:
        sys.exit(f"error: {error}")
    columns = ("visual tokens", "algorithm", "processor seconds a step", "times GRPO", "its memory, times GRPO's")
    facts = {"sizes": result, "settings": vars(given) | {"output": str(given.output)}, "machine": machine(threads="1")}
    publish(
        given.output / "methods", facts, "Median (min to max); ratios pair by pair.\n\n" + table(columns, rows, left=2)
    )


if __name__ == "__main__":
    main()
