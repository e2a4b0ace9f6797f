"""After a run on a GPU: the difference between its plan and the measurements."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ral.files.jsonl import read
from ral.planning.device import device_of
from ral.planning.plan import Plan, plan_of

SECONDS = "time/step_s"
"""Key of metrics.jsonl: seconds of a step."""


class GPU(Protocol):
    """The functions of torch.cuda that are used here."""

    def is_available(self) -> bool:
        """Tell whether CUDA can be used here."""
        ...

    def is_initialized(self) -> bool:
        """Tell whether this process has used CUDA."""
        ...

    def max_memory_allocated(self) -> int:
        """Return the most bytes that PyTorch's tensors took."""
        ...

    def get_device_name(self) -> str:
        """Return the GPU's name, as its driver has it."""
        ...


def tell_missed(tree: Mapping[str, Any], folder: Path, gpu: GPU) -> None:
    """Print how a run in `folder` differs from its plan; do nothing for a run without a GPU. An error is a warning.

    tree: the run's configuration, resolved. gpu: torch.cuda.
    """
    if not (gpu.is_available() and gpu.is_initialized()):
        return
    try:
        plan = plan_of(tree, device_of(tree, gpu.get_device_name()))
        print(missed(plan, gpu.max_memory_allocated() / 1e9, step_seconds(folder)), flush=True)
    except Exception as error:
        print(f"warning: the plan of this run cannot be compared ({type(error).__name__}: {error})", file=sys.stderr)


def step_seconds(folder: Path) -> Sequence[float]:
    """Return the seconds of each step in the metrics.jsonl of a run's folder; [] where there is no such file."""
    return [line[SECONDS] for line in read(folder / "metrics.jsonl") if SECONDS in line]


def missed(plan: Plan, measured_gb: float, seconds: Sequence[float]) -> str:
    """Return a line with planned and measured GPU memory and median seconds of a step, and the errors in percent.

    measured_gb: peak of the memory that PyTorch's tensors took. seconds: those of each step; none where it is empty.
    """
    memory = f"{plan.gpu_gb:.2f} GB planned, {measured_gb:.2f} allocated ({off(plan.gpu_gb, measured_gb)})"
    if not seconds:
        return f"plan: {memory}"
    median = statistics.median(seconds)
    return f"plan: {memory}; {plan.step_s:.3g} s a step planned, {median:.3g} taken ({off(plan.step_s, median)})"


def off(planned: float, measured: float) -> str:
    """Return the difference of a planned number from the measured one, in percent of the measured one."""
    return f"{100 * (planned / measured - 1):+.0f}%" if measured > 0 else "not measured"
