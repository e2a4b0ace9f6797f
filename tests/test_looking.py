"""Terms on single looks: the oracle of visual_path with its places and passes, and the score function of noise."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, capture, copied, gradients, leaves, loop_rows, with_leaves
from torch import Tensor

from ral.algorithms.named_places import NamedPlaces, named
from ral.data.media import MediaReader, MediaSettings
from ral.data.prompts import render, target
from ral.learner.experience import Experience
from ral.models.opening import load
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec, CapturedAttention, QueriesAndKeys
from ral.ops.divergence import jsd
from ral.ops.looking import explored_score, mean_scores, named_place, outside
from ral.rollout.given import written
from ral.types import Example, Step, UserError
from ral.worlds.visual_path import named_cells, source

SEEDS = st.integers(0, 10_000)
QUARTERS = Example("e", "q", "1 1", "free-form", steps=(Step("1 1 down", ((0.0, 0.0, 0.25, 0.25),)),))


def weights_of(mask: Tensor) -> Tensor:
    return sequence_mean(mask, counts(mask)).double()


# ------------------------------------------------------------------------------------------------- what is named


def test_a_direction_is_read_from_the_cell_named_just_before_it_right_or_not() -> None:
    text = "<think>2 3 left 2 2 left 4 1 up</think><answer>1 1</answer>"
    found = named_cells(QUARTERS, text)
    assert [text[low:high] for low, high, _ in found] == ["left", "left", "up"]
    assert [box for _, _, box in found] == [(0.5, 0.25, 0.75, 0.5), (0.25, 0.25, 0.5, 0.5), (0.0, 0.75, 0.25, 1.0)]


@pytest.mark.parametrize("text", ["", "2 3", "left", "0 1 left", "5 1 left", "1 5 up", "2 3 leftover", "red star"])
def test_what_names_no_cell_of_the_grid_has_no_place(text: str) -> None:
    assert named_cells(QUARTERS, text) == []


def test_the_placebo_is_as_large_and_never_the_cell_or_its_neighbour() -> None:
    for row in range(1, 5):
        for col in range(1, 5):
            ((*span, right),) = named_cells(QUARTERS, f"{row} {col} up")
            ((*same, wrong),) = named_cells(QUARTERS, f"{row} {col} up", wrong=True)
            assert span == same and wrong[2] - wrong[0] == wrong[3] - wrong[1] == 0.25
            assert abs(wrong[0] - right[0]) == abs(wrong[1] - right[1]) == 0.5


def test_an_entry_without_steps_is_named() -> None:
    with pytest.raises(UserError, match=r"e: no field 'steps', .*; take data of dataset=visual_path"):
        named_cells(replace(QUARTERS, steps=()), "2 3 left")


def test_right_responses_name_the_places_of_their_steps(tmp_path: Path) -> None:
    kinds = ("arrows", "handed")
    for example in source("validation", root=tmp_path, sizes={"validation": 12}, seed=3, kinds=kinds, shortest=2):
        boxes = [box for *_, box in named_cells(example, target(example, thinking=True))]
        assert [tuple(round(x, 6) for x in box) for box in boxes] == [step.boxes[0] for step in example.steps]


# ----------------------------------------------------------------------------------------------------- the term


def places(seed: int, captured) -> Tensor:
    """Some visual keys for some tokens, [N C P]."""
    n, c = captured.mask.shape
    visual = captured.visual.repeat_interleave(n // len(captured.visual), 0)
    some = torch.rand(n, c, visual.shape[1], generator=torch.Generator().manual_seed(seed)) < 0.6
    some[0, 0] = visual[0]  # all of them: nothing to pull
    some[-1, -1] = False  # no place
    return some & visual[:, None]


def test_outside_by_hand() -> None:
    rows = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], dtype=torch.float64)
    place = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(outside(rows, place), torch.tensor([math.log(2), math.log(2), 0.0]).double())
    assert bool(outside(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])).isfinite())


@QUICK
@given(SEEDS, st.sampled_from(["self", "previous"]))
def test_named_place_loop_equals_vectorised(seed: int, query: str) -> None:
    captured = copied(capture(seed, layers=2, heads=2, spec=AttentionSpec(query=query)))
    where, weights = places(seed, captured), weights_of(captured.mask)
    rows, slow, seen, nats = loop_rows(captured), 0.0, 0, 0.0
    for n, t in captured.mask.nonzero().tolist():
        keys = captured.visual[n // 2].nonzero().flatten().tolist()
        inside = [k for k in keys if where[n, t, k]]
        if inside:
            costs = [
                -math.log(sum(float(r[n, t, k]) for k in inside) / sum(float(r[n, t, k]) for k in keys)) for r in rows
            ]
            slow += float(weights[n, t]) * sum(costs) / 2
            nats, seen = nats + sum(costs) / 2, seen + 1
    loss = named_place(captured, where, captured.mask, weights, coef=3.0)
    assert loss.value.item() == pytest.approx(3.0 * slow, rel=1e-6, abs=1e-9)
    assert float(loss.metrics["named_place"][0]) == pytest.approx(nats, rel=1e-5, abs=1e-6)
    assert int(loss.metrics["named_place"][1]) == seen
    assert [int(x) for x in loss.metrics["named_tokens"]] == [seen, int(captured.mask.sum())]


@pytest.mark.slow
def test_the_pull_has_the_gradient_of_finite_differences() -> None:
    captured = copied(capture(2, layers=2, heads=2))
    where, weights = places(2, captured), weights_of(captured.mask)

    def value(*tensors: Tensor) -> Tensor:
        return named_place(with_leaves(captured, tensors), where, captured.mask, weights).value

    assert torch.autograd.gradcheck(value, tuple(leaves(captured)))


def test_a_step_down_moves_attention_to_the_place() -> None:
    captured = copied(capture(4, heads=2))
    where, weights = places(4, captured), weights_of(captured.mask)
    loss = named_place(captured, where, captured.mask, weights)
    found = gradients(loss.value, leaves(captured))
    moved = with_leaves(captured, [x.detach() - 1e-2 * g for x, g in zip(leaves(captured), found, strict=True)])
    assert named_place(moved, where, captured.mask, weights).value < loss.value


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
def test_padding_and_tokens_without_a_place_change_nothing(padding: float) -> None:
    captured = copied(capture(5, layers=2, heads=2))
    where, weights = places(5, captured), weights_of(captured.mask)
    clean = named_place(captured, where, captured.mask, weights)
    spoilt = copied(captured, padding)
    dirty = named_place(spoilt, where | ~captured.mask[..., None], captured.mask, weights)
    assert torch.equal(clean.value, dirty.value) and clean.value > 0
    pairs = zip(gradients(clean.value, leaves(captured)), gradients(dirty.value, leaves(spoilt)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    none = named_place(captured, torch.zeros_like(where), captured.mask, weights)
    assert none.value == 0 and int(none.metrics["named_place"][1]) == 0
    assert not any(bool(g.any()) for g in gradients(none.value, leaves(captured)))


# ------------------------------------------------------------------------------------------------ the score function


def noise_on(captured: CapturedAttention, seed: int) -> Tensor:
    """Noise on the keys that each row may see, [L N C K]; none for one token."""
    rows = captured.rows()
    drawn = torch.randn(rows.shape, generator=torch.Generator().manual_seed(seed), dtype=rows.dtype)
    drawn[:, 0, 0] = 0.0
    return drawn * (rows > 0)


@QUICK
@given(SEEDS)
def test_explored_score_loop_equals_vectorised(seed: int) -> None:
    captured = copied(capture(seed, layers=2, heads=2))
    noise, weights, slow, size, seen = noise_on(captured, seed), weights_of(captured.mask), 0.0, 0.0, 0
    advantages = torch.randn(4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    prompt = captured.prompt_valid.shape[1]
    for n, t in captured.mask.nonzero().tolist():
        b, g = divmod(n, 2)
        tried = [(at, k) for at in range(2) for k in range(noise.shape[-1]) if noise[at, n, t, k]]
        for at, k in tried:
            layer = captured.layers[at]
            heads = [(h, r) for h in range(layer.query.shape[1]) for r in range(layer.query.shape[2])]
            logit = 0.0
            for h, r in heads:
                key = layer.prompt_keys[b, h, k] if k < prompt else layer.response_keys[b, h, g, k - prompt]
                logit += captured.scaling * float((layer.query[b, h, r, g, t] @ key).detach()) / len(heads)
            slow -= float(weights[n, t] * advantages[n]) * float(noise[at, n, t, k]) * logit / 0.7**2
            size += float(noise[at, n, t, k]) ** 2 / 0.7**2
        seen += bool(tried)
    loss = explored_score(captured, noise, advantages, captured.mask, weights, coef=3.0, sigma=0.7)
    assert loss.value.item() == pytest.approx(3.0 * slow, rel=1e-9, abs=1e-12)
    total, count = loss.metrics["explored_noise"]
    assert float(total) == pytest.approx(size, rel=1e-5) and int(count) == seen


def test_the_score_has_the_gradient_of_finite_differences() -> None:
    captured = copied(capture(2, layers=2, heads=2))
    noise, weights = noise_on(captured, 2), weights_of(captured.mask)
    advantages = torch.tensor([1.0, -0.5, 0.3, -0.8], dtype=torch.float64)

    def value(*tensors: Tensor) -> Tensor:
        moved = with_leaves(captured, tensors)
        return explored_score(moved, noise, advantages, captured.mask, weights, sigma=0.7).value

    assert torch.autograd.gradcheck(value, tuple(leaves(captured)))


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
def test_padding_does_not_change_the_score(padding: float) -> None:
    captured = copied(capture(5, layers=2, heads=2))
    noise, weights = noise_on(captured, 5), weights_of(captured.mask)
    advantages = torch.tensor([1.0, -0.5, 0.3, -0.8], dtype=torch.float64)
    clean = explored_score(captured, noise, advantages, captured.mask, weights)
    spoilt = copied(captured, padding)
    anchor = noise.masked_fill(~captured.mask[None, :, :, None], padding)
    dirty = explored_score(spoilt, anchor, advantages, captured.mask, weights)
    assert torch.equal(clean.value, dirty.value) and clean.value != 0
    pairs = zip(gradients(clean.value, leaves(captured)), gradients(dirty.value, leaves(spoilt)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def one_row(phi: Tensor, offsets: Tensor, count: int) -> CapturedAttention:
    """`count` responses of one token, whose heads have the logits phi + offset on the prompt's keys, all visual."""
    keys = len(phi)
    query = (phi + offsets)[None, :, None, None, None].expand(1, len(offsets), 1, count, 1, keys)
    prompt = torch.eye(keys, dtype=phi.dtype).expand(1, len(offsets), keys, keys)
    own = torch.zeros(1, len(offsets), count, 1, keys, dtype=phi.dtype)
    whole, mask = torch.ones(1, keys, dtype=torch.bool), torch.ones(count, 1, dtype=torch.bool)
    return CapturedAttention((QueriesAndKeys(query, prompt, own),), whole, whole, mask, 1.0, AttentionSpec())


@pytest.mark.parametrize("baseline", [0.0, 0.7])
def test_on_a_bandit_the_score_is_the_gradient_of_the_expected_reward_whatever_the_baseline(baseline: float) -> None:
    """Two heads, five keys, three answers, noise of one logit: far beyond first order, and no bias is left.

    The truth is the gradient through the noise (the same 200,000 pairs of opposite ones); answers are summed exactly.
    """
    generator = torch.Generator().manual_seed(0)
    phi = torch.randn(5, generator=generator, dtype=torch.float64).requires_grad_()
    offsets = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    odds = torch.softmax(2 * torch.randn(5, 3, generator=generator, dtype=torch.float64), -1)
    rewards, sigma = torch.tensor([1.0, 0.0, 0.4], dtype=torch.float64), 1.0
    half = sigma * torch.randn(200_000, 5, generator=generator, dtype=torch.float64)
    noise = torch.cat([half, -half])
    tried = torch.softmax(phi + offsets[:, None] + noise, -1).mean(0)  # [N K]: attention, mean over heads
    expected = tried @ odds @ rewards  # summed over the answers
    (true,) = torch.autograd.grad(expected.mean(), [phi])
    captured, count = one_row(phi, offsets, len(noise)), len(noise)
    recorded = torch.nn.functional.pad(noise, (0, 1))[None, :, None]  # [1 N 1 K + 1], none on the own token
    weights = torch.full((count, 1), 1 / count, dtype=torch.float64)
    advantages = expected.detach() - baseline
    loss = explored_score(captured, recorded, advantages, captured.mask, weights, sigma=sigma)
    (found,) = torch.autograd.grad(loss.value, [phi])
    assert (-found - true).norm() < 0.02 * true.norm()
    ones = torch.ones(count, dtype=torch.float64)
    (bias,) = torch.autograd.grad(
        explored_score(one_row(phi, offsets, count), recorded, ones, captured.mask, weights, sigma=sigma).value, [phi]
    )
    assert bias.norm() < 1e-9  # opposite noises cancel exactly; a divergence leaves its own
    p = torch.softmax(phi + offsets, -1).mean(0)
    apart = jsd(p.expand_as(tried), tried.detach())
    signal, own_bias = (
        torch.autograd.grad((a * apart).mean(), [phi], retain_graph=True)[0] for a in (advantages, ones)
    )
    assert own_bias.norm() > 0.1 * signal.norm()


def test_directions_by_hand() -> None:
    captured = one_row(torch.tensor([1.0, 2.0]), torch.tensor([[0.0, 0.0], [1.0, -1.0]]), 1)
    d = torch.tensor([3.0, 5.0, 0.0])[None, None, None]
    found = mean_scores(captured, d, captured.mask)  # mean logits 1.5 and 1.5
    torch.testing.assert_close(found, torch.tensor([[[12.0]]]))


# ---------------------------------------------------------------------------------------------------- the passes


def test_tokens_of_a_direction_get_the_visual_token_of_the_cell_they_name(tmp_path: Path) -> None:
    policy = load("assets/path_student")
    examples = list(source("validation", root=tmp_path, sizes={"validation": 3}, seed=3, kinds=("arrows", "handed")))
    factor = policy.processor.patches.factor
    reader = MediaReader(MediaSettings(image_min_pixels=factor**2, video_min_pixels=factor**2, factor=factor))
    media = [[reader.read(medium) for medium in e.media] for e in examples]
    prepared = policy.prepare(policy.processor.batch(examples, [render(e, "mini") for e in examples], media))
    rollout = written(policy.processor, prepared, [target(e, thinking=True) for e in examples])
    experience = Experience(prepared, rollout, torch.zeros(3), torch.zeros(rollout.token_ids.shape))
    found = named(named_cells, experience, policy.processor)
    assert found.shape == (*rollout.token_ids.shape, prepared.visual.shape[1])
    assert not (found & ~prepared.visual[:, None]).any() and not found[~rollout.trainable].any()
    for n, example in enumerate(examples):
        at = found[n].any(-1).nonzero().flatten().tolist()
        words = policy.processor.decode(rollout.token_ids[n, at].tolist()).split()
        assert words == [step.text.split()[-1] for step in example.steps]
        slots, height, width = prepared.prompts.grids[n][0]
        first = int(prepared.visual[n].nonzero()[0])
        for t, step in zip(at, example.steps, strict=True):
            left, top, _, _ = step.boxes[0]
            cell = round(top * height) * width + round(left * width)
            assert (found[n, t].nonzero().flatten() - first).tolist() == [
                cell + height * width * s for s in range(slots)
            ]


def everything(example: Example, text: str, *, wrong: bool) -> list[tuple[int, int, tuple[float, ...]]]:
    """All words of any response have to look at the left half, or at the right one."""
    return [(0, len(text) + 1, (0.5, 0.0, 1.0, 1.0) if wrong else (0.0, 0.0, 0.5, 1.0))]


def test_a_run_is_pulled_from_its_first_update_on(run: Callable[..., Path], small: list[str]) -> None:
    given = ["algo=ral_oracle", "algo.passes.places._target_=test_looking.everything", *small]
    found = []
    for wrong in ("false", "true"):
        folder = run(*given, f"algo.passes.places.wrong={wrong}", "diagnostics.every=1", "max_steps=1", folder=wrong)
        found.append(json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1]))
    assert all(line["train/named_tokens"] == 1.0 for line in found)
    assert all(line["train/grad_norm_named_place_update_1"] > 1e-6 for line in found)
    assert found[0]["train/named_place"] != found[1]["train/named_place"]


def test_a_term_without_the_passes_that_know_places_is_refused(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match="asks for the signal 'named', which is not among those"):
        run("algo=ral_oracle", "algo.passes=null", *small)


def test_without_the_term_no_place_is_looked_up(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ral.learner.experience.Forward.live", lambda self, model, experience, needs: {"mask": None})
    passes = NamedPlaces(1.0, AttentionSpec(), lambda example, text: pytest.fail("asked"))
    assert passes.live(load(), None, frozenset({"log_probs"})) == {"mask": None}  # type: ignore[arg-type]
