"""Responses to one question about one image or video, and maps of their attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ral.data.prompts import render
from ral.evaluation.held_out import answer_tokens
from ral.evaluation.looks import attention_of_tokens
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.types import Example, Pixels, Prepared, Rollout

AS_ASKED = "as_asked"
"""Name of the prompt template that is the question alone."""


@dataclass(frozen=True)
class Asked:
    """N responses of a model to one question about one image or video.

    pixels: pixels of the image or video. prepared: the prompt as the model reads it. rollout: the responses.
    """

    policy: MLLM
    example: Example
    pixels: Pixels
    prepared: Prepared
    rollout: Rollout

    @property
    def texts(self) -> Sequence[str]:
        """Return the whole texts of the N responses."""
        return self.rollout.texts

    @torch.no_grad()
    def rows(self, spec: AttentionSpec) -> Float[Tensor, "L N C K"]:
        """Return the attention policy (RAL, Eq. 2) of each response's C tokens over K positions, the prompt's first.

        It is on the CPU, for the layers of `spec` (L of them) and all N responses.
        """
        states = Forward(1.0, spec).states(View(self.policy, self.prepared), self.rollout, attention=True)
        assert states.attention is not None  # it was asked for
        return states.attention.rows().cpu()

    def map(self, rows: Float[Tensor, "L N C K"], number: int = 0) -> tuple[dict[str, Any], bool]:
        """Return the attention map of response `number`, and whether the response has an answer block.

        rows: from `rows`; their mean over layers is taken. The map is that of the tokens in the answer block, or of all
        tokens if there is no such block. It holds the grid (T, H, W), weights of sum 1, and the seconds of a time slot.
        """
        ids = self.rollout.token_ids[number][self.rollout.trainable[number]].tolist()
        inside = answer_tokens(self.policy.processor, ids, self.rollout.texts[number])
        on_prompt = rows.mean(0)[number, :, : self.prepared.valid.shape[1]]
        found = attention_of_tokens(self.rollout, on_prompt, number, inside if any(inside) else [True] * len(ids))
        assert found is not None  # there is a medium and at least one token
        return found, any(inside)


@torch.no_grad()
def ask(
    policy: MLLM, example: Example, pixels: Pixels, template: str, sampling: Sampling, count: int = 1, seed: int = 0
) -> Asked:
    """Return `count` responses to one question about the image or video `pixels`.

    template: a name in ral/data/templates, a .j2 file, or as_asked, the question alone. UserError for any other
    template.
    """
    text = example.question if template == AS_ASKED else render(example, template)
    prepared = policy.prepare(policy.processor.batch([example], [text], [[pixels]]))
    return Asked(policy, example, pixels, prepared, NativeEngine(policy).generate(prepared, count, sampling, seed))
