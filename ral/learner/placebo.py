"""Evidence that loss terms read, and placebos: a rectangle of the same size elsewhere, another prompt's evidence."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

from ral.learner.ranks import gather
from ral.ops.grounding import evidence_tokens
from ral.ops.signals import Place
from ral.rollout.seeds import hash_seed
from ral.types import Box, Evidence, Grid, PromptBatch


def place(kind: Place, prompts: PromptBatch, seed: int) -> Tensor:
    """Return the visual tokens [B P] bool that count as evidence (B prompts, P prompt tokens).

    kind: "true" for the data's evidence. The other kinds are placebos on the first medium; a prompt without evidence
    there gets no placebo. "centre": a rectangle as large as the bounding box of the evidence, in the middle. "random":
    such a rectangle at a random place, which depends on seed and uid alone. "shuffled": the bounding box of the
    evidence of another prompt of all ranks, the next one in a fixed order by uid; no token where no other prompt has
    evidence. The placebo of a video stands in the time slots of its evidence. For "shuffled" every rank must call this.
    """
    if kind == "true":
        return prompts.evidence
    own = [_own(prompts, n) for n in range(len(prompts))]
    others = _others(prompts, own) if kind == "shuffled" else {}
    out = torch.zeros_like(prompts.evidence)
    for n, tokens in enumerate(own):
        box = None if tokens is None else _placed(kind, tokens, _key(prompts, n), seed, others)
        if tokens is not None and box is not None:
            moved = rectangle(box, (len(tokens), *tokens.shape[1:])) & tokens.any(-1).any(-1)[:, None, None]
            seen = prompts.visual[n].nonzero().squeeze(-1)
            out[n, seen[: moved.numel()]] = moved.flatten().to(out.device)
    return out


def _key(prompts: PromptBatch, n: int) -> int:
    return zlib.crc32(prompts.examples[n].uid.encode())


def _own(prompts: PromptBatch, n: int) -> Tensor | None:
    """Return the evidence of prompt `n` on its first medium, [T H W] bool; None where it has none there."""
    if not prompts.grids[n]:
        return None
    t, h, w = prompts.grids[n][0]
    tokens = prompts.evidence[n][prompts.visual[n]][: t * h * w].view(t, h, w).cpu()
    return tokens if bool(tokens.any()) else None


def _placed(kind: Place, tokens: Tensor, key: int, seed: int, others: dict[int, Box]) -> Box | None:
    """Return the box of a placebo, in shares of the image; None for "shuffled" where no other prompt has evidence."""
    if kind == "shuffled":
        return others.get(key)
    left, top, right, bottom = around(tokens)
    free_x, free_y = 1 - (right - left), 1 - (bottom - top)
    draw = torch.Generator().manual_seed(hash_seed(seed, key))
    h, w = tokens.shape[1:]
    if kind == "centre":
        x, y = round(free_x * w / 2), round(free_y * h / 2)
    else:
        x, y = (int(torch.randint(round(free * n) + 1, (), generator=draw)) for free, n in ((free_x, w), (free_y, h)))
    return x / w, y / h, x / w + right - left, y / h + bottom - top


def _others(prompts: PromptBatch, own: list[Tensor | None]) -> dict[int, Box]:
    """Return {CRC-32 of a prompt's uid: bounding box of the next prompt's evidence}, over the prompts of all ranks."""
    mine = {_key(prompts, n): around(tokens) for n, tokens in enumerate(own) if tokens is not None}
    boxes = {key: box for rank in gather(mine) for key, box in rank.items()}
    order = sorted(boxes)
    if len(order) < 2:
        return {}
    return {key: boxes[after] for key, after in zip(order, [*order[1:], order[0]], strict=True)}


def around(tokens: Tensor) -> Box:
    """Return the bounding box (left, top, right, bottom) of marked tokens, in shares of the image.

    tokens [T H W] bool, T time slots, H rows, W columns, at least one of them True.
    """
    h, w = tokens.shape[1:]
    rows, columns = tokens.any(0).any(1).nonzero().squeeze(-1), tokens.any(0).any(0).nonzero().squeeze(-1)
    return int(columns[0]) / w, int(rows[0]) / h, (int(columns[-1]) + 1) / w, (int(rows[-1]) + 1) / h


def rectangle(box: Box, grid: Grid) -> Tensor:
    """Return a mask [T H W] of the visual tokens inside a box, or of those at its middle where none is inside.

    grid: (T, H, W), the numbers of time slots, rows and columns.
    """
    inside = evidence_tokens([Evidence(box)], grid, 0.0)
    if not bool(inside.any()):
        _, h, w = grid
        inside[:, min(int((box[1] + box[3]) / 2 * h), h - 1), min(int((box[0] + box[2]) / 2 * w), w - 1)] = True
    return inside
