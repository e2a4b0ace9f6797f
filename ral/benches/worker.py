"""The worker's side of a measurement: requests on standard input. Needs neither the rest of this project nor TRL.

Each request is a line and gets one JSON line as answer: "step" runs exactly one whole training step, "reset" forgets
the peak of memory. The end of input ends the worker. While it waits, the worker takes no processor time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any


class Line:
    """Reader of requests on standard input. Standard output is for answers alone; all other output goes to stderr."""

    def __init__(self, rest: Callable[[], object] = lambda: None) -> None:
        """Send standard output to stderr, and keep it for answers.

        rest: called after each step, before its answer and outside of its measured time.
        """
        self.rest = rest
        self.answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self.started: tuple[float, float] | None = None

    def answer(self, **values: Any) -> None:
        """Write `values` as one JSON line."""
        self.answers.write(json.dumps(values) + "\n")

    def next_step(self, **facts: Any) -> None:
        """Answer for the step that has just ended, with `facts`, and return when the next step is requested.

        SystemExit at the end of input.
        """
        if self.started is not None:
            if on_gpu():
                sys.modules["torch"].cuda.synchronize()
            seconds, processor_seconds = (now - then for now, then in zip(clocks(), self.started, strict=True))
            peak = peak_gb()
            self.rest()
            self.answer(seconds=seconds, cpu_seconds=processor_seconds, peak_gb=peak, facts=facts)
        while (request := sys.stdin.readline().strip()) == "reset":
            self.answer(reset=reset_peak())
        if request != "step":
            raise SystemExit(0)
        self.started = clocks()


def clocks() -> tuple[float, float]:
    """Return (wall time, processor time of this process, in which waiting does not count), in seconds."""
    return time.perf_counter(), time.process_time()


def on_gpu() -> bool:
    """Tell whether this process has used a GPU."""
    torch = sys.modules.get("torch")
    return bool(torch and torch.cuda.is_available() and torch.cuda.is_initialized())


def reset_peak() -> bool:
    """Let the peak of memory begin anew; return False where the kernel forbids that."""
    if on_gpu():
        sys.modules["torch"].cuda.reset_peak_memory_stats()
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_gb() -> float:
    """Return the peak of memory since the last reset, or since the start, in GB (10^9 bytes).

    It is what PyTorch allocated on a GPU in use, else the process's resident memory.
    """
    if on_gpu():
        return float(sys.modules["torch"].cuda.max_memory_allocated()) / 1e9
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * 1024 / 1e9


def reward(example: object, text: str) -> float:
    """Return a reward in [0, 1) that is a hash of the text. Texts differ, so each group has different rewards."""
    return zlib.crc32(text.encode()) / 2**32


def environment_facts(network: Any, optimizer: Any) -> dict[str, Any]:
    """Return the facts of this process that must be equal on both sides, such as versions, dtype and threads.

    network, optimizer: those of this side. "updates" in the result: optimizer steps since the start.
    """
    import torch

    trained = [p for p in network.parameters() if p.requires_grad]
    attention = (
        network.config.get_text_config()._attn_implementation,
        network.config.vision_config._attn_implementation,
    )
    return {
        "updates": int(optimizer.state[trained[0]]["step"]),
        "trained_parameters": sum(p.numel() for p in trained),
        "dtype": str(trained[0].dtype),
        "optimizer": type(getattr(optimizer, "optimizer", optimizer)).__name__,
        "decoder_attention": attention[0],
        "vision_attention": attention[1],
        "threads": torch.get_num_threads(),
        "malloc": {k: v for k, v in sorted(os.environ.items()) if k.startswith("MALLOC_")},
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
