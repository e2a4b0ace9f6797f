"""The paper's table from the first stage to the last: SFT, the RL rows, the distillations, fifteen benchmarks for each.

    python scripts/paper.py scale=tiny                   # the shipped models on made data: 4 to 13 minutes on 2 cores
    python scripts/paper.py scale=7b plan=true           # memory, disk and hours by stage; runs nothing
    python scripts/paper.py scale=7b data=/data/video_r1 benchmarks=/data/benchmarks
    python scripts/paper.py scale=3b stages=[sft,grpo,ral,evaluate_grpo,evaluate_ral] evaluate.limit=500

scale=tiny             7b (eight cards of 80 GB), 3b (one card of 24 GB) or tiny, of conf/paper.yaml
stages=[...]           names of stages, train or evaluate for all of these; default: all. Stages: sft, sft_zero, grpo,
                       t_grpo, ral, ral_zero, distill, ral_distill; evaluate_base, evaluate_sft, evaluate_grpo, ...
output=outputs/paper/SCALE   folder of the stages, each a run folder, and of the table
base=, teacher=        models: folders or hub ids
data=                  folder of Video-R1-COT-165k.json, Video-R1-260k.json and their media
benchmarks=            folder that holds one named after each benchmark (docs/evaluation.md says with what in it)
seed=0                 of the runs
plan=false             true: print the plan of each training stage and the hours of all, and run nothing
cards=1                evaluations at once, each on a card of its own
keep_checkpoints=false true: those of a finished stage stay; its model (hf/) stays anyway
STAGE.KEY=VALUE        one more setting of a stage, or of all with train.KEY=VALUE and evaluate.KEY=VALUE

What is missing is named before anything runs. The same command goes on after an interruption: finished stages stay, the
others go on from their last checkpoint. paper.md, paper.html and paper.json hold the table beside the paper's. The last
line is `paper: <folder>`. Exit codes: 0, 1 where something is missing or a stage failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import installed  # noqa: F401

import sys
from collections.abc import Sequence

from ral.errors import UserError

INTERRUPTED = 130  # exit code after Ctrl-C: 128 + SIGINT


def main(arguments: Sequence[str]) -> int:
    """Plan, or check, run and report; the exit code."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    from ral.api.paper import make, plan  # imports torch, so only now
    from ral.study.paper.command import parse

    try:
        settings = parse(arguments)
        print(plan(settings) if settings.plan else f"paper: {make(settings)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one was", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
