"""Low-rank adapters (LoRA, Hu et al. 2021, by peft) as the only trained weights; without them the policy is its own
reference.

The adapters have no dropout, since rollout, old and current policy have to be the same function of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ral.models.adapters.four_bit import written_out
from ral.models.frozen import Wrapped
from ral.models.masters import settle
from ral.models.mllm import MLLM
from ral.types import UserError

NAME = "default"
"""Name of the one adapter in peft."""


@dataclass(frozen=True)
class Adapters:
    """Configuration of LoRA adapters: each weight becomes W + alpha / rank * B A, with B [out rank] and A [rank in].

    targets: names, or ends of names, of the decoder's linear layers.
    """

    rank: int
    alpha: float
    targets: Sequence[str]

    def config(self) -> LoraConfig:
        """Return this configuration as peft's, without dropout."""
        return LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=list(self.targets), lora_dropout=0.0)


def add_adapters(model: MLLM, adapters: Adapters, seed: int = 0) -> None:
    """Freeze the model and add adapters to its decoder, in place: B zero, A from `seed` alone, the same on every rank.

    Adapters are fp32; frozen weights get their resting dtype (ral.models.masters). UserError for a target that names no
    linear layer.
    """
    model.requires_grad_(False)
    decoder = model.network.model.language_model
    check_targets(decoder, adapters.targets)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(adapters.config(), decoder)
        settle(model.network, model.dtype, model.stored)
        for layer in adapted(decoder).values():  # drawn again in fp32: peft has rounded them to the dtype of the base
            for factor in (layer.lora_A[NAME], layer.lora_B[NAME]):
                if factor.weight.is_meta:  # small, and drawn alike on every rank, which then keeps its part
                    factor.to_empty(device="cpu")
            layer.reset_lora_parameters(NAME, init_lora_weights=True)


def check_targets(decoder: nn.Module, targets: Sequence[str]) -> None:
    """Raise UserError for a target that is the name, or the end of the name, of no linear layer."""
    linear = [f".{name}" for name, module in decoder.named_modules() if isinstance(module, nn.Linear)]
    missing = [target for target in targets if not any(name.endswith(f".{target}") for name in linear)]
    if missing:
        names = sorted({name.rsplit(".", 1)[-1] for name in linear})
        found = [target for target in targets if target not in missing]
        write = f"; write lora.targets=[{','.join(found + [n for n in names if n not in found])}] or some of them"
        raise UserError(f"lora.targets={list(targets)}: no layer is called {' or '.join(missing)}{write}")


def adapted(network: nn.Module) -> dict[str, LoraLayer]:
    """Return the layers of a network that have an adapter, by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, LoraLayer)}


@contextmanager
def adapters_off(network: nn.Module) -> Iterator[None]:
    """Switch the network's adapters off inside the block."""
    layers = adapted(network).values()
    for layer in layers:
        layer._disable_adapters = True
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False


@dataclass(frozen=True)
class WithoutAdapters(Wrapped):
    """The policy without its adapters as a frozen model, without a second copy of the weights."""

    def around(self) -> AbstractContextManager[None]:
        """Return the context in which the adapters are off."""
        return adapters_off(self.network)


def merged(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return a state dict of the network without adapters, with adapted weights W + alpha / rank * B A in fp32.

    state: state dict of the network with adapters. Weights in 4 bits are dequantised to fp32.
    """
    layers = adapted(network)
    result: dict[str, Tensor] = {}
    for key, value in written_out(state, network).items():
        name, _, rest = key.partition(".base_layer.")
        if rest:
            result[f"{name}.{rest}"] = value
        elif ".lora_" not in key:
            result[key] = value
    for name, layer in layers.items():
        a, b = (state[f"{name}.lora_{side}.{NAME}.weight"] for side in "AB")
        weight = result[f"{name}.weight"]
        result[f"{name}.weight"] = weight.float() + layer.scaling[NAME] * (b.float() @ a.float())
    return result


def save_adapters(state: Mapping[str, Tensor], network: PreTrainedModel, pretrained: str, folder: Path) -> None:
    """Write the network's adapters to `folder`, as `peft.PeftModel.from_pretrained` reads them.

    state: the network's whole state dict. pretrained: name of the base model, which the folder records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    decoder: Any = network.model.language_model
    prefix = next(name for name, module in network.named_modules() if module is decoder)
    config = decoder.peft_config[NAME]
    config.base_model_name_or_path = pretrained
    config.target_modules = sorted(adapted(network))  # by whole name: the vision tower has layers of the same last name
    config.save_pretrained(folder)
    own = {k.removeprefix(f"{prefix}."): v for k, v in state.items() if ".lora_" in k}
    chosen = get_peft_model_state_dict(decoder, state_dict=own, adapter_name=NAME)
    tensors = {f"base_model.model.{prefix}.{key}": value.contiguous() for key, value in chosen.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
