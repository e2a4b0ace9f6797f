"""PAPO, VPPO, EASE, evidence distillation, attention-weighted advantages: hand numbers, views, placebos, runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import torch
from conftest import MIXED, make_prompts, native
from ops_reference import capture, copied, loop_rows
from PIL import Image
from torch import Tensor

from ral.algorithms.views import blackened, evidence_alone, masked_patches
from ral.learner import placebo
from ral.learner.experience import Experience, Forward, PassSize, freeze, of_responses, portions
from ral.learner.models import Models
from ral.learner.objective import Objective
from ral.learner.placebo import Place, around, place, rectangle
from ral.learner.signs import FIRST, History, no_evidence
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.entropy import entropy
from ral.ops.objectives import token, token_distillation
from ral.ops.perception import (
    dependence,
    dependence_shape,
    double_entropy,
    evidence_attention,
    evidence_distillation,
    implicit_perception,
    look_weights,
    looking_token,
    perceptive_token,
    pivotal,
)
from ral.types import PromptBatch, UserError

NAMES = ("papo", "vppo", "ease", "evidence_distill", "attention_advantage")
OF_EVIDENCE = ("ease", "evidence_distill", "attention_advantage")
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl")
MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]]).bool()


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Log-probs, old log-probs, those of the second view, advantages, weights of four responses to two prompts."""
    weights = sequence_mean(MASK, counts(MASK)).double()
    return *(normal(seed + n, 4, 3) / 2 for n in range(3)), normal(seed + 3, 4), weights  # type: ignore[return-value]


# ------------------------------------------------------------------------------------------------------ the terms


def test_implicit_perception_by_hand() -> None:
    """k3 of log-ratio ln 2 is 2 - ln 2 - 1, of -ln 2 it is 1/2 + ln 2 - 1; the loss falls as the views part."""
    full = torch.tensor([[-1.0, -1.0]], dtype=torch.float64).requires_grad_()
    masked = torch.tensor([[math.log(2) - 1, -math.log(2) - 1]], dtype=torch.float64).requires_grad_()
    one = torch.ones(1, 2, dtype=torch.float64)
    loss = implicit_perception(full, masked, one.bool(), one, coef=0.5)
    assert loss.value.item() == pytest.approx(-0.5 * (0.5 - 0.0))
    assert float(loss.metrics["view_kl"][0]) == pytest.approx(0.5)
    ours, theirs = torch.autograd.grad(loss.value, [full, masked])  # both views move, in opposite directions
    torch.testing.assert_close(ours, torch.tensor([[0.5, -0.25]], dtype=torch.float64))
    torch.testing.assert_close(theirs, -ours)


def test_two_entropies_are_penalised() -> None:
    hidden, masked = normal(0, 4, 3, 5).float(), normal(1, 4, 3, 5).float()
    weights, none = sequence_mean(MASK, counts(MASK)), torch.zeros(5, dtype=torch.bool)
    args = (lambda h: h, none, 0.9, MASK, weights)
    found = double_entropy(hidden, masked, *args, coef=0.03).value
    both = sum(-entropy(x, *args, coef=1.0).value for x in (hidden, masked))
    assert found.item() == pytest.approx(0.03 * float(both), rel=1e-5) and found > 0
    moved = hidden.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(double_entropy(moved, masked, *args).value, [moved])
    assert double_entropy(hidden - gradient, masked, *args).value < double_entropy(hidden, masked, *args).value


def test_pivotal_tokens_by_hand() -> None:
    values = torch.tensor([[0.1, 3.0, 2.0], [1.0, 1.0, 9.0], [0.0, 9.0, 9.0], [5.0, 4.0, 6.0]])
    assert pivotal(values, MASK, 0.4).int().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0], [1, 0, 1]]
    assert pivotal(values, MASK, 1.0).equal(MASK)


def test_dependence_and_its_shape_by_hand() -> None:
    """Two groups: means 1 and 3 become 0.9 and 1.1 (on average 1); equal ones stay 1."""
    old = torch.tensor([[0.0, 0.0, 9.0], [0.0, 30.0, 0.0]])
    found = dependence(old, torch.zeros(2, 3), torch.tensor([[1, 1, 0], [1, 1, 1]]).bool())
    assert found.tolist() == [[0.0, 0.0, 0.0], [0.0, 10.0, 0.0]]  # 29 nats, cut
    values = torch.tensor([[1.0, 1.0, 1.0], [3.0, 3.0, 0.0], [2.0, 0.0, 0.0], [2.0, 2.0, 2.0]])
    shape = dependence_shape(values, MASK, 2, 0.9)
    torch.testing.assert_close(shape, torch.tensor([0.9, 1.1, 1.0, 1.0]))
    three = dependence_shape(torch.tensor([[0.0], [1.0], [4.0]]), torch.ones(3, 1, dtype=torch.bool), 3, 0.9)
    torch.testing.assert_close(three, torch.tensor([0.9, 0.9 + 0.1 * 0.25 / (5 / 12), 0.9 + 0.1 / (5 / 12)]))
    assert three.mean().item() == pytest.approx(1.0)


def test_vppo_is_the_policy_loss_of_the_chosen_tokens() -> None:
    log_probs, old, view, advantages, weights = batch()
    found = perceptive_token(log_probs, old, view, advantages, MASK, weights, 2, share=0.4, least=0.9)
    values, slow = dependence(old, view, MASK), 0.0
    shape = dependence_shape(values, MASK, 2, 0.9)
    for n in range(4):
        at = sorted((t for t in range(3) if MASK[n, t]), key=lambda t: -float(values[n, t]))
        for t in at[: math.ceil(0.4 * len(at))]:
            r, a = math.exp(float(log_probs[n, t] - old[n, t])), float(advantages[n])
            slow -= float(weights[n, t] * shape[n]) * min(r * a, min(max(r, 0.8), 1.2) * a)
    assert found.value.item() == pytest.approx(slow)
    assert found.metrics["pivotal_tokens"][0] == 6 and found.metrics["pivotal_tokens"][1] == 9
    plain = perceptive_token(log_probs, old, view, advantages, MASK, weights, 2, share=1.0, least=1.0)
    assert plain.value.item() == pytest.approx(float(token(log_probs, old, advantages, MASK, weights).value))


def test_tokens_that_look_weigh_more() -> None:
    """Shares 0.6, 0.2, 0.1 on the evidence: mean 0.3; without evidence every weight is 1."""
    rows = torch.zeros(1, 4, 3, 5)
    rows[0, 0, :, 1] = torch.tensor([0.6, 0.2, 0.1])
    rows[0, 1, :, 1] = torch.tensor([0.6, 0.0, 0.7])  # the third is padding
    evidence = torch.tensor([[0, 1], [0, 1], [0, 0], [0, 0]]).bool()
    found = look_weights(rows, evidence, MASK, 5.0)
    torch.testing.assert_close(found[0], torch.tensor([2.0, 2 / 3, 1 / 3]))
    torch.testing.assert_close(found[1, :2], torch.tensor([2.0, 0.0]))
    assert found[2:].equal(torch.ones(2, 3)) and look_weights(rows, evidence, MASK, 1.5)[0, 0] == 1.5
    log_probs, old, _, advantages, weights = batch()
    term = looking_token(log_probs, old, rows.double(), evidence, advantages, MASK, weights)
    plain = token(log_probs, old, advantages, MASK, weights * look_weights(rows.double(), evidence, MASK, 5.0))
    assert term.value.item() == pytest.approx(float(plain.value)) and term.metrics["evidence_tokens"][0] == 5


def test_evidence_attention_loop_equals_vectorised() -> None:
    captured = copied(capture(3, layers=2, heads=2, spec=AttentionSpec(query="previous")))
    mask, count = captured.mask, len(captured.mask)
    visual = captured.visual.repeat_interleave(count // len(captured.visual), 0)
    evidence = visual & (visual.cumsum(1) == 1)  # one visual token of each prompt
    evidence[-1] = False
    advantages = torch.linspace(1, -1, count, dtype=torch.float64) + 0.1
    weights = sequence_mean(mask, counts(mask)).double()
    found = evidence_attention(captured, evidence, advantages, mask, weights, coef=3.0, smooth=0.2)
    rows, slow = loop_rows(captured), 0.0
    for n, t in mask.nonzero().tolist():
        if advantages[n] <= 0 or not evidence[n].any():
            continue
        keys = visual[n].nonzero().squeeze(-1)
        for layer in range(2):
            p = rows[layer, n, t, keys] / rows[layer, n, t, keys].sum()
            q = 0.8 * evidence[n, keys].double() / evidence[n].sum() + 0.2 / len(keys)
            slow += 3.0 * float(weights[n, t]) * float((q * (q / p).log()).sum()) / 2
    assert slow > 0 and found.value.item() == pytest.approx(slow, rel=1e-5)
    assert evidence_attention(captured, evidence & False, advantages, mask, weights).value == 0
    assert evidence_attention(captured, evidence, -advantages.abs(), mask, weights).value == 0


def test_evidence_distillation_leaves_prompts_without_evidence_alone() -> None:
    student, teacher = normal(0, 4, 3, 5).float(), normal(1, 4, 3, 5).float()
    evidence = torch.tensor([[True], [True], [False], [False]])
    weights, none = sequence_mean(MASK, counts(MASK)), torch.zeros(5, dtype=torch.bool)
    rest = (none, 0.9, MASK, weights)
    found = evidence_distillation(student, lambda h: h, teacher, lambda h: h, evidence, *rest)
    some = MASK & evidence
    other = token_distillation(student, lambda h: h, teacher, lambda h: h, none, 0.9, some, weights)
    assert found.value.item() == pytest.approx(float(other.value)) and found.value > 0
    assert found.metrics["evidence_tokens"] == (5, 9)


# ------------------------------------------------------------------------------------------------ views, placebos


@pytest.mark.parametrize("family", FAMILIES)
def test_a_blackened_token_is_a_black_patch_of_the_pixels(load: Callable[..., MLLM], family: str) -> None:
    """The tensors are those of a picture that was painted black there before it was cut into patches."""
    model = load(family)
    settings, prompts = model.processor.patches, make_prompts(model, (("image",), ("video",)))
    grids = [grid for per in prompts.grids for grid in per]

    def hidden(prompt: int, medium: int, size: tuple[int, int, int]) -> Tensor:
        gone = torch.zeros(size, dtype=torch.bool)
        gone[0, 1, 2] = True
        return gone

    found = blackened(prompts, settings, hidden)
    black = -torch.tensor(settings.mean) / torch.tensor(settings.std)
    changed = 0
    for key, values in found.media.items():
        if not key.startswith("pixel_values"):
            assert values.equal(prompts.media[key])
            continue
        differs = values != prompts.media[key]
        changed += int(differs.any())
        if settings.tile is None:
            rows = differs.any(1).nonzero().squeeze(-1)
            grid = grids[0 if key == "pixel_values" else 1]
            # patch (row 1, column 2) of slot 0: second row of the token in column 1, first column of it
            assert rows.tolist() == [1 * settings.merge_size**2 + 2] and grid[2] > 1
            torch.testing.assert_close(values[rows[0]].view(3, -1), black[:, None].expand(3, values.shape[1] // 3))
        else:
            side = settings.patch_size
            tile = values[0, :, side : 2 * side, 2 * side : 3 * side]
            torch.testing.assert_close(tile, black[:, None, None].expand_as(tile))
            assert not differs[0, :, :side].any() and not differs[0, :, :, : 2 * side].any()
    assert changed == sum(key.startswith("pixel_values") for key in found.media)
    seen = model.prepare(found).seen.states - model.prepare(prompts).seen.states
    assert seen.abs().max() > 0


def test_random_patches_depend_on_seed_and_uid_alone(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts, settings = make_prompts(model, MIXED), model.processor.patches
    first, again, other = (masked_patches(prompts, settings, seed, share=0.6) for seed in (1, 1, 2))
    pixels = [p.media["pixel_values"] for p in (first, again, other)]
    assert pixels[0].equal(pixels[1]) and not pixels[0].equal(pixels[2])
    turned = make_prompts(model, MIXED[:1])
    alone = masked_patches(turned, settings, 1, share=0.6).media["pixel_values"]
    assert alone.equal(pixels[0][: len(alone)])  # the same uid, in another batch
    assert 0.3 < float((pixels[0] != prompts.media["pixel_values"]).any(1).float().mean()) < 0.9
    with pytest.raises(UserError, match=r"algo\.view\.share=0: write a share"):
        masked_patches(prompts, settings, 1, share=0)


def with_evidence(model: MLLM) -> PromptBatch:
    """Four prompts; the first two have evidence in one corner of their picture and of their clip."""
    prompts = make_prompts(model, MIXED)
    evidence = torch.zeros_like(prompts.evidence)
    for n in (0, 1):
        t, h, w = prompts.grids[n][0]
        own = torch.zeros(t, h, w, dtype=torch.bool)
        own[: max(t - 1, 1), 0, 0] = True
        evidence[n, prompts.visual[n].nonzero().squeeze(-1)[: own.numel()]] = own.flatten()
    return replace(prompts, evidence=evidence)


def test_the_evidence_alone_is_left(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts = with_evidence(model)
    found = evidence_alone(prompts, model.processor.patches, 0)
    for key in ("pixel_values", "pixel_values_videos"):
        kept = (found.media[key] == prompts.media[key]).all(1)
        n = 0 if key == "pixel_values" else 1
        count = math.prod(prompts.grids[n][0]) * 4
        tokens = prompts.evidence[n][prompts.visual[n]].repeat_interleave(4)
        assert kept[:count].equal(tokens) and kept[count:].all()  # media of prompts without evidence stay


def test_placebos_are_as_large_and_elsewhere(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts = with_evidence(model)
    assert place("true", prompts, 0).equal(prompts.evidence)
    for kind in ("centre", "random"):
        found = place(kind, prompts, 5)  # type: ignore[arg-type]
        assert found.sum(1).equal(prompts.evidence.sum(1)) and not (found & ~prompts.visual).any()
        assert found.equal(place(kind, prompts, 5)) and not found[2:].any()  # type: ignore[arg-type]
        assert kind == "random" or not found.equal(prompts.evidence)
    draws = {tuple(place("random", prompts, seed)[1].nonzero().flatten().tolist()) for seed in range(20)}
    assert len(draws) > 2
    shuffled = place("shuffled", prompts, 0)
    assert shuffled[:2].any(1).all() and not shuffled[2:].any()
    assert not place(
        "shuffled", replace(prompts, evidence=prompts.evidence * torch.tensor([[1], [0], [0], [0]]).bool()), 0
    ).any()


def test_a_shuffled_placebo_stands_where_the_other_prompt_has_its_evidence(load: Callable[..., MLLM]) -> None:
    """A picture of 2 x 2 tokens with the upper left one, a clip of 2 x 3 a slot with the lower right one of slot 0."""
    prompts = with_evidence(load())
    clip = prompts.visual[1].nonzero().squeeze(-1)
    assert prompts.grids[0] == ((1, 2, 2),) and prompts.grids[1][0][1:] == (2, 3)
    prompts.evidence[1] = False
    prompts.evidence[1, clip[5]] = True
    found = place("shuffled", prompts, 0)
    assert found[0, prompts.visual[0]].nonzero().flatten().tolist() == [3]
    assert found[1, clip].nonzero().flatten().tolist() == [0, 1]  # of the left half: the centre on its edge, too


def test_rectangles() -> None:
    tokens = torch.zeros(2, 4, 8, dtype=torch.bool)
    tokens[1, 1:3, 6:] = True
    assert around(tokens) == (0.75, 0.25, 1.0, 0.75)
    assert rectangle(around(tokens), (2, 4, 8)).equal(tokens.any(0).expand(2, 4, 8))
    small = rectangle((0.51, 0.51, 0.52, 0.52), (1, 4, 4))
    assert small.nonzero().tolist() == [[0, 2, 2]]


def test_ranks_agree_on_whose_evidence_a_prompt_gets(load: Callable[..., MLLM], monkeypatch) -> None:
    """Each of two ranks has one prompt of the two with evidence; together they find what one process does."""
    model = load()
    prompts = with_evidence(model)
    whole = place("shuffled", prompts, 0)
    parts = [replace(prompts._pick([n], 0)) for n in (0, 1)]
    told = [{placebo._key(p, 0): around(placebo._own(p, 0))} for p in parts]  # type: ignore[arg-type]
    monkeypatch.setattr(placebo, "gather", lambda mine: told)
    for n, part in enumerate(parts):
        assert place("shuffled", part, 0)[0].equal(whole[n])


# ------------------------------------------------------------------------------------------------------ the passes


@pytest.mark.parametrize("family", FAMILIES)
def test_signals_of_the_second_view_are_those_of_a_policy_that_sees_it(load: Callable[..., MLLM], family: str) -> None:
    model = load(family)
    prompts = make_prompts(model, (("image",), (), ("video",)))
    prepared = model.prepare(prompts)
    rollout = native(2, max_new_tokens=5)(model, prepared)
    second = masked_patches(prompts, model.processor.patches, 3, share=0.6)
    weights = sequence_mean(rollout.trainable, counts(rollout.trainable))
    passes = Forward(1.0, AttentionSpec())
    views = Models(model).views((), prompts, prepared, rollout, second)
    whole = Experience(prepared, rollout, torch.ones(6), weights, second=views.frozen["view"].prepared)
    needs = frozenset({"masked_log_probs", "masked_hidden", "view_log_probs"})
    alone = passes.frozen(View(model, model.prepare(second)), rollout, ("log_probs",))["log_probs"]
    original = passes.frozen(View(model, prepared), rollout, ("log_probs",))["log_probs"]
    assert (alone - original)[:2].abs().max() > 1e-4 and alone[2:4].equal(original[2:4])  # text has one view
    for size in (1, 3):
        for part in freeze(passes, views.frozen, whole, needs, portions(prepared, rollout, PassSize(size))):
            at = [int(e.uid) for e in part.prepared.prompts.examples]
            rows = torch.tensor([2 * n + g for n in at for g in (0, 1)])
            length = part.rollout.token_ids.shape[1]
            torch.testing.assert_close(part.signals["view_log_probs"], alone[rows, :length], rtol=0, atol=1e-5)
            live = passes.live(model, part, needs)
            torch.testing.assert_close(live["masked_log_probs"], alone[rows, :length], rtol=0, atol=1e-5)
            assert live["masked_log_probs"].requires_grad and live["masked_hidden"].requires_grad
            assert "masked_log_probs" not in passes.live(model, part, frozenset({"log_probs"}))


def test_evidence_follows_its_prompts_into_micro_batches(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts = with_evidence(model)
    prepared = model.prepare(prompts)
    rollout = native(2, max_new_tokens=3)(model, prepared)
    weights = sequence_mean(rollout.trainable, counts(rollout.trainable))
    moved = place("centre", prompts, 0)
    whole = Experience(prepared, rollout, torch.ones(8), weights, evidence=moved)
    for n in range(4):
        part = whole.take([n])
        width = part.prepared.token_ids.shape[1]
        assert of_responses(part).equal(moved[n : n + 1, -width:].repeat(2, 1))
    assert of_responses(replace(whole, evidence=None)).equal(prepared.evidence.repeat_interleave(2, 0))


def test_an_objective_says_whether_it_needs_the_second_view() -> None:
    rest = (Forward(1.0, AttentionSpec()), lambda r: r, lambda m, c: m)
    cheap = partial(implicit_perception, against="view")
    assert Objective({"p": implicit_perception}, *rest).frozen == {"view": ()}
    assert Objective({"p": cheap}, *rest).frozen == {"view": ("log_probs",)}
    live = Objective({"e": double_entropy}, *rest)
    assert live.frozen == {"view": ()}
    assert Objective({"v": perceptive_token}, *rest).frozen == {"old": ("log_probs",), "view": ("log_probs",)}
    assert Objective({"t": token}, *rest).frozen == {"old": ("log_probs",)}


def test_terms_that_find_nothing_are_told() -> None:
    history = History()
    for _ in range(FIRST):
        history.add({"train/evidence_tokens": 0.0, "train/view_kl": 0.1})
    assert "entries need the field evidence" in (no_evidence(history) or "")
    history.add({"train/evidence_tokens": 0.5, "train/view_kl": 0.0})
    assert no_evidence(history) is None
    for _ in range(FIRST):
        history.add({"train/view_kl": 0.0})
    assert "the second view is the first" in (no_evidence(history) or "")


# -------------------------------------------------------------------------------------------------------- the runs


def steps(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "train/loss" in line]


REWARD = ["reward.parts.accuracy.function._target_=scaling_parts.letters", "~reward.parts.accuracy.function.rules"]
"""A reward in which the answers of random weights differ."""
slow = pytest.mark.slow


@pytest.mark.parametrize("name", [n if n == "papo" else pytest.param(n, marks=slow) for n in NAMES])
def test_two_steps_and_micro_batches(name: str, run: Callable[..., Path], small: list[str]) -> None:
    given = [f"algo={name}", "algo.updates_per_rollout=2", "algo.group_size=4", *small, *REWARD, "eval.every=0"]
    found = [
        steps(run(*given, f"hardware.micro_batch_prompts={size}", "max_steps=1", folder=str(size))) for size in (1, 4)
    ]
    assert len(found[0]) == len(found[1]) == 1
    for key, value in found[0][0].items():
        if key.startswith("train/") and "time" not in key and "memory" not in key and "per_second" not in key:
            assert found[1][0][key] == pytest.approx(value, rel=2e-3, abs=2e-5), key
    assert found[0][0]["train/grad_norm"] > 0


ATTENTION = [
    "+algo.attention={_target_: ral.ops.objectives.attention_policy, _partial_: true, coef: 1.0, against: old, "
    "divergence: jsd}"
]
OWN = {
    "papo": (["kl", "perception", "double_entropy"], "view_kl"),
    "vppo": ([], "pivotal_tokens"),
    "ease": (["kl", "evidence_attention"], "evidence_attention"),
    "evidence_distill": (["kl", "evidence_distillation"], "evidence_distillation"),
    "attention_advantage": (["kl"], "evidence_tokens"),
}
"""Terms beside the token's, and a metric of the method above 0."""


@pytest.mark.parametrize("name", NAMES)
def test_each_method_goes_with_attention(name: str, run: Callable[..., Path], small: list[str]) -> None:
    """RAL's term of the second update has something to compare, and the method's own is there."""
    terms, metric = OWN[name]
    given = [f"algo={name}", *ATTENTION, f"algo.objective=[{','.join(['token', 'attention', *terms])}]"]
    small = [*small, *REWARD, "algo.updates_per_rollout=2", "algo.group_size=4", "algo.warmup=0"]
    (step,) = steps(run(*given, *small, "max_steps=1", "eval.every=0"))
    assert step["train/attention_divergence"] > 0 and step[f"train/{metric}"] > 0


@pytest.mark.parametrize(
    ("name", "places"),
    [("ease", ("true", "centre")), *(pytest.param(n, get_args(Place), marks=slow) for n in OF_EVIDENCE)],
)
def test_a_placebo_changes_the_update(
    name: str, places: tuple[str, ...], run: Callable[..., Path], small: list[str]
) -> None:
    one = ["algo.updates_per_rollout=1", "algo.group_size=4", "max_steps=1", "eval.every=0"]
    given = [f"algo={name}", *small, *REWARD, *one]
    key = {
        "ease": "train/evidence_attention",
        "evidence_distill": "train/evidence_distillation",
        "attention_advantage": "train/grad_norm",
    }[name]
    found = [steps(run(*given, f"algo.evidence={place}", folder=place))[0] for place in places]
    assert len({step[key] for step in found}) == len(places)


def test_what_reads_no_view_and_no_evidence_refuses_them(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match=r"algo.evidence=centre: no term of this algorithm reads the evidence"):
        run("algo=grpo", "algo.evidence=centre", *small)
    with pytest.raises(UserError, match=r"algo.evidence=middle is unknown: write true, centre, random, shuffled"):
        run("algo=ease", "algo.evidence=middle", *small)
    with pytest.raises(UserError, match=r"algo.perception reads the second view .*, and algo.view is not set"):
        run("algo=papo", "algo.view=null", *small)
    with pytest.raises(UserError, match=r"algo.view is set, and no term of algo.objective reads a second view"):
        run("algo=papo", "algo.objective=[token,kl]", *small)
    redraw = "algo.redraw={_target_: ral.learner.redraw.Redraw, rounds: 3}"
    with pytest.raises(UserError, match=r"algo.redraw and algo.view: prompts drawn again keep no pixels"):
        run("algo=vppo", redraw, *small)
    with pytest.raises(UserError, match=r"algo.perception.against='old' is unknown: write .*masked or .*view"):
        run("algo=papo", "algo.perception.against=old", *small)


def test_the_paper_codes_own_variant_makes_one_pass_a_rollout(run: Callable[..., Path], small: list[str]) -> None:
    given = ["algo=papo", "algo.perception.against=view", "algo.objective=[token,kl,perception]", "max_steps=1"]
    (step,) = steps(run(*given, "eval.every=0", *[s for s in small if not s.startswith("max_steps")]))
    assert step["train/view_kl"] > 0


@pytest.mark.parametrize(
    ("algo", "medium", "said"),
    [
        ("ease", {"path": "a.png", "data_type": "image"}, "has evidence .*, which algo.evidence_attention reads"),
        ("attention_advantage", {"path": "a.png", "data_type": "image"}, "has evidence .*, which algo.token reads"),
        ("evidence_distill", {"path": "a.png", "data_type": "image"}, "has evidence .*, which algo.* reads"),
        ("papo", {}, "has a picture or clip, which algo.view reads"),
        ("t_grpo", {"path": "a.png", "data_type": "image"}, "has a clip, which algo.temporal reads"),
        ("ral algo.attention_policy.keys=visual", {}, "has a picture or clip, which algo.attention_policy.keys=visual"),
    ],
)
def test_data_without_what_the_method_learns_from_are_refused(
    algo: str,
    medium: dict[str, str],
    said: str,
    run: Callable[..., Path],
    model_folder: Callable[..., Path],
    tmp_path: Path,
) -> None:
    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    entry = {"problem": "What is it?", "solution": "<answer>red</answer>", "problem_type": "free-form", **medium}
    (tmp_path / "own.json").write_text(json.dumps([entry] * 4))
    given = [f"dataset.path={tmp_path / 'own.json'}", f"model.pretrained={model_folder()}", "dataset=jsonl"]
    with pytest.raises(UserError, match=f"dataset: no entry of its training split that can be used {said}"):
        run(*f"algo={algo}".split(), *given, "algo.prompts_per_step=2", "eval.every=0", "max_steps=1")
