"""Networks of sharded runs: made without memory, their weights read in parts, equal to those read whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from conftest import ENVIRONMENT, ROOT, SMALL, TEXTS
from safetensors.torch import load_file
from test_models_loading import BROKEN, FILE, without
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from ral.learner.first_weights import load_shards
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.families import qwen3_vl
from ral.models.filling import fill, joined, local
from ral.models.fresh import write_model
from ral.models.loading import Numbers
from ral.models.mllm import MLLM
from ral.models.registry import FAMILIES
from ral.models.reward import add_head
from ral.models.sharding import mixed_precision, shard_layers
from ral.models.stored import Stored
from ral.types import UserError

CPU = torch.device("cpu")


@pytest.fixture
def parts(model_folder: Callable[[str], Path]) -> Callable[..., MLLM]:
    """A random model of a family whose weights are still in its files."""
    return lambda family="qwen2_5_vl", **given: MLLM.load(str(model_folder(family)), whole=False, **given)


@contextmanager
def rank_of(rank: int, ranks: int) -> Iterator[Any]:
    """The mesh of one rank of several that nobody else is of: what it gathers is its own."""
    dist.init_process_group("fake", rank=rank, world_size=ranks, store=FakeStore())
    try:
        yield init_device_mesh("cpu", (ranks,))
    finally:
        dist.destroy_process_group()


def alike(ours: MLLM, whole: MLLM) -> None:
    """Both have the same weights and buffers of the same types, trained where the other's are."""
    for one, other in ((ours, whole), (whole, ours)):
        found, wanted = ({**dict(m.network.named_buffers()), **m.network.state_dict()} for m in (one, other))
        assert found.keys() == wanted.keys()
        wrong = [n for n in found if found[n].dtype != wanted[n].dtype or not torch.equal(found[n], wanted[n])]
        assert not wrong
    trained = [[(n, p.requires_grad) for n, p in m.network.named_parameters()] for m in (ours, whole)]
    assert trained[0] == trained[1]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_network_read_by_parts_is_the_one_read_whole(
    family: str, parts: Callable[..., MLLM], load: Callable[..., MLLM]
) -> None:
    """Bit for bit, tied weights and rotary frequencies included; so are those that begin with the same weights."""
    ours, whole = parts(family, dtype="bfloat16"), load(family, dtype="bfloat16")
    twins = {"policy": ours, "reference": ours.frozen_copy(), "ema": ours.frozen_copy(averaged=True)}
    assert all(weight.is_meta for model in twins.values() for weight in model.network.parameters())
    assert twins["reference"].sees_like(ours)
    fill(twins, CPU)
    alike(ours, whole)
    alike(twins["reference"], whole.frozen_copy())
    alike(twins["ema"], whole.frozen_copy(averaged=True))
    assert ours.network.generation_config.to_dict() == whole.network.generation_config.to_dict()


@pytest.mark.parametrize("ranks", [2, 3])
def test_each_rank_has_its_part(ranks: int, parts: Callable[..., MLLM], load: Callable[..., MLLM]) -> None:
    """3 divides no width of the model: the last rank has less, or nothing. Frozen parts are in memory once."""
    policy, whole = parts(), dict(load().network.named_parameters())
    models = {"policy": policy, "reference": policy.frozen_copy()}
    with rank_of(ranks - 1, ranks) as mesh:
        for model in models.values():
            shard_layers(model, mesh)
        fill(models, CPU)
        for model in models.values():
            for name, weight in model.network.named_parameters():
                assert isinstance(weight, DTensor)
                chunks = whole[name].chunk(ranks)
                wanted = chunks[-1] if len(chunks) == ranks else whole[name][:0]
                assert torch.equal(local(weight), wanted), name
        pairs = zip(policy.parameters(), models["reference"].parameters(), strict=True)
        same = [local(a).data_ptr() == local(b).data_ptr() for a, b in pairs if not a.requires_grad]
    assert same and all(same)


def test_adapters_and_a_reward_head_are_drawn_as_ever(parts: Callable[..., MLLM], load: Callable[..., MLLM]) -> None:
    for make in (lambda m: add_adapters(m, Adapters(4, 8.0, ("q_proj", "down_proj")), seed=5), add_head):
        both = parts(dtype="bfloat16"), load(dtype="bfloat16")
        for model in both:
            make(model)
        fill({"policy": both[0]}, CPU)
        alike(*both)


def test_a_frozen_weight_that_bf16_holds_is_found_by_its_numbers(
    copied: Callable[..., Path],
) -> None:
    """Norms of fp32 files whose numbers are those of bf16 rest in bf16; one number that is not keeps a weight fp32."""

    def change(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        norms = [n for n in weights if "norm" in n]
        weights |= {n: weights[n].bfloat16().float() for n in norms}
        weights[norms[0]][-1] += 1e-4
        return weights

    folder = str(copied(change))
    ours, whole = (MLLM.load(folder, dtype="bfloat16", trained=False, whole=w) for w in (False, True))
    fill({"teacher": ours}, CPU)
    alike(ours, whole)
    kinds = {p.dtype for n, p in ours.network.named_parameters() if "norm" in n}
    assert kinds == {torch.float32, torch.bfloat16}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_whole_is_refused_in_the_same_words(
    name: str,
    copied: Callable[..., Path],
    load: Callable[..., MLLM],
) -> None:
    folder = str(copied(BROKEN[name][0]))
    with pytest.raises(UserError) as whole:
        MLLM.load(folder)
    with pytest.raises(UserError) as ours:
        load_shards({"policy": MLLM.load(folder, whole=False)}, CPU)
    assert str(ours.value) == str(whole.value)
    if name == "NaN":
        with pytest.raises(UserError, match=r"^model\.teacher="):
            load_shards({"teacher": MLLM.load(folder, whole=False)}, CPU)


def wrapped(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names as peft and torch.compile leave them."""
    inside = {n.replace(".layers.1.", ".layers.1._orig_mod."): w for n, w in weights.items()}
    return {f"base_model.model.{n}": w for n, w in inside.items()}


def own_head(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A head that is not the table of embeddings, whatever config.json says."""
    table = next(w for n, w in weights.items() if "embed_tokens" in n)
    return weights | {"lm_head.weight": 2 * table}


def same_head(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A head that is the table of embeddings, and in the files too."""
    return weights | {"lm_head.weight": next(w for n, w in weights.items() if "embed_tokens" in n).clone()}


def head_alone(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The head in the place of the table of embeddings that it is tied to."""
    return without("embed_tokens")(same_head(weights))


@pytest.mark.parametrize("change", [wrapped, same_head, head_alone], ids=lambda c: c.__name__)
def test_names_are_mapped_and_weights_tied_as_ever(
    change: Callable[..., Any],
    copied: Callable[..., Path],
    tmp_path: Path,
) -> None:
    folder = str(copied(change))
    ours, whole = MLLM.load(folder, whole=False), MLLM.load(folder)
    fill({"policy": ours}, CPU)
    alike(ours, whole)
    for name, model in (("ours", ours), ("whole", whole)):
        model.save(tmp_path / name)
    saved = [load_file(tmp_path / name / FILE) for name in ("ours", "whole")]
    assert saved[0].keys() == saved[1].keys() and all(torch.equal(saved[0][n], saved[1][n]) for n in saved[0])


@pytest.mark.parametrize("whole", [True, False])
def test_two_heads_where_one_is_said_are_refused(whole: bool, copied: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r'"tie_word_embeddings": true, and the files have an lm_head\.weight') as found:
        MLLM.load(str(copied(own_head)), whole=whole)
    assert "\n" not in str(found.value)


def test_weights_in_bin_files_are_read_by_parts(copied: Callable[..., Path]) -> None:
    folder = copied()
    torch.save(load_file(folder / FILE), folder / "pytorch_model.bin")
    (folder / FILE).unlink()
    ours, whole = MLLM.load(str(folder), whole=False), MLLM.load(str(folder))
    fill({"policy": ours}, CPU)
    alike(ours, whole)
    weights = torch.load(folder / "pytorch_model.bin")
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"before 1\.6.*safetensors"):
        MLLM.load(str(folder), whole=False)


def experts(sizes: Any) -> dict[str, Any]:
    """Qwen3-VL with four experts a layer."""
    made = qwen3_vl.parts(sizes)
    made["text"] |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": sizes.mlp}
    return made


def test_weights_that_transformers_converts_are_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Experts lie transposed in the files of Qwen3-VL with experts."""
    family = qwen3_vl.FAMILY
    family = replace(family, model_type="qwen3_vl_moe", recipe=replace(family.recipe, parts=experts))
    monkeypatch.setitem(FAMILIES, "qwen3_vl_moe", family)
    monkeypatch.setattr("ral.files.pretrained.MODEL_TYPES", [*FAMILIES])
    folder = str(write_model(tmp_path / "moe", TEXTS, family="qwen3_vl_moe", sizes=SMALL, seed=3, vocab_size=300))
    ours, whole = MLLM.load(folder, whole=False), MLLM.load(folder)
    assert any(origin.converter for origin in ours.stored.origins.values())  # type: ignore[union-attr]
    fill({"policy": ours}, CPU)
    alike(ours, whole)


def test_a_large_weight_is_read_a_block_at_a_time(
    parts: Callable[..., MLLM], load: Callable[..., MLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ral.models.stored.BLOCK", 3 * 4 * SMALL.hidden)
    stored, whole = parts().stored, load().network.state_dict()
    assert isinstance(stored, Stored)
    name = next(n for n in whole if n.endswith("layers.0.mlp.gate_proj.weight"))
    blocks = list(stored.blocks(name, (10, 64), (20, 0)))
    assert [(row, len(values)) for row, values in blocks] == [(0, 3), (3, 3), (6, 3), (9, 1)]
    assert torch.equal(torch.cat([values for _, values in blocks]), whole[name][20:30])


def test_ranks_agree_on_the_numbers_of_a_weight() -> None:
    """NaN that one rank has read, the greatest number of any, and zeros only where all have nothing else."""
    fine, bad, wild = (Numbers(True).and_of(torch.tensor(v)) for v in ([1.0], [float("nan")], [-1e9]))
    nothing = Numbers(True).and_of(torch.zeros(2))
    for parts_of_ranks in ((bad, fine), (fine, bad)):
        assert not joined({"policy": {"w": part}} for part in parts_of_ranks)["policy"]["w"].finite
    whole = joined({"policy": {"w": part}} for part in (fine, wild, nothing))["policy"]["w"]
    assert whole == Numbers(True, True, 1e9, False)
    assert joined({"policy": {"w": nothing}} for _ in range(2))["policy"]["w"].empty


@pytest.mark.parametrize("arithmetic", [torch.float32, torch.bfloat16])
def test_weights_are_gathered_in_the_arithmetic_and_gradients_summed_in_fp32(
    arithmetic: torch.dtype, parts: Callable[..., MLLM]
) -> None:
    model = parts()
    with rank_of(0, 1) as mesh:
        shard_layers(model, mesh, precision="bf16-mixed" if arithmetic == torch.bfloat16 else "32-true")
        fill({"policy": model}, CPU)
        model.unshard()
        assert {w.dtype for w in model.network.lm_head.parameters()} == {arithmetic}
        weight = model.network.lm_head.weight
        (weight.float() * 3).sum().backward()
        assert weight.grad is not None and weight.grad.dtype == arithmetic
        model.reshard()
        assert {w.dtype for w in model.parameters()} == {torch.float32}
    policy = mixed_precision(arithmetic)
    assert policy.reduce_dtype == (torch.float32 if arithmetic == torch.bfloat16 else None)
    assert not policy.cast_forward_inputs


BAD = {
    "the last rank's NaN": ("last_row", [], "with numbers that are not finite"),
    "a file that one rank cannot read": (
        None,
        ["hardware.shard._target_=scaling_parts.shard_and_lose_a_file"],
        "its weights cannot be read",
    ),
}


def last_row(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """NaN where the last of two ranks reads."""
    name = next(n for n in weights if n.endswith("layers.1.mlp.gate_proj.weight"))
    weights[name][-1, -1] = float("nan")
    return weights


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD)
def test_ranks_end_together_with_one_line(what: str, copied: Callable[..., Path], tmp_path: Path) -> None:
    """Also where one of them alone finds what is wrong."""
    change, more, words = BAD[what]
    folder = copied(last_row if change else None)
    paths = os.pathsep.join((str(ROOT / "tests"), str(ROOT)))
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "train.py"), "hardware=fsdp", "hardware.accelerator=cpu", "algo=grpo"),
            *("hardware.precision=32-true", "hardware.num_workers=0", f"model.pretrained={folder}", *more),
            *("max_steps=1", "eval.prompts=2", "logger=jsonl", f"hydra.run.dir={tmp_path / 'run'}"),
        ],
        env=ENVIRONMENT | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert done.returncode == 1 and errors and len(set(errors)) == 1, done.stderr
    assert errors[0].startswith(f"error: model.pretrained={folder}: ") and words in errors[0]
