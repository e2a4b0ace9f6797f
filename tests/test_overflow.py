"""Weights that are finite and make numbers that are not: the checkpoint is blamed, not who samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import make_prompts, native

from ral.errors import UserError
from ral.learner.diagnostics import Diagnostics
from ral.models.loading import LARGEST, check_numbers, numbers_of
from ral.models.mllm import MLLM


def test_weights_that_no_network_works_with_are_named_when_it_is_loaded() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    check_numbers("some/model", numbers_of(network))
    with torch.no_grad():
        network[1].weight[2] = -2 * LARGEST
    words = (
        r"^model.pretrained=some/model: 1 weight with numbers up to 2.0e\+08, which no network .*: 1.weight; the run"
    )
    with pytest.raises(UserError, match=words):
        check_numbers("some/model", numbers_of(network))


@pytest.mark.parametrize("greedy", [True, False])
def test_logits_that_overflow_are_told_of_before_anything_is_sampled(load: Callable[..., MLLM], greedy: bool) -> None:
    model = load("qwen2_5_vl")
    prompts = model.prepare(make_prompts(model, (("image",),)))
    weight = model.network.model.language_model.layers[0].mlp.down_proj.weight
    with torch.no_grad():
        weight.fill_(3e38)
    with pytest.raises(UserError, match=rf"^model.pretrained={model.processor.name}: the network's logits are not"):
        native(1, max_new_tokens=2, greedy=greedy)(model, prompts, seed=0)


def test_a_gap_that_is_no_number_is_not_put_on_the_sampler() -> None:
    diagnostics = Diagnostics(max_log_prob_gap=1e-4)
    with pytest.raises(UserError, match="log-probs of the policy are not finite"):
        diagnostics.check({"train/engine_log_prob_gap": float("nan")})
    with pytest.raises(UserError, match="sampled and trained log-probs of the same tokens differ"):
        diagnostics.check({"train/engine_log_prob_gap": 1.0})
    diagnostics.check({"train/engine_log_prob_gap": 0.0})
