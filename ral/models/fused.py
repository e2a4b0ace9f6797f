"""Log-probs of tokens by a kernel that never writes their logits to memory: Liger Kernel's, on a Hopper GPU in bf16.

Of its functions this is the one that gives what an objective needs: a log-prob for each token with its own gradient
(no mean, no loss of its own), at a temperature, with the entropy, and log-probs of further tokens, by which banned ones
are left out (`ral.ops.logprobs.without_banned`). On other devices it computes chunks of 512 tokens in PyTorch, which is
what `ral.ops.logprobs` does by itself, so that it is asked for on Hopper alone.
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
"""Target that Liger leaves out; none is."""
MARK = "fused_log_probs"
"""Attribute of a head whose log-probs are computed by the kernel: the type of its products."""


def library() -> Any:
    """Return Liger's function (hidden, weight, ids, ...) -> losses. UserError, one line, where it is missing."""
    try:
        return importlib.import_module(MODULE).LigerFusedLinearScaledCrossEntropyFunction
    except (ImportError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{KEY}=true needs liger-kernel ({reason}): pip install '.[liger]'") from error


def fuse(model: MLLM, dtype: torch.dtype = torch.bfloat16) -> None:
    """Let the log-probs of a model come from the kernel from now on. UserError for a head with a bias."""
    library()
    head = model.network.lm_head
    if head.bias is not None:
        raise UserError(
            f"{KEY}=true: the head of {model.processor.name} has a bias, which it has no place for: write false"
        )
    setattr(head, MARK, dtype)


def fused(model: FrozenModel) -> Scores | None:
    """Return what computes log-probs of a model by the kernel; None where it was not asked for."""
    head: nn.Linear = model.network.lm_head
    dtype = getattr(head, MARK, None)
    return None if dtype is None else partial(scores, head.weight[: model.processor.vocab_size].to(dtype))


def scores(weight: Tensor, hidden: Tensor, ids: Tensor, temperature: float, banned: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probs [M] with gradient and entropy [M] without, fp32; of weight [V D], hidden [M D], ids [M].

    banned [V]: tokens that are left out. As ral.ops.logprobs gives them, but for the rounding: products are in the type
    of the weight, and so is the entropy.
    """
    left_out = banned.nonzero().squeeze(-1)
    given = (hidden.to(weight.dtype), weight, ids, temperature, NO_TOKEN, 1, True)
    if not len(left_out):
        loss, entropy = library().apply(*given)
        return -loss, entropy.detach().float()
    loss, entropy, others = library().apply(*given, left_out)
    log_probs, entropy = without_banned(-loss, entropy.detach().float(), others)
    return log_probs.masked_fill(banned[ids], -torch.inf), entropy.detach()
