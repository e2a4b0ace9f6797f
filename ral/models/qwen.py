"""Rules that the Qwen-VL families share, and the configuration and processor files of their random models."""

from __future__ import annotations

from typing import Any

from ral.models.family import IMAGE, VIDEO, NetworkRules, PixelRules, Placeholders
from ral.models.patches import encode_grids, grid_positions, one_run, patch_media, patch_settings
from ral.models.recipe import Sizes

QWEN: dict[str, Any] = {
    "placeholders": Placeholders("<|image_pad|>", "<|video_pad|>", {"<|image_pad|>": IMAGE, "<|video_pad|>": VIDEO}),
    "pixels": PixelRules(patch_settings, patch_media, one_run),
    "network": NetworkRules(("visual",), 3, grid_positions, encode_grids),
}
"""Fields of `Family` that all Qwen-VL families have, except where a family replaces one."""


def qwen_parts(sizes: Sizes, vision: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of Recipe.parts that the Qwen-VL families share: mRoPE of three axes, patches merged 2 x 2.

    vision: further keys of vision_config, which override the shared ones (such as patch_size 14).
    """
    half = sizes.hidden // sizes.heads // 2
    sections = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}
    common = {"depth": sizes.vision_depth, "num_heads": sizes.vision_heads, "patch_size": 14}
    common |= {"spatial_merge_size": 2, "temporal_patch_size": 2}
    return {"text": {"rope_parameters": rope}, "vision": common | vision}


def patch_files(sizes: Sizes, pixels: tuple[int, int], patch_size: int = 14) -> dict[str, dict[str, Any]]:
    """Return {name: content} of processor files for towers that take patches.

    sizes is not used. pixels: least and largest area of an image, in pixels. patch_size: side of a patch, in pixels.
    """
    common = {
        "patch_size": patch_size,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]},
    }
    return {"preprocessor_config.json": common, "video_preprocessor_config.json": common}
