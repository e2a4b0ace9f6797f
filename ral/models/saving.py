"""Saving of a network as a folder that plain Transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from ral.models.attention.interface import NAME
from ral.models.processor import Processor


def save_network(network: PreTrainedModel, state: dict[str, Tensor], processor: Processor, folder: Path) -> None:
    """Write a folder that plain Transformers loads: network, tokenizer, processor files.

    state: the network's whole state dict. Every weight is written in fp32, which keeps small updates and is exact for
    weights in bf16; a weight that two modules share is written once. The attention setting is a plain model's (sdpa).
    """
    folder.mkdir(parents=True, exist_ok=True)
    once = {name for name, _ in network.named_parameters()}
    again = {name for name, _ in network.named_parameters(remove_duplicate=False)} - once
    state = {n: v.float() if v.is_floating_point() else v for n, v in state.items() if n not in again}
    network.set_attn_implementation({"text_config": "sdpa", "vision_config": "sdpa"})
    try:
        network.save_pretrained(folder, state_dict=state)
    finally:
        network.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
    say_dtype(folder / "config.json")
    processor.save(folder, processor.name)


def say_dtype(path: Path) -> None:
    """Set "dtype" to float32 in the config.json at `path`, wherever it has the key, so that weights load as fp32."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, *(config[name] for name in ("text_config", "vision_config") if name in config)):
        if "dtype" in part:
            part["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
