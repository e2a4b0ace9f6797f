"""vLLM beside the native engine on the shipped model: the same greedy tokens and log-probs, before and after pushes."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT, make_pixels, make_prompts

from ral.errors import UserWarned
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.ops.logprobs import token_log_probs
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.noise import Noise
from ral.rollout.vllm import process
from ral.rollout.vllm.engine import VLLMEngine, vllm_engine
from ral.types import Example, Media, Prepared, Rollout, UserError

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="no vllm here: make vllm, then make test-vllm"),
]
TINY = str(CONF.parent / "assets" / "tiny")
KINDS = (("image",), ("video",), (), ("image", "video", "image"), ("video", "image"))
"""Pictures, clips, text and several media; the prompts with media are longer than a block of 32 tokens."""
BOUND = 5e-5
"""Nats by which log-probs in fp32 may differ: the order of sums."""
STALE = 1e-3
"""Nats by which they differ at least where something is of old weights."""


def prompts(policy: MLLM, frames: int = 8, every: float = 0.7) -> Prepared:
    """Prompts with noise: pictures of 12 and 16 visual tokens, clips that last longer than they are high."""
    media = [
        [
            replace(p, seconds_per_frame=every) if p.kind == "video" else p
            for p in (make_pixels(k, 10 * i + j, (84, 112 + 28 * i), frames) for j, k in enumerate(kinds))
        ]
        for i, kinds in enumerate(KINDS)
    ]
    examples = [
        Example(str(i), "q", "red", "free-form", tuple(Media(p.kind, Path(f"{i}.x")) for p in own))
        for i, own in enumerate(media)
    ]
    words = tuple(
        "What color is the star? Think of every object that you see." + " Think" * i for i in range(len(KINDS))
    )
    return policy.prepare(policy.processor.batch(examples, words, media))


@torch.no_grad()
def own_log_probs(policy: MLLM, prepared: Prepared, rollout: Rollout, temperature: float) -> torch.Tensor:
    """The trainer's log-probs of a rollout's tokens."""
    hidden = policy.states(prepared, rollout.token_ids, rollout.valid, None).hidden
    banned = policy.processor.banned
    ids, mask = rollout.token_ids, rollout.valid
    return token_log_probs(hidden, ids, mask, policy.head, temperature=temperature, banned=banned)[0]


def gap(policy: MLLM, engine: Any, count: int = 16, temperature: float = 0.9, **clips: Any) -> tuple[float, int]:
    """The greatest difference of log-probs over sampled tokens, and how many there are."""
    prepared = prompts(policy, **clips)
    rollout = engine.generate(prepared, count, Sampling(temperature, 32), seed=5)
    assert rollout.log_probs is not None
    far = (own_log_probs(policy, prepared, rollout, temperature) - rollout.log_probs).abs()[rollout.valid]
    return float(far.max()), int(rollout.valid.sum())


@torch.no_grad()
def move(policy: MLLM, seed: int, only: str = "", size: float = 0.02) -> None:
    """Add noise to the weights whose names hold `only`."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in policy.network.named_parameters():
        if only in name:
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def ids_of(rollout: Rollout) -> list[list[int]]:
    """The sampled ids of each response."""
    return [ids[kept].tolist() for ids, kept in zip(rollout.token_ids, rollout.valid, strict=True)]


@pytest.fixture
def policy() -> MLLM:
    return MLLM.load(TINY)


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, VLLMEngine]]:
    """Engines by what is sent of media, started once."""
    made: dict[str, VLLMEngine] = {}
    yield made
    for engine in made.values():
        engine.close()


@pytest.fixture
def make(started: dict[str, VLLMEngine], policy: MLLM) -> Callable[..., VLLMEngine]:
    """An engine with the weights of this test's policy."""

    def engine(media: Any = "embeddings") -> VLLMEngine:
        if media not in started:
            started[media] = vllm_engine(policy, media=media, cache_gb=0.25)
        started[media].update_weights(policy, 0)
        return started[media]

    return engine


@pytest.mark.parametrize("media", ["embeddings", "pixels"])
def test_greedy_tokens_and_log_probs_are_those_of_the_native_engine(
    media: str, policy: MLLM, make: Callable[..., VLLMEngine]
) -> None:
    """Before and after four pushes of all weights, those of the vision tower too: over 2,000 tokens in all."""
    engine, native, seen = make(media), NativeEngine(policy), 0
    for push in range(5):
        greedy = Sampling(1.0, 32, greedy=True)
        prepared = prompts(policy)
        one, two = (each.generate(prepared, 1, greedy, 0) for each in (engine, native))
        assert ids_of(one) == ids_of(two) and one.finish_reasons == two.finish_reasons
        assert one.log_probs is not None and torch.allclose(one.log_probs, two.log_probs, atol=BOUND)
        far, tokens = gap(policy, engine)
        assert far < BOUND, (push, far)
        seen += tokens
        move(policy, push)
        engine.update_weights(policy, push + 1)
    assert seen > 2000


@pytest.mark.parametrize(("frames", "every"), [(4, 0.25), (5, 0.3), (8, 1.0), (12, 2.0)])
@pytest.mark.parametrize("media", ["embeddings", "pixels"])
def test_clips_of_any_length_have_the_trainer_s_positions(
    media: str, frames: int, every: float, policy: MLLM, make: Callable[..., VLLMEngine]
) -> None:
    assert gap(policy, make(media), count=4, frames=frames, every=every)[0] < BOUND


def test_the_same_frames_at_another_rate_are_another_clip(policy: MLLM, make: Callable[..., VLLMEngine]) -> None:
    engine = make()
    assert max(gap(policy, engine, count=2, every=every)[0] for every in (0.25, 0.7, 1.5)) < BOUND


def test_answers_depend_on_their_key_alone(policy: MLLM, make: Callable[..., VLLMEngine]) -> None:
    """The same again, a prompt alone as in the batch, another seed otherwise, a repeated prompt with its own draws."""
    engine, prepared, sampling = make(), prompts(policy), Sampling(1.2, 16)
    first, again, other = (ids_of(engine.generate(prepared, 3, sampling, seed)) for seed in (5, 5, 6))
    assert first == again and first != other
    assert ids_of(engine.generate(prepared.take([2]), 3, sampling, 5)) == first[6:9]
    twice = ids_of(engine.generate(prepared.take([2, 2]), 3, sampling, 5))
    assert twice[:3] == first[6:9] and twice[3:] != twice[:3]
    assert len({tuple(ids) for ids in first[:3]}) > 1


def test_no_banned_token_is_sampled_by_a_policy_that_would(policy: MLLM, make: Callable[..., VLLMEngine]) -> None:
    """A policy of noise gives every token a share; the log-probs are of the distribution without the banned ones."""
    engine = make()
    move(policy, 2, size=0.05)
    engine.update_weights(policy, 1)
    prepared = prompts(policy)
    rollout = engine.generate(prepared, 16, Sampling(2.0, 32), 3)
    with torch.no_grad():
        hidden = policy.states(prepared, rollout.token_ids, rollout.valid, None).hidden[rollout.valid]
        shares = torch.softmax(policy.head(hidden) / 2.0, -1)[:, policy.processor.banned].sum(-1)
    assert shares.sum() > 20  # so many would have been drawn
    assert not policy.processor.banned[rollout.token_ids[rollout.valid]].any()
    assert rollout.log_probs is not None
    far = (own_log_probs(policy, prepared, rollout, 2.0) - rollout.log_probs).abs()[rollout.valid]
    assert float(far.max()) < BOUND


def test_noise_and_prompts_that_are_too_long_are_one_line(policy: MLLM, make: Callable[..., VLLMEngine]) -> None:
    engine, prepared = make(), prompts(policy)
    with pytest.raises(UserError, match=r"^algo.sampling.noise: vLLM has no noise on attention: write rollout=native$"):
        engine.generate(prepared, 1, Sampling(0.9, 8, noise=Noise(2.0, AttentionSpec())), 0)
    with pytest.raises(UserError, match=r"^rollout: vLLM refused: [^\n]*temperature must be in \[0, 2\]"):
        engine.generate(prepared, 1, Sampling(3.0, 8), 0)
    long = make_prompts(policy, ((),), texts=("star " * 9000,))
    with pytest.raises(UserError, match=r"^rollout: vLLM refused: \w+: [^\n]*$"):
        engine.generate(policy.prepare(long), 1, Sampling(0.9, 8), 0)
    assert gap(policy, engine, count=1)[0] < BOUND  # and it goes on


def test_a_killed_engine_gives_the_same_answers_once_it_is_back(policy: MLLM, make: Callable[..., VLLMEngine]) -> None:
    engine, prepared, sampling = make(), prompts(policy), Sampling(1.2, 16)
    move(policy, 9)
    engine.update_weights(policy, 1)
    before = ids_of(engine.generate(prompts(policy), 2, sampling, 5))
    assert engine.process is not None
    os.kill(engine.process.process.popen.pid, signal.SIGKILL)
    with pytest.warns(UserWarned, match=r"^rollout=vllm: process \d+ of vLLM ended \(signal SIGKILL\): started again$"):
        assert ids_of(engine.generate(prompts(policy), 2, sampling, 5)) == before
    del prepared


@pytest.mark.parametrize(
    ("family", "kinds"),
    [
        ("qwen2_vl", (("image",), ("video",), (), ("image", "video"))),
        ("qwen3_vl", (("image",), (), ("image", "image"))),
    ],
)
@pytest.mark.parametrize("media", ["embeddings", "pixels"])
def test_other_families_are_exact_too(family: str, kinds: Any, media: Any, load: Callable[..., MLLM]) -> None:
    """With adapters, whose sum with the weights is what is sent."""
    model = load(family)
    engine, native = vllm_engine(model, media=media, cache_gb=0.25), NativeEngine(model)
    add_adapters(model, Adapters(4, 8, ("q_proj", "down_proj")))
    move(model, 4, only="lora_B", size=0.1)
    try:
        engine.update_weights(model, 0)
        prepared = model.prepare(make_prompts(model, kinds))
        one, two = (each.generate(prepared, 1, Sampling(1.0, 16, greedy=True), 0) for each in (engine, native))
        assert ids_of(one) == ids_of(two)
        rollout = engine.generate(prepared, 8, Sampling(0.9, 16), 3)
        assert rollout.log_probs is not None
        assert (
            float((own_log_probs(model, prepared, rollout, 0.9) - rollout.log_probs).abs()[rollout.valid].max()) < BOUND
        )
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("stale", "media", "only"),
    [
        ("prefix", "embeddings", "language_model"),
        ("head", "embeddings", "language_model"),
        ("encoder", "pixels", "visual"),
        ("positions", "embeddings", "none"),
        ("times", "embeddings", "none"),
    ],
)
def test_whatever_stays_as_it_was_is_noticed(
    stale: str, media: Any, only: str, policy: MLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that the comparison above would fail with each fault: after a push something is of the old weights."""
    monkeypatch.setattr(process, "MODULE", "stale_vllm_worker")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(CONF.parent)]))
    monkeypatch.setenv("STALE", stale)
    engine = vllm_engine(policy, media=media, cache_gb=0.25)
    try:
        engine.update_weights(policy, 0)
        assert only == "none" or gap(policy, engine, count=2)[0] < BOUND
        if stale == "times":
            gap(policy, engine, count=2, every=0.25)
        move(policy, 1, only=only, size=0.03)
        if only != "none":
            engine.update_weights(policy, 1)
        try:
            assert gap(policy, engine, count=2)[0] > STALE
        except UserError as refused:
            assert stale == "encoder" and "refused" in str(refused)
    finally:
        engine.close()


def test_training_by_vllm_logs_how_far_the_engine_is(run: Callable[..., Path], small: list[str]) -> None:
    folder = run(
        "algo=grpo", "rollout=vllm", "rollout.engine.cache_gb=0.25", *small, f"model.pretrained={TINY}", "eval.every=0"
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "train/loss" in line]
    assert [line["train/policy_version"] for line in steps] == [0, 1]
    assert all(line["train/engine_log_prob_gap"] < BOUND and abs(line["train/engine_kl"]) < BOUND for line in steps)


def test_a_killed_trainer_leaves_no_engine_and_no_weights(tmp_path: Path) -> None:
    code = (
        "import sys, time; from ral.models.mllm import MLLM; from ral.rollout.vllm.engine import vllm_engine\n"
        f"policy = MLLM.load({TINY!r}); engine = vllm_engine(policy, cache_gb=0.25, folder={str(tmp_path / 'w')!r})\n"
        "engine.update_weights(policy, 0); print(engine.process.process.popen.pid, flush=True); time.sleep(100)"
    )
    env = ENVIRONMENT | {"PYTHONPATH": str(CONF.parent)}
    trainer = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    pid = int(trainer.stdout.readline())
    assert list((tmp_path / "w").rglob("*.safetensors"))
    trainer.kill()
    trainer.wait()
    trainer.stdout.close()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path(f"/proc/{pid}/cmdline").exists() and not list((tmp_path / "w").glob("*"))
    gc.collect()
