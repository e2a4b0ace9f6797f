"""Qwen3.5: layers of linear attention (gated delta rule) between those of softmax attention.

Images, videos and their times are as in Qwen3-VL, without deepstack. The states of linear-attention layers after a
prompt are handed to its responses (`ral.models.attention.recurrent`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ral.models.attention.kinds import FULL, LINEAR
from ral.models.families import qwen3_vl
from ral.models.family import Family
from ral.models.qwen import QWEN, patch_files, qwen_parts
from ral.models.recipe import Recipe, Sizes

EVERY = 4
"""Every fourth layer of published checkpoints has softmax attention, the last one among them."""
TIME_STEPS = (0.001, 0.1)
"""Least and greatest time step, softplus(dt_bias), of a head at random weights."""
ROTATED = 0.25
"""Share of a head's dimensions that rotary embedding rotates."""


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return Recipe.parts of a small network: one layer in EVERY, or in 2 of fewer layers, has softmax attention."""
    head, every = sizes.hidden // sizes.heads, EVERY if sizes.layers >= EVERY else 2
    half = int(head * ROTATED) // 2
    sections = [half - 2 * (half * 5 // 16), half * 5 // 16, half * 5 // 16]
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"out_hidden_size": sizes.hidden, "patch_size": 16, "num_position_embeddings": 16**2}
    found = qwen_parts(sizes, vision)
    rotation = {"mrope_section": sections, "mrope_interleaved": True, "partial_rotary_factor": ROTATED}
    found["text"]["rope_parameters"] |= rotation
    kinds = [LINEAR if (sizes.layers - 1 - n) % every else FULL for n in range(sizes.layers)]
    linear = {"linear_num_key_heads": sizes.kv_heads, "linear_num_value_heads": sizes.heads}
    linear |= {"linear_key_head_dim": head // 2, "linear_value_head_dim": head // 2}
    found["text"] |= {"head_dim": head, "layer_types": kinds} | linear
    return found


def remember(network: Any) -> None:
    """Set dt_bias, in place, so that states decay slowly: time steps of 0.001 to 0.1, increasing over the heads.

    As Gated DeltaNet (arXiv 2412.06464) initialises them. Transformers' random weights have decays of up to e^-21 a
    token, under which a state is lost at the next token.
    """
    for name, bias in network.named_parameters():
        if name.endswith(".dt_bias"):
            least, greatest = map(math.log10, TIME_STEPS)
            steps = torch.logspace(least, greatest, len(bias))
            bias.data.copy_(torch.log(torch.expm1(steps)))  # the inverse of softplus


FAMILY = Family(
    **QWEN | {"pixels": qwen3_vl.FAMILY.pixels, "network": replace(qwen3_vl.FAMILY.network, hands_states=True)},
    model_type="qwen3_5",
    classes=qwen3_vl.FAMILY.classes,
    recipe=Recipe(parts, partial(patch_files, patch_size=16), settle=remember),
)
