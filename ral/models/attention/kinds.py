"""Kinds of decoder layers, and how layers of softmax attention are counted."""

from __future__ import annotations

from typing import Any

FULL = "full_attention"
"""Transformers' name of layers of softmax attention over all earlier positions."""
LINEAR = "linear_attention"
"""Transformers' name of layers that read what came before from a state, and have no softmax over positions."""


def layer_types(config: Any) -> tuple[str, ...]:
    """Return the kind of each decoder layer, by Transformers' names; one kind for all where the network names none.

    A window counts unless use_sliding_window says that it is not used, as published Qwen configurations do.
    """
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True)
    alike = "sliding_attention" if window else FULL
    return tuple(getattr(text, "layer_types", None) or [alike] * text.num_hidden_layers)


def attention_layers(config: Any) -> tuple[int, ...]:
    """Return the decoder layers that have softmax attention: those that `attention_policy.layers` counts, in order."""
    return tuple(layer for layer, kind in enumerate(layer_types(config)) if kind != LINEAR)


def attention_types(config: Any) -> tuple[str, ...]:
    """Return the kind of each decoder layer that has softmax attention, in order."""
    return tuple(kind for kind in layer_types(config) if kind != LINEAR)


def counted(module: Any) -> int:
    """Return the number of an attention module among the decoder layers that have softmax attention, from 0."""
    index = int(module.layer_idx)
    kinds = getattr(getattr(module, "config", None), "layer_types", None) or ()
    return index - list(kinds[:index]).count(LINEAR)
