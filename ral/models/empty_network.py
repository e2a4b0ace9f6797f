"""A network whose weights are on the meta device (without memory), and the place of each weight in its files.

Names in the files are matched with weights by Transformers' own rules, as when it loads them whole; only headers of
files are read. Buffers that follow from config.json (rotary frequencies) are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import init_empty_weights
from huggingface_hub import snapshot_download
from torch import nn
from transformers import AutoModelForImageTextToText, GenerationConfig, PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import (
    WeightConverter,
    WeightRenaming,
    WeightTransform,
    dot_natural_key,
    rename_source_key,
)

from ral.files.pretrained import KEY, check_folder
from ral.files.repository import find
from ral.models.loading import LORA, check_whole, first, keep_names, one_line, quiet, renamed
from ral.models.network_config import read_config
from ral.models.stored import Held, Origin, Stored, held
from ral.types import UserError

WEIGHTS = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
"""Patterns of the files that are fetched from the hub first; .bin files follow where there are no safetensors."""
SETTINGS = "generation_config.json"


def empty_network(pretrained: str, dtype: torch.dtype) -> tuple[PreTrainedModel, Stored]:
    """Return a network on the meta device, and the place of its weights in their files, to be read in parts later.

    pretrained: folder or hub id of the model. Weights will be read as fp32, or as bf16 where that is `dtype` and the
    dtype of all stored tensors. UserError where config.json is unfit (`read_config`), the files cannot be read or hold
    adapters, and where a weight is missing, left over or of another shape. The numbers are checked when they are read.
    """
    check_folder(pretrained)
    folder = local(pretrained)
    with one_line(pretrained):
        files = held(folder, f"{KEY}={pretrained}")
    if any(LORA in name for name in files):
        raise UserError(f"{KEY}={pretrained}: its files hold adapters ({first(files, LORA)}); merge them in first")
    half = dtype == torch.bfloat16 and {part.dtype for part in files.values()} == {dtype}
    kind = dtype if half else torch.float32
    with quiet(), one_line(pretrained), init_empty_weights(include_buffers=False):
        network = AutoModelForImageTextToText.from_config(read_config(str(folder)), dtype=kind)
    network.tie_weights()  # every parameter that is registered above is one of its own
    network.config._name_or_path = network.name_or_path = str(folder)
    if (folder / SETTINGS).is_file():
        network.generation_config = GenerationConfig.from_pretrained(folder)
    with one_line(pretrained):
        origins, told = matched(network, files)
    stored = Stored(pretrained, kind, network, origins)
    tie(network, stored, told)
    network._adjust_missing_and_unexpected_keys(told)
    check_whole(pretrained, network, vars(told), files)
    return network, stored


def local(pretrained: str) -> Path:
    """Return the folder of a model; download a hub id whose files are not on this machine."""
    folder = Path(find(pretrained))
    if folder.is_dir():
        return folder
    fetched = Path(snapshot_download(pretrained, allow_patterns=WEIGHTS))
    if not any(fetched.glob("*.safetensors")):
        fetched = Path(snapshot_download(pretrained, allow_patterns=[*WEIGHTS, "*.bin"]))
    return fetched


def matched(network: PreTrainedModel, files: Mapping[str, Held]) -> tuple[dict[str, Origin], SimpleNamespace]:
    """Return the origin in the files of each weight and persistent buffer of a network, and the mismatches.

    files: tensors of the files by name. Mismatches are named as in Transformers' loading info: missing_keys,
    unexpected_keys, mismatched_keys (name, shape in the files, shape in the network).
    """
    rules = get_model_conversion_mapping(network, key_mapping=renamed(files))
    ours = network.state_dict()
    origins: dict[str, Origin] = {}
    unexpected = set()
    for name in sorted(files, key=dot_natural_key):
        target, pattern = new_name(name, rules, network, ours)
        if target not in ours:
            unexpected.add(target)
            continue
        converter = next((r for r in rules if pattern is not None and pattern in r.source_patterns), None)
        origin = origins.setdefault(target, Origin([], converter, target))
        origin.parts.append((pattern or name, files[name]))
    origins = with_all_targets(origins, network)
    used = [rule for rule in rules if rule.was_used()]
    network._weight_conversions = used
    keep_names(network, renamed(files) or {})
    shapes = {name: origin.shape(name, network) for name, origin in origins.items()}
    wrong = {(n, shapes[n], tuple(ours[n].shape)) for n in origins if n in ours and shapes[n] != tuple(ours[n].shape)}
    missing = set(ours) - set(origins)
    return origins, SimpleNamespace(
        missing_keys=missing, unexpected_keys=unexpected | (set(origins) - set(ours)), mismatched_keys=wrong
    )


def new_name(
    name: str, rules: list[WeightTransform], network: PreTrainedModel, ours: Mapping[str, Any]
) -> tuple[str, str | None]:
    """Return a tensor's name in the network, and the pattern of the converter that takes it (None without converter).

    name: its name in the files. rules: Transformers' renamings and converters. ours: the network's state dict. A name
    that the network has is not changed to one that it lacks.
    """
    prefix = network.base_model_prefix
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    target, pattern = rename_source_key(name, renamings, converters, prefix, ours)
    if target not in ours and name in ours:
        target, pattern = rename_source_key(name, [], [], prefix, ours)
    return target, pattern


def with_all_targets(origins: Mapping[str, Origin], network: PreTrainedModel) -> dict[str, Origin]:
    """Return {weight: origin} for every weight that a converter makes; `origins` has only the first one of each."""
    every: dict[str, Origin] = {}
    for name, origin in origins.items():
        every |= dict.fromkeys(origin.made(network, meta=True) if origin.converter else [name], origin)
    return every


def tie(network: PreTrainedModel, stored: Stored, told: SimpleNamespace) -> None:
    """Untie weights that config.json ties where the files hold both with different numbers; keep other ties.

    told: the mismatches of `matched`. A weight that the files lack is taken off told.missing_keys where it is tied to
    one that they hold. network, stored and told are changed in place.
    """
    for target, source in list(network.all_tied_weights_keys.items()):
        there = [name for name in (source, target) if name in stored.origins]
        if len(there) == 2 and not stored.alike(source, target):
            part, _, name = target.rpartition(".")
            own = network.get_parameter(source)
            setattr(network.get_submodule(part), name, nn.Parameter(torch.empty_like(own)))
            del network.all_tied_weights_keys[target]
        elif there:
            told.missing_keys -= {source, target}
            for name in (source, target):
                stored.origins.setdefault(name, stored.origins[there[0]])
