"""The same computation on a GPU as on the CPU: kernels, passes, rollouts, runs. On a machine without, CPU alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ENVIRONMENT, MIXED, ROOT, make_prompts

from ral.lit.experience import Experience, Forward, remember
from ral.models.family import FAMILIES
from ral.models.kernel import attend_shared
from ral.models.layout import response_mask
from ral.models.mllm import MLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import evaluate, needed
from ral.rollout.explore import Noise
from ral.rollout.sampler import PolicySampler
from ral.types import Rollout

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
SPECS = (AttentionSpec(), AttentionSpec(layers=(0, 2), heads=(1,)), AttentionSpec(query="previous", keys="visual"))


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of patches in fp32; by default PyTorch lets a GPU round their inputs to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> None:
    """Largest difference, relative to the largest entry of `theirs`."""
    ours, theirs = ours.detach().double().cpu(), theirs.detach().double().cpu()
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= tolerance * float(theirs.abs().max()) + 1e-9


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("device", DEVICES)
def test_the_fast_kernels_merge_to_one_softmax(device: str, dtype: torch.dtype, tolerance: float, padded: bool) -> None:
    if padded and device == "cuda":
        pytest.skip("on CUDA padded prompts go through the kernel one by one (ral.models.layout)")
    generator = torch.Generator().manual_seed(0)
    batch, group, length, prompt, width = 2, 3, 37, 101, 64

    def make(h: int, s: int) -> torch.Tensor:
        return torch.randn(batch, h, s, width, generator=generator).to(device, dtype).requires_grad_()

    query, pk, pv = make(4, group * length), make(2, prompt), make(2, prompt)
    ok, ov = make(2, group * length), make(2, group * length)
    valid = torch.ones(batch, prompt, dtype=torch.bool, device=device)
    valid[1, : 40 * padded] = False
    out = attend_shared(query, (pk, pv), (ok, ov), valid if padded else None, group, 0.1)
    exact = [x.detach().double().requires_grad_() for x in (query, pk, pv, ok, ov)]
    q, keys, values = exact[0], torch.cat([exact[1], exact[3]], 2), torch.cat([exact[2], exact[4]], 2)
    scores = (q.unflatten(1, (2, 2)) @ keys[:, :, None].mT).flatten(1, 2) * 0.1
    weights = scores.masked_fill(~response_mask(valid, group, length), -torch.inf).softmax(-1)
    want = (weights.unflatten(1, (2, 2)) @ values[:, :, None]).flatten(1, 2)
    close(out, want, tolerance)
    probe = torch.randn(out.shape, generator=generator).to(device)
    ours = torch.autograd.grad((out.float() * probe).sum(), (query, pk, pv, ok, ov))
    theirs = torch.autograd.grad((want * probe).sum(), exact)
    for one, other in zip(ours, theirs, strict=True):
        close(one, other, tolerance)


def scored(model: MLLM, device: str, spec: AttentionSpec) -> list[torch.Tensor]:
    """States, rows, log-probs and the gradient of a RAL loss on random responses, moved back to the CPU."""
    from test_models_compute import objective_of

    model = model.to(device)
    model.zero_grad()
    prepared = model("prepare", make_prompts(model, MIXED))
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 250, (8, 6), generator=generator).to(device)
    mask = torch.arange(6, device=device)[None] < torch.tensor([6, 1, 3, 2, 6, 4, 2, 1], device=device)[:, None]
    rollout = Rollout(prepared.prompts, ids, mask, ("",) * 8, mask.any(1), 2)
    advantages = torch.linspace(-1, 1, 8).to(device)
    part = Experience(prepared, rollout, advantages, sequence_mean(mask, counts(mask)))
    passes, objective = Forward(0.9, spec), objective_of("ral")
    needs = needed(objective.values())
    live = passes.live(model, part, needs)
    part = remember(part, live, needs)
    part.signals["old_rows"] = part.signals["old_rows"].roll(1, 1)  # at the old weights themselves the term is flat
    part.signals["reference_log_probs"] = part.signals["old_log_probs"] + 0.1
    signals = {**part.signals, **live}
    loss = torch.stack([evaluate(term, signals).value for term in objective.values()]).sum()
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for _, p in model.trained_parameters() if p.grad is not None])
    rows = live["attention"].rows()
    return [live["hidden"][mask], rows, live["log_probs"], loss.detach()[None], gradient]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("device", DEVICES)
def test_passes_rows_losses_and_gradients_are_those_of_the_cpu(
    device: str, family: str, load: Callable[..., MLLM]
) -> None:
    for spec in SPECS:
        for ours, theirs in zip(scored(load(family), device, spec), scored(load(family), "cpu", spec), strict=True):
            close(ours, theirs, 1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("device", DEVICES)
def test_rollouts_are_those_of_the_cpu(device: str, family: str, load: Callable[..., MLLM]) -> None:
    found = []
    for where in ("cpu", device):
        model = load(family).to(where)
        prepared = model("prepare", make_prompts(model, MIXED))
        found.append(PolicySampler(3, temperature=0.9, max_new_tokens=7)(model, prepared, 5))
    assert torch.equal(found[0].response_ids, found[1].response_ids.cpu())
    close(found[1].log_probs, found[0].log_probs, 1e-4)
    assert found[0].texts == found[1].texts


@pytest.mark.parametrize("device", DEVICES)
def test_without_a_noise_worth_the_name_the_recorded_rows_are_those_of_training(
    device: str, load: Callable[..., MLLM]
) -> None:
    model = load().to(device)
    prepared = model("prepare", make_prompts(model, MIXED))
    sampler = PolicySampler(3, temperature=0.9, max_new_tokens=7, noise=Noise(1e-9, AttentionSpec()))
    rollout = sampler(model, prepared, 1)
    mask = rollout.response_mask
    with torch.no_grad():
        want = model("score", prepared, rollout.response_ids, mask, AttentionSpec()).attention.rows()
    fed = torch.zeros_like(mask)
    fed[:, :-1] = mask[:, 1:]
    assert rollout.attention_rows is not None
    close(rollout.attention_rows, want * fed[None, ..., None], 1e-5)
    loud = PolicySampler(3, temperature=0.9, max_new_tokens=7, noise=Noise(2.0, AttentionSpec()))
    first, again = (loud(model, prepared, 1) for _ in range(2))
    assert first.attention_rows is not None and again.attention_rows is not None
    assert torch.equal(first.response_ids, again.response_ids) and first.attention_rows.shape != (0,)
    assert not torch.equal(first.log_probs, rollout.log_probs)


RUNS = {
    "grpo": ["algo=grpo"],
    "ral": ["algo=ral"],
    "ral, lora in bf16, checkpointing": [
        *("algo=ral", "lora.rank=4", "hardware.dtype=bfloat16", "hardware.gradient_checkpointing=true"),
    ],
    "ral, clips, ema": ["algo=ral", "algo.attention.against=ema", "algo.attention_policy.layers=[0,-1]"],
    "ral_zero, frozen in memory": ["algo=ral_zero", "hardware.frozen_in_memory=true"],
    "ral_distill": ["algo=ral_distill", "hardware.frozen_in_memory=true"],
    "ral_explore": ["algo=ral_explore"],
    "ral_group": ["algo=ral_group"],
    "sft": ["algo=sft"],
    "plain path": ["algo=ral", "hardware.share_prompt=false"],
    "vision trained": [
        "algo=ral",
        "model.freeze_vision=false",
        "algo.updates_per_rollout=1",
        "algo.attention.against=reference",
    ],
    "8 prompts a pass": ["algo=ral", "hardware.micro_batch_prompts=8", "hardware.term_gradients=true"],
}
"""Overrides that lead through different code on a device."""
LAYOUTS = {
    "ddp": ["hardware=ddp", "hardware.devices=1"],
    "fsdp": ["hardware=fsdp", "hardware.devices=1"],
    "fsdp, offload": ["hardware=fsdp", "hardware.devices=1", "hardware.strategy.offload=true"],
}


def lines_of(run: Path) -> list[dict[str, float]]:
    """What a run logged."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def sound(run: Path, steps: int = 2) -> None:
    """A run that made its steps with finite losses, was evaluated and exported."""
    lines = lines_of(run)
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert len(losses) == steps and all(torch.tensor(losses).isfinite())
    assert [line for line in lines if "eval/accuracy" in line]
    assert list((run / "hf").glob("*.safetensors"))


@pytest.mark.slow
@GPU
@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_on_a_gpu(name: str, run: Callable[..., Path], small: list[str]) -> None:
    sound(run("hardware=single_gpu", "hardware.num_workers=0", *RUNS[name], *small))


@pytest.mark.slow
@GPU
@pytest.mark.parametrize("name", LAYOUTS)
def test_one_rank_of_many_on_a_gpu(name: str, small: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *LAYOUTS[name], "algo=ral", *small, "logger=jsonl"]
    command += ["hardware.num_workers=0", f"hydra.run.dir={tmp_path / 'run'}"]
    environment = ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    sound(tmp_path / "run")


@pytest.mark.slow
@GPU
def test_a_run_goes_on_on_a_gpu_and_is_evaluated_there(
    run: Callable[..., Path], small: list[str], tmp_path: Path
) -> None:
    gpu = ["hardware=single_gpu", "hardware.num_workers=0", "algo=ral", "checkpoint.every=1", *small]
    whole = run(*gpu, folder="whole")
    first = min((whole / "checkpoints").glob("step*"))
    gone_on = run(*gpu, f"resume={first}", folder="on")
    losses = [[x["train/loss"] for x in lines_of(r) if "train/loss" in x] for r in (whole, gone_on)]
    assert len(losses[0]) == 2 and len(losses[1]) == 1
    torch.testing.assert_close(losses[0][-1], losses[1][-1], atol=1e-3, rtol=1e-2)
    command = [sys.executable, str(ROOT / "evaluate.py"), f"checkpoint={whole / 'hf'}", "device=cuda", "limit=4"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
