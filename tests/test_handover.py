"""Batches come from workers through shared memory, or by value where there is too little; one that ends is an error."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ral.data.samples import Sample
from ral.learner import handover
from ral.learner.collate import Batch
from ral.learner.handover import ByValue, Handover, tensors
from ral.learner.loader import Loader
from ral.types import Pixels, PromptBatch, UserError


def prompts(frames: torch.Tensor) -> PromptBatch:
    flags = torch.zeros(1, 2, dtype=torch.bool)
    return PromptBatch(torch.ones(1, 2), flags, flags, {"pixel_values": frames}, (), (), (), flags)


def collate(numbers: list[int]) -> Batch:
    if numbers[0] < 0:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    return Batch(prompts(torch.full((3, 4), float(numbers[0]))), len(numbers))


def test_every_tensor_is_found() -> None:
    pixels = Pixels("image", torch.ones(1))
    assert len(list(tensors(Batch(prompts(torch.ones(2)))))) == 5
    assert (
        len(list(tensors({"a": [pixels, (torch.ones(1), "text", b"bytes", None)], "b": Sample(None, (pixels,))}))) == 3
    )  # type: ignore[arg-type]


def test_a_batch_lies_in_shared_memory_before_it_is_sent() -> None:
    batch = Handover(collate)([1])
    assert isinstance(batch, Batch) and all(tensor.is_shared() for tensor in tensors(batch))


def test_where_shared_memory_is_too_small_a_batch_is_sent_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def full(tensor: torch.Tensor) -> None:
        tries.append(tensor)
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)"
        )

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    give = Handover(collate)
    first, second = give([1]), give([2])
    assert isinstance(first, ByValue) and isinstance(second, ByValue) and len(tries) == 1
    with pytest.warns(UserWarning, match=r"unable to allocate shared memory\(shm\): No space left.*--shm-size"):
        batch = pickle.loads(pickle.dumps(first))
    assert batch.drawn == 1 and batch.prompts.media["pixel_values"].tolist() == torch.ones(3, 4).tolist()


def loader(numbers: list[int]) -> Any:
    batches = [[number] for number in numbers]
    data = {number: number for number in numbers}
    return Loader(data, collate_fn=collate, num_workers=2, batch_sampler=batches, multiprocessing_context="spawn")


@pytest.mark.slow
def test_workers_hand_over_and_one_that_is_killed_ends_the_run_in_one_line() -> None:
    before = signal.getsignal(signal.SIGCHLD)
    found, batches = [], iter(loader([0, 1, 2, -1, 4, 5]))
    with pytest.raises(UserError, match=r"a process that reads media ended: .*set hardware.num_workers"):
        for batch in batches:
            found.append(batch.drawn)
    signal.signal(signal.SIGCHLD, before)
    assert found == [1, 1, 1]
    for worker in batches.batches._workers:
        worker.join(5)
        assert not worker.is_alive()


class Ended:
    """An iterator of PyTorch's whose first worker has ended."""

    def __init__(self, message: str) -> None:
        self.message, self.killed, self._workers = message, 0, [self, self]

    def __next__(self) -> object:
        raise RuntimeError(self.message)

    def kill(self) -> None:
        self.killed += 1


def test_an_ended_worker_is_one_line_and_the_others_are_ended() -> None:
    ended = Ended("DataLoader worker (pid 7) is killed by signal: Killed. ")
    with pytest.raises(
        UserError, match=r"^hardware.num_workers: a process .* ended: \(pid 7\) is killed by signal: Killed;"
    ):
        next(handover.Waiting(ended))
    assert ended.killed == 2 and not handover.Waiting.now
    other = Ended("Caught KeyError in DataLoader worker process 0.")
    with pytest.raises(RuntimeError, match="Caught KeyError"):
        next(handover.Waiting(other))
    assert other.killed == 0


def test_an_ended_worker_is_no_error_outside_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    before = signal.signal(signal.SIGCHLD, lambda *given: told.append(given))
    try:
        handover.only_while_waiting()
        handover.only_while_waiting()  # once is enough
        os.kill(os.getpid(), signal.SIGCHLD)
        assert not told
        monkeypatch.setattr(handover.Waiting, "now", True)
        os.kill(os.getpid(), signal.SIGCHLD)
        assert len(told) == 1
    finally:
        signal.signal(signal.SIGCHLD, before)


LEAVING = """
import os, signal, sys, time
sys.path.insert(0, {tests!r})
from test_handover import loader
from ral.lit.callbacks.stop import GentleStop
if __name__ == "__main__":
    GentleStop().install()
    batches = iter(loader([0, 1, 2, 3, 4, 5]))
    next(batches)
    print(*(worker.pid for worker in batches.batches._workers), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


@pytest.mark.slow
def test_sigterm_before_the_first_step_ends_the_run_and_its_workers(tmp_path: Path) -> None:
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING.format(tests=str(Path(__file__).parent)))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    workers = [int(word) for word in done.stdout.split()]
    assert len(workers) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in workers)


def sleeps() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    time.sleep(60)


def test_workers_that_take_no_sigterm_are_ended() -> None:
    worker = multiprocessing.get_context("fork").Process(target=sleeps, daemon=True)
    worker.start()
    handover.end_workers()
    worker.join(5)
    assert worker.exitcode == -signal.SIGKILL
