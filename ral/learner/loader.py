"""DataLoader whose workers ignore signals and end with the run."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Any

from torch.utils.data import DataLoader

from ral.learner.handover import Handover, Waiting, only_while_waiting


class Loader(DataLoader[Any]):
    """DataLoader whose workers block SIGINT, SIGTERM and SIGUSR1, so that the main process alone decides when to stop.

    samples, collate_fn, num_workers and options: as DataLoader takes them. Workers inherit the blocked signals, so that
    this holds from their start. Where a worker dies, the iterator raises UserError. Where shared memory is too small
    for a batch, the batch is sent by value.
    """

    def __init__(self, samples: Any, *, collate_fn: Callable[[Any], Any], num_workers: int, **options: Any) -> None:
        collate_fn = Handover(collate_fn) if num_workers else collate_fn
        super().__init__(samples, collate_fn=collate_fn, num_workers=num_workers, **options)

    def __iter__(self) -> Any:
        blocked = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
        resource_tracker.ensure_running()  # its start would unblock two of them
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            batches: Any = super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if self.num_workers == 0:
            return batches
        only_while_waiting()
        return Waiting(batches)
