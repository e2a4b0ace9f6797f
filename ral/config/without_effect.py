"""Before a run starts: an objective that teaches nothing (a warning), and settings that nothing reads."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Collection, Iterator, Sequence

from ral.config.schema import Algo, Node
from ral.config.signature import is_target, select, walk
from ral.config.terms import found_terms
from ral.ops.signals import resolved

TEACHES = ("advantages", "scores", "evidence", "named", "teacher_", "masked_", "view_")
"""Signals, or beginnings of their names, that tell the policy more than it and its earlier versions know."""
LOOP = ("advantage", "aggregate")
"""Nodes of algo beyond its schema that are part of every update, and no terms."""


def learns_something(tree: Node) -> str | None:
    """Return a warning where no term of an objective on sampled responses tells good responses from bad ones; None
    where a term does, or responses are given.
    """
    terms = [term for term in found_terms(tree) if term.counts]
    read = {signal for term in terms for signal in resolved(term.asked, term.against).values()}
    if not tree["algo"]["rollouts"] or not terms or any(name.startswith(TEACHES) for name in read):
        return None
    return (
        f"algo.objective={list(tree['algo']['objective'])} learns neither from the reward nor from a teacher, evidence"
        " or a second view (terms of coef=0 do not count): the answers cannot get better; add a term that does, such as"
        " token"
    )


def starts_moving(tree: Node) -> str | None:
    """Return a warning where no term has a gradient at the start, as all compare the policy with itself; None
    where a term has one.
    """
    terms = [term for term in found_terms(tree) if term.counts]
    if not terms or not all(getattr(term.function, "still_at_its_anchor", False) for term in terms):
        return None
    return (
        f"algo.objective={list(tree['algo']['objective'])} compares the policy with its own earlier self alone (terms"
        " of coef=0 do not count): the two are the same before the first update, whose gradient is zero or rounding,"
        " so that nothing is learned; add a term that learns from the reward, such as token"
    )


def terms_left_out(tree: Node, raw: Node, typed: Sequence[str]) -> Iterator[str]:
    """Yield a line for each term of algo of which settings are typed and which algo.objective does not name.

    Terms of coef=0 pass, as they would have no part in the loss either, and so does a node that another setting refers
    to (${algo.kl}). tree: a resolved configuration; raw: the same before resolution; typed: overrides.
    """
    objective, parts = list(tree["algo"]["objective"]), {field.name for field in dataclasses.fields(Algo)}
    used = [value for key, value in walk(raw) if isinstance(value, str) and "${" in value]
    for name, node in tree["algo"].items():
        term = is_target(node) and node.get("_partial_") is True and name not in parts
        if not term or name in (*objective, *LOOP) or node.get("coef") == 0:
            continue
        own = (f"algo.{name}.", f"algo.{name}=")
        idle = [override.lstrip("+") for override in typed if override.lstrip("+").startswith(own)]
        if idle and not any(f"algo.{name}{end}" in value for value in used for end in (".", "}")):
            named, wanted = (",".join(map(str, names)) for names in (objective, (*objective, name)))
            write = shlex.quote(f"algo.objective=[{wanted}]")
            be = "is" if len(idle) == 1 else "are"
            yield f"{' and '.join(idle)} {be} without effect: algo.objective=[{named}] has no {name}; write {write}"


def settings_without_effect(tree: Node, named: Collection[str]) -> Iterator[str]:
    """Yield a warning for each typed setting that nothing in this run reads. named: keys of the command line."""
    lora = tree.get("lora") or {}
    idle = [key for key in ("lora.alpha", "lora.targets", "lora.merge") if key in named]
    if idle and not lora.get("rank") and lora.get("resume") is None:
        yield f"{' and '.join(idle)} without effect: lora.rank=0 trains the weights themselves; write lora.rank=16"
    for term in found_terms(tree):
        if f"{term.key}.coef" in named and not term.counts:
            name = term.key.removeprefix("algo.")
            yield f"{term.key}.coef=0: the term {name} is computed and logged, and has no part in the loss"
    if "hardware.offload_activations" in named and select(tree, "hardware.accelerator") == "cpu":
        yield "hardware.offload_activations without effect on a CPU, whose activations are in main memory anyway"
    given = [key for key in ("algo.teacher", "model.teacher") if key in named and select(tree, key) is not None]
    if given and not any(name.startswith("teacher") for term in found_terms(tree) for name in term.asked):
        yield (
            f"{' and '.join(given)} without effect: no term of algo.objective={list(tree['algo']['objective'])} asks"
            " for a teacher; write algo=distill or algo=ral_distill"
        )
