"""Visual embeddings of padded rows of tokens, by the vision tower of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ral.models.family import IMAGE, VIDEO, Family
from ral.models.processor import Processor
from ral.types import Pixels, Sequences, UserError, VisualStates

KINDS = {IMAGE: "IMAGE", VIDEO: "VIDEO"}
"""Kinds of visual tokens by their names in messages."""


def kinds(processor: Processor, rows: Sequences) -> Tensor:
    """Return the kind of each token of M rows of S tokens, int64 [M S]: 0 for text, IMAGE or VIDEO."""
    found = torch.zeros_like(rows.token_ids)
    for index, kind in processor.kinds.items():
        found = found + (rows.token_ids == index) * kind
    return found


def see(network: PreTrainedModel, processor: Processor, rows: Sequences) -> VisualStates:
    """Run the vision tower; return embeddings fp32 [M S D] and deepstack features [J M S D], zero at text tokens.

    rows: M padded rows of S tokens with their media. Under autograd, rows without media still depend on the tower's
    weights (`see_nothing`). UserError where the tower gives another number of embeddings than there are visual tokens.
    """
    weight, kind_of = network.get_input_embeddings().weight, kinds(processor, rows)
    seen = processor.family.network.encode(network.model, rows.media)
    where = {kind: (kind_of == kind) & rows.valid for kind in KINDS}
    check_counts(processor.family, {kind: int(at.sum()) for kind, at in where.items()}, seen)
    depth = max((len(parts) for parts in seen.values()), default=1)
    out = torch.zeros(depth, *kind_of.shape, weight.shape[1], device=weight.device)  # fp32, as states are
    for kind, parts in seen.items():
        out[:, where[kind]] = torch.stack(parts).to(out.dtype)
    if torch.is_grad_enabled() and not seen:
        out = out + 0 * see_nothing(network, processor)
    return VisualStates(out[0], out[1:])


def check_counts(family: Family, tokens: Mapping[int, int], seen: Mapping[int, Sequence[Tensor]]) -> None:
    """Raise UserError unless the tower gives as many visual embeddings of each kind as there are tokens of that kind.

    tokens: kind -> number of tokens; seen: kind -> result of the family's `encode`.
    """
    for kind, count in tokens.items():
        given = len(seen[kind][0]) if kind in seen else 0
        if count != given:
            raise UserError(
                f"family {family.model_type}: {count} tokens of kind {KINDS[kind]} in the prompts, and network.encode "
                f"returns {given} embeddings of it; let placeholders.kinds give each placeholder the kind that it uses"
            )


def see_nothing(network: PreTrainedModel, processor: Processor) -> Tensor:
    """Return a number that depends on every weight of the vision tower, from one black image.

    A batch without media adds 0 times this number: its backward pass then makes the same gradients, and under FSDP2 the
    same collectives, as a batch with media, which another rank may have.
    """
    patches, family = processor.patches, processor.family
    black = Pixels("image", torch.zeros(1, patches.factor, patches.factor, 3, dtype=torch.uint8))
    device = next(network.parameters()).device
    media = {name: value.to(device) for name, value in family.pixels.tensors([black], patches)[0].items()}
    seen = family.network.encode(network.model, media)
    return torch.stack([part.float().mean() for parts in seen.values() for part in parts]).sum()
