"""What keeps a run from going wrong unseen: unsound updates are skipped and kept for inspection, bad signs are told."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import lightning as L
import torch
from rich.console import Console
from torch import Tensor

from ral.lit.experience import Experience
from ral.types import UserError

MOST_DUMPS = 5
WINDOW = 20
"""Steps over which a sign has to hold."""


@dataclass
class Skip:
    """Says whether an update may be made; one with a gradient that is not finite may not.

    folder: gets the batch of a skipped update, one file a rank, at most MOST_DUMPS of them. max_skipped: of a run.
    """

    folder: Path
    max_skipped: int
    skipped: int = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"skipped": self.skipped}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint: max_skipped is of the whole run."""
        self.skipped = int(state["skipped"])

    def __call__(
        self, norm: Tensor, place: str, parts: Sequence[Experience], losses: Sequence[Mapping[str, Tensor]]
    ) -> bool:
        """norm: of the whole gradient over all ranks, so that all decide alike. UserError beyond max_skipped."""
        if bool(torch.isfinite(norm)):
            return True
        self.skipped += 1
        if self.skipped <= MOST_DUMPS:
            warnings.warn(f"{place}: the gradient is not finite: no update; batch in {self.folder}", stacklevel=2)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                torch.save([describe(*pair) for pair in zip(parts, losses, strict=True)], self.folder / f"{place}.pt")
            except (OSError, RuntimeError) as error:  # a full disk on one rank must not part it from the others
                warnings.warn(f"{self.folder}: the batch cannot be written ({error})", stacklevel=2)
        if self.skipped > self.max_skipped:
            raise UserError(
                f"the gradient was not finite in {self.skipped} updates, more than "
                f"guard.max_skipped={self.max_skipped}; batches of the first ones are in {self.folder}: lower "
                "algo.learning_rate, or look for the entry that does it"
            )
        return False


def describe(part: Experience, losses: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a skipped update was made of: tensors and plain values, which torch.load(weights_only=True) reads."""
    rollout = part.rollout
    return {
        "uids": [example.uid for example in rollout.prompts.examples],
        "texts": list(rollout.texts),
        "response_ids": rollout.response_ids.cpu(),
        "response_mask": rollout.response_mask.cpu(),
        "advantages": part.advantages.cpu(),
        "losses": {name: loss.cpu() for name, loss in losses.items()},
    }


Sign = Callable[[Sequence[Mapping[str, float]]], str | None]
"""What the last steps' metrics, oldest first, tell of: a line with a remedy, or None."""


def column(steps: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """The values of a metric, where steps have it."""
    return [step[key] for step in steps if key in step]


def reward_collapse(steps: Sequence[Mapping[str, float]]) -> str | None:
    """The mean reward of the last WINDOW steps is below half of what an earlier window had."""
    rewards = column(steps, "train/reward")
    now = mean(rewards[-WINDOW:]) if len(rewards) >= 2 * WINDOW else None
    if now is None:
        return None
    best = max(mean(rewards[n : n + WINDOW]) for n in range(0, len(rewards) - 2 * WINDOW + 1, WINDOW // 2))
    if now >= best / 2 or best - now < 0.1:
        return None
    return f"the reward fell from {best:.2f} to {now:.2f}: lower algo.learning_rate or raise algo.kl.coef"


def no_signal(steps: Sequence[Mapping[str, float]]) -> str | None:
    """Hardly a group has answers of different reward."""
    shares = column(steps, "train/groups_without_signal")[-WINDOW:]
    if len(shares) < WINDOW or mean(shares) < 0.95:
        return None
    return (
        f"over {WINDOW} steps {mean(shares):.0%} of the prompts gave answers of equal reward, which teach nothing: "
        "take prompts of middling difficulty, raise algo.temperature or algo.group_size"
    )


def kl_explosion(steps: Sequence[Mapping[str, float]]) -> str | None:
    """The policy is a nat a token away from the reference."""
    values = column(steps, "train/kl")[-3:]
    if len(values) < 3 or min(values) < 1.0:
        return None
    remedy = "lower algo.learning_rate or raise algo.kl.coef"
    return f"the policy has left the reference ({values[-1]:.2f} nats a token): {remedy}"


def length_explosion(steps: Sequence[Mapping[str, float]]) -> str | None:
    """Most responses are cut by the length limit, which few were at first."""
    cut = column(steps, "train/truncated")
    if len(cut) < 2 * WINDOW or mean(cut[:WINDOW]) > 0.25 or mean(cut[-WINDOW:]) < 0.5:
        return None
    return (
        f"{mean(cut[-WINDOW:]):.0%} of the responses are cut by dataset.max_new_tokens, {mean(cut[:WINDOW]):.0%} "
        "were at first: add a repetition or length part to the reward (reward=strict), or raise the limit"
    )


SIGNS: Mapping[str, Sign] = {f.__name__: f for f in (reward_collapse, no_signal, kl_explosion, length_explosion)}


@dataclass
class Watch(L.Callback):
    """Warns, once a run, of each sign that training has gone wrong, and says what helps."""

    console: Console = field(default_factory=lambda: Console(stderr=True))
    steps: list[dict[str, float]] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the steps that signs look at, and what was told."""
        return {"steps": [dict(step) for step in self.steps], "told": sorted(self.told)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint: nothing is told twice."""
        self.steps, self.told = [dict(step) for step in state["steps"]], set(state["told"])

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Look at the step's metrics."""
        if not trainer.is_global_zero:
            return
        self.steps.append(dict(module.latest))
        for name, sign in SIGNS.items():
            if name not in self.told and (found := sign(self.steps)):
                self.told.add(name)
                self.console.print(f"warning: step {module.rollout_step}: {found}", highlight=False, soft_wrap=True)
