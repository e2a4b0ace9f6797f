"""The composition root of training: from a valid configuration to objects, a run, and a folder of results."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from ral.assembly.data import (
    build_collate,
    build_ledger,
    build_reader,
    check_acting,
    check_even,
    check_redraw,
    prompts_read,
)
from ral.assembly.forecast import forecast
from ral.assembly.learner import build_objective, build_responding, build_reward, build_step, build_task
from ral.assembly.models import build_models, load_policy
from ral.config.as_trained import asked_otherwise
from ral.config.build import instantiate, precision_of
from ral.config.check import overridden, plain
from ral.config.contents import contents, plain_contents
from ral.config.titles import run_title
from ral.data.overview import unread
from ral.ending import finish, named_cause, original, out_of_memory
from ral.files import run_folder as folders
from ral.learner.checkpoints import read
from ral.learner.signs import watched
from ral.learner.start_check import StartCheck
from ral.learner.state import Best, RunState
from ral.lit.callbacks.begin import Begin
from ral.lit.callbacks.checkpoints import Checkpoints, Keeping
from ral.lit.callbacks.evaluations import Evaluations, Times
from ral.lit.callbacks.memory import GivesBack
from ral.lit.callbacks.profile import Profile
from ral.lit.callbacks.progress import ProgressBar
from ral.lit.callbacks.stop import GentleStop
from ral.lit.callbacks.watch import Watch
from ral.lit.datamodule import Evaluation, PromptData, Steps
from ral.lit.module import PolicyModule
from ral.models.mllm import MLLM
from ral.rewards.workers import RewardBeside
from ral.rollout.engine import Engine, open_engine
from ral.starting import (
    check_given,
    check_machine,
    check_resumed,
    check_unresumed,
    choose_pass_size,
    find_checkpoint,
    owned,
    quiet_libraries,
    resolved,
    run_folder,
    write_facts,
)
from ral.types import UserError

SIGNALLED = 128
"""Exit code of a run that a signal stopped, with everything saved: this plus the signal's number (130 after Ctrl-C)."""


def train(cfg: DictConfig) -> float | None:
    """Make one run, from a checked configuration to its report.

    Return the last evaluation's value of checkpoint.best, which a sweeper optimises; None where no evaluation has one.
    UserError for a problem that other settings, or more memory or disk, can fix. SystemExit(128 + signal) after an
    interruption, with all saved.
    """
    quiet_libraries()
    folder = run_folder()
    with owned(cfg, folder):
        check_machine(cfg)
        choose_pass_size(cfg)
        resume = find_checkpoint(cfg.resume, folder)
        if resume is not None:
            check_resumed(cfg, resume)
        else:
            check_unresumed(cfg)
        return run_in(cfg, folder, resume)


def run_in(cfg: DictConfig, folder: Path, resume: Path | None) -> float | None:
    """Make the run, in a folder that this process has locked. Result and errors as in `train`.

    resume: the checkpoint's folder; None to begin at step 0.
    """
    state = build_state(cfg, resume)
    stop = GentleStop()
    with ExitStack() as opened:
        module, data = build_run(cfg, folder, state, resume, opened)
        given = contents(plain(cfg))  # data made locally are there by now
        if resume is not None:
            check_given(cfg, resume, given)
        trainer = build_trainer(cfg, folder, state, stop, plain_contents(given), resumed=resume is not None)
        fit(cfg, trainer, module, data, stop)
    if trainer.is_global_zero and state.progress.step >= cfg.max_steps and not (folder / "config.yaml").is_file():
        write_facts(cfg, folder)  # there was no step to make
    folders.begin(folder)
    if not stop.hurried:
        finish(cfg, trainer, module, folder)
    elif trainer.is_global_zero:
        print(f"run: {folder}", flush=True)
    if stop.agreed is not None:
        sys.exit(SIGNALLED + stop.agreed)
    return state.evaluated.means.get(str(cfg.checkpoint.best))


def fit(cfg: DictConfig, trainer: L.Trainer, module: PolicyModule, data: PromptData, stop: GentleStop) -> None:
    """Train the policy. UserError where too little GPU memory, a full disk or a taken port ends the run.

    SystemExit where a signal ends the run before the first step, or a second Ctrl-C at any time. Other errors pass.
    """
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
        stop.restore()


def end_ranks(trainer: L.Trainer) -> None:
    """Kill the other ranks that this process started, which would wait for this one."""
    for process in getattr(trainer.strategy.launcher, "procs", ()):
        process.kill()


def build_state(cfg: DictConfig, resume: Path | None) -> RunState:
    """Return the run state of the checkpoint in folder `resume`; that of a run's beginning where `resume` is None."""
    if resume is None:
        return RunState(best=Best(cfg.checkpoint.best))
    return RunState.of(read(resume), cfg.checkpoint.best)


def close_engine(engine: Engine) -> None:
    """Close an engine. An error of its `close` becomes a warning and does not end the run."""
    try:
        engine.close()
    except Exception as error:
        print(f"warning: rollout.engine: close failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def build_run(
    cfg: DictConfig, folder: Path, state: RunState, resume: Path | None, opened: ExitStack
) -> tuple[PolicyModule, PromptData]:
    """Return Lightning's module, which makes the steps, and its datamodule.

    state: the run state to begin from; resume: the checkpoint's folder, None to begin at step 0. opened: receives the
    reward and the engine, to be closed after the run. UserError where model, data and algorithm do not fit each other.
    """
    objective = build_objective(cfg)
    policy = load_policy(cfg)
    data = build_data(cfg, policy, state, folder)
    check_acting(objective, cfg.algo.temporal is not None, data.train)
    reward = build_reward(cfg, policy)
    if isinstance(reward, RewardBeside):
        opened.callback(reward.close)
    engine = open_engine(instantiate(cfg.rollout.engine), policy)
    opened.callback(close_engine, engine)
    task = build_task(cfg, objective, engine, reward)
    task.equip(policy)
    models = build_models(cfg, policy, objective)
    if folders.first_rank() and (line := forecast(cfg, policy, len(objective.frozen.keys() - {"old"}))) is not None:
        print(line, file=sys.stderr, flush=True)
    responding = build_responding(cfg, objective, engine, policy)
    asked = cfg.start_check and cfg.algo.rollouts
    unlike = asked_otherwise(cfg)
    observers = [StartCheck(policy.processor, folders.first_rank(), asked=unlike)] if asked else []
    step = build_step(cfg, models, objective, responding, reward, folder, observers)
    optimizer, shard = instantiate(cfg.optim.optimizer), instantiate(cfg.hardware.shard)
    return PolicyModule(step, task, optimizer, state, resume, shard), data


def build_data(cfg: DictConfig, policy: MLLM, state: RunState, folder: Path) -> PromptData:
    """Return the datamodule with its two splits open. The first rank prints lines about fields that nothing reads.

    UserError where a split is empty or cannot be read, where the processes do not divide algo.prompts_per_step, and
    where the training split has fewer entries than algo.redraw reads in a step.
    """
    check_even(cfg)
    algo = cfg.algo
    data = PromptData(
        instantiate(cfg.dataset.source),
        build_reader(cfg, policy.processor),
        build_collate(cfg, policy.processor),
        build_ledger(cfg, folder, state.drawn),
        steps=Steps(algo.train_split, prompts_read(cfg), cfg.max_steps, cfg.seed, first=state.progress.step),
        evaluation=Evaluation(cfg.eval.prompts, cfg.eval.batch, asked="eval.prompts" in overridden()),
        num_workers=cfg.hardware.num_workers,
        read_ahead=cfg.hardware.read_ahead,
    )
    data.load()
    check_redraw(cfg, len(data.train))
    if folders.first_rank():
        lines = (unread(name, examples) for name, examples in data.splits())
        print("".join(f"{line}\n" for line in lines if line), end="", file=sys.stderr, flush=True)
    return data


def build_callbacks(
    cfg: DictConfig, folder: Path, state: RunState, stop: GentleStop, given: Mapping[str, Any], resumed: bool
) -> list[L.Callback]:
    """Return the callbacks around the steps. Lightning calls them in this order, at every event.

    given: contents of the run's data and models, which checkpoints keep. resumed: whether the run continues from a
    checkpoint. The progress bar comes first: it shows a step as soon as it is made. `begin` then marks the folder as
    begun, before anything is written to it. `stop` agrees on a signal before the evaluation, for which a scheduler's
    signal leaves no time, and before the checkpoint, which an interruption asks for. The evaluation precedes the
    checkpoint, which holds its step and keeps the best. GivesBack frees the memory that both have left. The watch warns
    last, under the step's line and after the checkpoint: a run that resumes from a step repeats the warnings of that
    step. The profiler ends a step when all else is done.
    """
    hardware = cfg.hardware
    keeping = Keeping(**{**cfg.checkpoint, "sharded": cfg.checkpoint.sharded and hardware.shard is not None})
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    begin = Begin(partial(write_facts, cfg, folder), partial(folders.begin, folder), settings)
    return [
        ProgressBar(cfg.max_steps),
        begin,
        stop,
        Evaluations(folder / "eval", state, stop, Times(cfg.eval.every, cfg.eval.before)),
        Checkpoints(
            folder / "checkpoints", state, keeping, state.progress.step if resumed else None, resolved(cfg), given
        ),
        GivesBack(),
        *([Watch(state, signs=watched(cfg.guard.entropy_low, cfg.guard.entropy_high))] if cfg.guard.watch else []),
        *([Profile(folder / "profile")] if hardware.profile else []),
    ]


def build_trainer(
    cfg: DictConfig, folder: Path, state: RunState, stop: GentleStop, given: Mapping[str, Any], resumed: bool
) -> L.Trainer:
    """Return Lightning's Trainer with callbacks and loggers of this project. given, resumed: see `build_callbacks`."""
    hardware = cfg.hardware
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    return L.Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        strategy=hardware.strategy if isinstance(hardware.strategy, str) else instantiate(hardware.strategy),
        precision=precision_of(hardware),
        logger=[instantiate(node)(folder, run_title(cfg), state.progress.step) for node in cfg.logger.values()],
        callbacks=build_callbacks(cfg, folder, state, stop, given, resumed),
        max_epochs=1,
        limit_val_batches=0,  # Evaluations runs them
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,
        default_root_dir=folder,
    )
