"""Signals, the tensors that a loss term may have as parameters: their table, and which of them a term asks for.

This module does not import torch, so that a configuration is checked against the table before anything slow is
imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

Term = Callable[..., Any]
"""A loss term: a function of signals that returns a ral.types.Loss."""

FROZEN_MODELS = ("old", "reference", "ema", "teacher", "view")
"""Models whose signals are computed once per rollout, without gradient (MODELS says which model each name means)."""
FROZEN_KINDS = ("log_probs", "rows", "hidden")
"""Kinds of signals of a frozen model: token log-probs [N C], attention rows [L N C K], hidden states [N C D]."""
ANCHOR = "anchor"
"""Prefix of a parameter that stands for a signal of the model named by the term's keyword `against`."""


@dataclass(frozen=True)
class Signal:
    """Entry of SIGNALS. shape: axes of ral.types, such as "N C", or "" for a number or object. meaning: what the signal
    is, in words. origin: what computes the signal.
    """

    shape: str
    meaning: str
    origin: str


Place = Literal["true", "centre", "random", "shuffled"]
PLACES: tuple[str, ...] = get_args(Place)
"""Names of the places that stand for the evidence: the true one, and placebos (ral.learner.placebo)."""

LIVE, ROLLOUT, FROZEN, SCORED = "the update's own pass", "the rollout", "a pass without gradient", "a pass with a score"
PLACED = "passes that know places"
"""Origins of signals. SCORED: passes of reward models, which give no log-probs. PLACED: passes of algo=ral_oracle."""
MODELS = {
    "old": "the policy before any update on the rollout",
    "reference": "the frozen initial policy",
    "ema": "the moving average of the policy",
    "teacher": "the teacher",
    "view": "the policy before any update, shown the second view (algo.view)",
}
MASKED = frozenset({"masked_log_probs", "masked_hidden"})
"""Signals of one more forward pass in each update, over the second view of the prompts."""
KINDS = {
    "log_probs": ("N C", "log-probs of the response tokens by"),
    "rows": ("L N C K", "attention rows (Eq. 2) of"),
    "hidden": ("N C D", "states that predict each token, of"),
}

SIGNALS: Mapping[str, Signal] = {
    "log_probs": Signal("N C", "log-probs of the response tokens by the policy, with gradient", LIVE),
    "entropy": Signal("N C", "entropy of the policy's distribution, without gradient", LIVE),
    "attention": Signal("", "CapturedAttention of the policy, with gradient", LIVE),
    "hidden": Signal("N C D", "states of the policy that predict each token, with gradient", LIVE),
    "head": Signal("", "the policy's map from states to logits, with gradient", LIVE),
    "banned": Signal("V", "tokens that are never sampled", LIVE),
    "temperature": Signal("", "of the sampling distribution", LIVE),
    "advantages": Signal("N", "what algo.advantage makes of the rewards", ROLLOUT),
    "mask": Signal("N C", "response tokens that the policy sampled", ROLLOUT),
    "weights": Signal("N C", "what algo.aggregate makes of the mask: they sum to 1 over the whole batch", ROLLOUT),
    "group_size": Signal("", "responses to each prompt", ROLLOUT),
    "evidence": Signal(
        "N P", "visual tokens of the prompt inside the evidence, or its placebo (algo.evidence)", ROLLOUT
    ),
    "masked_log_probs": Signal("N C", "log-probs by the policy, shown the second view, with gradient", LIVE),
    "masked_hidden": Signal("N C D", "states of the policy, shown the second view, with gradient", LIVE),
    "sampler_log_probs": Signal("N C", "log-probs as the sampler saw them, under its noise", ROLLOUT),
    "sampler_rows": Signal("L N C K", "attention rows under the sampler's noise; only where it makes noise", ROLLOUT),
    "sampler_noise": Signal("L N C K", "the sampler's noise on attention logits; only where it is recorded", ROLLOUT),
    **{
        f"{model}_{kind}": Signal(shape, f"{words} {whose}", LIVE if model == "old" else FROZEN)
        for model, whose in MODELS.items()
        for kind, (shape, words) in KINDS.items()
    },
    **{
        f"{model}_head": Signal("", f"the map from states to logits of {whose}", FROZEN)
        for model, whose in MODELS.items()
        if model not in ("old", "view")
    },
    "view_head": Signal("", "the policy's map from states to logits, for view_hidden", LIVE),
    "scores": Signal("N", "one number for each response, with gradient; of a reward model alone", SCORED),
    "named": Signal("N C P", "visual tokens that a response token has to look at by the response's own words", PLACED),
}
"""Every signal by name; docs/method.md prints the table. A signal without a shape is a number or an object."""
OF_A_GROUP = frozenset({"group_size", "scores"})
"""Signals by which a term compares the responses to one prompt: its forward passes then hold whole groups."""
OF_A_POLICY = frozenset(name for name, signal in SIGNALS.items() if signal.origin not in (SCORED, PLACED))
"""Signals that the forward passes of a policy give (ral.learner.experience.Forward)."""


def asked(function: Callable[..., Any], bound: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names of a function's positional parameters (those before `*`), without those in `bound`.

    ValueError for a function without a signature.
    """
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in set(bound))


def resolved(names: Iterable[str], against: str) -> dict[str, str]:
    """Return {parameter: signal} for the parameters called `names`.

    A parameter asks for the signal of its own name; only anchor_x asks for x of the model `against`, such as old_x.
    """
    return {name: name.replace(f"{ANCHOR}_", f"{against}_", 1) if name.startswith(ANCHOR) else name for name in names}


def signal_names(term: Term) -> dict[str, str]:
    """Return {parameter: signal} of one term: its positional parameters, with anchor_* resolved by its `against`.

    A parameter that a partial binds by name is no signal. Of a partial, the signature of the wrapped function is read,
    because in the partial's own signature every parameter after a bound one is keyword-only.
    """
    function, bound = (term.func, term.keywords) if isinstance(term, partial) else (term, {})
    default = inspect.signature(function).parameters.get("against")
    model = bound.get("against", default.default if default else ANCHOR)
    return resolved(asked(function, bound), model)


def needed(terms: Iterable[Term]) -> frozenset[str]:
    """Return the names of all signals that the terms ask for."""
    return frozenset(signal for term in terms for signal in signal_names(term).values())


def frozen_needs(signals: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return {model: kinds} of the frozen signals among `signals`, such as {"reference": ("log_probs",)}."""
    wanted = set(signals)
    found = {m: tuple(k for k in FROZEN_KINDS if f"{m}_{k}" in wanted) for m in FROZEN_MODELS}
    return {model: kinds for model, kinds in found.items() if kinds}


def second_view(signals: Iterable[str]) -> bool:
    """Tell whether any of the signals comes from a pass over the second view of the prompts (algo.view)."""
    return any(name in MASKED or name.startswith("view_") for name in signals)


def evaluate(term: Term, signals: Mapping[str, Any]) -> Any:
    """Call a term with its signals; return its Loss. KeyError where `signals` lacks one."""
    return term(**{name: signals[signal] for name, signal in signal_names(term).items()})


def still_at_its_anchor(term: Term) -> Term:
    """Mark, and return, a loss term that is zero with zero gradient while the policy equals the term's comparison
    model.

    The comparison model is the one named by the keyword `against`, or the reference for a term without that keyword.
    The checks of a configuration read the mark: such a term learns nothing before the policy has moved.
    """
    vars(term)["still_at_its_anchor"] = True
    return term


def against_one_of(*models: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that records which models a term's keyword `against` may name, instead of old, reference, ema.

    The checks of a configuration read the record, the attribute `models` of the function.
    """

    def mark(term: Callable[..., Any]) -> Callable[..., Any]:
        vars(term)["models"] = models
        return term

    return mark


def compares(least: int = 1, batch: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for advantage functions that records below which size they return nothing but zeros.

    least: smallest number of responses in a group, and batch: smallest number in the whole batch, for which the
    function can return something else. The checks of a configuration read them.
    """

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        vars(function).update(least_group=least, least_batch=batch)
        return function

    return mark
