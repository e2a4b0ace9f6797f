"""Packed weights: the same product, the same answers, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import MIXED, make_prompts, native
from torch import nn

from ral.models import cpu_linear as packed
from ral.models.cpu_linear import LEAST_STEPS, MOST_ROWS, packed_weights
from ral.models.mllm import MLLM


def changed(network: nn.Module) -> int:
    return sum("forward" in vars(m) for m in network.modules())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_the_product_is_the_same(bias: bool, rows: int) -> None:
    layer, x = nn.Linear(320, 256, bias=bias), torch.randn(rows, 1, 320)
    expected = layer(x)
    with torch.no_grad(), packed_weights([layer], 8, LEAST_STEPS):
        assert changed(layer) == 1
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
    assert changed(layer) == 0 and torch.equal(layer(x), expected)


def test_layers_come_back_after_an_error() -> None:
    layer = nn.Linear(256, 256)
    with pytest.raises(RuntimeError), packed_weights([layer], 8, LEAST_STEPS):
        raise RuntimeError
    assert changed(layer) == 0


@pytest.mark.parametrize(
    ("layer", "rows", "steps"),
    [
        (nn.Linear(256, 256), MOST_ROWS + 1, LEAST_STEPS),
        (nn.Linear(256, 256), 8, LEAST_STEPS - 1),
        (nn.Linear(64, 64), 8, LEAST_STEPS),
        (nn.Linear(256, 256, dtype=torch.bfloat16), 8, LEAST_STEPS),
    ],
)
def test_where_it_would_not_pay_nothing_changes(layer: nn.Module, rows: int, steps: int) -> None:
    with packed_weights([layer], rows, steps):
        assert changed(layer) == 0


def test_autocast_decides_the_type_itself() -> None:
    layer = nn.Linear(256, 256)
    with torch.autocast("cpu", torch.bfloat16), packed_weights([layer], 8, LEAST_STEPS):
        assert changed(layer) == 0


def test_answers_are_the_same(load: Callable[..., MLLM], monkeypatch: pytest.MonkeyPatch) -> None:
    """Greedy and sampled, over a mixed batch, with every linear layer of the decoder packed."""
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    calls: list[int] = []
    product = packed.product
    monkeypatch.setattr(packed, "product", lambda *a, **k: calls.append(1) or product(*a, **k))
    for greedy in (True, False):
        sampler = native(2, temperature=0.9, max_new_tokens=LEAST_STEPS, greedy=greedy)
        monkeypatch.setattr(packed, "LEAST_WEIGHTS", 2**40)
        expected = sampler(model, prepared, seed=5)
        assert not calls
        monkeypatch.setattr(packed, "LEAST_WEIGHTS", 1)
        found = sampler(model, prepared, seed=5)
        assert torch.equal(found.token_ids, expected.token_ids)
        torch.testing.assert_close(found.log_probs, expected.log_probs, rtol=1e-5, atol=1e-5)
        assert len(calls) > 7 * model.depth and changed(model) == 0
        calls.clear()
