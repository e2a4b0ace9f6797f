"""Passes with one signal more: the visual tokens that each response names by its own words.

A function of the data finds them in the response's text; a loss term then draws attention rows to them
(ral.ops.looking.named_place). This term is an upper bound for loss terms on attention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ral.learner.experience import Experience, Forward
from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.ops.grounding import evidence_tokens
from ral.ops.signals import OF_A_POLICY
from ral.types import Box, Evidence, Example, Grid

Places = Callable[[Example, str], Sequence[tuple[int, int, Box]]]
"""(example, response) -> (first character, end, box) of each word that reads a box in the first medium."""


@dataclass(frozen=True)
class NamedPlaces(Forward):
    """Passes of a policy with one signal more, `named`: the visual tokens that each response token has to look at.

    places: function of an example and a response that finds the words with a box, and the box of each (`Places`).
    """

    places: Places
    offers: ClassVar[frozenset[str]] = OF_A_POLICY | {"named"}

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return {name: signal} of the policy being trained, as `Forward.live`, and `named` if it is needed.

        named [N C P] bool: True on the visual tokens of the prompt that a response token has to look at.
        """
        signals = super().live(model, experience, needs)
        return signals | {"named": named(self.places, experience, model.processor)} if "named" in needs else signals


def named(places: Places, experience: Experience, processor: Processor) -> Tensor:
    """Mark the visual tokens of the first medium that each response token has to look at, [N C P] bool.

    N responses, C response tokens, P prompt tokens. Of a video the tokens of all time slots are marked. No token is
    marked for words without a box, and for prompts without a medium.
    """
    rollout, prepared = experience.rollout, experience.prepared
    out = torch.zeros(*rollout.token_ids.shape, prepared.visual.shape[1], dtype=torch.bool)
    for n, (own, ids) in enumerate(zip(rollout.trainable.cpu(), rollout.token_ids.cpu(), strict=True)):
        b = n // rollout.group_size
        if not prepared.prompts.grids[b]:
            continue
        at, said = own.nonzero().squeeze(-1), ids[own].tolist()
        found = places(prepared.prompts.examples[b], processor.decode(said))
        seen = prepared.visual[b].nonzero().squeeze(-1).cpu()
        for tokens, keys in _looks(found, processor.char_starts(said), prepared.prompts.grids[b][0]):
            out[n, at[tokens][:, None], seen[: len(keys)][keys]] = True
    return out.to(rollout.token_ids.device)


def _looks(found: Sequence[tuple[int, int, Box]], starts: Sequence[int], grid: Grid) -> list[tuple[Tensor, Tensor]]:
    """Return for each word the indices of its tokens, and a mask [T * H * W] of the visual tokens inside its box.

    found: (first character, end, box) of each word; starts: first character of each token; grid: T, H, W of the medium.
    """
    first, behind = torch.tensor(starts), torch.tensor([*starts[1:], torch.iinfo(torch.int64).max])
    inside = [evidence_tokens([Evidence(box)], grid, 0.0).flatten() for _, _, box in found]
    words = [((first < high) & (behind > low)).nonzero().squeeze(-1) for low, high, _ in found]
    return list(zip(words, inside, strict=True))
