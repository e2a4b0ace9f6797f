"""Times whole training steps (data, rollout, rewards, scoring, updates) against TRL's GRPOTrainer on the same work.

    python scripts/bench_vs_trl.py --prompt-tokens 64,256,1024 --repeats 7

Both sides load the same model folder, pictures and questions, generate the same number of tokens and make the same
number of updates; they take turns, one step each, and the ratio is taken pair by pair. TRL gets an environment of its
own, made at first use. The last line is a JSON object; it and a table are also written below --output.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.benches.measure import progress_bar, publish
from ral.benches.vs_trl import WARMUP, markdown, measure, summary, trl_python
from ral.benches.work import sizes_of
from ral.errors import UserError


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
