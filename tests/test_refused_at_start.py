"""Refused before anything is trained: templates, chat templates, nodes and rewards that would train something else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ROOT
from torch import nn

from ral.config.ranges import some_part_is_rewarded
from ral.data.prompts import BUILTIN, render, variables
from ral.machine import check_torchrun
from ral.models.loading import check_numbers, numbers_of
from ral.models.processor import Processor
from ral.models.tokens import check_opening
from ral.types import Example, UserError

CHOICE = Example("e", "Which?", "B", "multiple choice", options=("A. red", "B. blue"))
OPEN = Example("e", "Which?", "blue", "free-form")


@pytest.mark.parametrize("text", ["Look closely.", "root:x:0:0", "{% for o in options %}{{ o }}{% endfor %}"])
def test_a_template_without_the_question_is_refused(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "own.j2").write_text(text)
    with pytest.raises(
        UserError,
        match=r"own\.j2: holds no \{\{ question \}\}, so that prompts ask nothing|holds no .* but options, so",
    ):
        render(OPEN, str(path))


def test_a_template_without_options_serves_entries_without(tmp_path: Path) -> None:
    (path := tmp_path / "own.j2").write_text("Look. {{ question }}")
    assert render(OPEN, str(path)) == "Look. Which?"
    with pytest.raises(UserError, match=r"reads no options, and e has some: write \{% for option in options %\}"):
        render(CHOICE, str(path))
    path = tmp_path / "whole.j2"
    path.write_text("{% set asked = question %}{{ asked }}{% for o in options %} {{ o }}{% endfor %}")
    assert render(CHOICE, str(path)) == "Which? A. red B. blue"


@pytest.mark.parametrize("name", BUILTIN)
def test_shipped_templates_read_both(name: str) -> None:
    assert variables(name) >= {"question", "options"} and "B" in render(CHOICE, name)


def test_a_chat_template_opens_the_turn_of_the_model() -> None:
    """Asked to, or always; one that never does is refused."""
    whole = Processor.from_folder(str(ROOT / "assets" / "tiny"))

    def fixed(opens: bool) -> Any:
        def apply(turns: Any, *, tokenize: bool, add_generation_prompt: bool) -> str:
            return str(whole.tokenizer.apply_chat_template(turns, tokenize=tokenize, add_generation_prompt=opens))

        return SimpleNamespace(tokenizer=SimpleNamespace(apply_chat_template=apply), family=whole.family)

    for opening in (whole, fixed(True)):
        check_opening(opening, "model.pretrained=x")
    closed = fixed(False)
    with pytest.raises(UserError, match=r"^model\.pretrained=x: its chat template does not open the turn of the model"):
        check_opening(closed, "model.pretrained=x")


def test_a_node_of_several_knows_which_it_is() -> None:
    with pytest.raises(UserError, match=r"^hardware\.num_nodes=2: nothing says which node this is"):
        check_torchrun({}, devices=1, num_nodes=2)
    with pytest.raises(UserError, match=r"torchrun --nnodes=3 --nproc_per_node=4"):
        check_torchrun({"MASTER_ADDR": "10.0.0.1"}, devices=4, num_nodes=3)
    check_torchrun({"NODE_RANK": "1"}, devices=1, num_nodes=2)
    check_torchrun({}, devices=2, num_nodes=1)


@pytest.mark.parametrize("emptied", ["visual", "embed_tokens", "layers"])
def test_a_part_of_zeros_is_refused(emptied: str) -> None:
    """One matrix of several may begin at zero; a tower, the decoder or the table of words may not."""
    layers = [nn.Linear(4, 4, bias=False) for _ in range(3)]
    decoder = nn.ModuleDict({"embed_tokens": nn.Embedding(5, 4), "layers": nn.ModuleList(layers)})
    tower = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(2))
    network = nn.ModuleDict({"model": nn.ModuleDict({"visual": tower, "language_model": decoder})})
    with torch.no_grad():
        layers[0].weight.zero_()
        check_numbers("x", numbers_of(network))
        for name, weight in network.named_parameters():
            weight.mul_(0.0 if emptied in name else 1.0)
    with pytest.raises(UserError, match="matrices hold nothing but zeros"):
        check_numbers("x", numbers_of(network))


def rewarded(**parts: Any) -> str | None:
    reward = {"_target_": "ral.rewards.combine.Reward", "parts": parts}
    return some_part_is_rewarded({"algo": {"rollouts": True}, "reward": reward})


def test_the_reward_keeps_accuracy_and_whole_parts() -> None:
    part = {"_target_": "ral.rewards.combine.Part", "weight": 0.9, "function": {"_target_": "x"}}
    assert rewarded(accuracy=part) is None and rewarded(accuracy=part, format=part) is None
    assert "reward.parts.accuracy is missing" in (rewarded(format=part) or "")
    assert "reward.parts.x is no whole part" in (rewarded(accuracy=part, x={"weight": 1}) or "")
