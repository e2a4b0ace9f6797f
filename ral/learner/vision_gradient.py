"""Gradients of the visual embeddings of an update, which pass through a trained vision tower once, after all of them.

The tower reads all prompts of a step in one pass. Micro-batches read copies of its embeddings without its graph; the
last one reads those with the graph, and its backward pass takes the gradients of all copies along. Each function does
nothing where no visual embedding has a graph: with a frozen tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ral.learner.experience import Experience
from ral.types import VisualStates


@dataclass(frozen=True)
class Received:
    """Gradients of visual embeddings. seen: embeddings with the vision tower's graph. gradients: one for each."""

    seen: tuple[Tensor, ...] = ()
    gradients: tuple[Tensor, ...] = ()

    def __add__(self, other: Received) -> Received:
        """Return the gradients of both, one after another."""
        return Received(self.seen + other.seen, self.gradients + other.gradients)


@dataclass(frozen=True)
class Copies:
    """Visual embeddings of a micro-batch. seen: with the vision tower's graph. leaves: the same values without it."""

    seen: list[Tensor] = field(default_factory=list)
    leaves: list[Tensor] = field(default_factory=list)

    def received(self, gradients: Sequence[Tensor | None]) -> Received:
        """Return the gradients of the embeddings. gradients: one for each leaf; None where no loss depends on it."""
        pairs = [(seen, found) for seen, found in zip(self.seen, gradients, strict=True) if found is not None]
        return Received(tuple(seen for seen, _ in pairs), tuple(found for _, found in pairs))


def copied(part: Experience) -> tuple[Experience, Copies]:
    """Return a micro-batch that reads copies of its visual embeddings: those of both views, and of what is shown.

    A backward pass then ends at the leaves. The copies share the embeddings' memory.
    """
    copies = Copies()

    def leaf(seen: Tensor) -> Tensor:
        if not seen.requires_grad:
            return seen
        copies.seen.append(seen)
        copies.leaves.append(seen.detach().requires_grad_())
        return copies.leaves[-1]

    def leaves(seen: VisualStates) -> VisualStates:
        return VisualStates(leaf(seen.states), leaf(seen.deepstack))

    second, shown = part.second, part.shown
    read = replace(
        part,
        prepared=replace(part.prepared, seen=leaves(part.prepared.seen)),
        second=None if second is None else replace(second, seen=leaves(second.seen)),
        shown=None if shown is None else replace(shown, seen=leaves(shown.seen)),
    )
    return read, copies


def taking(loss: Tensor, received: Received) -> Tensor:
    """Return the loss, unchanged, whose backward pass also passes on the gradients that embeddings have received.

    These are added as they are, however the gradient of the loss is scaled.
    """
    return loss if not received.seen else _Taking.apply(loss, received.gradients, *received.seen)


class _Taking(torch.autograd.Function):
    """Autograd function of `taking`: (loss, gradients, *embeddings) -> loss."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: tuple[Tensor, ...], *seen: Tensor) -> Tensor:
        """Return the loss, and keep the gradients."""
        ctx.gradients = gradients
        return loss.view_as(loss)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the loss and of the embeddings."""
        return grads[0], None, *ctx.gradients
