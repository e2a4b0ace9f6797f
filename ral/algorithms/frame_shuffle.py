"""Prompts with the frames of their videos in another order, for T-GRPO.

The result equals that of videos whose frames were shuffled before the processor made patches of them (tests prove it
for every family). Tokens, positions and times stay as they are, so that the model takes the new order for the real one.
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ral.models.family import PatchSettings
from ral.rollout.seeds import hash_seed
from ral.types import Example, PromptBatch


def with_clip(examples: Sequence[Example]) -> list[int]:
    """Return the indices of the prompts that have a video."""
    return [n for n, example in enumerate(examples) if any(m.kind == "video" for m in example.media)]


def frame_order(count: int, generator: torch.Generator) -> list[int]:
    """Return a random order of `count` frames that differs from 0, 1, 2, ... (a single frame has no other order)."""
    while True:
        order: list[int] = torch.randperm(count, generator=generator).tolist()
        if count < 2 or order != sorted(order):
            return order


def reorder(patches: Tensor, order: Sequence[int], slots: int, settings: PatchSettings) -> Tensor:
    """Return one video's patches or tiles with its frames reordered: frame order[i] comes to place i.

    patches: the video's patches (or tiles) of PromptBatch.media. order: index of a frame for each place. slots:
    temporal slots of the video, each of settings.temporal_patch_size frames; a slot that is not full repeats the last
    frame.
    """
    size = settings.temporal_patch_size
    frames = patches.flatten(1).unflatten(0, (slots, -1)).unflatten(-1, (3, size, -1)).movedim(3, 1).flatten(0, 1)
    filled = [*order, *[order[-1]] * (slots * size - len(order))]
    return frames[filled].unflatten(0, (slots, size)).movedim(1, 3).reshape(patches.shape)


@dataclass(frozen=True)
class Part:
    """Place of one image or video in PromptBatch.media. prompt: index of its prompt. clip: whether it is a video.

    key: key of PromptBatch.media that holds its pixels. rows: their rows along the first axis of that tensor. slots:
    number of its time slots.
    """

    prompt: int
    clip: bool
    key: str
    rows: slice
    slots: int


def parts(prompts: PromptBatch, settings: PatchSettings) -> Iterator[Part]:
    """Yield the place of each image and video of a batch, in their order.

    Images and videos have different keys of PromptBatch.media, except for models that read tiles.
    """
    used: dict[str, int] = defaultdict(int)
    for prompt, (example, grids) in enumerate(zip(prompts.examples, prompts.grids, strict=True)):
        for medium, grid in zip(example.media, grids, strict=True):
            clip, tiled = medium.kind == "video", settings.tile is not None
            key = "pixel_values_videos" if clip and not tiled else "pixel_values"
            count = grid[0] if tiled else math.prod(grid) * settings.merge_size**2
            yield Part(prompt, clip, key, slice(used[key], used[key] + count), grid[0])
            used[key] += count


def shuffled_clips(prompts: PromptBatch, settings: PatchSettings, seed: int) -> PromptBatch | None:
    """Return the prompts that have a video, with its frames in a random order; None where no prompt has one.

    prompts: a batch with its media, before `MLLM.prepare`. Images stay as they are. The order depends on seed, the
    prompt's uid and the numbers of frames alone.
    """
    chosen = with_clip(prompts.examples)
    if not chosen:
        return None
    generators = {
        n: torch.Generator().manual_seed(hash_seed(seed, zlib.crc32(prompts.examples[n].uid.encode()))) for n in chosen
    }
    counts = iter(prompts.media["frame_counts"].tolist())
    kept: dict[str, list[Tensor]] = defaultdict(list)
    pictures: list[bool] = []  # which ones belong to a chosen prompt
    for part in parts(prompts, settings):
        values = prompts.media[part.key][part.rows]
        if part.clip:
            values = reorder(values, frame_order(next(counts), generators[part.prompt]), part.slots, settings)
        else:
            pictures.append(part.prompt in generators)
        if part.prompt in generators:
            kept[part.key].append(values)
    media = {k: v for k, v in prompts.media.items() if k not in ("pixel_values", "image_grid_thw")}
    media |= {key: torch.cat(values) for key, values in kept.items()}
    if "image_grid_thw" in prompts.media and any(pictures):
        media["image_grid_thw"] = prompts.media["image_grid_thw"][torch.tensor(pictures)]
    return replace(prompts.take(chosen), media=media)
