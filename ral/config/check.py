"""The check of a configuration before a run starts. Only its last two steps import torch.

In this order: values that are not set, keys of earlier versions, lists in place of one number, ranges of numbers, the
schemas of ral.config.schema (types, misspelt and missing keys), the rules of ral.config.rules (contradictions between
fields), addresses of servers, files on disk, the signature of every `_target_` node, and the signals that the
objective asks for (ral.config.terms). A problem raises UserError: one line, with the dotted key.

Nodes with `_target_` beyond a group's schema are checked against the callable they name.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ral.config.numbers import numbers_are_finite, wrong_numbers
from ral.config.ranges import doubts
from ral.config.renamed_keys import check_moved
from ral.config.rules import rules
from ral.config.schema import Node, Train
from ral.config.signature import AT_RUN_TIME, SPECIAL_KEYS, bind_all, did_you_mean, expect, is_target, walk
from ral.config.terms import wrong_terms
from ral.config.typed_hydra import repeated
from ral.config.without_effect import learns_something, settings_without_effect, starts_moving, terms_left_out
from ral.errors import UserError
from ral.files.addresses import check_addresses

OWN_ALGORITHM = "; an algorithm of your own has it from defaults: [shared/rollouts, _self_], or shared/given"


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration as plain dicts, lists and scalars, without `hydra`, every interpolation resolved.

    UserError for a field that still is '???' and for an interpolation that leads nowhere. Outside of a job of Hydra, a
    text with an interpolation of `hydra:` becomes AT_RUN_TIME.
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
    """Return the first line of a message that is not blank, without spaces at its ends; "" where there is none."""
    return next((line.strip() for line in str(message).splitlines() if line.strip()), "")


def _without_run_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_run_time(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_run_time(v) for v in value]
    return AT_RUN_TIME if isinstance(value, str) and "${hydra:" in value else value


def check_schema(node: Node, schema: type, prefix: str = "") -> None:
    """Raise UserError for keys that the schema does not know, values of the wrong type, and missing keys.

    schema: a dataclass. prefix: dotted key of the node, with a dot at its end; "" for the whole configuration. Of a
    node with `_target_` only the types of the schema's fields are checked here: the signature of its callable says
    which keys it may have (`bind_all`).
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
            own = OWN_ALGORITHM if prefix == "algo." else ""
            raise UserError(f"{prefix}{name} is not set: write {prefix}{name}=<value>{own}")


def check_single(node: Node, schema: type, prefix: str = "") -> None:
    """Raise UserError for a list under a key that takes one number. node, schema, prefix: as for `check_schema`."""
    hints = typing.get_type_hints(schema)
    for name, value in node.items():
        key, annotation = prefix + name, hints.get(name)
        kinds = (annotation, *typing.get_args(annotation))
        nested = [kind for kind in kinds if dataclasses.is_dataclass(kind)]
        if nested and isinstance(value, Mapping):
            check_single(value, typing.cast(type, nested[0]), f"{key}.")
        elif isinstance(value, list) and {int, float} & set(kinds) and not any(map(_is_list, kinds)):
            raise UserError(f"{key}={_typed(value)} is a list, and one number is read: {_one_of(key, value)}")


def _is_list(kind: Any) -> bool:
    return kind is list or typing.get_origin(kind) is list


def _one_of(key: str, value: list[Any]) -> str:
    """Return advice for a list of numbers under a key that takes one."""
    if key == "hardware.devices":
        which = f"CUDA_VISIBLE_DEVICES={_typed(value)[1:-1] or 0} in front of the command says which"
        return f"write {key}={len(value) or 1}, how many devices; {which}"
    several = f", or -m {key}={_typed(value)[1:-1]} for a run each" if len(value) > 1 else ""
    return f"write {key}={value[0] if value else '<value>'}{several}"


def _typed(value: list[Any]) -> str:
    return f"[{','.join(map(str, value))}]"


def _required(schema: type) -> list[str]:
    """Return names of the fields that have no default."""
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


def check_numbers(cfg: DictConfig, tree: Node) -> None:
    """Raise UserError for a number out of its range, and for NaN or infinity where the key does not allow them.

    cfg: the configuration before resolution, tree: the same resolved.
    """
    typed: Any = OmegaConf.to_container(cfg, resolve=False)
    if (line := next(wrong_numbers(tree, typed), None) or numbers_are_finite(tree)) is not None:
        raise UserError(line)


SERVERS = "ral.rollout.vllm.server_engine.VLLMServers"


def check_servers(tree: Node) -> None:
    """Raise UserError for addresses of vLLM servers (rollout.urls) that cannot be right, without connecting to them."""
    engine = tree.get("rollout", {}).get("engine")
    if isinstance(engine, Mapping) and engine.get("_target_") == SERVERS and isinstance(engine.get("urls"), list):
        check_addresses(engine["urls"], "rollout.urls")


def bind_targets(cfg: DictConfig) -> None:
    """Check the keywords of every `_target_` node against the signature of the callable that it names; call none.

    UserError for a name that cannot be imported, and for keywords that are unknown, missing or of the wrong type.
    """
    bind_all(plain(cfg))


def overridden() -> frozenset[str]:
    """Return the keys that the command line sets; an empty set outside of a job of Hydra."""
    if not HydraConfig.initialized():
        return frozenset()
    return frozenset(line.partition("=")[0].lstrip("+") for line in HydraConfig.get().overrides.task)


def _typed_here() -> list[str]:
    """Return the overrides of the command line, in order; [] outside of a job of Hydra."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def check(cfg: DictConfig, schema: type = Train, files: Callable[[Node], None] = lambda tree: None) -> None:
    """Raise UserError with the first problem of a configuration (in the order that the module's docstring gives).

    schema: dataclass of the whole configuration. files: function that checks the files which the resolved configuration
    names; called before signatures are read, since that imports torch. The first process of a machine prints warnings
    on stderr, one line each: settings typed twice, without effect or seldom meant, and objectives that train little.
    """
    tree = plain(cfg)
    check_moved(tree)
    check_single(tree, schema)
    check_numbers(cfg, tree)
    check_schema(tree, schema)
    if (message := next(rules(tree), None)) is not None:
        raise UserError(message)
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    if (message := next(terms_left_out(tree, raw, _typed_here()), None)) is not None:
        raise UserError(message)
    check_servers(tree)
    files(tree)
    bind_all(tree)
    if (message := next(wrong_terms(tree), None)) is not None:
        raise UserError(message)
    if int(os.environ.get("LOCAL_RANK", 0)) == 0:
        trains = starts_moving(tree) or learns_something(tree)
        for line in filter(
            None, (*repeated(_typed_here()), *doubts(tree), trains, *settings_without_effect(tree, overridden()))
        ):
            print(f"warning: {line}", file=sys.stderr, flush=True)
