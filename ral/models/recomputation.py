"""Gradient checkpointing of decoder layers, without the dropout that training mode would switch on.

Checkpointing keeps the hidden states that enter each layer for the backward pass; these may wait in main memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.autograd.graph import save_on_cpu
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


def keep_in_main_memory(network: PreTrainedModel) -> None:
    """Make later forward passes of a network keep the hidden states of gradient checkpointing in main memory."""
    network.kept_in_main_memory = True


def where_kept(network: PreTrainedModel) -> AbstractContextManager[object]:
    """Return the context of a forward pass: saved tensors go to main memory after `keep_in_main_memory`, else stay."""
    if not getattr(network, "kept_in_main_memory", False):
        return nullcontext()
    return save_on_cpu(pin_memory=torch.cuda.is_available())


@contextmanager
def recomputation(network: PreTrainedModel) -> Iterator[None]:
    """Let decoder layers recompute their activations inside the block, without the dropout of training mode.

    Layers do so only where `MLLM.checkpoint_layers` was called and autograd is on.
    """
    decoder: nn.Module = network.model.language_model
    layers = [m for m in decoder.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.training = torch.is_grad_enabled()  # of the layer alone: Transformers asks it before checkpointing
        layer._can_checkpoint_with_cache = True  # of this project, which is read and written alike a second time
    try:
        with where_kept(network):
            yield
    finally:
        for layer in layers:
            layer.training = False
