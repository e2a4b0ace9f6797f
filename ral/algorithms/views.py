"""Second views of prompts: the same tokens with part of the pixels of their images and videos blackened.

Each view is a function of prompts, patch settings and a seed; algo.view names one. Positions, grids and tokens stay, so
that the same responses can follow either view.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ral.algorithms.frame_shuffle import Part, parts
from ral.models.family import PatchSettings
from ral.rollout.seeds import hash_seed
from ral.types import Grid, PromptBatch, UserError

Hidden = Callable[[int, int, tuple[int, int, int]], Tensor]
"""(index of a prompt, index of a medium in it, its patches (T, H, W)) -> patches to blacken, [T H W] bool."""


def masked_patches(prompts: PromptBatch, settings: PatchSettings, seed: int, *, share: float = 0.6) -> PromptBatch:
    """Return the prompts with each patch of their media blackened with probability `share`.

    Random masking of PAPO (arXiv 2507.06448), section 3.2, which masks patches of 14 pixels with probability 0.6; the
    code of VPPO takes 0.5. Patches here are the network's own; in a video each spans temporal_patch_size frames. The
    draw depends on seed, uid and index of the medium. prompts: a batch with its media. UserError for a share outside
    (0, 1].
    """
    if not 0 < share <= 1:
        raise UserError(f"algo.view.share={share}: write a share of patches above 0 and up to 1")

    def hidden(prompt: int, medium: int, size: tuple[int, int, int]) -> Tensor:
        own = hash_seed(seed, zlib.crc32(prompts.examples[prompt].uid.encode()), medium)
        return torch.rand(size, generator=torch.Generator().manual_seed(own)) < share

    return blackened(prompts, settings, hidden)


def evidence_alone(prompts: PromptBatch, settings: PatchSettings, seed: int) -> PromptBatch:
    """Return the prompts with the first medium blackened except its evidence (`prompts.evidence`).

    prompts: a batch with its media. Prompts without evidence, and further media of a prompt, stay as they are. seed is
    not used.
    """
    evidence = prompts.evidence.cpu()

    def hidden(prompt: int, medium: int, size: tuple[int, int, int]) -> Tensor:
        seen = evidence[prompt][prompts.visual[prompt].cpu()]
        if medium > 0 or not bool(seen.any()):
            return torch.zeros(size, dtype=torch.bool)
        t, h, w = prompts.grids[prompt][0]
        tokens = seen[: t * h * w].view(t, h, w)
        return ~tokens.repeat_interleave(size[1] // h, 1).repeat_interleave(size[2] // w, 2)

    return blackened(prompts, settings, hidden)


vars(evidence_alone)["of_evidence"] = True  # what algo.evidence says decides what is seen


def blackened(prompts: PromptBatch, settings: PatchSettings, hidden: Hidden) -> PromptBatch:
    """Return the prompts (a batch with its media) with the patches that `hidden` marks replaced by black ones."""
    kept: dict[str, list[Tensor]] = defaultdict(list)
    counted: dict[int, int] = defaultdict(int)
    for part in parts(prompts, settings):
        medium = counted[part.prompt]
        counted[part.prompt] += 1
        kept[part.key].append(_without(prompts, settings, part, medium, hidden))
    return replace(prompts, media=prompts.media | {key: torch.cat(values) for key, values in kept.items()})


def _without(prompts: PromptBatch, settings: PatchSettings, part: Part, medium: int, hidden: Hidden) -> Tensor:
    """Return one medium's tensor with its hidden patches black."""
    values, (t, h, w) = prompts.media[part.key][part.rows], prompts.grids[part.prompt][medium]
    merge = settings.merge_size
    gone = hidden(part.prompt, medium, (t, h * merge, w * merge))
    paint = _on_tiles if settings.tile is not None else _on_patches
    return torch.where(paint(gone, (t, h, w), values, settings), _black(values, settings), values)


def _on_patches(gone: Tensor, grid: Grid, values: Tensor, settings: PatchSettings) -> Tensor:
    """Return the mask of patches [T H W] as [patches 1], in the media's order: patches of a token are adjacent."""
    (t, h, w), merge = grid, settings.merge_size
    return gone.view(t, h, merge, w, merge).transpose(2, 3).reshape(-1, 1).to(values.device)


def _on_tiles(gone: Tensor, grid: Grid, values: Tensor, settings: PatchSettings) -> Tensor:
    """Return the mask of patches [T H W] as a mask of pixels [tiles 1 S S]. S: side of a tile in pixels."""
    side = values.shape[-1]
    high, wide = side // gone.shape[1], side // gone.shape[2]
    return gone.repeat_interleave(high, 1).repeat_interleave(wide, 2)[:, None].to(values.device)


def _black(values: Tensor, settings: PatchSettings) -> Tensor:
    """Return black, normalised as the vision tower's input: [3 * pixels] of a patch, or [3 1 1] of a tile."""
    black = -torch.tensor(settings.mean) / torch.tensor(settings.std)
    flat: Sequence[int] = (-1, 1, 1) if settings.tile is not None else (-1,)
    spread = black if settings.tile is not None else black.repeat_interleave(values.shape[1] // 3)
    return spread.view(*flat).to(values)
