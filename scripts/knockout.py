"""Cuts attention to the evidence and counts right answers, to tell which tokens read it: `--help` says more.

python scripts/knockout.py checkpoint=assets/tiny_teacher dataset=visual_search limit=64 output=outputs/knockout
"""

from __future__ import annotations

import installed  # noqa: F401

from typing import TYPE_CHECKING

from ral.config.cli import run
from ral.config.knockout import check, claim

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Ask, print, write."""
    from ral.checks.knockout import knock_out

    knock_out(cfg)


if __name__ == "__main__":
    run(main, "knockout", check=check, claim=claim)
