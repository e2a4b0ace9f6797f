"""Reasoning judged step by step: is each step said right, and does it look at the right place?

The right response is read in one forward pass (teacher forcing), so every token is predicted behind right ones alone. A
step is right if each of its tokens is the most likely one. Where it looks is judged by one row of attention: that of
the position that produces its first wrong token, or its last token where all are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ral.data.media import MediaReader, MediaSettings
from ral.data.prompts import render, target
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.ops.attention import AttentionSpec
from ral.ops.grounding import evidence_tokens
from ral.ops.logprobs import policy_logits
from ral.rollout.given import written
from ral.types import Evidence, Example, PromptBatch, Step, UserError


@dataclass(frozen=True)
class StepFigures:
    """Figures of `steps` steps; shares lie in [0, 1].

    right: share of steps said right. wrong_looks: share of the steps said wrong whose row has its maximum on a wrong
    place; right_looks: the same of the steps said right. Both are None where there are no such steps.
    """

    steps: int
    right: float
    wrong_looks: float | None
    right_looks: float | None


def figures(right: Sequence[bool], hit: Sequence[bool]) -> StepFigures:
    """Return the figures of steps. right: whether each is said right. hit: whether its row's maximum is on its place.

    UserError where there are no steps.
    """
    if not right:
        raise UserError("no entry has steps: take data whose entries have `steps`, such as dataset=visual_path")
    wrong = [not h for h, r in zip(hit, right, strict=True) if not r]
    good = [not h for h, r in zip(hit, right, strict=True) if r]
    return StepFigures(len(right), sum(right) / len(right), _share(wrong), _share(good))


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def spans(text: str, steps: Sequence[Step], source: str) -> list[tuple[int, int]]:
    """Return (start, end) of each step's text in a response, in characters; each is looked for behind the one before.

    UserError for a step whose text is not there. source: place of the entry, for the message.
    """
    found, at = [], 0
    for step in steps:
        start = text.find(step.text, at)
        if start < 0:
            raise UserError(
                f"{source}: field 'steps': {step.text!r} is not in the response; write it as it stands there"
            )
        at = start + len(step.text)
        found.append((start, at))
    return found


def step_of_tokens(starts: Sequence[int], length: int, found: Sequence[tuple[int, int]]) -> list[int]:
    """Return, for each token of a response, the number of the first step that shares a character with it; -1 for none.

    starts: first character of each token. length: characters of the response. found: (start, end) of each step in
    characters. A token of white space alone before a step is in no step; one that goes on into the step is in it.
    """
    ends = [*starts[1:], length]
    return [
        next((n for n, (low, high) in enumerate(found) if start < high and end > low), -1)
        for start, end in zip(starts, ends, strict=True)
    ]


def judged(
    right: Bool[Tensor, " C"], steps: Int[Tensor, " C"], rows: Float[Tensor, "C V"], places: Bool[Tensor, "S V"]
) -> tuple[list[bool], list[bool]]:
    """Return whether each of S steps is said right, and whether its row has its maximum on its place; for one response.

    right [C]: whether each token is the most likely one. steps [C]: number of the step that the token lies in, or -1.
    rows [C V]: attention on the V visual tokens of the position that produces the token. places [S V]: the visual
    tokens that each step has to look at.
    """
    said, hit = [], []
    for number, place in enumerate(places):
        own = (steps == number).nonzero().squeeze(-1)
        wrong = own[~right[own]]
        token = wrong[0] if len(wrong) else own[-1]
        said.append(not len(wrong))
        hit.append(bool(place[rows[token].argmax()]))
    return said, hit


def _steps_of(processor: Processor, ids: Sequence[int], example: Example) -> Tensor:
    """Return the step of each token of the right response to an example."""
    text = processor.decode(ids)
    found = spans(text, example.steps, example.source or example.uid)
    return torch.tensor(step_of_tokens(processor.char_starts(ids), len(text), found))


def _places(example: Example, grid: tuple[int, int, int]) -> Tensor:
    """Return the visual tokens that each step has to look at [S V]; in a video these are the same in all time slots."""
    boxes = [[Evidence(box) for box in step.boxes] for step in example.steps]
    return torch.stack([evidence_tokens(evidence, grid, 0.0).flatten() for evidence in boxes])


@torch.no_grad()
def read_steps(policy: MLLM, prompts: PromptBatch, layer: int = -1) -> tuple[list[bool], list[bool]]:
    """Return, for each step of the right responses, whether it is said right and whether it looks right (see `judged`).

    Both lists have the steps of all prompts in order. prompts: their examples have steps, and a thought that says them.
    BadSample for an example without thought, UserError for a step that its response does not hold. Attention is the
    mean over heads in the decoder layer `layer`, negative from the last.
    """
    prepared = policy.prepare(prompts)
    rollout = written(policy.processor, prepared, [target(example, thinking=True) for example in prompts.examples])
    spec = AttentionSpec(layers=(layer,), query="previous", keys="visual")
    states = Forward(1.0, spec).states(View(policy, prepared), rollout, attention=True)
    rows = states.attention.rows()[0].cpu()  # type: ignore[union-attr]
    banned = policy.processor.banned.to(states.hidden.device)
    said, hit = list[bool](), list[bool]()
    for n, example in enumerate(prompts.examples):
        own = rollout.trainable[n]
        likely = policy_logits(states.hidden[n][own], policy.head, temperature=1.0, banned=banned).argmax(-1)
        right = (likely == rollout.token_ids[n][own]).cpu()
        t, h, w = prompts.grids[n][0]
        visual = prompts.visual[n].nonzero().squeeze(-1)[: t * h * w].cpu()
        steps = _steps_of(policy.processor, rollout.token_ids[n][own].tolist(), example)
        one = judged(right, steps, rows[n][own.cpu()][:, visual], _places(example, (t, h, w)))
        said, hit = said + one[0], hit + one[1]
    return said, hit


def step_figures(policy: MLLM, examples: Sequence[Example], template: str = "mini", batch: int = 64) -> StepFigures:
    """Return the figures of the steps of all examples, by the attention of the last layer.

    template: prompt template. batch: examples that are read at a time. Media are read at their own size where they are
    small. Errors are those of `read_steps` and `figures`.
    """
    factor = policy.processor.patches.factor
    reader = MediaReader(MediaSettings(image_min_pixels=factor**2, video_min_pixels=factor**2, factor=factor))
    said, hit = list[bool](), list[bool]()
    for start in range(0, len(examples), batch):
        part = examples[start : start + batch]
        media = [[reader.read(medium) for medium in example.media] for example in part]
        one = read_steps(policy, policy.processor.batch(part, [render(e, template) for e in part], media))
        said, hit = said + one[0], hit + one[1]
    return figures(said, hit)
