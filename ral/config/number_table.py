"""The range of each numeric key of conf/."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

MOST = 2**31 - 1
"""Counts beyond it overflow the 32-bit integers of some kernels."""
MAX_SEED = 2**42 - 1
"""Beyond it the generators of data order and rollouts would get more than 64 bits."""
FACTOR = 1000.0
"""The largest weight of a part in a sum: beyond it the others round away in fp32."""
OURS = ("ral.", "torch.")
"""Beginnings of `_target_` whose keywords these ranges are for."""


@dataclass(frozen=True)
class Range:
    """Range of the numbers that a key of conf/ may have, from `least` to `most`.

    such_as: a usual value, which messages suggest. whole: whether only integers are allowed. ends: brackets of the
    interval; "(" excludes `least`, ")" excludes `most`. endless: whether infinity, for no bound, is allowed beside the
    interval. words: texts that are allowed beside numbers. write: advice in the message on a number that is too small;
    "" for the range itself.
    """

    least: float
    most: float
    such_as: float
    whole: bool = False
    ends: Literal["[]", "(]", "[)", "()"] = "[]"
    endless: bool = False
    words: tuple[str, ...] = ()
    write: str = ""

    def holds(self, value: float) -> bool:
        """Tell whether a number lies in the range."""
        if self.endless and value == math.inf:
            return True
        low = value > self.least if self.ends[0] == "(" else value >= self.least
        return low and (value < self.most if self.ends[1] == ")" else value <= self.most)

    def __str__(self) -> str:
        """Return the range in words, such as "more than 0 to 1"."""
        low = f"more than {plain(self.least)}" if self.ends[0] == "(" else plain(self.least)
        if self.most == MOST:
            return f"{low} or more"
        if self.ends[1] == ")":
            return f"{low} to less than {plain(self.most)}"
        return f"{low} to {plain(self.most)}"


def plain(value: float) -> str:
    """Return a number as a user types it: 8.0 as "8"."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"


COUNT = Range(1, MOST, 1, whole=True)
INTERVAL = Range(0, MOST, 10, whole=True)
SHARE = Range(0, 1, 0.5)
RATE = Range(0, 1, 1e-5)
COEF = Range(0, FACTOR, 1.0)
WEIGHT = Range(-FACTOR, FACTOR, 0.5)
GIGABYTES = Range(0, 1e6, 2.0)
SECONDS = Range(0, 86400, 60.0, ends="(]")
TEMPERATURE = Range(0.001, 100, 0.9)
PIXELS = Range(1, MOST, 100352, whole=True)
INDEX = Range(-1000, 1000, -1, whole=True)
SEED = Range(0, MAX_SEED, 0, whole=True)

TERMS: dict[str, Range] = {
    "algo.*.coef": COEF,
    "algo.*.clip_low": Range(0, 1, 0.2),
    "algo.*.clip_high": Range(0, FACTOR, 0.2),
    "algo.*.share": Range(0, 1, 0.4, ends="(]"),
    "algo.*.least": Range(0, 1, 0.9),
    "algo.*.smooth": Range(0, 1, 0.1, ends="[)"),
    "algo.*.most": Range(1, FACTOR, 5.0),
    "algo.*.correction_cap": Range(0, FACTOR, 2.0, ends="(]"),
    "algo.*.centring": Range(0, FACTOR, 0.01),
    "algo.*.sigma": Range(0, 100, 1.0, ends="(]"),
    "algo.sampling.noise.modes": Range(1, 64, 2, whole=True),
    "algo.passes.temperature": TEMPERATURE,
    "algo.passes.spec.layers": INDEX,
    "algo.passes.spec.heads": Range(0, 10000, 0, whole=True, words=("mean",)),
    "algo.*.beta": Range(0, 1, 0.5, ends="()"),
    "algo.*.chunk": Range(1, MOST, 512, whole=True),
    "algo.advantage.epsilon": Range(1e-12, 1, 1e-4),
    "algo.aggregate.length": Range(1, MOST, 768, whole=True),
    "algo.redraw.rounds": Range(2, 100, 3, whole=True, write="2 or more, or algo.redraw=null"),
    "algo.shaping.limit": Range(1, MOST, 768, whole=True),
    "algo.shaping.buffer": Range(0, 1, 0.2, ends="(]"),
    "algo.shaping.penalty": Range(0, FACTOR, 0.5),
}
"""Numbers of the objective and its parts."""
LOOP: dict[str, Range] = {
    "algo.group_size": Range(1, MOST, 8, whole=True),
    "algo.prompts_per_step": Range(1, MOST, 8, whole=True),
    "algo.updates_per_rollout": Range(1, MOST, 4, whole=True),
    "algo.ema_decay": Range(0, 1, 0.99),
    "algo.temperature": TEMPERATURE,
    "algo.learning_rate": RATE,
    "algo.final_learning_rate": Range(0, 1, 0.1),
    "algo.warmup": Range(0, MOST, 0, whole=True),
    "algo.sampling.max_new_tokens": Range(1, MOST, 768, whole=True),
    "algo.sampling.temperature": TEMPERATURE,
    "algo.sampling.noise.sigma": Range(0, 100, 1.0, write="more than 0 to 100, or algo.sampling.noise=null", ends="(]"),
    "algo.sampling.noise.modes": Range(1, MOST, 2, whole=True),
    "algo.sampling.noise.attention.layers": INDEX,
    "algo.sampling.noise.attention.heads": Range(0, 10000, 0, whole=True, words=("mean",)),
    "algo.attention_policy.layers": INDEX,
    "algo.attention_policy.heads": Range(0, 10000, 0, whole=True, words=("mean",)),
    "algo.temporal.accuracy.weight": WEIGHT,
    "algo.temporal.group_size": Range(1, MOST, 8, whole=True),
    "algo.temporal.sampling.max_new_tokens": Range(1, MOST, 768, whole=True),
    "algo.temporal.sampling.temperature": TEMPERATURE,
    "algo.temporal.share": Range(0, 1, 0.5, ends="(]"),
    "algo.temporal.*.bonus": Range(0, FACTOR, 0.3),
    "algo.temporal.*.least_accuracy": Range(0, 1, 0.1, ends="[)"),
    "algo.temporal.order.ratio": Range(0, FACTOR, 0.8),
    "algo.temporal.length.least_right": Range(1, MOST, 2, whole=True),
    "algo.temporal.length.longest": Range(0, MOST, 512, whole=True),
    "algo.temporal.length.shortest": Range(0, MOST, 320, whole=True),
}
"""Numbers of the loop and of its rollouts."""
RUN: dict[str, Range] = {
    "rollout.gaps.*": Range(0, FACTOR, 1e-4, endless=True, ends="(]"),
    "rollout.engine.max_length": Range(1, MOST, 8192, whole=True),
    "rollout.engine.cache_gb": Range(0, 1e5, 1.0, ends="(]"),
    "rollout.engine.device": Range(0, 1023, 1, whole=True),
    "rollout.engine.sleep_level": Range(1, 2, 1, whole=True),
    "rollout.engine.timeout_s": SECONDS,
    "rollout.engine.patience_s": Range(0, 86400, 300.0),
    "seed": SEED,
    "max_steps": Range(1, MOST, 100, whole=True),
    "model.learning_rates.*": RATE,
    "lora.rank": Range(0, MOST, 16, whole=True, write="0 (no adapters) or a rank such as 16"),
    "lora.alpha": Range(0, 1e6, 32),
    "eval.every": INTERVAL,
    "eval.prompts": Range(
        1,
        MOST,
        256,
        whole=True,
        write="1 or more (eval.prompts=1 eval.every=0 eval.before=false evaluates one prompt, after the last step)",
    ),
    "eval.batch": Range(1, MOST, 64, whole=True),
    "checkpoint.every": INTERVAL,
    "checkpoint.keep": Range(1, MOST, 2, whole=True),
    "diagnostics.every": INTERVAL,
    "diagnostics.max_log_prob_gap": Range(0, FACTOR, 0.02, endless=True, ends="(]"),
    "guard.max_skipped": INTERVAL,
    "guard.entropy_low": Range(0, 1, 0.1, ends="()"),
    "guard.entropy_high": Range(1, FACTOR, 3.0, ends="(]"),
    "optim.max_grad_norm": Range(0, 1e6, 1.0, endless=True, ends="(]"),
    "optim.optimizer.lr": RATE,
    "optim.optimizer.betas": Range(0, 1, 0.9, ends="[)"),
    "optim.optimizer.eps": Range(1e-30, 1, 1e-8),
    "optim.optimizer.weight_decay": Range(0, 100, 0.01),
    "optim.optimizer.smallest": Range(0, MOST, 4096, whole=True),
    "optim.schedule.final": Range(0, 1, 0.1),
    "optim.schedule.warmup": Range(0, MOST, 0, whole=True),
    "hardware.devices": COUNT,
    "hardware.num_nodes": COUNT,
    "hardware.micro_batch_prompts": Range(1, MOST, 1, whole=True, words=("auto",)),
    "hardware.micro_batch_responses": Range(1, MOST, 1, whole=True, words=("auto",)),
    "hardware.num_workers": Range(0, 1024, 4, whole=True),
    "hardware.read_ahead": Range(1, 1024, 2, whole=True),
    "hardware.reward_workers": Range(0, 1024, 1, whole=True),
    "hardware.threads": Range(1, 1024, 4, whole=True),
    "hardware.strategy.devices": COUNT,
    "hardware.strategy.num_nodes": COUNT,
    "logger.*.first_step": INTERVAL,
    "planning.visual_tokens": Range(0, MOST, 8192, whole=True),
    "planning.text_tokens": Range(1, MOST, 200, whole=True),
    "planning.response_tokens": Range(1, MOST, 768, whole=True),
    "machine.*_share": Range(0, 1, 0.4, ends="(]"),
    "machine.base_gb": GIGABYTES,
    "machine.gpu_gb": GIGABYTES,
    "machine.host_gb": GIGABYTES,
    "machine.reserve_gb": GIGABYTES,
    "machine.tflops_*": Range(0, 1e6, 989.0, ends="(]"),
    "machine.*_s": Range(0, 1e6, 300.0, ends="(]"),
    "machine.launch_us": Range(0, 1e6, 8.0),
}
"""Numbers of a run beside its objective, data and reward."""
DATA: dict[str, Range] = {
    "dataset.limit": Range(1, MOST, 1000, whole=True, write="1 or more, or null for all entries"),
    "dataset.source.limit": Range(1, MOST, 1000, whole=True, write="1 or more, or null for all entries"),
    "dataset.max_new_tokens": Range(1, MOST, 768, whole=True),
    "dataset.answer_only_share": Range(0, 1, 0.1),
    "dataset.max_bad_share": Range(0, 1, 0.05),
    "dataset.cache_gb": GIGABYTES,
    "dataset.disk_cache_gb": GIGABYTES,
    "dataset.source.validation_size": Range(1, MOST, 256, whole=True),
    "benchmark.tasks.jsonl.source.validation_size": Range(1, MOST, 256, whole=True),
    "*.source.sizes.*": Range(1, MOST, 256, whole=True),
    "*.source.seed": SEED,
    "*.source.grid": Range(2, 64, 4, whole=True),
    "*.source.clip_grid": Range(3, 64, 3, whole=True),
    "*.source.frames": Range(8, 1000, 8, whole=True),
    "*.source.distractors": Range(0, 1000, 3),
    "*.source.zoom": Range(1, 64, 1, whole=True),
    "*.source.shortest": Range(1, 1000, 3, whole=True),
    "*.source.longest": Range(1, 1000, 3, whole=True),
    "*.source.misread": Range(0, 1, 0.7),
    "*.source.*_share": Range(0, 1, 0.25),
    "*media.fps": Range(0, 1000, 1.0, ends="(]"),
    "*media.max_frames": Range(2, MOST, 128, whole=True),
    "*media.*_pixels": PIXELS,
    "*media.factor": Range(1, MOST, 28, whole=True),
    "*media.timeout_s": SECONDS,
}
"""Numbers of data and media, of runs and of benchmarks."""
REWARD: dict[str, Range] = {
    "reward.parts.*.weight": WEIGHT,
    "reward.*.function.least_accuracy": Range(0, 1, 0.1, ends="[)"),
    "reward.*.function.longest": Range(0, MOST, 512, whole=True),
    "reward.*.function.shortest": Range(0, MOST, 320, whole=True),
    "reward.*.function.n": Range(1, MOST, 4, whole=True),
    "reward.*.function.batch": Range(1, MOST, 8, whole=True),
    "reward.*.requests.timeout_s": SECONDS,
    "reward.*.requests.retries": Range(0, 1000, 4, whole=True),
    "reward.*.requests.backoff_s": Range(0, 86400, 1.0),
    "reward.*.requests.max_concurrency": Range(1, 10000, 8, whole=True),
    "reward.*.options.temperature": Range(0, 100, 0.0),
    "reward.*.options.max_tokens": Range(1, MOST, 512, whole=True),
}
"""Numbers of the reward. A weight may be negative: such a part is a penalty."""
EVALUATION: dict[str, Range] = {
    "limit": Range(1, MOST, 100, whole=True, write="1 or more, or null for all items"),
    "batch": Range(1, MOST, 16, whole=True),
    "max_new_tokens": Range(1, MOST, 1024, whole=True),
    "temperature": Range(0.001, 100, 1.0, write="0.001 to 100, or greedy=true"),
    "threads": Range(1, 1024, 4, whole=True),
    "cache_gb": GIGABYTES,
    "disk_cache_gb": GIGABYTES,
    "workers": Range(1, 1024, 4, whole=True),
    "benchmark.tasks.*.max_new_tokens": Range(1, MOST, 1024, whole=True),
    "benchmark.tasks.*.looks": INDEX,
}
"""Numbers of conf/evaluate.yaml and conf/check.yaml."""
RANGES: dict[str, Range] = {**TERMS, **LOOP, **RUN, **DATA, **REWARD, **EVALUATION}
"""Range by dotted key without list indices. * stands for any characters; of several that match, the first counts."""
ANY = {"benchmark.tasks.*.paper.*": "a row of the paper's table, which is printed and nothing else"}
"""Keys for which every finite number is allowed, with the reason."""


def range_of(key: str) -> Range | None:
    """Return the range of a dotted key, without regard to list indices; None where the key has no range."""
    bare = re.sub(r"\[\d+\]", "", key)
    return next((found for pattern, found in RANGES.items() if fnmatchcase(bare, pattern)), None)
