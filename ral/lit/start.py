"""The check at the start of a run: the first rollout on the terminal, and a loud warning where it teaches nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.text import Text

from ral.lit.data import gather
from ral.models.processor import Processor
from ral.rewards.start import describe_start, start_warnings
from ral.types import FinishReason, PromptBatch, Rollout, Scores


class StartCheck(L.Callback):
    """Shows three answers of the first step with their rewards, on rank 0; warnings look at the answers of all ranks.

    It listens to the module's `scored` and stops listening after the first rollout, of which nothing is kept.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        """Listen to the first rollout of this process, also of a resumed run."""

        def show(rollout: Rollout, scores: Scores) -> None:
            module.scored.remove(show)
            everyone = gather((rollout.texts, rollout.finish_reasons, scores))
            if trainer.is_global_zero:
                seen = replace(rollout, prompts=as_seen(rollout.prompts, module.policy.processor))
                self.show(seen, scores, start_warnings(*together(rollout, everyone)))

        module.scored.append(show)

    def show(self, rollout: Rollout, scores: Scores, warnings: list[str]) -> None:
        """Print; the warnings stand out, one line each however wide the terminal is."""
        text = Text(describe_start(rollout, scores, warnings=warnings))
        text.highlight_regex(r"(?m)^warning: .*$", "bold red")
        self.console.print(text, soft_wrap=True, highlight=False)


def as_seen(prompts: PromptBatch, processor: Processor) -> PromptBatch:
    """The same prompts, their texts decoded from the tokens that the model reads, one placeholder a visual token."""
    rows = [ids[kept].tolist() for ids, kept in zip(prompts.token_ids, prompts.valid, strict=True)]
    return replace(prompts, texts=tuple(str(processor.tokenizer.decode(row)) for row in rows))


def together(
    rollout: Rollout, everyone: list[tuple[tuple[str, ...], tuple[FinishReason, ...], Scores]]
) -> tuple[Rollout, Scores]:
    """One rollout with the answers of all ranks, and their scores; prompts and tokens stay this rank's."""
    texts, reasons, scores = zip(*everyone, strict=True)
    parts = {name: torch.cat([each.parts[name] for each in scores]) for name in scores[0].parts}
    whole = Scores(torch.cat([each.reward for each in scores]), parts)
    return replace(
        rollout, texts=tuple(chain.from_iterable(texts)), finish_reasons=tuple(chain.from_iterable(reasons))
    ), whole
