"""Qwen2.5-VL: a clip is one run of placeholders, whose positions say the time."""

from __future__ import annotations

from typing import Any

from ral.models.family import Facts, Family
from ral.models.qwen import QWEN, patch_files, qwen_parts
from ral.models.recipe import Recipe, Sizes


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return the keys of a small network's configuration: the last vision block alone sees the whole picture."""
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
