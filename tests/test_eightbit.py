"""AdamW with 8-bit state: what it refuses, and (slow, with bitsandbytes) that it trains and resumes exactly."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import Parameter

from ral.learner.eightbit import adamw_8bit
from ral.types import UserError


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bitsandbytes", "bitsandbytes.optim"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"optim=adamw_8bit needs bitsandbytes .*pip install '\.\[eightbit\]'"):
        adamw_8bit([Parameter(torch.zeros(2))], lr=1.0)


@pytest.mark.slow
def test_large_tensors_have_states_of_a_byte() -> None:
    large, small = Parameter(torch.randn(64, 64)), Parameter(torch.randn(64))
    optimizer = adamw_8bit([large, small], lr=1e-2, betas=(0.9, 0.99), smallest=4096)
    (large.square().sum() + small.square().sum()).backward()
    optimizer.step()
    assert optimizer.state[large]["state1"].dtype == torch.uint8
    assert optimizer.state[small]["state1"].dtype == torch.float32


@pytest.mark.slow
def test_it_stays_close_to_adamw() -> None:
    """50 steps on a quadratic: within 10% of the way that AdamW went."""
    start = torch.randn(128, 64, generator=torch.Generator().manual_seed(0))
    ends = []
    for make in (adamw_8bit, torch.optim.AdamW):
        weight = Parameter(start.clone())
        optimizer = make([weight], lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)
        for _ in range(50):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
        ends.append(weight.detach())
    assert torch.dist(*ends) < 0.1 * torch.dist(start, ends[1])


@pytest.mark.slow
def test_a_resumed_run_equals_the_uninterrupted_one(run: Callable[..., Path], small: list[str]) -> None:
    eight = [*small, "optim=adamw_8bit", "optim.optimizer.smallest=1024", "checkpoint.every=1", "checkpoint.keep=3"]
    whole = run(*eight, "algo=sft", "max_steps=3", folder="whole")
    cut = whole.with_name("cut")
    shutil.copytree(whole, cut)
    for step in (2, 3):
        shutil.rmtree(cut / "checkpoints" / f"step_{step:06d}")
    run(*eight, "algo=sft", "max_steps=3", "resume=auto", folder="cut")
    one, other = (hashlib.sha256((f / "hf/model.safetensors").read_bytes()).hexdigest() for f in (whole, cut))
    assert one == other
