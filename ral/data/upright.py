"""The display matrix of a video: how a player turns and mirrors its frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from ral.data.sizes import Frames

SLANT = 0.01
"""Entries of a matrix count as 0 below this share of its largest entry."""
Matrix = tuple[float, float, float, float]
"""(a, b, c, d): the pixel at (x, y) is shown at (a x + c y, b x + d y), apart from a shift."""


def matrix_of(frame: Any) -> Matrix | None:
    """Return the display matrix of PyAV's frame, stored as 3 x 3 numbers of 16.16 bits; None where it has none."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = (np.frombuffer(bytes(data), np.int32) / 65536).tolist()
            return a, b, c, d
    return None


def is_turn(matrix: Matrix | None) -> bool:
    """Tell whether a matrix turns frames by right angles at most, and mirrors nothing: decord handles no other.

    True for None.
    """
    if matrix is None:
        return True
    a, b, c, d = matrix
    return a * d - b * c > 0 and (_is_zero(matrix, b, c) or _is_zero(matrix, a, d))


def upright(pixels: Frames, matrix: Matrix | None) -> Frames:
    """Return a frame [H W 3] turned and mirrored as a player shows it; unchanged where `matrix` is None.

    ValueError for a matrix that turns by no right angle.
    """
    if matrix is None:
        return pixels
    a, b, c, d = matrix
    if _is_zero(matrix, b, c):
        across, down = a, d
    elif _is_zero(matrix, a, d):
        pixels, across, down = pixels.swapaxes(0, 1), c, b
    else:
        raise ValueError(f"its display matrix ({a:.3g} {b:.3g} {c:.3g} {d:.3g}) turns it by no right angle")
    shown: Frames = np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])
    return shown


def _is_zero(matrix: Matrix, *entries: float) -> bool:
    """Tell whether some entries of a matrix are negligible beside its largest one."""
    return max(map(abs, entries)) <= SLANT * max(map(abs, matrix))
