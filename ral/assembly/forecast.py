"""Forecast of a large model on this CPU: how long a step will take, told before it starts, and what to lower."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from ral.models.mllm import MLLM

LARGE = 100_000_000
"""Decoder weights from which a step on a CPU is worth a word."""
SIDE = 1024
"""Rows and columns of the matrices whose product is timed."""
COLUMNS = 16_384
"""Columns of the matrix that is read once for a vector, as decoding does: 64 MB in fp32."""
REPEATS = 3
PIXELS_A_TOKEN = 28 * 28
"""Area of a picture that one visual token stands for."""
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True)
class Speed:
    """Speed of a machine: floating-point operations a second, and bytes of weights read a second."""

    operations: float
    read: float


@dataclass(frozen=True)
class Work:
    """Size of a step: weights of the decoder, prompts, responses to each, tokens of both, updates, frozen networks."""

    weights: int
    prompts: int
    group: int
    prompt_tokens: int
    new_tokens: int
    updates: int
    frozen: int

    def sampling(self, speed: Speed) -> float:
        """Return the seconds to prefill the prompts and decode every response to its limit.

        A weight costs two operations a token, and 4 bytes read a decoding step, whatever the number of responses.
        """
        prefill = 2 * self.weights * self.prompts * self.prompt_tokens / speed.operations
        each = max(4 * self.weights / speed.read, 2 * self.weights * self.prompts * self.group / speed.operations)
        return prefill + self.new_tokens * each

    def training(self, speed: Speed) -> float:
        """Return the seconds of the passes: one of each frozen network, and forward and backward of each update."""
        tokens = self.prompts * (self.prompt_tokens + self.group * self.new_tokens)
        return (2 * self.frozen + 6 * self.updates) * self.weights * tokens / speed.operations


def timed(call: Callable[[], object]) -> float:
    """Return the least seconds of a call."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measured() -> Speed:
    """Measure this machine with the threads that the run has: a product of matrices, and one with a vector."""
    square, wide = torch.ones(SIDE, SIDE), torch.ones(SIDE, COLUMNS)
    vector = torch.ones(COLUMNS)
    product, reading = timed(lambda: square @ square), timed(lambda: wide @ vector)
    return Speed(2 * SIDE**3 / product, 4 * SIDE * COLUMNS / reading)


def spelled(seconds: float) -> str:
    """Return a time in the unit that fits: 2.5 hours."""
    size, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / size:.2g} {unit}"


def on_cpu(accelerator: str, gpu: bool) -> bool:
    """Tell whether a run will be on the CPU. gpu: whether there is one."""
    return accelerator == "cpu" or (accelerator == "auto" and not gpu)


def work_of(cfg: DictConfig, weights: int, frozen: int) -> Work:
    """Return the size of a step, with a picture as large as the settings allow in each prompt."""
    algo, dataset = cfg.algo, cfg.dataset
    pictures = dataset.media.image_max_pixels // PIXELS_A_TOKEN
    responses, length = algo.group_size, dataset.max_new_tokens
    return Work(weights, algo.prompts_per_step, responses, pictures, length, algo.updates_per_rollout, frozen)


def forecast(cfg: DictConfig, policy: MLLM, frozen: int, speed: Callable[[], Speed] = measured) -> str | None:
    """Return what a step takes on this CPU, about, and what to lower; None for small models.

    The text of the prompts is not counted.
    """
    weights = sum(p.numel() for p in policy.network.model.language_model.parameters())
    if weights < LARGE or not on_cpu(str(cfg.hardware.accelerator), torch.cuda.is_available()):
        return None
    work, machine = work_of(cfg, weights, frozen), speed()
    step = work.training(machine) + (work.sampling(machine) if cfg.algo.rollouts else 0.0)
    ways = [f"algo.prompts_per_step (now {work.prompts})", f"dataset.max_new_tokens ({work.new_tokens})"]
    ways += [f"dataset.media.image_max_pixels ({cfg.dataset.media.image_max_pixels})"]
    ways += [f"algo.group_size ({work.group})", f"algo.updates_per_rollout ({work.updates})"] * bool(cfg.algo.rollouts)
    before = f", after an evaluation of {cfg.eval.prompts} prompts (eval.before=false leaves it out)"
    size = f"{weights / 1e9:.2g} billion weights, pictures of {work.prompt_tokens} tokens, answers of {work.new_tokens}"
    return (
        f"cpu: about {spelled(step)} a step on this machine ({size}){before if cfg.eval.before else ''}: "
        f"lower {', '.join(ways)}, or take a GPU (hardware=single_gpu)"
    )
