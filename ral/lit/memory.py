"""Memory that a run no longer uses but the C library keeps."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return unused pages to the system, where the C library can (glibc); milliseconds.

    Evaluations and checkpoints take tensors of other sizes than steps do, and what lies free between them afterwards
    would add up over thousands of steps.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
