"""The end of a run: the exported model and the report, or the cause of its failure in words."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from safetensors import SafetensorError
from torch import Tensor

from ral.config.build import precision_of
from ral.config.check import first_line, plain
from ral.files import jsonl
from ral.lit.loggers import Wandb
from ral.lit.module import PolicyModule
from ral.models.adapters.lora import merged, save_adapters
from ral.models.loading import finite, listed, some
from ral.planning.afterwards import tell_missed
from ral.report.card import write_card
from ral.report.page import build as build_report
from ral.report.viewer import VIEWER_NAME
from ral.types import UserError
from ral.viewing.pages import view_run
from ral.viewing.questions import viewable

QUICK_TO_VIEW = 64e6
"""Bytes of exported weights up to which a run writes explore.html itself, which then takes a few seconds."""


def out_of_memory(cfg: DictConfig, reason: str) -> str:
    """Return an error line that lists settings to change for a run that takes less memory.

    Settings that cannot be lowered further are left out. reason: PyTorch's message, whose first line is quoted.
    """
    hardware, algo, media = cfg.hardware, cfg.algo, cfg.dataset.media
    ways = [f"hardware.micro_batch_prompts=1 (now {hardware.micro_batch_prompts})"]
    ways = ways if hardware.micro_batch_prompts > 1 else []
    if not hardware.gradient_checkpointing:
        ways.append("hardware.gradient_checkpointing=true")
    elif not hardware.offload_activations:
        ways.append("hardware.offload_activations=true")
    part = hardware.micro_batch_responses or algo.group_size
    ways += [f"hardware.micro_batch_responses={part // 2}"] if part > 1 else []
    ways += [] if "bf16" in precision_of(hardware) else ["hardware.precision=bf16-mixed"]
    ways += [f"dataset.media.max_frames below {media.max_frames}"]
    ways += [f"algo.group_size below {algo.group_size}"] if algo.group_size > 1 else []
    return f"out of GPU memory ({reason.splitlines()[0][:160]}): try {', '.join(ways)}"


def original(error: BaseException) -> BaseException:
    """Return the exception that ended a run: `error`, or the one it hides where Lightning's teardown raised `error`."""
    if "combined_loader" in str(error) and error.__context__ is not None:
        return error.__context__
    return error


def named_cause(error: BaseException) -> BaseException:
    """Return a UserError that says what to do, if the disk is full or a port is taken; else return `error` itself."""
    text = str(error)
    if isinstance(error, UserError):
        return error
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        where = getattr(error, "filename", None) or "the run's folder"
        return UserError(f"{where}: the disk is full; free some space and go on with resume=auto")
    if "EADDRINUSE" in text or "address already in use" in text.lower():
        port = os.environ.get("MASTER_PORT", "")
        return UserError(f"MASTER_PORT={port}: another process listens there; choose another port, or unset it")
    return error


def finish(cfg: DictConfig, trainer: L.Trainer, module: PolicyModule, folder: Path) -> None:
    """Write a run's results, upload artifacts, and print the run's folder.

    The results are hf/ and adapter/, viewer, report and model card (`leave_results`). All ranks call this; the first
    one writes. UserError where the model cannot be written.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = get_model_state_dict(module.policy.network, options=whole)
    for logger in trainer.loggers:
        logger.finalize("success")
    if trainer.is_global_zero:
        try:
            leave_results(cfg, module, state, folder)
        finally:
            send_artifacts(trainer.loggers, folder)
        print(f"run: {folder}", flush=True)


def leave_results(cfg: DictConfig, module: PolicyModule, state: dict[str, Any], folder: Path) -> None:
    """Write the trained model, the viewer, the report and the model card.

    state: all weights, whole, in main memory. UserError where the model cannot be written; a problem with the others is
    a warning.
    """
    try:
        export(cfg, module, state, folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise not_exported(folder, error) from error
    tell_missed(plain(cfg), folder, torch.cuda)
    if (line := held_out_line(folder)) is not None:
        print(line)
    if cfg.viewer:
        print_viewer(folder)
    print_report(folder)
    give_card(folder)


def send_artifacts(loggers: Iterable[Logger], folder: Path) -> None:
    """Send the files that logger.wandb.artifacts names to W&B, and end the W&B run; a failed upload is a warning.

    Do nothing where no artifact is named.
    """
    for logger in loggers:
        if isinstance(logger, Wandb):
            logger.send(folder)


def export(cfg: DictConfig, module: PolicyModule, state: dict[str, Any], folder: Path) -> None:
    """Write adapter/ and hf/, as lora.rank and lora.merge ask. UserError for weights that are not finite.

    state: all weights, whole, in main memory.
    """
    check_finite(state, folder)
    if cfg.lora.rank:
        save_adapters(state, module.policy.network, str(cfg.model.pretrained), folder / "adapter")
        state = merged(state, module.policy.network)
    if cfg.lora.merge or not cfg.lora.rank:
        module.export(state, folder)


def check_finite(state: Mapping[str, Tensor], folder: Path) -> None:
    """Raise UserError where a weight holds NaN or infinity. Integers, and values that are no tensor, pass."""
    bad = [name for name, value in state.items() if isinstance(value, Tensor) and not finite(value.detach())]
    if bad:
        raise UserError(
            f"{folder}: {some(len(bad), 'trained weight')} with numbers that are not finite (NaN or infinity), "
            f"{listed(bad)}: nothing is exported; lower algo.learning_rate"
        )


def not_exported(folder: Path, error: Exception) -> UserError:
    """Return the UserError for a trained model that cannot be written, with the command that tries again."""
    reason = first_line(error)
    return UserError(
        f"{folder / 'hf'}: the trained model cannot be written ({reason}); its checkpoint is whole: free some space, "
        f"then the same command with resume=auto hydra.run.dir={folder} writes it"
    )


def held_out_line(folder: Path) -> str | None:
    """Return a line with the accuracy on held-out questions before and after training, in percent.

    Where the reward has no part `accuracy`, the line has the mean reward. None where there was no evaluation after
    training, or it answered no question.
    """
    found = {side: folder / "eval" / f"{side}.jsonl" for side in ("before", "after")}
    lines = {side: jsonl.readable(path) for side, path in found.items() if path.is_file()}
    if "after" not in lines:
        return None
    for part, name, scale in (("accuracy", "accuracy, %", 100), ("reward", "reward", 1)):
        values = {side: [scale * float(one[part]) for one in own if part in one] for side, own in lines.items()}
        if values["after"]:
            means = [f"{sum(own) / len(own):.{1 if scale > 1 else 3}f}" for own in values.values() if own]
            counts = list(dict.fromkeys(str(len(own)) for own in values.values() if own))
            return f"held-out {name}: {' -> '.join(means)} (n={', '.join(counts)})"
    return None


def print_viewer(folder: Path) -> None:
    """Write explore.html and print its path; for a model above QUICK_TO_VIEW print the command that writes it.

    Do nothing where the run has no questions to view; a problem is a warning.
    """
    if not viewable(folder):
        return
    command = f"python scripts/explore.py run={folder}"
    if sum(file.stat().st_size for file in (folder / "hf").glob("*.safetensors")) > QUICK_TO_VIEW:
        print(f"viewer: {command} writes it")
        return
    try:
        print(f"viewer: {view_run(folder)[0]}")
    except Exception as error:  # whatever it is, it ends no run
        print(f"warning: {VIEWER_NAME} could not be written ({reason_of(error)}); {command} does", file=sys.stderr)


def reason_of(error: Exception) -> str:
    """Return an error as one line, which begins with the error's type unless it is a UserError."""
    return first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"


def print_report(folder: Path) -> None:
    """Write report.html and print its path; a problem is a warning with the command to try again."""
    try:
        print(f"report: {build_report(folder)}")
    except Exception as error:  # whatever it is, it ends no run
        again = f"python scripts/report.py {folder} writes it again"
        print(f"warning: report.html could not be written ({reason_of(error)}); {again}", file=sys.stderr)


def give_card(folder: Path) -> None:
    """Write the model card into hf/, if there is one; a problem is a warning."""
    try:
        if (folder / "hf").is_dir():
            write_card(folder, folder / "hf")
    except Exception as error:  # whatever it is, it ends no run
        print(f"warning: {folder / 'hf' / 'README.md'} could not be written ({reason_of(error)})", file=sys.stderr)
