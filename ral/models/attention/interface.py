"""The attention of a forward pass, through Transformers' attention interface.

`MLLM.__init__` sets the decoder's attention implementation to `ral`, the function `shared_attention`. `MLLM._decoder`
hands the decoder a `layout=`, which reaches `shared_attention` in each layer: it gives queries, keys and values to the
layout. Without a layout (Transformers' `generate`) it is PyTorch's fast attention with the usual masks. No class of
Transformers is patched. Layouts: `training_layouts`, `rollout_layouts` and `fixed_layouts` beside this file.

Shapes inside: query [B H S D], key and value [B Hkv S D], D the width of a head; S = P + G * C tokens in training, P in
the prefill, G in a decoding step. Other letters: `ral.types`.
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
    """A forward pass's way of computing attention from each layer's queries, keys and values.

    `layer` is an index among the decoder layers with softmax attention.
    """

    @property
    def mask(self) -> Tensor | None:
        """Return a mask [B S] of valid positions for Transformers; None where the layout computes attention itself."""
        ...

    @property
    def past(self) -> Cache | LinearStates | None:
        """Return Transformers' cache, or the one of linear-attention states; None where the pass has no cache."""
        ...

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor | None:
        """Return the attention output [B S H D]; None leaves the attention to SDPA with the caller's mask.

        Shapes of query, key and value: the module's docstring. scaling: factor of q k^T.
        """
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
    """Compute a layer's attention; return (output [B S H D], None). Registered with Transformers as NAME.

    layout: computes the attention. Where it is None, or its `attend` returns None, SDPA does, with attention_mask.
    module: the layer's attention module. UserError for options among kwargs that would be ignored
    (`refuse_unhonoured`).
    """
    out = None if layout is None else layout.attend(counted(module), query, key, value, scaling)
    refuse_unhonoured(module, kwargs, causal=layout is not None, whole=out is not None)
    if out is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    return out, None


AttentionInterface.register(NAME, shared_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
