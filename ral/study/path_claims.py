"""Claims about the table `path`, on data in which every step must look: each with its rule, and the gate before them.

(g) Some attention term without teacher or evidence beats GRPO and its placebo, and collects at least half of what the
oracle adds. Two terms may show it, `ral, previous` and `look`, each by three comparisons over seeds: above GRPO and
above its placebo, by interval and p as in ral.study.claims; and above the middle of GRPO and the oracle, by the
interval alone, which may reach two points below it. Supported: one of them passes all three. Contradicted: the oracle
itself is above GRPO and its placebo, and each term's interval lies wholly below that middle. Inconclusive: everything
else.
(h) Where (g) holds, grounding step by step moves with accuracy across runs: the rank correlation over the rows of a
seed is above 0 by interval and p over seeds. Where (g) is not supported, (h) does not apply; the figure is shown.
Holm's correction is over these p alone. Where a rule of the gate is broken (ral.study.path_gate), neither applies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.stats import spearmanr

from ral.study.claims import CONTRADICTED, INCONCLUSIVE, MARGIN, NOT_APPLICABLE, SUPPORTED, Claim, Comparison, corrected
from ral.study.path_gate import Rule
from ral.study.results import ACCURACY, TableResult, compared, paired, values

PATH = "path"
"""Name of the table of these claims."""
LETTERS = ("g", "h")
GRPO, ORACLE, ORACLE_PLACEBO, STUDENT = "grpo", "oracle", "oracle placebo", "student"
WAYS = {"ral, previous": "ral placebo", "look": "look placebo"}
"""The terms that may show (g), each with its placebo: the same term on a layer where the oracle adds nothing."""
STEPS = "eval/grounding_steps_layer_3"
"""Grounding step by step in the last decoder layer of the shipped models."""
LEAST_ROWS = 4
"""Rows of a seed below which no rank correlation is taken."""
PER_WAY = 3
"""Comparisons of each way, the last of which is judged by the interval alone."""


@dataclass(frozen=True)
class SomeWay(Claim):
    """A claim that one way of several shows. comparisons: the oracle's two, then PER_WAY of each way."""

    @property
    def verdict(self) -> str:
        """Judge by the rule of (g)."""
        if not self.applies:
            return NOT_APPLICABLE
        each = [comparison.verdict for comparison in self.comparisons]
        oracle, ways = each[:2], [each[at : at + PER_WAY] for at in range(2, len(each), PER_WAY)]
        if any(set(way) == {SUPPORTED} for way in ways):
            return SUPPORTED
        refuted = set(oracle) == {SUPPORTED} and all(way[-1] == CONTRADICTED for way in ways)
        return CONTRADICTED if refuted else INCONCLUSIVE


def judge_path(result: TableResult, gate: Sequence[Rule] | None) -> list[Claim]:
    """Return claims (g) and (h), Holm's correction done. gate: the rules with their values; None: not measured."""
    note, passed = gate_text(gate), gate is not None and all(rule.kept for rule in gate)
    text = (
        "Some attention term without teacher or evidence beats GRPO and its placebo, and gets half of the oracle's gain"
    )
    comparisons = [less(result, ORACLE, GRPO), less(result, ORACLE, ORACLE_PLACEBO)]
    for label, placebo in WAYS.items():
        comparisons += [less(result, label, GRPO), less(result, label, placebo), half(result, label)]
    some = SomeWay("g", text, tuple(comparisons), note, applies=passed)
    moves = Claim(
        "h",
        "Where it does, grounding step by step moves with accuracy across runs",
        (Comparison("100 x rank correlation over the rows of a seed", compared(correlations(result))),),
        "It applies where (g) is supported; the correlation is of all trained rows, in the last layer.",
    )
    found = corrected([some, moves])
    return [found[0], replace(found[1], applies=found[0].verdict == SUPPORTED)]


def gate_text(gate: Sequence[Rule] | None) -> str:
    """Return a sentence on the gate: not measured, passed, or the rules that are broken."""
    if gate is None:
        return "The gate was not measured: without it no claim on these data is made."
    broken = [f"{rule.text} ({100 * rule.value:.1f}%)" for rule in gate if not rule.kept]
    listed = "; ".join(f"{rule.text}: {100 * rule.value:.1f}%" for rule in gate)
    return f"The gate is broken: {'; '.join(broken)}." if broken else f"The gate is passed: {listed}."


def of(result: TableResult, label: str, metric: str = ACCURACY) -> Mapping[int, float]:
    """Return {seed: the metric in the last evaluation} of a row; {} where the row has no runs."""
    row = result.row(label)
    return {} if row is None else values(row.runs, metric)


def less(result: TableResult, one: str, other: str) -> Comparison:
    """Return a row less another over common seeds."""
    return Comparison(f"{one} - {other}", compared(paired(of(result, one), of(result, other))))


def half(result: TableResult, label: str) -> Comparison:
    """Return a row less the middle of GRPO and the oracle."""
    grpo, oracle = of(result, GRPO), of(result, ORACLE)
    middle = {seed: (grpo[seed] + oracle[seed]) / 2 for seed in grpo.keys() & oracle.keys()}
    name = f"{label} - ({GRPO} + {ORACLE}) / 2"
    return Comparison(name, compared(paired(of(result, label), middle)), margin=MARGIN)


def correlations(result: TableResult) -> dict[int, float]:
    """Return Spearman's rank correlation of accuracy and grounding over the trained rows of each seed, {seed: -1 to 1}.

    Seeds with fewer than LEAST_ROWS rows, or with rows that are all alike, are left out.
    """
    rows = [row.row.label for row in result.full if row.row.label != STUDENT]
    accuracy, grounding = ({label: of(result, label, metric) for label in rows} for metric in (ACCURACY, STEPS))
    found = {}
    for seed in sorted({seed for own in accuracy.values() for seed in own}):
        both = [(accuracy[r][seed], grounding[r][seed]) for r in rows if seed in accuracy[r] and seed in grounding[r]]
        if len(both) >= LEAST_ROWS and all(len(set(column)) > 1 for column in zip(*both, strict=True)):
            found[seed] = float(spearmanr(*zip(*both, strict=True)).statistic)
    return found
