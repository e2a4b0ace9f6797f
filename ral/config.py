"""What a run's configuration must look like, and the check that it does, before anything heavy is imported.

Three layers, cheapest first: the schemas of ral.schema (types, misspelt and missing keys), the rules
(contradictions between fields), and the signatures of every `_target_` node. A problem raises UserError: one line,
with the dotted key.

Nodes with `_target_` beyond a group's schema are checked against the callable they name.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ral.errors import UserError
from ral.pretrained_files import check_named
from ral.schema import Node, Train
from ral.signature import AT_RUN_TIME, SPECIAL_KEYS, bind_all, did_you_mean, expect, is_target, walk


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts, lists and scalars with every interpolation resolved.

    UserError for a field that still is '???' and for an interpolation that leads nowhere. Where no run has started,
    values taken from `hydra:` become AT_RUN_TIME.
    """
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    raw.pop("hydra", None)
    for key, value in walk(raw):
        if value == "???":
            raise UserError(f"{key} is not set: write {key}=<value>")
    if not HydraConfig.initialized():
        raw = _without_run_time(raw)
    source = cfg if HydraConfig.initialized() else OmegaConf.create(raw)
    try:
        resolved: Any = OmegaConf.to_container(source, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'config'}: {first_line(error.msg or error)}") from error
    resolved.pop("hydra", None)
    return resolved


def first_line(message: object) -> str:
    """The first line of a message that has something on it."""
    return next((line.strip() for line in str(message).splitlines() if line.strip()), "")


def _without_run_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_run_time(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_run_time(v) for v in value]
    return AT_RUN_TIME if isinstance(value, str) and "${hydra:" in value else value


def check_schema(node: Node, schema: type, prefix: str = "") -> None:
    """UserError for keys that the schema does not know, values of the wrong type, and missing keys.

    A node with `_target_` answers to its callable instead: only the types of the fields that it shares with the schema
    are looked at here.
    """
    hints = typing.get_type_hints(schema)
    for name, value in node.items():
        key = prefix + name
        if name in hints:
            _check_field(value, hints[name], key)
        elif not is_target(value) and not is_target(node) and name not in SPECIAL_KEYS:
            raise UserError(f"unknown key {key}{did_you_mean(name, hints)}")
    for name in _required(schema):
        if name not in node and not is_target(node):
            raise UserError(f"{prefix}{name} is not set: write {prefix}{name}=<value>")


def _required(schema: type) -> list[str]:
    """Names of the fields that have no default."""
    nothing = dataclasses.MISSING
    return [f.name for f in dataclasses.fields(schema) if f.default is nothing and f.default_factory is nothing]


def _check_field(value: Any, annotation: Any, key: str) -> None:
    nested = [a for a in (annotation, *typing.get_args(annotation)) if dataclasses.is_dataclass(a)]
    if nested and isinstance(value, Mapping):
        check_schema(value, typing.cast(type, nested[0]), f"{key}.")
    elif annotation in nested:
        raise UserError(f"{key}={value!r} has the wrong type: a group of keys expected")
    else:
        expect(value, annotation, key)


def bind_targets(cfg: DictConfig) -> None:
    """Look up every `_target_` of the configuration and bind its keywords to the callable's signature."""
    bind_all(plain(cfg))


# --- rules: contradictions between fields ----------------------------------------------------------------------------


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


def _select(cfg: Node, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    value: Any = cfg
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def counts_are_positive(cfg: Node) -> str | None:
    """Counts of steps, responses, updates and processes start at 1."""
    for key in COUNTS:
        value = _select(cfg, key)
        if isinstance(value, int) and value < 1:
            return f"{key}={value} is too small: write 1 or more"
    return None


MAX_SEED = 2**42 - 1
"""Beyond it the generators of data order and rollouts would get more than 64 bits."""


def seed_is_in_range(cfg: Node) -> str | None:
    """What generators take."""
    seed = cfg.get("seed")
    if isinstance(seed, int) and not 0 <= seed <= MAX_SEED:
        return f"seed={seed} is out of range: write 0 to {MAX_SEED}"
    return None


ACCELERATORS = ("cpu", "gpu", "cuda", "auto")


def accelerator_is_known(cfg: Node) -> str | None:
    """What this project runs on."""
    name = _select(cfg, "hardware.accelerator")
    if name is None or name in ACCELERATORS:
        return None
    return f"hardware.accelerator={name} is unknown: write cpu, gpu or auto"


def temperature_is_positive(cfg: Node) -> str | None:
    """Log-probs are divided by the temperature."""
    value = _select(cfg, "algo.temperature")
    if isinstance(value, int | float) and value <= 0:
        return f"algo.temperature={value} is too small: write more than 0 (the paper uses 0.9)"
    return None


def bad_share_is_a_share(cfg: Node) -> str | None:
    """A share of the entries drawn."""
    value = _select(cfg, "dataset.max_bad_share")
    if isinstance(value, int | float) and not 0 <= value <= 1:
        return f"dataset.max_bad_share={value} is no share: write a number from 0 (none may be bad) to 1"
    return None


def terms_exist(cfg: Node) -> str | None:
    """Every name in algo.objective is a term beside it."""
    algo = cfg["algo"]
    if not algo["objective"]:
        return "algo.objective is empty: name at least one term, such as [token]"
    terms = [name for name, node in algo.items() if is_target(node)]
    for name in algo["objective"]:
        if name not in terms:
            return f"algo.objective names {name!r}, which is no term of algo{did_you_mean(name, terms)}"
    return None


GROUP_RELATIVE = frozenset({"token", "attention", "explore", "group_attention"})
"""Terms weighted by the advantage, which compares the responses to one prompt with each other."""


def groups_can_be_compared(cfg: Node) -> str | None:
    """An advantage relative to the group needs a group."""
    algo = cfg["algo"]
    used = GROUP_RELATIVE.intersection(algo["objective"])
    if algo["rollouts"] and used and algo["group_size"] < 2:
        return (
            f"algo.group_size={algo['group_size']}: the advantage compares the responses to one prompt with each other,"
            " and one response has nothing to be compared with; write algo.group_size=2 or more (the paper uses 8)"
        )
    return None


def pairs_have_two_responses(cfg: Node) -> str | None:
    """Preferences are between two given responses."""
    if _select(cfg, "algo.preferences") and (cfg["algo"]["group_size"] != 2 or cfg["algo"]["rollouts"]):
        return "algo.preferences=true trains on pairs as they are given: write algo.group_size=2 algo.rollouts=false"
    return None


ANCHORS = ("old", "reference", "ema")
RATIO = "ral.ops.objectives.token"
"""The term whose ratio may also be taken to what the sampler drew from."""


def anchors_are_known(cfg: Node) -> str | None:
    """What a term compares with is a model that the update has signals of."""
    algo = cfg["algo"]
    for name in algo["objective"]:
        term = algo[name]
        known = (*ANCHORS, "sampler") if term.get("_target_") == RATIO else ANCHORS
        against = term.get("against", "old")
        if against not in known:
            ways = " or ".join(f"algo.{name}.against={anchor}" for anchor in known)
            return f"algo.{name}.against={against!r} is unknown: write {ways}"
    return None


def noise_is_positive(cfg: Node) -> str | None:
    """A standard deviation of the noise on attention."""
    sigma = _select(cfg, "algo.sampler.noise.sigma")
    if isinstance(sigma, int | float) and sigma <= 0:
        return f"algo.sampler.noise.sigma={sigma} is too small: write more than 0, or algo.sampler.noise=null"
    return None


def attention_has_a_signal(cfg: Node) -> str | None:
    """RAL with one update per rollout against the old policy has no attention signal (paper section 3, Eq. 3)."""
    algo = cfg["algo"]
    attention = algo.get("attention")
    if attention is None or "attention" not in algo["objective"]:
        return None
    if (
        attention.get("against", "old") == "old"
        and algo["updates_per_rollout"] == 1
        and attention.get("coef", 1.0) != 0
    ):
        return (
            "algo.updates_per_rollout=1 with algo.attention.against=old leaves the attention term without any signal:"
            " the divergence from the old policy and its gradient are zero until the weights have moved, so this would"
            " be plain GRPO; write algo.updates_per_rollout=2 or more, or algo.attention.against=reference or ema"
        )
    return None


def vision_is_trained_in_one_update(cfg: Node) -> str | None:
    """Visual embeddings are made once per step, so a trained vision tower allows one update on them."""
    if not cfg["model"].get("freeze_vision", True) and cfg["algo"]["updates_per_rollout"] > 1:
        return (
            "model.freeze_vision=false with algo.updates_per_rollout above 1: visual embeddings are computed once per"
            " rollout and would be stale from the second update on; write model.freeze_vision=true (as the paper does)"
            " or algo.updates_per_rollout=1"
        )
    return None


def bonuses_have_names_of_their_own(cfg: Node) -> str | None:
    """T-GRPO's bonuses are parts of the reward beside those of reward.parts."""
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
    attention_jsd attention_entropy attention_visual_share attention_evidence_share log_prob_gap
"""
TAKEN = frozenset(_TAKEN.split())
"""Metrics of training and fields of evaluation records: what docs/metrics.md and docs/outputs.md name."""


def parts_have_names_of_their_own(cfg: Node) -> str | None:
    """A part is logged and recorded under its name."""
    for name in map(str, _select(cfg, "reward.parts") or {}):
        if name in TAKEN or name.startswith("loss_"):
            return f"reward.parts.{name} has the name of a metric or of a field of records: give that part another name"
    return None


def adapters_stand_alone(cfg: Node) -> str | None:
    """Adapters are trained and nothing else."""
    if not _select(cfg, "lora.rank"):
        return None
    if _select(cfg, "lora.rank") < 0:
        return f"lora.rank={_select(cfg, 'lora.rank')}: write 0 (no adapters) or a rank such as 16"
    if not _select(cfg, "model.freeze_vision"):
        return "model.freeze_vision=false trains the vision tower, lora.rank adapters of the decoder alone: choose one"
    return None


PRECISIONS = ("32-true", "bf16-mixed")


def precision_keeps_weights_exact(cfg: Node) -> str | None:
    """Half-precision weights lose small updates, and fp16 needs scaled gradients, which clipping would not know of."""
    precision = cfg["hardware"].get("precision")
    if precision in PRECISIONS:
        return None
    return f"hardware.precision={precision} is not supported: write {' or '.join(PRECISIONS)}"


Rule = Callable[[Node], str | None]
"""What is wrong with a resolved configuration, as one line; None if nothing is."""
RULES: tuple[Rule, ...] = (
    counts_are_positive,
    seed_is_in_range,
    accelerator_is_known,
    temperature_is_positive,
    bad_share_is_a_share,
    terms_exist,
    groups_can_be_compared,
    pairs_have_two_responses,
    anchors_are_known,
    noise_is_positive,
    attention_has_a_signal,
    vision_is_trained_in_one_update,
    bonuses_have_names_of_their_own,
    parts_have_names_of_their_own,
    precision_keeps_weights_exact,
    adapters_stand_alone,
)


def rules(cfg: Node) -> Iterator[str]:
    """Every contradiction that the rules find in a resolved configuration."""
    yield from (message for rule in RULES if (message := rule(cfg)) is not None)


def check(cfg: DictConfig, schema: type = Train) -> None:
    """UserError with the first problem of a composed configuration: schema, then rules, then signatures."""
    tree = plain(cfg)
    check_schema(tree, schema)
    if (message := next(rules(tree), None)) is not None:
        raise UserError(message)
    if schema is Train:
        check_named(tree)
    bind_all(tree)  # imports torch, which takes seconds
