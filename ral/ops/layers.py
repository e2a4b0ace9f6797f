"""Decoder layers by their indices.

This module does not import torch, so that a configuration is checked before anything slow is imported.
"""

from __future__ import annotations

from collections.abc import Sequence


def resolve_layers(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Return the layers as indices in 0..depth-1, in the order given.

    layers: negative numbers count from the last. depth: number of decoder layers with softmax attention. ValueError
    names a layer that does not exist or is named twice. RAL (arXiv 2602.04884), Eq. 2 takes the last layer, -1.
    """
    for layer in layers:
        if not -depth <= layer < depth:
            raise ValueError(
                f"attention_policy.layers names layer {layer}, but the model has {depth} layers with softmax"
                f" attention: write 0 to {depth - 1}, or -{depth} to -1 from the last one"
            )
    chosen = tuple(layer % depth for layer in layers)
    twice = [layer for at, layer in enumerate(layers) if chosen[at] in chosen[:at]]
    if twice:
        raise ValueError(
            f"attention_policy.layers names one of the model's {depth} layers twice, the second time as "
            f"{twice[0]}: write each layer once"
        )
    return chosen
