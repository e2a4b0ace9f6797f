"""Weights and optimizer state to and from a checkpoint: gathered whole, or each rank its own part.

A checkpoint holds no frozen weights: a resumed run reads them from model.pretrained.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from ral.learner.checkpoints import aside_of, not_written, read, save
from ral.learner.models import Models
from ral.learner.ranks import gather, together
from ral.learner.shards import FOLDER, own_checksums, read_shards, write_shards
from ral.types import UserError

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
LOADED = StateDictOptions(full_state_dict=True, broadcast_from_rank0=False, strict=False)
OWN_PART = StateDictOptions(cpu_offload=True)
PUT_BACK = StateDictOptions(strict=False)


def collect(models: Models, optimizer: torch.optim.Optimizer, options: StateDictOptions = WHOLE) -> dict[str, Any]:
    """Return {"weights": {network: trained weights by name}, "optimizer": state}; every rank must call it.

    options: WHOLE to gather whole weights on rank 0, or OWN_PART for this rank's part; both on the CPU.
    """
    trained = {name for name, _ in models.policy.trained_parameters()}
    weights = {
        name: {k: v for k, v in get_model_state_dict(model.network, options=options).items() if k in trained}
        for name, model in models.changing().items()
    }
    state = get_optimizer_state_dict(models.policy.network, optimizer, options=options)
    return {"weights": weights, "optimizer": state}


def write(
    facts: Mapping[str, Any], models: Models, optimizer: torch.optim.Optimizer, folder: Path, first: bool
) -> None:
    """Write a checkpoint of whole weights to `folder`; every rank must call it.

    facts: further entries of the checkpoint. first: whether this is rank 0, which writes. UserError, on all ranks,
    where it cannot be written.
    """
    state = {**facts, **collect(models, optimizer)}
    together(lambda: save(state, folder) if first else None)


def write_sharded(
    facts: Mapping[str, Any], models: Models, optimizer: torch.optim.Optimizer, folder: Path, first: bool
) -> None:
    """Write a checkpoint to which each rank writes its part; every rank must call it and see the folder.

    facts: further entries of the checkpoint. first: whether this is rank 0. UserError, on all, where it cannot be
    written.
    """
    aside = aside_of(folder)
    if first:
        shutil.rmtree(aside, ignore_errors=True)
    gather(None)  # nobody writes before the remains of an earlier attempt are gone
    state = collect(models, optimizer, OWN_PART)

    def put() -> dict[str, str]:
        try:
            write_shards(state, aside / FOLDER)
            return own_checksums(aside)
        except OSError as error:
            raise not_written(folder, error) from error

    sums = {name: value for part in gather(together(put)) for name, value in part.items()}
    together(lambda: save(dict(facts), folder, sums) if first else None)


def restore(models: Models, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Load the weights and the optimizer state of a checkpoint, whatever the number of ranks that wrote it.

    Every rank must call it. UserError where the checkpoint cannot be read, or is not of the weights that this run
    trains.
    """
    state = together(lambda: read(folder))
    put = _restore_whole if "weights" in state else _restore_sharded
    together(lambda: put(models, optimizer, state, folder))


def _restore_sharded(models: Models, optimizer: torch.optim.Optimizer, _: Mapping[str, Any], folder: Path) -> None:
    state = collect(models, optimizer, OWN_PART)
    read_shards(state, folder / FOLDER)
    for name, model in models.changing().items():
        set_model_state_dict(model.network, state["weights"][name], options=PUT_BACK)
    set_optimizer_state_dict(models.policy.network, optimizer, state["optimizer"], options=PUT_BACK)


def _restore_whole(models: Models, optimizer: torch.optim.Optimizer, state: Mapping[str, Any], _: Path) -> None:
    fits(dict(models.policy.trained_parameters()), state["weights"]["policy"])
    for name, model in models.changing().items():
        if name in state["weights"]:
            set_model_state_dict(model.network, state["weights"][name], options=LOADED)
    set_optimizer_state_dict(models.policy.network, optimizer, state["optimizer"], options=LOADED)


def fits(trained: Mapping[str, torch.Tensor], held: Mapping[str, torch.Tensor]) -> None:
    """Raise UserError where the weights `held` in a checkpoint differ from the `trained` ones in name or shape."""
    of_another = "the checkpoint is of another model, or of other trained weights (lora, model.freeze_vision)"
    for one, other, words in (
        (trained, held, "has no weights for"),
        (held, trained, "has weights that are not trained:"),
    ):
        if names := sorted(one.keys() - other.keys()):
            raise UserError(f"resume: {of_another}: it {words} {names[0]} ({len(names)} such)")
    for name, weight in trained.items():
        if weight.shape != held[name].shape:
            shapes = f"{tuple(held[name].shape)} there, {tuple(weight.shape)} here"
            raise UserError(f"resume: {of_another}: {name} is {shapes}")


def weights_of(folder: Path, model: str, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trained weights of a model in a checkpoint folder, whole, also where several ranks wrote them.

    parameters: {name: parameter of that shape}, of which shards are read. UserError for an unreadable checkpoint.
    """
    state = read(folder)
    if "weights" not in state:
        state = {"weights": {model: {name: torch.empty_like(own) for name, own in parameters.items()}}}
        read_shards(state, folder / FOLDER)
    return dict(state["weights"][model])
