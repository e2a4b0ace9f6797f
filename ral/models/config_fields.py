"""Fields of config.json: a check for impossible values, and words on the fields that decide shapes of weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from transformers.activations import ACT2FN

from ral.errors import UserError

COUNTS = (
    *("hidden_size", "intermediate_size", "num_heads", "num_attention_heads", "num_key_value_heads"),
    *("num_hidden_layers", "depth", "vocab_size", "patch_size", "head_dim"),
)
HEADS = ("num_heads", "num_attention_heads")
PLACES = {"fullatt_block_indexes": "depth", "deepstack_visual_indexes": "depth"}
"""Fields that name blocks by their number from 0 -> the field with the number of blocks."""
OF_A_LAYER = 4
"""Least number of weights in a decoder layer: where fewer are missing, no whole layer is."""
ACTIVATIONS = ("hidden_act", "hidden_activation")
DECIDED = (
    (r"(?:visual|vision)\w*\..*patch_embed", ("patch_size", "temporal_patch_size", "in_channels", "hidden_size")),
    (r"(?:visual|vision)\w*\..*merger", ("hidden_size", "spatial_merge_size", "out_hidden_size")),
    (r"(?:visual|vision)\w*\..*mlp", ("intermediate_size", "hidden_size")),
    (r"(?:visual|vision)\w*\.", ("hidden_size", "num_heads")),
    (r"\.[kv]_proj\.", ("num_key_value_heads", "head_dim", "num_attention_heads", "hidden_size")),
    (r"\.[qo]_proj\.", ("num_attention_heads", "head_dim", "hidden_size")),
    (r"\.(?:gate|up|down|gate_up)_proj\b", ("intermediate_size", "moe_intermediate_size", "hidden_size")),
    (r"\.gate\.|experts", ("num_experts", "moe_intermediate_size", "hidden_size")),
    (r"embed_tokens|lm_head", ("vocab_size", "hidden_size")),
    (r"norm", ("hidden_size", "head_dim")),
)
"""(Pattern of a weight's name, fields that decide its shape); the first pattern that matches counts."""


def parts(config: Any) -> Iterator[tuple[str, Any]]:
    """Yield (prefix, part) for the parts of a configuration that describe the language model and the vision tower.

    config: Transformers' configuration of a network; nothing is yielded for other objects. prefix: text before the
    part's keys in messages, such as "text_config."; "" where its keys stand at the top of config.json.
    """
    if not hasattr(config, "get_text_config"):
        return
    text = config.get_text_config()
    yield ("" if text is config else "text_config."), text
    if (vision := getattr(config, "vision_config", None)) is not None:
        yield "vision_config.", vision


def check_fields(pretrained: str, config: Any) -> None:
    """Raise UserError for the first field of config.json with an impossible value, saying which values are possible.

    pretrained: folder or hub id, which messages name.
    """
    for prefix, part in parts(config):
        if problem := _problem(part):
            name, what = problem
            raise UserError(
                f"model.pretrained={pretrained}: config.json has {prefix}{name}={getattr(part, name)!r}, {what}; write "
                "it as it was, or take the config.json that the model came with"
            )


def _problem(part: Any) -> tuple[str, str] | None:
    """Return (field, reason) of the first field with an impossible value; None where all values are possible."""
    for name in COUNTS:
        value = getattr(part, name, None)
        if isinstance(value, int) and value < 1:
            return name, "which has to be 1 or more"
    for name in ACTIVATIONS:
        value = getattr(part, name, None)
        if isinstance(value, str) and value not in ACT2FN:
            return name, "which is no activation that Transformers knows, such as 'silu' or 'gelu'"
    for name in (name for name in HEADS if isinstance(getattr(part, name, None), int)):
        heads, size, shared = getattr(part, name), getattr(part, "hidden_size", None), "num_key_value_heads"
        if isinstance(size, int) and getattr(part, "head_dim", None) is None and size % heads:
            return name, f"which hidden_size={size} is no multiple of"
        groups = getattr(part, shared, None)
        if isinstance(groups, int) and heads % groups:
            return shared, f"which {name}={heads} is no multiple of"
    return _missing_block(part)


def _missing_block(part: Any) -> tuple[str, str] | None:
    """Return (field, reason) of a field that names blocks which the network lacks; None where no field does.

    A field with the default value of the configuration's class passes.
    """
    for name, size in PLACES.items():
        named, most = getattr(part, name, None), getattr(part, size, None)
        if not isinstance(named, list | tuple) or not isinstance(most, int):
            continue
        if list(named) == list(getattr(type(part)(), name)):  # what the class says where config.json said nothing
            continue
        if any(not isinstance(place, int) or not 0 <= place < most for place in named):
            return name, f"which has to name blocks from 0 to {most - 1}, since {size}={most}"
    return None


def deciding(name: str, config: Any) -> str:
    """Return, as "key=value, ...", the fields of config.json that decide the shape of weight `name`; "" if unknown."""
    wanted = next((fields for pattern, fields in DECIDED if re.search(pattern, name)), ())
    visual = re.search(r"(?:visual|vision)\w*\.", name) is not None
    for prefix, part in parts(config):
        if prefix.startswith("vision") is visual:
            found = [f"{prefix}{field}={getattr(part, field)}" for field in wanted if _has(part, field)]
            return ", ".join(found)
    return ""


def depth(names: Iterable[str], config: Any) -> str:
    """Return, as "key=value", the field of config.json with the number of layers; "" unless whole layers are named.

    names: names of weights, all of decoder layers or all of blocks of the tower. config: the network's configuration.
    """
    found = list(names)
    if len(found) < OF_A_LAYER or not all(re.search(r"\.(?:layers|blocks|layer)\.\d+\.", name) for name in found):
        return ""
    visual = all(re.search(r"(?:visual|vision)\w*\.", name) for name in found)
    for prefix, part in parts(config):
        field = next((f for f in ("depth", "num_hidden_layers") if _has(part, f)), None)
        if prefix.startswith("vision") is visual and field:
            return f"{prefix}{field}={getattr(part, field)}"
    return ""


def _has(part: Any, field: str) -> bool:
    return isinstance(getattr(part, field, None), int | list | tuple)
