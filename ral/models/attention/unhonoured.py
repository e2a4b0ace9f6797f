"""Requests of a decoder layer to its attention that this project does not compute: refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.types import UserError

NOWHERE = ("softcap", "s_aux", "head_mask", "position_bias", "alibi")
"""What a network may hand its attention and PyTorch's fast kernels do not take: capped scores, sinks, masks of heads,
biases of positions.
"""


def refuse_unhonoured(module: Any, given: Mapping[str, object], *, causal: bool, whole: bool) -> None:
    """Raise UserError where a layer asks for attention that is not what would be computed.

    causal: a layout computes, or records, causal attention without dropout; whole: over all earlier tokens.
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
