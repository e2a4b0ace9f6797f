"""Advantages, aggregation, log-probs, schedule, signals, grounding against hand-computed numbers and python loops."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, gradients, ragged
from torch import Tensor

from ral.ops import objectives
from ral.ops.advantages import group_centred, group_normalised, ones
from ral.ops.aggregate import Counts, constant_length, counts, masked_sum, sequence_mean, token_mean
from ral.ops.grounding import evidence_tokens, pointing
from ral.ops.logprobs import policy_logits, token_log_probs
from ral.ops.schedule import warmup_cosine
from ral.ops.signals import evaluate, frozen_needs, needed, signal_names
from ral.types import Evidence, Loss

SEEDS = st.integers(0, 10_000)
GROUPS = st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.9, 1.0]), min_size=4, max_size=4), min_size=1, max_size=3)
MASKS = st.lists(st.integers(0, 5), min_size=1, max_size=6).map(lambda lengths: ragged(tuple(lengths), 5))


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ----------------------------------------------------------------------------------------------------- advantages


def test_one_winner_of_four_gets_1_4997():
    advantages = group_normalised(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    # mean 1/4, unbiased std 1/2: 0.75 / 0.5001 and -0.25 / 0.5001
    torch.testing.assert_close(advantages, torch.tensor([[1.49970, -0.49990, -0.49990, -0.49990]]), rtol=1e-5, atol=0)


def test_epsilon_is_added_to_the_spread():
    advantages = group_normalised(torch.tensor([[1.0, 0.0]]), epsilon=0.5)
    torch.testing.assert_close(advantages, torch.tensor([[0.5, -0.5]]) / (math.sqrt(0.5) + 0.5))


@QUICK
@given(GROUPS)
def test_advantages_loop_equals_vectorised(groups):
    slow, slow_centred = [], []
    for rewards in groups:
        mean = sum(rewards) / 4
        std = math.sqrt(sum((r - mean) ** 2 for r in rewards) / 3)
        slow.append([(r - mean) / (std + 1e-4) for r in rewards])
        slow_centred.append([r - mean for r in rewards])
    rewards = torch.tensor(groups, dtype=torch.float64)
    torch.testing.assert_close(group_normalised(rewards), torch.tensor(slow, dtype=torch.float64), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(group_centred(rewards), torch.tensor(slow_centred, dtype=torch.float64))
    assert group_normalised(rewards).sum(1).abs().max() < 1e-9
    in_fp32 = group_normalised(rewards.float())
    assert in_fp32.dtype == torch.float32
    flat = (rewards == rewards[:, :1]).all(1)
    assert (in_fp32[flat] == 0).all()  # exactly, though the mean of four 0.1 may round


def test_groups_without_a_difference_get_zeros():
    assert torch.equal(group_normalised(torch.full((2, 7), 0.1)), torch.zeros(2, 7))
    assert torch.equal(group_normalised(torch.tensor([[0.3], [1.0]])), torch.zeros(2, 1))
    assert torch.equal(group_centred(torch.tensor([[0.3], [1.0]])), torch.zeros(2, 1))
    mixed = group_normalised(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert (mixed[0] == 0).all() and mixed[1, 0].item() == pytest.approx(0.5 / (math.sqrt(0.5) + 1e-4))


@QUICK
@given(SEEDS, st.permutations(range(3)), st.permutations(range(4)))
def test_order_of_prompts_and_responses_moves_with_the_advantages(seed, prompts, responses):
    rewards = normal(seed, 3, 4, dtype=torch.float64)
    for rule in (group_normalised, group_centred, ones):
        torch.testing.assert_close(rule(rewards[prompts][:, responses]), rule(rewards)[prompts][:, responses])
        torch.testing.assert_close(rule(rewards[:1]), rule(rewards)[:1])  # no prompt knows of another


def test_advantages_do_not_depend_on_an_offset_and_a_nan_reward_stays_visible():
    rewards = normal(0, 2, 4, dtype=torch.float64)
    torch.testing.assert_close(group_normalised(rewards + 5), group_normalised(rewards))
    rewards[0, 1] = math.nan
    assert group_normalised(rewards)[0].isnan().any() and group_normalised(rewards)[1].isfinite().all()


def test_ones_ignore_the_rewards():
    assert torch.equal(ones(torch.tensor([[0.0, 2.0, -1.0]])), torch.ones(1, 3))


# ---------------------------------------------------------------------------------------------------- aggregation


def test_weights_of_a_small_batch():
    mask = ragged((2, 1, 0), 3)
    total = counts(mask)
    assert total == Counts(sequences=2.0, tokens=3.0)
    torch.testing.assert_close(sequence_mean(mask, total), torch.tensor([[0.25, 0.25, 0], [0.5, 0, 0], [0, 0, 0]]))
    third = 1 / 3
    torch.testing.assert_close(token_mean(mask, total), torch.tensor([[third, third, 0], [third, 0, 0], [0, 0, 0]]))
    tenth = torch.tensor([[0.1, 0.1, 0], [0.1, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(constant_length(mask, total, length=5), tenth)


@QUICK
@given(MASKS, SEEDS)
def test_weights_loop_equals_vectorised(mask, seed):
    values, total = normal(seed, *mask.shape), counts(mask)
    means = [values[n][mask[n]].tolist() for n in range(len(mask)) if mask[n].any()]
    tokens = [v for row in means for v in row]
    expected = {
        sequence_mean: sum(sum(row) / len(row) for row in means) / max(len(means), 1),
        token_mean: sum(tokens) / max(len(tokens), 1),
        partial(constant_length, length=7): sum(sum(row) / 7 for row in means) / max(len(means), 1),
    }
    for rule, value in expected.items():
        weights = rule(mask, total)
        assert weights.dtype == torch.float32 and (weights[~mask] == 0).all() and weights.isfinite().all()
        assert masked_sum(values * weights, mask).item() == pytest.approx(value, rel=1e-4, abs=1e-5)


@QUICK
@given(MASKS.filter(lambda mask: bool(mask.any())), st.integers(0, 6))
def test_weights_sum_to_one_over_all_parts_of_a_batch(mask, cut):
    total = counts(mask)
    for rule in (sequence_mean, token_mean):
        assert rule(mask, total).sum().item() == pytest.approx(1.0, rel=1e-5)
        parts = torch.cat([rule(part, total) for part in (mask[:cut], mask[cut:])])
        assert torch.equal(parts, rule(mask, total))
    other = counts(mask[:cut]), counts(mask[cut:])
    assert sum(c.tokens for c in other) == total.tokens and sum(c.sequences for c in other) == total.sequences


@QUICK
@given(MASKS)
def test_sequence_mean_gives_every_response_the_same_say_and_token_mean_every_token(mask):
    per_response = sequence_mean(mask, counts(mask)).sum(1)[mask.any(1)]
    torch.testing.assert_close(per_response, torch.full_like(per_response, 1 / max(len(per_response), 1)))
    per_token = token_mean(mask, counts(mask))[mask]
    assert (per_token == per_token[:1]).all()


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
def test_masked_sum_ignores_padding_in_value_and_gradient(padding):
    values = torch.tensor([[1.0, 2.0, padding]], requires_grad=True)
    total = masked_sum(values, ragged((2,), 3))
    assert total == 3
    assert torch.equal(*gradients(total, [values]), torch.tensor([[1.0, 1.0, 0.0]]))


# ------------------------------------------------------------------------------------------------------ log-probs


BANNED = torch.tensor([False, True, False, False, False, True, False])


def head_of(weight: Tensor):
    return lambda hidden: hidden @ weight.T


def plain_log_probs(hidden: Tensor, weight: Tensor, ids: Tensor, mask: Tensor, temperature: float) -> Tensor:
    logits = (hidden @ weight.T / temperature).masked_fill(BANNED, -torch.inf)
    chosen = logits.log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    return torch.where(mask, chosen, torch.zeros_like(chosen))


def inputs(seed: int = 0, dtype: torch.dtype = torch.float32):
    """hidden [4 3 5], weight [7 5], allowed ids [4 3], mask [4 3]."""
    allowed = (~BANNED).nonzero()[:, 0]
    ids = allowed[torch.randint(0, len(allowed), (4, 3), generator=torch.Generator().manual_seed(seed))]
    hidden, weight = normal(seed, 4, 3, 5, dtype=dtype), normal(seed + 1, 7, 5, dtype=dtype)
    return hidden.requires_grad_(), weight.requires_grad_(), ids, ragged((3, 1, 2, 3), 3)


def test_log_probs_by_hand():
    # logits ln 1, ln 2, ln 5 with the second banned and temperature 1/2: weights 1, 0, 25.
    logits = torch.tensor([[[0.0, math.log(2), math.log(5)]]])
    banned, ids, mask = torch.tensor([False, True, False]), torch.tensor([[2]]), torch.tensor([[True]])
    log_probs, entropy = token_log_probs(logits, ids, mask, lambda h: h, temperature=0.5, banned=banned)
    assert log_probs.item() == pytest.approx(math.log(25 / 26))
    assert entropy.item() == pytest.approx(-(25 / 26) * math.log(25 / 26) - math.log(1 / 26) / 26)


@QUICK
@given(SEEDS, st.sampled_from([0.5, 0.9, 1.0, 2.0]))
def test_log_probs_loop_equals_vectorised(seed, temperature):
    hidden, weight, ids, mask = inputs(seed)
    log_probs, entropy = token_log_probs(hidden, ids, mask, head_of(weight), temperature=temperature, banned=BANNED)
    slow, slow_entropy = torch.zeros(4, 3), torch.zeros(4, 3)
    for n, t in mask.nonzero().tolist():
        scores = (hidden[n, t] @ weight.T).tolist()
        e = [0.0 if BANNED[v] else math.exp(s / temperature) for v, s in enumerate(scores)]
        p = [x / sum(e) for x in e]
        slow[n, t] = math.log(p[int(ids[n, t])])
        slow_entropy[n, t] = -sum(x * math.log(x) for x in p if x > 0)
    torch.testing.assert_close(log_probs, slow, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(entropy, slow_entropy, rtol=1e-4, atol=1e-5)
    assert log_probs.requires_grad and not entropy.requires_grad


@pytest.mark.parametrize("kept", [0, 2**24])  # logits recomputed in the backward pass, and kept for it
def test_log_probs_have_the_gradient_of_the_plain_computation(kept, monkeypatch):
    monkeypatch.setattr("ral.ops.logprobs.KEPT_LOGITS", kept)
    hidden, weight, ids, mask = inputs(2)
    log_probs, _ = token_log_probs(hidden, ids, mask, head_of(weight), temperature=0.7, banned=BANNED, chunk=2)
    factors = normal(5, 4, 3)
    got = gradients((log_probs * factors).sum(), [hidden, weight])
    wide = [t.detach().double().requires_grad_() for t in (hidden, weight)]
    plain = plain_log_probs(*wide, ids, mask, 0.7)
    expected = gradients((plain * factors).sum(), wide)
    for g, e in zip(got, expected, strict=True):
        torch.testing.assert_close(g.double(), e, rtol=1e-4, atol=1e-5)
    assert torch.autograd.gradcheck(lambda h, w: plain_log_probs(h, w, ids, mask, 0.7), wide)
    assert (got[1][BANNED] == 0).all() and (got[0][~mask] == 0).all()


def test_banned_tokens_have_probability_zero():
    hidden, weight, _, _ = inputs(3)
    logits = policy_logits(10 * hidden[0], head_of(weight), temperature=0.9, banned=BANNED)
    p = logits.softmax(-1)
    assert (p[:, BANNED] == 0).all()
    torch.testing.assert_close(p.sum(-1), torch.ones(3))
    free = policy_logits(10 * hidden[0], head_of(weight), temperature=0.9, banned=torch.zeros_like(BANNED)).softmax(-1)
    torch.testing.assert_close(p, (free * ~BANNED) / (free * ~BANNED).sum(-1, keepdim=True))


def test_temperature_divides_the_logits_and_half_precision_is_widened():
    hidden, weight, _, _ = inputs(4)
    logits = [policy_logits(hidden[0], head_of(weight), temperature=t, banned=BANNED) for t in (1.0, 0.5)]
    torch.testing.assert_close(logits[1], 2 * logits[0])
    half = policy_logits(hidden[0].bfloat16(), head_of(weight.bfloat16()), temperature=0.9, banned=BANNED)
    assert half.dtype == torch.float32


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_chunks_of_tokens_do_not_matter(chunk):
    hidden, weight, ids, mask = inputs(6)
    settings = {"temperature": 0.9, "banned": BANNED}
    cut = token_log_probs(hidden, ids, mask, head_of(weight), chunk=chunk, **settings)
    whole = token_log_probs(hidden, ids, mask, head_of(weight), **settings)
    torch.testing.assert_close(cut, whole)
    torch.testing.assert_close(*(gradients(x[0].sum(), [hidden, weight]) for x in (cut, whole)))


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
def test_padded_states_and_ids_change_nothing(padding):
    hidden, weight, ids, mask = inputs(7)
    other = hidden.detach().masked_fill(~mask[..., None], padding).requires_grad_()
    results = [
        (token_log_probs(h, i, mask, head_of(weight), temperature=0.9, banned=BANNED), h)
        for h, i in ((hidden, ids), (other, ids.masked_fill(~mask, 10**9)))
    ]
    (clean, _), (padded, _) = results
    assert torch.equal(clean[0], padded[0]) and torch.equal(clean[1], padded[1])
    assert (padded[0][~mask] == 0).all() and (padded[1][~mask] == 0).all()
    expected, got = (gradients(r[0].sum(), [h, weight]) for r, h in results)
    assert torch.equal(got[0], expected[0]) and torch.equal(got[1], expected[1])


def test_no_token_at_all():
    hidden, weight, ids, mask = inputs(8)
    log_probs, entropy = token_log_probs(
        hidden, ids, torch.zeros_like(mask), head_of(weight), temperature=0.9, banned=BANNED
    )
    assert torch.equal(log_probs, torch.zeros(4, 3)) and torch.equal(entropy, torch.zeros(4, 3))
    assert all((g == 0).all() for g in gradients(log_probs.sum(), [hidden, weight]))


def test_no_logits_are_kept_for_the_backward_pass(monkeypatch):
    monkeypatch.setattr("ral.ops.logprobs.KEPT_LOGITS", 4 * 3 * 400 - 1)  # these are one too many
    hidden, weight, vocabulary = normal(0, 4, 3, 5).requires_grad_(), normal(1, 400, 5), 400
    ids, mask, sizes = torch.zeros(4, 3, dtype=torch.long), ragged((3, 3, 3, 3), 3), []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        banned = torch.zeros(vocabulary, dtype=torch.bool)
        token_log_probs(hidden, ids, mask, head_of(weight), temperature=0.9, banned=banned, chunk=4)
    assert max(sizes, default=0) < 4 * vocabulary


# ------------------------------------------------------------------------------------------------------- schedule


def test_schedule_by_hand():
    factor = partial(warmup_cosine, max_steps=14, warmup=4, final=0.1)
    assert [factor(s) for s in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factor(9) == pytest.approx(0.55)  # half way: (1 + 0.1) / 2
    assert factor(14) == pytest.approx(0.1) and factor(1000) == pytest.approx(0.1)
    assert factor(6) == pytest.approx(0.1 + 0.9 * (1 + math.cos(0.2 * math.pi)) / 2)


def test_schedule_without_warmup_or_decay():
    assert warmup_cosine(0, max_steps=10, warmup=0, final=0.0) == 1.0
    assert all(warmup_cosine(s, max_steps=10, warmup=0, final=1.0) == 1.0 for s in range(12))
    assert warmup_cosine(3, max_steps=3, warmup=3, final=0.5) == 1.0  # a run that is all warm-up divides by nothing


@QUICK
@given(st.integers(1, 30), st.integers(0, 10), st.floats(0, 1))
def test_schedule_rises_then_falls_within_its_bounds(length, warmup, final):
    values = [
        warmup_cosine(s, max_steps=warmup + length, warmup=warmup, final=final) for s in range(warmup + length + 1)
    ]
    assert all(0 <= v <= 1 + 1e-12 for v in values)
    assert values[:warmup] == sorted(values[:warmup])
    falling = values[warmup:]
    assert all(a >= b - 1e-12 for a, b in pairwise(falling))
    assert falling[-1] == pytest.approx(final)


# -------------------------------------------------------------------------------------------------------- signals


def test_signals_are_the_parameters_before_the_star():
    expected = ["log_probs", "old_log_probs", "advantages", "mask", "weights", "sampler_log_probs"]
    assert list(signal_names(objectives.token).values()) == expected
    assert signal_names(objectives.nll) == {"log_probs": "log_probs", "mask": "mask", "weights": "weights"}
    bound = partial(objectives.kl, coef=0.1, estimator="k1")
    assert list(signal_names(bound)) == ["log_probs", "reference_log_probs", "mask", "weights"]


@pytest.mark.parametrize(
    ("term", "signal"),
    [
        (objectives.attention_policy, "old_rows"),
        (partial(objectives.attention_policy, coef=1.0), "old_rows"),
        (partial(objectives.attention_policy, against="reference"), "reference_rows"),
        (partial(partial(objectives.attention_policy, against="reference"), against="ema"), "ema_rows"),
        (partial(objectives.attention_policy, against="teacher"), "teacher_rows"),
        (partial(objectives.group_attention, against="reference"), "reference_rows"),
    ],
)
def test_anchors_are_those_of_the_named_model(term, signal):
    assert signal_names(term)["anchor_rows"] == signal
    assert signal in needed([term]) and "anchor_rows" not in needed([term])


def test_a_bound_signal_is_not_asked_for():
    term = partial(objectives.token_distillation, temperature=1.0)
    expected = ["hidden", "head", "teacher_hidden", "teacher_head", "banned", "mask", "weights"]
    assert list(signal_names(term)) == expected
    fixed = partial(objectives.nll, weights=torch.tensor([[2.0, 3.0]]))
    signals = {"log_probs": torch.tensor([[-1.0, -1.0]]), "mask": torch.tensor([[True, True]]), "weights": None}
    assert evaluate(fixed, signals).value == 5


def test_needs_of_an_objective_are_grouped_by_frozen_model():
    terms = [
        objectives.token,
        objectives.kl,
        partial(objectives.attention_policy, against="reference"),
        objectives.token_distillation,
        objectives.attention_distillation,
    ]
    wanted = needed(terms)
    assert {"log_probs", "old_log_probs", "attention", "banned", "mask", "teacher_head"} <= wanted
    assert frozen_needs(wanted) == {
        "old": ("log_probs",),
        "reference": ("log_probs", "rows"),
        "teacher": ("rows", "hidden"),
    }
    assert frozen_needs(needed([objectives.nll])) == {} and needed([]) == frozenset()
    assert frozen_needs(needed([objectives.attention_policy])) == {"old": ("rows",)}


def test_evaluate_passes_each_signal_to_its_parameter():
    def term(anchor_rows, mask, *, against: str = "ema", coef: float = 2.0) -> Loss:
        return Loss(coef * (anchor_rows - mask))

    signals = {"ema_rows": torch.tensor(5.0), "old_rows": torch.tensor(7.0), "mask": torch.tensor(1.0), "other": None}
    assert evaluate(term, signals).value == 8
    assert evaluate(partial(term, against="old", coef=1.0), signals).value == 6
    with pytest.raises(KeyError, match="reference_rows"):
        evaluate(partial(term, against="reference"), signals)


# ------------------------------------------------------------------------------------------------------ grounding


def test_evidence_covers_the_tokens_whose_centre_it_holds():
    inside = evidence_tokens([Evidence((0.0, 0.5, 0.5, 1.0))], (1, 2, 4), 0.0)  # left half, lower half
    assert inside.tolist() == [[[False] * 4, [True, True, False, False]]]
    centre = evidence_tokens([Evidence((0.1, 0.1, 0.2, 0.2))], (1, 4, 4), 0.0)  # holds (0.125, 0.125) alone
    assert centre.sum() == 1 and centre[0, 0, 0]
    between = evidence_tokens([Evidence((0.3, 0.6, 0.35, 0.65))], (1, 2, 2), 0.0)  # between all centres
    assert between.tolist() == [[[False, False], [True, False]]]  # the token that it lies in
    corner = evidence_tokens([Evidence((0.99, 0.99, 1.0, 1.0))], (1, 2, 2), 0.0)
    assert corner.tolist() == [[[False, False], [False, True]]]


def test_the_pointing_game_by_hand():
    inside = torch.tensor([False, True, True, False])
    assert pointing(torch.tensor([0.1, 0.2, 0.4, 0.3]), inside) == 1  # most of it outside, the maximum inside
    assert pointing(torch.tensor([0.1, 0.3, 0.2, 0.4]), inside) == 0
    assert pointing(torch.tensor([0.0, 0.5, 0.0, 0.5]), inside) == 0.5  # two maxima, one of them inside


def test_evidence_in_time():
    box = (0.0, 0.0, 1.0, 1.0)

    def slots(span, seconds=2.0, count=4):
        return evidence_tokens([Evidence(box, span)], (count, 1, 1), seconds)[:, 0, 0].tolist()

    assert slots((2.0, 4.0)) == [False, True, False, False]  # a touching end does not overlap
    assert slots((1.9, 4.1)) == [True, True, True, False]
    assert slots((2.5, 2.6)) == [False, True, False, False]
    assert slots(None) == [True] * 4 and slots((100.0, 101.0)) == [False] * 4
    assert slots((2.0, 4.0), seconds=0.0, count=1) == [True]  # a picture has no time


@QUICK
@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4, st.floats(0, 5), st.floats(0.1, 5)), max_size=3), st.integers(1, 4))
def test_evidence_loop_equals_vectorised(items, size):
    evidence = [
        Evidence((min(a, c), min(b, d), max(a, c), max(b, d)), (start, start + span))
        for a, b, c, d, start, span in items
    ]
    inside = evidence_tokens(evidence, (3, size, size + 1), 1.5)

    def sides(e):
        return (*e.box, (e.box[0] + e.box[2]) / 2, (e.box[1] + e.box[3]) / 2)

    def lies(place, count, low, high):
        centres = [(n + 0.5) / count for n in range(count)]
        held = [n for n, c in enumerate(centres) if low <= c <= high]
        middle = (low + high) / 2
        return place in (held or [max(n for n in range(count) if n / count <= middle)])

    for t, y, x in torch.ones_like(inside).nonzero().tolist():
        slow = any(
            lies(x, size + 1, e.box[0], e.box[2])
            and lies(y, size, e.box[1], e.box[3])
            and e.span[0] < 1.5 * (t + 1)
            and e.span[1] > 1.5 * t
            for e in evidence
        )
        edge = any(
            min(abs(v * 2 * k - round(v * 2 * k)) for v in sides(e)) < 1e-5 for e in evidence for k in (size, size + 1)
        )
        assert bool(inside[t, y, x]) == slow or edge
