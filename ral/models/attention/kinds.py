"""Kinds of decoder layers, and the indices of those with softmax attention."""

from __future__ import annotations

from typing import Any

FULL = "full_attention"
"""Transformers' name of layers of softmax attention over all earlier positions."""
LINEAR = "linear_attention"
"""Transformers' name of layers that read earlier tokens from a recurrent state, without softmax over positions."""


def layer_types(config: Any) -> tuple[str, ...]:
    """Return the kind of each decoder layer, by Transformers' names, such as "full_attention".

    config: Transformers' configuration of the network. Where config.json has no layer_types, all layers are of one
    kind: sliding_attention where sliding_window is set and use_sliding_window is not false, else full_attention.
    """
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True)
    alike = "sliding_attention" if window else FULL
    return tuple(getattr(text, "layer_types", None) or [alike] * text.num_hidden_layers)


def attention_layers(config: Any) -> tuple[int, ...]:
    """Return the indices of decoder layers with softmax attention, in order: `attention_policy.layers` counts these.

    config: Transformers' configuration of the network.
    """
    return tuple(layer for layer, kind in enumerate(layer_types(config)) if kind != LINEAR)


def attention_types(config: Any) -> tuple[str, ...]:
    """Return the kind of each decoder layer that has softmax attention, in order. config: as in `layer_types`."""
    return tuple(kind for kind in layer_types(config) if kind != LINEAR)


def counted(module: Any) -> int:
    """Return the index, from 0, of an attention module among the decoder layers that have softmax attention."""
    index = int(module.layer_idx)
    kinds = getattr(getattr(module, "config", None), "layer_types", None) or ()
    return index - list(kinds[:index]).count(LINEAR)
