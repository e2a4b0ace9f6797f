"""QLoRA: a frozen decoder in NF4 under adapters, with a stand-in of bitsandbytes, and with itself where it is there."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fake_bitsandbytes
import pytest
import torch
from conftest import CONF, ENVIRONMENT
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import load_file
from test_lora import SOME_REWARD, hidden
from torch import nn

from ral import starting
from ral.config.check import check
from ral.config.resuming import check_same_experiment
from ral.learner.models import Models, move_average
from ral.machine import check_four_bit
from ral.models.adapters.four_bit import dequantized, four_bit_layers, in_four_bits, library, quantize
from ral.models.adapters.lora import Adapters, WithoutAdapters, adapted, add_adapters
from ral.models.cast_once import wider
from ral.models.mllm import MLLM
from ral.planning.architecture import architecture_of
from ral.planning.networks import Networks
from ral.planning.settings import FOUR_BIT, workload
from ral.rollout.engine import Sampling
from ral.rollout.stepping import why_not_fixed
from ral.types import UserError

INSTALLED = importlib.util.find_spec("bitsandbytes") is not None
REAL = pytest.param("real", marks=[pytest.mark.slow, pytest.mark.skipif(not INSTALLED, reason="no bitsandbytes here")])
QLORA = ["lora.rank=4", "lora.base=nf4", "algo.learning_rate=1e-2"]


@pytest.fixture(params=["fake", REAL])
def kit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which bitsandbytes: a stand-in, or the package with its kernels for a CPU."""
    if request.param == "fake":
        fake_bitsandbytes.install(monkeypatch)
    return str(request.param)


@pytest.fixture
def policy(kit: str, load: Callable[..., MLLM]) -> MLLM:
    """A decoder in 4 bits with adapters that change it: both factors random."""
    model = load()
    quantize(model, torch.float32)
    add_adapters(model, Adapters(4, 8.0, ("q_proj", "v_proj", "down_proj")))
    torch.manual_seed(0)
    for _, weight in model.trained_parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model


@pytest.fixture
def without_a_gpu(kit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs on this CPU have what a GPU's have."""
    monkeypatch.setattr(starting, "check_four_bit", lambda *_: None)


def test_the_decoder_s_linear_layers_alone_are_quantised(policy: MLLM, load: Callable[..., MLLM]) -> None:
    found, before = four_bit_layers(policy.network), dict(load().network.named_modules())
    names = {name.removesuffix(".base_layer") for name in found}
    layers = {n for n, m in before.items() if isinstance(m, nn.Linear) and ".language_model.layers." in n}
    assert names == {n for n in layers if not n.endswith("down_proj")} and len(layers) == 3 * 7  # its input: 96 wide
    for name, layer in found.items():
        weight = before[name.removesuffix(".base_layer")].weight
        assert layer.weight.dtype == torch.uint8 and layer.weight.numel() == weight.numel() // 2
        assert not layer.weight.requires_grad
        blocks, wanted = (w.detach().flatten().view(-1, 64) for w in (dequantized(layer), weight))
        step = 0.17  # half of the widest gap between two of NF4's values, and what rounding scales to 8 bits adds
        assert ((blocks - wanted).abs() <= step * wanted.abs().amax(1, keepdim=True)).all()
        assert 0.05 < float((blocks - wanted).norm() / wanted.norm()) < 0.1
        assert (layer.bias is None) == (before[name.removesuffix(".base_layer")].bias is None)
    assert all(p.dtype == torch.float32 and ".lora_" in n for n, p in policy.trained_parameters())
    assert wider(policy.network.model.language_model.layers[0].self_attn.k_proj, torch.bfloat16) == []


def test_the_rounding_of_normal_weights(kit: str) -> None:
    """9.2% of their norm, and 16% of the greatest weight of a block at most; in half a byte each, and scales."""
    side = 512 if kit == "fake" else 3584
    layer = nn.Linear(side, side, bias=False)
    nn.init.normal_(layer.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    started = time.process_time()
    made = in_four_bits(library(), layer, torch.float32, "cpu")
    seconds, weight = time.process_time() - started, layer.weight.detach()
    apart = dequantized(made) - weight
    share = float(apart.norm() / weight.norm())
    most = float((apart.view(-1, 64).abs() / weight.view(-1, 64).abs().amax(1, keepdim=True)).max())
    print(f"{share:.4f} of the norm, {most:.3f} of a block's greatest, {seconds:.2f} s")
    assert 0.09 < share < 0.094 and 0.14 < most < 0.165 and made.weight.nbytes == side**2 // 2


def test_it_computes_with_the_weights_that_it_stands_for(policy: MLLM, load: Callable[..., MLLM]) -> None:
    """Its reference is a plain network with those weights; gradients reach the adapters through them."""
    plain = load()
    for name, layer in four_bit_layers(policy.network).items():
        plain.network.get_submodule(name.removesuffix(".base_layer")).weight.data = dequantized(layer)
    torch.testing.assert_close(hidden(WithoutAdapters(policy)), hidden(plain), atol=2e-5, rtol=1e-4)
    add_adapters(plain, Adapters(4, 8.0, ("q_proj", "v_proj", "down_proj")))
    plain.network.load_state_dict(dict(policy.trained_parameters()), strict=False)
    torch.testing.assert_close(hidden(policy), hidden(plain), atol=2e-5, rtol=1e-4)
    ids = torch.arange(5, 17).view(1, -1)
    grads = []
    for model in (policy, plain):
        state = model.network.model.language_model.embed_tokens(ids).detach().requires_grad_()
        layer = model.network.model.language_model.layers[0].mlp
        layer(state).square().sum().backward()
        grads.append([state.grad, *(p.grad for p in layer.parameters() if p.grad is not None)])
    assert len(grads[0]) == 3
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_a_moving_average_has_adapters_of_its_own_over_the_same_weights(policy: MLLM) -> None:
    before = hidden(policy)
    average = policy.frozen_copy(averaged=True)
    assert torch.equal(hidden(average), before)
    with torch.no_grad():
        for _, weight in policy.trained_parameters():
            weight.mul_(2)
    assert torch.equal(hidden(average), before)
    move_average(Models(policy, {"ema": average}, {"ema": average}), 0.0)
    torch.testing.assert_close(hidden(average), hidden(policy), atol=1e-5, rtol=1e-5)


def test_steps_of_fixed_shapes_are_not_tried(policy: MLLM) -> None:
    assert "4 bits (lora.base=nf4)" in (why_not_fixed(policy, Sampling(1.0, 4), False) or "")


def steps(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines if "train/loss" in line]


def test_a_run_trains_exports_and_resumes(
    without_a_gpu: None, run: Callable[..., Path], small: list[str], model_folder: Callable[..., Path]
) -> None:
    """hf/ is the network that was trained, its 4-bit weights written out; adapter/ is what resumes elsewhere."""
    often = [*small, *QLORA, SOME_REWARD, "algo=ral", "max_steps=2", "checkpoint.every=1", "checkpoint.keep=9"]
    often += ["eval.every=0", "eval.before=false", "algo.updates_per_rollout=2", "algo.attention.against=ema"]
    whole = run(*often, folder="whole")
    found = steps(whole)
    assert len(found) == 2 and found[0]["train/grad_norm"] > 0 and found[1]["train/kl"] > 0
    held = torch.load(whole / "checkpoints" / "step_000002" / "state.pt", weights_only=True)["weights"]
    assert all(".lora_" in name for name in held["policy"]) and held["ema"].keys() == held["policy"].keys()
    base, hf = load_file(model_folder() / "model.safetensors"), load_file(whole / "hf" / "model.safetensors")
    assert base.keys() == hf.keys()
    model = MLLM.load(str(model_folder()))
    quantize(model, torch.float32)
    add_adapters(model, Adapters(4, 32, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")))
    model.network.load_state_dict(held["policy"], strict=False)
    assert len(adapted(model.network)) == 21
    torch.testing.assert_close(hidden(MLLM.load(str(whole / "hf"))), hidden(model), atol=1e-4, rtol=1e-4)
    again = run(*often, f"resume={whole / 'checkpoints' / 'step_000001'}", folder="again")
    assert steps(again)[-1] == found[-1]
    files = [folder / "adapter" / "adapter_model.safetensors" for folder in (whole, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    on = run(*often, "lora.rank=0", f"lora.resume={whole / 'adapter'}", "lora.merge=false", folder="on")
    assert (on / "adapter").is_dir() and not (on / "hf").exists() and len(steps(on)) == 2


def test_a_hybrid_network_s_linear_attention_rests_in_four_bits_too(kit: str, load: Callable[..., MLLM]) -> None:
    model = load("qwen3_5")
    quantize(model, torch.float32)
    assert any(name.endswith("linear_attn.in_proj_qkv") for name in four_bit_layers(model.network))
    assert hidden(model).isfinite().all()


# ---------------------------------------------------------------------------------------------------- what is refused


def test_without_a_gpu_or_the_package_one_line_comes_before_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    for accelerator, gpus in (("cpu", 1), ("auto", 0), ("gpu", 0)):
        with pytest.raises(UserError, match=r"^lora.base=nf4 keeps weights in 4 bits on a GPU, .*hardware=single_gpu"):
            check_four_bit("nf4", accelerator, gpus)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^lora.base=nf4 needs bitsandbytes, .*: pip install '\.\[fourbit\]'$"):
        check_four_bit("nf4", "gpu", 1)
    check_four_bit("dtype", "cpu", 0)


def test_a_package_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch, load: Callable[..., MLLM]) -> None:
    for name in ("bitsandbytes", "bitsandbytes.functional"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"^lora.base=nf4 needs bitsandbytes \(.*\): pip install '\.\[fourbit\]'$"):
        quantize(load(), torch.float32)


def test_a_run_on_a_cpu_is_refused_by_the_command_line(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*command, *QLORA], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: lora.base=nf4 keeps weights") and len(done.stderr.splitlines()) == 1, (
        done.stderr
    )


REFUSED = {
    "lora.base=nf4 freezes the decoder in 4 bits, and lora.rank=0 trains it: write lora.rank=16": ["lora.rank=0"],
    "lora.base=nf4: weights in 4 bits cannot be sharded: write hardware=ddp": ["hardware=fsdp"],
    "lora.base=nf4: vLLM gets whole weights after every step": ["rollout=vllm"],
    "lora.base='int4' has the wrong type: 'dtype' or 'nf4' expected": ["lora.base=int4"],
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_it_does_not_go_with(line: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["algo=ral", *QLORA, "hardware=single_gpu", *REFUSED[line]])
    with pytest.raises(UserError) as told:
        check(cfg)
    assert line in str(told.value)


def test_a_run_with_other_base_weights_is_another_experiment() -> None:
    """A run of before lora.base is one of lora.base=dtype."""
    old, new = ({"lora": {"rank": 4, **more}, "max_steps": 2} for more in ({}, {"base": "dtype"}))
    check_same_experiment(old, new, new, (), "auto")
    with pytest.raises(UserError, match=r"lora\.base"):
        check_same_experiment(old, {**new, "lora": {"rank": 4, "base": "nf4"}}, new, (), "auto")


# ----------------------------------------------------------------------------------------------------------- the plan


def planned(*overrides: str) -> Networks:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "train",
            [
                "algo=ral",
                "model=qwen2_5_vl",
                "hardware=single_gpu",
                "hardware.dtype=bfloat16",
                "logger=jsonl",
                *overrides,
            ],
        )
    cfg.name = "planned"
    tree = OmegaConf.to_container(cfg, resolve=True)
    policy = architecture_of("Qwen/Qwen2.5-VL-7B-Instruct")
    return Networks(policy, None, workload(tree, policy))


def test_the_plan_counts_four_bits_a_weight() -> None:
    """Of 7B: 6.5 billion weights of decoder layers lose 1.48 bytes each; a byte for 64 weights, 4 for 64 * 256."""
    assert pytest.approx(0.5159, abs=1e-4) == FOUR_BIT
    lora, qlora = (planned("lora.rank=16", f"lora.base={base}") for base in ("dtype", "nf4"))
    layers = lora.policy.counts.layers
    assert layers == pytest.approx(6.53e9, rel=0.01)
    assert lora.weights - qlora.weights == pytest.approx(layers * (2 - FOUR_BIT))
    assert qlora.weights == pytest.approx(
        layers * FOUR_BIT + (lora.policy.counts.total - layers) * 2 + qlora.trained * 4
    )
