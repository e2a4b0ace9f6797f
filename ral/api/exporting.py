"""Writes a checkpoint's policy as a Hugging Face folder, in place of what was there only when the new one is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from ral.assembly.models import load_policy
from ral.errors import UserError
from ral.files.targets import check_apart, check_free
from ral.learner.checkpoints import EXPORTED, read, verified
from ral.learner.shards import FOLDER, read_shards
from ral.models.adapters.lora import merged, save_adapters
from ral.models.mllm import MLLM
from ral.models.saving import save_network
from ral.starting import config_of, quiet_libraries


def trained_weights(policy: MLLM, checkpoint: Path) -> dict[str, Any]:
    """Return the policy's weights in a checkpoint, {name: tensor}, from a whole file or from shards."""
    state = read(checkpoint)
    if "weights" not in state:
        state = {"weights": {"policy": {n: torch.empty_like(p) for n, p in policy.trained_parameters()}}}
        read_shards(state, checkpoint / FOLDER)
    return state["weights"]["policy"]


def export(checkpoint: Path, output: Path, overwrite: bool = False) -> Path:
    """Write the checkpoint's model to `output`/hf, its adapters to `output`/adapter; return the model's folder.

    overwrite: whether a model that is there already is replaced, once the new one is whole. UserError where the
    checkpoint is not whole or its run has no config.yaml, where a model is there and `overwrite` is False, and where
    that is the model that the run began with.
    """
    targets = [output / name for name in EXPORTED]
    check_free(targets, overwrite)
    quiet_libraries()
    config = config_of(verified(checkpoint, key=""))
    if config is None:
        raise UserError(f"{checkpoint.parent.parent / 'config.yaml'}: missing; export from the run's own folder")
    cfg = OmegaConf.create(config)
    cfg.lora.resume, cfg.hardware.shard = None, None  # the checkpoint has the adapters; one process holds all of it
    for target in targets:
        check_apart(target, [Path(str(cfg.model.pretrained))])
    policy = load_policy(cfg)
    policy.network.load_state_dict(trained_weights(policy, checkpoint), strict=False)  # a tied head follows
    state = policy.network.state_dict()
    with replacing(output) as aside:
        if cfg.lora.rank:
            save_adapters(state, policy.network, str(cfg.model.pretrained), aside / "adapter")
            state = merged(state, policy.network)
        save_network(policy.network, state, policy.processor, aside / "hf")
    return output / "hf"


@contextmanager
def replacing(output: Path) -> Iterator[Path]:
    """Yield an empty folder; after the block its folders replace those of the same names below `output`.

    An exception in the block leaves `output` as it was.
    """
    aside = output / f".exporting_{os.getpid()}"
    try:
        aside.mkdir(parents=True)
        yield aside
        for made in aside.iterdir():
            shutil.rmtree(output / made.name, ignore_errors=True)
            os.replace(made, output / made.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
