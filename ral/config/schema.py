"""Schemas of conf/: a dataclass for each group. The yaml beside each field has its meaning and unit.

A field without default must be in the configuration. A group may hold nodes with `_target_` beyond its schema.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Node = Mapping[str, Any]
"""A mapping from yaml. With `_target_` its keys are keywords of the callable named there."""


@dataclass
class Algo:
    """Schema of conf/algo: the objective, as names of loss terms, each a `_target_` node of algo, and the training
    loop.

    Nodes that only some algorithms have are null in the others (conf/algo/shared/loop.yaml).
    """

    objective: list[str]
    rollouts: bool
    train_split: str
    thinking: bool
    group_size: int
    prompts_per_step: int
    updates_per_rollout: int
    ema_decay: float
    temperature: float
    learning_rate: float
    final_learning_rate: float
    warmup: int
    teacher: str | None
    preferences: bool
    sampling: Any
    given: Any
    task: Any
    passes: Any
    redraw: Any
    shaping: Any
    temporal: Any
    reward: Any
    attention_policy: Any
    view: Any
    evidence: Any


@dataclass
class Model:
    """Schema of conf/model: the weights that training starts from, the teacher, and which parts are trained."""

    pretrained: str
    teacher: str | None
    freeze_vision: bool
    learning_rates: dict[str, float]
    family: str | None = None


@dataclass
class Lora:
    """Schema of lora in conf/train.yaml: the adapters. With rank 0 there are none, and the weights themselves are
    trained.
    """

    rank: int
    alpha: float
    targets: list[str]
    merge: bool
    base: Literal["dtype", "nf4"] = "dtype"
    resume: str | None = None


@dataclass
class Dataset:
    """Schema of conf/dataset: the entries, their prompt templates and their media. A dataset may have further keys."""

    path: str
    media_root: str | None
    limit: int | None
    max_new_tokens: int
    answer_only_share: float
    templates: dict[str, str]
    max_bad_share: float
    cache_gb: float
    disk_cache: str | None
    disk_cache_gb: float
    validation_path: str | None = None


@dataclass
class Hardware:
    """Schema of conf/hardware: processes, precision, memory."""

    accelerator: str
    devices: int
    num_nodes: int
    precision: str
    dtype: str
    micro_batch_prompts: int | Literal["auto"]
    micro_batch_responses: int | Literal["auto"] | None
    num_workers: int
    read_ahead: int
    reward_workers: int
    share_prompt: bool
    frozen_in_memory: bool
    gradient_checkpointing: bool
    offload_activations: bool
    profile: bool
    term_gradients: bool
    threads: int | None
    strategy: Any
    shard: Any
    gather_weights: Any
    fused_log_probs: bool = False


@dataclass
class Rollout:
    """Schema of conf/rollout: the engine that samples. engine: a `_target_` node, called with the policy.

    noise: whether the engine can put noise on attention. gaps: {arithmetic: nats}, bounds that stand for
    diagnostics.max_log_prob_gap=null; null for the bounds of an engine that shares the trainer's code. urls: addresses
    of vLLM servers; null for other engines.
    """

    engine: Node
    noise: bool = True
    gaps: dict[str, float] | None = None
    urls: list[str] | None = None


@dataclass
class Optim:
    """Schema of optim in conf/train.yaml, where optimizer and schedule are `_target_` nodes beside this field."""

    max_grad_norm: float


@dataclass
class Evaluation:
    """Schema of eval in conf/train.yaml: evaluations on held-out prompts during training."""

    every: int
    prompts: int
    batch: int
    before: bool
    layers: Literal["policy", "all"] = "policy"


@dataclass
class Checkpoint:
    """Schema of checkpoint in conf/train.yaml: when checkpoints are written, and which are kept."""

    every: int
    keep: int
    sharded: bool
    best: str | None


@dataclass
class Guard:
    """Schema of guard in conf/train.yaml: how many updates may be skipped, and when signs of trouble give a warning."""

    max_skipped: int
    watch: bool
    entropy_low: float | None
    entropy_high: float | None


@dataclass
class Planning:
    """Schema of planning in conf/train.yaml: lengths, in tokens, of a prompt and a response for the plan of plan=true.

    null stands for the longest that dataset.media and dataset.max_new_tokens let through.
    """

    visual_tokens: int | None = None
    text_tokens: int = 200
    response_tokens: int | None = None


@dataclass
class Train:
    """Schema of conf/train.yaml: all settings of a run."""

    seed: int
    max_steps: int
    name: str
    resume: str | None
    debug: bool
    viewer: bool
    start_check: bool
    algo: Algo
    model: Model
    lora: Lora
    dataset: Dataset
    hardware: Hardware
    rollout: Rollout
    reward: Node
    logger: Node
    optim: Optim
    eval: Evaluation
    checkpoint: Checkpoint
    diagnostics: Node
    guard: Guard
    planning: Planning
    plan: bool = False
    machine: Node | None = None
    resume_changed: list[str] | str = dataclasses.field(default_factory=list)
    overwrite: bool = False
