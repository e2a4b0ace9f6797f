"""Attention RL with a first-order signal: the derivation on a bandit, the noise in every rollout path, both terms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import MIXED, make_prompts
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, capture, copied, gradients, leaves, loop_divergence, loop_rows, with_leaves
from torch import Tensor

from ral.models.family import FAMILIES
from ral.models.mllm import MLLM, Prepared
from ral.models.plain import PlainMLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.divergence import DIVERGENCES, jsd
from ral.ops.objectives import explored_attention, group_attention
from ral.rollout.explore import Exploration, Noise
from ral.rollout.sampler import EXPLORING, PolicySampler
from ral.rollout.seeds import hash_seed, prompt_seeds
from ral.types import Rollout, UserError

SEEDS = st.integers(0, 10_000)


def fisher(p: Tensor) -> Tensor:
    """diag(p) - p p^T, the Fisher matrix of a softmax in its logits."""
    return torch.diag(p) - p[:, None] * p[None]


# ------------------------------------------------------------------------------------------------- the derivation


@QUICK
@given(SEEDS)
def test_to_first_order_descent_moves_the_logits_by_fisher_times_noise(seed: int) -> None:
    """-d JSD(p || p~) / de = sigma / 4 (diag(p) - p p^T) eps + O(sigma^2), p~ = softmax(e + sigma eps)."""
    generator = torch.Generator().manual_seed(seed)
    logits, eps = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    sigma = 1e-5
    moved = torch.softmax(logits + sigma * eps, -1)
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(jsd(torch.softmax(leaf, -1), moved), [leaf])
    expected = sigma / 4 * fisher(torch.softmax(logits, -1)) @ eps
    torch.testing.assert_close(-gradient, expected, rtol=1e-3, atol=1e-4 * sigma)


def test_the_expected_direction_is_fisher_times_the_gradient_of_expected_reward() -> None:
    """A bandit that is small enough to enumerate: five keys, three answers, attention decides the answer's odds.

    Summed over answers exactly and over 200,000 pairs of opposite noises, descent on A JSD moves the logits by
    sigma^2 / 4 F grad J, J the expected reward; so it ascends J. A is the reward less its mean, as in a group.
    """
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, generator=generator, dtype=torch.float64)
    odds = torch.softmax(2 * torch.randn(5, 3, generator=generator, dtype=torch.float64), -1)
    rewards, sigma = torch.tensor([1.0, 0.0, 0.4], dtype=torch.float64), 0.1
    leaf = logits.clone().requires_grad_()
    p = torch.softmax(leaf, -1)
    expected_reward = p @ odds @ rewards
    (true,) = torch.autograd.grad(expected_reward, [leaf], retain_graph=True)

    half = torch.randn(200_000, 5, generator=generator, dtype=torch.float64)
    tried = torch.softmax(logits + sigma * torch.cat([half, -half]), -1)
    answers = tried @ odds  # probability of each answer under each noise
    advantages = rewards - expected_reward.detach()
    loss = ((answers * advantages).sum(-1) * jsd(p.expand_as(tried), tried)).mean()
    (gradient,) = torch.autograd.grad(loss, [leaf])

    direction, want = -gradient, sigma**2 / 4 * fisher(p.detach()) @ true
    assert direction @ true > 0
    assert torch.nn.functional.cosine_similarity(direction, want, dim=0) > 0.99
    assert (direction - want).norm() < 0.05 * want.norm()


# -------------------------------------------------------------------------------------------------- the rollout


def explored(
    model: MLLM, prepared: Prepared, sigma: float, spec: AttentionSpec | None = None, group: int = 3, seed: int = 1
) -> Rollout:
    """A rollout with noise of 7 tokens at most."""
    noise = Noise(sigma, spec or AttentionSpec())
    return PolicySampler(group, temperature=0.9, max_new_tokens=7, noise=noise)(model, prepared, seed)


SPECS = (
    AttentionSpec(),
    AttentionSpec(layers=(0, 2), heads=(1,)),
    AttentionSpec(query="previous"),
    AttentionSpec(keys="prompt"),
    AttentionSpec(keys="visual", query="previous"),
)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_noise_worth_the_name_the_recorded_rows_are_those_of_training(family, kind, model_folder) -> None:
    model = kind.load(str(model_folder(family)))
    prepared = model("prepare", make_prompts(model, MIXED))
    for spec in SPECS:
        rollout = explored(model, prepared, 1e-9, spec)
        plain = PolicySampler(3, temperature=0.9, max_new_tokens=7)(model, prepared, 1)
        assert torch.equal(rollout.response_ids, plain.response_ids) and plain.attention_rows is None
        mask = rollout.response_mask
        with torch.no_grad():
            want = model("score", prepared, rollout.response_ids, mask, spec).attention.rows()
        fed = torch.zeros_like(mask)
        if spec.query == "self":
            fed[:, :-1] = mask[:, 1:]
        else:
            fed[:, 1:] = mask[:, 1:]
        assert rollout.attention_rows is not None and rollout.attention_rows.shape == want.shape
        torch.testing.assert_close(rollout.attention_rows, want * fed[None, ..., None], atol=2e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_and_plain_path_try_the_same_attention(family, model_folder) -> None:
    rollouts = []
    for kind in (MLLM, PlainMLLM):
        model = kind.load(str(model_folder(family)))
        rollouts.append(explored(model, model("prepare", make_prompts(model, MIXED)), 2.0))
    shared, plain = rollouts
    assert torch.equal(shared.response_ids, plain.response_ids)
    torch.testing.assert_close(shared.attention_rows, plain.attention_rows, atol=2e-6, rtol=0)
    torch.testing.assert_close(shared.log_probs, plain.log_probs, atol=1e-4, rtol=1e-4)


def test_noise_changes_what_is_sampled_and_what_is_looked_at(load) -> None:
    model = load()
    prepared = model("prepare", make_prompts(model, MIXED))
    quiet, loud = explored(model, prepared, 1e-9), explored(model, prepared, 3.0)
    assert not torch.equal(quiet.log_probs, loud.log_probs)
    assert torch.equal(loud.response_ids, explored(model, prepared, 3.0).response_ids)
    assert not torch.equal(loud.log_probs, explored(model, prepared, 3.0, seed=2).log_probs)
    same = loud.response_ids[:, 0] == quiet.response_ids[:, 0]  # the first token is fed before any noise
    assert bool(same.all())


def test_recorded_rows_are_the_softmax_of_logits_and_noise(load) -> None:
    """Layer -1 alone: its queries and keys do not depend on its own noise, so training's give the logits."""
    model, sigma = load(), 1.5
    prepared = model("prepare", make_prompts(model, (("image",), ("image",))))
    rollout = explored(model, prepared, sigma, group=2)
    mask, p = rollout.response_mask, prepared.prompts.valid.shape[1]
    with torch.no_grad():
        captured = model("score", prepared, rollout.response_ids, mask, AttentionSpec()).attention
    sampler = PolicySampler(2, noise=Noise(sigma, AttentionSpec()))
    seeds = prompt_seeds([e.uid for e in prepared.prompts.examples], hash_seed(1, EXPLORING))
    state = sampler.explore(model, prepared, seeds)
    assert state is not None
    heads = captured.query[0].shape[1] * captured.query[0].shape[2]
    for n, t in mask[:, 1:].nonzero().tolist():
        b, g = divmod(n, 2)
        eps = state._draw(model.depth - 1, heads, t + 1)[b, g]
        query = captured.query[0][b, :, :, g, t] * captured.scaling  # [H R D]
        keys = torch.cat([captured.prompt_keys[0][b], captured.response_keys[0][b, :, g, : t + 1]], dim=1)
        scores = torch.einsum("hrd,hkd->hrk", query, keys).flatten(0, 1) + sigma * eps
        valid = torch.cat([prepared.prompts.valid[b], torch.ones(t + 1, dtype=torch.bool)])
        mean = torch.softmax(scores.masked_fill(~valid, -torch.inf), -1).mean(0)[: p + t]
        torch.testing.assert_close(rollout.attention_rows[0, n, t, : p + t], mean / mean.sum(), atol=2e-6, rtol=0)


def test_noise_of_a_prompt_does_not_depend_on_its_batch(load) -> None:
    model = load()
    prompts = make_prompts(model, MIXED)
    prepared = model("prepare", prompts)
    whole = explored(model, prepared, 2.0)
    for n in range(len(MIXED)):
        part = prepared.take([n])
        alone, own = explored(model, part, 2.0), whole.take(part.prompts, [n])
        assert torch.equal(alone.response_ids, own.response_ids)
        torch.testing.assert_close(alone.attention_rows, own.attention_rows, atol=2e-6, rtol=0)


def test_buckets_of_prompts_are_joined_with_their_rows(load, monkeypatch) -> None:
    model = load()
    prepared = model("prepare", make_prompts(model, MIXED))
    whole = explored(model, prepared, 2.0)
    monkeypatch.setattr("ral.rollout.sampler.LONGEST", 1.0)
    parts = explored(model, prepared, 2.0)
    assert torch.equal(whole.response_ids, parts.response_ids)
    torch.testing.assert_close(whole.attention_rows, parts.attention_rows, atol=2e-6, rtol=0)


def test_draws_are_standard_normal_and_leave_padding_and_other_heads_alone() -> None:
    valid = torch.ones(2, 300, dtype=torch.bool)
    valid[1, :100] = False
    noise = Noise(1.0, AttentionSpec(heads=(0, 2)))
    state = Exploration(noise, (0,), [3, 4], valid, valid, 8)
    drawn = state._draw(0, 4, 1)
    assert drawn.shape == (2, 8, 4, 301)
    assert not drawn[:, :, [1, 3]].any() and not drawn[1, :, :, :100].any()
    values = drawn[0, :, [0, 2]]
    assert abs(float(values.mean())) < 0.05 and abs(float(values.std()) - 1) < 0.05
    assert not torch.equal(drawn, state._draw(1, 4, 1)[..., :301])


def test_a_sigma_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"algo\.sampler\.noise\.sigma is 0\.0: write more than 0"):
        Noise(0.0, AttentionSpec())


# --------------------------------------------------------------------------------------------------- the terms


def weights_of(mask: Tensor) -> Tensor:
    return sequence_mean(mask, counts(mask)).double()


@QUICK
@given(SEEDS, st.sampled_from(sorted(DIVERGENCES)))
def test_explored_attention_loop_equals_vectorised(seed: int, name: str) -> None:
    captured = copied(capture(seed, layers=2, heads=2))
    tried = capture(seed + 1, layers=2, heads=2).rows().clone()
    tried[:, [0, 3], -1] = 0.0  # never fed
    advantages = torch.randn(4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights, rows, slow, seen = weights_of(captured.mask), loop_rows(captured), 0.0, 0
    for n, t in captured.mask.nonzero().tolist():
        if (n, t) in ((0, 2), (3, 2)):
            continue
        seen_keys = rows[0, n, t] > 0
        pairs = zip(rows[:, n, t, seen_keys].tolist(), tried[:, n, t, seen_keys].tolist(), strict=True)
        slow += float(weights[n, t] * advantages[n]) * sum(loop_divergence(name, p, q) for p, q in pairs) / 2
        seen += 1
    loss = explored_attention(captured, tried, advantages, captured.mask, weights, coef=3.0, divergence=name)
    assert loss.value.item() == pytest.approx(3.0 * slow, rel=1e-9, abs=1e-12)
    assert int(loss.metrics["explored_divergence"][1]) == seen
    assert all(bool(g.isfinite().all()) for g in gradients(loss.value, leaves(captured)))


def group_case(seed: int):
    """Two prompts with three responses each: (captured, old rows, advantages, weights)."""
    shape = {"layers": 2, "heads": 2, "group": 3, "prompts": (5, 4), "responses": (3, 1, 2, 3, 2, 1)}
    captured, old = copied(capture(seed, **shape)), capture(seed + 1, **shape).rows()
    advantages = torch.tensor([1.2, -0.8, -0.4, 0.5, 0.7, -1.2], dtype=torch.float64)
    return captured, old, advantages, weights_of(captured.mask)


def loop_group(captured, old: Tensor, advantages: Tensor, weights: Tensor, name: str) -> float:
    """group_attention as its docstring says it, one number at a time."""
    mask, group, total = captured.mask, 3, 0.0
    rows = loop_rows(captured)
    for n, t in mask.nonzero().tolist():
        b = n // group
        keys = captured.visual[b].nonzero().flatten().tolist()
        winners = [m for m in range(b * group, (b + 1) * group) if advantages[m] > 0]
        if advantages[n] >= 0 or not winners:
            continue
        for layer in range(len(rows)):
            means = []
            for m in winners:
                looks = []
                for c in range(int(mask[m].sum())):
                    look = [float(old[layer, m, c, k]) for k in keys]
                    looks.append([x / sum(look) for x in look])
                means.append([sum(column) / len(looks) for column in zip(*looks, strict=True)])
            target = [sum(column) / len(means) for column in zip(*means, strict=True)]
            own = [float(rows[layer, n, t, k]) for k in keys]
            own = [x / sum(own) for x in own]
            total += float(weights[n, t]) * loop_divergence(name, own, target) / len(rows)
    return total


@QUICK
@given(SEEDS, st.sampled_from(sorted(DIVERGENCES)))
def test_group_attention_loop_equals_vectorised(seed: int, name: str) -> None:
    captured, old, advantages, weights = group_case(seed)
    slow = loop_group(captured, old, advantages, weights, name)
    loss = group_attention(captured, old, advantages, captured.mask, weights, coef=2.0, divergence=name)
    assert loss.value.item() == pytest.approx(2.0 * slow, rel=1e-9)
    assert [int(x) for x in loss.metrics["pulled"]] == [3, 6]
    found = gradients(loss.value, leaves(captured))
    moved = with_leaves(captured, [t.detach() - 1e-3 * g for t, g in zip(leaves(captured), found, strict=True)])
    after = group_attention(moved, old, advantages, captured.mask, weights, coef=2.0, divergence=name)
    assert name == "total_variation" or after.value < loss.value


def test_groups_without_both_kinds_and_prompts_without_pictures_add_nothing() -> None:
    captured, old, advantages, weights = group_case(3)
    for same in (advantages.abs(), -advantages.abs(), torch.zeros_like(advantages)):
        loss = group_attention(captured, old, same, captured.mask, weights)
        assert loss.value == 0 and loss.metrics["pulled"][0] == 0
        assert all(not g.any() for g in gradients(loss.value, leaves(captured)))
    blind = replace(captured, visual=torch.zeros_like(captured.visual))
    loss = group_attention(blind, old, advantages, captured.mask, weights)
    assert loss.value == 0 and all(bool(g.isfinite().all()) for g in gradients(loss.value, leaves(captured)))


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
def test_padding_changes_neither_term(padding: float) -> None:
    for make in (explored_attention, group_attention):
        captured, old, advantages, weights = group_case(5)
        clean = make(captured, old, advantages, captured.mask, weights)
        spoilt = copied(captured, padding)
        anchor = old.masked_fill(~captured.mask[None, :, :, None], padding)
        dirty = make(spoilt, anchor, advantages, captured.mask, weights)
        assert torch.equal(clean.value, dirty.value) and clean.value != 0
        pairs = zip(gradients(clean.value, leaves(captured)), gradients(dirty.value, leaves(spoilt)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


# -------------------------------------------------------------------------------------------------- whole runs


def test_the_first_update_has_a_signal(run: Callable[..., Path], small: list[str]) -> None:
    """Where RAL has none (tests/test_training.py), with one update too; and no gap between sampler and training."""
    reward = "reward.parts.accuracy.function._target_=test_training.short_is_good"
    for algo, term in (("ral_explore", "explore"), ("ral_group", "group_attention")):
        folder = run(f"algo={algo}", *small, reward, "diagnostics.every=1", "algo.updates_per_rollout=1", folder=algo)
        line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[1])
        assert line[f"train/grad_norm_{term}_update_1"] > 1e-6
        assert ("train/log_prob_gap" in line) == (algo == "ral_group")


@pytest.mark.parametrize("against", ["old", "sampler"])
def test_both_treatments_of_the_token_log_probs(against: str, run: Callable[..., Path], small: list[str]) -> None:
    """old: the ratio starts at 1. sampler: it corrects for the noise, so it does not."""
    folder = run("algo=ral_explore", f"algo.token.against={against}", "algo.updates_per_rollout=1", *small)
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[1])
    assert (line["train/ratio"] == pytest.approx(1.0, abs=1e-6)) == (against == "old")


def test_a_term_that_needs_noise_says_so(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"algo\.explore compares with attention under .*algo\.sampler\.noise is not set"
    ):
        run("algo=ral_explore", "algo.sampler.noise=null", *small)
