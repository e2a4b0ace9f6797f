"""One rank of a measurement of loading: makes and shards the networks of a run, and reports its memory and time.

In this module `spec` is the argument of the command line, parsed from JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from ral.benches.worker import peak_gb, reset_peak
from ral.files.repository import SHIPPED, find
from ral.learner.first_weights import load_shards
from ral.models.filling import local
from ral.models.mllm import MLLM
from ral.models.sharding import shard_layers


def networks(spec: dict[str, Any], folder: str, whole: bool) -> dict[str, MLLM]:
    """Return {name: network}: the policy, and the frozen networks named in spec["others"].

    whole: read all weights now; else each rank reads its shards when the networks are sharded.
    """
    policy = MLLM.load(folder, dtype=spec["dtype"], whole=whole)
    others = {"reference": policy.frozen_copy(), "ema": policy.frozen_copy(averaged=True)}
    return {"policy": policy, **{name: others[name] for name in spec["others"]}}


def loaded(spec: dict[str, Any], folder: str, whole: bool) -> dict[str, MLLM]:
    """Return {name: network}, sharded over all ranks, with their weights. whole: as for `networks`."""
    models = networks(spec, folder, whole)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for model in models.values():
        shard_layers(model, mesh)
    load_shards(models, torch.device("cpu"))
    return models


def parts_gb(models: dict[str, MLLM]) -> float:
    """Return the GB of this rank's shards of all networks; memory that two networks share counts once."""
    parts = [local(weight).untyped_storage() for model in models.values() for weight in model.parameters()]
    return sum({part.data_ptr(): part.nbytes() for part in parts}.values()) / 1e9


def largest_layer_gb(model: MLLM) -> float:
    """Return the GB of the largest decoder layer, unsharded."""
    layers = model.network.model.language_model.layers
    return max(sum(p.numel() * p.itemsize for p in layer.parameters()) for layer in layers) / 1e9


def checksum(models: dict[str, MLLM]) -> str:
    """Return the SHA-256 of this rank's shards of all weights."""
    found = hashlib.sha256()
    for model in models.values():
        for name, weight in model.network.named_parameters():
            found.update(name.encode())
            found.update(local(weight.detach()).contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def main() -> None:
    """Load once and print one JSON line. sys.argv[1]: the specification as JSON."""
    spec = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=spec["meet"], rank=spec["rank"], world_size=spec["ranks"])
    loaded(spec, find(SHIPPED), whole=False)  # imports what a network of this kind needs
    dist.barrier()
    reset_peak()
    bare, start = peak_gb(), time.perf_counter()
    models = loaded(spec, spec["model"], whole=spec["path"] == "whole")
    dist.barrier()
    seconds, most = time.perf_counter() - start, peak_gb() - bare
    facts: dict[str, Any] = {"seconds": seconds, "bare_gb": bare, "peak_gb": most, "parts_gb": parts_gb(models)}
    facts |= {"largest_layer_gb": largest_layer_gb(models["policy"]), "checksum": checksum(models)}
    print(json.dumps({**facts, "weights": sum(p.numel() for p in models["policy"].parameters())}))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
