"""Fields of config.json that contradict the weights, and two sets of weights in a folder, told by name and shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ral.errors import UserError
from ral.files.pretrained import check_folder, read_headers
from ral.models.network_config import read_config
from ral.models.opening import load


@pytest.fixture
def model(tmp_path: Path, model_folder: Callable[..., Path]) -> Path:
    return Path(shutil.copytree(model_folder(), tmp_path / "m"))


def change(folder: Path, key: str, value: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    group, name = key.split(".")
    old = config[group].get(name)
    config[group][name] = value(old) if callable(value) else value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("text_config.hidden_act", "silly", "text_config.hidden_act='silly', which is no activation"),
        ("vision_config.hidden_act", "x", "vision_config.hidden_act='x', which is no activation"),
        ("text_config.num_attention_heads", 0, "text_config.num_attention_heads=0, which has to be 1 or more"),
        ("vision_config.num_heads", 0, "vision_config.num_heads=0, which has to be 1 or more"),
        ("vision_config.num_heads", 7, "vision_config.num_heads=7, which hidden_size=[0-9]+ is no multiple of"),
        ("text_config.num_key_value_heads", 3, "num_key_value_heads=3, which num_attention_heads=[0-9]+ is no"),
        ("text_config.num_attention_heads", 5, "num_attention_heads=5, which hidden_size=[0-9]+ is no multiple of"),
        (
            "text_config.num_key_value_heads",
            lambda n: n // 2 or 2,
            r"k_proj\.bias has .* by text_config.num_key_value_",
        ),
        (
            "text_config.intermediate_size",
            lambda n: n + 8,
            r"down_proj\.weight has .* by text_config.intermediate_size=",
        ),
        ("text_config.vocab_size", lambda n: n + 8, r"embed_tokens\.weight has .* by text_config.vocab_size="),
        ("vision_config.patch_size", lambda n: n + 2, r"patch_embed\.proj\.weight has .* by vision_config.patch_size="),
        ("vision_config.depth", lambda n: n + 1, r"missing: .*visual.* \(config.json says vision_config.depth="),
        (
            "vision_config.depth",
            lambda n: n - 1,
            r"vision_config.fullatt_block_indexes=\[1\], which has to name blocks from 0 to 0, since depth=1",
        ),
    ],
    ids=lambda given: "function" if callable(given) else str(given),
)
def test_the_field_is_named(model: Path, key: str, value: Any, said: str) -> None:
    change(model, key, value)
    with pytest.raises(UserError, match=rf"^model.pretrained={model}: .*{said}") as caught:
        load(str(model))
    assert "\n" not in str(caught.value) and "download it again" not in str(caught.value)


SHARD, OTHER = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.mark.parametrize(
    ("family", "field", "value", "said"),
    [
        ("qwen2_5_vl", "fullatt_block_indexes", [7, 99], "has to name blocks from 0 to [0-9]+, since depth=[0-9]+"),
        ("qwen2_5_vl", "fullatt_block_indexes", [-1], "has to name blocks from 0 to"),
        ("qwen3_vl", "deepstack_visual_indexes", [0, 99], "has to name blocks from 0 to [0-9]+, since depth=[0-9]+"),
    ],
)
def test_blocks_that_a_tower_has_not_are_refused(
    family: str, field: str, value: list[int], said: str, tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    folder = Path(shutil.copytree(model_folder(family), tmp_path / "m"))
    default = getattr(type(read_config(str(folder)).vision_config)(), field)
    change(folder, f"vision_config.{field}", value)
    with pytest.raises(UserError, match=rf"vision_config.{field}=.*which {said}"):
        read_config(str(folder))
    for kept in ([0], default):  # where config.json names none, the class's own stand there, which serve its own depth
        change(folder, f"vision_config.{field}", kept)
        read_config(str(folder))


def test_two_sets_of_weights_are_told_apart(model: Path) -> None:
    check_folder(str(model))
    whole = (model / "model.safetensors").read_bytes()
    (model / SHARD).write_bytes(whole)
    with pytest.raises(UserError, match=rf" model.safetensors is there, and {SHARD} stands beside it: two sets"):
        check_folder(str(model))
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": SHARD, "b": OTHER}}))
    with pytest.raises(UserError, match=rf"and {index.name} names {SHARD} and 2 files in all: .* remove model.saf"):
        check_folder(str(model))
    index.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(read_headers_of(whole, model), SHARD)}))
    (model / "model.safetensors").unlink()
    assert load(str(model)).depth
    (model / "pytorch_model.bin").write_bytes(b"of an earlier export")
    assert set(read_headers(model)) == set(read_headers_of(whole, model))  # safetensors count


def read_headers_of(content: bytes, folder: Path) -> list[str]:
    """The names in a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    return [name for name in json.loads(content[8 : 8 + length]) if name != "__metadata__"]


def test_an_index_that_names_the_whole_file_is_one_set(model: Path) -> None:
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    check_folder(str(model))


def test_bin_files_too(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"x")
    check_folder(str(model))
    (model / "pytorch_model-00001-of-00003.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"^\S+ pytorch_model.bin is there, and pytorch_model-0\S+ stands beside"):
        check_folder(str(model))
