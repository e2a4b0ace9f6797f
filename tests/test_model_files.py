"""Layers that a configuration names, against config.json, before weights are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ral.config.model_files import check_layers, depth_of
from ral.errors import UserError

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
