"""A small random model of a family, its prompts and trajectories, and the outputs of Transformers' own model on them.

Prompts have images and videos. Each has two trajectories: one of one response, and one of two responses with an image
or video shown between them. Transformers' own model reads each row [prompt | trajectory] by itself, with eager
attention.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from ral.models.family import Family
from ral.models.fresh import write_model
from ral.models.frozen import View, read
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.processor import Processor
from ral.models.recipe import Sizes
from ral.models.sight import kinds
from ral.models.states import TokenRows
from ral.rollout.turns import assemble
from ral.types import Example, Grid, Media, MediaKind, Pixels, PromptBatch, Rollout, Segment, Trajectory

TEXTS = ("What color is the star? Think, then answer. <think>red</think><answer>A. red B. blue</answer>",) * 3
"""Texts from which the random model's tokenizer is made."""
SIZES = Sizes(hidden=64, layers=3, heads=2, kv_heads=1, mlp=96, vision_hidden=32, vision_depth=2, vision_heads=2)
VOCABULARY = 300
MIXED: tuple[tuple[MediaKind, ...], ...] = (("image",), ("video",), (), ("image", "video", "image"))
"""Media of each prompt: an image, a video, none, and several media."""
INPUTS = ("second_per_grid_ts", "mm_token_type_ids")
"""Inputs of Transformers' models that not all families take (Facts.inputs)."""


def noise(kind: MediaKind, seed: int, sides: tuple[int, int], frames: int = 4) -> Pixels:
    """Return a smooth random image or video of `sides` (height, width) pixels; a video has `frames` frames."""
    count, generator = frames if kind == "video" else 1, torch.Generator().manual_seed(seed)
    rough = torch.rand(count, 3, 7, 5, generator=generator)
    values = torch.nn.functional.interpolate(rough, sides, mode="bilinear").permute(0, 2, 3, 1)
    return Pixels(kind, (values * 255).to(torch.uint8), 0.5 if kind == "video" else 0.0)


@dataclass(frozen=True)
class Theirs:
    """Outputs of Transformers' model on one row [prompt | response] of T tokens.

    logits [T V], V tokens of the vocabulary; attentions: for each layer [H T T], H heads; positions [A T], A axes;
    prompt: number of the prompt's tokens.
    """

    logits: Tensor
    attentions: list[Tensor]
    positions: Tensor
    prompt: int


@dataclass(frozen=True)
class Case:
    """A random model of the family, with prompts and two trajectories of each prompt.

    folder: folder of the model. shared, plain: the model on its shared-prompt path, and on the path of unshared rows.
    pixels: the media of each prompt.
    """

    folder: Path
    shared: MLLM
    plain: MLLM
    pixels: list[list[Pixels]]
    prompts: PromptBatch
    trajectories: list[Trajectory]

    @property
    def processor(self) -> Processor:
        """Return the model's processor."""
        return self.shared.processor

    @property
    def family(self) -> Family:
        """Return the family of the model."""
        return self.processor.family

    @cached_property
    def rollout(self) -> Rollout:
        """Return the trajectories as a rollout."""
        return assemble(self.processor, self.prompts, self.trajectories)

    @cached_property
    def view(self) -> View:
        """Return prompts and trajectories in the form that the shared-prompt path reads."""
        with torch.no_grad():
            return read(self.shared, self.prompts, self.rollout)

    @cached_property
    def theirs(self) -> list[Theirs]:
        """Return the outputs of Transformers' model for each trajectory, each row read by itself."""
        network = AutoModelForImageTextToText.from_pretrained(self.folder, attn_implementation="eager").eval()
        with torch.no_grad():
            return [read_row(network, self, n) for n in range(len(self.trajectories))]


def make_case(folder: Path, family: Family) -> Case:
    """Write a random model of the family to `folder`, load it, and make its prompts and trajectories."""
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
    """Yield for each prompt a trajectory of one response, and one of two with a turn shown between them.

    The turn holds an image, a video, text, or both media. unit: number of pixels that the sides of media are multiples
    of.
    """
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
    """Return the outputs of Transformers' model on one prompt and its trajectory number n, without padding."""
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
    """Return what Transformers' model needs beside the ids of a row [1 T]: {name: tensor}.

    media: those of the row, in order.
    """
    tensors, _ = processor.family.pixels.tensors(media, processor.patches)
    tensors["mm_token_type_ids"] = kinds(processor, TokenRows(row, torch.ones_like(row), {}))
    taken = processor.family.facts.inputs
    return {k: v for k, v in tensors.items() if k != "frame_counts" and (k not in INPUTS or k in taken)}


def expanded(processor: Processor, ids: Sequence[int], media: Sequence[Pixels], grids: Sequence[Grid]) -> list[int]:
    """Return the ids with each medium's placeholder replaced by its visual tokens, as Transformers' processor does it.

    grids: for each medium its visual tokens by time, row and column.
    """
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
