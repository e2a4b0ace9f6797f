"""Qwen2.5-VL: a video is one run of visual tokens, whose positions on the time axis follow its seconds."""

from __future__ import annotations

from typing import Any

from ral.models.family import Facts, Family
from ral.models.qwen import QWEN, patch_files, qwen_parts
from ral.models.recipe import Recipe, Sizes


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return Recipe.parts of a small network; only its last vision block attends over the whole image."""
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"out_hidden_size": sizes.hidden, "fullatt_block_indexes": [sizes.vision_depth - 1]}
    return qwen_parts(sizes, {**vision, "tokens_per_second": 2})


FAMILY = Family(
    **QWEN,
    model_type="qwen2_5_vl",
    classes=("Qwen2_5_VLProcessor", "Qwen2VLImageProcessor", "Qwen2VLVideoProcessor"),
    recipe=Recipe(parts, patch_files),
    facts=Facts(inputs=("mm_token_type_ids", "second_per_grid_ts")),
)
