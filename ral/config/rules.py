"""Rules on a resolved configuration: contradictions between its fields, and values that nothing can be made of.

A rule returns what is wrong as one line that says what to type instead, or None. Rules that need the signatures of
functions stand in ral.config.terms, those on ranges of numbers in ral.config.ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ral.config.ranges import RANGES, numbers_are_finite
from ral.config.schema import Node
from ral.config.signature import did_you_mean, is_target
from ral.config.signature import select as _select

COUNTS = (
    "max_steps",
    "algo.group_size",
    "algo.prompts_per_step",
    "algo.updates_per_rollout",
    "dataset.limit",
    "dataset.max_new_tokens",
    "hardware.devices",
    "hardware.num_nodes",
    "eval.prompts",
    "eval.batch",
    "checkpoint.keep",
)
"""Fields that count something of which there must be at least one; null where a field allows it means all."""


LEAST = {
    "eval.prompts": (
        "1 or more (eval.prompts=1 eval.every=0 eval.before=false evaluates one prompt, after the last step)"
    ),
    "dataset.limit": "1 or more, or null for all entries",
}
"""Advice in place of a count of 0, for the keys where "1 or more" does not say enough."""


def counts_are_positive(cfg: Node) -> str | None:
    """Check that counts of steps, responses, updates and processes start at 1."""
    for key in COUNTS:
        value = _select(cfg, key)
        if isinstance(value, int) and value < 1:
            return f"{key}={value} is too small: write {LEAST.get(key, '1 or more')}"
    return None


MAX_SEED = 2**42 - 1
"""Beyond it the generators of data order and rollouts would get more than 64 bits."""


def seed_is_in_range(cfg: Node) -> str | None:
    """Check that random generators take the seed."""
    seed = cfg.get("seed")
    if isinstance(seed, int) and not 0 <= seed <= MAX_SEED:
        return f"seed={seed} is out of range: write 0 to {MAX_SEED}"
    return None


ACCELERATORS = ("cpu", "gpu", "cuda", "auto")


def accelerator_is_known(cfg: Node) -> str | None:
    """Check that the accelerator is one that this project runs on."""
    name = _select(cfg, "hardware.accelerator")
    if name is None or name in ACCELERATORS:
        return None
    return f"hardware.accelerator={name} is unknown: write cpu, gpu or auto"


def temperature_is_positive(cfg: Node) -> str | None:
    """Check the temperature, by which log-probs are divided."""
    value = _select(cfg, "algo.temperature")
    if isinstance(value, int | float) and value <= 0:
        return f"algo.temperature={value} is too small: write more than 0 (the paper uses 0.9)"
    return None


def bad_share_is_a_share(cfg: Node) -> str | None:
    """Check that the share of bad entries is one, from 0 to 1."""
    value = _select(cfg, "dataset.max_bad_share")
    if isinstance(value, int | float) and not 0 <= value <= 1:
        return f"dataset.max_bad_share={value} is no share: write a number from 0 (none may be bad) to 1"
    return None


def terms_exist(cfg: Node) -> str | None:
    """Check that every name in algo.objective is a term beside it."""
    algo = cfg["algo"]
    if not algo["objective"]:
        return "algo.objective is empty: name at least one term, such as [token]"
    terms = [name for name, node in algo.items() if is_target(node)]
    for name in algo["objective"]:
        if algo["objective"].count(name) > 1:
            return f"algo.objective names {name!r} twice: name it once; its weight is algo.{name}.coef"
        if name not in terms:
            return f"algo.objective names {name!r}, which is no term of algo{did_you_mean(name, terms)}"
    return None


NODES = ("sampling", "given", "task", "passes", "temporal", "reward", "attention_policy")
"""Nodes of algo that an algorithm may do without."""


def optional_nodes_are_whole(cfg: Node) -> str | None:
    """Check that a node which the algorithm does without was not given single keys."""
    for name in NODES:
        node = cfg["algo"].get(name)
        if isinstance(node, Mapping) and node and not is_target(node):
            return f"unknown key algo.{name}.{next(iter(node))}: algo.{name} is not used here"
    return None


def attention_policy_is_there(cfg: Node) -> str | None:
    """Check that an update which computes attention knows whose."""
    algo = cfg["algo"]
    if algo.get("attention_policy", NODES) is None and algo.get("passes") is None:
        return "algo.attention_policy is not set: add shared/attention_policy to the defaults list of your algorithm"
    return None


def pairs_have_two_responses(cfg: Node) -> str | None:
    """Check that preferences are between two given responses."""
    if _select(cfg, "algo.preferences") and (cfg["algo"]["group_size"] != 2 or cfg["algo"]["rollouts"]):
        return "algo.preferences=true trains on pairs as they are given: write algo.group_size=2 algo.rollouts=false"
    return None


def responses_have_one_origin(cfg: Node) -> str | None:
    """Sampled responses need numbers to sample by, given ones a source."""
    rollouts, sampling, given = (cfg["algo"].get(key) for key in ("rollouts", "sampling", "given"))
    if rollouts and given is not None:
        return "algo.given names a source of responses, and algo.rollouts=true samples them: write algo.given=null"
    if rollouts and sampling is None:
        return "algo.sampling is not set, and algo.rollouts=true samples responses: write it as in conf/algo/shared"
    if not rollouts and given is None:
        return "algo.given is not set, and algo.rollouts=false samples none: write it as in conf/algo/sft.yaml"
    return None


def noise_is_positive(cfg: Node) -> str | None:
    """Check that the standard deviation of the noise on attention is positive."""
    sigma = _select(cfg, "algo.sampling.noise.sigma")
    if isinstance(sigma, int | float) and sigma <= 0:
        return f"algo.sampling.noise.sigma={sigma} is too small: write more than 0, or algo.sampling.noise=null"
    return None


def engine_makes_the_noise(cfg: Node) -> str | None:
    """Check that noise on attention is asked of an engine that can make it."""
    if _select(cfg, "algo.sampling.noise") is None or _select(cfg, "rollout.noise") is not False:
        return None
    name = _select(cfg, "rollout.engine._target_")
    return f"algo.sampling.noise: {name} has no noise on attention: write rollout=native, or algo.sampling.noise=null"


def vision_is_trained_in_one_update(cfg: Node) -> str | None:
    """Check that a trained vision tower goes with one update: visual embeddings are made once per step."""
    if not cfg["model"].get("freeze_vision", True) and cfg["algo"]["updates_per_rollout"] > 1:
        return (
            "model.freeze_vision=false with algo.updates_per_rollout above 1: visual embeddings are computed once per"
            " rollout and would be stale from the second update on; write model.freeze_vision=true (as the paper does)"
            " or algo.updates_per_rollout=1"
        )
    return None


def bonuses_have_names_of_their_own(cfg: Node) -> str | None:
    """Check that T-GRPO's bonuses, parts of the reward, are named unlike those of reward.parts."""
    temporal, parts = _select(cfg, "algo.temporal"), _select(cfg, "reward.parts") or {}
    if temporal is None:
        return None
    if "temporal" in parts:
        return "reward.parts.temporal has the name of a bonus of algo.temporal: give that part another name"
    if "length" in parts and temporal.get("length") is not None:
        return (
            "reward.parts.length and algo.temporal.length both reward lengths, under one name: write "
            "~reward.parts.length or algo.temporal.length=null"
        )
    return None


_TAKEN = """
    uid problem_type data_type media question options gold response answer rejected rejected_reward reward tokens
    finished grounding evidence attention response_length truncated groups_without_signal temporal_pass_rate
    accuracy_clips accuracy_shuffled loss grad_norm skipped_updates learning_rate entropy nll ratio clip_fraction
    clamped_ratios kl clamped_kl attention_divergence attention_distillation token_distillation pair_accuracy margin
    explored_divergence group_attention pulled
    attention_jsd attention_entropy attention_visual_share attention_evidence_share engine_log_prob_gap
    engine_kl engine_masked moved_share policy_version
"""
TAKEN = frozenset(_TAKEN.split())
"""Metrics of training and fields of evaluation records: what docs/metrics.md and docs/outputs.md name."""


def parts_have_names_of_their_own(cfg: Node) -> str | None:
    """Check that parts of the reward, logged by name, are named unlike other metrics and fields."""
    for name in map(str, _select(cfg, "reward.parts") or {}):
        if name in TAKEN or name.startswith("loss_"):
            return f"reward.parts.{name} has the name of a metric or of a field of records: give that part another name"
    return None


def adapters_stand_alone(cfg: Node) -> str | None:
    """Check that adapters are trained and nothing else."""
    if not _select(cfg, "lora.rank") and _select(cfg, "lora.resume") is None:
        return None
    if _select(cfg, "lora.rank") < 0:
        return f"lora.rank={_select(cfg, 'lora.rank')}: write 0 (no adapters) or a rank such as 16"
    if not _select(cfg, "model.freeze_vision"):
        return "model.freeze_vision=false trains the vision tower, lora.rank adapters of the decoder alone: choose one"
    return None


PRECISIONS = ("auto", "32-true", "bf16-mixed")
DTYPES = ("float32", "bfloat16")


def precision_keeps_weights_exact(cfg: Node) -> str | None:
    """Check that no small update is lost in half-precision weights, and that no gradient needs scaling (fp16)."""
    precision, dtype = (cfg["hardware"].get(key) for key in ("precision", "dtype"))
    if precision not in PRECISIONS:
        return f"hardware.precision={precision} is not supported: write {' or '.join(PRECISIONS)}"
    if dtype is not None and dtype not in DTYPES:
        return f"hardware.dtype={dtype} is not supported: write {' or '.join(DTYPES)}"
    if dtype == "bfloat16" and precision == "32-true":
        return (
            "hardware.dtype=bfloat16 is of frozen weights and of the arithmetic, and hardware.precision=32-true asks"
            " for fp32 arithmetic: write hardware.precision=auto, or hardware.dtype=float32"
        )
    return None


Rule = Callable[[Node], str | None]
"""What is wrong with a resolved configuration, as one line; None if nothing is."""
RULES: tuple[Rule, ...] = (
    numbers_are_finite,
    counts_are_positive,
    seed_is_in_range,
    accelerator_is_known,
    temperature_is_positive,
    bad_share_is_a_share,
    terms_exist,
    optional_nodes_are_whole,
    attention_policy_is_there,
    pairs_have_two_responses,
    responses_have_one_origin,
    noise_is_positive,
    engine_makes_the_noise,
    vision_is_trained_in_one_update,
    bonuses_have_names_of_their_own,
    parts_have_names_of_their_own,
    precision_keeps_weights_exact,
    adapters_stand_alone,
    *RANGES,
)


def rules(cfg: Node) -> Iterator[str]:
    """Yield every contradiction that the rules find in a resolved configuration."""
    yield from (message for rule in RULES if (message := rule(cfg)) is not None)
