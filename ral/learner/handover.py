"""Hand-over of batches from worker processes: through shared memory, or by value where shared memory is short.

Where a worker dies, as when the kernel kills it for memory, a UserError is raised where the run waits for a batch.
"""

from __future__ import annotations

import atexit
import multiprocessing.util  # its own end, which waits for the processes, is registered before ours and runs after it
import pickle
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from torch import Tensor
from torch._C import _error_if_any_worker_fails

from ral.errors import UserWarned
from ral.types import UserError

DEAD = "DataLoader worker"  # how PyTorch's messages about a dead worker begin


def tensors(value: object) -> Iterator[Tensor]:
    """Yield every tensor inside dataclasses, dicts, lists and tuples."""
    if isinstance(value, Tensor):
        yield value
        return
    parts: Iterable[object] = ()
    if is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        parts = value
    for part in parts:
        yield from tensors(part)


class ByValue:
    """Wrapper that sends a batch by value: unpickling it gives the batch itself, and a warning with `reason`."""

    def __init__(self, batch: object, reason: str) -> None:
        self.batch, self.reason = batch, reason

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes, str]]:
        return received, (pickle.dumps(self.batch, protocol=pickle.HIGHEST_PROTOCOL), self.reason)


def received(content: bytes, reason: str) -> Any:
    """Return the batch of a ByValue in the process that receives it, and warn of the reason. content: pickled batch."""
    warnings.warn(
        f"batches are copied between processes, which takes time: {reason}; make /dev/shm larger (docker run "
        "--shm-size=8g), or set hardware.num_workers=0",
        UserWarned,
        stacklevel=2,
    )
    return pickle.loads(content)


@dataclass
class Handover:
    """Collate function of a worker that moves the tensors of each batch into shared memory.

    collate: makes the batch. reason: why moving failed; "" while it works. After a failure this worker sends every
    batch by value, since each failure leaves a little behind in /dev/shm.
    """

    collate: Callable[[Any], Any]
    reason: str = ""

    def __call__(self, samples: Any) -> Any:
        batch = self.collate(samples)
        try:
            for tensor in tensors(batch) if not self.reason else ():
                tensor.share_memory_()
        except (RuntimeError, OSError) as error:
            self.reason = re.sub(r" for file <[^>]*>", "", " ".join(str(error).split()))  # the same for every worker
        return ByValue(batch, self.reason) if self.reason else batch


class Waiting:
    """Iterator over batches of worker processes. UserError where a worker died; the others are killed then.

    batches: PyTorch's iterator. `only_while_waiting` confines PyTorch's SIGCHLD handler to the wait.
    """

    now = False  # whether this process is waiting for a batch

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Waiting:
        return self

    def __next__(self) -> Any:
        Waiting.now = True
        try:
            _error_if_any_worker_fails()
            return next(self.batches)
        except RuntimeError as error:
            if not str(error).startswith(DEAD):
                raise
            for worker in self.batches._workers:
                worker.kill()  # they take no other signal
            reason = " ".join(str(error).split()).removeprefix(f"{DEAD} ").rstrip(". ")
            raise UserError(
                f"hardware.num_workers: a process that reads media ended: {reason}; where memory was short (dmesg "
                "tells), set hardware.num_workers or dataset.media.max_frames lower, then resume=auto"
            ) from error
        finally:
            Waiting.now = False


def end_workers() -> None:
    """Kill all daemonic child processes: workers block SIGTERM, so that an exit would wait for them for ever."""
    Waiting.now = False  # that they end is no error now
    for worker in multiprocessing.active_children():
        if worker.daemon:
            worker.kill()


atexit.register(end_workers)


def only_while_waiting() -> None:
    """Let PyTorch's SIGCHLD handler, which raises for a dead worker, run only while this process waits for a batch.

    To be called after the workers started. Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    raising = signal.getsignal(signal.SIGCHLD)
    if not callable(raising) or getattr(raising, "guarded", False):
        return

    def handler(number: int, frame: Any) -> None:
        if Waiting.now:
            raising(number, frame)

    handler.guarded = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGCHLD, handler)
