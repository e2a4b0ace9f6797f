"""The composition root: a valid configuration becomes objects, the objects a run, the run a folder of results."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from ral.config.build import instantiate, precision_of
from ral.data.bad import Checked, Ledger, any_use
from ral.data.media import media_reader
from ral.ending import finish, named_cause, original, out_of_memory
from ral.files import run_folder as folders
from ral.files.pretrained import find
from ral.learner.experience import Forward
from ral.lit.callbacks import Begin, Evaluations, GentleStop, Profile, ProgressBar
from ral.lit.checkpoint import Checkpoints, read
from ral.lit.data import Collate, PromptData
from ral.lit.guards import Skip, Watch
from ral.lit.memory import GivesBack
from ral.lit.policy import Models, PolicyModule, Settings
from ral.lit.start import StartCheck
from ral.models.adapters.files import read_adapters
from ral.models.adapters.lora import Adapters, WithoutAdapters, add_adapters
from ral.models.checks import check_spec, same_tokens
from ral.models.family import layer_types
from ral.models.loading import named
from ral.models.mllm import MLLM
from ral.models.offload import Resting
from ral.models.plain import load
from ral.models.reward import LearnedReward
from ral.ops.signals import Term, frozen_needs, needed
from ral.rewards.accuracy import check_gold
from ral.rollout.engine import Engine, Sampling
from ral.starting import check_machine, check_resumed, find_checkpoint, owned, quiet_libraries, run_folder, write_facts
from ral.types import Example, Rollout, UserError

Source = Callable[..., Rollout]
"""source(prompts, seed=seed): the responses of a step."""
RULES = "ral.rewards.accuracy.accuracy"
"""The reward part that needs gold answers it can read, unless rules=compat."""
LOG_PROB_GAPS = {"32-true": 1e-4, "bf16-mixed": 2e-2}
"""Nats a token in the mean by which sampler and first update may differ: what the order of sums does to log-probs."""
SIGNALLED = 128
"""Exit code of a run that a signal stopped, with everything saved, less the signal's number: 130 after Ctrl-C."""


def train(cfg: DictConfig) -> float | None:
    """One run, from a checked configuration to its report. SystemExit(128 + signal) after an interruption.

    Returns the last evaluation's value of checkpoint.best, None where there is no such: what a sweeper optimises.
    """
    quiet_libraries()
    folder = run_folder()
    with owned(folder, cfg.resume, bool(cfg.get("overwrite", False))):
        check_machine(cfg)
        resume = find_checkpoint(cfg.resume, folder)
        if resume is not None:
            check_resumed(cfg, resume)
        return run_in(cfg, folder, resume)


def run_in(cfg: DictConfig, folder: Path, resume: Path | None) -> float | None:
    """The run, in a folder that is its own."""
    objective = build_objective(cfg.algo)
    data = build_data(cfg, policy := load_policy(cfg), folder)
    module = build_module(cfg, objective, build_models(cfg, policy, objective), folder)
    stop = GentleStop()
    trainer = build_trainer(cfg, folder, resume, stop)
    fit(cfg, trainer, module, data, stop)
    if trainer.is_global_zero and module.rollout_step >= cfg.max_steps and not (folder / "config.yaml").is_file():
        write_facts(cfg, folder)  # there was no step to make
    folders.begin(folder)
    if not stop.hurried:
        finish(cfg, trainer, module, folder)
    elif trainer.is_global_zero:
        print(f"run: {folder}", flush=True)
    if stop.agreed is not None:
        sys.exit(SIGNALLED + stop.agreed)
    (evaluations,) = (c for c in trainer.callbacks if isinstance(c, Evaluations))
    return evaluations.latest[1].get(str(cfg.checkpoint.best))


def fit(cfg: DictConfig, trainer: L.Trainer, module: PolicyModule, data: PromptData, stop: GentleStop) -> None:
    """Train. UserError where memory, disk or network ends it; SystemExit where a signal does."""
    stop.install()
    try:
        trainer.fit(module, datamodule=data)
    except SystemExit as left:  # before the first step ours, or Lightning's answer to a second Ctrl-C
        end_ranks(trainer)
        sys.exit(SIGNALLED + (stop.left or signal.SIGINT) if left.code else 0)
    except torch.OutOfMemoryError as error:
        raise UserError(out_of_memory(cfg, str(error))) from error
    except Exception as error:
        raise named_cause(original(error)) from None
    finally:
        module.engine.close()
        stop.restore()


def end_ranks(trainer: L.Trainer) -> None:
    """End the ranks that this process started: they would wait for it."""
    for process in getattr(trainer.strategy.launcher, "procs", ()):
        process.kill()


def build_objective(algo: DictConfig) -> dict[str, Term]:
    """The named terms that the objective sums."""
    return {name: instantiate(algo[name]) for name in algo.objective}


def load_model(cfg: DictConfig, pretrained: str, trained: bool = False) -> MLLM:
    """A model from a folder (also one relative to this repository) or a hub id.

    trained: whether its own weights are to be trained, which keeps them in fp32 whatever hardware.dtype is.
    """
    hardware = cfg.hardware
    return load(
        find(pretrained),
        share_prompt=hardware.share_prompt,
        dtype=hardware.dtype,
        freeze_vision=cfg.model.freeze_vision,
        trained=trained,
    )


def load_policy(cfg: DictConfig) -> MLLM:
    """The network to train, with new adapters where lora.rank asks for them, or with those of lora.resume.

    The configuration then says what rank, alpha and targets these have.
    """
    policy = load_model(cfg, str(cfg.model.pretrained), trained=not (cfg.lora.rank or cfg.lora.get("resume")))
    if cfg.lora.get("resume"):
        resumed = read_adapters(str(cfg.lora.resume), policy, cfg.lora.rank)
        resumed.put(policy)
        cfg.lora = {**cfg.lora, **vars(resumed.adapters), "targets": list(resumed.adapters.targets)}
    elif cfg.lora.rank:
        add_adapters(policy, Adapters(cfg.lora.rank, cfg.lora.alpha, tuple(cfg.lora.targets)), seed=cfg.seed)
    return policy


def build_models(cfg: DictConfig, policy: MLLM, objective: Mapping[str, Term]) -> Models:
    """The policy and whatever other networks the objective needs frozen signals of."""
    if cfg.hardware.gradient_checkpointing:
        policy.checkpoint_layers()
    wanted = frozen_needs(needed(objective.values()))
    others: dict[str, MLLM] = {}
    if "reference" in wanted:
        others["reference"] = WithoutAdapters(policy) if cfg.lora.rank else policy.frozen_copy()
    if "ema" in wanted:
        others["ema"] = policy.frozen_copy(averaged=True)
    if "teacher" in wanted:
        if cfg.algo.teacher is None:
            raise UserError(
                "model.teacher is not set, and the objective needs one: write model.teacher=<folder or hub id>"
            )
        with named("model.teacher"):
            others["teacher"] = load_model(cfg, str(cfg.algo.teacher))
        same_tokens(policy.processor, others["teacher"].processor)
    if cfg.hardware.frozen_in_memory:
        if cfg.hardware.shard is not None:
            raise UserError("hardware.frozen_in_memory is for whole networks: write hardware.strategy.offload=true")
        resting = {name: Resting(others[name], policy) for name in ("reference", "teacher") if name in others}
        others |= {name: model for name, model in resting.items() if not isinstance(others[name], WithoutAdapters)}
    if cfg.algo.attention_policy is not None:
        check_spec(instantiate(cfg.algo.attention_policy), [policy, *others.values()])
        if cfg.eval.layers == "all":
            check_all_layers(policy)
    return Models(policy, **others)


def check_all_layers(policy: MLLM) -> None:
    """UserError where a layer has no attention over all earlier tokens, so that eval.layers=all cannot measure it."""
    others = {kind for kind in layer_types(policy.network.config) if kind != "full_attention"}
    if others:
        raise UserError(
            f"eval.layers=all: {policy.processor.name} has layers that are {', '.join(sorted(others))}, not softmax"
            " attention over all earlier tokens; write eval.layers=policy"
        )


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
    preferences = algo.preferences
    collate = Collate(
        policy.processor,
        templates=(templates.think, templates.zero),
        thinking=algo.thinking,
        answer_only_share=dataset.answer_only_share,
        targets=not algo.rollouts and not preferences,
        preferences=preferences,
        scorable=scorable(cfg.reward),
        max_new_tokens=dataset.max_new_tokens,
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


def scorable(reward: DictConfig) -> Callable[[Example], object]:
    """What finds the entries whose gold answer the reward's rules cannot read."""
    functions = [part.function for part in reward.get("parts", {}).values()]
    strict = any(f.get("_target_") == RULES and f.get("rules", "fixed") == "fixed" for f in functions)
    return Checked(check_gold) if strict else any_use


def build_reward(cfg: DictConfig, policy: MLLM) -> Any:
    """The reward by its yaml, its parts checked against the policy where they read the policy's tokens."""
    reward = instantiate(cfg.reward)
    for part in getattr(reward, "parts", {}).values():
        if isinstance(part.function, LearnedReward):
            part.function.check(policy)
    return reward


def build_source(algo: DictConfig, objective: Mapping[str, Term], engine: Engine, policy: MLLM) -> Source:
    """Return what responses to a step's prompts come from: the engine, or what algo.given names."""
    given = instantiate(algo.given)
    if given is not None:
        return given(policy.processor)
    sampling = instantiate(algo.sampling)
    check_noise(algo, objective, sampling)
    return partial(engine.generate, count=algo.group_size, sampling=sampling)


def check_noise(algo: DictConfig, objective: Mapping[str, Term], sampling: Sampling) -> None:
    """Raise UserError where a term asks for attention under noise, and the sampling makes none, or another one."""
    asking = [name for name, term in objective.items() if "sampler_rows" in needed([term])]
    if not asking:
        return
    if sampling.noise is None:
        raise UserError(
            f"algo.{asking[0]} compares with attention under the sampling's noise, and algo.sampling.noise is not set:"
            " write algo.sampling.noise as in conf/algo/ral_explore.yaml"
        )
    if sampling.noise.attention != instantiate(algo.attention_policy):
        raise UserError(
            f"algo.sampling.noise.attention differs from algo.attention_policy, so that algo.{asking[0]} would compare"
            " rows of different attention: write algo.sampling.noise.attention=${algo.attention_policy}"
        )


def build_module(cfg: DictConfig, objective: Mapping[str, Term], models: Models, folder: Path) -> PolicyModule:
    """The LightningModule from its parts."""
    algo, hardware = cfg.algo, cfg.hardware
    reward, engine = build_reward(cfg, models.policy), instantiate(cfg.rollout.engine)(models.policy)
    make = instantiate(algo.module) or PolicyModule
    return make(
        models,
        objective,
        engine=engine,
        source=build_source(algo, objective, engine, models.policy),
        evaluation_sampling=Sampling(temperature=1.0, max_new_tokens=cfg.dataset.max_new_tokens, greedy=True),
        reward=instantiate(algo.reward) or reward,
        evaluation_reward=reward,
        advantage=instantiate(algo.advantage),
        aggregate=instantiate(algo.aggregate),
        passes=instantiate(algo.passes) or Forward(algo.temperature, instantiate(algo.attention_policy)),
        optimizer=instantiate(cfg.optim.optimizer),
        learning_rate=partial(instantiate(cfg.optim.schedule), max_steps=cfg.max_steps),
        settings=Settings(
            updates_per_rollout=algo.updates_per_rollout,
            max_grad_norm=cfg.optim.max_grad_norm,
            micro_batch_prompts=max(hardware.micro_batch_prompts, 1),
            seed=cfg.seed,
            ema_decay=algo.ema_decay,
            all_layers=cfg.eval.layers == "all",
        ),
        diagnostics=instantiate(cfg.diagnostics, max_log_prob_gap=max_log_prob_gap(cfg)),
        guard=Skip(folder / "skipped", cfg.guard.max_skipped),
        shard=instantiate(hardware.shard),
        temporal=instantiate(algo.temporal),
    )


def build_trainer(cfg: DictConfig, folder: Path, resume: Path | None, stop: GentleStop) -> L.Trainer:
    """Lightning's Trainer with this project's callbacks and loggers."""
    hardware = cfg.hardware
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    first_step = 0 if resume is None else int(read(resume)["step"])
    evaluations = Evaluations(folder / "eval", stop, every=cfg.eval.every, before=cfg.eval.before)
    parts = {"sharded": cfg.checkpoint.sharded and hardware.shard is not None}
    checkpoints = Checkpoints(folder / "checkpoints", evaluations, **{**cfg.checkpoint, **parts}, resume=resume)
    watch = [Watch()] if cfg.guard.watch else []
    profile = [Profile(folder / "profile")] if hardware.profile else []
    start = [StartCheck()] if cfg.start_check and cfg.algo.rollouts else []
    loggers = [instantiate(node)(folder, cfg.name, first_step) for node in cfg.logger.values()]
    begin = Begin(write=partial(write_facts, cfg, folder), begun=partial(folders.begin, folder))
    return L.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        strategy=hardware.strategy if isinstance(hardware.strategy, str) else instantiate(hardware.strategy),
        precision=precision_of(hardware),
        logger=loggers,
        callbacks=[
            ProgressBar(cfg.max_steps),
            begin,
            stop,
            evaluations,
            checkpoints,
            GivesBack(),
            *start,
            *watch,
            *profile,
        ],
        max_epochs=1,
        limit_val_batches=0,  # Evaluations runs them
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,
        default_root_dir=folder,
    )


def max_log_prob_gap(cfg: DictConfig) -> float:
    """The bound of diagnostics.max_log_prob_gap; null stands for that of the arithmetic."""
    given = cfg.diagnostics.max_log_prob_gap
    return LOG_PROB_GAPS[precision_of(cfg.hardware)] if given is None else float(given)
