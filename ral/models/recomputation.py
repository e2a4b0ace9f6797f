"""Gradient checkpointing of decoder layers, without the dropout that training mode would switch on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


@contextmanager
def recomputation(network: PreTrainedModel) -> Iterator[None]:
    """Let layers drop their activations where checkpointing is on and a graph is built; dropout stays off."""
    decoder: nn.Module = network.model.language_model
    layers = [m for m in decoder.modules() if isinstance(m, GradientCheckpointingLayer)]
    for layer in layers:
        layer.training = torch.is_grad_enabled()  # of the layer alone: Transformers asks it before checkpointing
        layer._can_checkpoint_with_cache = True  # of this project, which is read and written alike a second time
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
