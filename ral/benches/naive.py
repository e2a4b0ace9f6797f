"""RAL with eager attention, to compare with: all layers return their weights, and each response is a row with its
prompt.

The objective's code is the same; the forward pass and the computation of rows differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ral.models.attention.training_layouts import Recorder
from ral.models.plain import PlainMLLM
from ral.models.states import States
from ral.ops.attention import AttentionSpec, CapturedAttention
from ral.ops.divergence import Divergence
from ral.types import Prepared, Shown


@dataclass(frozen=True)
class EagerAttention(CapturedAttention):
    """Attention rows [L N C K] (Eq. 2) from returned attention weights; they exist as a whole, with their graph."""

    weights: Tensor | None = None

    def rows(self, chunk: int | None = None) -> Tensor:
        """Return the attention policy [L N C K]. chunk: not used, since all rows are there."""
        assert self.weights is not None
        return self.weights

    def compare(self, anchor: Tensor, measure: Divergence, chunk: int | None = None) -> Tensor:
        """Compute measure(rows, anchor), averaged over layers, [N C]."""
        return measure(self.rows(), anchor).mean(0)


@dataclass
class EagerRecorder(Recorder):
    """Recorder of the attention weights [N H S S] of every layer, S = P + C."""

    weights: list[Tensor] = field(default_factory=list)

    def captured(
        self, spec: AttentionSpec, visual: Tensor, valid: Tensor, shown: Shown | None = None
    ) -> CapturedAttention:
        """Return the attention with the paper's rows: mean over heads, the token's own query, all keys."""
        start, mask = self.valid.shape[1], valid if shown is None else shown.trainable
        seen = torch.cat([self.valid, valid], dim=1)[:, None]
        at = torch.arange(seen.shape[-1], device=mask.device)
        keep = seen & (at[None] < at[start:, None]) & mask[:, :, None]
        layers = [self.weights[i][:, :, start:].mean(1) * keep for i in self.layers]
        rows = torch.stack([a / a.sum(-1, keepdim=True).clamp_min(1e-19) for a in layers])
        return EagerAttention((), self.valid, visual, mask, 1.0, spec, weights=rows)


class NaiveMLLM(PlainMLLM):
    """Passes over unshared rows [prompt | response] under Transformers' eager attention; all layers return their
    weights.
    """

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Return the states and attention as MLLM.states does."""
        self.network.set_attn_implementation({"text_config": "eager", "vision_config": "sdpa"})
        self.weights: list[Tensor] = []
        layers = self.network.model.language_model.layers
        hooks = [
            x.self_attn.register_forward_hook(lambda _, __, out: self.weights.append(out[1]))
            for x in layers
            if hasattr(x, "self_attn")
        ]
        try:
            return super().states(prepared, token_ids, valid, spec, shown)
        finally:
            for hook in hooks:
                hook.remove()

    def _training_layout(self, prepared: Prepared, valid: Tensor, layers: tuple[int, ...]) -> Recorder:
        whole = torch.cat([prepared.valid, valid], dim=1)
        return EagerRecorder(prepared.valid, 1, valid.shape[1], layers, mask=whole, weights=self.weights)
