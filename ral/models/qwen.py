"""Shared by the Qwen-VL families: the names in their prompts, and how a random model of them is written."""

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
"""Fields of `Family` that are alike in all of them, unless one of them says otherwise."""


def qwen_parts(sizes: Sizes, vision: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of configuration that Qwen2-VL and Qwen2.5-VL share: positions of three axes, patches merged."""
    half = sizes.hidden // sizes.heads // 2
    sections = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}
    common = {"depth": sizes.vision_depth, "num_heads": sizes.vision_heads, "patch_size": 14}
    common |= {"spatial_merge_size": 2, "temporal_patch_size": 2}
    return {"text": {"rope_parameters": rope}, "vision": common | vision}


def patch_files(sizes: Sizes, pixels: tuple[int, int], patch_size: int = 14) -> dict[str, dict[str, Any]]:
    """Return processor files of towers that take patches."""
    common = {
        "patch_size": patch_size,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]},
    }
    return {"preprocessor_config.json": common, "video_preprocessor_config.json": common}
