"""Check at the start of a run: the first rollout on the terminal, and warnings where it teaches nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import torch
from rich.console import Console
from rich.text import Text

from ral.learner.ranks import gather
from ral.models.processor import Processor
from ral.rewards.start import describe_start, start_warnings
from ral.types import FinishReason, PromptBatch, Rollout, Scores, Wording


class StartCheck:
    """Observer of steps that prints the first rollout of this process, also of a resumed run.

    Rank 0 prints three of its own responses with rewards, and warnings about the responses of all ranks. console: None
    for stderr. asked: one more warning, of wording or pixels other than those the model was trained on, printed only
    beside others; "" for no such warning.
    """

    def __init__(self, processor: Processor, first_rank: bool, console: Console | None = None, asked: str = "") -> None:
        self.processor, self.first_rank, self.asked = processor, first_rank, asked
        self.console = console or Console(stderr=True)
        self.shown = False

    def __call__(self, rollout: Rollout, scores: Scores) -> None:
        """Print the first rollout; do nothing for all others. Every rank must call it."""
        if self.shown:
            return
        self.shown = True
        everyone = gather((rollout.texts, rollout.finish_reasons, scores))
        if self.first_rank:
            seen = replace(rollout, prompts=as_seen(rollout.prompts, self.processor))
            warnings = start_warnings(*joined(rollout, everyone))
            self.show(seen, scores, [*warnings, *([self.asked] if warnings and self.asked else [])])

    def show(self, rollout: Rollout, scores: Scores, warnings: list[str]) -> None:
        """Print a rollout with its scores; the warnings are red, one line each however wide the terminal is."""
        text = Text(describe_start(rollout, scores, warnings=warnings))
        text.highlight_regex(r"(?m)^warning: .*$", "bold red")
        self.console.print(text, soft_wrap=True, highlight=False)


def as_seen(prompts: PromptBatch, processor: Processor) -> PromptBatch:
    """Return the prompts with texts decoded from the tokens that the model reads, one placeholder a visual token."""
    rows = [ids[kept].tolist() for ids, kept in zip(prompts.token_ids, prompts.valid, strict=True)]
    return replace(prompts, wordings=tuple(Wording(str(processor.tokenizer.decode(row))) for row in rows))


def joined(
    rollout: Rollout, everyone: list[tuple[tuple[str, ...], tuple[FinishReason, ...], Scores]]
) -> tuple[Rollout, Scores]:
    """Return a rollout with the response texts and finish reasons of all ranks, and the scores of all ranks.

    everyone: texts, finish reasons and scores by rank. Prompts and tokens of the rollout stay this rank's.
    """
    texts, reasons, scores = zip(*everyone, strict=True)
    parts = {name: torch.cat([each.parts[name] for each in scores]) for name in scores[0].parts}
    whole = Scores(torch.cat([each.reward for each in scores]), parts)
    return replace(
        rollout, texts=tuple(chain.from_iterable(texts)), finish_reasons=tuple(chain.from_iterable(reasons))
    ), whole
