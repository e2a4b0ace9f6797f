"""Layers that a configuration names, against config.json, before weights are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import call
from conftest import CONF

from ral.config import model_files
from ral.config.model_files import OPTIONS, check_layers, depth_of, dropped, misfits
from ral.errors import UserError
from ral.files.pretrained import MODEL_TYPES

HYBRID = ["linear_attention"] * 3 + ["full_attention"]


def tree(folder: Path, layers: list[int], every: int = 20) -> dict[str, Any]:
    policy = {"layers": layers}
    return {
        "algo": {"attention_policy": policy},
        "model": {"pretrained": str(folder)},
        "diagnostics": {"every": every},
    }


def model(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "depth"),
    [
        ({"num_hidden_layers": 4}, 4),
        ({"num_hidden_layers": 9, "text_config": {"num_hidden_layers": 4}}, 4),
        ({"text_config": {"num_hidden_layers": 8, "layer_types": HYBRID * 2}}, 2),
        ({"text_config": {"num_hidden_layers": 8, "layer_types": ["sliding_attention", "full_attention"] * 4}}, 8),
        ({"text_config": {"num_hidden_layers": 32, "linear_num_key_heads": 16}}, None),
        ({"text_config": {"num_hidden_layers": 32, "full_attention_interval": 4}}, None),
        ({"num_hidden_layers": "4"}, None),
        ({}, None),
    ],
)
def test_layers_with_softmax_attention_are_counted(tmp_path: Path, config: dict[str, Any], depth: int | None) -> None:
    assert depth_of(model(tmp_path / "m", config) / "config.json") == depth


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([4], "layer 4, but the model has 4 layers with softmax attention: write 0 to 3, or -4 to -1 from"),
        ([-5], "layer -5, but the model has 4 layers"),
        ([3, -1], "one of the model's 4 layers twice, the second time as -1"),
    ],
)
def test_a_layer_that_is_not_there_is_told_from_the_configuration(tmp_path: Path, layers: list[int], said: str) -> None:
    folder = model(tmp_path / "m", {"num_hidden_layers": 4})
    with pytest.raises(UserError, match=r"^algo\.attention_policy\.layers names ") as error:
        check_layers(tree(folder, layers))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_layers_are_left_where_nothing_measures_them_or_nothing_is_known(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {"num_hidden_layers": 4})
    check_layers(tree(folder, [0, -1]))
    check_layers(tree(folder, [9], every=0))
    check_layers(tree(tmp_path / "absent", [9]))
    check_layers({"model": {"pretrained": None}})


RATES = {"rl": 2e-4, "sft": 2e-3}


@pytest.mark.parametrize(
    ("option", "family", "said"),
    [
        ("internvl", "qwen2_5_vl", "it is trained as qwen2_5_vl; model=qwen2_5_vl says so"),
        ("qwen2_5_vl", "qwen2_vl", "it is trained as qwen2_vl; model=qwen2vl says so"),
        ("qwen2vl", "qwen2_vl", ""),
        ("qwen2_5_vl", "qwen2_5_vl", ""),
        ("tiny", "qwen2_vl", ""),
        ("one_of_my_own", "qwen2_vl", ""),
        (None, "qwen2_vl", ""),
    ],
)
def test_an_option_of_another_family_is_told(tmp_path: Path, option: str | None, family: str, said: str) -> None:
    folder = model(tmp_path / "m", {"model_type": family})
    node = {"pretrained": str(folder), "learning_rates": RATES, "family": None}
    lines = list(misfits(node, option))
    assert [line.endswith(said) and f"holds {family} by its config.json" in line for line in lines] == [True] * bool(
        said
    )
    assert list(misfits(node | {"family": "mine.FAMILY"}, option)) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"attention_dropout": 0.1}, "attention_dropout=0.1"),
        ({"text_config": {"resid_dropout": 1}, "dropout": 0.2}, "text_config.resid_dropout=1 and dropout=0.2"),
        ({"attention_dropout": 0.0, "text_config": {"attention_dropout": 0}, "vision_config": {"dropout": None}}, ""),
        ({"use_dropout": True, "dropout_kind": "none"}, ""),
    ],
)
def test_dropout_that_a_model_asks_for_is_told(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    folder = model(tmp_path / "m", {"model_type": "qwen2_vl", **config})
    lines = list(dropped(str(folder)))
    start = f"model.pretrained={folder}: config.json says {said}, which is taken as 0: "
    assert len(lines) == bool(said) and all(line.startswith(start) and "\n" not in line for line in lines)
    assert list(dropped("Qwen/Qwen2.5-VL-7B-Instruct")) == []


def test_every_family_has_an_option_of_its_own() -> None:
    assert {OPTIONS.get(family, family) for family in MODEL_TYPES} <= {
        path.stem for path in (CONF / "model").glob("*.yaml")
    }


def test_a_large_model_at_the_rates_of_the_shipped_ones_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path / "m", {"model_type": "qwen2_vl"})
    (folder / "model.safetensors").write_bytes(b"12345")
    node = {"pretrained": str(folder), "learning_rates": RATES, "family": None}
    assert list(misfits(node, "tiny")) == []
    monkeypatch.setattr(model_files, "LARGE", 4)
    (line,) = misfits(node, "tiny")
    assert "(rl 0.0002, sft 0.002)" in line and line.endswith("write model=qwen2vl for the paper's rates")
    assert list(misfits(node, "tiny", ["algo.learning_rate"])) == [] == list(misfits(node, "qwen2vl"))
    (line,) = misfits(node | {"pretrained": "Qwen/Qwen2.5-VL-7B-Instruct"}, "tiny")
    assert line.endswith("write model=<its family> for the paper's rates")


def test_a_start_says_so_once(tmp_path: Path) -> None:
    """The last setting is refused after the files were looked at."""
    typed = ("model=internvl", "model.pretrained=assets/tiny", "+rollout.engine.nothing=1", "hydra.run.dir=run")
    done = call("train.py", *typed, folder=tmp_path)
    warned, error = done.stderr.splitlines()
    assert warned.startswith(
        "warning: model=internvl is of internvl, and model.pretrained=assets/tiny holds qwen2_5_vl"
    )
    assert error.startswith("error: ") and done.returncode == 1
