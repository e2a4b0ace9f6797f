"""Qwen2-VL: a video is one run of visual tokens, whose positions on the time axis count time slots."""

from __future__ import annotations

from typing import Any

from ral.models.family import Family
from ral.models.qwen import QWEN, patch_files, qwen_parts
from ral.models.recipe import Recipe, Sizes


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return Recipe.parts of a small network."""
    return qwen_parts(sizes, {"embed_dim": sizes.vision_hidden, "hidden_size": sizes.hidden, "mlp_ratio": 2})


FAMILY = Family(
    **QWEN,
    model_type="qwen2_vl",
    classes=("Qwen2VLProcessor", "Qwen2VLImageProcessor", "Qwen2VLVideoProcessor"),
    recipe=Recipe(parts, patch_files),
)
