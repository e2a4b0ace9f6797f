"""Qwen3.5: layers of linear attention (gated delta rule) between those of softmax attention.

Pictures, clips and their times are Qwen3-VL's, without deepstack. The linear layers' states after a prompt are handed
to its answers (`ral.models.attention.recurrent`).
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
"""One layer in so many has softmax attention in published checkpoints; the last one has."""
TIME_STEPS = (0.001, 0.1)
"""Least and greatest time step of a head at random weights: what softplus makes of its bias."""
ROTATED = 0.25
"""Share of a head's dimensions that positions rotate."""


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return the keys of a small network's configuration; of fewer than four layers every other attends by softmax."""
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
    """Let states decay slowly: time steps of 0.001 to 0.1 over the heads, as Gated DeltaNet (2412.06464) begins them.

    Transformers draws decays of up to e^-21 a token, under which no state outlives the next one.
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
