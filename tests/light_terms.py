"""Terms and an advantage for the small configurations of tests: signatures alone, no torch."""

from __future__ import annotations

from ral.ops.signals import compares, still_at_its_anchor


def token(log_probs: object, anchor_log_probs: object, advantages: object, *, coef: float = 1.0, against: str = "old"):
    """Asks for log-probs and the advantage."""


@still_at_its_anchor
def look(attention: object, anchor_rows: object, advantages: object, *, coef: float = 1.0, against: str = "old"):
    """Zero where the policy is its anchor."""


def likelihood(log_probs: object, mask: object, *, coef: float = 1.0):
    """No advantage."""


def misspelt(log_prob: object, mask: object, *, coef: float = 1.0):
    """Asks for what there is not."""


def number_before_the_star(log_probs: object, scale: float = 1.0):
    """A number of yaml that looks like a signal."""


def scored(scores: object, mask: object, *, coef: float = 1.0):
    """Asks for what a reward model's pass alone gives."""


@compares(least=2)
def relative(rewards: object):
    """An advantage within the group."""


class Passes:
    """Passes that say what they offer."""

    offers = frozenset({"scores", "mask", "weights"})


class SilentPasses:
    """Passes that do not say."""
