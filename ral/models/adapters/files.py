"""LoRA adapters from a folder in peft's format, to continue training: this project's adapter/, or peft's own."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ral.files.pretrained import RESUME, check_adapter
from ral.files.repository import find
from ral.models.adapters.lora import NAME, Adapters, add_adapters
from ral.models.loading import finite, listed, some
from ral.models.mllm import MLLM
from ral.types import UserError

log = logging.getLogger(__name__)

SIDES = (".lora_A.weight", ".lora_B.weight")
_OF_AN_ADAPTER = re.compile(r"\.lora_[AB]\.(?!weight$)[^.]+\.weight$")  # "...lora_A.default.weight"
REFUSED = {
    "use_dora": "DoRA",
    "modules_to_save": "whole modules",
    "rank_pattern": "a rank for each layer",
    "alpha_pattern": "an alpha for each layer",
    "lora_bias": "biases",
    "layer_replication": "repeated layers",
    "trainable_token_indices": "tokens",
    "target_parameters": "parameters beside linear layers",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "fan_in_fan_out": "transposed layers",
    "kasa_config": "KaSA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "Arrow",
    "monteclora_config": "MonteCLoRA",
}
"""Fields of adapter_config.json that make adapters more than plain LoRA, and their names in messages."""

KEEP_THE_BASE = ("true", "false", "gaussian", "eva", "orthogonal", "mica")
"""Values of init_lora_weights with which the base model's weights stay as they are (peft 0.21's layer.py)."""
CONVERTIBLE = ("pissa", "olora", "corda", "lora_ga")
"""Beginnings of those with which peft changes the base's weights, and from which it converts to plain LoRA."""


@dataclass(frozen=True)
class Resumed:
    """Adapters read from a folder. adapters: their configuration. source: the folder.

    weights: factors A and B in fp32, by the name of their layer inside the decoder plus one of SIDES.
    """

    adapters: Adapters
    weights: Mapping[str, Tensor]
    source: str

    def put(self, model: MLLM) -> None:
        """Add the adapters to the model's decoder, in place, with these factors. UserError where shapes do not fit."""
        add_adapters(model, self.adapters)
        decoder: nn.Module = model.network.model.language_model
        parameters = dict(decoder.named_parameters())
        for name, value in self.weights.items():
            own = parameters[name.replace(".weight", f".{NAME}.weight")]
            if own.shape != value.shape:
                raise UserError(
                    f"{RESUME}={self.source}: {name} has {tuple(value.shape)}, and this model's layer wants "
                    f"{tuple(own.shape)}: it is an adapter of a model of another size"
                )
            with torch.no_grad():
                own.copy_(value)


def read_adapters(folder: str, model: MLLM, rank: int = 0) -> Resumed:
    """Return the adapters of a folder, for this model. rank: lora.rank, which has to agree with them; 0 for any.

    UserError, naming the field or tensor, where files are missing or broken, the adapters are more than plain LoRA of
    the decoder's linear layers, or they do not fit the model. A base model of another name is a warning.
    """
    facts, file = check_adapter(folder)
    check_facts(facts, folder, rank)
    found = relative(read_weights(file, folder), folder)
    layers = sorted({name.removesuffix(side) for name in found for side in SIDES if name.endswith(side)})
    lacking = [f"{layer}{side}" for layer in layers for side in SIDES if f"{layer}{side}" not in found]
    if lacking or not layers:
        raise UserError(f"{RESUME}={folder}: {file.name} lacks {listed(lacking) or 'all factors'}; save it again")
    check_ranks(found, facts["r"], file.name, folder)
    targets = names_of(layers, model, folder)
    scale = math.sqrt(facts["r"]) if facts.get("use_rslora") else 1.0  # alpha / sqrt(rank) in place of alpha / rank
    say_base(str(facts.get("base_model_name_or_path")), model.processor.name, folder)
    return Resumed(Adapters(int(facts["r"]), float(facts["lora_alpha"]) * scale, targets), found, folder)


def check_facts(facts: Mapping[str, Any], folder: str, rank: int) -> None:
    """Raise UserError unless adapter_config.json (`facts`) is of plain LoRA on an unchanged base, with this rank.

    rank: 0 for any. folder: folder of the adapters, which messages name.
    """
    named = f"{RESUME}={folder}: adapter_config.json"
    if facts.get("peft_type") != "LORA":
        raise UserError(f"{named} says peft_type {facts.get('peft_type')!r}; only LORA is read")
    if not isinstance(facts.get("r"), int) or not isinstance(facts.get("lora_alpha"), int | float):
        raise UserError(f"{named} has no numbers r and lora_alpha; save it again")
    if rank and rank != facts["r"]:
        raise UserError(f"lora.rank={rank}, and {named} says r={facts['r']}: write lora.rank={facts['r']}, or leave it")
    odd = [what for field, what in REFUSED.items() if facts.get(field)]
    odd += ["biases"] if facts.get("bias", "none") != "none" else []
    if odd:
        raise UserError(
            f"{named} asks for {', '.join(odd)}, which this project does not train; merge it into its model with "
            "peft's merge_and_unload"
        )
    check_base_kept(facts.get("init_lora_weights", True), named)


def check_base_kept(began: object, named: str) -> None:
    """Raise UserError for adapters whose initialisation made peft change the base model's weights as well.

    Such adapters do not belong to the base model as it was published. began: init_lora_weights of adapter_config.json;
    adapters that peft converted to plain LoRA have true there. named: text with which the message begins.
    """
    text = "true" if began is None else str(began).lower()
    if text in KEEP_THE_BASE:
        return
    convert = (
        "save it as plain LoRA with peft's model.save_pretrained(FOLDER, "
        "path_initial_model_for_weight_conversion=<the adapter as saved before its training>)"
    )
    write = f"{convert}, or merge it" if text.startswith(CONVERTIBLE) else "merge it into the model it was trained on"
    known = ", which changes the weights of the base model" if text.startswith((*CONVERTIBLE, "loftq")) else ""
    raise UserError(f"{named} says init_lora_weights={began}{known or ', which is not known here'}; {write}")


def read_weights(file: Path, folder: str) -> dict[str, Tensor]:
    """Return {name: factor} of the adapters in `file`, fp32.

    UserError, naming the folder, where the file cannot be read or a factor is not finite.
    """
    try:
        raw = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        weights = {name: value.float() for name, value in raw.items()}
    except (OSError, RuntimeError, EOFError, ValueError, AttributeError, UnpicklingError, SafetensorError) as error:
        raise UserError(f"{RESUME}={folder}: {file.name} cannot be read ({error}); save it again") from error
    bad = [name for name, value in weights.items() if not finite(value)]
    if bad:
        raise UserError(f"{RESUME}={folder}: {some(len(bad), 'factor')} with NaN or infinity: {listed(bad)}")
    return weights


def check_ranks(weights: Mapping[str, Tensor], rank: int, file: str, folder: str) -> None:
    """Raise UserError unless every factor is a matrix whose inner side is `rank`, that of adapter_config.json.

    weights: {name: factor}. file, folder: the file of the factors and its folder, as messages name them.
    """
    for name, value in weights.items():
        inner = value.shape[0 if name.endswith(SIDES[0]) else -1] if value.ndim == 2 else None
        if inner != rank:
            raise UserError(
                f"{RESUME}={folder}: {name} in {file} has {tuple(value.shape)}, and adapter_config.json beside it says "
                f"r={rank}: the two files do not belong together; save the adapter again, or take both from one source"
            )


def relative(weights: Mapping[str, Tensor], folder: str) -> dict[str, Tensor]:
    """Return the factors by their names inside the decoder, which begin with `layers.`.

    weights: factors by their names in the file. UserError, naming the folder, where more than the decoder's linear
    layers is adapted.
    """
    if named := [name for name in sorted(weights) if _OF_AN_ADAPTER.search(name)]:
        raise UserError(
            f"{RESUME}={folder}: its factors have the adapter's name in theirs ({listed(named)}), as in state_dict(); "
            "save it with peft's save_pretrained, which leaves that out"
        )
    others = [n for n in weights if not n.endswith(SIDES) or ".layers." not in n or "visual." in n or "vision" in n]
    if others:
        raise UserError(
            f"{RESUME}={folder}: it adapts more than the decoder's linear layers ({listed(sorted(others))}), and only "
            "these are trained here; merge it into its model with peft's merge_and_unload"
        )
    return {"layers." + name.partition(".layers.")[2]: value for name, value in weights.items()}


def names_of(layers: Collection[str], model: MLLM, folder: str) -> tuple[str, ...]:
    """Return names for lora.targets that select exactly the decoder's linear layers `layers`, as short as possible.

    The names are last parts, such as "q_proj", where these select no other layer, else whole names. UserError, naming
    the folder, for a layer that the model's decoder lacks.
    """
    decoder: nn.Module = model.network.model.language_model
    linear = [name for name, module in decoder.named_modules() if isinstance(module, nn.Linear)]
    unknown = sorted(set(layers) - set(linear))
    if unknown:
        raise UserError(
            f"{RESUME}={folder}: the model's decoder has no {listed(unknown)}: it is an adapter of another model"
        )
    short = sorted({name.rpartition(".")[2] for name in layers})
    alike = {name for name in linear if name.rpartition(".")[2] in short}
    return tuple(short) if alike == set(layers) else tuple(sorted(layers))


def say_base(base: str, ours: str, folder: str) -> None:
    """Log a warning where the adapter's base model has another name than this model, whose weights may differ."""
    same = Path(find(base)).absolute() == Path(find(ours)).absolute() or Path(base).name == Path(ours).name
    if not same:
        log.warning("%s is an adapter of %s, and goes on with %s in its place", folder, base, ours)
