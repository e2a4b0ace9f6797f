"""Measures of the attention of a given response to a question with evidence, by one forward pass over both."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ral.evaluation.held_out import prompt_rows
from ral.evaluation.looks import chance_in, looks_of
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.rollout.given import written
from ral.types import Example, Pixels

LOOKED = ("grounding", "pointing", "chance")
"""Names of the measures: two of `Looks`, and chance, the share of the visual tokens that are evidence."""


@torch.no_grad()
def looked(
    policy: MLLM, example: Example, text: str, media: Sequence[Pixels], response: str, layer: int
) -> dict[str, float] | None:
    """Return {name of LOOKED: value in [0, 1]} of a response, by the attention of one decoder layer.

    None where the example has no evidence, the response is empty, or a measure is None. text: the user's turn. media:
    pixels of its images and videos. layer: negative from the last; it must have attention rows
    (`ral.evaluation.token_rows.checked_layer`). The row of a token is that of the position before it, mean over heads
    (docs/metrics.md).
    """
    if not example.evidence or not response:
        return None
    prepared = policy.prepare(policy.processor.batch([example], [text], [media]))
    rollout = written(policy.processor, prepared, [response])
    passes = Forward(1.0, AttentionSpec(layers=(layer,), query="previous", keys="all"))
    attention = passes.states(View(policy, prepared), rollout, attention=True).attention
    assert attention is not None  # it was asked for
    looks = looks_of(policy.processor, rollout, prompt_rows(attention)[0], 0)
    if looks.attention is None or looks.grounding is None or looks.pointing is None:
        return None
    chance = chance_in(example.evidence, looks.attention)
    return {"grounding": looks.grounding, "pointing": looks.pointing, "chance": chance or 0.0}
