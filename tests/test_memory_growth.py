"""The peak memory of an update grows with the tokens of a pass, not with their square."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import make_prompts
from peak_memory import PeakMemory
from test_models_compute import objective_of

from ral.learner.experience import Experience, Forward, PassSize, freeze, portions, remember
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import evaluate, needed
from ral.rollout.single_answers import make_rollout

AXES = {
    "prompt": [(pictures, 4, 16) for pictures in (40, 80, 160)],
    "group": [(40, group, 64) for group in (4, 8, 16)],
    "response": [(40, 4, length) for length in (64, 128, 256)],
}
"""(pictures of the prompt, six tokens each; responses; tokens of each), doubled twice."""


def peak(model: MLLM, algo: str, pictures: int, group: int, length: int, size: PassSize = PassSize()) -> int:  # noqa: B008 - frozen
    """The most bytes of tensors at once in an update of one prompt, frozen passes and backward passes included."""
    prepared = model.prepare(make_prompts(model, (("image",) * pictures,)))
    ids = torch.randint(5, 250, (group, length), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids, dtype=torch.bool)
    rollout = make_rollout(model.processor, prepared, ids, mask, mask.any(1), group)
    batch = Experience(prepared, rollout, torch.linspace(-1, 1, group), sequence_mean(mask, counts(mask)))
    objective, passes = objective_of(algo), Forward(0.9, AttentionSpec())
    needs, views = needed(objective.values()), {"reference": View(model.frozen_copy(), prepared)}
    model.zero_grad()
    with PeakMemory() as memory:
        for part in freeze(passes, views, batch, needs, portions(prepared, rollout, size)):
            live = passes.live(model, part, needs)
            signals = {**remember(part, live, needs).signals, **live}
            torch.stack([evaluate(term, signals).value for term in objective.values()]).sum().backward()
            del live, signals
    return memory.most


def growth(sizes: list[int]) -> float:
    """What the second doubling adds, as a multiple of what the first adds: 2 where linear, 4 where quadratic."""
    return (sizes[2] - sizes[1]) / (sizes[1] - sizes[0])


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("algo", ["grpo", "ral"])
def test_peak_memory_is_linear_in_tokens(algo: str, checkpointing: bool, load: Callable[..., MLLM]) -> None:
    """RAL over response tokens alone has a quadratic part: the rows [C, P + C] of Eq. 2, which it learns from."""
    model = load()
    if checkpointing:
        model.checkpoint_layers()
    found = {name: [peak(model, algo, *cell) for cell in cells] for name, cells in AXES.items()}
    print(
        algo, checkpointing, {name: ([f"{b / 1e6:.2f}" for b in v], round(growth(v), 2)) for name, v in found.items()}
    )
    assert all(1.9 < growth(sizes) < 2.15 for name, sizes in found.items() if (algo, name) != ("ral", "response"))
    assert growth(found["response"]) < 3


def test_parts_of_a_group_take_less_memory(load: Callable[..., MLLM]) -> None:
    """One response a pass instead of eight: the prompt's share stays, that of seven responses goes."""
    model = load()
    whole, halves, single = (peak(model, "ral", 40, 8, 64, PassSize(1, part)) for part in (None, 4, 1))
    assert single < 0.7 * halves < 0.7 * whole
