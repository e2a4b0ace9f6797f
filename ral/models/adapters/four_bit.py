"""A frozen decoder in 4 bits under adapters (QLoRA, Dettmers et al., arXiv 2305.14314), by bitsandbytes.

Weights of linear layers are stored as NF4 (section 3, Eq. 4): one of 16 quantiles of a normal distribution times the
greatest absolute value of its block of 64, which is stored in 8 bits itself (double quantisation, Eq. 6): 0.516 bytes a
weight. Matrix products read them in the dtype of the arithmetic. Embeddings, head, norms, vision tower, experts that
are no linear layers, and layers whose input width is no multiple of 64 (no published model has one) keep their dtype.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ral.models.mllm import MLLM
from ral.types import UserError

NF4 = "nf4"
"""Value of lora.base for 4-bit weights."""
BLOCK = 64
"""Number of weights that share a scale. Only layers whose rows are whole blocks are quantised: for others bitsandbytes
0.50 reads wrong scales on a CPU, where it counts blocks from the beginning of each row."""
PACKAGE = "bitsandbytes"


def library() -> Any:
    """Import and return bitsandbytes. UserError, one line, where it is missing or cannot be loaded."""
    try:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(f"{PACKAGE}.functional")
            return importlib.import_module(PACKAGE)
    except (ImportError, OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"lora.base={NF4} needs {PACKAGE} ({reason}): pip install '.[fourbit]'") from error


def quantize(model: MLLM, arithmetic: torch.dtype) -> None:
    """Quantise the linear layers of the decoder to NF4, in place; call it before adapters are added.

    arithmetic: dtype of matrix products. Each layer is quantised on this process's GPU, where there is one, and moved
    to main memory, where all weights stay until training begins. UserError where bitsandbytes cannot be imported.
    """
    kit, layers = library(), model.network.model.language_model.layers
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else "cpu"
    for path, layer in list(layers.named_modules()):
        if isinstance(layer, nn.Linear) and layer.in_features % BLOCK == 0:
            parent, _, name = path.rpartition(".")
            setattr(layers.get_submodule(parent), name, in_four_bits(kit, layer, arithmetic, device))


def in_four_bits(kit: Any, layer: nn.Linear, arithmetic: torch.dtype, device: torch.device | str) -> nn.Module:
    """Return bitsandbytes' layer with the weight of a linear layer in NF4, and its bias.

    kit: the package bitsandbytes; arithmetic: dtype of matrix products; device: where the weight is quantised.
    """
    with torch.device("meta"):
        made = kit.nn.Linear4bit(
            layer.in_features, layer.out_features, bias=layer.bias is not None, compute_dtype=arithmetic, quant_type=NF4
        )
    weight = kit.nn.Params4bit(
        layer.weight.detach(), requires_grad=False, compress_statistics=True, quant_type=NF4, module=made
    )
    made.weight = weight.to(device).to("cpu")  # the first quantises it
    made.quant_state, made.bias = made.weight.quant_state, layer.bias
    made.support_avx512bf16_for_cpu = False  # a pass without gradient would lay the weight out anew, for itself alone
    made.register_state_dict_post_hook(without_parts)
    return made.requires_grad_(False)


def without_parts(layer: nn.Module, state: dict[str, Any], prefix: str, _: object) -> None:
    """Delete bitsandbytes' own entries (block sizes and the like) from a layer's state dict, in place: a hook."""
    for key in [key for key in state if key.startswith(f"{prefix}weight.")]:
        del state[key]


def four_bit_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers whose weights are in 4 bits, by name; {} where there are none."""
    return {name: m for name, m in network.named_modules() if getattr(m, "quant_state", None) is not None}


def dequantized(layer: nn.Module) -> Tensor:
    """Return the weight [out in] that a 4-bit layer stands for, fp32, in main memory."""
    weight: Any = layer.weight
    return library().functional.dequantize_4bit(weight.data, layer.quant_state).float().cpu()


def written_out(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the network's state dict with weights in fp32 [out in] in place of 4-bit ones."""
    return {**state, **{f"{name}.weight": dequantized(layer) for name, layer in four_bit_layers(network).items()}}
