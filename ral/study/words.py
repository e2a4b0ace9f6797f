"""Numbers, tables and short sentences on the page of `scripts/reproduce.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ral.study.claims import ALPHA
from ral.study.facts import days, environment_of, machine, machines
from ral.study.results import Compared, Run
from ral.study.statistics import Interval, least_p

LEAST_P = 0.001  # below which a p-value is written as such
ANSWER_GROUNDING = "eval/grounding_answer"
"""Metric that newer runs have: their `eval/grounding` is measured where tokens are produced, in runs without this
metric at the tokens of the answer.
"""


def number(value: float, sign: str = "", digits: int = 1) -> str:
    """Return a number as text; "-" for NaN. sign: "+" writes the sign of positive numbers too. digits: decimals."""
    return "-" if math.isnan(value) else f"{value:{sign}.{digits}f}"


def percent(found: Interval | None, sign: str = "", digits: int = 1) -> str:
    """Return a mean with its interval as text, times 100; "-" for None.

    sign: "+" writes the sign of positive numbers too. digits: decimals. The interval is left out where it is NaN.
    """
    if found is None:
        return "-"
    if math.isnan(found.low):
        return number(100 * found.mean, sign, digits)
    mean, low, high = (number(100 * value, sign, digits) for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})"


def p_value(p: float) -> str:
    """Return a p-value with three decimals, or "<0.001"; "-" for NaN."""
    return "-" if math.isnan(p) else f"{p:.3f}" if p >= LEAST_P else f"<{LEAST_P}"


def grounding_words(answers: Sequence[str]) -> tuple[str, str]:
    """Return (a sentence on the questions that grounding covers, the name of the attention that it measures).

    answers: the names of the runs' metrics that begin with ANSWER_GROUNDING; empty for older runs, which lack them.
    """
    share = "questions, where the runs' records tell.\n"
    if answers:
        over = "Grounding is measured where the tokens that look hardest are produced (docs/metrics.md)"
        return f"{over}; `questions grounded` is the share of such {share}", "attention of the tokens that look hardest"
    over = "Grounding is over questions answered with an answer block alone"
    return f"{over}; `questions grounded` is their share of all {share}", "answer tokens' attention"


def machine_text(runs: Sequence[Run], here: Mapping[str, str]) -> str:
    """Return a sentence on the runs' machines and days.

    here: environment of the analysis; its machine is named where no run was made on it.
    """
    told = [environment_of(run) for run in runs]
    found = machines(told)
    if not found:
        return "Machine of the runs: not known."
    listed = "; and ".join(f"{name} ({n} runs)" if len(found) > 1 else name for name, n in found.items())
    other = "" if machine(here) in found else f" Analysed on: {machine(here) or 'not known'}."
    return f"Machine: {listed}; {days(told)}.{other}"


def small(p: float) -> str:
    """Return a probability with four decimals, or as a power of ten below 0.0001."""
    return f"{p:.4f}" if p >= LEAST_P / 10 else f"{p:.0e}"


def short(commit: str) -> str:
    """Return the first seven digits of a commit in backticks, with its suffix such as "+changes"."""
    return f"`{commit[:7]}{commit[40:]}`"


def attainable(found: Sequence[Compared | None]) -> str:
    """Return a sentence with the smallest p that Holm's correction over these comparisons can leave.

    None stands for a comparison with too few runs; it counts in the correction.
    """
    size, pairs = len(found), max((len(c.values) for c in found if c is not None), default=0)
    if not pairs:
        return "Too few runs for a test.\n"
    least = min(1.0, size * least_p(pairs))
    product = f"{size} x {small(least_p(pairs))}{f' = {small(least)}' if least < 1 else ', at most 1'}"
    text = f"{size} comparisons of up to {pairs} pairs: the smallest p that Holm's correction can leave is {product}"
    return f"{text}{'' if least < ALPHA else '; no comparison here can be significant after correction'}.\n"
