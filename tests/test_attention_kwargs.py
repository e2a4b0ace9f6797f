"""What a layer asks of its attention is honoured, or refused by name: never left out unseen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ral.models.attention.interface import NAME
from ral.models.attention.rollout_layouts import Prefill
from ral.models.attention.training_layouts import Packed, Recorder
from ral.models.plain import PlainDecode
from ral.types import UserError

LAYER: Any = SimpleNamespace(
    layer_idx=2, is_causal=True, training=False, num_key_value_groups=2, config=SimpleNamespace(model_type="odd_vl")
)


def attend(layout: Any, module: Any = LAYER, **kwargs: object) -> torch.Tensor:
    """The registered function over 2 prompts of 4 tokens and a response of 3 each; 4 heads over 2 key heads."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, heads, 7, 8, generator=generator) for heads in (4, 2, 2))
    layout_key = {} if layout is None else {"layout": layout}
    out, _ = ALL_ATTENTION_FUNCTIONS[NAME](module, q, k, v, None, scaling=0.3, **layout_key, **kwargs)
    return out


def layouts() -> dict[str, Any]:
    valid = torch.ones(2, 4, dtype=torch.bool)
    return {
        "shared": Packed(valid, 1, 3),
        "prefill": Prefill(torch.ones(2, 7, dtype=torch.bool)),
        "plain": Recorder(valid, 1, 3, layers=(2,)),
        "plain decoding": PlainDecode(valid, torch.zeros(2, 1), {}),
        "none": None,
    }


HARMLESS = {
    "softcap": None,
    "sliding_window": None,
    "s_aux": None,
    "dropout": 0.0,
    "is_causal": None,
    "use_cache": True,
}


@pytest.mark.parametrize("layout", layouts())
def test_what_asks_for_nothing_special_changes_nothing(layout: str) -> None:
    assert torch.equal(attend(layouts()[layout]), attend(layouts()[layout], **HARMLESS, position_ids=torch.zeros(2, 7)))


@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize(
    ("name", "value"),
    [("softcap", 50.0), ("s_aux", torch.zeros(4)), ("head_mask", torch.ones(4)), ("position_bias", torch.zeros(1))],
)
def test_what_no_kernel_here_computes_is_refused_everywhere(layout: str, name: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"decoder layer 2 of odd_vl wants attention with {name}=.* another model"):
        attend(layouts()[layout], **{name: value})


@pytest.mark.parametrize("layout", [name for name in layouts() if name != "none"])
def test_layouts_refuse_attention_that_is_not_causal_or_drops(layout: str) -> None:
    with pytest.raises(UserError, match="is_causal=False"):
        attend(layouts()[layout], is_causal=False)
    with pytest.raises(UserError, match="is_causal=False"):
        attend(layouts()[layout], SimpleNamespace(**{**vars(LAYER), "is_causal": False}))
    with pytest.raises(UserError, match=r"dropout=0\.1"):
        attend(layouts()[layout], dropout=0.1)


@pytest.mark.parametrize("layout", ["shared", "prefill"])
def test_a_window_is_refused_where_the_layout_attends_to_everything(layout: str) -> None:
    with pytest.raises(UserError, match=r"sliding_window=4096, .* hardware.share_prompt=false"):
        attend(layouts()[layout], sliding_window=4096)


@pytest.mark.parametrize("layout", ["plain", "none"])
def test_a_window_and_no_layout_are_left_to_transformers(layout: str) -> None:
    """Whose masks, made from the configuration, hold the window."""
    assert attend(layouts()[layout], sliding_window=4096).shape == (2, 7, 4, 8)
    if layout == "none":
        assert torch.isfinite(attend(None, is_causal=False)).all()
