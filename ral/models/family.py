"""What differs between families of multimodal networks: one `Family` each, looked up by config.json's model_type.

Pixels, prompt tokens, positions and visual embeddings are those of Transformers 5.23's own processors and models (tests
compare them). How a clip becomes tokens:

Qwen2-VL, Qwen2.5-VL  one run of placeholders; in Qwen2.5-VL their positions say the time
Qwen3-VL              a run per pair of frames, each after its time as text: `<0.5 seconds>`
InternVL              a run per frame, each after `Frame1: `; positions merely count tokens

InternVL sees every picture and every frame as one square tile (448 x 448 pixels and 256 tokens in the published
models), which is Transformers' `crop_to_patches=False`: visual tokens then form one grid, so that attention maps and
evidence boxes mean the same as for the other families. Its option of up to 12 tiles and a thumbnail is left out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import AutoConfig, PreTrainedConfig

from ral.files.pretrained import check_folder, find
from ral.types import Pixels, Sequences, UserError

IMAGE, VIDEO = 1, 2
"""Kinds of visual tokens; 0 is text (Transformers' mm_token_type_ids)."""

Grid = tuple[int, int, int]
"""(T, H, W) of the visual tokens of one medium."""


@dataclass(frozen=True)
class PatchSettings:
    """How a vision tower wants its pixels. tile: side in pixels of the square that every picture becomes, or None.

    positions_per_second: of a clip, where positions say its time; None where they count its slots.
    """

    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    tile: int | None = None
    positions_per_second: float | None = field(default=None, compare=False)  # says nothing of the pixels

    @property
    def factor(self) -> int:
        """Sides of a picture are multiples of this many pixels; tiles are made from a picture of any size."""
        return 1 if self.tile else self.patch_size * self.merge_size


def normalised(frames: Tensor, settings: PatchSettings) -> Tensor:
    """Frames uint8 [T H W 3] -> fp32 [T 3 H W] with the tower's mean and deviation."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (settings.mean, settings.std))
    return (frames.permute(0, 3, 1, 2).float() / 255 - mean) / std


def patchify(pixels: Pixels, settings: PatchSettings) -> tuple[Tensor, Grid]:
    """Normalised patches [t*h*w, 3*temporal*patch*patch] fp32, merged blocks together, and their grid (t, h, w).

    A clip whose number of frames is not a multiple of temporal_patch_size repeats its last frame.
    """
    frames = normalised(pixels.frames, settings)
    missing = -frames.shape[0] % settings.temporal_patch_size
    frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    p, m, tp = settings.patch_size, settings.merge_size, settings.temporal_patch_size
    t, h, w = frames.shape[0] // tp, frames.shape[2] // p, frames.shape[3] // p
    blocks = frames.reshape(t, tp, 3, h // m, m, p, w // m, m, p).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return blocks.reshape(t * h * w, -1), (t, h, w)


def tiles(pixels: Pixels, settings: PatchSettings) -> Tensor:
    """Every frame as one normalised square [T 3 tile tile] fp32, resized bicubically as torchvision does."""
    assert settings.tile is not None
    size = (settings.tile, settings.tile)
    frames = interpolate(pixels.frames.permute(0, 3, 1, 2), size, mode="bicubic", antialias=True)
    return normalised(frames.permute(0, 2, 3, 1), settings)


def clip_times(pixels: Sequence[Pixels], settings: PatchSettings) -> dict[str, Tensor]:
    """Seconds that one temporal slot of each clip spans, and its number of frames; {} without clips."""
    clips = [p for p in pixels if p.kind == "video"]
    seconds = [p.seconds_per_frame * settings.temporal_patch_size for p in clips]
    counts = [len(p.frames) for p in clips]
    return {"second_per_grid_ts": torch.tensor(seconds), "frame_counts": torch.tensor(counts)} if clips else {}


def patch_media(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[Grid]]:
    """Patches and patch grids of pictures and of clips, and each medium's grid of visual tokens."""
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


def tile_media(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[Grid]]:
    """Tiles of all media in their order, and each medium's grid of visual tokens, one slot a frame."""
    if not pixels:
        return {}, []
    values = torch.cat([tiles(p, settings) for p in pixels])
    side = values.shape[-1] // settings.patch_size // settings.merge_size
    return {"pixel_values": values, **clip_times(pixels, settings)}, [(len(p.frames), side, side) for p in pixels]


def one_run(pixels: Pixels, settings: PatchSettings) -> str:
    """The placeholder that the chat template wrote, once for all visual tokens of a picture or clip."""
    return "<|image_pad|>" if pixels.kind == "image" else "<|video_pad|>"


def timed_runs(pixels: Pixels, settings: PatchSettings) -> str:
    """Qwen3-VL: before each temporal slot of a clip the mean time of its first and last frame, in seconds.

    What the chat template writes around the placeholder stays, so that a clip's first slot follows two starts.
    """
    if pixels.kind == "image":
        return one_run(pixels, settings)
    step, last, rate = settings.temporal_patch_size, len(pixels.frames) - 1, 1 / pixels.seconds_per_frame
    ends = [(first, min(first + step - 1, last)) for first in range(0, last + 1, step)]
    times = [(first / rate + end / rate) / 2 for first, end in ends]  # divided as Transformers does: the rounding shows
    return "".join(f"<{time:.1f} seconds><|vision_start|><|video_pad|><|vision_end|>" for time in times)


def framed_runs(pixels: Pixels, settings: PatchSettings) -> str:
    """InternVL: a picture is a run between its marks; a clip one numbered line a frame."""
    run = "<img><IMG_CONTEXT></img>"
    if pixels.kind == "image":
        return run
    return "\n".join(f"Frame{n}: {run}" for n in range(1, len(pixels.frames) + 1))


def grid_positions(model: Any, rows: Sequences, kinds: Tensor) -> Tensor:
    """mRoPE positions [3 M S] (time, row, column) from the network's own rule, times of clips included."""
    rope = model.get_rope_index
    grids = {k: v for k, v in rows.media.items() if k in inspect.signature(rope).parameters}
    positions, _ = rope(rows.token_ids, mm_token_type_ids=kinds, attention_mask=rows.valid.long(), **grids)
    return positions


def counted_positions(model: Any, rows: Sequences, kinds: Tensor) -> Tensor:
    """Plain positions, the same three times [3 M S]: tokens counted from the first valid one."""
    return (rows.valid.long().cumsum(1) - 1).clamp_min(0).expand(3, -1, -1)


def see_grids(model: Any, media: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    """Per kind the visual embeddings [M D] of all its tokens in order, then those for the first layers (deepstack)."""
    seen: dict[int, list[Tensor]] = {}
    for kind, encode, values, grid in (
        (IMAGE, model.get_image_features, "pixel_values", "image_grid_thw"),
        (VIDEO, model.get_video_features, "pixel_values_videos", "video_grid_thw"),
    ):
        if values in media:
            out = encode(media[values], media[grid], return_dict=True)
            parts = (out.pooler_output, *getattr(out, "deepstack_features", ()))
            # a tensor for each picture or clip, but joined deepstack features in Transformers 5.17
            seen[kind] = [part if isinstance(part, Tensor) else torch.cat(list(part)) for part in parts]
    return seen


def see_tiles(model: Any, media: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    """The visual embeddings [M D] of all tiles in order; frames of clips are pictures."""
    if "pixel_values" not in media:
        return {}
    return {IMAGE: [model.get_image_features(media["pixel_values"], return_dict=True).pooler_output.flatten(0, 1)]}


def patch_settings(config: Any, raw: Mapping[str, Any]) -> PatchSettings:
    """From preprocessor_config.json (`raw`) of a model that takes patches."""
    known = PatchSettings()
    return PatchSettings(
        patch_size=raw.get("patch_size", known.patch_size),
        merge_size=raw.get("merge_size", known.merge_size),
        temporal_patch_size=raw.get("temporal_patch_size", known.temporal_patch_size),
        mean=tuple(raw.get("image_mean", known.mean)),
        std=tuple(raw.get("image_std", known.std)),
        positions_per_second=getattr(config.vision_config, "tokens_per_second", None),
    )


def tile_settings(config: Any, raw: Mapping[str, Any]) -> PatchSettings:
    """From config.json and preprocessor_config.json (`raw`) of a model that takes tiles."""
    known = PatchSettings()
    return PatchSettings(
        patch_size=config.vision_config.patch_size[0],
        merge_size=round(1 / config.downsample_ratio),
        temporal_patch_size=1,
        mean=tuple(raw.get("image_mean", known.mean)),
        std=tuple(raw.get("image_std", known.std)),
        tile=raw["size"]["height"] if "size" in raw else config.vision_config.image_size[0],
    )


@dataclass(frozen=True)
class Family:
    """The functions and names of one family. Functions: see the ones above that serve as fields.

    image_token, video_token: what the chat template writes for a picture and a clip. After `expand` every one that is
        left stands for an equal share of its medium's visual tokens.
    towers: parts of `network.model` between pixels and visual embeddings.
    axes: positions of a token that the decoder reads, 3 (time, row, column) or 1.
    classes: Transformers' names of the processor and its picture and clip processors.
    """

    image_token: str
    video_token: str
    towers: tuple[str, ...]
    axes: int
    classes: tuple[str, str, str]
    settings: Callable[[Any, Mapping[str, Any]], PatchSettings] = patch_settings
    media: Callable[[Sequence[Pixels], PatchSettings], tuple[dict[str, Tensor], list[Grid]]] = patch_media
    expand: Callable[[Pixels, PatchSettings], str] = one_run
    positions: Callable[[Any, Sequences, Tensor], Tensor] = grid_positions
    see: Callable[[Any, Mapping[str, Tensor]], dict[int, list[Tensor]]] = see_grids


QWEN: dict[str, Any] = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "towers": ("visual",),
    "axes": 3,
}

FAMILIES: dict[str, Family] = {
    "qwen2_vl": Family(**QWEN, classes=("Qwen2VLProcessor", "Qwen2VLImageProcessor", "Qwen2VLVideoProcessor")),
    "qwen2_5_vl": Family(**QWEN, classes=("Qwen2_5_VLProcessor", "Qwen2VLImageProcessor", "Qwen2VLVideoProcessor")),
    "qwen3_vl": Family(
        **QWEN,
        classes=("Qwen3VLProcessor", "Qwen2VLImageProcessor", "Qwen3VLVideoProcessor"),
        expand=timed_runs,
    ),
    "internvl": Family(
        image_token="<IMG_CONTEXT>",
        video_token="<video>",
        towers=("vision_tower", "multi_modal_projector"),
        axes=1,
        classes=("InternVLProcessor", "GotOcr2ImageProcessor", "InternVLVideoProcessor"),
        settings=tile_settings,
        media=tile_media,
        expand=framed_runs,
        positions=counted_positions,
        see=see_tiles,
    ),
}
"""Values of config.json's model_type that this project loads."""


def read_config(pretrained: str) -> PreTrainedConfig:
    """config.json of a model folder (or hub id that can be had); UserError unless it is of a family known here."""
    check_folder(pretrained)
    try:
        config = AutoConfig.from_pretrained(find(pretrained))
    except Exception as error:  # checks of its fields have classes of their own in each release of Transformers
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = "config.json does not fit its model" if Path(find(pretrained)).is_dir() else "no folder, and no hub id"
        raise UserError(f"model.pretrained={pretrained}: {where} that can be read ({reason})") from error
    if config.model_type not in FAMILIES:
        raise UserError(
            f"model.pretrained={pretrained}: config.json says model_type {config.model_type!r}; "
            f"this project trains {', '.join(FAMILIES)}"
        )
    return config


def layer_types(config: Any) -> tuple[str, ...]:
    """What each decoder layer is, as Transformers names it; a network that does not say has one kind throughout.

    A window counts unless use_sliding_window says that it is not used, as published Qwen configurations do.
    """
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) and getattr(text, "use_sliding_window", True)
    alike = "sliding_attention" if window else "full_attention"
    return tuple(getattr(text, "layer_types", None) or [alike] * text.num_hidden_layers)


def shareable(config: Any) -> str | None:
    """Why the shared-prompt layout cannot serve a network of this configuration; None where it can."""
    for layer, kind in enumerate(layer_types(config)):
        if kind != "full_attention":
            return f"decoder layer {layer} has {kind}, and responses share a prompt only through full_attention"
    return None
