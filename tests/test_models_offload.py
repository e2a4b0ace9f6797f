"""Frozen networks in main memory: on the device for a pass alone, and nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ral.models.mllm import MLLM, PASSES
from ral.models.offload import Offloaded, moved
from ral.models.plain import PlainMLLM
from ral.types import UserError


def test_tensors_are_moved_and_come_home(load: Callable[..., MLLM], monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy stands for the device's memory."""
    policy = load()
    reference = policy.frozen_copy()
    shared = {id(p) for p in policy.network.parameters()}
    own = [p for p in reference.network.parameters() if id(p) not in shared]
    places = [p.data_ptr() for p in own]
    assert own and len(own) < len(list(reference.network.parameters()))  # the vision tower is the policy's
    of_policy = [p.data_ptr() for p in policy.network.parameters()]
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_, **__: tensor.clone())
    with pytest.raises(RuntimeError, match="stop"), moved(reference.network, torch.device("cpu"), shared):
        assert not {p.data_ptr() for p in own} & set(places)
        assert [p.data_ptr() for p in policy.network.parameters()] == of_policy
        raise RuntimeError("stop")
    assert [p.data_ptr() for p in own] == places


def test_it_is_no_part_of_what_lightning_moves_and_keeps_its_head_near(load: Callable[..., MLLM]) -> None:
    policy = load()
    teacher = load()
    offloaded = Offloaded(teacher, policy)
    assert not isinstance(offloaded, torch.nn.Module) and not offloaded.sees_like(policy)
    assert Offloaded(policy.frozen_copy(), policy).sees_like(policy)
    states = torch.randn(3, teacher.network.lm_head.in_features)
    assert torch.equal(offloaded.head(states), teacher.head(states))
    assert offloaded.head(states.to("meta")).is_meta and set(offloaded.head_weights) == {
        states.device,
        torch.device("meta"),
    }


def test_a_run_with_offloaded_networks_is_the_same(run: Callable[..., Path], small: list[str]) -> None:
    size = "{_target_: test_checkpoint.size, _partial_: true}"
    reward = f"+reward.parts.size={{_target_: ral.rewards.combine.Part, weight: 1, function: {size}}}"
    common = ["algo=ral_distill", *small, reward, "algo.kl.coef=0.5"]
    folders = [run(*common, f"hardware.frozen_in_memory={v}", folder=v) for v in ("false", "true")]
    lines = [
        [
            {k: v for k, v in json.loads(line).items() if not k.startswith("time/")}
            for line in (f / "metrics.jsonl").read_text().splitlines()
        ]
        for f in folders
    ]
    assert lines[0] == lines[1] and lines[0][-1]["train/kl"] > 0
    assert (folders[0] / "hf/model.safetensors").read_bytes() == (folders[1] / "hf/model.safetensors").read_bytes()


def test_sharded_networks_have_a_switch_of_their_own(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match=r"hardware\.strategy\.offload=true"):
        run("algo=ral", *small, "hardware=fsdp", "hardware.frozen_in_memory=true", "hardware.devices=1")


def test_every_pass_is_known_to_sharding() -> None:
    """A method that computes with the weights runs in the model's arithmetic; FSDP2 has to gather them for it."""
    for kind in (MLLM, PlainMLLM):
        wrapped = {name for name, value in vars(kind).items() if hasattr(value, "__wrapped__")}
        public = {name for name in wrapped if name[0] != "_" and not isinstance(vars(kind)[name], classmethod)}
        assert public <= set(PASSES)
    assert all(hasattr(getattr(MLLM, name), "__wrapped__") for name in PASSES)
