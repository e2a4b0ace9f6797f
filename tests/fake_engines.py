"""Rollout engines that no weight decides, named by the configurations of tests."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import ClassVar

from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.given import written
from ral.types import Prepared, Rollout


class FakeEngine:
    """Answers with `texts` in turn, and notes what it is asked in `events`. Offers the Protocol and nothing beyond it.

    deaf: it hears of no update after the first, so that its version grows stale.
    """

    made: ClassVar[list[FakeEngine]] = []

    def __init__(
        self,
        policy: MLLM,
        *,
        texts: Sequence[str] = ("<think>a</think><answer>A</answer>", "B"),
        deaf: bool = False,
        max_lag: float = 0,
    ) -> None:
        self.processor, self.texts, self.deaf, self.max_lag = policy.processor, texts, deaf, max_lag
        self.version, self.events = -1, list[str]()
        self.seeds: list[int] = []
        FakeEngine.made.append(self)

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return made-up responses of the version it has heard of."""
        self.events.append(f"generate {count}{' greedy' if sampling.greedy else ''}")
        self.seeds.append(seed)
        texts = [self.texts[n % len(self.texts)] for n in range(count * len(prompts.prompts))]
        return replace(written(self.processor, prompts, texts), policy_version=self.version)

    def session(self) -> AbstractContextManager[None]:
        """Need no preparation."""
        return nullcontext()

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Note the version alone."""
        self.events.append(f"update {version}")
        if not self.deaf or self.version < 0:
            self.version = version

    def close(self) -> None:
        """Note the end."""
        self.events.append("close")
