"""Return, to the system, of memory that a run no longer uses but the C library keeps."""

from __future__ import annotations

import ctypes
from typing import Any

import lightning as L

from ral.lit.module import PolicyModule

EVERY = 20
"""Steps between two returns of memory. A return, with the page faults after it, costs at most a tenth of a second."""


def give_back() -> None:
    """Return unused memory pages to the system where the C library can (glibc); else do nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class GivesBack(L.Callback):
    """Callback that returns unused memory pages to the system every EVERY steps.

    Steps, evaluations and checkpoints allocate tensors of many sizes. Without this the process keeps the freed memory,
    as much as the largest step so far needed, and more over thousands of steps.
    """

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Return unused pages where the step is a multiple of EVERY."""
        if module.state.progress.step % EVERY == 0:
            give_back()
