"""Explored attention and group-relative distillation of attention: the derivation on a bandit, terms against loops."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, capture, copied, gradients, leaves, loop_divergence, loop_rows, with_leaves
from torch import Tensor

from ral.ops.aggregate import counts, sequence_mean
from ral.ops.divergence import DIVERGENCES, jsd
from ral.ops.objectives import explored_attention, group_attention

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
    loss = group_attention(captured, old, advantages, captured.mask, weights, 3, coef=2.0, divergence=name)
    assert loss.value.item() == pytest.approx(2.0 * slow, rel=1e-9)
    assert [int(x) for x in loss.metrics["pulled"]] == [3, 6]
    found = gradients(loss.value, leaves(captured))
    moved = with_leaves(captured, [t.detach() - 1e-3 * g for t, g in zip(leaves(captured), found, strict=True)])
    after = group_attention(moved, old, advantages, captured.mask, weights, 3, coef=2.0, divergence=name)
    assert name == "total_variation" or after.value < loss.value


def test_groups_without_both_kinds_and_prompts_without_pictures_add_nothing() -> None:
    captured, old, advantages, weights = group_case(3)
    for same in (advantages.abs(), -advantages.abs(), torch.zeros_like(advantages)):
        loss = group_attention(captured, old, same, captured.mask, weights, 3)
        assert loss.value == 0 and loss.metrics["pulled"][0] == 0
        assert all(not g.any() for g in gradients(loss.value, leaves(captured)))
    blind = replace(captured, visual=torch.zeros_like(captured.visual))
    loss = group_attention(blind, old, advantages, captured.mask, weights, 3)
    assert loss.value == 0 and all(bool(g.isfinite().all()) for g in gradients(loss.value, leaves(captured)))


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
def test_padding_changes_neither_term(padding: float) -> None:
    for make in (explored_attention, partial(group_attention, group_size=3)):
        captured, old, advantages, weights = group_case(5)
        clean = make(captured, old, advantages, captured.mask, weights)
        spoilt = copied(captured, padding)
        anchor = old.masked_fill(~captured.mask[None, :, :, None], padding)
        dirty = make(spoilt, anchor, advantages, captured.mask, weights)
        assert torch.equal(clean.value, dirty.value) and clean.value != 0
        pairs = zip(gradients(clean.value, leaves(captured)), gradients(dirty.value, leaves(spoilt)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
