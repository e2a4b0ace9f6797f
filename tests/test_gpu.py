"""The same computation on a GPU as on the CPU, and runs of every kind on either; without a GPU, on the CPU alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import ENVIRONMENT, MIXED, ROOT, SMALL, TEXTS, make_prompts, native
from test_training import REWARD_FOR_LENGTH

from ral.learner.experience import Experience, Forward, remember
from ral.machine import HOPPER
from ral.models.adapters.four_bit import dequantized, four_bit_layers, quantize
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.attention.kernel import attend_shared
from ral.models.attention.padded import response_mask
from ral.models.fresh import write_model
from ral.models.fused import scores
from ral.models.mllm import MLLM
from ral.models.registry import FAMILIES
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.logprobs import token_log_probs
from ral.ops.signals import evaluate, needed
from ral.rollout.noise import Noise
from ral.types import Rollout

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]
KERNELS = [("cpu", False), ("cpu", True), pytest.param("cuda", False, marks=GPU)]
"""Device, padded: on CUDA padded prompts go through the kernel one by one (ral.models.attention.padded)."""
SPECS = (AttentionSpec(), AttentionSpec(layers=(0, 2), heads=(1,)), AttentionSpec(query="previous", keys="visual"))


@pytest.fixture(autouse=True)
def without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions of patches in fp32; by default PyTorch lets a GPU round their inputs to ten bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> None:
    """Largest difference, relative to the largest entry of `theirs`."""
    ours, theirs = ours.detach().double().cpu(), theirs.detach().double().cpu()
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= tolerance * float(theirs.abs().max()) + 1e-9


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize(("device", "padded"), KERNELS)
def test_the_fast_kernels_merge_to_one_softmax(device: str, dtype: torch.dtype, tolerance: float, padded: bool) -> None:
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
    prepared = model.prepare(make_prompts(model, MIXED))
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 250, (8, 6), generator=generator).to(device)
    mask = torch.arange(6, device=device)[None] < torch.tensor([6, 1, 3, 2, 6, 4, 2, 1], device=device)[:, None]
    rollout = Rollout(prepared.prompts, ids, mask, mask, ("",) * 8, ("stop",) * 8, 2)
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
@GPU
def test_passes_rows_losses_and_gradients_are_those_of_the_cpu(family: str, load: Callable[..., MLLM]) -> None:
    for spec in SPECS:
        for ours, theirs in zip(scored(load(family), "cuda", spec), scored(load(family), "cpu", spec), strict=True):
            close(ours, theirs, 1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@GPU
def test_rollouts_are_those_of_the_cpu(family: str, load: Callable[..., MLLM]) -> None:
    found = []
    for where in ("cpu", "cuda"):
        model = load(family).to(where)
        prepared = model.prepare(make_prompts(model, MIXED))
        found.append(native(3, temperature=0.9, max_new_tokens=7)(model, prepared, 5))
    assert torch.equal(found[0].token_ids, found[1].token_ids.cpu())
    close(found[1].log_probs, found[0].log_probs, 1e-4)
    assert found[0].texts == found[1].texts


@pytest.mark.parametrize("device", DEVICES)
def test_without_a_noise_worth_the_name_the_recorded_rows_are_those_of_training(
    device: str, load: Callable[..., MLLM]
) -> None:
    model = load().to(device)
    prepared = model.prepare(make_prompts(model, MIXED))
    sampler = native(3, temperature=0.9, max_new_tokens=7, noise=Noise(1e-9, AttentionSpec()))
    rollout = sampler(model, prepared, 1)
    mask = rollout.valid
    with torch.no_grad():
        want = model.states(prepared, rollout.token_ids, mask, AttentionSpec()).attention.rows()
    fed = torch.zeros_like(mask)
    fed[:, :-1] = mask[:, 1:]
    assert rollout.attention_rows is not None
    close(rollout.attention_rows, want * fed[None, ..., None], 1e-5)
    loud = native(3, temperature=0.9, max_new_tokens=7, noise=Noise(2.0, AttentionSpec()))
    first, again = (loud(model, prepared, 1) for _ in range(2))
    assert first.attention_rows is not None and again.attention_rows is not None
    assert torch.equal(first.token_ids, again.token_ids)
    assert torch.equal(first.attention_rows, again.attention_rows)
    same = first.token_ids[:, 0] == rollout.token_ids[:, 0]  # then the second token is the first to see noise
    both = same & first.valid[:, 1] & rollout.valid[:, 1]
    assert first.log_probs is not None and rollout.log_probs is not None
    close(first.log_probs[same, 0], rollout.log_probs[same, 0], 1e-5)
    moved = (first.attention_rows - want)[0, both, 0].abs().amax(-1)
    assert both.any() and bool((moved > 0.01).all())


RUNS = {
    "grpo": ["algo=grpo"],
    "t_grpo": ["algo=t_grpo"],
    "ral": ["algo=ral"],
    "ral, lora in bf16, checkpointing": [
        *("algo=ral", "lora.rank=4", "hardware.dtype=bfloat16", "hardware.gradient_checkpointing=true"),
    ],
    "ral, ema, two layers": ["algo=ral", "algo.attention.against=ema", "algo.attention_policy.layers=[0,-1]"],
    "ral_zero, frozen in memory": ["algo=ral_zero", "hardware.frozen_in_memory=true"],
    "distill": ["algo=distill"],
    "ral_distill, frozen in memory": ["algo=ral_distill", "hardware.frozen_in_memory=true"],
    "ral_explore": ["algo=ral_explore"],
    "ral_group": ["algo=ral_group"],
    "sft": ["algo=sft"],
    "plain path": ["algo=ral", "hardware.share_prompt=false"],
    "vision trained": [
        *("algo=ral", "model.freeze_vision=false", "algo.updates_per_rollout=1", "algo.attention.against=reference"),
    ],
    "all prompts in a pass": ["algo=ral", "hardware.micro_batch_prompts=4", "hardware.term_gradients=true"],
}
"""Overrides that lead through different code on a device."""
HARDWARE = {"cpu": ["hardware=cpu"], "cuda": ["hardware=single_gpu", "hardware.num_workers=0"]}
ON_CPU = ["hardware.accelerator=cpu", "hardware.precision=32-true"]
LAYOUTS = {
    "ddp": ["hardware=ddp"],
    "fsdp": ["hardware=fsdp"],
    "fsdp, offload": ["hardware=fsdp", "hardware.strategy.offload=true"],
}


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides without which a random model's run has no gradient: rewards that differ, a teacher of its own."""
    folder = tmp_path_factory.mktemp("teacher")
    write_model(folder, TEXTS, family="qwen2_5_vl", sizes=SMALL, seed=4, vocab_size=300)
    return [f"model.teacher={folder}"]


def lines_of(run: Path) -> list[dict[str, float]]:
    """What a run logged."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def sound(run: Path, steps: int = 2) -> None:
    """A run whose every update moved the weights, that was evaluated and exported."""
    lines = lines_of(run)
    trained = [line for line in lines if "train/loss" in line]
    assert len(trained) == steps and all(torch.tensor([line["train/loss"] for line in trained]).isfinite())
    assert all(line["train/grad_norm"] > 0 and line["train/skipped_updates"] == 0 for line in trained)
    assert [line for line in lines if "eval/accuracy" in line]
    assert list((run / "hf").glob("*.safetensors"))


def rewarded(name: str) -> list[str]:
    """A reward that differs between random answers, where there is one."""
    return [] if RUNS.get(name) == ["algo=sft"] else [REWARD_FOR_LENGTH]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("device", DEVICES)
def test_every_kind_of_run(
    device: str, name: str, run: Callable[..., Path], small: list[str], signal: list[str]
) -> None:
    sound(run(*HARDWARE[device], *RUNS[name], *small, *signal, *rewarded(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("device", DEVICES)
def test_one_rank_of_many(device: str, name: str, small: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *LAYOUTS[name], *(ON_CPU if device == "cpu" else [])]
    command += ["algo=ral", *small, REWARD_FOR_LENGTH, "logger=jsonl", "hardware.devices=1", "hardware.num_workers=0"]
    paths = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [*command, f"hydra.run.dir={tmp_path / 'run'}"],
        cwd=tmp_path,
        env=ENVIRONMENT | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    sound(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_a_run_goes_on_and_is_evaluated(
    device: str, run: Callable[..., Path], small: list[str], tmp_path: Path
) -> None:
    overrides = [*HARDWARE[device], "algo=ral", "checkpoint.every=1", *small, REWARD_FOR_LENGTH]
    whole = run(*overrides, folder="whole")
    first = min((whole / "checkpoints").glob("step*"))
    on = run(*overrides, f"resume={first}", folder="on")
    steps = [[line for line in lines_of(r) if "train/loss" in line] for r in (whole, on)]
    assert [len(lines) for lines in steps] == [2, 1]
    for key in ("train/reward", "train/response_length", "train/grad_norm", "train/learning_rate"):
        assert steps[1][0][key] == pytest.approx(steps[0][1][key], rel=1e-2) and steps[0][1][key] > 0, key
    ours, theirs = (MLLM.load(str(r / "hf")).network.state_dict() for r in (whole, on))
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, atol=2e-5, rtol=1e-3)
    command = [sys.executable, str(ROOT / "evaluate.py"), f"checkpoint={whole / 'hf'}", f"device={device}", "limit=4"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.slow
@GPU
def test_weights_in_four_bits_are_those_of_the_cpu_and_train(
    load: Callable[..., MLLM], run: Callable[..., Path], small: list[str], signal: list[str]
) -> None:
    """Quantised on the GPU, moved there with the network; products with what the weights stand for; a whole run."""
    pytest.importorskip("bitsandbytes")
    model, plain = load(), load()
    quantize(model, torch.float32)
    for name, layer in four_bit_layers(model.network).items():
        weight = plain.network.get_submodule(name).weight
        assert float((dequantized(layer) - weight).norm() / weight.norm()) < 0.1
        weight.data = dequantized(layer)
    add_adapters(model, Adapters(4, 8.0, ("q_proj", "v_proj")))  # which add nothing yet
    ids = torch.randint(5, 250, (2 * len(MIXED), 6), generator=torch.Generator().manual_seed(1)).cuda()
    found = []
    for each in (model.cuda(), plain.cuda()):
        with torch.no_grad():
            states = each.states(each.prepare(make_prompts(each, MIXED)), ids, torch.ones_like(ids) > 0, None)
        found.append(states.hidden)
    assert all(layer.weight.is_cuda and layer.weight.dtype == torch.uint8 for layer in four_bit_layers(model).values())
    close(*found, 1e-4)
    sound(run(*HARDWARE["cuda"], "algo=ral", "lora.rank=4", "lora.base=nf4", *small, *signal, REWARD_FOR_LENGTH))


@pytest.mark.slow
@GPU
@pytest.mark.parametrize("banned", [0, 5])
def test_the_kernel_s_log_probs_are_those_of_chunks(banned: int) -> None:
    """bf16 products at a published head's width: both within their rounding of fp64, gradients too."""
    pytest.importorskip("cutlass")
    if torch.cuda.get_device_capability() != HOPPER:
        pytest.skip("the kernel is for Hopper")
    generator = torch.Generator("cuda").manual_seed(0)
    hidden, weight = (torch.randn(n, 2048, device="cuda", generator=generator) for n in (1500, 151_936))
    ids = torch.randint(100, 151_000, (1, 1500), device="cuda", generator=generator)
    hidden, weight = hidden[None].requires_grad_(), (weight * 0.02).bfloat16().requires_grad_()
    out = torch.arange(len(weight), device="cuda") < banned
    found = []
    for kernel in (None, partial(scores, weight)):
        log_probs, entropy = token_log_probs(
            hidden, ids, ids > 0, lambda h: h.bfloat16() @ weight.T, temperature=0.9, banned=out, scores=kernel
        )
        found.append([log_probs, entropy, *torch.autograd.grad(log_probs.sum(), [hidden, weight])])
    for (ours, theirs), bound in zip(zip(*reversed(found), strict=True), (2e-2, 2e-2, 2e-2, 5e-2), strict=True):
        assert float((ours - theirs).float().norm()) <= bound * float(theirs.float().norm())
