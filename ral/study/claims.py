"""The paper's claims as comparisons of runs, each with a verdict by one stated rule.

Supported: the 95% interval of the mean difference lies above 0 and p after Holm's correction is below 0.05.
Contradicted: the interval lies below 0, and p likewise. Inconclusive: everything else. Holm's correction is over the
fixed set of comparisons that decide a claim by p; one that cannot be made counts as p = 1.
Claim (b) is about not being lower, and has no p: supported where the interval lies above -MARGIN, contradicted where it
lies below 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ral.study.facts import grounded_share, question_counts
from ral.study.results import (
    GROUNDING,
    MEDIA,
    TYPE,
    Along,
    Compared,
    RowResult,
    Run,
    TableResult,
    by_type,
    compared,
    less,
    paired,
    values,
    with_holm,
)

ALPHA = 0.05  # p below it, after Holm's correction, decides
MARGIN = 0.02  # accuracy: RAL is "not below base" where its interval lies above minus this
SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
NOT_APPLICABLE = "does not apply"
AXES = {
    "tokens": ("visual tokens", "visual tokens a picture", "pictures"),
    "frames": ("frames", "frames of a clip", "clips"),
}
"""Axis of a table -> its name in a claim, its unit, and the kind of questions that decide."""
Resolution = Mapping[str, Mapping[int, Mapping[int, float]]]
"""{row: {seed: {tokens or frames: accuracy}}}"""


@dataclass(frozen=True)
class Comparison:
    """A difference of runs, named in words.

    found: its measurement; None for too few runs. decides: whether it decides the claim. margin: None where interval
    and p decide; else the interval alone decides, and may reach this far below 0.
    """

    name: str
    found: Compared | None
    decides: bool = True
    margin: float | None = None

    @property
    def tested(self) -> bool:
        """Tell whether p decides, so that Holm's correction counts the comparison."""
        return self.decides and self.margin is None

    @property
    def verdict(self) -> str:
        """Judge the comparison by its rule."""
        return verdict(self.found) if self.margin is None else not_below(self.found, self.margin)


@dataclass(frozen=True)
class Claim:
    """A claim in words, and its comparisons.

    note: remarks for the reader. applies: False where the case that the claim is about does not occur.
    """

    letter: str
    text: str
    comparisons: tuple[Comparison, ...]
    note: str = ""
    applies: bool = True

    @property
    def verdict(self) -> str:
        """Judge by the rule: any contradiction contradicts; every deciding comparison must support."""
        if not self.applies:
            return NOT_APPLICABLE
        each = [c.verdict for c in self.comparisons if c.decides]
        if CONTRADICTED in each:
            return CONTRADICTED
        return SUPPORTED if each and set(each) == {SUPPORTED} else INCONCLUSIVE


def verdict(found: Compared | None) -> str:
    """Return the verdict of one comparison by interval and corrected p; None, for too few runs, is inconclusive."""
    if found is None or not found.corrected < ALPHA:
        return INCONCLUSIVE
    if found.mean.low > 0:
        return SUPPORTED
    return CONTRADICTED if found.mean.high < 0 else INCONCLUSIVE


def not_below(found: Compared | None, margin: float) -> str:
    """Return the verdict on a claim that a mean difference is not below 0, from its 95% interval alone.

    CONTRADICTED where the interval lies below 0; else SUPPORTED where it lies above -margin; else INCONCLUSIVE, also
    where `found` is None. margin: tolerated loss, in the unit of the differences.
    """
    if found is None:
        return INCONCLUSIVE
    if found.mean.high < 0:
        return CONTRADICTED
    return SUPPORTED if found.mean.low > -margin else INCONCLUSIVE


def judge(
    main: TableResult, base: Run | None, reduced: Mapping[str, Resolution], trained: Mapping[str, Along]
) -> list[Claim]:
    """Return all claims, Holm's correction done.

    main: the table `main`. base: the shipped model's run, None where it is not done. reduced: {"tokens" or "frames":
    the accuracy of its grpo and ral runs on the same questions at fewer of them}. trained: {the same: runs that were
    trained at each number}.
    """
    claims = [
        Claim("a", "RAL is more accurate than GRPO", (_pair(main, "ral", "grpo"),)),
        never_below(main, base),
        lead_grows("c", "tokens", reduced, trained),
        lead_grows("c'", "frames", reduced, trained),
        without_thinking(main, base),
        Claim(
            "e",
            "Attention distillation adds to token distillation",
            (_pair(main, "ral_distill", "distill"),),
        ),
        to_the_evidence(main, base),
    ]
    return corrected(claims)


def corrected(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims with Holm's correction over all comparisons whose p decides one."""
    deciding = family(claims)
    found = iter(with_holm(deciding, len(deciding)))
    return [
        replace(
            claim,
            comparisons=tuple(replace(c, found=next(found)) if c.tested else c for c in claim.comparisons),
        )
        for claim in claims
    ]


def family(claims: Sequence[Claim]) -> list[Compared | None]:
    """Return the measurements that Holm's correction counts; None for those that could not be made."""
    return [c.found for claim in claims for c in claim.comparisons if c.tested]


def _runs(main: TableResult, label: str) -> Mapping[int, Run]:
    row: RowResult | None = main.row(label)
    return {} if row is None else row.runs


def _pair(main: TableResult, one: str, other: str, metric: str = "eval/accuracy", decides: bool = True) -> Comparison:
    """Return a row less another over common seeds."""
    found = compared(paired(values(_runs(main, one), metric), values(_runs(main, other), metric)))
    return Comparison(f"{one} - {other}{_of(metric)}", found, decides)


def _from(
    main: TableResult, label: str, run: Run | None, name: str, metric: str = "eval/accuracy", decides: bool = True
) -> Comparison:
    """Return a row less a run without randomness."""
    name = f"{label} - {name}{_of(metric)}"
    if run is None or metric not in run.last:
        return Comparison(name, None, decides)
    return Comparison(name, compared(less(values(_runs(main, label), metric), run.last[metric])), decides)


def _of(metric: str) -> str:
    """Return the metric for a comparison's name; "" for accuracy."""
    return ", grounding" if metric == GROUNDING else ""


def never_below(main: TableResult, base: Run | None) -> Claim:
    """Return claim (b): in the types of question where GRPO's interval lies below the shipped model, RAL's does not.

    base: the shipped model's run, None where it is not done.
    """
    text = "RAL is not below the shipped model where GRPO is, by type of question"
    metrics = [metric for metric in by_type(main) if metric.removeprefix(TYPE) not in MEDIA]
    grpo = {metric: _of_type(main, "grpo", base, metric) for metric in metrics}
    known = {metric: c for metric, c in grpo.items() if c.found is not None}
    if base is None or not known:
        return Claim("b", text, (), "Too few runs of base or grpo.")
    counts, found, below = question_counts(base), [], []
    for metric in (metric for metric, c in known.items() if c.found is not None and c.found.mean.high < 0):
        kind = metric.removeprefix(TYPE)
        below.append(f"{kind} ({counts.get(kind, 0)} questions)")
        ral = replace(_of_type(main, "ral", base, metric), margin=MARGIN)
        found += [ral, replace(grpo[metric], decides=False)]
    note = f"GRPO is below base, with its 95% interval wholly below 0, in {', '.join(below) or 'no type'}."
    return Claim("b", text, tuple(found), note, applies=bool(below))


def _of_type(main: TableResult, label: str, base: Run | None, metric: str) -> Comparison:
    return _from(main, label, base, f"base, {metric.removeprefix(TYPE)}", metric)


def lead_grows(letter: str, axis: str, reduced: Mapping[str, Resolution], trained: Mapping[str, Along]) -> Claim:
    """Return claim (c) or (c'): runs trained on few and on many decide; fewer in evaluation alone is only shown.

    The latter are runs of the table `main`, at a rate where RAL's runs are nearly GRPO's, and so can show no growth.
    letter, axis: "c" with "tokens", or "c'" with "frames". reduced, trained: as in `judge`.
    """
    what, unit, questions = AXES[axis]
    own = trained.get(axis)
    rate = f"{unit}, trained on them, questions on {questions}"
    grown = Comparison(f"(ral - grpo), {rate}", None) if own is None else grows(own.found, rate, own.ends)
    fewer = grows(reduced.get(axis, {}), f"{unit}, fewer in evaluation alone, all questions")
    note = f"Runs at each number: the table `{own.table}`." if own else ""
    return Claim(letter, f"RAL's lead grows with {what}", (grown, replace(fewer, decides=False)), note)


def grows(found: Resolution, what: str, between: tuple[int, int] | None = None) -> Comparison:
    """Return the comparison of claims (c), (c'): (ral - grpo) at the larger of two values less that at the smaller.

    found: {row: {seed: {value: accuracy}}}; differences are by seed. what: the unit of the values, for its name.
    between: the two values, also where some have no runs; None: the smallest and the largest of all seeds.
    """
    ral, grpo = found.get("ral", {}), found.get("grpo", {})
    at = sorted(set(between or (value for own in (*ral.values(), *grpo.values()) for value in own)))
    if len(at) < 2:
        return Comparison(f"(ral - grpo), {what}", None)
    ends, seeds = {at[0], at[-1]}, ral.keys() | grpo.keys()
    whole = [seed for seed in sorted(seeds) if ends <= ral.get(seed, {}).keys() & grpo.get(seed, {}).keys()]
    gaps = {seed: (ral[seed][at[-1]] - grpo[seed][at[-1]]) - (ral[seed][at[0]] - grpo[seed][at[0]]) for seed in whole}
    left = f" ({len(seeds) - len(gaps)} seeds without both left out)" if len(gaps) < len(seeds) else ""
    return Comparison(f"(ral - grpo) at {at[-1]} less that at {at[0]} {what}{left}", compared(gaps))


def without_thinking(main: TableResult, base: Run | None) -> Claim:
    """Return claim (d): RAL-zero against the shipped model, thinking and not, decides; against RAL is shown.

    Not thinking alone may change the accuracy, so a gain over base alone would not be RAL's.
    """
    zero = next(iter(_runs(main, "base_zero").values()), None)
    comparisons = (
        _from(main, "ral_zero", base, "base"),
        _from(main, "ral_zero", zero, "base_zero"),
        _pair(main, "ral_zero", "ral", decides=False),
    )
    note = "base_zero is the shipped model asked not to think, as RAL-zero is."
    return Claim(
        "d", "RAL works without thinking: RAL-zero beats the shipped model, thinking or not", comparisons, note
    )


def to_the_evidence(main: TableResult, base: Run | None) -> Claim:
    """Return claim (f): RAL has more grounding, in the last layer, than GRPO.

    base: the shipped model's run, None where it is not done.
    """
    comparisons = (
        _pair(main, "ral", "grpo", GROUNDING),
        _from(main, "ral", base, "base", GROUNDING, decides=False),
    )
    known = {label: grounded_share(_runs(main, label).values()) for label in ("ral", "grpo", "base")}
    shares = ", ".join(f"{k} not known" if share is None else f"{k} {100 * share:.1f}%" for k, share in known.items())
    note = (
        "Differences of `eval/grounding` (docs/metrics.md), the last layer's, in percentage points. Older runs hold "
        f"under this name what is `eval/grounding_answer` now. Share of the questions that it is known of: {shares}."
    )
    return Claim("f", "RAL moves attention to the evidence, compared with GRPO", comparisons, note)
