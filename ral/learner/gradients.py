"""Gradients of several processes: added up in each over the micro-batches, averaged over all of them once an update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

BUCKET = 2**24
"""Numbers that travel at once (64 MB in fp32), so that a whole second gradient never exists."""


def through_all(loss: Tensor, hidden: Tensor | None) -> Tensor:
    """Add 0 * the last states to a loss, so that a gradient reaches the output of every layer.

    FSDP2 gathers a layer when a gradient reaches its output, and attention alone never reaches the last one's.
    hidden [N C D]: the last states; None where the loss is of them anyway.
    """
    return loss if hidden is None else loss + hidden[:0].float().sum()


def without_wrapper(strategy: Any) -> AbstractContextManager[Any]:
    """Keep Lightning's wrapper of the module (DDP) from summing gradients in the backward passes inside the block.

    Its reducer waits for a gradient of every weight, and a rank need not have one: of the vision tower without a
    picture, of the layers above the one whose attention is trained.
    """
    return getattr(strategy, "block_backward_sync", nullcontext)()


@torch.no_grad()
def average_over_ranks(parameters: Iterable[Tensor]) -> None:
    """Put the mean over all ranks in place of each rank's own gradient; every rank must name the same weights.

    A rank without a gradient counts as zero; a weight without one on any rank keeps None. Gradients of sharded weights
    (FSDP2) are means already.
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
    """Return the weights that have a gradient on some rank; it is zero here where this rank had none."""
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
    """Group weights whose gradients have one type, in order: BUCKET numbers together at most, or one larger alone."""
    bucket: list[Tensor] = []
    for parameter in parameters:
        size = sum(p.numel() for p in bucket) + parameter.numel()
        if bucket and (size > BUCKET or parameter.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket
