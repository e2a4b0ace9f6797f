"""NF4 as bitsandbytes offers it, written out in plain PyTorch: for tests on machines without the package."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

BLOCK = 64
LEVELS = torch.tensor(
    [
        *(-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0),
        *(0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
    ]
)
"""The sixteen values of NF4 (QLoRA, arXiv 2305.14314, appendix E)."""


@dataclass
class QuantState:
    absmax: Tensor
    shape: torch.Size


def quantize_4bit(values: Tensor) -> tuple[Tensor, QuantState]:
    blocks = values.float().flatten().view(-1, BLOCK)
    absmax = blocks.abs().amax(1, keepdim=True)
    levels = (blocks / absmax.clamp_min(1e-30)).unsqueeze(-1).sub(LEVELS).abs().argmin(-1).to(torch.uint8).flatten()
    return (levels[::2] * 16 + levels[1::2])[:, None], QuantState(absmax, values.shape)


def dequantize_4bit(packed: Tensor, state: QuantState) -> Tensor:
    levels = torch.stack([packed[:, 0] // 16, packed[:, 0] % 16], dim=1).long().view(-1, BLOCK)
    return (LEVELS[levels] * state.absmax).view(state.shape)


class Params4bit(nn.Parameter):
    def __new__(cls, data: Tensor, requires_grad: bool, **given: Any) -> Params4bit:
        assert not requires_grad and given["quant_type"] == "nf4" and given["compress_statistics"]
        self = torch.Tensor._make_subclass(cls, data, False)
        self.given, self.quant_state = given, None
        return self

    def to(self, *args: Any, **kwargs: Any) -> Params4bit:
        if self.quant_state is None:
            self.data, self.quant_state = quantize_4bit(self.data)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Params4bit:
        twin = type(self)(self.data.clone(), False, **self.given)
        twin.quant_state = self.quant_state
        return twin


class Linear4bit(nn.Linear):
    def __init__(self, inner: int, outer: int, *, bias: bool, compute_dtype: torch.dtype, quant_type: str) -> None:
        super().__init__(inner, outer, bias)
        self.compute_dtype, self.quant_state = compute_dtype, None

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight.absmax"] = self.weight.quant_state.absmax

    def forward(self, rows: Tensor) -> Tensor:
        weight = dequantize_4bit(self.weight.data, self.quant_state).to(self.compute_dtype)
        bias = None if self.bias is None else self.bias.to(self.compute_dtype)
        return nn.functional.linear(rows.to(self.compute_dtype), weight, bias).to(rows.dtype)


def install(patch: pytest.MonkeyPatch) -> None:
    """Let `import bitsandbytes` find this."""
    package, functional = ModuleType("bitsandbytes"), ModuleType("bitsandbytes.functional")
    functional.dequantize_4bit = dequantize_4bit  # type: ignore[attr-defined]
    package.functional = functional  # type: ignore[attr-defined]
    package.nn = sys.modules[__name__]  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "bitsandbytes", package)
    patch.setitem(sys.modules, "bitsandbytes.functional", functional)
    for name in ("is_bnb_available", "is_bnb_4bit_available"):  # peft would look for the package's files
        patch.setattr(f"peft.tuners.lora.model.{name}", lambda: False)
