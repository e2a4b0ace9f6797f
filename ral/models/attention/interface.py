"""The attention of a forward pass, through Transformers' attention interface.

`MLLM.__init__` sets the decoder to the attention `ral`; `MLLM._decoder` hands the decoder `layout=`, which reaches each
layer's attention. That calls `shared_attention`, which gives queries and keys to the layout; without one (Transformers'
`generate`) it is PyTorch's fast attention with the usual masks. One function for every family, no class patched.
Layouts: `training_layouts` and `rollout_layouts` beside this file.

Shapes inside: q [B H S D], k and v [B Hkv S D]; S = P + G * C for training, P for the prefill, G for a decoding step.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor
from transformers import Cache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.modeling_utils import AttentionInterface

from ral.models.attention.kinds import counted
from ral.models.attention.recurrent import LinearStates
from ral.models.attention.unhonoured import refuse_unhonoured

NAME = "ral"
"""The attention implementation's name in Transformers' registry."""


class Layout(Protocol):
    """Treatment, by a forward pass, of the queries, keys and values of a layer.

    mask: Transformers' own mask [B S] of valid positions; None where the layout attends itself. past: its cache, or the
    cache of states that prompts hand to answers; None for none. Layers are counted among those with softmax attention.
    """

    @property
    def mask(self) -> Tensor | None: ...

    @property
    def past(self) -> Cache | LinearStates | None: ...

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor | None:
        """Return the attention output [B S H D]; None leaves the attention to SDPA with the caller's mask."""
        ...


def shared_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    layout: Layout | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Return the registered attention function: a layout's, or SDPA where the caller (such as `generate`) gave none.

    UserError for what neither would honour, so that it is not left out unseen.
    """
    out = None if layout is None else layout.attend(counted(module), query, key, value, scaling)
    refuse_unhonoured(module, kwargs, causal=layout is not None, whole=out is not None)
    if out is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return out, None


AttentionInterface.register(NAME, shared_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
