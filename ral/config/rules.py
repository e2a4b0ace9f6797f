"""What a run's configuration must look like, and the check that it does, before anything heavy is imported.

Four layers, cheapest first: the schemas of ral.config.schema (types, misspelt and missing keys), the rules here and
in ral.config.ranges (contradictions between fields, numbers that train nothing), the signatures of every `_target_`
node, and what the functions of the objective ask for (ral.config.terms). A problem raises UserError: one line, with
the dotted key.

Nodes with `_target_` beyond a group's schema are checked against the callable they name.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ral.config.moved import check_moved
from ral.config.ranges import RANGES, doubts
from ral.config.schema import Node, Train
from ral.config.signature import AT_RUN_TIME, SPECIAL_KEYS, bind_all, did_you_mean, expect, is_target, walk
from ral.config.signature import select as _select
from ral.config.terms import starts_moving, wrong_terms
from ral.errors import UserError


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


def pairs_have_two_responses(cfg: Node) -> str | None:
    """Preferences are between two given responses."""
    if _select(cfg, "algo.preferences") and (cfg["algo"]["group_size"] != 2 or cfg["algo"]["rollouts"]):
        return "algo.preferences=true trains on pairs as they are given: write algo.group_size=2 algo.rollouts=false"
    return None


def responses_have_one_origin(cfg: Node) -> str | None:
    """Sampled responses need numbers to sample by, given ones a source."""
    rollouts, sampling, given = (cfg["algo"].get(key) for key in ("rollouts", "sampling", "given"))
    if rollouts and given is not None:
        return "algo.given names a source of responses, and algo.rollouts=true samples them: write algo.given=null"
    if rollouts and sampling is None:
        return "algo.sampling is not set, and algo.rollouts=true samples responses: write it as in conf/algo/grpo.yaml"
    if not rollouts and given is None:
        return "algo.given is not set, and algo.rollouts=false samples none: write it as in conf/algo/sft.yaml"
    return None


def noise_is_positive(cfg: Node) -> str | None:
    """A standard deviation of the noise on attention."""
    sigma = _select(cfg, "algo.sampling.noise.sigma")
    if isinstance(sigma, int | float) and sigma <= 0:
        return f"algo.sampling.noise.sigma={sigma} is too small: write more than 0, or algo.sampling.noise=null"
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
    moved_share policy_version
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
    """Half-precision weights lose small updates, and fp16 needs scaled gradients, which clipping would not know of."""
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
    counts_are_positive,
    seed_is_in_range,
    accelerator_is_known,
    temperature_is_positive,
    bad_share_is_a_share,
    terms_exist,
    pairs_have_two_responses,
    responses_have_one_origin,
    noise_is_positive,
    vision_is_trained_in_one_update,
    bonuses_have_names_of_their_own,
    parts_have_names_of_their_own,
    precision_keeps_weights_exact,
    adapters_stand_alone,
    *RANGES,
)


def rules(cfg: Node) -> Iterator[str]:
    """Every contradiction that the rules find in a resolved configuration."""
    yield from (message for rule in RULES if (message := rule(cfg)) is not None)


def check(cfg: DictConfig, schema: type = Train, files: Callable[[Node], None] = lambda tree: None) -> None:
    """UserError with the first problem of a composed configuration: schema, rules, `files`, signatures, terms.

    files: looks at what the configuration names on disk, before signatures are read, which imports torch.
    What can be run but trains little or nothing is told on stderr, a line each, by the first process of a run.
    """
    tree = plain(cfg)
    check_moved(tree)
    check_schema(tree, schema)
    if (message := next(rules(tree), None)) is not None:
        raise UserError(message)
    files(tree)
    bind_all(tree)
    if (message := next(wrong_terms(tree), None)) is not None:
        raise UserError(message)
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        for line in filter(None, (*doubts(tree), starts_moving(tree))):
            print(f"warning: {line}", file=sys.stderr, flush=True)


def instantiate(node: Any, **more: Any) -> Any:
    """Make what a `_target_` node names; its lists and mappings come as plain ones, so that below the composition
    roots nothing knows of OmegaConf."""
    from hydra.utils import instantiate as make

    return make(node, _convert_="all", **more)


def precision_of(hardware: Node) -> str:
    """Lightning's name of the arithmetic: that of hardware.precision, or with auto that of hardware.dtype."""
    auto = "bf16-mixed" if hardware["dtype"] == "bfloat16" else "32-true"
    return auto if hardware["precision"] == "auto" else str(hardware["precision"])
