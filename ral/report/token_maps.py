"""Token rows as the bytes that the viewer's page reads: shares, then cells, one byte a cell. Pure."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np

from ral.types import RowChoice, TokenRows

FULL, UNKNOWN = 65534, 65535
"""Of shares in two bytes: the number that stands for 1, and that for a share which is not known."""
LEVELS = 255
"""Of a cell: the number that stands for the largest of its row. A cell's weight is peak * (number / LEVELS) ** 2, so
that weak ones keep their places."""
SHARES = 3
"""Shares of a row: of all attention on the medium; of that, the largest cell's, and that on the evidence."""
COMPRESSED = 0.75
"""Size of rows once they are compressed, at the most usual; as base64 they grow by a third again."""


def common(choices: Sequence[RowChoice]) -> RowChoice:
    """Return what several choices have in common; single heads only where all have as many."""
    first, *others = choices
    layers = tuple(n for n in first.layers if all(n in other.layers for other in others))
    return RowChoice(first.queries, layers, first.heads if {c.heads for c in choices} == {first.heads} else 0)


def expected_bytes(choice: RowChoice, tokens_and_cells: Sequence[tuple[int, int]]) -> int:
    """Estimate the bytes on the page of responses of some tokens on media of some cells."""
    return int(COMPRESSED * 4 / 3 * choice.rows * sum(t * (cells + 2 * SHARES) for t, cells in tokens_and_cells))


def packed(rows: TokenRows, choice: RowChoice, shown: Sequence[int]) -> bytes:
    """Return the bytes of one response: [Q L H T 3] shares (two bytes, low first), [Q L H T V] cells.

    choice: a part of what `rows` holds; shown: the slots of a clip whose cells are kept, (0,) for a picture. Shares are
    of all slots.
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
    """Return shares in [0, 1] as numbers up to FULL, UNKNOWN for NaN."""
    known = np.nan_to_num(shares).clip(0, 1) * FULL
    return np.where(np.isnan(shares), UNKNOWN, known.round()).astype("<u2")


def compressed(data: bytes) -> str:
    """Return bytes as the page holds them: zlib's format, which browsers call deflate, in base64."""
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")
