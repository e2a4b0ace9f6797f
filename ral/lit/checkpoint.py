"""Checkpoints of a run: trained weights, optimizer, step. Written aside, then renamed: a name means a whole one.

What a step does depends on seed, step and weights alone (rollout generators, data order and schedule are functions of
the step), so these three, the bad entries met so far and what the guards remember are all that an exact resume needs.
Frozen weights come from model.pretrained again.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
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

from ral.lit.callbacks import Evaluations
from ral.lit.data import gather, together
from ral.lit.shards import FOLDER, checksum, own_checksums, read_shards, write_shards
from ral.types import UserError

FILE, CHECKSUM = "state.pt", "sha256"
PARTIAL = "partial_"
"""Begins the name of a checkpoint folder that is being written."""
GATHERED = StateDictOptions(full_state_dict=True, cpu_offload=True)
LOADED = StateDictOptions(full_state_dict=True, broadcast_from_rank0=False, strict=False)
OWN_PART = StateDictOptions(cpu_offload=True)
PUT_BACK = StateDictOptions(strict=False)


def changing(module: Any) -> dict[str, Any]:
    """The networks whose weights change in a run, by name."""
    return {"policy": module.policy.network} | {n: m.network for n, m in module.others.items() if n == "ema"}


def collect(module: Any, options: StateDictOptions = GATHERED) -> dict[str, Any]:
    """Weights and optimizer of a PolicyModule, whole or this rank's part; every rank must call it."""
    optimizer = module.optimizers(use_pl_optimizer=False)
    trained = {name for name, _ in module.policy.trained_parameters()}
    weights = {
        name: {k: v for k, v in get_model_state_dict(network, options=options).items() if k in trained}
        for name, network in changing(module).items()
    }
    state = get_optimizer_state_dict(module.policy.network, optimizer, options=options)
    return {"weights": weights, "optimizer": state}


def save(state: dict[str, Any], folder: Path, sums: Mapping[str, str] | None = None) -> None:
    """Write folder/state.pt and the checksums, on disk before the folder gets its name.

    sums: SHA-256 of the shards that lie there already, by name. UserError where that fails (a full disk, say); what is
    saved already stays.
    """
    aside = aside_of(folder)
    try:
        if not sums:
            shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True, exist_ok=True)
        with (aside / FILE).open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        sums = {FILE: checksum(aside / FILE), **(sums or {})}
        (aside / CHECKSUM).write_text("".join(f"{value}  {name}\n" for name, value in sums.items()))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(aside, folder)
    except (OSError, RuntimeError) as error:
        raise not_written(folder, error) from error


def aside_of(folder: Path) -> Path:
    """Where a checkpoint folder is written before it gets its name."""
    return folder.with_name(PARTIAL + folder.name)


def not_written(folder: Path, error: Exception) -> UserError:
    """What to say of a checkpoint that could not be written, its remains removed."""
    shutil.rmtree(aside_of(folder), ignore_errors=True)
    return UserError(
        f"{folder}: the checkpoint cannot be written ({error}); those before it are whole: "
        "free some space and go on with resume=auto"
    )


def save_sharded(module: Any, facts: dict[str, Any], folder: Path, first: bool) -> None:
    """The same, each rank writing its part of the sharded networks; all of them must see the folder. first: rank 0."""
    aside = aside_of(folder)
    if first:
        shutil.rmtree(aside, ignore_errors=True)
    gather(None)  # nobody writes before the remains of an earlier attempt are gone
    state = collect(module, OWN_PART)

    def put() -> dict[str, str]:
        try:
            write_shards(state, aside / FOLDER)
            return own_checksums(aside)
        except OSError as error:
            raise not_written(folder, error) from error

    sums = {name: value for part in gather(together(put)) for name, value in part.items()}
    together(lambda: save(facts, folder, sums) if first else None)


def step_of(folder: Path) -> int:
    """The step that a checkpoint folder is named after."""
    return int(folder.name.removeprefix("step_"))


def saved(root: Path) -> list[Path]:
    """The checkpoint folders under `root`, oldest first."""
    return sorted((p.parent for p in root.glob(f"step_*/{FILE}")), key=step_of)


def whole(folder: Path) -> bool:
    """Whether a checkpoint is what was written: its checksums fit. One of version 0.1.0 has none and passes."""
    own = folder / CHECKSUM
    lines = [line.split(maxsplit=1) for line in own.read_text().splitlines()] if own.is_file() else []
    sums = {(rest[0] if rest else FILE): value for value, *rest in lines}
    return all((folder / name).is_file() and checksum(folder / name) == value for name, value in sums.items())


def newest(root: Path) -> Path | None:
    """The newest whole checkpoint folder under `root`, with a warning for each broken one behind it; None if none is.

    UserError where all are broken: a run should not silently begin again.
    """
    found = saved(root)
    for folder in reversed(found):
        if whole(folder):
            return folder
        warnings.warn(f"{folder}: the checkpoint is damaged (its checksum does not fit): passed over", stacklevel=2)
    if found:
        raise UserError(f"resume=auto: every checkpoint in {root} is damaged; remove them to begin again")
    return None


def verified(folder: Path) -> Path:
    """The checkpoint folder. UserError where there is none, or a damaged one."""
    if not (folder / FILE).is_file():
        if steps := saved(folder / "checkpoints") or saved(folder):
            raise UserError(f"resume={folder}: that is no checkpoint but the folder of some: write resume={steps[-1]}")
        raise UserError(
            f"resume={folder}: no such checkpoint folder; write resume=auto or outputs/.../checkpoints/step_N"
        )
    if not whole(folder):
        raise UserError(f"resume={folder}: it is damaged (its checksum does not fit); name another checkpoint folder")
    return folder


def read(folder: Path) -> dict[str, Any]:
    """The state in a checkpoint folder. UserError where it cannot be read."""
    remedy = "name another checkpoint folder"
    try:
        return torch.load(folder / FILE, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, EOFError, ValueError, UnpicklingError) as error:
        raise UserError(f"resume: {folder / FILE} cannot be read ({error}); {remedy}") from error


def restore_sharded(module: Any, folder: Path) -> None:
    """Put back what save_sharded wrote, by whatever number of ranks, into a PolicyModule whose optimizer exists."""
    state = collect(module, OWN_PART)
    read_shards(state, folder / FOLDER)
    for name, network in changing(module).items():
        set_model_state_dict(network, state["weights"][name], options=PUT_BACK)
    optimizer = module.optimizers(use_pl_optimizer=False)
    set_optimizer_state_dict(module.policy.network, optimizer, state["optimizer"], options=PUT_BACK)


def restore(module: Any, state: dict[str, Any]) -> None:
    """Put a whole state back into a PolicyModule whose optimizer exists."""
    network = module.policy.network
    fits(dict(module.policy.trained_parameters()), state["weights"]["policy"])
    set_model_state_dict(network, state["weights"]["policy"], options=LOADED)
    if "ema" in module.others and "ema" in state["weights"]:
        set_model_state_dict(module.others["ema"].network, state["weights"]["ema"], options=LOADED)
    optimizer = module.optimizers(use_pl_optimizer=False)
    set_optimizer_state_dict(network, optimizer, state["optimizer"], options=LOADED)


def fits(trained: Mapping[str, torch.Tensor], held: Mapping[str, torch.Tensor]) -> None:
    """UserError where a checkpoint's weights are not exactly those that this run trains, in name and shape."""
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


def remembering(trainer: L.Trainer, module: Any) -> dict[str, Any]:
    """What else has something to remember from one step to the next, by name: objects with state() and restore()."""
    watching = [*trainer.callbacks, module.guard]
    return {type(each).__name__: each for each in watching if hasattr(each, "state") and hasattr(each, "restore")}


class Checkpoints(L.Callback):
    """Saves every `every` steps, at the end and at an interruption; keeps the newest `keep` and the best.

    best: the metric of `evaluations` whose highest value's step is kept as well, named in <root>/best.json; None: no
    such. resume: a checkpoint folder to start from. sharded: whether each rank writes its own part.
    """

    def __init__(
        self,
        root: Path,
        evaluations: Evaluations,
        *,
        every: int,
        keep: int,
        best: str | None = None,
        sharded: bool = False,
        resume: Path | None = None,
    ) -> None:
        self.root, self.evaluations, self.every, self.keep = root, evaluations, every, keep
        self.best, self.sharded, self.resume = best, sharded, resume
        self.saved: int | None = None
        self.highest: dict[str, Any] = {}

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Restore weights and step before the data loader asks where to begin."""
        if (folder := self.resume) is None:
            return
        state = together(lambda: read(folder))
        together(lambda: restore(module, state) if "weights" in state else restore_sharded(module, folder))
        module.rollout_step = int(state["step"])
        if "data" in state:  # not in those of 0.1.0
            trainer.datamodule.ledger.restore(state["data"])
        for name, each in remembering(trainer, module).items():
            if name in state.get("remembered", {}):  # older ones lack it
                each.restore(state["remembered"][name])
        self.highest = state.get("best", {})
        if self.highest.get("metric") != self.best:  # another metric's values cannot be compared with
            self.highest = {}
        self.evaluations.latest = (state.get("evaluated", module.rollout_step), {})
        trainer.datamodule.first_step = module.rollout_step
        self.saved = module.rollout_step

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """An evaluation that a resumed run had to make up for may be the best so far."""
        if module.rollout_step and self.consider(module):
            self.write(trainer, module, again=True)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Save when due, when an evaluation was the best so far, and at once when the run is asked to stop."""
        better = self.consider(module)
        due = self.every and module.rollout_step % self.every == 0
        if due or better or trainer.should_stop:
            self.write(trainer, module)

    def consider(self, module: Any) -> bool:
        """Whether this step's evaluation beats those before it; it is remembered then."""
        step, means = self.evaluations.latest
        if step != module.rollout_step or self.best is None or self.best not in means:
            return False
        if means[self.best] <= self.highest.get("value", -math.inf):
            return False
        self.highest = {"step": step, "metric": self.best, "value": means[self.best]}
        return True

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Save the end, which may be the best."""
        self.write(trainer, module, again=self.consider(module))

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        """Keep the steps that are complete: an error between steps (a broken picture, say) costs nothing computed."""
        if not module.stepping and module.rollout_step and trainer.world_size == 1:
            self.write(trainer, module)

    def write(self, trainer: L.Trainer, module: L.LightningModule, again: bool = False) -> None:
        """Save this step, unless it is saved already; every rank takes part."""
        step = module.rollout_step
        if self.saved == step and not again:
            return
        self.saved = step  # a failure is not tried again on the way out
        facts = {"step": step, "data": trainer.datamodule.ledger.state()}
        facts |= {"best": self.highest, "evaluated": self.evaluations.latest[0]}
        facts |= {"remembered": {name: each.state() for name, each in remembering(trainer, module).items()}}
        folder, first = self.root / f"step_{step:06d}", trainer.is_global_zero
        if self.sharded:
            save_sharded(module, facts, folder, first)
        else:
            state = facts | collect(module)
            together(lambda: save(state, folder) if first else None)
        together(lambda: self.prune() if first else None)

    def prune(self) -> None:
        """Remove all but the newest and the best."""
        if self.highest:
            (self.root / "best.json").write_text(json.dumps(self.highest) + "\n")
        for old in saved(self.root)[: -self.keep]:
            if step_of(old) != self.highest.get("step"):
                shutil.rmtree(old)
