"""Vision towers that take patches (Qwen-VL): pixels -> patches, placeholders, positions and visual embeddings."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ral.data.fields import is_number
from ral.models.family import IMAGE, VIDEO, PatchSettings
from ral.types import Grid, Pixels, Sequences

CHANNELS = 3
"""Number of colour channels: red, green, blue."""


def normalised(frames: Tensor, settings: PatchSettings) -> Tensor:
    """Normalise frames, uint8 [T H W 3] -> fp32 [T 3 H W], by the tower's mean and standard deviation."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (settings.mean, settings.std))
    return (frames.permute(0, 3, 1, 2).float() / 255 - mean) / std


def patchify(pixels: Pixels, settings: PatchSettings) -> tuple[Tensor, Grid]:
    """Return normalised patches of an image or video, fp32 [t*h*w, values of a patch], and their grid (t, h, w).

    t, h, w: time slots, rows and columns of patches; a patch has 3 * temporal_patch_size * patch_size^2 values. Patches
    that the tower merges into one visual token are adjacent. The last frame is repeated until the number of frames is a
    multiple of temporal_patch_size.
    """
    frames = normalised(pixels.frames, settings)
    missing = -frames.shape[0] % settings.temporal_patch_size
    frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    p, m, tp = settings.patch_size, settings.merge_size, settings.temporal_patch_size
    t, h, w = frames.shape[0] // tp, frames.shape[2] // p, frames.shape[3] // p
    blocks = frames.reshape(t, tp, 3, h // m, m, p, w // m, m, p).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return blocks.reshape(t * h * w, -1), (t, h, w)


def clip_times(pixels: Sequence[Pixels], settings: PatchSettings) -> dict[str, Tensor]:
    """Return tensors of the videos among `pixels`: second_per_grid_ts, seconds in a time slot, and frame_counts.

    {} where there is no video.
    """
    clips = [p for p in pixels if p.kind == "video"]
    seconds = [p.seconds_per_frame * settings.temporal_patch_size for p in clips]
    counts = [len(p.frames) for p in clips]
    return {"second_per_grid_ts": torch.tensor(seconds), "frame_counts": torch.tensor(counts)} if clips else {}


def patch_media(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[Grid]]:
    """Return tensors for the vision tower, and the grid (T, H, W) of visual tokens of each image or video.

    The tensors are Transformers': pixel_values and image_grid_thw of images, pixel_values_videos and video_grid_thw of
    videos (grids in patches), and those of `clip_times`.
    """
    media = clip_times(pixels, settings)
    cut = [patchify(p, settings) for p in pixels]
    for kind, values_key, grid_key in (
        ("image", "pixel_values", "image_grid_thw"),
        ("video", "pixel_values_videos", "video_grid_thw"),
    ):
        mine = [c for p, c in zip(pixels, cut, strict=True) if p.kind == kind]
        if mine:
            media[values_key] = torch.cat([patches for patches, _ in mine])
            media[grid_key] = torch.tensor([grid for _, grid in mine])
    m = settings.merge_size
    return media, [(t, h // m, w // m) for _, (t, h, w) in cut]


def one_run(pixels: Pixels, settings: PatchSettings) -> str:
    """Return the text that stands for an image or video in the prompt: one placeholder for all its visual tokens."""
    return "<|image_pad|>" if pixels.kind == "image" else "<|video_pad|>"


def grid_positions(model: Any, rows: Sequences, kinds: Tensor) -> Tensor:
    """Return mRoPE positions [3 M S] (time, row, column) by Transformers' rule of the network, video times included.

    model: network.model. rows: M padded rows of S tokens with their media. kinds [M S]: 0 for text, IMAGE or VIDEO.
    """
    rope = model.get_rope_index
    grids = {k: v for k, v in rows.media.items() if k in inspect.signature(rope).parameters}
    positions, _ = rope(rows.token_ids, mm_token_type_ids=kinds, attention_mask=rows.valid.long(), **grids)
    return positions


def encode_grids(model: Any, media: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    """Return {kind: [visual embeddings [M D], deepstack features [M D] of each layer that has them]}; {} without media.

    kind: IMAGE or VIDEO; M: visual tokens of that kind. model: network.model. media: tensors of `patch_media`.
    """
    found: dict[int, list[Tensor]] = {}
    for kind, encode, values, grid in (
        (IMAGE, model.get_image_features, "pixel_values", "image_grid_thw"),
        (VIDEO, model.get_video_features, "pixel_values_videos", "video_grid_thw"),
    ):
        if values in media:
            out = encode(media[values], media[grid], return_dict=True)
            parts = (out.pooler_output, *getattr(out, "deepstack_features", ()))
            # a tensor for each picture or clip, but joined deepstack features in Transformers 5.17
            found[kind] = [part if isinstance(part, Tensor) else torch.cat(list(part)) for part in parts]
    return found


IN_CONFIG = {
    "patch_size": "patch_size",
    "merge_size": "spatial_merge_size",
    "temporal_patch_size": "temporal_patch_size",
}
"""Fields of PatchSettings, and their names in vision_config of config.json."""


def patch_settings(config: Any, raw: Mapping[str, Any]) -> PatchSettings:
    """Return the PatchSettings of a model by config.json and preprocessor_config.json (`raw`)."""
    known = PatchSettings()
    return PatchSettings(
        patch_size=raw.get("patch_size", known.patch_size),
        merge_size=raw.get("merge_size", known.merge_size),
        temporal_patch_size=raw.get("temporal_patch_size", known.temporal_patch_size),
        mean=tuple(raw.get("image_mean", known.mean)),
        std=tuple(raw.get("image_std", known.std)),
        positions_per_second=getattr(config.vision_config, "tokens_per_second", None),
    )


def misfit(settings: PatchSettings, vision: Any) -> str | None:
    """Return, in words, the first setting that is impossible or contradicts config.json; None where all fit.

    image_mean and image_std must be three numbers each for pixels in [0, 1], image_std above 0. Sizes of patches must
    equal those of `vision`, the vision_config, except for towers that take tiles, whose sizes come from there.
    """
    for key, values, least in (("image_mean", settings.mean, -math.inf), ("image_std", settings.std, 0.0)):
        if len(values) != CHANNELS or not all(is_number(value) and value > least for value in values):
            what = "numbers" if least else "numbers above 0"
            return f"{key} is {list(values)}, and has to be three {what}, one for each of red, green and blue"
        if max(values) > 1 or min(values) < 0:
            return f"{key} is {list(values)}, of pixels up to 255, and they are of 0 to 1 here: divide it by 255"
    for key, name in {} if settings.tile else IN_CONFIG.items():
        ours, theirs = getattr(settings, key), getattr(vision, name, None)
        if isinstance(theirs, int) and ours != theirs:
            return f"{key} is {ours!r}, where config.json has vision_config.{name} {theirs}"
    return None
