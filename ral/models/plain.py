"""The plain path: one sequence [prompt | response] for each response, under Transformers' own masks and cache.

As in other trainers the prompt is computed G times. The plain path is chosen by hardware.share_prompt=false, and for
models whose layers cannot share prompts. Its tokens, log-probs and attention rows are those of the shared path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Cache, DynamicCache

from ral.models.attention.kernel import summed
from ral.models.attention.rollout_layouts import Decode
from ral.models.attention.training_layouts import Recorder
from ral.models.masters import in_own_arithmetic
from ral.models.mllm import MLLM
from ral.models.states import Openings, States
from ral.ops.attention import AttentionSpec
from ral.types import Prepared, Shown


@dataclass
class PlainDecode(Decode):
    """Decoding state of the plain path: N sequences of one response each, Transformers' cache in `past`.

    valid [N P], position [N 1]; group_size: number of adjacent sequences with the same prompt.
    """

    group_size: int = 1

    @property
    def mask(self) -> Tensor:
        """Return a mask [N P + step + 1] of valid positions: the prompt's, and response tokens up to the one fed."""
        return torch.cat([self.valid, self.valid.new_ones(len(self.valid), self.step + 1)], dim=1)

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep the prompts `prompts` [B'] and their responses `slots` [B' G'], drop the rest; see Decode.keep."""
        rows = (prompts[:, None] * self.group_size + slots).flatten()
        self.valid, self.position, self.group_size = self.valid[rows], self.position[rows], slots.shape[1]
        assert isinstance(self.past, Cache)
        self.past.batch_select_indices(rows)
        self.cut = None if self.cut is None else self.cut.take(rows)
        if self.explored is not None:
            self.explored.keep(prompts, slots)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor | None:  # type: ignore[override]
        """Return None, which leaves the attention to SDPA; under noise or a knockout, the attention output [N 1 H D].

        query [N H 1 D]: that of the token fed. key, value [N Hkv P+t D]: the whole cache, t response tokens included.
        """
        if not self.explores(layer) and not self.cuts(layer):
            return None
        count, heads, kv_heads = len(query), query.shape[1], key.shape[1]
        q = query.to(value.dtype).view(count, kv_heads, 1, heads // kv_heads, -1)
        scores = summed(q, key.to(value.dtype).unsqueeze(2).mT, scaling)
        own = self.valid.new_ones(count, scores.shape[-1] - self.valid.shape[1])
        hidden = ~torch.cat([self.seen(layer), own], dim=1)[:, None, None, None]
        weights = self.weigh(layer, scores.masked_fill(hidden, -torch.inf)).to(value.dtype)
        out = summed(weights, value.unsqueeze(2)).to(value.dtype)
        return out.reshape(count, 1, heads, -1)


class PlainMLLM(MLLM):
    """An MLLM whose forward passes repeat the prompt for each response."""

    shares = False

    @in_own_arithmetic
    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Return hidden states that predict response tokens, from one sequence [prompt | response] for each response.

        Parameters as in MLLM.states.
        """
        group = len(token_ids) // len(prepared)
        return super().states(prepared.repeat(group), token_ids, valid, spec, shown)

    def _training_layout(self, prepared: Prepared, valid: Tensor, layers: tuple[int, ...]) -> Recorder:
        mask = torch.cat([prepared.valid, valid], dim=1)
        return Recorder(prepared.valid, 1, valid.shape[1], layers, mask=mask, cut=prepared.cut)

    @in_own_arithmetic
    def prefill(self, prepared: Prepared, group_size: int, openings: Openings | None = None) -> tuple[Tensor, Decode]:
        """Run one pass over prompts, a sequence for each response; return hidden states [N D] and the decoding state.

        Parameters and result as in MLLM.prefill. AssertionError for openings with tokens.
        """
        assert openings is None or not openings.lengths.any()
        rows = prepared.repeat(group_size)
        past = DynamicCache(config=self.network.config.get_text_config())
        layout = Recorder(rows.valid, 1, 0, mask=rows.valid, past=past, cut=rows.cut)
        out = self._decoder(self._embed(rows), rows.positions, layout, rows.seen.deepstack)
        first = rows.next_position[:, None]
        return out[:, -1], PlainDecode(rows.valid, first, {}, past=layout.past, group_size=group_size, cut=rows.cut)
