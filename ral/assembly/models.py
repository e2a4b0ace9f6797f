"""Construction of the networks of a run from its configuration."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from omegaconf import DictConfig

from ral.config.build import instantiate, precision_of
from ral.files.repository import find
from ral.learner.models import Models
from ral.learner.objective import Objective
from ral.models.adapters.files import read_adapters
from ral.models.adapters.four_bit import NF4, quantize
from ral.models.adapters.lora import Adapters, WithoutAdapters, add_adapters
from ral.models.attention.kinds import FULL, attention_types
from ral.models.checks import check_spec, same_tokens
from ral.models.frozen import FrozenModel
from ral.models.fused import fuse
from ral.models.loading import named
from ral.models.mllm import MLLM
from ral.models.offload import Offloaded
from ral.models.opening import load
from ral.models.recomputation import keep_in_main_memory
from ral.models.registry import register_named
from ral.ops.signals import needed
from ral.types import UserError


def load_model(cfg: DictConfig, pretrained: str, trained: bool = False) -> MLLM:
    """Return the model of a folder (also one relative to this repository) or a hub id. UserError where it is unfit.

    trained: True keeps the weights in fp32, whatever hardware.dtype is, so that they can be trained.
    """
    hardware = cfg.hardware
    register_named(cfg.model.get("family"))
    return load(
        find(pretrained),
        share_prompt=hardware.share_prompt,
        dtype=hardware.dtype,
        freeze_vision=cfg.model.freeze_vision,
        trained=trained,
        whole=hardware.shard is None,
    )


def load_policy(cfg: DictConfig) -> MLLM:
    """Return the network to train, with new adapters where lora.rank is set, or with those of lora.resume.

    Rank, alpha and targets of resumed adapters are written to cfg.lora. lora.base=nf4 quantizes the decoder to 4 bits.
    UserError where the model or the adapters cannot be read or do not fit.
    """
    policy = load_model(cfg, str(cfg.model.pretrained), trained=not (cfg.lora.rank or cfg.lora.get("resume")))
    if cfg.lora.get("base") == NF4:
        quantize(policy, torch.bfloat16 if "bf16" in precision_of(cfg.hardware) else torch.float32)
    if cfg.lora.get("resume"):
        resumed = read_adapters(str(cfg.lora.resume), policy, cfg.lora.rank)
        resumed.put(policy)
        cfg.lora = {**cfg.lora, **vars(resumed.adapters), "targets": list(resumed.adapters.targets)}
    elif cfg.lora.rank:
        add_adapters(policy, Adapters(cfg.lora.rank, cfg.lora.alpha, tuple(cfg.lora.targets)), seed=cfg.seed)
    return policy


def build_models(cfg: DictConfig, policy: MLLM, objective: Objective) -> Models:
    """Return the policy and the frozen models whose signals the objective needs.

    UserError as `teacher`, for frozen_in_memory with sharded weights, as `fuse` where hardware.fused_log_probs is set,
    and as `check_attention`.
    """
    if cfg.hardware.gradient_checkpointing:
        policy.checkpoint_layers()
    if cfg.hardware.offload_activations:
        keep_in_main_memory(policy.network)
    averaged = {"ema": policy.frozen_copy(averaged=True)} if "ema" in objective.frozen else {}
    fixed = {name: make(cfg, policy) for name, make in FIXED.items() if name in objective.frozen}
    if cfg.hardware.frozen_in_memory:
        fixed = offloaded(cfg, fixed, policy)
    if cfg.hardware.get("fused_log_probs"):
        for model in (policy, *fixed.values(), *averaged.values()):
            if isinstance(model, MLLM):  # a view has the policy's head
                fuse(model)
    has_rows = FULL in attention_types(policy.network.config)
    if cfg.algo.attention_policy is not None and (has_rows or reads_rows(cfg, objective)):
        check_attention(cfg, policy, {**fixed, **averaged})
    return Models(policy, {**fixed, **averaged}, averaged)


def reference(cfg: DictConfig, policy: MLLM) -> FrozenModel:
    """Return the reference, which is the initial policy: with LoRA the policy without its adapters, else a copy."""
    return WithoutAdapters(policy) if cfg.lora.rank else policy.frozen_copy()


def teacher(cfg: DictConfig, policy: MLLM) -> FrozenModel:
    """Return the teacher that algo.teacher names (the value of model.teacher).

    UserError where it is not set, cannot be loaded, or has other tokens than the policy.
    """
    if cfg.algo.teacher is None:
        raise UserError("model.teacher is not set, and the objective needs one: write model.teacher=<folder or hub id>")
    with named("model.teacher"):
        model = load_model(cfg, str(cfg.algo.teacher))
    same_tokens(policy.processor, model.processor)
    return model


FIXED = {"reference": reference, "teacher": teacher}
"""{name: function that makes the frozen model} of the models whose weights never change."""


def offloaded(cfg: DictConfig, models: Mapping[str, FrozenModel], policy: MLLM) -> dict[str, FrozenModel]:
    """Return the frozen models with their weights kept in main memory between forward passes.

    models: {name: frozen model}. A wrapper of the policy, which has no weights of its own, is returned unchanged.
    UserError where networks are sharded.
    """
    if cfg.hardware.shard is not None:
        raise UserError("hardware.frozen_in_memory is for whole networks: write hardware.strategy.offload=true")
    return {name: Offloaded(m, policy) if isinstance(m, MLLM) else m for name, m in models.items()}


def reads_rows(cfg: DictConfig, objective: Objective) -> bool:
    """Tell whether a run needs attention rows: for a term, noise on attention, diagnostics, or eval.layers=all.

    Evaluations with eval.layers=policy do not count: they leave the rows out for a network whose layers give none.
    """
    asked = any("rows" in name or "attention" in name for name in needed(objective.terms.values()))
    noise = (cfg.algo.get("sampling") or {}).get("noise") is not None
    return asked or noise or bool(cfg.diagnostics.every) or cfg.eval.layers == "all"


def check_attention(cfg: DictConfig, policy: MLLM, frozen: Mapping[str, FrozenModel]) -> None:
    """Raise UserError where a model lacks a layer or head that algo.attention_policy names.

    UserError also where such a layer has no softmax attention over all earlier tokens, and for eval.layers=all where
    the policy has any layer without it. policy, frozen: the models, frozen ones by name.
    """
    check_spec(instantiate(cfg.algo.attention_policy), [policy, *frozen.values()])
    others = set(attention_types(policy.network.config)) - {FULL}
    if others and cfg.eval.layers == "all":
        raise UserError(
            f"eval.layers=all: {policy.processor.name} has layers that are {', '.join(sorted(others))}, not softmax"
            " attention over all earlier tokens; write eval.layers=policy"
        )
