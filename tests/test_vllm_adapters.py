"""vLLM with adapters sent alone, and weights handed over in buckets, beside the trainer: exact after every push."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, make_prompts
from test_vllm import BOUND, STALE, TINY, gap, ids_of, move, own_log_probs, prompts

from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.vllm import process, transports
from ral.rollout.vllm.engine import vllm_engine

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="no vllm here: make vllm, then make test-vllm"),
]
EVERYWHERE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture
def policy() -> MLLM:
    return MLLM.load(TINY)


@pytest.mark.parametrize("targets", [EVERYWHERE, ("q_proj", "down_proj")], ids=["everywhere", "parts of fused layers"])
def test_adapters_alone_are_exact_before_and_after_pushes(targets: Any, policy: MLLM) -> None:
    """Greedy tokens equal to the native engine's, log-probs of 2,000 sampled tokens within the bound, four pushes."""
    add_adapters(policy, Adapters(4, 8, targets))
    engine, native, seen = vllm_engine(policy, cache_gb=0.25, adapters="alone"), NativeEngine(policy), 0
    try:
        for push in range(5):
            engine.update_weights(policy, push)
            prepared = prompts(policy)
            one, two = (each.generate(prepared, 1, Sampling(1.0, 32, greedy=True), 0) for each in (engine, native))
            assert ids_of(one) == ids_of(two) and one.finish_reasons == two.finish_reasons
            far, tokens = gap(policy, engine)
            assert far < BOUND, (push, far)
            seen += tokens
            move(policy, push, only="lora_", size=0.03)
        assert gap(policy, engine, count=2)[0] > STALE  # the adapters that were not pushed are seen
        assert seen > 2000
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("family", "kinds"),
    [
        ("qwen2_vl", (("image",), ("video",), (), ("image", "video"))),
        ("qwen3_vl", (("image",), (), ("image", "image"))),
    ],
)
def test_other_families_are_exact_too(family: str, kinds: Any, load: Callable[..., MLLM]) -> None:
    model = load(family)
    add_adapters(model, Adapters(4, 8, ("q_proj", "down_proj")))
    move(model, 4, only="lora_B", size=0.1)
    engine = vllm_engine(model, cache_gb=0.25, adapters="alone", transport="broadcast")
    try:
        engine.update_weights(model, 0)
        prepared = model.prepare(make_prompts(model, kinds))
        rollout = engine.generate(prepared, 8, Sampling(0.9, 16), 3)
        assert rollout.log_probs is not None
        far = (own_log_probs(model, prepared, rollout, 0.9) - rollout.log_probs).abs()[rollout.valid]
        assert float(far.max()) < BOUND
    finally:
        engine.close()


@pytest.mark.parametrize("stale", ["adapters", "prefix"])
def test_adapters_under_a_number_used_before_do_not_come_from_a_cache(
    stale: str, policy: MLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that the comparison above would fail: vLLM keeps the adapters, or keys and values that they made."""
    monkeypatch.setattr(process, "MODULE", "stale_vllm_worker")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(CONF.parent)]))
    monkeypatch.setenv("STALE", stale)
    add_adapters(policy, Adapters(4, 8, EVERYWHERE))
    move(policy, 0, only="lora_B", size=0.1)
    engine = vllm_engine(policy, cache_gb=0.25, adapters="alone")
    try:
        engine.update_weights(policy, 0)
        assert gap(policy, engine, count=2)[0] < BOUND
        move(policy, 1, only="lora_B", size=0.1)
        engine.update_weights(policy, 1)
        assert gap(policy, engine, count=2)[0] > STALE
    finally:
        engine.close()


@pytest.mark.parametrize("transport", ["ipc", "broadcast"])
@pytest.mark.parametrize("media", ["embeddings", "pixels"])
def test_weights_in_buckets_are_as_exact_as_in_files(
    media: Any, transport: Any, policy: MLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All weights, those of the vision tower too; on a CPU by shared memory and by gloo, in many buckets."""
    monkeypatch.setattr(transports, "STREAMED", 200_000)
    engine = vllm_engine(policy, media=media, cache_gb=0.25, transport=transport)
    try:
        for push in range(3):
            engine.update_weights(policy, push)
            assert gap(policy, engine, count=4)[0] < BOUND, push
            move(policy, push)
        assert gap(policy, engine, count=2)[0] > STALE
    finally:
        engine.close()


@pytest.mark.parametrize("transport", ["ipc", "broadcast"])
def test_a_killed_engine_gets_buckets_again(transport: Any, policy: MLLM) -> None:
    engine = vllm_engine(policy, cache_gb=0.25, transport=transport)
    move(policy, 9)
    try:
        engine.update_weights(policy, 0)
        assert engine.process is not None
        engine.process.process.popen.kill()
        with pytest.warns(UserWarning, match="started again"):
            assert gap(policy, engine, count=2)[0] < BOUND
    finally:
        engine.close()


@torch.no_grad()
def test_adapters_alone_sample_what_merged_ones_do(policy: MLLM) -> None:
    """The same seeds: in fp32 the two sums differ by rounding alone."""
    add_adapters(policy, Adapters(4, 8, EVERYWHERE))
    move(policy, 0, only="lora_B", size=0.1)
    found = []
    for adapters in ("alone", "merged"):
        engine: Any = vllm_engine(policy, cache_gb=0.25, adapters=adapters)  # type: ignore[arg-type]
        try:
            engine.update_weights(policy, 0)
            found.append(engine.generate(prompts(policy), 4, Sampling(0.9, 16), 5))
        finally:
            engine.close()
    assert ids_of(found[0]) == ids_of(found[1])
    assert torch.allclose(found[0].log_probs, found[1].log_probs, atol=BOUND)
