"""Forecast for a large model on a CPU: the seconds of a step before it starts, and which settings to lower."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from omegaconf import DictConfig

from ral.models.mllm import MLLM

LARGE = 100_000_000
"""Decoder weights from which a forecast is printed."""
SIDE = 1024
"""Rows and columns of the matrices whose product is timed, for passes over many tokens."""
COLUMNS = 16_384
"""Outputs of the linear map (from SIDE inputs) that is timed for decoding: 64 MB in fp32."""
OUTSIDE = 2**26
"""Numbers in a tensor that is too large for any cache: 268 MB in fp32."""
MEASURED_S = 0.5
"""Seconds for which a timed call is repeated, so that its mean includes the load of other processes."""
PATCHES_A_TOKEN = 4
"""Patches of the vision tower for one visual token."""
OPTIMIZER_BYTES = 64
"""Bytes that AdamW and the norm of the gradient move for each weight: sixteen passes in fp32."""
PIXELS_A_TOKEN = 28 * 28
"""Pixels of an image for one visual token."""
UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True)
class Speed:
    """Speed of a machine. operations: floating-point operations a second in large matrix products.

    decoding: weights a second in a decoding step, which multiplies each weight with one token of every response.
    moved: bytes a second that are read and written in main memory.
    """

    operations: float
    decoding: float
    moved: float


@dataclass(frozen=True)
class Work:
    """Size of a step. weights, vision: numbers of weights of the decoder and of the vision tower.

    prompts: prompts of all ranks; group: responses to each; prompt_tokens, new_tokens: tokens of a prompt and of a
    response; updates: updates on the rollout; frozen: number of forward passes of frozen models.
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
        """Return the seconds to prefill the prompts and to decode every response to its limit.

        A weight costs two operations for each token of a prompt; decoding has a measured speed of its own.
        """
        prefill = 2 * self.weights * self.prompts * self.prompt_tokens / speed.operations
        return prefill + self.new_tokens * self.weights / speed.decoding

    def seeing(self, speed: Speed, trained: bool = False) -> float:
        """Return the seconds of the vision tower: one pass over each prompt, and back in each update if `trained`."""
        patches = self.prompts * self.prompt_tokens * PATCHES_A_TOKEN
        return (2 + 4 * self.updates * trained) * self.vision * patches / speed.operations

    def training(self, speed: Speed) -> float:
        """Return the seconds of the frozen passes and of all updates: forward and backward passes, optimizer."""
        tokens = self.prompts * (self.prompt_tokens + self.group * self.new_tokens)
        passes = (2 * self.frozen + 6 * self.updates) * self.weights * tokens / speed.operations
        return passes + self.updates * OPTIMIZER_BYTES * self.weights / speed.moved


def timed(call: Callable[[], object]) -> float:
    """Return the mean seconds of a call, repeated for MEASURED_S after one call to warm up."""
    call()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() < started + MEASURED_S:
        call()
        calls += 1
    return (time.perf_counter() - started) / calls


def measured(rows: int) -> Speed:
    """Measure the speed of this machine with PyTorch's threads, under its present load. rows: responses in a batch."""
    square, wide, few = torch.ones(SIDE, SIDE), torch.ones(COLUMNS, SIDE), torch.ones(rows, SIDE)
    product, decoding = timed(lambda: square @ square), timed(lambda: torch.nn.functional.linear(few, wide))
    outside = torch.zeros(OUTSIDE)
    moving = timed(lambda: outside.add_(1.0))  # 4 bytes read, 4 written
    return Speed(2 * SIDE**3 / product, SIDE * COLUMNS / decoding, 8 * OUTSIDE / moving)


def spelled(seconds: float) -> str:
    """Return a time as text, in hours, minutes or seconds: "2.5 hours"."""
    size, unit = next((pair for pair in UNITS if seconds >= pair[0]), UNITS[-1])
    return f"{seconds / size:.2g} {unit}"


def on_cpu(accelerator: str, gpu: bool) -> bool:
    """Tell whether hardware.accelerator puts a run on the CPU. gpu: whether the machine has a GPU."""
    return accelerator == "cpu" or (accelerator == "auto" and not gpu)


def work_of(cfg: DictConfig, weights: int, frozen: int, vision: int) -> Work:
    """Return the size of a step, counting for each prompt one image as large as the settings allow, and no text.

    weights, frozen, vision: as in `Work`.
    """
    algo, dataset = cfg.algo, cfg.dataset
    pictures = dataset.media.image_max_pixels // PIXELS_A_TOKEN
    responses, length = algo.group_size, dataset.max_new_tokens
    prompts, updates = algo.prompts_per_step, algo.updates_per_rollout
    return Work(weights, prompts, responses, pictures, length, updates, frozen, vision)


def forecast(cfg: DictConfig, policy: MLLM, frozen: int, speed: Callable[[int], Speed] = measured) -> str | None:
    """Return a line with the estimated time of a step on this CPU and the settings to lower.

    None for a decoder with fewer weights than LARGE, and on a GPU. frozen: number of forward passes of frozen models in
    a step. The text of the prompts is not counted, and a teacher counts like the policy. speed: function of the number
    of responses that measures the machine.
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
