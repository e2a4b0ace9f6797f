"""Log-probs of tokens by a kernel that never writes their logits to memory: Liger Kernel's, on a Hopper GPU in bf16.

The function used gives what loss terms need: a log-prob for each token with a gradient of its own, at a temperature,
with the entropy, and log-probs of further tokens, by which banned ones are left out
(`ral.ops.logprobs.without_banned`). On other devices the same function computes chunks of 512 tokens in PyTorch, as
`ral.ops.logprobs` does without it, so that it is used on Hopper only.
"""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ral.models.frozen import FrozenModel
from ral.models.mllm import MLLM
from ral.ops.logprobs import Scores, without_banned
from ral.types import UserError

KEY = "hardware.fused_log_probs"
MODULE = "liger_kernel.ops.fused_linear_scaled_cross_entropy"
NO_TOKEN = -100
"""Target id that Liger ignores; no token has it."""
MARK = "fused_log_probs"
"""Attribute that marks a head for the kernel; its value is the dtype of the kernel's matrix products."""


def library() -> Any:
    """Return Liger's autograd function (hidden, weight, ids, ...) -> losses. UserError where it is not installed."""
    try:
        return importlib.import_module(MODULE).LigerFusedLinearScaledCrossEntropyFunction
    except (ImportError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{KEY}=true needs liger-kernel ({reason}): pip install '.[liger]'") from error


def fuse(model: MLLM, dtype: torch.dtype = torch.bfloat16) -> None:
    """Mark a model so that `fused` returns the kernel for it. dtype: dtype of the kernel's matrix products.

    UserError for a head with a bias, or where Liger is not installed.
    """
    library()
    head = model.network.lm_head
    if head.bias is not None:
        raise UserError(
            f"{KEY}=true: the head of {model.processor.name} has a bias, which it has no place for: write false"
        )
    setattr(head, MARK, dtype)


def fused(model: FrozenModel) -> Scores | None:
    """Return the kernel as a function of hidden states for a model that `fuse` marked; None for other models."""
    head: nn.Linear = model.network.lm_head
    dtype = getattr(head, MARK, None)
    return None if dtype is None else partial(scores, head.weight[: model.processor.vocab_size].to(dtype))


def scores(weight: Tensor, hidden: Tensor, ids: Tensor, temperature: float, banned: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probs [M], with gradient, and entropies [M], without, of M tokens; fp32, nats.

    weight [V D]: the head's, V tokens, states of width D; hidden [M D]: the states that predict the tokens; ids [M].
    banned [V] bool: tokens left out of the distribution, whose log-prob is -inf. Equal to those of ral.ops.logprobs up
    to rounding: matrix products, and the entropy, are in the dtype of the weight.
    """
    left_out = banned.nonzero().squeeze(-1)
    given = (hidden.to(weight.dtype), weight, ids, temperature, NO_TOKEN, 1, True)
    if not len(left_out):
        loss, entropy = library().apply(*given)
        return -loss, entropy.detach().float()
    loss, entropy, others = library().apply(*given, left_out)
    log_probs, entropy = without_banned(-loss, entropy.detach().float(), others)
    return log_probs.masked_fill(banned[ids], -torch.inf), entropy.detach()
