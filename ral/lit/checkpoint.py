"""Checkpoints of a run: trained weights, optimizer, step. Written aside, then renamed: a name means a whole one.

What a step does depends on seed, step and weights alone (rollout generators, data order and schedule are functions of
the step), so these three, and the bad entries met so far, are all that an exact resume needs. Frozen weights come from
model.pretrained again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from ral.types import UserError

FILE = "state.pt"
GATHERED = StateDictOptions(full_state_dict=True, cpu_offload=True)
LOADED = StateDictOptions(full_state_dict=True, broadcast_from_rank0=False, strict=False)


def collect(module: Any) -> dict[str, Any]:
    """The state of a PolicyModule; every rank must call it (weights may be sharded)."""
    optimizer = module.optimizers(use_pl_optimizer=False)
    trained = {name for name, _ in module.policy.trained_parameters()}
    networks = {"policy": module.policy.network}
    if "ema" in module.others:
        networks["ema"] = module.others["ema"].network
    weights = {
        name: {k: v for k, v in get_model_state_dict(network, options=GATHERED).items() if k in trained}
        for name, network in networks.items()
    }
    state = get_optimizer_state_dict(module.policy.network, optimizer, options=GATHERED)
    return {"step": module.rollout_step, "weights": weights, "optimizer": state}


def save(state: dict[str, Any], folder: Path) -> None:
    """Write folder/state.pt through a temporary folder."""
    aside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    torch.save(state, aside / FILE)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(aside, folder)


def newest(root: Path) -> Path | None:
    """The checkpoint folder with the highest step under `root`, or None."""
    found = sorted(p.parent for p in root.glob(f"step_*/{FILE}"))
    return found[-1] if found else None


def read(folder: Path) -> dict[str, Any]:
    """The state in a checkpoint folder. UserError where it cannot be read."""
    try:
        return torch.load(folder / FILE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"resume: {folder / FILE} cannot be read ({error}); name another checkpoint folder") from error


def restore(module: Any, state: dict[str, Any]) -> None:
    """Put a state back into a PolicyModule whose optimizer exists."""
    network = module.policy.network
    missing = {n for n, _ in module.policy.trained_parameters()} - set(state["weights"]["policy"])
    if missing:
        raise UserError(f"resume: the checkpoint has no weights for {sorted(missing)[0]}: it is of another model")
    set_model_state_dict(network, state["weights"]["policy"], options=LOADED)
    if "ema" in module.others and "ema" in state["weights"]:
        set_model_state_dict(module.others["ema"].network, state["weights"]["ema"], options=LOADED)
    optimizer = module.optimizers(use_pl_optimizer=False)
    set_optimizer_state_dict(network, optimizer, state["optimizer"], options=LOADED)
    module.rollout_step = int(state["step"])


class Checkpoints(L.Callback):
    """Saves every `every` steps and at the end; keeps the newest `keep`. resume: a checkpoint folder to start from."""

    def __init__(self, root: Path, *, every: int, keep: int, resume: Path | None = None) -> None:
        self.root, self.every, self.keep, self.resume = root, every, keep, resume
        self.saved: int | None = None

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Restore weights and step before the data loader asks where to begin."""
        if self.resume is None:
            return
        restore(module, state := read(self.resume))
        if "data" in state:  # not in those of 0.1.0
            trainer.datamodule.ledger.restore(state["data"])
        trainer.datamodule.first_step = module.rollout_step
        self.saved = module.rollout_step

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Save when due."""
        if self.every and module.rollout_step % self.every == 0:
            self.write(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save the end, also after an interruption."""
        self.write(trainer, module)

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        """Keep the steps that are complete: an error between steps (a broken picture, say) costs nothing computed."""
        if not module.stepping and module.rollout_step and trainer.world_size == 1:
            self.write(trainer, module)

    def write(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save this step, unless it is saved already; every rank takes part, rank 0 writes."""
        step = module.rollout_step
        if self.saved == step:
            return
        state = collect(module) | {"data": trainer.datamodule.ledger.state()}
        if trainer.is_global_zero:
            save(state, self.root / f"step_{step:06d}")
            for old in sorted(self.root.glob("step_*"))[: -self.keep]:
                shutil.rmtree(old)
        self.saved = step
