"""Calls of a network's decoder under an attention layout: one pass, or one over prompts and one over responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ral.models.attention.interface import Layout
from ral.models.attention.kinds import FULL, LINEAR
from ral.models.attention.recurrent import LinearStates, run_answers, run_prompts
from ral.models.attention.rollout_layouts import Decode
from ral.models.states import Openings


def run_decoder(
    decoder: Any, embeds: Tensor, positions: Tensor, layout: Layout, deepstack: Tensor | None = None
) -> Tensor:
    """Run the decoder layers and return hidden states [B S D] of B sequences of S tokens. embeds: their embeddings.

    positions [A B S]: position of each token on A axes. layout: computes the attention. deepstack [J B P D]: features
    added to the first P hidden states after each of the first J layers, P <= S; None where the model has none. Networks
    with linear-attention layers take two passes, over prompts and over responses.
    """
    if isinstance(past := layout.past, LinearStates):
        assert deepstack is None or not len(deepstack), "no family has both deepstack and linear attention"
        return run_in_parts(decoder, embeds, positions, layout, past)
    visual: dict[str, Any] = {}
    if deepstack is not None and len(deepstack):
        prompt = torch.arange(embeds.shape[1], device=embeds.device) < deepstack.shape[2]
        visual["visual_pos_masks"] = prompt.expand(embeds.shape[:2])
        visual["deepstack_visual_embeds"] = list(deepstack.flatten(1, 2))
    mask = unmasked(embeds) if layout.mask is None else layout.mask
    return call(decoder, embeds, positions, layout, mask, use_cache=layout.past is not None, **visual)


def states_kept(linear: bool) -> LinearStates | None:
    """Return a new cache of linear-attention states if the network has such layers (`linear`), else None."""
    return LinearStates() if linear else None


def run_in_parts(decoder: Any, embeds: Tensor, positions: Tensor, layout: Any, past: LinearStates) -> Tensor:
    """Run the decoder over prompts, then over their responses; return the hidden states [B S D] of both, side by side.

    In a decoding step it runs over one token of each response. Parameters as in `run_decoder`. past: collects the
    prompts' linear-attention states; in decoding, hands out the states from which this step continues.
    """

    def stack(embeds: Tensor, positions: Tensor, part: Layout, valid: Tensor | None) -> Tensor:
        return call(decoder, embeds, positions, part, {FULL: unmasked(embeds), LINEAR: valid}, use_cache=False)

    if past.before is not None:
        return run_answers(stack, embeds, positions, layout, past, embeds.shape[1])
    p = layout.valid.shape[1]
    prompts = run_prompts(stack, embeds[:, :p], positions[..., :p], layout, past)
    if embeds.shape[1] == p:
        return prompts
    after = LinearStates(past.kept, layout.group_size)
    answers = run_answers(stack, embeds[:, p:], positions[..., p:], layout, after, layout.group_size)
    return torch.cat([prompts, answers], dim=1)


def open_by_token(
    decode: Callable[[Tensor, Decode], Tensor], hidden: Tensor, state: Decode, openings: Openings
) -> Tensor:
    """Feed a prefix to each response, one token in each pass; return hidden states [N D] that predict the next.

    For networks with linear attention, whose layers keep states that padding after a shorter prefix must not enter.
    decode: feeds one token to each response. hidden [N D]: hidden states after the prompts, returned for empty
    prefixes. state: the decoding state, changed in place. openings: the prefixes.
    """
    shape, fed = state.position.shape, openings.mask()
    for step in range(openings.ids.shape[1]):
        before, running = state.past, fed[:, step]
        out = decode(openings.ids[:, step], state)
        assert isinstance(before, LinearStates) and before.before and isinstance(state.past, LinearStates)
        state.past = LinearStates(before.kept.where(running, before.before))
        hidden = torch.where(running[:, None], out, hidden)
    state.step, state.position = 0, state.position + openings.lengths.view(shape)
    state.given = fed.unflatten(0, shape)
    return hidden


def call(decoder: Any, embeds: Tensor, positions: Tensor, layout: Layout, mask: Any, **others: Any) -> Tensor:
    """Call the network's decoder once on embeddings [M S D]; return the hidden states [M S D] after its last layer.

    positions [A M S], layout: as in `run_decoder`. mask: attention mask as Transformers takes it. others: further
    keywords of the decoder.
    """
    out: Tensor = decoder(
        inputs_embeds=embeds,
        position_ids=positions.squeeze(0),
        attention_mask=mask,
        past_key_values=layout.past,
        layout=layout,
        **others,
    ).last_hidden_state
    return out


def unmasked(embeds: Tensor) -> Tensor:
    """Return a mask [1 1 1 1] that hides nothing: Transformers passes 4-D masks on, and layouts make their own."""
    return embeds.new_zeros(1, 1, 1, 1)
