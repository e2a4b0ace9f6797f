"""Comparison of a resumed run's configuration with that of the run before: is it the same experiment?"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ral.config.signature import did_you_mean, walk
from ral.errors import UserError

FREE = (
    *("resume", "resume_changed", "overwrite", "debug", "name", "start_check", "logger", "diagnostics", "guard"),
    *("eval.every", "eval.batch", "eval.before", "eval.layers", "viewer"),
    *("plan", "planning", "machine"),
    *("checkpoint.every", "checkpoint.keep", "checkpoint.sharded", "checkpoint.best"),
    *("hardware.accelerator", "hardware.devices", "hardware.num_nodes", "hardware.strategy", "hardware.shard"),
    *(
        "hardware.gather_weights",
        "rollout.engine.gather_weights",
        "rollout.engine.cast_once",
        "rollout.engine.fixed_shapes",
        "hardware.micro_batch_prompts",
        "hardware.micro_batch_responses",
        "hardware.share_prompt",
        "hardware.frozen_in_memory",
    ),
    *("hardware.gradient_checkpointing", "hardware.offload_activations", "hardware.num_workers", "hardware.read_ahead"),
    *("hardware.reward_workers", "hardware.profile", "hardware.term_gradients", "hardware.fused_log_probs"),
    *("hardware.threads", "lora.merge"),
    *("dataset.cache_gb", "dataset.disk_cache", "dataset.disk_cache_gb", "dataset.max_bad_share"),
    *("dataset.media.timeout_s", "rollout.gaps", "rollout.urls", "rollout.engine.urls", "rollout.engine.cache_gb"),
    *("rollout.engine.max_length", "rollout.engine.device", "rollout.engine.folder"),
    *("rollout.engine.timeout_s", "rollout.engine.patience_s", "rollout.engine.adapters", "rollout.engine.transport"),
    *("rollout.engine.sleep", "rollout.engine.sleep_level"),
)
"""Keys that a resumed run may change, with all keys below them.

They say where and how the run is computed, watched and written. Every other key says what is learned.
"""
OFF: Mapping[str, Any] = {
    **dict.fromkeys(("task", "sampling", "given", "passes", "temporal", "reward", "attention_policy")),
    "preferences": False,
    **dict.fromkeys(("redraw", "shaping")),
}
"""Keys of algo that runs of earlier versions may lack, and the value that those runs had in effect."""
OFF_IN_TERMS: Mapping[str, Mapping[str, Any]] = {
    "ral.ops.objectives.token": {
        **{"correction": "off", "correction_cap": 2.0},
        **{"ratio": "token", "clip": "surrogate"},
    },
}
"""Function of a term -> keywords that runs of earlier versions may lack, and what those runs had in effect."""
UNNAMED = frozenset({"entropy"})
"""Terms that runs of earlier versions may lack: compared only where the objective names them."""
LENGTH = "max_steps"
"""The key whose value may grow: a run may continue beyond its end."""
ALL = "all"
MOST_SHOWN = 8
"""Changed keys that the error names; docs/outputs.md says where the others stand."""
LONGEST = 60
"""Characters of a value that the error shows."""
ABSENT = object()
"""Stands for the value of a key that only one of two configurations has."""


def covers(key: str, named: str) -> bool:
    """Tell whether `named` is the key, or a group above it."""
    return key == named or key.startswith((f"{named}.", f"{named}["))


def leaves(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return {dotted key: plain value} of a configuration; a list is one value, and so is an empty mapping."""
    found, inside = {}, ""
    for key, value in walk(tree):
        if inside and key.startswith(f"{inside}["):
            continue
        inside = ""
        if isinstance(value, list):
            inside = key
        if key and (not isinstance(value, Mapping) or not value):
            found[key] = value
    return found


def same(old: Any, new: Any) -> bool:
    """Tell whether the values `old` and `new` of a key mean the same: 1 and 1.0 do, and two spellings of one path."""
    if isinstance(old, str) and isinstance(new, str):
        return old == new or os.path.abspath(os.path.expanduser(old)) == os.path.abspath(os.path.expanduser(new))
    return (type(old) is type(new) and old == new) or _equal_numbers(old, new)


def _equal_numbers(old: Any, new: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new))
    return numbers and float(old) == float(new)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return {dotted key: (old value, new value)} of the keys in which two configurations differ.

    The value of a key that one of the two lacks is ABSENT. A whole group that one lacks is one entry, under the dotted
    key of the group, with ABSENT on that side and "set" on the other.
    """
    before, after = leaves(old), leaves(new)
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted(before.keys() | after.keys()):
        pair = before.get(key, ABSENT), after.get(key, ABSENT)
        if ABSENT in pair:
            top = _top(key, new if pair[0] is ABSENT else old, old if pair[0] is ABSENT else new)
            found[top] = (ABSENT, "set") if pair[0] is ABSENT else ("set", ABSENT)
            if top == key:
                found[top] = pair
        elif not same(*pair):
            found[key] = pair
    return found


def _top(key: str, having: Mapping[str, Any], lacking: Mapping[str, Any]) -> str:
    """Return the topmost group on the way to `key` that only `having` has."""
    names, place = key.split("."), lacking
    for depth, name in enumerate(names, start=1):
        if not isinstance(place, Mapping) or name not in place:
            return ".".join(names[:depth])
        place = place[name]
    return key


def derived_from(key: str, raw: Mapping[str, Any]) -> str | None:
    """Return the key that `key` refers to, where its value in `raw`, or that of a group above it, is ${other.key} and
    nothing else; else None.

    raw: a configuration before resolution.
    """
    place: Any = raw
    names = key.split(".")
    for depth, name in enumerate(names, start=1):
        place = place.get(name) if isinstance(place, Mapping) else None
        if isinstance(place, str) and place.startswith("${") and place.endswith("}") and ":" not in place:
            return ".".join((place[2:-1].strip(), *names[depth:]))
    return None


def complete(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tree`, a configuration, with the keys that earlier versions did not have, at the values then in effect.

    Terms of UNNAMED that the objective does not name are left out.
    """
    unused = UNNAMED - set(tree.get("algo", {}).get("objective") or ())
    algo = {name: complete_term(node) for name, node in tree.get("algo", {}).items() if name not in unused}
    model = {"family": None, **tree.get("model", {})}
    lora = {"lora": {"base": "dtype", **tree["lora"]}} if tree.get("lora") else {}
    return {**tree, "algo": {**OFF, **algo}, "model": model, **lora}


def complete_term(node: Any) -> Any:
    """Return `node`, a value of algo, with the keywords that its term lacked in earlier versions (OFF_IN_TERMS) added.

    Keywords that it has stay as they are. A value that is no mapping is returned unchanged.
    """
    if not isinstance(node, Mapping):
        return node
    return {**OFF_IN_TERMS.get(str(node.get("_target_")), {}), **node}


def changed(old: Mapping[str, Any], new: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that a resumed run changes, {dotted key: (old value, new value)}, without the keys of FREE.

    Left out are also keys that change only because they refer to a changed key, and a max_steps that grows. old, new:
    resolved configurations; raw: the new one before resolution.
    """
    found = {
        key: pair
        for key, pair in differences(complete(old), complete(new)).items()
        if not any(covers(key, free) for free in FREE) and not (key == LENGTH and _grows(*pair))
    }
    return {key: pair for key, pair in found.items() if derived_from(key, raw) not in found}


def _grows(old: Any, new: Any) -> bool:
    return isinstance(old, int) and isinstance(new, int) and new > old


def check_same_experiment(
    old: Mapping[str, Any], new: Mapping[str, Any], raw: Mapping[str, Any], allowed: str | Sequence[str], resume: str
) -> None:
    """Raise UserError where a resumed run changes settings (`changed`), except those in `allowed`, and where `allowed`
    names an unknown key.

    old, new: resolved configurations; raw: the new one before resolution. allowed: the setting resume_changed: keys,
    groups of keys, or "all". resume: the value of the setting `resume`, which the message quotes.
    """
    names = allowed_names(allowed, {*leaves(old), *leaves(new)})
    if ALL in names:
        return
    found = changed(old, new, raw)
    left = {key: pair for key, pair in found.items() if not any(covers(key, name) for name in names)}
    if left:
        shown = ", ".join(f"{key} ({show(a)} -> {show(b)})" for key, (a, b) in list(left.items())[:MOST_SHOWN])
        more = f" and {len(left) - MOST_SHOWN} more" if len(left) > MOST_SHOWN else ""
        listed = ",".join([*names, *left][: MOST_SHOWN + len(names)])
        remedy = f"'resume_changed=[{listed}]'" if not more else "resume_changed=all"
        raise UserError(
            f"resume={resume}: the settings are not those of that run: {shown}{more}; write them as they were, or "
            f"{remedy} to go on with the new ones"
        )


def allowed_names(allowed: str | Sequence[str], keys: Collection[str]) -> list[str]:
    """Return `allowed`, the setting resume_changed, as a list of names.

    UserError for a name that is neither "all" (every key) nor one of `keys` nor a group of some of them.
    """
    names = [allowed] if isinstance(allowed, str) else list(allowed)
    for name in names:
        if name != ALL and not any(covers(key, name) for key in keys):
            raise UserError(f"resume_changed names {name!r}, which is no key{did_you_mean(name, keys)}")
    return names


def show(value: Any) -> str:
    """Return a value as yaml writes it, cut to LONGEST characters."""
    if value is ABSENT:
        return "not there"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def later_schedule(old: int, new: int, before: float, after: float) -> Iterator[str]:
    """Yield a line where a changed max_steps changes the learning rate at the present step.

    old, new: max_steps of the run before and now. before, after: the learning rates at this step by the two schedules,
    as shares of the peak.
    """
    if before != after:
        yield (
            f"max_steps {old} -> {new}: from here on the learning rate follows the schedule of {new} steps "
            f"({after:.3g} of the peak at this step, not {before:.3g})"
        )
