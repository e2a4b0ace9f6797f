"""The paper's claims as comparisons of runs, each with a verdict by one stated rule.

Supported: the 95% interval of the mean difference lies above 0 and p after Holm's correction is below 0.05.
Contradicted: the interval lies below 0, and p likewise. Inconclusive: everything else. Holm's correction is over all
comparisons that decide a claim here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ral.report.reproduction import (
    GROUNDING,
    Compared,
    RowResult,
    Run,
    TableResult,
    compared,
    less,
    metric_names,
    paired,
    question_counts,
    values,
    with_holm,
)

ALPHA = 0.05  # p below it, after Holm's correction, decides
SUPPORTED, CONTRADICTED, INCONCLUSIVE = "supported", "contradicted", "inconclusive"
TYPE = "eval/accuracy_"
MEDIA = ("image", "video", "text")
Resolution = Mapping[str, Mapping[int, Mapping[int, float]]]
"""{row: {seed: {tokens or frames: accuracy}}}"""


@dataclass(frozen=True)
class Comparison:
    """A difference in words, what was found (None: too few runs), and whether it decides the claim."""

    name: str
    found: Compared | None
    decides: bool = True


@dataclass(frozen=True)
class Claim:
    """A claim in words, its comparisons, and what else there is to say."""

    letter: str
    text: str
    comparisons: tuple[Comparison, ...]
    note: str = ""

    @property
    def verdict(self) -> str:
        """By the rule: any contradiction contradicts; every deciding comparison must support."""
        each = [verdict(c.found) for c in self.comparisons if c.decides]
        if CONTRADICTED in each:
            return CONTRADICTED
        return SUPPORTED if each and set(each) == {SUPPORTED} else INCONCLUSIVE


def verdict(found: Compared | None) -> str:
    """The rule for one comparison."""
    if found is None or not found.corrected < ALPHA:
        return INCONCLUSIVE
    if found.mean.low > 0:
        return SUPPORTED
    return CONTRADICTED if found.mean.high < 0 else INCONCLUSIVE


def judge(main: TableResult, base: Run | None, tokens: Resolution, frames: Resolution) -> list[Claim]:
    """All claims, Holm's correction done. main: the table `main`; tokens, frames: of rows grpo and ral."""
    claims = [
        Claim("a", "RAL is more accurate than GRPO", (_pair(main, "ral", "grpo"),)),
        never_below(main, base),
        Claim("c", "RAL's lead grows with visual tokens", (grows(tokens, "visual tokens a picture"),)),
        Claim("c'", "RAL's lead grows with frames", (grows(frames, "frames of a clip"),)),
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
    """The claims with Holm's correction over all comparisons that decide one."""
    deciding = [c.found for claim in claims for c in claim.comparisons if c.decides]
    found = iter(with_holm(deciding))
    return [
        replace(
            claim,
            comparisons=tuple(replace(c, found=next(found)) if c.decides else c for c in claim.comparisons),
        )
        for claim in claims
    ]


def _runs(main: TableResult, label: str) -> Mapping[int, Run]:
    row: RowResult | None = main.row(label)
    return {} if row is None else row.runs


def _pair(main: TableResult, one: str, other: str, metric: str = "eval/accuracy", decides: bool = True) -> Comparison:
    """A row less another over common seeds."""
    found = compared(paired(values(_runs(main, one), metric), values(_runs(main, other), metric)))
    return Comparison(f"{one} - {other}{_of(metric)}", found, decides)


def _from(
    main: TableResult, label: str, run: Run | None, name: str, metric: str = "eval/accuracy", decides: bool = True
) -> Comparison:
    """A row less a run without randomness."""
    name = f"{label} - {name}{_of(metric)}"
    if run is None or metric not in run.last:
        return Comparison(name, None, decides)
    return Comparison(name, compared(less(values(_runs(main, label), metric), run.last[metric])), decides)


def _of(metric: str) -> str:
    """What is compared, where it is not accuracy."""
    return ", grounding" if metric == GROUNDING else ""


def never_below(main: TableResult, base: Run | None) -> Claim:
    """(b): in the types of question where GRPO's mean is below the shipped model's, RAL is not below it."""
    text = "RAL is not below the shipped model where GRPO is, by type of question"
    if base is None or not _runs(main, "grpo"):
        return Claim("b", text, (), "no runs of base or grpo")
    counts, found, below = question_counts(base), [], []
    for metric in metric_names(main, TYPE):
        kind, own = metric.removeprefix(TYPE), list(values(_runs(main, "grpo"), metric).values())
        if kind in MEDIA or metric not in base.last or sum(own) / len(own) >= base.last[metric]:
            continue
        below.append(f"{kind} ({counts.get(kind, 0)} questions)")
        ral, grpo = (_from(main, label, base, f"base, {kind}", metric, label == "ral") for label in ("ral", "grpo"))
        found += [ral, grpo]
    listed = ", ".join(below) or "no type"
    return Claim("b", text, tuple(found), f"GRPO's mean is below base in {listed}.")


def grows(found: Resolution, what: str) -> Comparison:
    """(c): (RAL - GRPO) at the largest value less that at the smallest, by seed."""
    ral, grpo = found.get("ral", {}), found.get("grpo", {})
    gaps: dict[int, float] = {}
    ends: set[int] = set()
    for seed in sorted(ral.keys() & grpo.keys()):
        common = sorted(ral[seed].keys() & grpo[seed].keys())
        if len(common) > 1:
            ends |= {common[0], common[-1]}
            low, high = (ral[seed][at] - grpo[seed][at] for at in (common[0], common[-1]))
            gaps[seed] = high - low
    at = f"{max(ends)} less that at {min(ends)} {what}" if ends else what
    return Comparison(f"(ral - grpo) at {at}", compared(gaps))


def without_thinking(main: TableResult, base: Run | None) -> Claim:
    """(d): RAL-zero against the shipped model decides, as that thinks and as it does not; against RAL is shown.

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
    """(f): grounding in the chosen layer."""
    comparisons = (
        _pair(main, "ral", "grpo", GROUNDING),
        _from(main, "ral", base, "base", GROUNDING, decides=False),
    )
    note = "Differences of `eval/grounding` (docs/metrics.md), the last layer's, in percentage points."
    return Claim("f", "RAL moves attention to the evidence, compared with GRPO", comparisons, note)
