"""A family compared with Transformers on a small random model of its recipe: `scripts/check_family.py` runs it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor

from ral.checks.family_case import Case, expanded, make_case
from ral.learner.experience import Forward
from ral.models.family import Family
from ral.models.frozen import View, read
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine

LEVELS = 2.1
"""Largest difference, in 8-bit levels, of two resizes of an image: pillow and torch round differently."""


def of_tensors(case: Case) -> float:
    """Return the largest difference of an image's tensors from those of Transformers' processor, in 8-bit levels.

    ValueError where their shapes differ.
    """
    theirs = AutoImageProcessor.from_pretrained(case.folder, backend="pil")
    picture, settings = case.pixels[0][0], case.processor.patches
    want = theirs(images=[picture.frames[0].numpy()], return_tensors="pt")["pixel_values"].float()
    found = case.family.pixels.tensors([picture], settings)[0]["pixel_values"]
    if found.shape != want.shape:
        raise ValueError(f"pixel_values have shape {tuple(found.shape)}, Transformers' {tuple(want.shape)}")
    return float((found - want).abs().max()) * max(settings.std) * 255


def of_layout(case: Case) -> float:
    """Count the prompts whose token ids are not those of their text with visual tokens in place of each placeholder.

    A medium has T * H * W visual tokens: times, rows and columns of its grid.
    """
    prompts = case.prompts
    rows = zip(prompts.token_ids, prompts.valid, prompts.wordings, case.pixels, prompts.grids, strict=True)
    return sum(
        expanded(case.processor, wording.token_ids, media, grids) != ids[valid].tolist()
        or sum(i in case.processor.kinds for i in ids[valid].tolist()) != sum(map(math.prod, grids))
        for ids, valid, wording, media, grids in rows
    )


def of_positions(case: Case) -> float:
    """Return the largest difference of positions from those that Transformers' model gives to its decoder."""
    prepared, shown, axes = case.view.prepared, case.view.shown, case.family.network.axes
    assert shown is not None
    gaps = []
    for n, theirs in enumerate(case.theirs):
        b = n // case.rollout.group_size
        before = prepared.positions[:axes, b, prepared.valid[b]]
        own = shown.positions[:axes, n, case.rollout.valid[n]]
        gaps.append(float((torch.cat([before, own], dim=1) - theirs.positions).abs().max()))
    return max(gaps)


def of_log_probs(case: Case) -> float:
    """Return the largest difference of sampled tokens' log-probs from those of Transformers' model, in nats.

    Both are normalised over the tokens that may be sampled.
    """
    view, passes, banned = case.view, Forward(1.0, AttentionSpec()), case.processor.banned
    with torch.no_grad():
        ours = passes.log_probs(view.model, passes.states(view, case.rollout, attention=False), case.rollout)[0]
    gaps = []
    for n, theirs in enumerate(case.theirs):
        valid, sampled = case.rollout.valid[n], case.rollout.trainable[n]
        logits = theirs.logits[theirs.prompt - 1 : -1, : len(banned)].masked_fill(banned, -torch.inf)
        want = logits.log_softmax(-1).gather(-1, case.rollout.token_ids[n][valid][:, None]).squeeze(-1)
        gaps.append(float((ours[n][sampled] - want[sampled[valid]]).abs().max()))
    return max(gaps)


def of_attention(case: Case) -> float:
    """Return the largest difference, over all layers, of captured attention rows from rows of eager attention."""
    spec = AttentionSpec(layers=tuple(range(case.shared.depth)))
    with torch.no_grad():
        captured = Forward(1.0, spec).states(case.view, case.rollout, attention=True).attention
    assert captured is not None
    rows, gaps = captured.rows(), []
    for n, theirs in enumerate(case.theirs):
        b = n // case.rollout.group_size
        keys = torch.cat([case.prompts.valid[b], case.rollout.valid[n]])
        for t in case.rollout.trainable[n].nonzero().flatten().tolist():
            at = theirs.prompt + t
            for layer, weights in enumerate(theirs.attentions):
                want = weights[:, at, :at].mean(0)
                gaps.append(float((rows[layer, n, t, keys][:at] - want / want.sum()).abs().max()))
    return max(gaps)


def of_plain(case: Case) -> float:
    """Return the largest difference of hidden states of sampled tokens, shared prompts against unshared rows."""
    passes = Forward(1.0, AttentionSpec())
    with torch.no_grad():
        views = case.view, read(case.plain, case.prompts, case.rollout)
        shared, plain = (passes.states(view, case.rollout, attention=False).hidden for view in views)
    sampled = case.rollout.trainable
    return float((shared[sampled] - plain[sampled]).abs().max())


def of_engine(case: Case) -> float:
    """Return the largest difference of log-probs between the native engine and a training pass, in nats."""
    prepared = case.shared.prepare(case.prompts)
    rollout = NativeEngine(case.shared).generate(prepared, 2, Sampling(1.0, max_new_tokens=6), seed=1)
    passes, view = Forward(1.0, AttentionSpec()), View(case.shared, prepared)
    with torch.no_grad():
        trained = passes.log_probs(case.shared, passes.states(view, rollout, attention=False), rollout)[0]
    assert rollout.log_probs is not None
    return float((trained - rollout.log_probs)[rollout.trainable].abs().max())


def of_towers(case: Case) -> float:
    """Count the weights outside the language model that get no gradient when the vision tower is trained."""
    model = MLLM.load(str(case.folder), freeze_vision=False)
    ids = torch.full((len(case.prompts), 3), 7)
    model.states(model.prepare(case.prompts), ids, ids > 0, None).hidden.square().sum().backward()
    text = {id(p) for p in (*model.network.model.language_model.parameters(), model.network.lm_head.weight)}
    vision = [p for p in model.network.parameters() if id(p) not in text]
    return sum(p.grad is None or not bool(p.grad.any()) for p in vision)


@dataclass(frozen=True)
class Check:
    """One comparison. what: its name in words. measure: returns the difference.

    bound: the largest difference that passes.
    """

    what: str
    measure: Callable[[Case], float]
    bound: float


CHECKS = {
    "tensors": Check("pixels of a picture, 8-bit levels", of_tensors, LEVELS),
    "layout": Check("prompts whose visual tokens are not those of their media", of_layout, 0),
    "positions": Check("positions of prompts and continuations", of_positions, 0),
    "log-probs": Check("log-probs of sampled tokens, nats", of_log_probs, 1e-4),
    "attention": Check("rows of captured and of eager attention", of_attention, 1e-5),
    "paths": Check("states of the shared-prompt and of the plain path", of_plain, 1e-4),
    "engine": Check("log-probs as sampled and as trained, nats", of_engine, 1e-4),
    "towers": Check("vision weights without a gradient", of_towers, 0),
}
"""{name that begins the comparison's line: comparison}"""


def attempt(function: Callable[[], Any]) -> tuple[Any, str]:
    """Call a function; return (its result, ""), or (None, its error in one line) where it raises."""
    try:
        return function(), ""
    except Exception as error:  # whatever a family's functions raise is a finding
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_family(family: Family, folder: Path) -> Iterator[tuple[bool, str]]:
    """Yield (passed, line) of each check. The random model of the family is written to `folder`.

    Without a model only the first check, of loading it, is made.
    """
    case, error = attempt(lambda: make_case(folder, family))
    yield not error, f"{'load':10} {error or 'a random model of the recipe is written and loaded, and shows turns'}"
    for name, check in CHECKS.items() if case else ():
        gap, error = attempt(partial(check.measure, case))
        passed = not error and gap <= check.bound
        yield passed, f"{name:10} {error or f'{check.what}: {gap:.2g} (at most {check.bound:g})'}"
