"""Refusal of attention options that a decoder layer asks for and this project does not compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.types import UserError

NOWHERE = ("softcap", "s_aux", "head_mask", "position_bias", "alibi")
"""Arguments of attention that PyTorch's fast kernels do not take: capped scores, sinks, head masks, position biases."""


def refuse_unhonoured(module: Any, given: Mapping[str, object], *, causal: bool, whole: bool) -> None:
    """Raise UserError where a layer asks for attention that would be computed differently.

    module: the layer's attention; given: its arguments by name. causal: whether only causal attention without dropout
    is computed. whole: whether it is computed over all earlier tokens, so that a sliding window is refused.
    """
    asked = {name: given[name] for name in NOWHERE if given.get(name) is not None}
    if causal:
        is_causal = given.get("is_causal")
        is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        asked |= {} if is_causal else {"is_causal": False}
        asked |= {"dropout": given["dropout"]} if given.get("dropout") else {}
    if whole and given.get("sliding_window") is not None:
        asked["sliding_window"] = given["sliding_window"]
    for name, value in asked.items():
        shown = value if isinstance(value, int | float | bool) else "..."
        ways = "hardware.share_prompt=false" if name == "sliding_window" else "another model"
        family = getattr(getattr(module, "config", None), "model_type", type(module).__name__)
        raise UserError(
            f"model.pretrained: decoder layer {getattr(module, 'layer_idx', '?')} of {family} wants attention with"
            f" {name}={shown}, which would be left out here: choose {ways}"
        )
