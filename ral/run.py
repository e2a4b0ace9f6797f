"""The composition root: a valid configuration becomes objects, the objects a run, the run a folder of results."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from transformers.utils.logging import disable_progress_bar

from ral.data.bad import Ledger
from ral.data.media import media_reader
from ral.lit.callbacks import Evaluations, GentleStop, Profile, ProgressBar
from ral.lit.checkpoint import Checkpoints, newest, read
from ral.lit.data import Collate, PromptData
from ral.lit.experience import Forward
from ral.lit.policy import Models, PolicyModule, Settings
from ral.lit.start import StartCheck
from ral.models.checks import check_spec, same_tokens
from ral.models.mllm import MLLM, save_network
from ral.models.plain import load
from ral.ops.signals import Term, frozen_needs, needed
from ral.report.environment import write_environment
from ral.report.page import build as build_report
from ral.rollout.sampler import PolicySampler
from ral.types import UserError

ROOT = Path(__file__).resolve().parent.parent
FOLDER_VARIABLE = "RAL_RUN_FOLDER"
"""Tells the processes of further ranks, started by the first, which folder the run writes to. Unset between runs."""
INTERRUPTED = 130
"""Exit code of a run that was stopped by Ctrl-C or SIGTERM, with everything saved."""


def train(cfg: DictConfig) -> None:
    """One run, from a checked configuration to its report. SystemExit(130) after an interruption."""
    quiet_libraries()
    folder = run_folder()
    resume = find_checkpoint(cfg.resume, folder)
    objective = build_objective(cfg.algo)
    data = build_data(cfg, policy := load_model(cfg, str(cfg.model.pretrained)), folder)
    module = build_module(cfg, objective, build_models(cfg, policy, objective))
    stop = GentleStop()
    trainer = build_trainer(cfg, folder, resume, stop)
    if trainer.is_global_zero:
        OmegaConf.save(OmegaConf.create(OmegaConf.to_container(cfg, resolve=True)), folder / "config.yaml")
        write_environment(folder)
    stop.install()
    try:
        trainer.fit(module, datamodule=data)
    except SystemExit:  # Lightning's answer to a second Ctrl-C
        sys.exit(INTERRUPTED)
    except Exception as error:
        raise original(error) from None
    finally:
        stop.restore()
    finish(trainer, module, folder)
    if stop.requested is not None:
        sys.exit(INTERRUPTED)


def original(error: BaseException) -> BaseException:
    """The exception that ended a run: Lightning's teardown may raise another on top of it."""
    if "combined_loader" in str(error) and error.__context__ is not None:
        return error.__context__
    return error


def finish(trainer: L.Trainer, module: PolicyModule, folder: Path) -> None:
    """Export hf/, write report.html, print where everything is."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state: dict[str, Any] = get_model_state_dict(module.policy.network, options=whole)
    for logger in trainer.loggers:
        logger.finalize("success")
    if trainer.is_global_zero:
        save_network(module.policy.network, state, module.policy.processor, folder / "hf")
        report = build_report(folder)
        print(f"report: {report}")
        print(f"run: {folder}", flush=True)


def build_objective(algo: DictConfig) -> dict[str, Term]:
    """The named terms that the objective sums."""
    return {name: instantiate(algo[name]) for name in algo.objective}


def load_model(cfg: DictConfig, pretrained: str) -> MLLM:
    """A model from a folder (also one relative to this repository) or a hub id."""
    shipped = ROOT / pretrained
    path = str(shipped) if not Path(pretrained).exists() and shipped.exists() else pretrained
    hardware = cfg.hardware
    return load(path, share_prompt=hardware.share_prompt, dtype=hardware.dtype, freeze_vision=cfg.model.freeze_vision)


def build_models(cfg: DictConfig, policy: MLLM, objective: Mapping[str, Term]) -> Models:
    """The policy and whatever other networks the objective needs frozen signals of."""
    if cfg.hardware.gradient_checkpointing:
        policy.checkpoint_layers()
    wanted = frozen_needs(needed(objective.values()))
    spec = instantiate(cfg.algo.attention_policy)
    others: dict[str, MLLM] = {name: policy.frozen_copy() for name in ("reference", "ema") if name in wanted}
    if "teacher" in wanted:
        if cfg.algo.teacher is None:
            raise UserError(
                "model.teacher is not set, and the objective needs one: write model.teacher=<folder or hub id>"
            )
        others["teacher"] = load_model(cfg, str(cfg.algo.teacher)).requires_grad_(False)
        same_tokens(policy.processor, others["teacher"].processor)
    check_spec(spec, [policy, *others.values()])
    return Models(policy, **others)


def build_data(cfg: DictConfig, policy: MLLM, folder: Path) -> PromptData:
    """The datamodule, its two splits opened; rank 0 lists bad entries in the run's folder."""
    dataset = cfg.dataset
    reader = media_reader(
        instantiate(dataset.media, factor=policy.processor.patches.factor),
        cache_gb=dataset.cache_gb,
        disk_cache=dataset.disk_cache,
        disk_cache_gb=dataset.disk_cache_gb,
    )
    algo, templates = cfg.algo, dataset.templates
    if algo.prompts_per_step % (cfg.hardware.devices * cfg.hardware.num_nodes):
        raise UserError(
            f"algo.prompts_per_step={algo.prompts_per_step} cannot be dealt out evenly to "
            f"{cfg.hardware.devices * cfg.hardware.num_nodes} processes: write a multiple"
        )
    collate = Collate(
        policy.processor,
        templates=(templates.think, templates.zero),
        thinking=algo.thinking,
        answer_only_share=dataset.answer_only_share,
        targets=not algo.rollouts,
    )
    data = PromptData(
        instantiate(dataset.source),
        reader,
        collate,
        Ledger(folder / "bad_samples.jsonl" if rank_zero_only.rank == 0 else None, dataset.max_bad_share),
        train_split=algo.train_split,
        prompts_per_step=algo.prompts_per_step,
        max_steps=cfg.max_steps,
        evaluation_prompts=cfg.eval.prompts,
        evaluation_batch=cfg.eval.batch,
        seed=cfg.seed,
        num_workers=cfg.hardware.num_workers,
    )
    data.load()
    return data


def build_module(cfg: DictConfig, objective: Mapping[str, Term], models: Models) -> PolicyModule:
    """The LightningModule from its parts."""
    algo, hardware = cfg.algo, cfg.hardware
    reward = instantiate(cfg.reward)
    return PolicyModule(
        models,
        objective,
        sampler=instantiate(algo.sampler),
        evaluation_sampler=PolicySampler(1, temperature=1.0, max_new_tokens=cfg.dataset.max_new_tokens, greedy=True),
        reward=instantiate(algo.reward) if "reward" in algo else reward,
        evaluation_reward=reward,
        advantage=instantiate(algo.advantage),
        aggregate=instantiate(algo.aggregate),
        passes=Forward(algo.temperature, instantiate(algo.attention_policy)),
        optimizer=instantiate(cfg.optim.optimizer),
        learning_rate=partial(instantiate(cfg.optim.schedule), max_steps=cfg.max_steps),
        settings=Settings(
            updates_per_rollout=algo.updates_per_rollout,
            max_grad_norm=cfg.optim.max_grad_norm,
            micro_batch_prompts=max(hardware.micro_batch_prompts, 1),
            seed=cfg.seed,
            ema_decay=algo.ema_decay,
        ),
        diagnostics=instantiate(cfg.diagnostics),
        shard=instantiate(hardware.shard),
        gather_weights=instantiate(hardware.gather_weights),
    )


def build_trainer(cfg: DictConfig, folder: Path, resume: Path | None, stop: GentleStop) -> L.Trainer:
    """Lightning's Trainer with this project's callbacks and loggers."""
    hardware = cfg.hardware
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    first_step = 0 if resume is None else int(read(resume)["step"])
    checkpoints = Checkpoints(
        folder / "checkpoints", every=cfg.checkpoint.every, keep=cfg.checkpoint.keep, resume=resume
    )
    evaluations = Evaluations(folder / "eval", every=cfg.eval.every, before=cfg.eval.before)
    profile = [Profile(folder / "profile")] if hardware.profile else []
    start = [StartCheck()] if cfg.start_check and cfg.algo.rollouts else []
    loggers = [instantiate(node)(folder, cfg.name, first_step) for node in cfg.logger.values()]
    return L.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        strategy=hardware.strategy if isinstance(hardware.strategy, str) else instantiate(hardware.strategy),
        precision=hardware.precision,
        logger=loggers,
        callbacks=[ProgressBar(cfg.max_steps), stop, evaluations, checkpoints, *start, *profile],
        max_epochs=1,
        limit_val_batches=0,  # Evaluations runs them
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,
        default_root_dir=folder,
    )


def run_folder() -> Path:
    """The run's folder, the same for every rank. UserError where it cannot be written."""
    given = os.environ.get(FOLDER_VARIABLE) if int(os.environ.get("LOCAL_RANK", 0)) else None
    folder = Path(given or HydraConfig.get().runtime.output_dir).absolute()
    os.environ[FOLDER_VARIABLE] = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise UserError(f"hydra.run.dir={folder}: cannot be written ({error.strerror}): name another folder") from error
    return folder


def find_checkpoint(resume: str | None, folder: Path) -> Path | None:
    """The checkpoint folder that `resume` names; for auto the newest of this run's folder, or none."""
    if resume is None:
        return None
    found = newest(folder / "checkpoints") if resume == "auto" else Path(resume)
    if found is not None and not found.is_dir():
        raise UserError(
            f"resume={resume}: no such checkpoint folder; write resume=auto or outputs/.../checkpoints/step_N"
        )
    return found


def quiet_libraries() -> None:
    """Silence the chatter that does not concern a user; errors and warnings of ours stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    disable_progress_bar()  # of loading and writing weights
