"""Divergences against numbers worked out by hand, python loops, finite differences and the paper's gradient formula."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, gradients, loop_divergence, random_rows

from ral.ops.divergence import DIVERGENCES, divergence, forward_kl, jsd, reverse_kl, squared_hellinger, total_variation

LN2 = math.log(2)
NAMES = sorted(DIVERGENCES)
SEEDS = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("name", "p", "q", "value"),
    [
        ("jsd", (1.0, 0.0), (0.0, 1.0), LN2),
        ("jsd", (0.5, 0.5, 0.0, 0.0), (0.0, 0.0, 0.25, 0.75), LN2),
        ("jsd", (0.5, 0.5), (1.0, 0.0), 0.2157616),  # 1/2 (0.1438410 + 0.2876821), m = (3/4, 1/4)
        ("jsd", (0.75, 0.25), (0.25, 0.75), 0.1308120),  # both halves 3/4 ln 3/2 + 1/4 ln 1/2
        ("jsd", (0.2, 0.3, 0.5), (0.2, 0.3, 0.5), 0.0),
        ("forward_kl", (0.5, 0.5), (0.75, 0.25), 0.1308120),  # 3/4 ln 3/2 + 1/4 ln 1/2
        ("reverse_kl", (0.5, 0.5), (0.75, 0.25), 0.1438410),  # 1/2 ln 2/3 + 1/2 ln 2
        ("forward_kl", (0.5, 0.5), (1.0, 0.0), LN2),
        ("reverse_kl", (1.0, 0.0), (0.5, 0.5), LN2),
        ("squared_hellinger", (1.0, 0.0), (0.0, 1.0), 1.0),
        ("squared_hellinger", (0.5, 0.5), (1.0, 0.0), 0.2928932),  # 1 - sqrt(1/2)
        ("total_variation", (0.75, 0.25), (0.25, 0.75), 0.5),
        ("total_variation", (0.5, 0.3, 0.2), (0.2, 0.3, 0.5), 0.3),
        ("total_variation", (1.0, 0.0), (0.0, 1.0), 1.0),
    ],
)
def test_hand_computed_numbers(name, p, q, value):
    assert divergence(name)(torch.tensor(p), torch.tensor(q)).item() == pytest.approx(value, abs=2e-7)


def test_missing_mass_costs_about_87_nats_in_fp32():
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert forward_kl(p, q).item() == pytest.approx(0.5 * math.log(0.5) + 0.5 * (math.log(0.5) + 87.3365), rel=1e-5)
    assert reverse_kl(q, p).item() == pytest.approx(forward_kl(p, q).item(), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_loop_equals_vectorised(name):
    zeros = 0.4 if name in ("jsd", "squared_hellinger", "total_variation") else 0.0
    p, q = random_rows(1, 3, 4, 7, zeros=zeros), random_rows(2, 3, 4, 7, zeros=zeros)
    slow = [
        [loop_divergence(name, a, b) for a, b in zip(x, y, strict=True)]
        for x, y in zip(p.tolist(), q.tolist(), strict=True)
    ]
    torch.testing.assert_close(divergence(name)(p, q), torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    in_fp32 = divergence(name)(p.float(), q.float())
    assert in_fp32.dtype == torch.float32
    torch.testing.assert_close(in_fp32.double(), torch.tensor(slow, dtype=torch.float64), rtol=1e-4, atol=1e-6)


@QUICK
@given(SEEDS, st.integers(2, 9), st.sampled_from([0.0, 0.5, 0.9]))
def test_jsd_is_symmetric_and_within_0_and_ln2(seed, keys, zeros):
    p, q = random_rows(seed, 5, keys, zeros=zeros), random_rows(seed + 1, 5, keys, zeros=zeros)
    values = jsd(p, q)
    torch.testing.assert_close(values, jsd(q, p), rtol=1e-12, atol=1e-14)
    assert (values >= -1e-14).all() and (values <= LN2 + 1e-12).all()
    tv = total_variation(p, q)
    assert (values <= LN2 * tv + 1e-12).all()  # Lin 1991
    assert (squared_hellinger(p, q) <= tv + 1e-12).all() and (squared_hellinger(p, q) <= 1 + 1e-12).all()
    assert (jsd(p.float(), q.float()) <= LN2 + 1e-6).all() and (jsd(p.float(), q.float()) >= -1e-6).all()


@QUICK
@given(SEEDS, st.integers(2, 9), st.sampled_from(NAMES), st.sampled_from([0.0, 0.5]))
def test_zero_with_zero_gradient_at_p_equal_q(seed, keys, name, zeros):
    logits = torch.randn(4, keys, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits = logits.masked_fill(random_rows(seed, 4, keys, zeros=zeros) == 0, -torch.inf).requires_grad_()
    p = logits.softmax(-1)
    value = divergence(name)(p, p.detach())
    assert torch.equal(value, torch.zeros_like(value))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert gradient.abs().max() < 1e-15


@pytest.mark.parametrize("name", ["jsd", "squared_hellinger", "total_variation"])
def test_gradient_in_p_itself_is_exactly_zero_at_p_equal_q(name):
    p = random_rows(5, 3, 6, zeros=0.4, dtype=torch.float32).requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(name)(p, p.detach()).sum(), p)
    assert torch.equal(gradient, torch.zeros_like(p))


@QUICK
@given(SEEDS, st.sampled_from(NAMES))
def test_order_of_keys_and_keys_that_both_mask_do_not_matter(seed, name):
    p, q = random_rows(seed, 3, 6), random_rows(seed + 1, 3, 6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    value = divergence(name)(p, q)
    torch.testing.assert_close(divergence(name)(p[:, order], q[:, order]), value)
    padded = [torch.cat([torch.zeros(3, 2, dtype=x.dtype), x], dim=1).requires_grad_() for x in (p, q)]
    with_zeros = divergence(name)(*padded)
    torch.testing.assert_close(with_zeros, value)
    for gradient in torch.autograd.grad(with_zeros.sum(), padded):
        assert torch.equal(gradient[:, :2], torch.zeros_like(gradient[:, :2]))


@pytest.mark.parametrize("name", NAMES)
def test_autograd_equals_finite_differences_through_softmax(name):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    anchor = torch.randn(2, 5, generator=generator, dtype=torch.float64, requires_grad=True)

    def through(a, b):
        return divergence(name)(a.softmax(-1), b.softmax(-1))

    assert torch.autograd.gradcheck(through, (logits, anchor))


@QUICK
@given(SEEDS, st.integers(2, 8))
def test_gradient_is_the_formula_of_section_3_4(seed, keys):
    logits = torch.randn(keys, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)
    p, q = logits.softmax(-1), random_rows(seed + 1, keys)
    p.retain_grad()
    jsd(p, q).backward()
    assert p.grad is not None and logits.grad is not None
    dp = 0.5 * torch.log(2 * p.detach() / (p.detach() + q))
    torch.testing.assert_close(p.grad, dp, rtol=1e-9, atol=1e-12)
    de = torch.stack([p[i] * (dp[i] - sum(p[j] * dp[j] for j in range(keys))) for i in range(keys)])
    torch.testing.assert_close(logits.grad, de.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("anchor", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0), (0.4, 0.6, 0.0)])
@pytest.mark.parametrize("scale", [0.0, 30.0, 1000.0])
def test_one_hot_and_empty_rows_give_finite_values_and_gradients(name, anchor, scale):
    logits = torch.tensor([0.0, scale, -torch.inf], requires_grad=True)
    value = divergence(name)(logits.softmax(-1), torch.tensor(anchor))
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.isfinite() and gradient.isfinite().all()
    assert gradient[2] == 0


@pytest.mark.parametrize("name", NAMES)
def test_two_empty_rows_are_equal(name):
    rows = [torch.zeros(2, 4, requires_grad=True) for _ in range(2)]
    value = divergence(name)(*rows).sum()
    assert value == 0
    assert all(torch.equal(g, torch.zeros(2, 4)) for g in gradients(value, rows))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_down_the_gradient_comes_closer(name):
    logits = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64, requires_grad=True)
    measure = partial(divergence(name), q=torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64))
    before = measure(logits.softmax(-1))
    (gradient,) = torch.autograd.grad(before, logits)
    assert measure((logits - 0.1 * gradient).softmax(-1)) < before < measure((logits + 0.1 * gradient).softmax(-1))


def test_unknown_name_lists_the_names():
    with pytest.raises(ValueError, match="unknown divergence 'js': write one of jsd, forward_kl, reverse_kl"):
        divergence("js")
