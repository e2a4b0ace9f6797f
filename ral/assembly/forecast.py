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
"""Columns of the matrix that few rows are multiplied by, as decoding does: 64 MB in fp32."""
OUTSIDE = 2**26
"""Numbers that no cache holds: 268 MB in fp32."""
MEASURED_S = 0.5
"""Seconds that a call is repeated for: its mean holds what other processes take of the machine."""
PATCHES_A_TOKEN = 4
"""Patches that the vision tower makes one visual token of."""
OPTIMIZER_BYTES = 64
"""Bytes that AdamW and the norm of the gradient move for each weight: sixteen passes in fp32."""
PIXELS_A_TOKEN = 28 * 28
"""Area of a picture that one visual token stands for."""
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True)
class Speed:
    """Speed of a machine: floating-point operations a second, weights that a step of decoding multiplies a second, and
    bytes moved a second."""

    operations: float
    decoding: float
    moved: float


@dataclass(frozen=True)
class Work:
    """Size of a step: weights of the decoder, prompts, responses to each, tokens of both, updates, frozen passes.

    vision: weights of the vision tower.
    """

    weights: int
    prompts: int
    group: int
    prompt_tokens: int
    new_tokens: int
    updates: int
    frozen: int
    vision: int = 0

    def sampling(self, speed: Speed) -> float:
        """Return the seconds to prefill the prompts and decode every response to its limit.

        A weight costs two operations a token of the prompt; decoding has a speed of its own, that of few rows.
        """
        prefill = 2 * self.weights * self.prompts * self.prompt_tokens / speed.operations
        return prefill + self.new_tokens * self.weights / speed.decoding

    def seeing(self, speed: Speed, trained: bool = False) -> float:
        """Return the seconds of the vision tower: once for each prompt, and in each update where it is trained."""
        patches = self.prompts * self.prompt_tokens * PATCHES_A_TOKEN
        return (2 + 6 * self.updates * trained) * self.vision * patches / speed.operations

    def training(self, speed: Speed) -> float:
        """Return the seconds of the frozen passes, and of each update: forward, backward, optimizer."""
        tokens = self.prompts * (self.prompt_tokens + self.group * self.new_tokens)
        passes = (2 * self.frozen + 6 * self.updates) * self.weights * tokens / speed.operations
        return passes + self.updates * OPTIMIZER_BYTES * self.weights / speed.moved


def timed(call: Callable[[], object]) -> float:
    """Return the mean seconds of a call, after one to warm up."""
    call()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() < started + MEASURED_S:
        call()
        calls += 1
    return (time.perf_counter() - started) / calls


def measured(rows: int) -> Speed:
    """Measure this machine, as busy as it is, with the run's threads. rows: responses that are decoded together."""
    square, wide, few = torch.ones(SIDE, SIDE), torch.ones(COLUMNS, SIDE), torch.ones(rows, SIDE)
    product, decoding = timed(lambda: square @ square), timed(lambda: torch.nn.functional.linear(few, wide))
    outside = torch.zeros(OUTSIDE)
    moving = timed(lambda: outside.add_(1.0))  # 4 bytes read, 4 written
    return Speed(2 * SIDE**3 / product, SIDE * COLUMNS / decoding, 8 * OUTSIDE / moving)


def spelled(seconds: float) -> str:
    """Return a time in the unit that fits: 2.5 hours."""
    size, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / size:.2g} {unit}"


def on_cpu(accelerator: str, gpu: bool) -> bool:
    """Tell whether a run will be on the CPU. gpu: whether there is one."""
    return accelerator == "cpu" or (accelerator == "auto" and not gpu)


def work_of(cfg: DictConfig, weights: int, frozen: int, vision: int) -> Work:
    """Return the size of a step, with a picture as large as the settings allow in each prompt."""
    algo, dataset = cfg.algo, cfg.dataset
    pictures = dataset.media.image_max_pixels // PIXELS_A_TOKEN
    responses, length = algo.group_size, dataset.max_new_tokens
    prompts, updates = algo.prompts_per_step, algo.updates_per_rollout
    return Work(weights, prompts, responses, pictures, length, updates, frozen, vision)


def forecast(cfg: DictConfig, policy: MLLM, frozen: int, speed: Callable[[int], Speed] = measured) -> str | None:
    """Return what a step takes on this CPU, about, and what to lower; None for small models.

    frozen: passes of frozen networks in a step. The text of the prompts is not counted, and a teacher counts as the
    policy does.
    """
    weights = sum(p.numel() for p in policy.network.model.language_model.parameters())
    vision = sum(p.numel() for p in policy.network.model.parameters()) - weights
    if weights < LARGE or not on_cpu(str(cfg.hardware.accelerator), torch.cuda.is_available()):
        return None
    work = work_of(cfg, weights, frozen, vision)
    machine = speed(work.prompts * work.group)
    seeing = work.seeing(machine, not cfg.model.freeze_vision)
    step = seeing + work.training(machine) + (work.sampling(machine) if cfg.algo.rollouts else 0.0)
    ways = [f"algo.prompts_per_step (now {work.prompts})", f"dataset.max_new_tokens ({work.new_tokens})"]
    ways += [f"dataset.media.image_max_pixels ({cfg.dataset.media.image_max_pixels})"]
    ways += [f"algo.group_size ({work.group})", f"algo.updates_per_rollout ({work.updates})"] * bool(cfg.algo.rollouts)
    before = f", after an evaluation of {cfg.eval.prompts} prompts (eval.before=false leaves it out)"
    size = f"{weights / 1e9:.2g} billion weights, pictures of {work.prompt_tokens} tokens, answers of {work.new_tokens}"
    return (
        f"cpu: about {spelled(step)} a step on this machine ({size}){before if cfg.eval.before else ''}: "
        f"lower {', '.join(ways)}, or take a GPU (hardware=single_gpu)"
    )
