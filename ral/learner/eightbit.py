"""AdamW whose two running means take one byte a weight each, not four (bitsandbytes), for full fine-tuning."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from torch.distributed.tensor import DTensor
from torch.nn import Parameter
from torch.optim import Optimizer

from ral.types import UserError


def adamw_8bit(
    parameters: Iterable[Parameter],
    lr: float,
    betas: Sequence[float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    smallest: int = 4096,
) -> Optimizer:
    """Return bitsandbytes' AdamW8bit; the state of tensors with fewer than `smallest` elements stays fp32.

    lr: peak of the learning rate; betas, eps, weight_decay: as in torch.optim.AdamW. UserError where bitsandbytes is
    missing, and for sharded weights, which AdamW8bit cannot update.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise UserError(f"optim=adamw_8bit needs bitsandbytes ({error}): pip install '.[eightbit]'") from error
    trained = list(parameters)
    if any(isinstance(p, DTensor) for p in trained):
        raise UserError("optim=adamw_8bit cannot update sharded weights: write optim=adamw or hardware=ddp")
    first, second = betas
    return AdamW8bit(trained, lr=lr, betas=(first, second), eps=eps, weight_decay=weight_decay, min_8bit_size=smallest)
