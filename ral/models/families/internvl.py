"""InternVL: a video is a run of visual tokens for each frame, each after `Frame1: `; positions count tokens.

Every image and every frame is one square tile (448 x 448 pixels and 256 tokens in the published models), Transformers'
`crop_to_patches=False`: visual tokens then form one grid, so that attention maps and evidence boxes mean the same as
for the other families. InternVL's option of up to 12 tiles and a thumbnail is not supported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ral.models.family import IMAGE, Facts, Family, NetworkRules, PatchSettings, PixelRules, Placeholders
from ral.models.patches import clip_times, normalised
from ral.models.recipe import CHAT_TEMPLATE, Recipe, Sizes
from ral.types import Grid, Pixels, Sequences

NAMED_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
"""InternVL's own control tokens, by the attributes of the tokenizer that Transformers' processor reads."""
TILE = 112
"""Side in pixels of a random model's tile."""
TEMPLATE = CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<IMG_CONTEXT>\n").replace(
    "<|vision_start|><|video_pad|><|vision_end|>", "<video>\n"
)


def tiles(pixels: Pixels, settings: PatchSettings) -> Tensor:
    """Return every frame of an image or video as a normalised square, fp32 [T 3 tile tile], resized bicubically."""
    assert settings.tile is not None
    size = (settings.tile, settings.tile)
    frames = interpolate(pixels.frames.permute(0, 3, 1, 2), size, mode="bicubic", antialias=True)
    return normalised(frames.permute(0, 2, 3, 1), settings)


def tile_media(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[Grid]]:
    """Return tensors for the vision tower, and each medium's grid (frames, rows, columns) of visual tokens.

    pixel_values: the tiles of all media in their order; and the tensors of `clip_times`.
    """
    if not pixels:
        return {}, []
    values = torch.cat([tiles(p, settings) for p in pixels])
    side = values.shape[-1] // settings.patch_size // settings.merge_size
    return {"pixel_values": values, **clip_times(pixels, settings)}, [(len(p.frames), side, side) for p in pixels]


def framed_runs(pixels: Pixels, settings: PatchSettings) -> str:
    """Return the text that stands for an image or video: a placeholder between two marks.

    For a video there is one such line for each frame, with the frame's number before it.
    """
    run = "<img><IMG_CONTEXT></img>"
    if pixels.kind == "image":
        return run
    return "\n".join(f"Frame{n}: {run}" for n in range(1, len(pixels.frames) + 1))


def counted_positions(model: Any, rows: Sequences, kinds: Tensor) -> Tensor:
    """Return positions [3 M S], the same on all three axes: tokens counted from 0 at the first valid one."""
    return (rows.valid.long().cumsum(1) - 1).clamp_min(0).expand(3, -1, -1)


def encode_tiles(model: Any, media: Mapping[str, Tensor]) -> dict[int, list[Tensor]]:
    """Return {IMAGE: [visual embeddings [M D]]} of all tiles in order, frames of videos included; {} without media."""
    if "pixel_values" not in media:
        return {}
    return {IMAGE: [model.get_image_features(media["pixel_values"], return_dict=True).pooler_output.flatten(0, 1)]}


def tile_settings(config: Any, raw: Mapping[str, Any]) -> PatchSettings:
    """Return the PatchSettings of a model by config.json and preprocessor_config.json (`raw`)."""
    known = PatchSettings()
    return PatchSettings(
        patch_size=config.vision_config.patch_size[0],
        merge_size=round(1 / config.downsample_ratio),
        temporal_patch_size=1,
        mean=tuple(raw.get("image_mean", known.mean)),
        std=tuple(raw.get("image_std", known.std)),
        tile=raw["size"]["height"] if "size" in raw else config.vision_config.image_size[0],
    )


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return Recipe.parts of a small network with a Qwen2 decoder, which has patches of 14 pixels, merged 2 x 2."""
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"num_hidden_layers": sizes.vision_depth, "num_attention_heads": sizes.vision_heads}
    vision |= {"image_size": [TILE, TILE], "patch_size": [14, 14]}
    return {"text": {"model_type": "qwen2"}, "vision": vision, "image_seq_length": (TILE // 28) ** 2}


def tile_files(sizes: Sizes, pixels: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Return {name: content} of processor files for towers that take one tile for each image.

    Both parameters are ignored.
    """
    common = {
        "size": {"height": TILE, "width": TILE},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    return {
        "preprocessor_config.json": common | {"crop_to_patches": False, "min_patches": 1, "max_patches": 1},
        "video_preprocessor_config.json": common,
        "processor_config.json": {"image_seq_length": (TILE // 28) ** 2},
    }


FAMILY = Family(
    model_type="internvl",
    placeholders=Placeholders("<IMG_CONTEXT>", "<video>", {"<IMG_CONTEXT>": IMAGE}),
    pixels=PixelRules(tile_settings, tile_media, framed_runs),
    network=NetworkRules(("vision_tower", "multi_modal_projector"), 1, counted_positions, encode_tiles),
    classes=("InternVLProcessor", "GotOcr2ImageProcessor", "InternVLVideoProcessor"),
    recipe=Recipe(parts, tile_files, {"image_token_id": "<IMG_CONTEXT>"}, NAMED_TOKENS, TEMPLATE),
    facts=Facts(inputs=()),
)
