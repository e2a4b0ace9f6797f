"""Images and videos computed back from the patches that a vision tower reads; exact, since pixels are whole numbers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ral.models.family import PatchSettings

WHITE = 255
"""Greatest value of a pixel."""
VALUES = {"image": "pixel_values", "video": "pixel_values_videos"}
"""Names, in PromptBatch.media, of the patches of images and of videos."""


def frames_of(media: Mapping[str, Tensor], kind: str, settings: PatchSettings) -> list[Tensor]:
    """Return the frames of each image or video of a batch, uint8 [F H W 3], F = 1 for an image.

    media: PromptBatch.media, with patches and grids. kind: "image" or "video"; an empty list where the batch has none.
    """
    if VALUES[kind] not in media:
        return []
    grids = media[f"{kind}_grid_thw"]
    parts = media[VALUES[kind]].split(grids.prod(1).tolist())
    counts = media["frame_counts"].tolist() if kind == "video" else [1] * len(grids)
    pairs = zip(parts, grids.tolist(), counts, strict=True)
    return [unpatched(patches, grid, settings)[:count] for patches, grid, count in pairs]


def unpatched(patches: Tensor, grid: list[int], settings: PatchSettings) -> Tensor:
    """Return the frames [t * temporal_patch_size, H, W, 3], uint8, of patches made by `ral.models.patches.patchify`.

    grid: (t, h, w), time slots, rows and columns of patches.
    """
    (t, h, w), p, m = grid, settings.patch_size, settings.merge_size
    blocks = patches.reshape(t, h // m, w // m, m, m, 3, settings.temporal_patch_size, p, p)
    frames = blocks.permute(0, 6, 1, 3, 7, 2, 4, 8, 5).reshape(-1, h * p, w * p, 3)
    mean, std = torch.tensor(settings.mean), torch.tensor(settings.std)
    return ((frames * std + mean) * WHITE).round().clamp(0, WHITE).to(torch.uint8)
