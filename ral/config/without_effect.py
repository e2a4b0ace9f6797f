"""Warnings before a run starts: an objective that teaches nothing, and settings that nothing reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ral.config.schema import Node
from ral.config.signature import select
from ral.config.terms import found_terms
from ral.ops.signals import resolved

TEACHES = ("advantages", "scores", "evidence", "named", "teacher_", "masked_", "view_")
"""Signals, or beginnings of their names, that tell the policy more than it and its earlier versions know."""


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
