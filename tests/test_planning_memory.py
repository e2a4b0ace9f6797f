"""Planned memory against the truth: what autograd saves, and (slow) the resident memory of whole runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT, ROOT, TEXTS, make_prompts
from hydra import compose, initialize_config_dir

from ral.config.check import plain
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.fresh import write_model
from ral.models.mllm import MLLM
from ral.models.recipe import Sizes
from ral.planning import activations as act
from ral.planning.architecture import architecture_of
from ral.planning.device import device_of
from ral.planning.plan import Plan, plan_of
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


MIDDLE = Sizes(hidden=512, layers=8, heads=8, kv_heads=2, mlp=1408, vision_hidden=128, vision_depth=2, vision_heads=4)
"""Some 25 million parameters."""
COMMON = (
    *("max_steps=1", "eval.every=0", "eval.before=false", "eval.prompts=1", "diagnostics.gradients=false"),
    *("checkpoint.every=0", "checkpoint.best=null", "hardware.threads=1", "dataset.source.clip_share=0"),
    *("algo.updates_per_rollout=2", "algo.group_size=4"),
    "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
)
RUNS = {
    "full": ("algo=grpo", "dataset.max_new_tokens=48", "algo.prompts_per_step=2"),
    "lora": ("algo=grpo", "dataset.max_new_tokens=48", "algo.prompts_per_step=2", "lora.rank=16"),
    "checkpointing": (
        *("algo=ral", "dataset.max_new_tokens=48", "algo.prompts_per_step=2", "hardware.gradient_checkpointing=true"),
    ),
    "distillation": ("algo=ral_distill", "dataset.max_new_tokens=48", "algo.prompts_per_step=2"),
    "long prompt": (*("algo=ral", "dataset.max_new_tokens=32", "algo.prompts_per_step=1", "dataset.source.grid=32"),),
}


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of a random model of MIDDLE."""
    return str(write_model(tmp_path_factory.mktemp("middle"), TEXTS, sizes=MIDDLE, seed=3, vocab_size=300))


def planned(*overrides: str) -> Plan:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        tree = plain(compose("train", [*overrides, "planning.text_tokens=40"]))
    return plan_of(tree, device_of(tree))


def measured(folder: Path, small: Path, *overrides: str) -> Any:
    """Resident memory of a run in a process of its own: after a step with a small model, and at its most, in GB."""
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "MALLOC_ARENA_MAX": "1"}
    environment |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}  # what is freed goes back
    command = [sys.executable, str(ROOT / "tests" / "planning_worker.py"), str(folder), str(small), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("name", list(RUNS))
def test_the_peak_of_a_run_is_the_planned_one(
    name: str, middle: str, model_folder: Callable[[], Path], tmp_path: Path
) -> None:
    own = (f"model.pretrained={middle}", f"model.teacher={middle}", f"dataset.path={tmp_path / 'data'}")
    overrides = (*own, *COMMON, *RUNS[name])
    plan, found = planned(*overrides), measured(tmp_path, model_folder(), *overrides)
    truth = found["peak"] - found["before"]
    print(f"{name}: planned {plan.peak.total / 1e9:.3f} GB ({plan.peak.name}), measured {truth:.3f}")
    assert plan.peak.total / 1e9 == pytest.approx(truth, rel=OPEN)
