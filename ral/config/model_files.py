"""The files that a training configuration names, looked at before anything heavy is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from ral.config.check import overridden
from ral.config.schema import Node
from ral.config.signature import select, walk
from ral.errors import UserError
from ral.files.pretrained import CONFIG, MODEL_TYPES, check_named, is_hub_id, read_json
from ral.files.repository import find
from ral.ops.layers import resolve_layers

LINEAR = "linear_attention"
"""Transformers' name of layers that have no softmax attention."""
INTERVAL = "full_attention_interval"
"""Key of networks that have both kinds of layers."""


OPTIONS = {"qwen2_vl": "qwen2vl"}
"""Family (model_type of config.json) -> its option of conf/model, where that has another name."""
SHIPPED_RATES = ("tiny", "tiny_teacher", "path_student", "path_wide_student")
"""Options of conf/model with learning rates for the shipped models, of a million parameters."""
LARGE = 200 * 10**6
"""Bytes of weights: a model with more is larger than the shipped ones."""


def check_model_files(tree: Node) -> None:
    """Raise UserError where a model's folder or adapter is not whole, or lacks a layer whose attention is measured.

    tree: the configuration of a training, resolved. The first process of a machine prints a warning on stderr where
    model=<option> and the folder model.pretrained do not fit each other (`misfits`), or that asks for dropout.
    """
    check_named(tree)
    check_layers(tree)
    if HydraConfig.initialized() and int(os.environ.get("LOCAL_RANK", 0)) == 0:
        option = HydraConfig.get().runtime.choices.get("model")
        for line in (*misfits(tree["model"], option, overridden()), *dropped(str(tree["model"]["pretrained"]))):
            print(f"warning: {line}", file=sys.stderr, flush=True)


def misfits(model: Node, option: str | None, typed: Collection[str] = ()) -> Iterator[str]:
    """Yield a line where the option of conf/model is of another family than model.pretrained, or for smaller models.

    model: the node `model` of a configuration. option: the chosen option; for None, or an option of the user's own,
    nothing is yielded. typed: keys given on the command line; with a learning rate among them no size is named.
    """
    pretrained, folder = str(model["pretrained"]), Path(find(str(model["pretrained"])))
    found = None if model.get("family") else family_of(folder)
    own = OPTIONS.get(found, found) if found else None
    families = {OPTIONS.get(family, family): family for family in MODEL_TYPES}
    if option in families and found is not None and families[option] != found:
        yield (
            f"model={option} is of {families[option]}, and model.pretrained={pretrained} holds {found} by its"
            f" config.json: it is trained as {found}; model={own} says so"
        )
    large = is_hub_id(pretrained) or sum(path.stat().st_size for path in folder.glob("*.safetensors")) > LARGE
    if option in SHIPPED_RATES and large and not any("learning_rate" in key for key in typed):
        rates = ", ".join(f"{name} {rate:g}" for name, rate in model["learning_rates"].items())
        yield (
            f"model={option} has learning rates for the shipped models of a million parameters ({rates}), and"
            f" model.pretrained={pretrained} is larger: write model={own or '<its family>'} for the paper's rates"
        )


def dropped(pretrained: str) -> Iterator[str]:
    """Yield a line where the config.json of the folder model.pretrained asks for dropout, of which there is none here.

    UserError for a file that holds no JSON object.
    """
    path = Path(find(pretrained)) / CONFIG
    asked = [
        f"{key}={value}"
        for key, value in (walk(read_json(path, str(path))) if path.is_file() else ())
        if "dropout" in key.rpartition(".")[2] and type(value) in (int, float) and value > 0
    ]
    if asked:
        yield (
            f"model.pretrained={pretrained}: config.json says {' and '.join(asked)}, which is taken as 0: rollout and"
            " update have to be the same function of the weights"
        )


def family_of(folder: Path) -> str | None:
    """Return the family (model_type) that the config.json in a model's folder names; None where it names none.

    UserError for a file that holds no JSON object.
    """
    path = folder / CONFIG
    found = read_json(path, str(path)).get("model_type") if path.is_file() else None
    return found if isinstance(found, str) else None


def check_layers(tree: Node) -> None:
    """Raise UserError where diagnostics measure attention in layers that the model does not have.

    tree: the configuration of a training, resolved. Nothing is checked where config.json does not tell the number of
    layers, as for a model on the hub: the network itself is checked later. UserError also for a config.json that holds
    no JSON object.
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
    them. UserError for a file that holds no JSON object.
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
