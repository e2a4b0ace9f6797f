"""Writes a network as a folder that plain Transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from ral.models.attention.interface import NAME
from ral.models.processor import Processor


def save_network(network: PreTrainedModel, state: dict[str, Tensor], processor: Processor, folder: Path) -> None:
    """Save with the attention setting of a plain model; a weight that two modules share is written once.

    All in fp32: small updates are there, and fp32 holds the numbers of weights that rest in bf16.
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
    """Write into a config.json that the weights are fp32: readers load them as that."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, *(config[name] for name in ("text_config", "vision_config") if name in config)):
        if "dtype" in part:
            part["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
