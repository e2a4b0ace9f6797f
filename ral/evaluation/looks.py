"""Looks of a response: where its tokens look in the first medium, and how much of that lies on the evidence.

A look is the attention map of some tokens. Shapes: C tokens of a response, P of its prompt; T sampled tokens; V visual
tokens of the first medium.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ral.models.processor import Processor
from ral.ops.attention import renormalise
from ral.ops.grounding import evidence_tokens, hardest, hardness, pointing
from ral.types import Evidence, Example, PromptBatch, Rollout, Step

MEASURES = ("grounding", "grounding_all", "grounding_steps", "pointing")
"""Fields of a record that hold the measures of `Looks`."""


@dataclass(frozen=True)
class Looks:
    """Measures of where a response looks, by the rows of the positions that produce its tokens.

    grounding: the share of the visual attention that lies inside the evidence, mean over the tokens that look hardest
    (ral.ops.grounding.hardest). grounding_all: the same over all tokens. grounding_steps: mean over the steps that the
    response takes, each by its own boxes and by the tokens that look hardest in its words. pointing: 1 where the
    maximum of the map lies inside the evidence, else 0 (ral.ops.grounding.pointing). attention: the map of the tokens
    that look hardest, as `attention_of_tokens` returns it.

    A measure is None where something it needs is missing: all need a medium and a token, all but `attention` need
    evidence, grounding_steps needs steps.
    """

    grounding: float | None = None
    grounding_all: float | None = None
    grounding_steps: float | None = None
    pointing: float | None = None
    attention: dict[str, Any] | None = None


def looks_of(processor: Processor, rollout: Rollout, rows: Tensor | None, n: int) -> Looks:
    """Return the measures of response n. rows: its attention [C P] over the prompt; None where no layer has rows.

    The row of a token is that of the position before it, which produces the token.
    """
    example, seen = rollout.prompts.examples[n // rollout.group_size], seen_of(rollout, rows, n)
    if seen is None:
        return Looks()
    hard, everything = hardness(seen), torch.ones(len(seen), dtype=torch.bool)

    def share(among: Tensor, evidence: Sequence[Evidence]) -> float | None:
        found = attention_of_tokens(rollout, rows, n, among.tolist())
        return None if found is None else grounding_in(evidence, found)

    top = hardest(hard, everything)
    attention = attention_of_tokens(rollout, rows, n, top.tolist())
    spans = step_spans(example.steps, rollout.texts[n])
    words = [(step, torch.tensor(tokens_in(processor, rollout, n, *span))) for step, span in spans]
    steps = [share(hardest(hard, own), [Evidence(box) for box in step.boxes]) for step, own in words]
    taken = [value for value in steps if value is not None]
    return Looks(
        grounding=None if attention is None else grounding_in(example.evidence, attention),
        grounding_all=share(everything, example.evidence),
        grounding_steps=sum(taken) / len(taken) if taken else None,
        pointing=None if attention is None else pointing_in(example.evidence, attention),
        attention=attention,
    )


def step_spans(steps: Sequence[Step], text: str) -> list[tuple[Step, tuple[int, int]]]:
    """Return (step, (start, end)) of the steps found in a response in their order, in characters.

    Steps that are not found are left out.
    """
    found, at = [], 0
    for step in steps:
        start = text.find(step.text, at)
        if start >= 0:
            at = start + len(step.text)
            found.append((step, (start, at)))
    return found


def tokens_in(processor: Processor, rollout: Rollout, n: int, start: int, stop: int) -> list[bool]:
    """Return, for each sampled token of response n, whether one of its characters lies in start..stop of the text."""
    ids = rollout.token_ids[n][rollout.trainable[n]].tolist()
    starts = processor.char_starts(ids)
    ends = [*starts[1:], len(rollout.texts[n]) + 1]
    return [a < stop and b > start for a, b in zip(starts, ends, strict=True)]


def seen_of(rollout: Rollout, rows: Tensor | None, n: int) -> Tensor | None:
    """Return the attention [T V] of response n's sampled tokens on the visual tokens of the first medium.

    rows: its attention [C P] over the prompt. None where there is no medium or no sampled token, or where `rows` is
    None.
    """
    asked = n // rollout.group_size
    grids = rollout.prompts.grids[asked]
    if rows is None or not grids or not bool(rollout.trainable[n].any()):
        return None
    t, h, w = grids[0]
    visual = rollout.prompts.visual[asked].nonzero().squeeze(-1)[: t * h * w]
    return rows[rollout.trainable[n].cpu()][:, visual].float()


def attention_of_tokens(rollout: Rollout, rows: Tensor | None, n: int, inside: Sequence[bool]) -> dict[str, Any] | None:
    """Return the attention map of some tokens of response n on the first medium: the mean of their rows, with sum 1.

    The map is {"grid": [T, H, W], "weights": T * H * W numbers, "seconds_per_slot"}, where T, H, W are times, rows and
    columns of visual tokens. inside: for each sampled token, whether it counts. rows: as in `seen_of`. None where
    `seen_of` returns None, or no token counts.
    """
    seen = seen_of(rollout, rows, n)
    if seen is None or not any(inside):
        return None
    chosen = seen[torch.tensor(inside)]
    weights = renormalise(chosen, torch.ones_like(chosen, dtype=torch.bool)).mean(0)
    asked = n // rollout.group_size
    grid = list(rollout.prompts.grids[asked][0])
    return {"grid": grid, "weights": weights.tolist(), "seconds_per_slot": slot_seconds(rollout.prompts, asked)}


def slot_seconds(prompts: PromptBatch, n: int) -> float:
    """Return the seconds of one time slot of example n's first medium; 0 for an image."""
    if prompts.examples[n].media[0].kind != "video":
        return 0.0
    before = sum(m.kind == "video" for e in prompts.examples[:n] for m in e.media)
    return float(prompts.media["second_per_grid_ts"][before])


def grounding(example: Example, look: dict[str, Any]) -> float | None:
    """Return the share of an attention map inside the example's evidence, in [0, 1]; None where it has no evidence.

    look: a map as `attention_of_tokens` returns it.
    """
    return grounding_in(example.evidence, look)


def grounding_in(evidence: Sequence[Evidence], look: dict[str, Any]) -> float | None:
    """Return the share of an attention map inside any of the evidence, in [0, 1]; None where `evidence` is empty.

    look: a map as `attention_of_tokens` returns it.
    """
    return float(torch.tensor(look["weights"])[_inside(evidence, look)].sum()) if evidence else None


def pointing_in(evidence: Sequence[Evidence], look: dict[str, Any]) -> float | None:
    """Return 1 where the maximum of an attention map lies inside any of the evidence, else 0.

    None where `evidence` is empty. look: a map as `attention_of_tokens` returns it.
    """
    return pointing(torch.tensor(look["weights"]), _inside(evidence, look)) if evidence else None


def chance_in(evidence: Sequence[Evidence], look: dict[str, Any]) -> float | None:
    """Return the share of visual tokens inside the evidence, which is the grounding of uniform attention.

    None where `evidence` is empty. look: a map as `attention_of_tokens` returns it; only its grid and times are read.
    """
    return float(_inside(evidence, look).float().mean()) if evidence else None


def _inside(evidence: Sequence[Evidence], look: dict[str, Any]) -> Tensor:
    """Return which visual tokens of a map lie inside some evidence, [V] bool."""
    return evidence_tokens(evidence, tuple(look["grid"]), look["seconds_per_slot"]).flatten()
