"""Planned memory against the truth: what autograd saves, steps on tensors without memory, and (slow) whole runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TEXTS, make_prompts

from ral.benches.plan import RUNS, memory
from ral.checks.recipes import checked, facts, markdown
from ral.learner.update import Update
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.fresh import write_model
from ral.models.mllm import MLLM
from ral.models.recipe import Sizes
from ral.planning import activations as act
from ral.planning.architecture import architecture_of
from ral.planning.plan import STAGES
from ral.planning.workload import Batch, Numbers, Training

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WIDE = Sizes(hidden=128, layers=4, heads=4, kv_heads=2, mlp=352, vision_hidden=32, vision_depth=1)
OPEN = 0.15
"""How far a plan may be from the truth, of the truth."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of a random model whose layers are wide enough that small tensors do not count."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            path = tmp_path_factory.mktemp(f"wide_{family}")
            made[family] = write_model(path, TEXTS, family=family, sizes=WIDE, seed=3, vocab_size=300)
        return made[family]

    return folder


def held(model: MLLM, group: int, length: int) -> tuple[int, int]:
    """Bytes that autograd holds at the end of a forward pass beside the weights, and the tokens of the pass."""
    prepared = model.prepare(make_prompts(model, (("image", "image"),)))
    ids = torch.randint(5, 200, (group, length), generator=torch.Generator().manual_seed(0))
    own = {p.untyped_storage().data_ptr() for p in model.network.parameters()}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        states = model.states(prepared, ids, torch.ones_like(ids, dtype=torch.bool), None)
    assert states.hidden.requires_grad
    return sum(s.nbytes() for s in found.values()), prepared.token_ids.shape[1] + ids.numel()


@pytest.mark.parametrize(
    ("family", "dtype"),
    [  # the tower of InternVL does not run in bf16 on a CPU
        *(("qwen2_5_vl", "float32"), ("qwen2_5_vl", "bfloat16"), ("qwen3_vl", "float32"), ("qwen3_vl", "bfloat16")),
        ("internvl", "float32"),
    ],
)
@pytest.mark.parametrize("rank", [0, 8])
def test_what_layers_hold_is_what_autograd_saves(
    wide: Callable[[str], Path], family: str, dtype: str, rank: int
) -> None:
    folder = str(wide(family))
    model = MLLM.load(folder, dtype=dtype, trained=not rank)
    if rank:
        add_adapters(model, Adapters(rank, 32, TARGETS))
    half = dtype == "bfloat16"
    numbers = Numbers(product=2 if half else 4, frozen=2 if half else 4, mixed=half)
    measured, tokens = held(model, group=4, length=32)
    planned = act.saved(architecture_of(folder), tokens, numbers, Training(rank=rank))
    assert planned == pytest.approx(measured, rel=OPEN)


def test_the_cache_and_the_rows_have_their_shapes() -> None:
    batch = Batch(prompts=2, micro=1, group=4, text=10, visual=90, response=65)
    decoder = architecture_of("assets/tiny").decoder
    assert act.rows(batch, 2) == 4 * 2 * 8 * 65 * 165
    assert act.cache(decoder, 2, batch, Numbers()) == 4 * 2 * 64 * 4 * 2 * (100 + 4 * 128)
    assert batch.tokens == 100 + 4 * 65 and batch.passes == 2


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("name", list(RUNS))
def test_the_peak_of_a_run_is_the_planned_one(name: str, tmp_path: Path) -> None:
    """In each rank's steps, and while its networks are made."""
    given = argparse.Namespace(output=tmp_path, hardware="cpu", shape="small", prompt_tokens=64)
    found = memory(given, name)
    print(f"{name}: {found}")
    assert found["memory"]["ratio"] == pytest.approx(1, abs=OPEN)
    assert found["load"]["ratio"] == pytest.approx(1, abs=OPEN)
    assert len(found["memory"]["measured_gb"]) == (2 if "2 ranks" in name else 1)


STEPS = {
    "adapters, checkpointing": ("lora.rank=8", "hardware.gradient_checkpointing=true"),
    "sharded": ("hardware=fsdp", "hardware.accelerator=cpu", "hardware.precision=32-true"),
}
"""Overrides of small steps on tensors without memory."""
FEW = (
    *("algo.prompts_per_step=2", "algo.group_size=4", "dataset.max_new_tokens=64", "algo.updates_per_rollout=2"),
    *("diagnostics.gradients=false", "dataset.source.grid=12", "dataset.source.clip_share=0"),
)


@pytest.mark.parametrize("name", list(STEPS))
def test_a_step_on_tensors_without_memory_takes_what_is_planned(name: str, wide: Callable[[str], Path]) -> None:
    found = facts(checked([f"model.pretrained={wide('qwen2_5_vl')}", *STEPS[name], *FEW]))
    assert found["stopped"] is None and found["ranks"] == (2 if name == "sharded" else 1)
    assert list(found["stages"]) == ["networks", "vision", "rollout", "frozen passes", "updates", "evaluation"]
    assert found["stages"]["updates"]["ratio"] == pytest.approx(1, abs=OPEN), found["stages"]


def test_a_trained_vision_tower_is_held_from_its_pass_to_the_end_of_the_updates(tmp_path: Path) -> None:
    """A tower as wide and twice as deep as the decoder, which takes most of the memory: every stage as planned."""
    deep = replace(WIDE, vision_hidden=128, vision_depth=8)
    folder = write_model(tmp_path, TEXTS, sizes=deep, seed=3, vocab_size=300)
    trained = ("algo=grpo", "model.freeze_vision=false", "algo.updates_per_rollout=1")
    found = facts(checked([f"model.pretrained={folder}", *FEW, *trained, "hardware.micro_batch_prompts=1"]))
    ratios = {name: stage["ratio"] for name, stage in found["stages"].items() if "ratio" in stage}
    assert found["stopped"] is None and len(ratios) == 5
    assert all(ratio == pytest.approx(1, abs=OPEN) for ratio in ratios.values()), ratios


def test_a_step_frees_what_frozen_models_gathered(wide: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a wide vocabulary: the reference's weights outside of its layers are in no update."""
    sharded = [f"model.pretrained={wide('qwen2_5_vl')}", *STEPS["sharded"], *FEW, "algo=grpo", "algo.group_size=2"]
    freed = checked(sharded).stages
    monkeypatch.setattr("ral.learner.step.free_gathered", lambda *_: None)
    kept = checked(sharded).stages
    outside = architecture_of(str(wide("qwen2_5_vl"))).counts
    assert kept["vision"] - freed["vision"] == pytest.approx(4 * (outside.total - outside.layers) / 1e9, rel=0.01)


def test_a_step_that_stops_says_where_and_why(wide: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel\nof that kind")

    monkeypatch.setattr(Update, "add_gradient", broken)
    found = facts(checked([f"model.pretrained={wide('qwen2_5_vl')}", *FEW]))
    assert found["stopped"] == "after networks: RuntimeError: no kernel"
    assert "went through" in markdown({"mine": found}) and "no kernel" in markdown({"mine": found})


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("recipe", ["ral", "sft", "ral_distill"])
def test_a_recipe_of_the_paper_steps_through_at_its_size_within_its_plan(recipe: str) -> None:
    found = facts(checked([f"experiment=paper/{recipe}"]))
    assert found["stopped"] is None and found["ranks"] == 8 and found["fits"]
    for stage in (*STAGES, "evaluation"):
        if "ratio" in found["stages"].get(stage, {}):
            assert found["stages"][stage]["ratio"] == pytest.approx(1, abs=OPEN), (stage, found["stages"])
