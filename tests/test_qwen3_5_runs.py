"""Every kind of algorithm on a hybrid network (Qwen3.5): two steps, on the shared path as on the plain one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import MIXED, SMALL, TEXTS, make_prompts
from torch import Tensor

from ral.models.fresh import write_model
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.ops.attention import AttentionSpec

slow = pytest.mark.slow
REWARD = ["reward.parts.accuracy.function._target_=scaling_parts.letters", "~reward.parts.accuracy.function.rules"]
"""A reward in which the answers of random weights differ."""
RUNS = {
    "ral": "attention_divergence",
    "ral_explore": "explored_divergence",
    "ral_distill": "attention_distillation",
    "t_grpo": "grad_norm",
    "papo": "view_kl",
    "vppo": "pivotal_tokens",
    "ease": "evidence_attention",
    "evidence_distill": "evidence_distillation",
    "attention_advantage": "evidence_tokens",
    "sft": "nll",
}
"""Algorithm -> a metric that its own term logs, which is above 0."""
QUICK = ("papo",)


@pytest.fixture(scope="module")
def folders(model_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides that name the policy, and a teacher of other random weights."""
    teacher = tmp_path_factory.mktemp("teacher")
    write_model(teacher, TEXTS, family="qwen3_5", sizes=SMALL, seed=4, vocab_size=300)
    return ["model=qwen3_5", f"model.pretrained={model_folder('qwen3_5')}", f"model.teacher={teacher}"]


def steps(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "train/loss" in line]


def two_steps(run: Callable[..., Path], small: list[str], folders: list[str], *more: str, folder: str) -> list[dict]:
    """Two steps of two updates with rewards that differ; every loss and gradient finite, the gradient not 0."""
    own = [s for s in small if not s.startswith("model.")]
    given = ["algo.group_size=4", "algo.updates_per_rollout=2", "algo.warmup=0", "eval.every=0", "eval.before=false"]
    given += ["start_check=false"] if "algo=sft" in more else REWARD
    given = [g for g in given if "algo=sft" not in more or not g.startswith(("algo.group", "algo.updates"))]
    found = steps(run(*more[:1], *folders, *own, *given, *more[1:], folder=folder))
    assert len(found) == 2
    for step in found:
        assert math.isfinite(step["train/loss"]) and 0 < step["train/grad_norm"] < math.inf
        assert step.get("train/skipped_updates", 0) == 0
    return found


def same(ours: dict[str, float], theirs: dict[str, float], rel: float, absolute: float) -> None:
    for key, value in theirs.items():
        if key.startswith("train/") and not any(word in key for word in ("time", "memory", "per_second")):
            assert ours[key] == pytest.approx(value, rel=rel, abs=absolute), key


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=slow) for n in RUNS])
def test_two_steps_are_those_of_the_plain_path(
    name: str, run: Callable[..., Path], small: list[str], folders: list[str]
) -> None:
    shared = two_steps(run, small, folders, f"algo={name}", folder="shared")
    assert min(step[f"train/{RUNS[name]}"] for step in shared) > 0
    plain = two_steps(run, small, folders, f"algo={name}", "hardware.share_prompt=false", folder="plain")
    for ours, theirs in zip(shared, plain, strict=True):
        same(ours, theirs, rel=2e-3, absolute=2e-5)


MORE = {
    "lora": ["lora.rank=4", "lora.targets=[q_proj,v_proj,down_proj,in_proj_qkv,in_proj_z,out_proj]"],
    "bfloat16": ["hardware.dtype=bfloat16"],
    "checkpointing": ["hardware.gradient_checkpointing=true"],
}


@pytest.mark.parametrize("more", [pytest.param(m, marks=slow) if m != "lora" else m for m in MORE])
def test_two_steps_of_ral_with(more: str, run: Callable[..., Path], small: list[str], folders: list[str]) -> None:
    """Adapters of linear layers too; arithmetic in bf16; recomputed layers, which change nothing."""
    found = two_steps(run, small, folders, "algo=ral", *MORE[more], folder=more)
    if more == "checkpointing":
        for ours, theirs in zip(found, two_steps(run, small, folders, "algo=ral", folder="kept"), strict=True):
            same(ours, theirs, rel=1e-4, absolute=1e-6)


@slow
def test_two_steps_of_everything_at_once(run: Callable[..., Path], small: list[str], folders: list[str]) -> None:
    two_steps(run, small, folders, "algo=ral_distill", *(o for more in MORE.values() for o in more), folder="all")


BOUNDS = {"log_probs": 0.1, "rows": 0.01, "gradient": 0.1}
"""Shared against plain path in bf16 arithmetic: nats and shares of attention at their most over all tokens, and the
distance of the gradients relative to their norm."""


def computed(model: MLLM, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Log-probs and rows of the valid tokens, and the gradient of a sum that weighs every token otherwise."""
    states = model.states(model.prepare(make_prompts(model, MIXED)), ids, mask, AttentionSpec(layers=(0, -1)))
    logits = model.head(states.hidden.flatten(0, 1)).float().log_softmax(-1)
    log_probs = logits.gather(-1, ids.flatten()[:, None]).view(ids.shape)[mask]
    assert states.attention is not None
    rows = states.attention.rows()[:, mask]
    (log_probs * torch.linspace(-1, 1, len(log_probs))).sum().backward()
    gradient = torch.cat([p.grad.flatten() for _, p in model.trained_parameters() if p.grad is not None])
    return {"log_probs": log_probs.detach(), "rows": rows.detach(), "gradient": gradient}


def test_in_bf16_shared_and_plain_differ_by_rounding(model_folder: Callable[..., Path]) -> None:
    """And the shared path is no further from fp32 than the plain one is, by half as much again."""
    ids = torch.randint(5, 250, (3 * len(MIXED), 6), generator=torch.Generator().manual_seed(4))
    mask = torch.arange(6) < torch.tensor([6, 1, 4] * len(MIXED))[:, None]
    folder = str(model_folder("qwen3_5"))
    shared, plain = (computed(kind.load(folder, dtype="bfloat16"), ids, mask) for kind in (MLLM, PlainMLLM))
    exact = computed(MLLM.load(folder), ids, mask)
    for name, bound in BOUNDS.items():
        apart = shared[name] - plain[name]
        most = apart.norm() / plain[name].norm() if name == "gradient" else apart.abs().max()
        print(f"{name}: {float(most):.4f} apart")
        assert 0 < float(most) <= bound, name
        errors = [float((found[name] - exact[name]).norm()) for found in (shared, plain)]
        assert errors[0] <= 1.5 * errors[1], (name, errors)
