"""Gradients of several processes: each adds up those of its micro-batches; once an update all are averaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

BUCKET = 2**24
"""Numbers in one exchange between ranks (64 MB in fp32), so that no second copy of the whole gradient exists."""


def through_all(loss: Tensor, hidden: Tensor | None) -> Tensor:
    """Return the loss plus an empty sum (0) over the last hidden states, so that gradients reach every layer's output.

    FSDP2 gathers a layer when a gradient reaches its output; the gradient of a loss of attention alone never reaches
    the output of the last layer. hidden [N C D]: the last hidden states; None where the loss depends on them anyway.
    """
    return loss if hidden is None else loss + hidden[:0].float().sum()


def without_wrapper(strategy: Any) -> AbstractContextManager[Any]:
    """Return a context that keeps Lightning's wrapper of the module (DDP) from summing gradients in backward passes.

    strategy: Lightning's strategy. DDP's reducer waits for a gradient of every weight, and a rank may lack some: those
    of the vision tower where its prompts have no image, or of the layers above the one whose attention is trained.
    """
    return getattr(strategy, "block_backward_sync", nullcontext)()


@torch.no_grad()
def average_over_ranks(parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its mean over all ranks; every rank must call it with the same weights.

    A missing gradient counts as zero; a weight without a gradient on every rank keeps None. Gradients of sharded
    weights (FSDP2) are left alone: they are means already.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return
    whole = [p for p in parameters if not isinstance(p, DTensor)]
    for bucket in buckets(having_a_gradient(whole)):
        flat = torch.cat([p.grad.flatten() for p in bucket])  # type: ignore[union-attr]
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        for parameter, mean in zip(bucket, flat.split([p.numel() for p in bucket]), strict=True):
            parameter.grad.copy_(mean.view_as(parameter))  # type: ignore[union-attr]


def having_a_gradient(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Return the weights that have a gradient on some rank; where this rank has none, set it to zero."""
    if not parameters:
        return []
    held = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    dist.all_reduce(held)
    found = [p for p, ranks in zip(parameters, held.tolist(), strict=True) if ranks]
    for parameter in found:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return found


def buckets(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the weights in their order, in lists of one dtype; each has at most BUCKET numbers, or a single weight."""
    bucket: list[Tensor] = []
    for parameter in parameters:
        size = sum(p.numel() for p in bucket) + parameter.numel()
        if bucket and (size > BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket
