"""The gradient of a trained vision tower: the same in any micro-batches, by one backward pass through the tower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from test_models_compute import flatter, objective_of
from test_trajectories import a_case
from torch import Tensor

from ral.algorithms.views import masked_patches
from ral.checks.fake_parts import PlainBackend
from ral.learner.diagnostics import Diagnostics, TermGradients
from ral.learner.experience import Experience, Forward, PassSize, freeze, portions, remember
from ral.learner.guard import Guard
from ral.learner.models import Models
from ral.learner.moved_share import Moved
from ral.learner.objective import Objective
from ral.learner.update import Schedule, Update
from ral.learner.vision_gradient import copied
from ral.models.mllm import MLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.rollout.turns import assemble

SIZES = (PassSize(2), PassSize(1), PassSize(2, 1), PassSize(1, 1))
"""One, two, two and four micro-batches of two prompts with two responses each."""


@dataclass
class Passes:
    """Passes of the first block of a vision tower: with a graph, and backward."""

    forward: int = 0
    backward: int = 0


@contextmanager
def passes_of_the_tower(model: MLLM) -> Iterator[Passes]:
    """Count the passes of the vision tower in the block, by hooks."""
    block, passes = model.network.model.visual.blocks[0], Passes()

    def forward(*_: object) -> None:
        passes.forward += torch.is_grad_enabled()

    def backward(*_: object) -> None:
        passes.backward += 1

    hooks = [block.register_forward_hook(forward), block.register_full_backward_hook(backward)]
    yield passes
    for hook in hooks:
        hook.remove()


def update_of(model: MLLM) -> Update:
    """The token term, PAPO's on both views, and RAL's attention term."""
    papo = objective_of("papo")
    terms = {name: papo[name] for name in ("token", "perception", "double_entropy")}
    terms |= {"attention": objective_of("ral")["attention"]}
    objective = Objective(terms, Forward(0.9, AttentionSpec()), torch.neg, sequence_mean)
    schedule = Schedule(2, lambda _: 1.0, 1.0)
    return Update(Models(model), objective, schedule, Diagnostics(), Guard(Path("nowhere"), 0), Moved(0))


def batch_of(model: MLLM) -> Experience:
    """A picture and a clip, both views; trajectories of one to three turns with pictures and a clip of their own."""
    case = a_case(model)
    rollout = assemble(model.processor, case.prompts, case.trajectories)
    prepared, mask = model.prepare(case.prompts), rollout.trainable
    second = masked_patches(case.prompts, model.processor.patches, 3, share=0.6)
    views = Models(model).views((), case.prompts, prepared, rollout, second)
    return Experience(
        prepared,
        rollout,
        torch.tensor([1.0, -0.5, -1.5, 0.7]),
        sequence_mean(mask, counts(mask)),
        shown=views.policy.shown,
        second=views.frozen["view"].prepared,
    )


def moved_since(part: Experience, update: Update) -> Experience:
    """A micro-batch with signals of an old policy that differs from the model."""
    with torch.no_grad():
        live = update.objective.passes.live(update.models.policy, part, update.objective.needs)
    old = remember(part, live, update.objective.needs).signals
    changed = {"old_log_probs": old["old_log_probs"] * 0.9 + 0.01, "old_rows": flatter(old["old_rows"])}
    return replace(part, signals=old | changed)


@dataclass
class Found:
    """Gradients of an update by weight, those of each term, and the passes of the tower."""

    grads: dict[str, Tensor]
    terms: dict[str, list[Tensor]]
    passes: Passes


def gradients(model: MLLM, size: PassSize, measured: bool) -> Found:
    """The gradients of a second update in micro-batches of a size. measured: whether each term's is measured."""
    update, named = update_of(model), dict(model.trained_parameters())
    model.zero_grad()
    with passes_of_the_tower(model) as passes:
        batch = batch_of(model)
        places = portions(batch.prepared, batch.rollout, size)
        parts = freeze(update.objective.passes, {}, batch, frozenset(), places)
        parts = [moved_since(part, update) for part in parts]
        measure = TermGradients(update.objective.terms, measured)
        update.add_gradients(parts, 1, 0, PlainBackend(None, 1, True), measure)
    assert {p.requires_grad for p in named.values()} == {True}
    return Found({n: p.grad.clone() for n, p in named.items() if p.grad is not None}, measure.sums, passes)


def distance(found: list[Tensor], wanted: list[Tensor]) -> float:
    """Length of the difference of two gradients, each as one vector, relative to the second."""
    one, other = (torch.cat([g.double().flatten() for g in grads]) for grads in (found, wanted))
    return float((one - other).norm() / other.norm())


FAMILIES = pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])


@FAMILIES
def test_any_micro_batches_make_the_same_gradient_by_one_pass_through_the_tower(
    family: str, load: Callable[..., MLLM]
) -> None:
    """Of pictures and clips of the prompts, of their second view and of turns; Qwen3-VL: in deeper layers too."""
    model = load(family, freeze_vision=False)
    whole, *cut = (gradients(model, size, measured=False) for size in SIZES)
    towers = [name for name in whole.grads if "visual" in name]
    assert whole.passes == Passes(6, 6) and len(towers) > 20
    for found in cut:
        assert found.passes == Passes(6, 6)  # pictures and clips: of the prompts, of their second view, of the turns
        assert found.grads.keys() == whole.grads.keys()
        apart = {name: distance([grad], [whole.grads[name]]) for name, grad in found.grads.items()}
        assert max(apart.values()) <= 3e-6, apart
        for names in (towers, list(whole.grads)):
            assert distance(*([grads[name] for name in names] for grads in (found.grads, whole.grads))) <= 1e-6


@FAMILIES
def test_gradients_of_terms_pass_through_the_tower_once_a_term(family: str, load: Callable[..., MLLM]) -> None:
    """They are those of one micro-batch, and add up to the update's gradient; two terms read both views."""
    model = load(family, freeze_vision=False)
    whole, *cut = (gradients(model, size, measured=True) for size in SIZES)
    for found in (whole, *cut):
        assert found.passes == Passes(6, 6 + 2 * 6 + 2 * 4)
        added = [torch.stack(each).sum(0) for each in zip(*found.terms.values(), strict=True)]
        assert distance(added, list(found.grads.values())) <= 1e-6
        assert all(distance(grads, whole.terms[name]) <= 3e-6 for name, grads in found.terms.items())


def test_a_frozen_tower_has_no_copies(load: Callable[..., MLLM]) -> None:
    part = batch_of(load())
    read, copies = copied(part)
    assert copies.leaves == [] and read.prepared.seen.states is part.prepared.seen.states
