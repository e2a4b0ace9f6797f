"""The terms of an objective (RAL Eq. 3 to 6, GRPO, KL, distillation) against hand-computed numbers and loops."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import (
    QUICK,
    capture,
    copied,
    gradients,
    leaves,
    loop_divergence,
    loop_rows,
    ragged,
    random_rows,
    with_leaves,
)
from torch import Tensor

from ral.ops.aggregate import counts, sequence_mean, token_mean
from ral.ops.divergence import DIVERGENCES, jsd
from ral.ops.objectives import (
    attention_distillation,
    attention_policy,
    kl,
    nll,
    token,
    token_distillation,
)
from ral.ops.ratios import K3_LOG_RATIO, kl_estimate

SEEDS = st.integers(0, 10_000)
LENGTHS = (3, 1, 2, 3)
MASK = ragged(LENGTHS, 3)
DIRECTIONS = ("reverse_kl", "forward_kl", "generalised_jsd")


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights_of(mask: Tensor) -> Tensor:
    return sequence_mean(mask, counts(mask)).double()


def one(*values: float) -> Tensor:
    """One response with these per-token numbers, [1 C]."""
    return torch.tensor([values], dtype=torch.float64)


def mean_of(pair: tuple[Tensor, Tensor]) -> float:
    return float(pair[0] / pair[1])


# ---------------------------------------------------------------------------------------------------- token loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope", "clipped"),
    [
        (1.0, 2.0, -2.0, -2.0, False),
        (1.1, 2.0, -2.2, -2.2, False),
        (1.5, 2.0, -2.4, 0.0, True),  # a winner is not pushed above 1 + 0.2
        (0.5, 2.0, -1.0, -1.0, False),  # but a winner that fell is pulled back
        (0.5, -2.0, 1.6, 0.0, True),  # a loser is not pushed below 1 - 0.2
        (1.5, -2.0, 3.0, 3.0, False),  # but a loser that rose is pushed down
        (1.5, 0.0, 0.0, 0.0, False),
    ],
)
def test_token_loss_clips_by_the_sign_of_the_advantage(ratio, advantage, loss, slope, clipped):
    log_probs = one(math.log(ratio) - 1.0).requires_grad_()
    args = (torch.tensor([advantage], dtype=torch.float64), torch.tensor([[True]]), one(1.0))
    result = token(log_probs, one(-1.0), *args)
    assert result.value.item() == pytest.approx(loss)
    assert gradients(result.value, [log_probs])[0].item() == pytest.approx(slope)  # d ratio / d log_probs = ratio
    assert mean_of(result.metrics["clip_fraction"]) == float(clipped)
    assert mean_of(result.metrics["ratio"]) == pytest.approx(ratio)
    assert mean_of(result.metrics["clamped_ratios"]) == 0.0


def test_token_loss_has_separate_clips_and_a_coefficient():
    args = (
        torch.tensor([1.0, -1.0]).double(),
        torch.ones(2, 1, dtype=torch.bool),
        torch.tensor([[0.5], [0.5]]).double(),
    )
    log_probs = torch.tensor([[math.log(1.5)], [math.log(0.5)]], dtype=torch.float64)
    result = token(log_probs, torch.zeros_like(log_probs), *args, coef=3.0, clip_low=0.3, clip_high=0.1)
    assert result.value.item() == pytest.approx(3.0 * 0.5 * (-1.1 + 0.7))


def test_token_loss_at_the_old_policy_is_the_policy_gradient():
    log_probs, advantages, weights = normal(0, 4, 3).requires_grad_(), normal(1, 4), weights_of(MASK)
    result = token(log_probs, log_probs.detach(), advantages, MASK, weights, coef=0.7)
    (gradient,) = gradients(result.value, [log_probs])
    torch.testing.assert_close(gradient, -0.7 * weights * advantages[:, None])


def test_token_loss_clamps_and_counts_huge_log_ratios():
    log_probs = one(0.0, -90.0, -1.0).requires_grad_()
    mask, weights = torch.tensor([[True, True, True]]), one(1.0, 1.0, 0.0)
    result = token(log_probs, one(-90.0, 0.0, -1.0), torch.tensor([-1.0]).double(), mask, weights)
    assert result.value.item() == pytest.approx(math.exp(20) * (1 + 70) + 0.8)
    assert mean_of(result.metrics["clamped_ratios"]) == pytest.approx(2 / 3)
    torch.testing.assert_close(*gradients(result.value, [log_probs]), one(math.exp(20), 0.0, 0.0))


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_response_that_became_far_too_likely_is_pushed_back_however_far_it_is(kind):
    """A < 0 and a ratio above exp(20): the side that the clip leaves open; and what is clipped stays clipped."""
    ratios = torch.tensor([[19.0, 20.0, 21.0, 90.0, 1e4]], dtype=kind).requires_grad_()
    mask, weights = torch.ones_like(ratios, dtype=torch.bool), torch.ones_like(ratios)
    bad = token(ratios, torch.zeros_like(ratios), torch.tensor([-1.0], dtype=kind), mask, weights)
    (gradient,) = gradients(bad.value, [ratios])
    assert torch.isfinite(bad.value) and (gradient > 1e8).all()
    good = token(ratios, torch.zeros_like(ratios), torch.tensor([1.0], dtype=kind), mask, weights)
    assert torch.equal(*gradients(good.value, [ratios]), torch.zeros_like(ratios))


def loop_token(log_probs, old, advantages, mask, weights, coef, low, high) -> float:
    total = 0.0
    for n, t in mask.nonzero().tolist():
        ratio, a = math.exp(log_probs[n, t] - old[n, t]), float(advantages[n])
        total += float(weights[n, t]) * -min(ratio * a, max(1 - low, min(1 + high, ratio)) * a)
    return coef * total


@QUICK
@given(SEEDS, st.floats(0.05, 0.5), st.floats(0.05, 0.5))
def test_token_loss_loop_equals_vectorised(seed, low, high):
    log_probs, old, advantages = normal(seed, 4, 3) / 2, normal(seed + 1, 4, 3) / 2, normal(seed + 2, 4)
    args = (log_probs, old, advantages, MASK, weights_of(MASK))
    value = token(*args, coef=1.5, clip_low=low, clip_high=high).value.item()
    assert value == pytest.approx(loop_token(*args, 1.5, low, high), rel=1e-9, abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- KL


@pytest.mark.parametrize(
    ("estimator", "value", "slope"),
    [("k2", math.log(2) ** 2 / 2, math.log(2)), ("k3", 0.5 + math.log(2) - 1, 0.5)],
)
def test_kl_estimators_at_a_ratio_of_two(estimator, value, slope):
    log_probs = one(math.log(0.5)).requires_grad_()  # pi = 1/2, reference = 1/4
    result = kl(log_probs, one(math.log(0.25)), torch.tensor([[True]]), one(1.0), coef=0.04, estimator=estimator)
    assert result.value.item() == pytest.approx(0.04 * value)
    assert gradients(result.value, [log_probs])[0].item() == pytest.approx(0.04 * slope)
    assert mean_of(result.metrics["kl"]) == pytest.approx(value)


def test_k1_and_k3_have_the_kl_divergence_as_their_mean():
    p, q = random_rows(1, 1, 5), random_rows(2, 1, 5)
    for estimator in ("k1", "k3"):
        expected = (p * kl_estimate(p.log(), q.log(), estimator)).sum().item()
        assert expected == pytest.approx(loop_divergence("reverse_kl", p[0].tolist(), q[0].tolist()))


def test_kl_is_never_negative_for_k2_and_k3_and_zero_at_the_reference():
    log_probs, reference = normal(1, 4, 3), normal(2, 4, 3)
    for estimator in ("k2", "k3"):
        assert (kl_estimate(log_probs, reference, estimator) > 0).all()
        same = log_probs.clone().requires_grad_()
        result = kl(same, log_probs, MASK, weights_of(MASK), estimator=estimator)
        assert result.value == 0 and torch.equal(*gradients(result.value, [same]), torch.zeros_like(same))


def test_kl_goes_on_straight_and_counts_tokens_beyond_its_bounds():
    mask, log_probs = torch.tensor([[True, True, True]]), one(-90.0, -4.0, -1.0).requires_grad_()
    result = kl(log_probs, one(0.0, 0.0, -1.0), mask, one(1.0, 1.0, 1.0), coef=1.0)  # exp(4) - 4 - 1 = 49.6 > 10
    slope = 10 + K3_LOG_RATIO  # of exp(d) - d - 1 where that is 10
    assert result.value.item() == pytest.approx(2 * 10 + slope * (90 + 4 - 2 * K3_LOG_RATIO))
    torch.testing.assert_close(*gradients(result.value, [log_probs]), one(-slope, -slope, 0.0))
    assert mean_of(result.metrics["clamped_kl"]) == pytest.approx(2 / 3)
    assert kl_estimate(one(0.0), one(-90.0), "k1").item() == 90.0
    assert kl_estimate(one(0.0), one(-90.0), "k2").item() == 200.0 + 20 * 70
    assert kl_estimate(one(-2.0), one(0.0), "k3").item() == pytest.approx(math.exp(2) - 3)  # below the bound
    by_k2 = kl(log_probs, one(0.0, 0.0, -1.0), mask, one(1.0, 1.0, 1.0), estimator="k2")
    assert mean_of(by_k2.metrics["clamped_kl"]) == pytest.approx(1 / 3)


@pytest.mark.parametrize("estimator", ["k2", "k3"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_the_pull_of_kl_never_ends_and_never_jumps(estimator, kind):
    """Over 200 nats either way: finite, convex (the slope never falls back), and equal to the formula inside."""
    drift = torch.linspace(-200, 200, 40_001, dtype=kind).requires_grad_()
    values = kl_estimate(drift, torch.zeros_like(drift), estimator)
    (slope,) = gradients(values.sum(), [drift])
    assert torch.isfinite(values).all() and torch.isfinite(slope).all()
    assert (slope.diff() >= -1e-6).all() and slope.diff().max() < 0.14  # 0.01 nats apart: no jump
    far = drift.detach().abs() > 3
    assert (slope[far].abs() > 0.9).all() and (slope[far].sign() == drift.detach()[far].sign()).all()
    inside = drift.detach()[(drift > -2.6) & (drift < 19.9)]
    exact = inside**2 / 2 if estimator == "k2" else (-inside).exp() + inside - 1
    assert torch.equal(kl_estimate(inside, torch.zeros_like(inside), estimator), exact)


def test_k1_is_refused_in_the_loss_since_its_gradient_is_zero_in_the_mean():
    with pytest.raises((ValueError, TypeError), match="k1"):  # TypeError: by the annotation, where tests check it
        kl(one(0.0), one(-1.0), torch.tensor([[True]]), one(1.0), estimator="k1")


def mean_gradient(p_logits, q, estimator):
    """E over tokens of the policy of the estimate's gradient in the policy's logits, enumerated."""
    logits = p_logits.clone().requires_grad_()
    log_p = torch.log_softmax(logits, -1)
    return gradients((log_p.exp().detach() * kl_estimate(log_p, q.log(), estimator)).sum(), [logits])[0]


def test_gradients_of_the_estimates_are_those_that_method_md_names():
    """k1: none; k2: of KL(pi || ref); k3: of KL(ref || pi)."""
    q, start = random_rows(2, 1, 5), normal(3, 1, 5)
    logits = start.clone().requires_grad_()
    p = torch.softmax(logits, -1)
    (reverse,) = gradients((p * (p.log() - q.log())).sum(), [logits])
    (forward,) = gradients((q * (q.log() - torch.log_softmax(logits, -1))).sum(), [logits])
    assert mean_gradient(start, q, "k1").abs().max() < 1e-12
    torch.testing.assert_close(mean_gradient(start, q, "k2"), reverse)
    torch.testing.assert_close(mean_gradient(start, q, "k3"), forward)
    assert not torch.allclose(reverse, forward, rtol=1e-2)


@QUICK
@given(SEEDS, st.sampled_from(["k2", "k3"]))
def test_kl_loop_equals_vectorised(seed, estimator):
    log_probs, reference, weights = normal(seed, 4, 3), normal(seed + 1, 4, 3), weights_of(MASK)
    b = K3_LOG_RATIO
    formula = {
        "k2": lambda d: d * d / 2,
        "k3": lambda d: math.exp(d) - d - 1 if d < b else 10.0 + (math.exp(b) - 1) * (d - b),
    }[estimator]
    slow = sum(
        float(weights[n, t]) * formula(float(reference[n, t] - log_probs[n, t])) for n, t in MASK.nonzero().tolist()
    )
    value = kl(log_probs, reference, MASK, weights, coef=0.5, estimator=estimator).value.item()
    assert value == pytest.approx(0.5 * slow, rel=1e-9)


def test_unknown_estimator_names_the_known():
    with pytest.raises(ValueError, match="unknown KL estimator 'k4': write k1, k2 or k3"):
        kl_estimate(one(0.0), one(0.0), "k4")


# ----------------------------------------------------------------------------------------------------------- nll


def test_nll_is_minus_the_weighted_mean_log_prob():
    log_probs = torch.tensor([[-1.0, -2.0, -9.0], [-4.0, -9.0, -9.0]])
    mask = ragged((2, 1), 3)
    result = nll(log_probs, mask, sequence_mean(mask, counts(mask)), coef=2.0)
    assert result.value.item() == pytest.approx(2 * (1.5 + 4.0) / 2)
    assert mean_of(result.metrics["nll"]) == pytest.approx(7 / 3)
    by_token = nll(log_probs, mask, token_mean(mask, counts(mask)))
    assert by_token.value.item() == pytest.approx(7 / 3)


# ----------------------------------------------------------------------------------------------------- attention


@QUICK
@given(SEEDS, st.sampled_from(sorted(DIVERGENCES)))
def test_attention_loss_loop_equals_vectorised(seed, name):
    captured, anchor = capture(seed, layers=2, heads=2), capture(seed + 1, layers=2, heads=2)
    advantages, weights = normal(seed, 4), weights_of(captured.mask)
    rows, old = loop_rows(captured), loop_rows(anchor)
    slow = slow_without = slow_metric = 0.0
    for n, t in captured.mask.nonzero().tolist():
        kept = [(p, q) for p, q in zip(rows[:, n, t].tolist(), old[:, n, t].tolist(), strict=True)]
        seen = [[i for i in range(len(p)) if p[i] > 0] for p, _ in kept]
        pairs = [([p[i] for i in s], [q[i] for i in s]) for (p, q), s in zip(kept, seen, strict=True)]
        d = sum(loop_divergence(name, p, q) for p, q in pairs) / len(pairs)
        slow += float(weights[n, t] * advantages[n]) * d
        slow_without += float(weights[n, t]) * d
        slow_metric += d / int(captured.mask.sum())
    result = attention_policy(captured, anchor.rows(), advantages, captured.mask, weights, coef=5.0, divergence=name)
    assert result.value.item() == pytest.approx(5.0 * slow, rel=1e-9, abs=1e-12)
    assert mean_of(result.metrics["attention_divergence"]) == pytest.approx(slow_metric, rel=1e-6)
    distilled = attention_distillation(captured, anchor.rows(), captured.mask, weights, divergence=name)
    assert distilled.value.item() == pytest.approx(0.5 * slow_without, rel=1e-9)
    assert mean_of(distilled.metrics["attention_distillation"]) == pytest.approx(slow_metric, rel=1e-6)


@pytest.mark.parametrize("name", sorted(DIVERGENCES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_old_policy_gets_no_attention_signal(name, dtype):
    captured = copied(capture(1, layers=2, heads=2, dtype=dtype))
    weights = weights_of(captured.mask).to(dtype)
    result = attention_policy(
        captured,
        captured.rows().detach(),
        normal(0, 4, dtype=dtype),
        captured.mask,
        weights,
        coef=100.0,
        divergence=name,
    )
    assert result.value == 0
    for gradient in gradients(result.value, leaves(captured)):
        assert gradient.abs().max() < 100 * 8 * torch.finfo(dtype).eps
        assert name.endswith("kl") or torch.equal(gradient, torch.zeros_like(gradient))


@QUICK
@given(SEEDS, st.sampled_from(["jsd", "squared_hellinger", "reverse_kl", "forward_kl"]))
def test_a_winner_is_pulled_towards_the_anchor_and_a_loser_pushed_away(seed, name):
    captured, anchor = copied(capture(seed)), capture(seed + 1).rows()
    weights = weights_of(captured.mask)

    def distance(tensors: list[Tensor]) -> float:
        value = with_leaves(captured, tensors).compare(anchor, DIVERGENCES[name])
        return (value * weights).sum().item()

    before = distance(leaves(captured))
    for advantage in (1.0, -1.0):
        loss = attention_policy(
            captured, anchor, torch.full((4,), advantage).double(), captured.mask, weights, divergence=name
        )
        moved = [
            t.detach() - 1e-3 * g
            for t, g in zip(leaves(captured), gradients(loss.value, leaves(captured)), strict=True)
        ]
        assert (distance(moved) < before) == (advantage > 0)
    loss = attention_distillation(captured, anchor, captured.mask, weights, divergence=name)
    moved = [
        t.detach() - 1e-3 * g for t, g in zip(leaves(captured), gradients(loss.value, leaves(captured)), strict=True)
    ]
    assert distance(moved) < before


def test_attention_gradient_equals_finite_differences():
    sizes = {"width": 2, "prompts": (3, 2), "group": 1, "responses": (2, 1)}
    captured, anchor = copied(capture(1, **sizes)), capture(2, **sizes).rows()
    weights, advantages = weights_of(captured.mask), torch.tensor([1.5, -0.5], dtype=torch.float64)

    def value(*tensors: Tensor) -> Tensor:
        attention = with_leaves(captured, tensors)
        taught = attention_distillation(attention, anchor, captured.mask, weights)
        return attention_policy(attention, anchor, advantages, captured.mask, weights).value + taught.value

    assert torch.autograd.gradcheck(value, leaves(captured))


def test_unknown_divergence_is_named():
    captured = capture(1)
    with pytest.raises((ValueError, TypeError), match="wasserstein"):
        attention_distillation(
            captured, captured.rows(), captured.mask, weights_of(captured.mask), divergence="wasserstein"
        )


# ------------------------------------------------------------------------------------------- token distillation


BANNED = torch.tensor([False, False, True, False, False, False])


def distillation_inputs(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """States of student (width 4) and teacher (width 3), their heads [V width], V = 6."""
    return {
        "hidden": normal(seed, 4, 3, 4, dtype=dtype).requires_grad_(),
        "head": normal(seed + 1, 6, 4, dtype=dtype).requires_grad_(),
        "teacher_hidden": normal(seed + 2, 4, 3, 3, dtype=dtype),
        "teacher_head": normal(seed + 3, 6, 3, dtype=dtype),
    }


def distil(inputs: dict[str, Tensor], mask: Tensor = MASK, temperature: float = 0.9, **settings):
    student, teacher = (lambda h, w=inputs[name]: h @ w.T for name in ("head", "teacher_head"))
    weights = sequence_mean(mask, counts(mask))
    return token_distillation(
        inputs["hidden"], student, inputs["teacher_hidden"], teacher, BANNED, temperature, mask, weights, **settings
    )


def loop_distillation(inputs, mask, temperature, direction, beta) -> list[float]:
    """Divergence of each token under the mask, from probabilities in python floats."""

    def policy(hidden: Tensor, head: Tensor) -> list[float]:
        scores = [sum(h * w for h, w in zip(hidden.tolist(), row, strict=True)) / temperature for row in head.tolist()]
        e = [0.0 if banned else math.exp(s) for s, banned in zip(scores, BANNED.tolist(), strict=True)]
        return [x / sum(e) for x in e]

    def one_token(n: int, t: int) -> float:
        p, q = (
            policy(inputs["hidden"][n, t], inputs["head"]),
            policy(inputs["teacher_hidden"][n, t], inputs["teacher_head"]),
        )
        if direction != "generalised_jsd":
            return loop_divergence(direction, p, q)
        mixed = [beta * y + (1 - beta) * x for x, y in zip(p, q, strict=True)]
        return beta * loop_divergence("reverse_kl", q, mixed) + (1 - beta) * loop_divergence("reverse_kl", p, mixed)

    return [one_token(n, t) for n, t in mask.nonzero().tolist()]


@pytest.mark.parametrize(("direction", "beta"), [*((d, 0.5) for d in DIRECTIONS), ("generalised_jsd", 0.1)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_distillation_loop_equals_vectorised(direction, beta, temperature):
    for seed in (1, 10):
        inputs = distillation_inputs(seed)
        result = distil(inputs, temperature=temperature, direction=direction, beta=beta, coef=2.0)
        tokens = torch.tensor(loop_distillation(inputs, MASK, temperature, direction, beta))
        expected = 2.0 * (tokens * sequence_mean(MASK, counts(MASK))[MASK]).sum().item()
        assert result.value.item() == pytest.approx(expected, rel=1e-5)
        assert mean_of(result.metrics["token_distillation"]) == pytest.approx(tokens.mean().item(), rel=1e-5)


def test_generalised_jsd_at_one_half_is_jsd():
    inputs = distillation_inputs(3)
    logits = [
        (inputs[h] @ inputs[w].T / 0.9).masked_fill(BANNED, -torch.inf)
        for h, w in (("hidden", "head"), ("teacher_hidden", "teacher_head"))
    ]
    plain = (jsd(*(x.softmax(-1) for x in logits)) * sequence_mean(MASK, counts(MASK))).sum()
    torch.testing.assert_close(distil(inputs, direction="generalised_jsd").value, plain)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distillation_gradient_equals_the_plain_computation(direction):
    inputs = distillation_inputs(5)
    weights = sequence_mean(MASK, counts(MASK))
    p = (inputs["hidden"] @ inputs["head"].T / 0.9).masked_fill(BANNED, -torch.inf).softmax(-1)
    q = (inputs["teacher_hidden"] @ inputs["teacher_head"].T / 0.9).masked_fill(BANNED, -torch.inf).softmax(-1)
    name = "jsd" if direction == "generalised_jsd" else direction
    expected = gradients((DIVERGENCES[name](p, q) * weights).sum(), [inputs["hidden"], inputs["head"]])
    result = distil(inputs, direction=direction, chunk=2)
    got = gradients(result.value, [inputs["hidden"], inputs["head"]])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    assert (got[1][2] == 0).all() and got[1].abs().max() > 0  # no gradient for the head's row of the banned token
    assert (got[0][~MASK] == 0).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distillation_from_itself_is_zero_with_zero_gradient(direction):
    inputs = distillation_inputs(6)
    inputs |= {"teacher_hidden": inputs["hidden"].detach(), "teacher_head": inputs["head"].detach()}
    result = distil(inputs, direction=direction)
    assert abs(result.value.item()) < 1e-7
    assert all(g.abs().max() < 1e-6 for g in gradients(result.value, [inputs["hidden"], inputs["head"]]))


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distillation_chunks_do_not_matter(direction, chunk):
    inputs = distillation_inputs(7)
    result, whole = distil(inputs, direction=direction, chunk=chunk), distil(inputs, direction=direction)
    torch.testing.assert_close(result.value, whole.value)
    both = [gradients(r.value, [inputs["hidden"], inputs["head"]]) for r in (result, whole)]
    torch.testing.assert_close(*both)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distillation_of_certain_models_is_finite(direction):
    inputs = distillation_inputs(8)
    inputs["hidden"] = (1e3 * inputs["hidden"].detach()).requires_grad_()
    inputs["teacher_hidden"] = -1e3 * inputs["teacher_hidden"]
    result = distil(inputs, direction=direction)
    assert result.value.isfinite()
    assert all(g.isfinite().all() for g in gradients(result.value, [inputs["hidden"], inputs["head"]]))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_distillation_comes_closer_to_the_teacher(direction):
    inputs = distillation_inputs(9)
    before = distil(inputs, direction=direction).value
    (gradient,) = gradients(before, [inputs["hidden"]])
    after = distil(inputs | {"hidden": inputs["hidden"].detach() - 0.1 * gradient}, direction=direction).value
    assert after < before


def test_distillation_without_any_token_is_zero():
    result = distil(distillation_inputs(2), mask=torch.zeros_like(MASK))
    assert result.value == 0 and result.metrics["token_distillation"][1] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"direction": "js"}, "reverse_kl', 'forward_kl', 'generalised_jsd"),
        (
            {"direction": "generalised_jsd", "beta": 0.0},
            "token_distillation.beta is 0.0: write a number between 0 and 1",
        ),
        ({"direction": "generalised_jsd", "beta": 1.0}, "token_distillation.beta is 1.0"),
    ],
)
def test_distillation_names_wrong_settings(settings, message):
    with pytest.raises((ValueError, TypeError), match=message):
        distil(distillation_inputs(2), **settings)


# ------------------------------------------------------------------------------------------- all terms together


def padded_terms(padding: float | None):
    """{name: (Loss, leaves)} of every term; under a mask of False every input holds `padding` (None: what it had)."""

    def spoil(values: Tensor) -> Tensor:
        shaped = MASK.view(*MASK.shape, *[1] * (values.dim() - 2))
        values = values.detach().clone() if padding is None else values.detach().masked_fill(~shaped, padding)
        return values.requires_grad_()

    log_probs, other, weights = (spoil(normal(i, 4, 3)) for i in range(3))
    advantages = normal(3, 4)
    captured = copied(capture(4), padding)
    anchor = capture(5).rows()
    anchor = anchor if padding is None else anchor.masked_fill(~MASK[None, :, :, None], padding)
    inputs = distillation_inputs(6)
    inputs |= {"hidden": spoil(inputs["hidden"]), "teacher_hidden": spoil(inputs["teacher_hidden"]).detach()}
    w = weights.detach()
    heads = [lambda h, m=inputs[name]: h @ m.T for name in ("head", "teacher_head")]
    states = (inputs["hidden"], heads[0], inputs["teacher_hidden"], heads[1])
    old = other.detach()
    out = {
        "token": (token(log_probs, old, advantages, MASK, w), [log_probs]),
        "nll": (nll(log_probs, MASK, w), [log_probs]),
        "attention_policy": (attention_policy(captured, anchor, advantages, MASK, w), leaves(captured)),
        "attention_distillation": (attention_distillation(captured, anchor, MASK, w), leaves(captured)),
    }
    for estimator in ("k2", "k3"):
        out[estimator] = (kl(log_probs, old, MASK, w, estimator=estimator), [log_probs])
    for direction in DIRECTIONS:
        loss = token_distillation(*states, BANNED, 0.9, MASK, w.float(), direction=direction)
        out[direction] = (loss, [inputs["hidden"], inputs["head"]])
    return out


@pytest.mark.parametrize("padding", [math.nan, math.inf, -math.inf, 1e30])
def test_padding_changes_no_value_no_gradient_and_no_metric(padding):
    clean, padded = padded_terms(None), padded_terms(padding)
    for name, (loss, parts) in padded.items():
        expected, own = clean[name]
        assert torch.equal(loss.value, expected.value), name
        for got, want in zip(gradients(loss.value, parts), gradients(expected.value, own), strict=True):
            assert torch.equal(got, want), name
        assert loss.metrics.keys() == expected.metrics.keys()
        for key, (total, count) in loss.metrics.items():
            assert torch.equal(total, expected.metrics[key][0]) and torch.equal(count, expected.metrics[key][1]), key
            assert count == MASK.sum() and not total.requires_grad


def test_losses_are_linear_in_their_coefficient():
    log_probs, other, advantages, weights = normal(0, 4, 3), normal(1, 4, 3), normal(2, 4), weights_of(MASK)
    captured, anchor = capture(4), capture(5).rows()
    terms = [
        partial(token, log_probs, other, advantages, MASK, weights),
        partial(kl, log_probs, other, MASK, weights),
        partial(nll, log_probs, MASK, weights),
        partial(attention_policy, captured, anchor, advantages, MASK, weights),
        partial(attention_distillation, captured, anchor, MASK, weights),
        partial(distil, distillation_inputs(1)),
    ]
    for term in terms:
        base = term(coef=1.0).value
        assert base != 0 and term(coef=0.0).value == 0
        torch.testing.assert_close(term(coef=-2.5).value, -2.5 * base)


def test_smooth_terms_have_the_gradient_of_finite_differences():
    # Ratios 0.9 to 1.1 or beyond 1.2: away from the kinks at 0.8 and 1.2.
    log_ratio = torch.tensor([[0.05, 0.4, -0.08], [0.3, 0.0, 0.0], [-0.4, 0.07, 0.0], [-0.06, 0.25, -0.5]]).double()
    old, advantages, weights = normal(1, 4, 3), torch.tensor([1.0, -2.0, 0.5, -1.0]).double(), weights_of(MASK)
    log_probs = (old + log_ratio).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: token(x, old, advantages, MASK, weights).value, (log_probs,))
    assert torch.autograd.gradcheck(lambda x: nll(x, MASK, weights).value, (log_probs,))
    for estimator in ("k2", "k3"):
        assert torch.autograd.gradcheck(
            lambda x, e=estimator: kl(x, old, MASK, weights, estimator=e).value, (log_probs,)
        )


@QUICK
@given(SEEDS, st.permutations(range(4)))
def test_order_of_responses_does_not_matter(seed, order):
    log_probs, old, advantages, weights = normal(seed, 4, 3), normal(seed + 1, 4, 3), normal(seed, 4), weights_of(MASK)
    moved = [x[order] for x in (log_probs, old, advantages, MASK, weights)]
    torch.testing.assert_close(token(*moved).value, token(log_probs, old, advantages, MASK, weights).value)
    torch.testing.assert_close(
        kl(moved[0], moved[1], moved[3], moved[4]).value, kl(log_probs, old, MASK, weights).value
    )


@QUICK
@given(SEEDS, st.integers(1, 3))
def test_micro_batches_add_up_to_the_whole(seed, cut):
    log_probs, old, advantages = normal(seed, 4, 3), normal(seed + 1, 4, 3), normal(seed + 2, 4)
    total = counts(MASK)
    for rule in (sequence_mean, token_mean):
        whole = token(log_probs, old, advantages, MASK, rule(MASK, total).double())
        parts = [
            token(log_probs[s], old[s], advantages[s], MASK[s], rule(MASK[s], total).double())
            for s in (slice(0, cut), slice(cut, 4))
        ]
        torch.testing.assert_close(sum(p.value for p in parts), whole.value)
        for key, (value, count) in whole.metrics.items():
            torch.testing.assert_close(sum(p.metrics[key][0] for p in parts), value)
            assert sum(p.metrics[key][1] for p in parts) == count
