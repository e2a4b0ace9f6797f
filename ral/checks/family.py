"""A family held against Transformers, on a small random model of its recipe: what `scripts/check_family.py` runs.

Prompts with pictures and clips, each continued by one answer, and by two with a picture or clip shown between them.
Transformers' own model reads every such row by itself, under its eager attention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText

from ral.learner.experience import Forward
from ral.models.family import Family
from ral.models.fresh import write_model
from ral.models.frozen import View, read
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.processor import Processor
from ral.models.recipe import Sizes
from ral.models.sight import kinds
from ral.models.states import TokenRows
from ral.ops.attention import AttentionSpec
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.turns import assemble
from ral.types import Example, Grid, Media, MediaKind, Pixels, PromptBatch, Rollout, Segment, Trajectory

TEXTS = ("What color is the star? Think, then answer. <think>red</think><answer>A. red B. blue</answer>",) * 3
"""Text of which the random model's tokenizer is made."""
SIZES = Sizes(hidden=64, layers=3, heads=2, kv_heads=1, mlp=96, vision_hidden=32, vision_depth=2, vision_heads=2)
VOCABULARY = 300
MIXED: tuple[tuple[MediaKind, ...], ...] = (("image",), ("video",), (), ("image", "video", "image"))
"""A batch that mixes a picture, a clip, plain text, and several media in one prompt."""
INPUTS = ("second_per_grid_ts", "mm_token_type_ids")
"""Inputs of Transformers' models that not all families take (Facts.inputs)."""
LEVELS = 2.1
"""How far two resizes of a picture may differ, in 8-bit levels: pillow and torch round otherwise."""


def noise(kind: MediaKind, seed: int, sides: tuple[int, int], frames: int = 4) -> Pixels:
    """Return a smooth random picture or clip."""
    count, generator = frames if kind == "video" else 1, torch.Generator().manual_seed(seed)
    rough = torch.rand(count, 3, 7, 5, generator=generator)
    values = torch.nn.functional.interpolate(rough, sides, mode="bilinear").permute(0, 2, 3, 1)
    return Pixels(kind, (values * 255).to(torch.uint8), 0.5 if kind == "video" else 0.0)


@dataclass(frozen=True)
class Theirs:
    """Transformers' reading of one row [prompt | continuation]: logits [T V], attentions [L][H T T], positions [A T].

    prompt: tokens of the prompt.
    """

    logits: Tensor
    attentions: list[Tensor]
    positions: Tensor
    prompt: int


@dataclass(frozen=True)
class Case:
    """A model of the family on both paths, in a folder, prompts with their media, two trajectories of each."""

    folder: Path
    shared: MLLM
    plain: MLLM
    pixels: list[list[Pixels]]
    prompts: PromptBatch
    trajectories: list[Trajectory]

    @property
    def processor(self) -> Processor:
        return self.shared.processor

    @property
    def family(self) -> Family:
        return self.processor.family

    @cached_property
    def rollout(self) -> Rollout:
        """The trajectories as a batch."""
        return assemble(self.processor, self.prompts, self.trajectories)

    @cached_property
    def view(self) -> View:
        """The shared-prompt path's reading of prompts and trajectories."""
        with torch.no_grad():
            return read(self.shared, self.prompts, self.rollout)

    @cached_property
    def theirs(self) -> list[Theirs]:
        """Transformers' reading of each row by itself."""
        network = AutoModelForImageTextToText.from_pretrained(self.folder, attn_implementation="eager").eval()
        with torch.no_grad():
            return [read_row(network, self, n) for n in range(len(self.trajectories))]


def make_case(folder: Path, family: Family) -> Case:
    """Write a random model of the family, load it, and make its prompts and trajectories."""
    write_model(folder, TEXTS, family=family.model_type, sizes=SIZES, seed=3, vocab_size=VOCABULARY)
    shared, plain = MLLM.load(str(folder)), PlainMLLM.load(str(folder))
    unit = max(shared.processor.patches.factor, 28)
    pixels = [
        [noise(k, 10 * n + m, (2 * unit, (2 + n) * unit)) for m, k in enumerate(own)] for n, own in enumerate(MIXED)
    ]
    examples = [
        Example(str(n), "q", "red", "free-form", tuple(Media(p.kind, Path("x")) for p in own))
        for n, own in enumerate(pixels)
    ]
    texts = ["What color is the star?" + " Think" * n for n in range(len(MIXED))]
    prompts = shared.processor.batch(examples, texts, pixels)
    return Case(folder, shared, plain, pixels, prompts, list(trajectories(shared.processor, unit)))


def trajectories(processor: Processor, unit: int) -> Iterator[Trajectory]:
    """Yield for each prompt one answer, and two with a turn between them that shows a picture, a clip or text."""
    generator = torch.Generator().manual_seed(4)
    crop, clip = noise("image", 91, (3 * unit, 2 * unit)), noise("video", 92, (2 * unit, 2 * unit))
    turns: tuple[tuple[str, list[Pixels]], ...] = (
        ("<image> from near", [crop]),
        ("<video> then", [clip]),
        ("Think", []),
        ("<video> <image>", [clip, crop]),
    )
    for text, media in turns:
        said = [
            Segment(tuple(torch.randint(5, 250, (k,), generator=generator).tolist()), sampled=True) for k in (5, 3, 2)
        ]
        yield Trajectory((said[0],), "stop")
        yield Trajectory((said[1], processor.turn(text, media), said[2]), "stop")


def read_row(network: Any, case: Case, n: int) -> Theirs:
    """Let Transformers' model read trajectory n after its prompt, nothing shared and nothing padded."""
    processor, b = case.processor, n // case.rollout.group_size
    prompt = case.prompts.token_ids[b][case.prompts.valid[b]]
    own = case.rollout.token_ids[n][case.rollout.valid[n]]
    row = torch.cat([prompt, own])[None]
    media = [*case.pixels[b], *(p for s in case.trajectories[n].segments for p in s.media)]
    found: list[Tensor | None] = []
    hook = network.model.language_model.register_forward_pre_hook(
        lambda _, args, named: found.append(named.get("position_ids")), with_kwargs=True
    )
    wanted = {"output_attentions": True, "use_cache": False}
    try:
        out = network(input_ids=row, attention_mask=torch.ones_like(row), **wanted, **inputs(processor, row, media))
    finally:
        hook.remove()
    axes = processor.family.network.axes
    counted = torch.arange(row.shape[1]).expand(axes, 1, -1)
    positions = counted if found[0] is None else found[0].view(-1, 1, row.shape[1])[-axes:]
    return Theirs(out.logits[0], [layer[0] for layer in out.attentions], positions[:, 0], len(prompt))


def inputs(processor: Processor, row: Tensor, media: Sequence[Pixels]) -> dict[str, Tensor]:
    """Return what Transformers' model takes beside the ids of a row [1 T]."""
    tensors, _ = processor.family.pixels.tensors(media, processor.patches)
    tensors["mm_token_type_ids"] = kinds(processor, TokenRows(row, torch.ones_like(row), {}))
    taken = processor.family.facts.inputs
    return {k: v for k, v in tensors.items() if k != "frame_counts" and (k not in INPUTS or k in taken)}


def expanded(processor: Processor, ids: Sequence[int], media: Sequence[Pixels], grids: Sequence[Grid]) -> list[int]:
    """Put what stands for each medium in place of its placeholder, as a processor of Transformers does."""
    found, rest = list[int](), iter(zip(media, grids, strict=True))
    for index in ids:
        if index not in (processor.image_id, processor.video_id):
            found.append(index)
            continue
        pixels, grid = next(rest)
        text = processor.family.pixels.expand(pixels, processor.patches)
        own = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        runs = sum(i in processor.kinds for i in own)
        found += [i for i in own for _ in range(math.prod(grid) // runs if i in processor.kinds else 1)]
    return found


def of_tensors(case: Case) -> float:
    """Compare the tensors of a picture with those of Transformers' picture processor, in 8-bit levels."""
    theirs = AutoImageProcessor.from_pretrained(case.folder, backend="pil")
    picture, settings = case.pixels[0][0], case.processor.patches
    want = theirs(images=[picture.frames[0].numpy()], return_tensors="pt")["pixel_values"].float()
    found = case.family.pixels.tensors([picture], settings)[0]["pixel_values"]
    if found.shape != want.shape:
        raise ValueError(f"pixel_values have shape {tuple(found.shape)}, Transformers' {tuple(want.shape)}")
    return float((found - want).abs().max()) * max(settings.std) * 255


def of_layout(case: Case) -> float:
    """Count prompts whose ids are not those of their text with each placeholder expanded, T * H * W visual tokens."""
    prompts = case.prompts
    rows = zip(prompts.token_ids, prompts.valid, prompts.wordings, case.pixels, prompts.grids, strict=True)
    return sum(
        expanded(case.processor, wording.token_ids, media, grids) != ids[valid].tolist()
        or sum(i in case.processor.kinds for i in ids[valid].tolist()) != sum(map(math.prod, grids))
        for ids, valid, wording, media, grids in rows
    )


def of_positions(case: Case) -> float:
    """Compare positions with those that Transformers' model gives its decoder."""
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
    """Compare log-probs of sampled tokens, over the tokens that the tokenizer knows."""
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
    """Compare rows made of captured queries and keys with the weights of eager attention, of every layer."""
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
    """Compare states of the shared-prompt path with those of the plain path."""
    passes = Forward(1.0, AttentionSpec())
    with torch.no_grad():
        views = case.view, read(case.plain, case.prompts, case.rollout)
        shared, plain = (passes.states(view, case.rollout, attention=False).hidden for view in views)
    sampled = case.rollout.trainable
    return float((shared[sampled] - plain[sampled]).abs().max())


def of_engine(case: Case) -> float:
    """Compare log-probs as the native engine samples with those of a training pass."""
    prepared = case.shared.prepare(case.prompts)
    rollout = NativeEngine(case.shared).generate(prepared, 2, Sampling(1.0, max_new_tokens=6), seed=1)
    passes, view = Forward(1.0, AttentionSpec()), View(case.shared, prepared)
    with torch.no_grad():
        trained = passes.log_probs(case.shared, passes.states(view, rollout, attention=False), rollout)[0]
    assert rollout.log_probs is not None
    return float((trained - rollout.log_probs)[rollout.trainable].abs().max())


def of_towers(case: Case) -> float:
    """Count weights outside the language model that get no gradient where the vision tower is trained."""
    model = MLLM.load(str(case.folder), freeze_vision=False)
    ids = torch.full((len(case.prompts), 3), 7)
    model.states(model.prepare(case.prompts), ids, ids > 0, None).hidden.square().sum().backward()
    text = {id(p) for p in (*model.network.model.language_model.parameters(), model.network.lm_head.weight)}
    vision = [p for p in model.network.parameters() if id(p) not in text]
    return sum(p.grad is None or not bool(p.grad.any()) for p in vision)


@dataclass(frozen=True)
class Check:
    """One comparison: what is compared, how, and the largest difference that is allowed."""

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


def attempt(function: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a function returns, or None and its error in one line."""
    try:
        return function(), ""
    except Exception as error:  # whatever a family's functions raise is a finding
        return None, f"{type(error).__name__}: {' '.join(str(error).split())}"


def check_family(family: Family, folder: Path) -> Iterator[tuple[bool, str]]:
    """Yield (passed, line) of each check; the model is written to `folder`."""
    case, error = attempt(lambda: make_case(folder, family))
    yield not error, f"{'load':10} {error or 'a random model of the recipe is written and loaded, and shows turns'}"
    for name, check in CHECKS.items() if case else ():
        gap, error = attempt(partial(check.measure, case))
        passed = not error and gap <= check.bound
        yield passed, f"{name:10} {error or f'{check.what}: {gap:.2g} (at most {check.bound:g})'}"
