"""Tensors without memory: which numbers are known beside them, and that their bytes are those of a real run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import make_prompts
from peak_memory import PeakMemory
from test_models_compute import objective_of
from torch import nn

from ral.checks import fake_parts as parts
from ral.checks.shapes import shapes_only
from ral.learner.experience import Experience, Forward, PassSize, freeze, portions, remember
from ral.learner.models import Models, free_gathered
from ral.models.filling import fill
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.sharding import shard_layers
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import evaluate, needed
from ral.rollout.single_answers import make_rollout


def test_integers_are_computed_and_real_numbers_have_shapes_alone() -> None:
    with shapes_only() as mode:
        mask = torch.arange(6) % 3 > 0
        weights = torch.rand(6, 1000, 1000)
        assert int(mask.sum()) == 4 and weights[mask].shape == (4, 1000, 1000)
        assert mask.nonzero().flatten().tolist() == [1, 2, 4, 5] and mode.assumed == set()
        mask[0] = True
        assert int(mask.sum()) == 5


def test_what_depends_on_real_numbers_is_assumed_and_named() -> None:
    with shapes_only() as mode:
        weights = torch.rand(3, 2)
        assert float(weights.sum()) == 1.0 and bool(weights.isfinite().all())
        assert (weights > 0.5).tolist() == [[True, True]] * 3 and weights[weights > 0.5].shape == (6,)
        ids = torch.arange(3)
        ids[0] = weights.argmax()
        assert ids.tolist() == [1, 1, 2]
        written = {"aten.copy_.default"}
        assert mode.assumed == {"item of torch.float32", "item of torch.bool", "list of torch.bool", "index"} | written


def test_bytes_are_counted_until_the_last_view_is_gone_and_when_a_storage_grows() -> None:
    with shapes_only() as mode:
        whole = torch.empty(10**9)
        part = whole[:10]
        del whole
        assert mode.live == 4 * 10**9
        part.untyped_storage().resize_(8)
        assert mode.live == 8 and mode.most == 4 * 10**9
        mode.restart()
        del part
        assert (mode.live, mode.most) == (0, 8)


def update(model: MLLM) -> None:
    """Make the frozen pass of a reference, an update's passes, and the optimizer's step, all on one prompt."""
    prepared = model.prepare(make_prompts(model, (("image",) * 8,)))
    ids = torch.full((4, 32), 7)
    mask = torch.ones_like(ids, dtype=torch.bool)
    rollout = make_rollout(model.processor, prepared, ids, mask, mask.any(1), 4)
    batch = Experience(prepared, rollout, torch.linspace(-1, 1, 4), sequence_mean(mask, counts(mask)))
    objective, passes = objective_of("ral"), Forward(0.9, AttentionSpec())
    needs, views = needed(objective.values()), {"reference": View(model, prepared)}
    optimizer = torch.optim.AdamW([p for _, p in model.trained_parameters()], fused=True)
    for part in freeze(passes, views, batch, needs, portions(prepared, rollout, PassSize())):
        live = passes.live(model, part, needs)
        signals = {**remember(part, live, needs).signals, **live}
        torch.stack([evaluate(term, signals).value for term in objective.values()]).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_an_update_takes_the_bytes_that_it_takes_for_real(checkpointing: bool, load: Callable[..., MLLM]) -> None:
    real = load()
    folder = real.network.name_or_path
    fake = parts.load(folder)
    for model in (real, fake):
        if checkpointing:
            model.checkpoint_layers()
    fake.processor = real.processor
    with PeakMemory() as memory:
        update(real)
    with shapes_only() as mode, parts.without_numbers(mode):
        fill({"policy": fake}, torch.device("cpu"))
        weights = mode.live
        assert weights == sum(p.nbytes for p in real.parameters())
        mode.restart()
        update(fake)
    assert mode.most - weights == pytest.approx(memory.most, rel=0.02)


def root_is_whole(model: MLLM) -> bool:
    """Tell whether a sharded model holds whole weights outside of its layers."""
    return not hasattr(model.network.lm_head.weight, "to_local")


@pytest.mark.parametrize("needs", [frozenset(), frozenset({"reference_head"})])
def test_a_frozen_model_frees_what_it_gathered_unless_its_head_is_read(
    needs: frozenset[str], load: Callable[..., MLLM]
) -> None:
    policy = load()
    models = Models(policy, {"reference": policy.frozen_copy()})
    reference = models.with_weights()["reference"]
    with parts.pretended_ranks(2) as mesh, torch.no_grad():
        shard_layers(reference, mesh)
        prepared = reference.prepare(make_prompts(policy, (("image",),)))
        ids = torch.full((2, 4), 7)
        reference.states(prepared, ids, ids > 0, None)
        assert root_is_whole(reference)
        free_gathered(models, needs)
        assert root_is_whole(reference) is bool(needs)


def test_the_first_of_several_ranks_holds_its_shards(model_folder: Callable[[], object]) -> None:
    model = parts.load(str(model_folder()))
    whole = sum(p.numel() for p in model.parameters()) * 4
    with parts.pretended_ranks(4) as mesh, shapes_only() as mode, parts.without_numbers(mode):
        shard_layers(model, mesh)
        fill({"policy": model}, torch.device("cpu"))
        assert mode.live == pytest.approx(whole / 4, rel=0.05)


def of_kind(blocks: nn.ModuleList) -> list[int]:
    """Return the kinds of a vision tower's blocks by their identity, for comparison."""
    return [id(block) for block in blocks]


def test_a_vision_tower_keeps_one_block_of_each_kind(model_folder: Callable[[], object]) -> None:
    model = parts.load(str(model_folder()))
    tower = model.network.model.visual
    windowed = next(n for n in range(len(tower.blocks)) if n not in tower.fullatt_block_indexes)
    kept = [tower.blocks[windowed], tower.blocks[tower.fullatt_block_indexes[0]]]
    parts.shortened(model)
    assert of_kind(tower.blocks) == [id(block) for block in kept] and tower.fullatt_block_indexes == [1]
