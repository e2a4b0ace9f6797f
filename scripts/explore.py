"""Writes a page on which the attention of answers is looked up, token by token: `--help` says more."""

from __future__ import annotations

import installed  # noqa: F401

from typing import TYPE_CHECKING

from ral.config.cli import run
from ral.config.exploring import check, claim

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(cfg: DictConfig) -> None:
    """Ask, measure, write."""
    from ral.checks.explore import explore

    explore(cfg)


if __name__ == "__main__":
    run(main, "explore", check=check, claim=claim, texts=["question"])
