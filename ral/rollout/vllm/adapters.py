"""Adapters handed to vLLM by themselves: a folder in peft's layout, which vLLM loads beside the frozen weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from ral.machine import LARGEST_ADAPTER
from ral.models.adapters.lora import NAME, adapted, save_adapters
from ral.models.mllm import MLLM
from ral.models.sharding import reshard
from ral.rollout.vllm.weights import on_all_ranks, whole

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, LARGEST_ADAPTER)
"""Ranks for which vLLM can make room (vllm.config.lora, MaxLoRARanks); an adapter may be smaller."""
FOLDER = "adapter"
"""Name of the adapters' folder inside that of the weights."""
FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Files of that folder."""


def rank_of(policy: MLLM) -> int:
    """Return the rank of the policy's adapters; 0 where it has none."""
    return max((int(layer.r[NAME]) for layer in adapted(policy.network).values()), default=0)


def room_for(rank: int) -> int:
    """Return the least of RANKS that is `rank` or more. ValueError above LARGEST_ADAPTER."""
    return min(room for room in RANKS if room >= rank)


def arguments_for(rank: int) -> dict[str, Any]:
    """Return the arguments of vLLM's engine, by name, with which it can load adapters of this rank."""
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": room_for(rank)}


def write_adapters(policy: MLLM, folder: Path, writes: bool) -> Path:
    """Write the policy's adapters to the subfolder FOLDER of `folder`, in place of earlier ones; return its path.

    writes: whether this rank writes. Every rank must call this function, since sharded adapters are gathered.
    UserError, on all ranks, where a rank cannot write.
    """
    reshard(policy)
    state: dict[str, Tensor] = {
        name: whole(parameter).to("cpu") for name, parameter in policy.network.named_parameters() if ".lora_" in name
    }
    error, target = None, folder / FOLDER
    if writes:
        try:
            shutil.rmtree(target, ignore_errors=True)
            save_adapters(state, policy.network, policy.processor.name, target)
        except (OSError, RuntimeError, ValueError) as raised:
            reason = str(raised).splitlines()[0]
            error = f"rollout.engine.folder: {folder} cannot hold the adapters ({reason}): name a folder with more room"
    on_all_ranks(error)
    return target
