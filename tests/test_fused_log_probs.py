"""Log-probs by a kernel of Liger's: those of chunks, with banned tokens left out; refused where there is no kernel."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT, MIXED, make_prompts, native
from hydra import compose, initialize_config_dir
from torch import Tensor

from ral.config.check import check
from ral.learner.experience import Forward
from ral.machine import check_fused
from ral.models import fused as module
from ral.models.adapters.lora import WithoutAdapters
from ral.models.fused import fuse, fused, scores
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.ops.logprobs import token_log_probs, without_banned
from ral.types import UserError

THERE = all(importlib.util.find_spec(name) is not None for name in ("liger_kernel", "triton"))
REAL = pytest.param("real", marks=[pytest.mark.slow, pytest.mark.skipif(not THERE, reason="no liger-kernel here")])


class StandIn:
    """What Liger's function computes, with whole logits."""

    calls = 0

    @classmethod
    def apply(
        cls, hidden: Tensor, weight: Tensor, ids: Tensor, temperature: float, ignored: int, tiles: int, *rest: Any
    ) -> tuple[Tensor, ...]:
        assert hidden.dtype == weight.dtype and ids.dtype == torch.int64 and rest[0] is True and ignored == -100
        cls.calls += 1
        log_p = (hidden @ weight.T / temperature).float().log_softmax(-1)
        entropy = -(log_p.exp() * log_p).sum(-1)
        return -log_p.gather(1, ids[:, None])[:, 0], entropy, *(log_p[:, chosen] for chosen in rest[1:])


@pytest.fixture(params=["stand-in", REAL])
def kit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whose function: a stand-in, or Liger's, which computes on a CPU without its kernel."""
    if request.param == "stand-in":
        monkeypatch.setattr(module, "library", lambda: StandIn)
    return str(request.param)


def parts(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states [3 5 16], ids, mask, a head's weight [40 16]."""
    generator = torch.Generator().manual_seed(seed)
    hidden, weight = (torch.randn(*shape, generator=generator) for shape in ((3, 5, 16), (40, 16)))
    ids = torch.randint(4, 40, (3, 5), generator=generator)
    return hidden.requires_grad_(), ids, torch.arange(5) < torch.tensor([[5], [1], [3]]), weight.requires_grad_()


@pytest.mark.parametrize("banned", [(), (0,), (0, 1, 3)], ids=str)
def test_the_kernel_s_log_probs_are_those_of_chunks(kit: str, banned: tuple[int, ...]) -> None:
    """Log-probs, entropy and the gradients of states and head, at temperature 0.7."""
    hidden, ids, mask, weight = parts()
    out = torch.zeros(40, dtype=torch.bool)
    out[list(banned)] = True
    common: dict[str, Any] = {"temperature": 0.7, "banned": out, "chunk": 4}
    found = []
    for kernel in (None, partial(scores, weight)):
        log_probs, entropy = token_log_probs(hidden, ids, mask, lambda h: h @ weight.T, **common, scores=kernel)
        assert not entropy.requires_grad and log_probs[~mask].eq(0).all()
        loss = (log_probs * torch.linspace(-1, 2, 15).view(3, 5)).sum()
        found.append((log_probs.detach(), entropy, *torch.autograd.grad(loss, [hidden, weight])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)


def test_a_banned_token_has_no_probability_and_no_token_no_value(kit: str) -> None:
    hidden, ids, mask, weight = parts()
    out = torch.zeros(40, dtype=torch.bool)
    out[int(ids[0, 0])] = True
    log_probs, _ = scores(weight, hidden[0], ids[0], 1.0, out)
    assert log_probs[0] == -torch.inf and log_probs[1:].isfinite().any()
    empty, _ = token_log_probs(
        hidden, ids, mask & False, lambda h: h, temperature=1.0, banned=out, scores=partial(scores, weight)
    )
    assert empty.eq(0).all() and empty.requires_grad


def test_what_is_left_when_tokens_are_left_out_by_hand() -> None:
    """Of 1/2, 1/4, 1/4 without the last: 2/3 and 1/3."""
    p = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    entropy = -(p * p.log()).sum(-1)
    log_probs, left = without_banned(p.log()[:, 0], entropy, p.log()[:, 2:])
    q = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    torch.testing.assert_close(log_probs, q[:1].log())
    torch.testing.assert_close(left, -(q * q.log()).sum()[None])
    nearly = torch.tensor([[0.0]])  # all of it on what is banned
    assert without_banned(torch.tensor([-20.0]), torch.tensor([0.0]), nearly)[0].isfinite().all()


def test_a_policy_and_its_reference_take_the_kernel(kit: str, load: Callable[..., MLLM]) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    rollout = native(2, temperature=0.9, max_new_tokens=5)(model, prepared)
    passes, calls = Forward(0.9, AttentionSpec()), StandIn.calls
    states = model.states(prepared, rollout.token_ids, rollout.valid, None)
    plain = passes.log_probs(model, states, rollout)
    assert fused(model) is None and StandIn.calls == calls
    fuse(model, torch.float32)
    for each in (model, WithoutAdapters(model), model.frozen_copy()):
        for ours, theirs in zip(passes.log_probs(each, states, rollout), plain, strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)
    assert kit == "real" or StandIn.calls == calls + 3


def test_a_head_with_a_bias_is_refused(kit: str, load: Callable[..., MLLM]) -> None:
    model = load()
    model.network.lm_head.bias = torch.nn.Parameter(torch.zeros(len(model.network.lm_head.weight)))
    with pytest.raises(UserError, match=r"^hardware.fused_log_probs=true: the head of .* has a bias"):
        fuse(model)


# ---------------------------------------------------------------------------------------------------- what is refused


def test_other_machines_are_refused_before_weights_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for accelerator, capability in (("cpu", (9, 0)), ("auto", None), ("gpu", (8, 0)), ("gpu", (10, 0))):
        with pytest.raises(UserError, match=r"^hardware.fused_log_probs=true: the kernel is for an H100 or H200"):
            check_fused(True, accelerator, capability)
    for missing in ("liger_kernel", "cutlass"):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, missing=missing: name != missing or None)
        with pytest.raises(UserError, match=r"needs liger-kernel, .*: pip install '\.\[liger\]'$"):
            check_fused(True, "gpu", (9, 0))
    check_fused(False, "cpu", None)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, load: Callable[..., MLLM]) -> None:
    monkeypatch.setattr(module, "MODULE", "liger_kernel_that_is_not_there")
    with pytest.raises(UserError, match=r"^hardware.fused_log_probs=true needs liger-kernel \(.*'\.\[liger\]'$"):
        fuse(load())


def test_a_run_on_a_cpu_is_refused_by_the_command_line(command: list[str], tmp_path: Path) -> None:
    fused_run = [*command, "hardware.fused_log_probs=true", "hardware.precision=bf16-mixed"]
    done = subprocess.run(fused_run, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: hardware.fused_log_probs=true: the kernel is for"), done.stderr


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["hardware=fsdp"], "reads a whole head, and these weights are sharded"),
        (["hardware=single_gpu", "hardware.precision=32-true"], "is for bf16 arithmetic"),
    ],
)
def test_what_it_does_not_go_with(more: list[str], line: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["algo=ral", "hardware.fused_log_probs=true", *more])
    with pytest.raises(UserError, match=line):
        check(cfg)
