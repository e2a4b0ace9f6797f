"""Rules on settings with which a run would train nothing, or something else than they seem to say.

A rule returns one line with a remedy where its check fails, else None. The line of a rule in RANGES is an error, before
a run starts. A line of `doubts` is a warning, since a run without any learning may be wanted for comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ral.config.engines import vllm_can_do_what_is_asked
from ral.config.schema import Node
from ral.config.signature import select

RIGHT = ("ral.rewards.accuracy.accuracy", "ral.rewards.format.response_format", "ral.rewards.judge.Judge")
"""Parts of the reward that are higher for better responses."""
KL = "ral.ops.objectives.kl"
"""The term on the distance to the reference."""
ESTIMATORS = {"k1": "k1", "kl": "k1", "mse": "k2", "low_var_kl": "k3"}
"""Estimators of KL by verl's names, and k1, whose gradient is zero in the mean -> the name here."""


def number(cfg: Node, key: str) -> float | None:
    """Return the value at a dotted key where it is a number (a bool is not); else None."""
    value = select(cfg, key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def kl_in_the_loss_has_a_gradient(cfg: Node) -> str | None:
    """Return a line where KL is estimated by k1, log pi - log pi_ref, whose gradient is zero in the mean, or by verl's
    name of an estimator; else None.
    """
    for name in cfg["algo"]["objective"]:
        estimator = select(cfg, f"algo.{name}.estimator")
        if select(cfg, f"algo.{name}._target_") != KL or not isinstance(estimator, str):
            continue
        here = ESTIMATORS.get(estimator)
        if here in ("k2", "k3"):
            return f"algo.{name}.estimator={estimator} is {here} here: write algo.{name}.estimator={here}"
        if here is not None:
            return (
                f"algo.{name}.estimator={estimator} has no gradient in the mean and would add noise alone"
                f" (docs/method.md): write algo.{name}.estimator=k2, which has the gradient of k1's mean, or k3"
            )
    return None


def sampling_is_what_is_trained(cfg: Node) -> str | None:
    """Return a line where responses are sampled at another temperature than the update's, or greedily (all alike in a
    group); else None.
    """
    sampling = select(cfg, "algo.sampling") or {}
    if not cfg["algo"]["rollouts"]:
        return None
    own, wanted = sampling.get("temperature"), cfg["algo"].get("temperature")
    if own is not None and wanted is not None and own != wanted:
        return (
            f"algo.sampling.temperature={own} differs from algo.temperature={wanted}: the update would be of responses"
            " that were not sampled so; write algo.temperature alone"
        )
    if sampling.get("greedy") is True:
        return "algo.sampling.greedy=true makes all responses to a prompt alike, so that nothing is learnt: write false"
    return None


def ranks_share_the_prompts_evenly(cfg: Node) -> str | None:
    """Return a line where algo.prompts_per_step is no multiple of the number of processes; else None."""
    processes = (number(cfg, "hardware.devices") or 1) * (number(cfg, "hardware.num_nodes") or 1)
    prompts = number(cfg, "algo.prompts_per_step")
    if prompts is None or prompts % processes == 0:
        return None
    return (
        f"algo.prompts_per_step={prompts} cannot be dealt out evenly to {processes:.0f} processes: write a multiple of"
        f" {processes:.0f}"
    )


def some_part_is_rewarded(cfg: Node) -> str | None:
    """Return a line where every part of the reward has weight 0, a part lacks a key, or the part `accuracy` is missing;
    else None.
    """
    parts = select(cfg, "reward.parts")
    if not cfg["algo"]["rollouts"] or cfg["algo"].get("reward") is not None or parts is None:
        return None
    if not parts:
        return "reward.parts is empty, so that every reward is 0: write reward=rules, or a part as in conf/reward"
    if select(cfg, "reward._target_") == "ral.rewards.combine.Reward":
        for name in parts:
            if not (select(parts, f"{name}._target_") and select(parts, f"{name}.function")):
                return (
                    f"reward.parts.{name} is no whole part: write its _target_, weight and function as in conf/reward"
                )
        if "accuracy" not in parts:
            return "reward.parts.accuracy is missing, which evaluations are by: write reward.parts.accuracy.weight=0"
    if any(select(parts, f"{name}.weight") != 0 for name in parts):
        return None
    return f"every part of the reward has weight=0: write reward.parts.{next(iter(parts))}.weight=0.9"


def form_is_what_prompts_ask_for(cfg: Node) -> str | None:
    """Return a line where a part of the reward expects a think block and the prompts (algo.thinking) ask for none, or
    the other way round; else None.
    """
    asked = cfg["algo"].get("thinking")
    for name in select(cfg, "reward.parts") or {}:
        key = f"reward.parts.{name}.function.thinking"
        if cfg["algo"]["rollouts"] and isinstance(asked, bool) and select(cfg, key) not in (None, asked):
            return (
                f"{key}={select(cfg, key)} differs from algo.thinking={asked}, which prompts follow:"
                " write algo.thinking alone"
            )
    return None


GIVEN_BY_THE_RUN = {
    "dataset.source.split": "the split is algo.train_split's, and validation",
    "dataset.media.factor": "it follows from the model's patches",
    "optim.schedule.step": "it is the step at hand",
    "optim.schedule.max_steps": "it is max_steps",
}
"""Keywords that a run sets itself, whatever yaml says, with the reason."""


def nothing_is_set_that_the_run_gives(cfg: Node) -> str | None:
    """Return a line where a keyword of GIVEN_BY_THE_RUN is set, whose value would be replaced; else None."""
    for key, why in GIVEN_BY_THE_RUN.items():
        if select(cfg, key) is not None:
            return f"{key}={select(cfg, key)} would not count: {why}; leave it out"
    return None


def adapters_have_a_size(cfg: Node) -> str | None:
    """Return a line where adapters have no target, or lora.alpha, which scales them and their gradient, is not above 0;
    else None.
    """
    if not select(cfg, "lora.rank"):
        return None
    if not (number(cfg, "lora.alpha") or 0) > 0:
        return f"lora.alpha={select(cfg, 'lora.alpha')} leaves adapters without effect: write more than 0, such as 32"
    if not select(cfg, "lora.targets"):
        return "lora.targets is empty: name at least one kind of linear layer, such as [q_proj,v_proj]"
    return None


def a_base_in_four_bits_is_trainable(cfg: Node) -> str | None:
    """Return a line where lora.base=nf4 is set without adapters, with sharded weights, or with vLLM; else None."""
    if select(cfg, "lora.base") != "nf4":
        return None
    if not select(cfg, "lora.rank") and select(cfg, "lora.resume") is None:
        return "lora.base=nf4 freezes the decoder in 4 bits, and lora.rank=0 trains it: write lora.rank=16"
    if select(cfg, "hardware.shard") is not None:
        return "lora.base=nf4: weights in 4 bits cannot be sharded: write hardware=ddp, or lora.base=dtype"
    if str(select(cfg, "rollout.engine._target_")).startswith("ral.rollout.vllm"):
        return "lora.base=nf4: vLLM gets whole weights after every step, and these are in 4 bits: write rollout=native"
    return None


def fused_log_probs_are_whole_and_half(cfg: Node) -> str | None:
    """Return a line where fused_log_probs is set with sharded weights, or without bf16 arithmetic; else None."""
    if not select(cfg, "hardware.fused_log_probs"):
        return None
    if select(cfg, "hardware.shard") is not None:
        return "hardware.fused_log_probs=true reads a whole head, and these weights are sharded: write false"
    precision, dtype = select(cfg, "hardware.precision"), select(cfg, "hardware.dtype")
    if precision != "bf16-mixed" and (precision, dtype) != ("auto", "bfloat16"):
        return "hardware.fused_log_probs=true is for bf16 arithmetic: write hardware.precision=bf16-mixed, or false"
    return None


def a_terms_gradient_is_whole(cfg: Node) -> str | None:
    """Return a line where term_gradients is set with sharded weights, whose gradient a single term does not get."""
    if select(cfg, "hardware.term_gradients") and select(cfg, "hardware.shard") is not None:
        return "hardware.term_gradients=true measures whole weights, and these are sharded: write false"
    return None


FUSED_IN_PARTS = ("torch.optim.AdamW", "torch.optim.Adam")
"""Optimizers whose fused kernel PyTorch has for sharded weights."""


def a_fused_optimizer_takes_parts(cfg: Node) -> str | None:
    """Return a line where optim.optimizer.fused is true for sharded weights and no optimizer of FUSED_IN_PARTS."""
    name = str(select(cfg, "optim.optimizer._target_"))
    if select(cfg, "hardware.shard") is None or select(cfg, "optim.optimizer.fused") is not True:
        return None
    own = not name.startswith("torch.optim.") or name in FUSED_IN_PARTS
    return None if own else f"{name} has no fused kernel for sharded weights: write optim.optimizer.fused=false"


def indices(value: Any) -> bool:
    """Tell whether a value is a list of at least one integer, none of them twice."""
    whole = isinstance(value, list | tuple) and all(type(item) is int for item in value)
    return whole and 0 < len(value) == len(set(value))


def attention_is_of_something(cfg: Node) -> str | None:
    """Return a line where attention_policy.layers are not distinct indices (negative ones count from the last), or
    heads are neither `mean` nor distinct indices from 0; else None.
    """
    spec = select(cfg, "algo.attention_policy") or {}
    layers, heads = spec.get("layers", [-1]), spec.get("heads", "mean")
    if not indices(layers):
        return f"algo.attention_policy.layers={layers}: name decoder layers, each once, such as [-1] (the last)"
    if heads != "mean" and not (indices(heads) and min(heads) >= 0):
        return f"algo.attention_policy.heads={heads}: write mean, or heads counted from 0, each once, such as [0,3]"
    return None


RANGES: tuple[Callable[[Node], str | None], ...] = (
    kl_in_the_loss_has_a_gradient,
    sampling_is_what_is_trained,
    ranks_share_the_prompts_evenly,
    some_part_is_rewarded,
    form_is_what_prompts_ask_for,
    nothing_is_set_that_the_run_gives,
    adapters_have_a_size,
    a_base_in_four_bits_is_trainable,
    vllm_can_do_what_is_asked,
    fused_log_probs_are_whole_and_half,
    a_terms_gradient_is_whole,
    a_fused_optimizer_takes_parts,
    attention_is_of_something,
)
"""Rules of this module whose line is an error."""


def doubts(cfg: Node) -> Iterator[str]:
    """Yield a warning for each setting that is allowed and seldom meant.

    A learning rate of 0; where responses are sampled, a negative weight of a part of RIGHT (right answers, right form);
    a warm-up as long as the run or longer.
    """
    if select(cfg, "algo.learning_rate") == 0:
        yield "algo.learning_rate=0: no weight will move; write a rate, such as that of conf/model"
    for name in select(cfg, "reward.parts") or {}:
        weight = number(cfg, f"reward.parts.{name}.weight") or 0
        if select(cfg, f"reward.parts.{name}.function._target_") in RIGHT and weight < 0 and cfg["algo"]["rollouts"]:
            yield f"reward.parts.{name}.weight={weight} is below 0, so that right answers are unlearnt; write 0 or more"
    warmup, steps = number(cfg, "algo.warmup") or 0, number(cfg, "max_steps") or 0
    if warmup and warmup >= steps:
        yield (
            f"algo.warmup={warmup} is not below max_steps={steps}: the learning rate never reaches its peak; write"
            f" algo.warmup={max(int(steps) // 20, 0)}"
        )
