"""Rewards on the shape of a response alone: its length, and how much it repeats itself."""

from __future__ import annotations

from typing import Literal

from ral.rewards.accuracy import accuracy
from ral.types import Example, UserError


def length_bonus(
    example: Example,
    response: str,
    *,
    shortest: int = 320,
    longest: int = 512,
    least_accuracy: float = 0.1,
    rules: Literal["fixed", "compat"] = "fixed",
) -> float:
    """Return 1.0 for a response of `shortest` to `longest` words whose accuracy is above `least_accuracy`, else 0.0.

    Video-R1 (arXiv 2503.21776), section 3.3, Eq. 5, adds 0.2 for this; here the weight of the part says how much it
    counts. Two deviations: lengths are words between white space, not tokens, because a reward sees text alone; and
    each response is judged by itself, so there is no rule that at least two responses of a group must be right.
    rules: those of `accuracy`. UserError unless 0 <= shortest <= longest.
    """
    if not 0 <= shortest <= longest:
        raise UserError(f"length_bonus: shortest={shortest} to longest={longest} is no range; write 0 <= both, ordered")
    if not shortest <= len(response.split()) <= longest:
        return 0.0
    return float(accuracy(example, response, rules=rules) > least_accuracy)


def repetition_penalty(example: Example, response: str, *, n: int = 4) -> float:
    """Return minus the share of repeated n-grams: 0.0 where every run of n words is new, near -1.0 for a loop.

    Yeo et al. (arXiv 2502.03373), appendix C.2, penalise repeated n-grams; this share is not in a paper: with u
    different runs of n words among all m of them the penalty is u / m - 1; responses shorter than n words have none.
    Case does not count; words are the text between white space. example: not read. UserError for n below 1.
    """
    if n < 1:
        raise UserError(f"repetition_penalty: n={n} must be at least 1 word")
    words = response.lower().split()
    runs = list(zip(*(words[i:] for i in range(n)), strict=False))
    return len(set(runs)) / len(runs) - 1.0 if runs else 0.0
