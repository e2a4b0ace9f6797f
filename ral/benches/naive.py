"""RAL with eager attention, as a side to compare with.

All layers return their attention weights, and each response is in a row of its own, behind its prompt. The objective's
code is the same; the forward pass and the computation of attention rows differ.

Shapes: N responses, L layers, H heads, P prompt tokens, C response tokens, K = P + C keys.
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
    """Attention policies [L N C K] (Eq. 2) from returned attention weights, all held at once with their graph."""

    weights: Tensor | None = None

    def rows(self, chunk: int | None = None) -> Tensor:
        """Return the attention policies [L N C K]. chunk: ignored, since all of them are held."""
        assert self.weights is not None
        return self.weights

    def compare(self, anchor: Tensor, measure: Divergence, chunk: int | None = None) -> Tensor:
        """Return measure(attention policy, anchor) averaged over layers, [N C]. chunk: ignored.

        anchor: attention policies [L N C K]. measure: the divergence.
        """
        return measure(self.rows(), anchor).mean(0)


@dataclass
class EagerRecorder(Recorder):
    """Recorder of the attention weights [N H K K] of every layer."""

    weights: list[Tensor] = field(default_factory=list)

    def captured(
        self, spec: AttentionSpec, visual: Tensor, valid: Tensor, shown: Shown | None = None
    ) -> CapturedAttention:
        """Return the paper's attention policies: mean over heads, from the token's own query, over the keys before it.

        valid: mask [N C] of response tokens. shown: responses with segments that were shown to the policy, whose tokens
        get no row; None where all segments were sampled.
        """
        start, mask = self.valid.shape[1], valid if shown is None else shown.trainable
        seen = torch.cat([self.valid, valid], dim=1)[:, None]
        at = torch.arange(seen.shape[-1], device=mask.device)
        keep = seen & (at[None] < at[start:, None]) & mask[:, :, None]
        layers = [self.weights[i][:, :, start:].mean(1) * keep for i in self.layers]
        rows = torch.stack([a / a.sum(-1, keepdim=True).clamp_min(1e-19) for a in layers])
        return EagerAttention((), self.valid, visual, mask, 1.0, spec, weights=rows)


class NaiveMLLM(PlainMLLM):
    """MLLM whose forward passes run over rows [prompt | response] under Transformers' eager attention.

    Prompts are not shared, and all layers return their attention weights.
    """

    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Return hidden states and captured attention as MLLM.states does."""
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
