"""Rules of an objective that need the functions of its terms: the signals they ask for, and cases without any gradient.

No rule looks at the name that a term has in yaml. The signals stand in a function's signature; facts that a signature
does not tell are attributes of the function (ral.ops.signals: still_at_its_anchor, compares).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ral.config.schema import Node
from ral.config.signature import SPECIAL_KEYS, did_you_mean, locate, select
from ral.ops.signals import ANCHOR, OF_A_GROUP, OF_A_POLICY, PLACES, SIGNALS, asked, resolved, second_view


@dataclass(frozen=True)
class FoundTerm:
    """A term of the objective: its dotted key, its keywords in yaml, its function's import path, and the function."""

    key: str
    given: Node
    path: str
    function: Callable[..., Any]

    def keyword(self, name: str, otherwise: Any = None) -> Any:
        """Return the value of a keyword: the one in yaml, else the function's default, else `otherwise`."""
        if name in self.given:
            return self.given[name]
        parameter = inspect.signature(self.function).parameters.get(name)
        return otherwise if parameter is None or parameter.default is parameter.empty else parameter.default

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the signals that the term asks for: the parameters before the `*` that yaml does not bind."""
        return asked(self.function, self.given)

    @property
    def anchors(self) -> frozenset[str]:
        """Return the signals among `asked` that are computed from the model `against`."""
        return frozenset(name for name in self.asked if name.startswith(ANCHOR))

    @property
    def against(self) -> str:
        """Return the name of the model that the term compares the policy with; "anchor" where it compares with none."""
        return str(self.keyword("against", ANCHOR))

    @property
    def counts(self) -> bool:
        """Tell whether the term is part of the loss: its `coef` is not 0."""
        return self.keyword("coef", 1.0) != 0


def found_terms(tree: Node) -> list[FoundTerm]:
    """Return the terms of algo.objective, in its order; those whose function has no signature are left out.

    tree: a resolved configuration whose `_target_` nodes have been checked.
    """
    algo, found = tree["algo"], []
    for name in algo["objective"]:
        node, key = algo[name], f"algo.{name}"
        function = locate(node["_target_"], f"{key}._target_")
        try:
            inspect.signature(function)
        except ValueError:
            continue
        given = {k: v for k, v in node.items() if k not in SPECIAL_KEYS}
        found.append(FoundTerm(key, given, node["_target_"], function))
    return found


def function_at(tree: Node, *keys: str) -> Any:
    """Return the object that the `_target_` of the node at `keys` names; None where there is no node.

    keys: nested names, from the top.
    """
    value: Any = tree
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return locate(value["_target_"], ".".join((*keys, "_target_"))) if isinstance(value, Mapping) else None


def anchors_are_known(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each term whose `against` names a model for which the run computes no such signals."""
    for term in terms:
        if not term.anchors:
            continue
        own = getattr(term.function, "models", None)
        known = list(own or ["old", "reference", "ema"] + ["sampler"] * (term.anchors == {f"{ANCHOR}_log_probs"}))
        if term.against not in known:
            ways = " or ".join(f"{term.key}.against={anchor}" for anchor in known)
            yield f"{term.key}.against={term.against!r} is unknown: write {ways}"


def signals_are_known(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each signal that a term asks for and the run's forward passes do not give."""
    passes = function_at(tree, "algo", "passes")
    offered: Collection[str] | None = OF_A_POLICY if passes is None else getattr(passes, "offers", None)
    if offered is None:  # passes from outside that do not say
        return
    anchored = [f"{ANCHOR}_{name.removeprefix('old_')}" for name in offered if name.startswith("old_")]
    for term in terms:
        for parameter, signal in resolved(term.asked, term.against).items():
            if signal in offered:
                continue
            what = f"{term.key}: {term.path} asks for the signal {parameter!r}, which "
            if signal in SIGNALS:
                yield what + f"is not among those of this algorithm's passes: {', '.join(sorted(offered))}"
            known = did_you_mean(parameter, [*offered, *anchored])
            yield what + f"does not exist{known}; numbers from yaml stand after a `*` in the signature"


def views_are_made_and_read(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each fault of algo.view and algo.evidence.

    algo.view: not set though a term reads a second view; set though no term reads one; set together with algo.redraw.
    algo.evidence: a value that is unknown; a value other than "true" where neither a term nor the view reads evidence.
    """
    algo = tree["algo"]
    read = {signal: term for term in terms for signal in resolved(term.asked, term.against).values()}
    reader = next((term for signal, term in read.items() if second_view([signal])), None)
    if reader is not None and algo.get("view") is None:
        yield (
            f"{reader.key} reads the second view of the prompts, and algo.view is not set: write algo.view as in"
            " conf/algo/papo.yaml"
        )
    if reader is None and algo.get("view") is not None:
        yield "algo.view is set, and no term of algo.objective reads a second view: write algo.view=null"
    if algo.get("view") is not None and algo.get("redraw") is not None:
        yield "algo.redraw and algo.view: prompts drawn again keep no pixels for a second view: write algo.redraw=null"
    place = str(algo.get("evidence", "true")).lower()
    if place not in PLACES:
        yield f"algo.evidence={place} is unknown: write {', '.join(PLACES)}"
    if place != "true" and "evidence" not in read and not getattr(function_at(tree, "algo", "view"), "of_evidence", 0):
        yield f"algo.evidence={place}: no term of this algorithm reads the evidence; leave it out"


def groups_can_be_compared(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line where the advantage compares the responses of a group, or of a batch, and there are too few: fewer
    than the function's `least_group` or `least_batch`.
    """
    algo, advantage = tree["algo"], function_at(tree, "algo", "advantage")
    least, batch = (getattr(advantage, name, 1) for name in ("least_group", "least_batch"))
    if not algo["rollouts"] or not any("advantages" in term.asked for term in terms):
        return
    if algo["group_size"] < least:
        yield (
            f"algo.group_size={algo['group_size']}: the advantage compares the responses to one prompt with each other,"
            f" and one response has nothing to be compared with; write algo.group_size={least} or more (the paper uses"
            " 8)"
        )
    elif algo["group_size"] * algo.get("prompts_per_step", batch) < batch:
        yield (
            "algo.group_size=1 with algo.prompts_per_step=1: the advantage compares the responses of a batch with each"
            " other, and this batch is one response; write algo.prompts_per_step=8 or algo.group_size=8"
        )


def of_whole_groups(terms: Sequence[FoundTerm]) -> Iterator[FoundTerm]:
    """Yield the terms that compare the responses of a group with each other: a forward pass must hold whole groups."""
    return (term for term in terms if OF_A_GROUP & set(term.asked))


def groups_are_whole_where_they_are_compared(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each term that compares the responses of a group where forward passes hold only parts of groups
    (hardware.micro_batch_responses).
    """
    part = select(tree, "hardware.micro_batch_responses")
    if isinstance(part, int) and part < tree["algo"]["group_size"]:
        for term in of_whole_groups(terms):
            yield (
                f"hardware.micro_batch_responses={part}: {term.key} compares the responses to one prompt with each"
                " other, so that a pass has to hold all of them; write hardware.micro_batch_responses=null"
            )


def updates_move_away_from_the_anchor(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each term that compares the policy with the old policy although a rollout has a single update.

    At that update the two are equal, so that the term's gradient is 0 (RAL, section 3, Eq. 3). An EMA of decay 0 is the
    old policy. Terms of coef=0, and terms without the mark `still_at_its_anchor`, pass.
    """
    algo = tree["algo"]
    if algo["updates_per_rollout"] > 1:
        return
    same = ["old"] + ["ema"] * (algo.get("ema_decay") == 0)
    for term in terms:
        if getattr(term.function, "still_at_its_anchor", False) and term.counts and term.against in same:
            short = term.key.removeprefix("algo.")
            yield (
                f"algo.updates_per_rollout=1 with {term.key}.against={term.against} leaves the {short} term without any"
                " signal: the divergence from the old policy and its gradient are zero until the weights have moved, so"
                " it would not count; write algo.updates_per_rollout=2 or more, or"
                f" {term.key}.against=reference or ema"
            )


def some_term_counts(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line where every term has coef=0."""
    if terms and not any(term.counts for term in terms):
        yield f"every term of algo.objective has coef=0, so that nothing is trained: write {terms[0].key}.coef=1.0"


def averages_move(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each term against an EMA of decay 1, which stays the reference policy."""
    if tree["algo"].get("ema_decay") != 1:
        return
    for term in terms:
        if term.anchors and term.against == "ema":
            yield (
                f"algo.ema_decay=1 with {term.key}.against=ema: the average never moves; write a decay such as 0.99, or"
                f" {term.key}.against=reference"
            )


CALLED_WITH = {"algo.advantage": ("rewards",), "algo.aggregate": ("mask", "total")}
"""Key of a function -> names of the arguments that an update passes to it, in their order."""


def functions_can_be_called(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each term, advantage and aggregate that cannot be called with its signals and keywords.

    These functions are bound partially: without this check the error would come in the first update.
    """
    slots = [(key, select(tree, key), handed) for key, handed in CALLED_WITH.items()]
    calls = [(key, node, handed) for key, node, handed in slots if isinstance(node, Mapping) and node.get("_partial_")]
    for key, node, handed in [*calls, *((t.key, {**t.given, "_target_": t.path}, t.asked) for t in terms)]:
        given = {name: value for name, value in node.items() if name not in SPECIAL_KEYS}
        try:
            inspect.signature(locate(node["_target_"], key)).bind(*handed, **given)
        except ValueError:  # a builtin without a signature
            continue
        except TypeError as error:
            yield f"{key}: {node['_target_']} is called with {', '.join(handed)} and the keywords of {key}: {error}"


def corrections_are_of_the_policy(tree: Node, terms: Sequence[FoundTerm]) -> Iterator[str]:
    """Yield a line for each term that corrects for the engine's sampling (`correction` is not off) and compares the
    policy with another model than the old policy.
    """
    for term in terms:
        kind = term.keyword("correction", "off")
        if kind == "off":
            continue
        if term.against != "old":
            ways = f"{term.key}.against=old, or {term.key}.correction=off"
            yield f"{term.key}.correction={kind} leads to the old policy, not to {term.against}: write {ways}"


TermRule = Callable[[Node, Sequence[FoundTerm]], Iterator[str]]
"""A check of the terms of a resolved configuration: yields a line for each fault."""
TERM_RULES: tuple[TermRule, ...] = (
    anchors_are_known,
    signals_are_known,
    views_are_made_and_read,
    groups_can_be_compared,
    groups_are_whole_where_they_are_compared,
    updates_move_away_from_the_anchor,
    averages_move,
    corrections_are_of_the_policy,
    some_term_counts,
    functions_can_be_called,
)


def wrong_terms(tree: Node) -> Iterator[str]:
    """Yield a line for each fault that TERM_RULES find in the terms of the objective.

    tree: a resolved configuration whose `_target_` nodes have been checked.
    """
    terms = found_terms(tree)
    for rule in TERM_RULES:
        yield from rule(tree, terms)
