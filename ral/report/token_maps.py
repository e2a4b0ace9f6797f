"""Attention rows of tokens as bytes for the viewer's page: shares, then cells (visual tokens), one byte each. Pure."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np

from ral.types import RowChoice, TokenRows

FULL, UNKNOWN = 65534, 65535
"""Two-byte numbers of a share: FULL stands for 1, UNKNOWN for a share that is not known."""
LEVELS = 255
"""The number of a row's largest cell. A weight is peak * (number / LEVELS) ** 2, so that small weights
are kept apart.
"""
SHARES = 3
"""Shares of a row: attention on the medium; of it, that on the largest cell, and that on the evidence."""
COMPRESSED = 0.75
"""Usual size of compressed rows relative to the bytes, at most; base64 adds a third."""


def common(choices: Sequence[RowChoice]) -> RowChoice:
    """Return the queries, layers and heads that several choices share; single heads only where all have as many."""
    first, *others = choices
    layers = tuple(n for n in first.layers if all(n in other.layers for other in others))
    return RowChoice(first.queries, layers, first.heads if {c.heads for c in choices} == {first.heads} else 0)


def expected_bytes(choice: RowChoice, tokens_and_cells: Sequence[tuple[int, int]]) -> int:
    """Estimate the bytes on the page. tokens_and_cells: (tokens, cells of the medium) of each response."""
    return int(COMPRESSED * 4 / 3 * choice.rows * sum(t * (cells + 2 * SHARES) for t, cells in tokens_and_cells))


def packed(rows: TokenRows, choice: RowChoice, shown: Sequence[int]) -> bytes:
    """Return the bytes of one response: [Q L H T 3] shares (two bytes, low first), then [Q L H T V] cells.

    Q queries, L layers, H mean and heads, T tokens, V visual tokens in `shown`. choice: a part of the rows in `rows`;
    shown: the time slots whose cells are kept, (0,) for an image. Shares are over all slots.
    """
    layers = [rows.chosen.layers.index(n) for n in choice.layers]
    weights = rows.weights.numpy()[:, layers, : 1 + choice.heads]
    total = weights.sum(-1, keepdims=True)
    within = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    kept = within.reshape(*within.shape[:-1], rows.grid[0], -1)[..., list(shown), :].reshape(*within.shape[:-1], -1)
    peak = kept.max(-1, keepdims=True)
    scaled = np.divide(kept, peak, out=np.zeros_like(kept), where=peak > 0)
    evidence = (
        np.full(total.shape, np.nan) if rows.inside is None else within[..., rows.inside.numpy()].sum(-1)[..., None]
    )
    shares = two_bytes(np.concatenate([total, peak, evidence], axis=-1))
    return shares.tobytes() + (np.sqrt(scaled) * LEVELS).round().astype(np.uint8).tobytes()


def two_bytes(shares: np.ndarray) -> np.ndarray:
    """Return shares in [0, 1] as 16-bit numbers up to FULL, and UNKNOWN for NaN."""
    known = np.nan_to_num(shares).clip(0, 1) * FULL
    return np.where(np.isnan(shares), UNKNOWN, known.round()).astype("<u2")


def compressed(data: bytes) -> str:
    """Return bytes for the page: compressed by zlib (deflate to browsers), in base64."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")
