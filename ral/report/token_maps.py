"""Attention rows of tokens as bytes for the viewer's page: first shares, then cells (visual tokens). Pure functions."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np

from ral.types import RowChoice, TokenRows

FULL, UNKNOWN = 65534, 65535
"""Two-byte numbers of a share: FULL stands for 1, UNKNOWN for a share that is not known."""
LEVELS = 255
"""The byte of a row's largest cell.

A cell's weight is peak * (byte / LEVELS) ** 2, so that small weights stay distinct.
"""
SHARES = 3
"""Number of shares of a row: attention on the medium; of that, the largest cell's part and the evidence's part."""
COMPRESSED = 0.75
"""Usual upper bound of the size of compressed rows, relative to their bytes; base64 adds a third."""


def common(choices: Sequence[RowChoice]) -> RowChoice:
    """Return the queries, layers and heads that all choices share; no single heads unless all have as many of them."""
    first, *others = choices
    layers = tuple(n for n in first.layers if all(n in other.layers for other in others))
    return RowChoice(first.queries, layers, first.heads if {c.heads for c in choices} == {first.heads} else 0)


def expected_bytes(choice: RowChoice, tokens_and_cells: Sequence[tuple[int, int]]) -> int:
    """Return an estimate of the bytes that the rows take on the page.

    tokens_and_cells: for each response its tokens, and the visual tokens of its medium.
    """
    return int(COMPRESSED * 4 / 3 * choice.rows * sum(t * (cells + 2 * SHARES) for t, cells in tokens_and_cells))


def packed(rows: TokenRows, choice: RowChoice, shown: Sequence[int]) -> bytes:
    """Return the bytes of one response: shares [Q L H T 3] of two bytes, low first, then cells [Q L H T V] of one.

    Q queries, L layers, H the mean over heads and single heads, T tokens, V visual tokens of the slots `shown`. choice:
    the part of `rows` to write. shown: the time slots whose cells are kept, (0,) for an image. Shares are over all
    slots.
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
    """Return shares in [0, 1] as 16-bit numbers from 0 to FULL; NaN becomes UNKNOWN."""
    known = np.nan_to_num(shares).clip(0, 1) * FULL
    return np.where(np.isnan(shares), UNKNOWN, known.round()).astype("<u2")


def compressed(data: bytes) -> str:
    """Return bytes as text for the page: compressed by zlib (browsers call it deflate), in base64."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")
