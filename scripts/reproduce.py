"""The paper's claims put to the test with the shipped model: rows x seeds of runs, statistics, figures, verdicts.

    python scripts/reproduce.py                                  # table `main`, 10 seeds: about an hour on two cores
    python scripts/reproduce.py tables=main,grid,frames          # what `make reproduce` runs: two hours
    python scripts/reproduce.py tables=main,lambda seeds=3
    python scripts/reproduce.py tables=path processes=1          # where every step must look: claims (g) and (h)
    python scripts/reproduce.py tables=path_tokens,path_length    # visual tokens and steps of a route: (p) and (q)
    python scripts/reproduce.py rows=grpo,ral seeds=0-4 processes=1
    python scripts/reproduce.py tables=main processes=0 docs=true     # no runs: tables and figures of what is there

tables=main         of conf/reproduce.yaml, separated by commas; all = every one
rows=...            labels of rows, separated by commas (of labels that hold one: by semicolons); default: all
seeds=...           how many (10), a range (0-4) or a list (0,3); default: the table's own
processes=2         runs at once, one thread each; 0 = only read what is there
output=outputs/reproduce     folder of the runs (runs/), results.md, results.json and figures
gate=false          true: nothing is run; the gates of tables of dataset=visual_path are printed, once they are measured
                    where the output folder lacks them (path_gate/gate.json, path_wide_gate/gate.json)
docs=false          true: results go to docs/results.md (tables path*), docs/results_visual_search.md (the others) and
                    docs/figures too; they then cover all tables and rows that have runs in the output folder,
                    whatever is run now
resolution=false    true: kept weights are evaluated at 4, 9, 16 visual tokens and 2, 4, 8 frames as well

The same command goes on after an interruption: runs that are done stay, others start again. Exit codes: 0, 1 where a
run failed or a key is wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import installed  # noqa: F401

import sys
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from ral.errors import UserError
from ral.files.repository import CONF, DOCS
from ral.study.command import parse
from ral.study.reproduce import make, plan_study, report

INTERRUPTED = 130  # exit code after Ctrl-C: 128 + SIGINT


def main(arguments: Sequence[str]) -> int:
    """Run, analyse, write; the exit code."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        plan: Any = OmegaConf.to_container(OmegaConf.load(CONF / "reproduce.yaml"))
        study = plan_study(parse(arguments), plan, CONF / "experiment")
        failed = make(study)
        report(study, failed, DOCS)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on with the runs that are not done", file=sys.stderr)
        return INTERRUPTED
    for name, problem in failed.items():
        print(f"failed: {name}: {problem}", file=sys.stderr)
    if failed:
        print(f"error: {len(failed)} runs failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
