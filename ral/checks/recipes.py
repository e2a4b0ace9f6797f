"""Training steps of recipes at their true size on tensors without memory: do they go through, and is the plan right?

The code is that of a run: networks of the recipe's shapes on the meta device, adapters, sharding by FSDP2 over as many
(pretended) ranks, the step's own stages, the optimizer. It differs from a run in this: weights have no numbers; a
prompt is one medium of the plan's size, and words; REPLY tokens of each response are decoded, then responses of full
length are given; the vision tower has one block of each kind; ranks exchange nothing; tensors lie on the CPU, so that
kernels of attention are the CPU's (their results have the shapes and types of a GPU's).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch
from warnings import catch_warnings, filterwarnings

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ral.assembly.learner import build_objective, build_step
from ral.assembly.models import build_models, load_policy
from ral.checks import fake_parts as parts
from ral.checks.shapes import Shapes, shapes_only
from ral.config.build import instantiate
from ral.config.check import check, first_line, plain
from ral.files.markdown import table
from ral.files.repository import CONF
from ral.learner.experience import Experience
from ral.learner.models import Models
from ral.learner.objective import Objective
from ral.learner.state import Progress
from ral.learner.step import NoCompanion, Responding
from ral.models.filling import fill
from ral.models.mllm import MLLM
from ral.planning.device import device_of
from ral.planning.memory import GB, phases
from ral.planning.plan import STAGES, Plan, plan_of, stages
from ral.planning.workload import Workload
from ral.rollout.engine import Engine, Sampling, open_engine
from ral.types import Prepared, PromptBatch, Scores

REPLY = 2
"""Tokens of each response that are decoded."""
UPDATES = 2
"""Most updates that are made. The first keeps the old policy's signals, all later ones are alike."""


@dataclass
class Checked:
    """Result of a check. stages: {stage: most GB of tensors in it}; seconds: duration of the check.

    stopped: after which stages it ended early, and why; None where it went through. assumed: operations whose results
    depend on missing numbers and were taken to be True or 1.
    """

    plan: Plan
    stages: dict[str, float] = field(default_factory=dict)
    stopped: str | None = None
    assumed: tuple[str, ...] = ()
    seconds: float = 0.0


def composed(overrides: Sequence[str]) -> DictConfig:
    """Return the configuration of train.py with these overrides, checked by ral.config.check.

    UserError where the check fails; Hydra's own exception for an override that Hydra cannot parse or apply.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", list(overrides))
    check(cfg)
    return cfg


def checked(overrides: Sequence[str]) -> Checked:
    """Step through the configuration with these overrides; return the result, also where a stage raised an exception.

    Errors as in `composed`; UserError where the shape of a network is not known.
    """
    cfg, started = composed(overrides), time.perf_counter()
    tree = plain(cfg)
    found = Checked(plan_of(tree, device_of(tree)))
    count = found.plan.networks.work.ranks.count
    with nullcontext() if cfg.hardware.shard is None else parts.pretended_ranks(count) as mesh, catch_warnings():
        filterwarnings("ignore", "FSDP2-wrapped module")  # advice on views, at each pass
        try:
            through(cfg, found, mesh)
        except Exception as error:
            found.stopped = f"after {', '.join(found.stages) or 'nothing'}: {type(error).__name__}: {first_line(error)}"
    found.seconds = time.perf_counter() - started
    return found


def through(cfg: DictConfig, found: Checked, mesh: Any) -> None:
    """Make the networks and run one step of training; write the memory of each stage to `found`.

    mesh: the ranks; None for one rank.
    """
    objective = build_objective(cfg)
    with patch("ral.assembly.models.load", parts.load):
        models = build_models(cfg, load_policy(cfg), objective)
    with shapes_only() as mode, parts.without_numbers(mode):
        stage = Stages(mode, found)
        stage("networks", lambda: filled(cfg, models, mesh))
        before = mode.live
        prompts = parts.prompts_of(models.policy.processor, found.plan.networks.work.batch, frames_of(cfg))
        stage.aside = mode.live - before
        try:
            stepped(cfg, models, objective, prompts, stage)
        finally:
            found.assumed = tuple(sorted(mode.assumed))


def filled(cfg: DictConfig, models: Models, mesh: Any) -> None:
    """Shard the networks over the ranks of `mesh`, None for one rank, and give the weights storages without memory."""
    networks = {"policy": models.policy, **models.with_weights()}
    if mesh is not None:
        shard = instantiate(cfg.hardware.shard)
        for model in networks.values():
            shard(model, mesh)
    fill(networks, torch.device("cpu"))
    for model in networks.values():
        parts.shortened(model)


class Stages:
    """Runs the stages of a step, and writes the most GB of each to `found`.

    aside: bytes of pixels, which in a run lie in main memory. They count in the stage "vision" alone, to which a run
    brings them.
    """

    def __init__(self, mode: Shapes, found: Checked) -> None:
        self.mode, self.found, self.aside = mode, found, 0

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        """Return the result of call(), and note the most memory meanwhile as that of the stage `name`."""
        self.mode.restart()
        result = call()
        self.found.stages[name] = (self.mode.most - (0 if name == "vision" else self.aside)) / GB
        return result


def stepped(cfg: DictConfig, models: Models, objective: Objective, prompts: PromptBatch, stage: Stages) -> None:
    """Run the stages of a step. An update comes first, so that gradients and the optimizer's state exist."""
    policy, work = models.policy, stage.found.plan.networks.work
    engine = open_engine(instantiate(cfg.rollout.engine), policy)
    rollout = parts.responses(prompts, work.batch)
    scores = Scores(torch.arange(float(len(rollout.texts))), {})
    responding = Responding(engine, lambda *_, **__: rollout, NoCompanion(), cfg.seed)
    step = build_step(cfg, models, objective, responding, lambda _: scores, Path("nowhere"), [])
    optimizer = instantiate(cfg.optim.optimizer)([p for _, p in policy.trained_parameters()])
    backend = parts.PlainBackend(optimizer, work.ranks.count, work.ranks.sum_once)

    def batches(prepared: Prepared) -> list[Experience]:
        return step.rewarded(*step.frozen(prepared, rollout), rollout, scores)

    def updates(made: list[Experience]) -> None:
        for index in range(min(UPDATES, step.update.schedule.updates)):
            made = step.update(made, index, Progress(), backend).parts

    def taken() -> None:
        prepared = stage("vision", lambda: policy.prepare(prompts))
        if work.frozen.sampled:
            sampling = replace(instantiate(cfg.algo.sampling), max_new_tokens=REPLY)
            stage("rollout", lambda: engine.generate(prepared, work.batch.group, sampling, cfg.seed))
        made = stage("frozen passes", lambda: batches(prepared))
        stage("updates", lambda: updates(made))

    step.update(batches(policy.prepare(prompts))[:1], 0, Progress(), backend)
    taken()
    if work.upkeep.evaluations:
        stage("evaluation", lambda: evaluated(cfg, policy, engine, work))


@torch.no_grad()
def evaluated(cfg: DictConfig, policy: MLLM, engine: Engine, work: Workload) -> None:
    """Run a batch of an evaluation: one response of REPLY tokens to each prompt."""
    share = -(-work.upkeep.held_out // work.ranks.count)
    batch = replace(work.batch, prompts=min(work.upkeep.batch, share), group=1)
    prompts = parts.prompts_of(policy.processor, batch, frames_of(cfg))
    prepared = replace(policy.prepare(prompts), prompts=replace(prompts, media={}))
    del prompts  # and its pixels, which in a run are in main memory
    engine.generate(prepared, 1, Sampling(temperature=1.0, max_new_tokens=REPLY, greedy=True), cfg.seed)


def frames_of(cfg: DictConfig) -> int:
    """Return the most frames of a video; 1 for data without videos."""
    return int(cfg.dataset.media.get("max_frames", 1))


def expected(plan: Plan) -> dict[str, float]:
    """Return {stage: GB} of a plan; stages that decode are planned for responses of REPLY tokens."""
    short = replace(plan.networks.work.batch, response=REPLY)
    brief = replace(plan.networks, work=replace(plan.networks.work, batch=short))
    decoding = {phase.name: phase.total / GB for phase in phases(brief) if phase.name in ("rollout", "evaluation")}
    return stages(plan) | decoding


def facts(found: Checked) -> dict[str, Any]:
    """Return the result of a check as plain values. ratio: planned GB over the GB found, for each stage of the plan."""
    ours = expected(found.plan)
    through = {
        name: {"stepped_gb": round(most, 2)}
        | ({"planned_gb": round(ours[name], 2), "ratio": round(ours[name] / most, 3)} if name in ours else {})
        for name, most in found.stages.items()
    }
    kept = {"stages": through, "stopped": found.stopped, "assumed": list(found.assumed), "fits": found.plan.fits}
    return kept | {"ranks": found.plan.networks.work.ranks.count, "seconds": round(found.seconds, 1)}


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table of the planned GB and the GB found in each stage. found: {name: result of `facts`}."""
    named = (*STAGES, "evaluation")
    rows = [(name, *(cell(each["stages"].get(stage)) for stage in named), end(each)) for name, each in found.items()]
    return table(("recipe", *(f"{stage}, GB" for stage in named), "went through"), rows, left=1)


def cell(figures: Mapping[str, float] | None) -> str:
    """Return planned GB, the GB found and their ratio as one cell: `figures` of a stage; "-" for None or no ratio."""
    if figures is None or "ratio" not in figures:
        return "-"
    return f"{figures['planned_gb']:.1f} / {figures['stepped_gb']:.1f} = {figures['ratio']:.2f}"


def end(each: Mapping[str, Any]) -> str:
    """Return "all" for a check that went through, else its error. each: result of `facts`."""
    return each["stopped"] or "all"
