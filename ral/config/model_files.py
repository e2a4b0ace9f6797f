"""The files that a training configuration names, looked at before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ral.config.schema import Node
from ral.config.signature import select
from ral.errors import UserError
from ral.files.pretrained import CONFIG, check_named, read_json
from ral.files.repository import find
from ral.ops.layers import resolve_layers

LINEAR = "linear_attention"
"""Transformers' name of layers that have no softmax attention."""
INTERVAL = "full_attention_interval"
"""Key of networks that have both kinds of layers."""


def check_model_files(tree: Node) -> None:
    """Raise UserError where a model's folder or adapter is not whole, or lacks a layer whose attention is measured."""
    check_named(tree)
    check_layers(tree)


def check_layers(tree: Node) -> None:
    """Raise UserError where diagnostics measure attention in layers that the model does not have.

    Returns without a check where config.json does not tell the number of layers, as for a model on the hub: the network
    itself is checked later.
    """
    layers, folder = select(tree, "algo.attention_policy.layers"), select(tree, "model.pretrained")
    measured = bool(select(tree, "diagnostics.every"))
    if not measured or not isinstance(layers, list) or not isinstance(folder, str):
        return
    if not all(type(layer) is int for layer in layers):
        return
    depth = depth_of(Path(find(folder)) / CONFIG)
    if depth is None or not layers:
        return
    try:
        resolve_layers(layers, depth)
    except ValueError as error:
        raise UserError(f"algo.{error}") from error


def depth_of(path: Path) -> int | None:
    """Return the number of layers with softmax attention by the config.json at `path`.

    None where there is no file, or the number does not follow from it: networks with two kinds of layers need not list
    them. UserError for a file that cannot be read.
    """
    if not path.is_file():
        return None
    config = read_json(path, str(path))
    text: Mapping[str, Any] = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    kinds, depth = text.get("layer_types"), text.get("num_hidden_layers")
    if isinstance(kinds, list) and kinds:
        return sum(kind != LINEAR for kind in kinds)
    hybrid = INTERVAL in text or any(str(key).startswith("linear_") for key in text)
    return depth if type(depth) is int and depth > 0 and not hybrid else None
