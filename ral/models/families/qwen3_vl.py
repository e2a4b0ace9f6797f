"""Qwen3-VL: a video is a run of visual tokens for each pair of frames, each after its time as text: `<0.5 seconds>`.

Its mRoPE interleaves the axes of positions; patches are 16 pixels wide.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ral.models.family import Family, PatchSettings, PixelRules
from ral.models.patches import one_run, patch_media, patch_settings
from ral.models.qwen import QWEN, patch_files, qwen_parts
from ral.models.recipe import Recipe, Sizes
from ral.types import Pixels


def timed_runs(pixels: Pixels, settings: PatchSettings) -> str:
    """Return the text that stands for an image (a placeholder) or a video (a time and a placeholder for each slot).

    The time is the mean of the slot's first and last frame, in seconds. The marks that the chat template writes around
    the placeholder stay, so that a video's first slot follows two `<|vision_start|>`.
    """
    if pixels.kind == "image":
        return one_run(pixels, settings)
    step, last, rate = settings.temporal_patch_size, len(pixels.frames) - 1, 1 / pixels.seconds_per_frame
    ends = [(first, min(first + step - 1, last)) for first in range(0, last + 1, step)]
    times = [(first / rate + end / rate) / 2 for first, end in ends]  # divided as Transformers does: the rounding shows
    return "".join(f"<{time:.1f} seconds><|vision_start|><|video_pad|><|vision_end|>" for time in times)


def parts(sizes: Sizes) -> dict[str, Any]:
    """Return Recipe.parts of a small network, with deepstack features of every vision block."""
    head = sizes.hidden // sizes.heads
    sections = [head // 2 - 2 * (head * 5 // 32), head * 5 // 32, head * 5 // 32]
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"out_hidden_size": sizes.hidden, "patch_size": 16, "num_position_embeddings": 16**2}
    vision |= {"deepstack_visual_indexes": list(range(sizes.vision_depth))}
    found = qwen_parts(sizes, vision)
    found["text"]["rope_parameters"] |= {"mrope_section": sections, "mrope_interleaved": True}
    found["text"]["head_dim"] = head
    return found


FAMILY = Family(
    **QWEN | {"pixels": PixelRules(patch_settings, patch_media, timed_runs)},
    model_type="qwen3_vl",
    classes=("Qwen3VLProcessor", "Qwen2VLImageProcessor", "Qwen3VLVideoProcessor"),
    recipe=Recipe(parts, partial(patch_files, patch_size=16)),
)
