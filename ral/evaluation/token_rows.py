"""The attention rows (RAL, Eq.

2) of a response's tokens on the first medium, by kind of row, decoder layer and head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ral.evaluation.held_out import answer_tokens, layers_of, prompt_rows
from ral.evaluation.looks import seen_of, slot_seconds
from ral.learner.experience import Forward
from ral.models.attention.kinds import FULL, attention_types
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.ops.attention import AttentionSpec
from ral.ops.grounding import evidence_tokens
from ral.types import Example, Prepared, Query, Rollout, RowChoice, TokenRows, UserError

ENDED = "<end>"
"""Text shown for the token that ends a response, whose own text is empty."""


def full_layers(policy: MLLM) -> tuple[int, ...]:
    """Return the layers of softmax attention whose rows are over all positions.

    Layers with a sliding window are left out.
    """
    return tuple(n for n, kind in enumerate(attention_types(policy.network.config)) if kind == FULL)


def head_count(policy: MLLM) -> int:
    """Return the number of attention heads of a decoder layer."""
    return int(policy.network.config.get_text_config().num_attention_heads)


def token_texts(processor: Processor, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the text that each token adds to the response; ENDED for a token without text."""
    return tuple(processor.decode([index]) or ENDED for index in ids)


def row_choices(policy: MLLM, queries: Sequence[Query], wanted: Sequence[int] | None = None) -> list[RowChoice]:
    """Return the parts of the rows that may be kept, from all rows down to the last layer's mean over heads.

    queries: the kinds of rows. wanted: layers to keep, negative from the last, with all heads or their mean; None to
    choose among all layers. UserError for a layer that has no rows over all positions.
    """
    heads = head_count(policy)
    if wanted is not None:
        layers = tuple(sorted({checked_layer(policy, layer) for layer in wanted}))
        return [RowChoice(tuple(queries), layers, heads), RowChoice(tuple(queries), layers, 0)]
    layers = full_layers(policy)
    thinned = [layers[::-1][:: 2**n][::-1] for n in range(len(layers).bit_length() + 1)]
    return [RowChoice(tuple(queries), layers, heads), *(RowChoice(tuple(queries), part, 0) for part in thinned)]


def checked_layer(policy: MLLM, layer: int, key: str = "layers") -> int:
    """Return the number of a decoder layer, counted from 0. layer: negative from the last.

    UserError for a layer that does not exist or has no rows over all positions. key: how messages name the setting.
    """
    there = full_layers(policy)
    found = layer % policy.depth if -policy.depth <= layer < policy.depth else None
    if found not in there:
        raise UserError(f"{key}: {layer} has no rows of attention; write some of {', '.join(map(str, there))}")
    return int(found)


@torch.no_grad()
def token_rows(policy: MLLM, prepared: Prepared, rollout: Rollout, chosen: RowChoice) -> list[TokenRows | None]:
    """Return the attention rows of every response of a rollout. chosen: the rows to keep.

    None stands for a response without tokens, or to a prompt without media.
    """
    view = View(policy, prepared, policy.show(prepared, rollout))
    found = [[list[Tensor | None]() for _ in chosen.queries] for _ in rollout.texts]
    for place, query in enumerate(chosen.queries):
        passes = Forward(1.0, AttentionSpec(layers=chosen.layers, query=query))
        attention = passes.states(view, rollout, attention=True).attention
        assert attention is not None  # it was asked for
        for layer in range(len(chosen.layers)):
            one = layers_of(attention, (layer,))
            for kept in (one, *(one.of_head(head) for head in range(chosen.heads))):
                rows = prompt_rows(kept)
                for n, own in enumerate(found):
                    own[place].append(seen_of(rollout, rows[n], n))
    return [_of_response(policy.processor, rollout, n, chosen, own) for n, own in enumerate(found)]


def _of_response(
    processor: Processor, rollout: Rollout, n: int, chosen: RowChoice, seen: Sequence[Sequence[Tensor | None]]
) -> TokenRows | None:
    """Return the rows of response n.

    seen: for each query, its rows [T V] by layer, and in a layer by mean and head; T tokens, V visual tokens.
    """
    known = [[rows for rows in own if rows is not None] for own in seen]
    if not known[0]:
        return None
    weights = torch.stack([torch.stack(rows) for rows in known])
    shape = (len(chosen.queries), len(chosen.layers), 1 + chosen.heads, *weights.shape[-2:])
    ids = rollout.token_ids[n][rollout.trainable[n]].tolist()
    grid, seconds = rollout.prompts.grids[n][0], slot_seconds(rollout.prompts, n)
    return TokenRows(
        chosen=chosen,
        tokens=token_texts(processor, ids),
        in_answer=tuple(answer_tokens(processor, ids, rollout.texts[n])),
        grid=grid,
        seconds_per_slot=seconds,
        weights=weights.reshape(shape),
        inside=_inside(rollout.prompts.examples[n], grid, seconds),
    )


def _inside(example: Example, grid: tuple[int, int, int], seconds: float) -> Tensor | None:
    """Mark the visual tokens on the evidence [V]; None where the example has no evidence."""
    return evidence_tokens(example.evidence, grid, seconds).flatten() if example.evidence else None
