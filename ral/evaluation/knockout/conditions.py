"""Conditions of a knockout: which keys are hidden, from which tokens, in which decoder layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ral.errors import UserError

PARTS = ("response", "question", "both")
"""Tokens from which keys are hidden: those of the response, those of the prompt that are not visual, or both."""
KEYS = ("evidence", "placebo", "medium")
"""Keys that are hidden: the evidence, as many other visual tokens of its medium, or all visual tokens of the medium."""
ALL = "all"
"""Label of a cut in all decoder layers."""


@dataclass(frozen=True)
class Condition:
    """One condition: keys (one of KEYS) that are hidden from a part (one of PARTS); both None where nothing is cut.

    layers: decoder layers of the cut, None for all of them. draw: number of the placebo, from 0.
    """

    keys: str | None = None
    part: str | None = None
    layers: tuple[int, ...] | None = None
    draw: int = 0

    @property
    def name(self) -> str:
        """Return the name of the condition in results: "evidence_from_response" or the like, "none" for no cut."""
        return "none" if self.keys is None else f"{self.keys}_from_{self.part}"

    @property
    def where(self) -> str:
        """Return the label of the layers that are cut: ALL, or the result of `label`."""
        return ALL if self.layers is None else label(self.layers)


def label(layers: Sequence[int]) -> str:
    """Return decoder layers as text: "3" for one, "1-4" for consecutive layers, "0+3" for others.

    At least one is needed.
    """
    run = list(layers) == list(range(layers[0], layers[-1] + 1))
    return f"{layers[0]}-{layers[-1]}" if run and len(layers) > 1 else "+".join(map(str, layers))


def layer_sets(layers: str | int | Sequence[int], window: int, depth: int) -> list[tuple[int, ...]]:
    """Return the sets of decoder layers that are cut besides the cut in all layers.

    layers: "all" (no further set), "each" layer alone, "windows" of `window` layers in a row, or one set: a list of
    layers or one layer, negative from the last. depth: number of layers of the model. UserError for a layer or a window
    that the model does not have, and for any other value.
    """
    if layers == ALL:
        return []
    if layers == "each":
        return [(layer,) for layer in range(depth)]
    if layers == "windows":
        if not 1 <= window <= depth:
            raise UserError(f"window={window}: the model has {depth} layers: write 1 to {depth}")
        return [tuple(range(start, start + window)) for start in range(depth - window + 1)]
    if isinstance(layers, int) and not isinstance(layers, bool):
        layers = [layers]
    if isinstance(layers, str | float | bool) or not layers or any(type(layer) is not int for layer in layers):
        raise UserError(f"layers={layers} is not known: write all, each, windows, or a list such as [0,1]")
    for layer in layers:
        if not -depth <= layer < depth:
            raise UserError(f"layers names layer {layer}, and the model has {depth} layers, 0 to {depth - 1}")
    return [tuple(sorted({layer % depth for layer in layers}))]


def conditions(
    keys: Sequence[str], parts: Sequence[str], draws: int, sets: Sequence[tuple[int, ...]]
) -> list[Condition]:
    """Return the condition without a cut, then each cut of `keys` from `parts`, in all layers and in each of `sets`.

    draws: number of placebos for each cut of the keys "placebo".
    """
    found = [Condition()]
    for layers in (None, *sets):
        for key in keys:
            for part in parts:
                found += [Condition(key, part, layers, n) for n in range(draws if key == "placebo" else 1)]
    return found
