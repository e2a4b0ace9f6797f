"""Dr. GRPO, DAPO, GSPO, CISPO, RLOO, REINFORCE++ and the entropy: hand numbers, slow loops, runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, make_prompts, native
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, ragged
from torch import Tensor

from ral.config.check import check
from ral.learner.redraw import Redraw, with_signal
from ral.learner.signs import WINDOW, History, entropy_climb, entropy_collapse, watched
from ral.models.mllm import MLLM
from ral.ops.advantages import (
    batch_normalised,
    group_centred_batch_normalised,
    leave_one_out,
)
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.entropy import entropy
from ral.ops.objectives import token
from ral.ops.overlong import Overlong
from ral.ops.ratios import at_level, clipped_surrogate
from ral.types import Prepared, Rollout, Scores, UserError

SEEDS = st.integers(0, 10_000)
MASK = ragged((3, 1, 2, 3), 3)
NAMES = ("dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce_pp")
PARTS: dict[str, dict[str, Any]] = {
    "gspo": {"ratio": "sequence", "clip_low": 0.1, "clip_high": 0.2},
    "cispo": {"clip": "weight", "clip_low": 1.0, "clip_high": 0.5},
}


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Log-probs, old log-probs, advantages, mask and weights of four responses."""
    weights = sequence_mean(MASK, counts(MASK)).double()
    return normal(seed, 4, 3) / 2, normal(seed + 1, 4, 3) / 2, normal(seed + 2, 4), MASK, weights


# ----------------------------------------------------------------------------------------------------- advantages


def test_leave_one_out_by_hand() -> None:
    found = leave_one_out(torch.tensor([[1.0, 0.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, -1 / 3, -1 / 3, -1 / 3], [0.0] * 4]))
    assert torch.equal(leave_one_out(torch.tensor([[0.3], [1.0]])), torch.zeros(2, 1))


def test_batch_normalisation_by_hand() -> None:
    rewards = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    # mean 1, squares 0 1 4 1, unbiased variance 2; less the group's means: +-0.5, +-1.5, variance 5/3
    torch.testing.assert_close(
        batch_normalised(rewards, epsilon=0.5), (rewards - 1) / (math.sqrt(2) + 0.5), rtol=1e-6, atol=0
    )
    expected = torch.tensor([[0.5, -0.5], [1.5, -1.5]]) / (math.sqrt(5 / 3) + 0.5)
    torch.testing.assert_close(group_centred_batch_normalised(rewards, epsilon=0.5), expected)
    assert torch.equal(batch_normalised(torch.full((2, 7), 0.1)), torch.zeros(2, 7))
    mixed = group_centred_batch_normalised(torch.tensor([[0.1, 0.1, 0.1], [1.0, 0.0, 0.0]]))
    assert (mixed[0] == 0).all() and mixed[1, 0] > 0


@QUICK
@given(SEEDS)
def test_advantages_loop_equals_vectorised(seed: int) -> None:
    rewards = normal(seed, 3, 4)
    rows = rewards.tolist()
    alone = [[r - sum(row[:i] + row[i + 1 :]) / 3 for i, r in enumerate(row)] for row in rows]
    torch.testing.assert_close(leave_one_out(rewards), torch.tensor(alone, dtype=torch.float64))
    for centred, rule in ((False, batch_normalised), (True, group_centred_batch_normalised)):
        values = [r - (sum(row) / 4 if centred else 0.0) for row in rows for r in row]
        mean = sum(values) / 12
        std = math.sqrt(sum((v - mean) ** 2 for v in values) / 11)
        slow = torch.tensor([(v - mean) / (std + 1e-4) for v in values], dtype=torch.float64).view(3, 4)
        torch.testing.assert_close(rule(rewards), slow)


# ----------------------------------------------------------------------------------------------- ratio and clip


def test_a_response_has_one_ratio_by_hand() -> None:
    """Log-ratios 0.2, -0.1 and 0.2: their mean is 0.1; each token gets a third of the gradient of the whole."""
    log_probs = torch.tensor([[0.2, -0.1, 0.2]], dtype=torch.float64).requires_grad_()
    mask, weights = torch.ones(1, 3, dtype=torch.bool), torch.full((1, 3), 1 / 3, dtype=torch.float64)
    old, advantage = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([2.0], dtype=torch.float64)
    result = token(log_probs, old, advantage, mask, weights, ratio="sequence")
    assert result.value.item() == pytest.approx(-2 * math.exp(0.1))
    (gradient,) = torch.autograd.grad(result.value, [log_probs])
    torch.testing.assert_close(gradient, torch.full((1, 3), -2 * math.exp(0.1) / 3, dtype=torch.float64))
    tight = token(log_probs, old, advantage, mask, weights, ratio="sequence", clip_high=4e-4)
    assert tight.value.item() == pytest.approx(-2 * 1.0004)
    assert float(tight.metrics["clip_fraction"][0]) == 3


@pytest.mark.parametrize(("ratio", "weight"), [(0.5, 0.5), (1.2, 1.2), (9.0, 5.0)])
@pytest.mark.parametrize("advantage", [2.0, -2.0])
def test_a_clipped_weight_leaves_every_token_its_gradient(ratio: float, weight: float, advantage: float) -> None:
    log_probs = torch.tensor([[math.log(ratio) - 1.0]], dtype=torch.float64).requires_grad_()
    one = torch.ones(1, 1, dtype=torch.float64)
    result = token(
        *(log_probs, -one, torch.tensor([advantage], dtype=torch.float64), one.bool(), one),
        **{"clip": "weight", "clip_low": 1.0, "clip_high": 4.0},  # type: ignore[arg-type]
    )
    assert result.value.item() == pytest.approx(-weight * advantage * (math.log(ratio) - 1.0))
    (gradient,) = torch.autograd.grad(result.value, [log_probs])
    assert gradient.item() == pytest.approx(-weight * advantage)
    assert bool(result.metrics["clip_fraction"][0]) == (ratio > 5)


def loop(name: str, log_probs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, weights: Tensor) -> float:
    """The loss of PARTS[name], token by token."""
    low, high, total = 1 - PARTS[name]["clip_low"], 1 + PARTS[name]["clip_high"], 0.0
    for n, row in enumerate(mask.tolist()):
        at = [t for t, there in enumerate(row) if there]
        logs = [float(log_probs[n, t] - old[n, t]) for t in at]
        for t, own in zip(at, logs, strict=True):
            a = float(advantages[n])
            r = math.exp(sum(logs) / len(logs) if name == "gspo" else own)
            bounded = max(low, min(high, r))
            gain = bounded * a * float(log_probs[n, t]) if name == "cispo" else min(r * a, bounded * a)
            total -= float(weights[n, t]) * gain
    return total


@pytest.mark.parametrize("name", PARTS)
@QUICK
@given(seed=SEEDS)
def test_ratio_and_clip_loop_equals_vectorised(name: str, seed: int) -> None:
    parts = batch(seed)
    assert token(*parts, **PARTS[name]).value.item() == pytest.approx(loop(name, *parts), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("padding", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("name", PARTS)
def test_padding_changes_no_value_and_no_gradient(name: str, padding: float) -> None:
    found = []
    for filler in (0.0, padding):
        log_probs, old, advantages, mask, weights = batch(3)
        log_probs = log_probs.masked_fill(~mask, filler).requires_grad_()
        loss = token(log_probs, old.masked_fill(~mask, filler), advantages, mask, weights, **PARTS[name]).value
        found.append((loss, *torch.autograd.grad(loss, [log_probs])))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_sequence_ratio_has_the_gradient_of_finite_differences() -> None:
    _, old, advantages, mask, weights = batch(1)
    log_probs = (old + torch.tensor([[0.05, 0.02, -0.01], [0.4, 0, 0], [-0.5, -0.2, 0], [0.01, -0.03, 0.02]])).double()
    rule = partial(token, **PARTS["gspo"])
    assert torch.autograd.gradcheck(
        lambda x: rule(x, old, advantages, mask, weights).value, (log_probs.requires_grad_(),)
    )


def test_unknown_names_say_what_is_known() -> None:
    log_probs, _, advantages, mask, _ = batch(0)
    level, cut = (getattr(f, "__wrapped__", f) for f in (at_level, clipped_surrogate))  # without the check of types
    with pytest.raises(ValueError, match=r"^unknown ratio 'word': write token or sequence$"):
        level(log_probs, mask, "word")
    with pytest.raises(ValueError, match=r"^unknown clip 'word': write surrogate or weight$"):
        cut(log_probs, log_probs, advantages, (0.8, 1.2), "word")


# ------------------------------------------------------------------------------------------------------- entropy


def test_the_entropy_term_by_hand_and_by_finite_differences() -> None:
    """Two of three tokens at even odds: ln 2; the banned one adds nothing."""
    hidden = torch.zeros(1, 2, 3, dtype=torch.float64)
    banned, mask = torch.tensor([False, False, True]), torch.tensor([[True, False]])
    weights = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    loss = entropy(hidden, lambda h: h, banned, 1.0, mask, weights, coef=0.5)
    assert loss.value.item() == pytest.approx(-0.5 * math.log(2))
    assert float(loss.metrics["entropy_term"][0]) == pytest.approx(math.log(2))
    states, some = normal(0, 4, 3, 5).float(), sequence_mean(MASK, counts(MASK))
    nothing = torch.zeros(5, dtype=torch.bool)
    losses = [entropy(states, lambda h: h, nothing, 0.9, MASK, some, coef=1.0, chunk=c).value for c in (2, 64)]
    p = torch.softmax(states / 0.9, -1)
    slow = -sum(float(some[n, t] * -(p[n, t] * p[n, t].log()).sum()) for n, t in MASK.nonzero().tolist())
    assert losses[0].item() == pytest.approx(slow, rel=1e-5) and torch.allclose(*losses)
    moved = states.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(entropy(moved, lambda h: h, nothing, 0.9, MASK, some, coef=1.0).value, [moved])
    step = 1e-2 * gradient
    change = entropy(states + step, lambda h: h, nothing, 0.9, MASK, some, coef=1.0).value - losses[1]
    assert float(change) == pytest.approx(float((gradient * step).sum()), rel=2e-2)


def history(*means: float) -> History:
    made = History()
    for value in means:
        for _ in range(WINDOW):
            made.add({"train/entropy": value})
    return made


def test_entropy_that_collapses_or_climbs_is_told_with_numbers() -> None:
    low, high = partial(entropy_collapse, share=0.1), partial(entropy_climb, multiple=3.0)
    assert low(history(1.0)) is None and low(history(1.0, 0.2)) is None and high(history(1.0, 2.9)) is None
    assert "from 1 to 0.05 nats" in (low(history(1.0, 0.05)) or "") and "entropy_low=0.1" in (
        low(history(1.0, 0.05)) or ""
    )
    assert "from 0.5 to 1.6 nats" in (high(history(0.5, 1.6)) or "")
    assert {"entropy_collapse", "entropy_climb"} <= set(watched(0.1, 3.0))
    assert not {"entropy_collapse", "entropy_climb"} & set(watched(None, None))


# ------------------------------------------------------------------------------------------------------- overlong


def test_overlong_penalty_by_hand() -> None:
    """Limit 100, the last 20 tokens cost: nothing to 80, half at 90, all at 100."""
    found = Overlong(100, 0.2, 0.5)(torch.tensor([1, 80, 85, 90, 100, 120]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, -0.125, -0.25, -0.5, -0.5]))


# ------------------------------------------------------------------------------------------------ dynamic sampling


def test_groups_of_equal_rewards_have_no_signal() -> None:
    assert with_signal(torch.tensor([[1.0, 1.0], [1.0, 0.0]])).tolist() == [False, True]


def redrawn(model: MLLM, luck: dict[str, bool], rounds: int = 3) -> tuple[Prepared, Rollout, Scores, int, list[Any]]:
    """Two places, three prompts each (uids 0 2 4 and 1 3 5); luck: which prompts have signal."""
    prepared = model.prepare(make_prompts(model, (("image",), (), (), ("image",), (), ())))
    asked: list[Any] = []

    def answer(part: Prepared, seed: int) -> tuple[Rollout, Scores]:
        uids = [example.uid for example in part.prompts.examples]
        asked.append((uids, seed))
        rollout = native(2, max_new_tokens=4)(model, part, seed)
        rewards = torch.tensor([[float(uid) + luck.get(uid, False), float(uid)] for uid in uids]).flatten()
        return rollout, Scores(rewards, {"accuracy": rewards + 0.5})

    return (*Redraw(rounds)(prepared, 7, answer, model.processor), asked)


def test_a_place_takes_the_first_prompt_with_signal(load: Callable[..., MLLM]) -> None:
    model = load()
    chosen, rollout, scores, drawn, asked = redrawn(model, {"1": True, "4": True})
    assert [uids for uids, _ in asked] == [["0", "1"], ["2"], ["4"]] and drawn == 4
    assert len({seed for _, seed in asked}) == 3 and asked[0][1] == 7
    assert [e.uid for e in chosen.prompts.examples] == ["4", "1"] == [e.uid for e in rollout.prompts.examples]
    assert scores.reward.tolist() == [5.0, 4.0, 2.0, 1.0] and scores.parts["accuracy"][0] == 5.5
    alone = native(2, max_new_tokens=4)(model, chosen.take([1]), 7)
    assert rollout.texts[2:] == alone.texts and rollout.policy_version == alone.policy_version


def test_rounds_are_bounded_and_end_early(load: Callable[..., MLLM]) -> None:
    model = load()
    chosen, rollout, scores, drawn, _ = redrawn(model, {})
    assert drawn == 6 and [e.uid for e in chosen.prompts.examples] == ["4", "5"]
    assert scores.reward.tolist() == [4.0, 4.0, 5.0, 5.0] and len(rollout.texts) == 4
    chosen, _, _, drawn, _ = redrawn(model, {"0": True, "1": True})
    assert drawn == 2 and [e.uid for e in chosen.prompts.examples] == ["0", "1"]


# --------------------------------------------------------------------------------------------------- compositions


def checked(*overrides: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check(compose("train", list(overrides)))


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_goes_with_attention_and_entropy(name: str) -> None:
    term = "{_target_: ral.ops.objectives.attention_policy, _partial_: true, coef: 1.0, against: old, divergence: jsd}"
    checked(f"algo={name}", f"+algo.attention={term}", "algo.objective=[token,attention,entropy]")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+algo.sampling.noise={_target_: ral.rollout.noise.Noise, sigma: 1.0}"], "algo.sampling.noise=null"),
        (["rollout=vllm", "rollout.engine.media=pixels"], "rollout.engine.media=embeddings"),
        (["model.freeze_vision=false", "algo.updates_per_rollout=1"], "model.freeze_vision=true"),
        (["algo.shaping.limit=5000"], "algo.shaping.limit=32"),
        (["algo.redraw.rounds=1"], "algo.redraw=null"),
        (["algo.shaping.buffer=0"], "algo.shaping.buffer"),
        (["algo.token.ratio=word"], "'token' or 'sequence'"),
        (["algo.token.clip=word"], "'surrogate' or 'weight'"),
        (["algo.group_size=1"], "algo.group_size=2"),
        (["guard.entropy_low=1"], "guard.entropy_low"),
        (["guard.entropy_high=1"], "guard.entropy_high"),
    ],
)
def test_contradictions_are_refused_in_words(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        checked("algo=dapo", *overrides)
    assert said in str(error.value) and "\n" not in str(error.value)


# ----------------------------------------------------------------------------------------------------------- runs


def test_a_run_of_dapo_draws_again(run: Callable[..., Path], small: list[str]) -> None:
    """A random model is never right: all places draw to their bound, and the metrics say so."""
    settings = ["algo=dapo", "algo.prompts_per_step=2", "max_steps=1", "eval.every=0"]
    folder = run(*small, *settings)
    line = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][-1]
    assert 1 <= line["train/prompts_drawn"] <= 3 and -0.5 <= line["train/overlong"] <= 0
    with pytest.raises(UserError, match=r"^algo.redraw.rounds=9 of algo.prompts_per_step=2 reads 18 prompts a step"):
        run(*small, *settings, "algo.redraw.rounds=9", folder="many")
