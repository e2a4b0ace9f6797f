"""Rules on a resolved configuration: contradictions between its fields, and values that cannot be used.

A rule returns one line that says what to type instead, or None where its check passes. Rules that need the signatures
of functions stand in ral.config.terms, the ranges of single numbers in ral.config.numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ral.config.ranges import RANGES
from ral.config.schema import Node
from ral.config.signature import did_you_mean, is_target
from ral.config.signature import select as _select

ACCELERATORS = ("cpu", "gpu", "cuda", "auto")


def accelerator_is_known(cfg: Node) -> str | None:
    """Return a line where hardware.accelerator is none of ACCELERATORS; else None."""
    name = _select(cfg, "hardware.accelerator")
    if name is None or name in ACCELERATORS:
        return None
    return f"hardware.accelerator={name} is unknown: write cpu, gpu or auto"


STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")
"""Names of Lightning's strategies that leave the update as it is; sharding is a `_target_` node."""


def strategy_is_known(cfg: Node) -> str | None:
    """Return a line where hardware.strategy is a name that is none of STRATEGIES; else None."""
    name = _select(cfg, "hardware.strategy")
    if not isinstance(name, str) or name in STRATEGIES:
        return None
    return f"hardware.strategy={name} is not supported: write auto or ddp, or hardware=fsdp for sharded weights"


SPLITS = ("train", "sft")


def training_is_not_on_held_out_entries(cfg: Node) -> str | None:
    """Return a line where algo.train_split is none of SPLITS, such as held-out data; else None."""
    split = cfg["algo"].get("train_split")
    if split is None or split in SPLITS:
        return None
    return f"algo.train_split={split} is not for training: write {' or '.join(SPLITS)}"


MEANS = ("reward", "accuracy", "format", "grounding", "tokens", "finished", "prompts")
BY_KIND = ("eval/accuracy_", "eval/grounding_layer_")
"""Metrics of an evaluation, and how those begin that depend on the entries or the model."""


def best_is_a_metric_of_evaluations(cfg: Node) -> str | None:
    """Return a line where checkpoint.best is no metric that evaluations log; else None."""
    metric, known = _select(cfg, "checkpoint.best"), [f"eval/{name}" for name in MEANS]
    if not isinstance(metric, str) or metric in known or metric.startswith(BY_KIND):
        return None
    hint = did_you_mean(metric, known)
    return f"checkpoint.best={metric} is no metric of an evaluation, so that no checkpoint would be best{hint}"


GIVEN = {"ral.rollout.given.Targets": 1, "ral.rollout.given.Pairs": 2}
"""Source of given responses -> how many it gives to each prompt."""


def given_responses_make_the_groups(cfg: Node) -> str | None:
    """Return a line where algo.group_size is not the number of given responses to a prompt (GIVEN); else None."""
    path, size = _select(cfg, "algo.given._target_"), cfg["algo"]["group_size"]
    if cfg["algo"]["rollouts"] or GIVEN.get(str(path), size) == size:
        return None
    count = GIVEN[str(path)]
    return f"algo.group_size={size}, but algo.given={path} gives {count} to a prompt: write algo.group_size={count}"


def terms_exist(cfg: Node) -> str | None:
    """Return a line where algo.objective is empty, or has a name twice or without a node of algo; else None."""
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


NODES = ("sampling", "given", "task", "passes", "redraw", "shaping", "temporal", "reward", "attention_policy")
"""Nodes of algo that are null in an algorithm without them."""


def optional_nodes_are_whole(cfg: Node) -> str | None:
    """Return a line where a key was set below a node that is null in this algorithm; else None."""
    for name in NODES:
        node = cfg["algo"].get(name)
        if isinstance(node, Mapping) and node and not is_target(node):
            return f"unknown key algo.{name}.{next(iter(node))}: algo.{name} is not used here"
    return None


def attention_policy_is_there(cfg: Node) -> str | None:
    """Return a line where neither algo.attention_policy nor algo.passes (passes of one's own) is set; else None."""
    algo = cfg["algo"]
    if algo.get("attention_policy", NODES) is None and algo.get("passes") is None:
        return "algo.attention_policy is not set: add shared/attention_policy to the defaults list of your algorithm"
    return None


def pairs_have_two_responses(cfg: Node) -> str | None:
    """Return a line where algo.preferences is set without groups of two given responses; else None."""
    if _select(cfg, "algo.preferences") and (cfg["algo"]["group_size"] != 2 or cfg["algo"]["rollouts"]):
        return "algo.preferences=true trains on pairs as they are given: write algo.group_size=2 algo.rollouts=false"
    return None


def responses_have_one_origin(cfg: Node) -> str | None:
    """Return a line where algo.rollouts is true with `given` or without `sampling`, or false without `given`."""
    rollouts, sampling, given = (cfg["algo"].get(key) for key in ("rollouts", "sampling", "given"))
    if rollouts and given is not None:
        return "algo.given names a source of responses, and algo.rollouts=true samples them: write algo.given=null"
    if rollouts and sampling is None:
        return "algo.sampling is not set, and algo.rollouts=true samples responses: write it as in conf/algo/shared"
    if not rollouts and given is None:
        return "algo.given is not set, and algo.rollouts=false samples none: write it as in conf/algo/sft.yaml"
    return None


def engine_makes_the_noise(cfg: Node) -> str | None:
    """Return a line where sampling has noise on attention and the engine cannot make it (rollout.noise); else None."""
    if _select(cfg, "algo.sampling.noise") is None or _select(cfg, "rollout.noise") is not False:
        return None
    name = _select(cfg, "rollout.engine._target_")
    return f"algo.sampling.noise: {name} has no noise on attention: write rollout=native, or algo.sampling.noise=null"


def redrawn_prompts_can_be_answered(cfg: Node) -> str | None:
    """Return a line where algo.redraw is set with given responses, algo.temporal, noise, pixels in the engine, or a
    trained vision tower; else None.
    """
    algo = cfg["algo"]
    if algo.get("redraw") is None:
        return None
    if not algo["rollouts"]:
        return (
            "algo.redraw draws prompts by their answers, and algo.rollouts=false samples none: write algo.redraw=null"
        )
    if algo.get("temporal") is not None:
        return (
            "algo.redraw and algo.temporal: the second rollout is of the first prompts, not of those in their place: "
            "write algo.redraw=null or algo.temporal=null"
        )
    if _select(cfg, "algo.sampling.noise") is not None:
        return (
            "algo.redraw and algo.sampling.noise: attention under noise is recorded of one rollout, not of several: "
            "write algo.redraw=null or algo.sampling.noise=null"
        )
    if _select(cfg, "rollout.engine.media") == "pixels":
        return (
            "algo.redraw with rollout.engine.media=pixels: prompts that are drawn again keep their embeddings and no "
            "pixels: write rollout.engine.media=embeddings or algo.redraw=null"
        )
    if not cfg["model"].get("freeze_vision", True):
        return (
            "algo.redraw with model.freeze_vision=false: embeddings of prompts that are drawn and not used would be "
            "kept with their graph: write algo.redraw=null or model.freeze_vision=true"
        )
    return None


def lengths_are_shaped_where_answers_are_sampled(cfg: Node) -> str | None:
    """Return a line where algo.shaping is set with given responses, or above the length limit; else None."""
    shaping, limit = cfg["algo"].get("shaping"), _select(cfg, "dataset.max_new_tokens")
    if shaping is None:
        return None
    if not cfg["algo"]["rollouts"]:
        return "algo.shaping changes rewards, and algo.rollouts=false has none: write algo.shaping=null"
    if isinstance(limit, int) and isinstance(shaping.get("limit"), int) and shaping["limit"] > limit:
        return (
            f"algo.shaping.limit={shaping['limit']} is above dataset.max_new_tokens={limit}, which cuts responses "
            f"before it: write algo.shaping.limit={limit}"
        )
    return None


def vision_is_trained_in_one_update(cfg: Node) -> str | None:
    """Return a line where the vision tower is trained in several updates a rollout; else None."""
    if not cfg["model"].get("freeze_vision", True) and cfg["algo"]["updates_per_rollout"] > 1:
        return (
            "model.freeze_vision=false with algo.updates_per_rollout above 1: visual embeddings are computed once per"
            " rollout and would be stale from the second update on; write model.freeze_vision=true (as the paper does)"
            " or algo.updates_per_rollout=1"
        )
    return None


def bonuses_have_names_of_their_own(cfg: Node) -> str | None:
    """Return a line where a part of the reward has the name of a bonus of T-GRPO (algo.temporal); else None."""
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
    finished grounding grounding_all grounding_steps pointing grounding_answer evidence attention response_length
    truncated groups_without_signal temporal_pass_rate accuracy_clips accuracy_shuffled loss grad_norm skipped_updates
    learning_rate entropy nll ratio clip_fraction clamped_ratios kl clamped_kl attention_divergence
    attention_distillation token_distillation pair_accuracy margin explored_divergence group_attention pulled
    named_place named_tokens explored_noise view_kl masked_entropy pivotal_tokens evidence_attention
    evidence_tokens evidence_distillation prompts_drawn overlong entropy_term
    attention_jsd attention_entropy attention_visual_share attention_evidence_share engine_log_prob_gap
    engine_kl engine_masked moved_share policy_version
"""
TAKEN = frozenset(_TAKEN.split())
"""Names of metrics of training and of fields of evaluation records (docs/metrics.md, docs/outputs.md)."""


def parts_have_names_of_their_own(cfg: Node) -> str | None:
    """Return a line where a part of the reward, which is logged, has the name of a metric or field; else None."""
    for name in map(str, _select(cfg, "reward.parts") or {}):
        if name in TAKEN or name.startswith("loss_"):
            return f"reward.parts.{name} has the name of a metric or of a field of records: give that part another name"
    return None


def adapters_stand_alone(cfg: Node) -> str | None:
    """Return a line where both adapters and the vision tower are trained; else None."""
    if not _select(cfg, "lora.rank") and _select(cfg, "lora.resume") is None:
        return None
    if not _select(cfg, "model.freeze_vision"):
        return "model.freeze_vision=false trains the vision tower, lora.rank adapters of the decoder alone: choose one"
    return None


PRECISIONS = ("auto", "32-true", "bf16-mixed")
DTYPES = ("float32", "bfloat16")


def precision_keeps_weights_exact(cfg: Node) -> str | None:
    """Return a line where hardware.precision or dtype is not supported, or they do not fit each other; else None."""
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


def activations_that_are_offloaded_are_few(cfg: Node) -> str | None:
    """Return a line where hardware.offload_activations is set without gradient_checkpointing; else None."""
    if not cfg["hardware"].get("offload_activations") or cfg["hardware"].get("gradient_checkpointing"):
        return None
    return "hardware.offload_activations=true moves what hardware.gradient_checkpointing=true keeps: write both"


Rule = Callable[[Node], str | None]
"""A check of a resolved configuration: returns one line on a fault; None where there is no fault."""
RULES: tuple[Rule, ...] = (
    accelerator_is_known,
    strategy_is_known,
    training_is_not_on_held_out_entries,
    best_is_a_metric_of_evaluations,
    terms_exist,
    optional_nodes_are_whole,
    attention_policy_is_there,
    pairs_have_two_responses,
    responses_have_one_origin,
    given_responses_make_the_groups,
    engine_makes_the_noise,
    redrawn_prompts_can_be_answered,
    lengths_are_shaped_where_answers_are_sampled,
    vision_is_trained_in_one_update,
    bonuses_have_names_of_their_own,
    parts_have_names_of_their_own,
    precision_keeps_weights_exact,
    activations_that_are_offloaded_are_few,
    adapters_stand_alone,
    *RANGES,
)


def rules(cfg: Node) -> Iterator[str]:
    """Yield one line for each rule that a resolved configuration breaks."""
    yield from (message for rule in RULES if (message := rule(cfg)) is not None)
