"""This project with some of its savings switched off, to measure each of them.

encode    the vision tower runs once per prompt and step (off: for every response in every pass)
prefill   a prompt is prefilled once, its cache shared by its responses (off: once for each response)
update    one packed row per prompt in scoring and updates (off: one row [prompt | response] for each response)
head      log-probs in chunks that are recomputed in the backward pass (off: the logits of all response tokens at once)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ral.learner.experience import Forward
from ral.models.attention.rollout_layouts import Decode
from ral.models.attention.training_layouts import Recorder
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.states import Openings, States
from ral.ops.attention import AttentionSpec
from ral.ops.logprobs import policy_logits
from ral.types import Prepared, PromptBatch, Rollout, Shown

SAVINGS = ("encode", "prefill", "update", "head")
VARIANTS = {"plain": (), **{f"{name} once": (name,) for name in SAVINGS[:3]}, "no logits": ("head",), "all": SAVINGS}


class VariantMLLM(PlainMLLM):
    """An MLLM with only those savings that its class attribute `savings` names."""

    savings: tuple[str, ...] = ()
    batch: PromptBatch

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Return the prepared prompts as MLLM.prepare does; keep their pixels for more passes of the vision tower."""
        type(self).batch = prompts.to(self.device)  # of the class: the frozen copies see it too
        return super().prepare(prompts)

    def encode_again(self, count: int) -> None:
        """Run the vision tower `count` more times on the last prompts, unless the saving `encode` is on."""
        if "encode" not in self.savings:
            for _ in range(count):
                self._see(self.batch)

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Return hidden states and captured attention as MLLM.states does.

        With the saving `update` a prompt's row is shared by its responses, else each response has a row [prompt |
        response].
        """
        self.encode_again(len(token_ids) // len(prepared))
        base = MLLM if "update" in self.savings else PlainMLLM
        return base.states(self, prepared, token_ids, valid, spec, shown)

    def _training_layout(self, prepared: Prepared, valid: Tensor, layers: tuple[int, ...]) -> Recorder:
        base = MLLM if "update" in self.savings else PlainMLLM
        return base._training_layout(self, prepared, valid, layers)

    def prefill(self, prepared: Prepared, group_size: int, openings: Openings | None = None) -> tuple[Tensor, Decode]:
        """Return hidden states and decoding state as MLLM.prefill does.

        With the saving `prefill` the prompt's cache is shared by its responses, else each response has one.
        """
        self.encode_again(group_size)
        base = MLLM if "prefill" in self.savings else PlainMLLM
        return base.prefill(self, prepared, group_size, openings)


def whole_logits(self: Forward, model: MLLM, states: States, rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Return log-probs and entropies [N C] as Forward.log_probs does, from logits that are kept as a whole [N*C V].

    N responses, C tokens of each, V tokens of the vocabulary; both results are 0 at tokens that are not trainable.
    """
    banned = model.processor.banned.to(rollout.token_ids.device)
    flat = states.hidden.flatten(0, 1)
    logits = policy_logits(flat, model.head, temperature=self.temperature, banned=banned)
    log_p = torch.log_softmax(logits, -1)
    entropy = -(log_p.exp() * log_p.masked_fill(banned, 0.0)).sum(-1).detach()
    chosen = log_p.gather(-1, rollout.token_ids.flatten()[:, None]).squeeze(-1)
    mask = rollout.trainable
    return chosen.view(mask.shape).masked_fill(~mask, 0.0), entropy.view(mask.shape).masked_fill(~mask, 0.0)


def install(name: str) -> None:
    """Make runs of this process load models of the variant `name` of VARIANTS."""
    import ral.assembly.models

    savings = VARIANTS[name]
    kind: type[MLLM] = MLLM if savings == SAVINGS else type("Chosen", (VariantMLLM,), {"savings": savings})

    def load(pretrained: str, *, share_prompt: bool = True, **settings: Any) -> MLLM:
        return kind.load(pretrained, **settings)

    ral.assembly.models.load = load
    if "head" not in savings:
        Forward.log_probs = whole_logits  # type: ignore[method-assign,assignment]
