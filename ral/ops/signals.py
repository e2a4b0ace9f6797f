"""Which signals an objective asks for, read off the signatures of its terms (see ral.ops.objectives)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ral.types import Loss

Term = Callable[..., Loss]

FROZEN_MODELS = ("old", "reference", "ema", "teacher")
"""Models whose signals are computed once per rollout and never get a gradient; "old": the policy before any update."""
FROZEN_KINDS = ("log_probs", "rows", "hidden")
"""What can be frozen of a model: token log-probs [N C], attention rows [L N C K], states [N C D]."""
ANCHOR = "anchor"
"""A signal named anchor_* is that of the model which the term's keyword `against` names."""


def signal_names(term: Term) -> dict[str, str]:
    """{parameter: signal} of one term: its parameters that stand before the `*`; anchors are resolved by `against`.

    A parameter bound by name is no signal. The signature is the function's own: in a partial's, all that follows a
    bound parameter is keyword-only.
    """
    function, bound = (term.func, term.keywords) if isinstance(term, partial) else (term, {})
    parameters = inspect.signature(function).parameters
    names = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in bound]
    default = parameters.get("against")
    model = bound.get("against", default.default if default else ANCHOR)
    return {name: name.replace(f"{ANCHOR}_", f"{model}_", 1) if name.startswith(ANCHOR) else name for name in names}


def needed(terms: Iterable[Term]) -> frozenset[str]:
    """All signals that the terms ask for."""
    return frozenset(signal for term in terms for signal in signal_names(term).values())


def frozen_needs(signals: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """{model: kinds} of the frozen signals among `signals`, such as {"reference": ("log_probs",)}."""
    wanted = set(signals)
    found = {m: tuple(k for k in FROZEN_KINDS if f"{m}_{k}" in wanted) for m in FROZEN_MODELS}
    return {model: kinds for model, kinds in found.items() if kinds}


def evaluate(term: Term, signals: Mapping[str, Any]) -> Loss:
    """Call a term with its signals."""
    return term(**{name: signals[signal] for name, signal in signal_names(term).items()})
