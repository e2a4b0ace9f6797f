"""Memory that a run no longer uses but the C library keeps."""

from __future__ import annotations

import ctypes
from typing import Any

import lightning as L

from ral.lit.module import PolicyModule

EVERY = 20
"""Steps between two returns: a return, and the page faults after it, cost a tenth of a second at most."""


def give_back() -> None:
    """Return unused pages to the system, where the C library can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class GivesBack(L.Callback):
    """Callback that returns unused pages to the system now and then.

    Steps, evaluations and checkpoints take tensors of many sizes. What lies free between them stays with the process
    otherwise, as much as the largest step so far needed, and more over thousands of steps.
    """

    def on_train_batch_end(self, trainer: L.Trainer, module: PolicyModule, *_: Any) -> None:
        """Give pages back every EVERY steps."""
        if module.state.progress.step % EVERY == 0:
            give_back()
