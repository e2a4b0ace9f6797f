"""A claim about the table `path_again`: what the table `path` showed by chance or by nature, on seeds of their own.

(i) RAL with noise on attention, on producing rows, beats GRPO, and the same noise on a layer where the oracle adds
nothing. In the table `path`, where it decided nothing, it was 2.2 points above GRPO (10 seeds, -0.0 to +4.5, p 0.045,
0.31 after Holm's correction over that table); no seed of that table is used. Two comparisons, `explore, previous` less
`grpo` and less `explore placebo`, by interval and p as in ral.study.claims, Holm's correction over these two alone.
Supported: both. Contradicted: one lies below 0. Inconclusive: everything else. The gate of `path` has to hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from ral.study.claims import Claim, corrected
from ral.study.path_claims import GRPO, gate_text, less
from ral.study.path_gate import Rule
from ral.study.results import TableResult

AGAIN = "path_again"
"""Name of the table."""
LETTERS = ("i",)
EXPLORE, PLACEBO = "explore, previous", "explore placebo"


def judge_again(result: TableResult, gate: Sequence[Rule] | None) -> list[Claim]:
    """Return claim (i), its p-values corrected by Holm's rule.

    gate: the gate's rules with their values; None: not measured.
    """
    passed = gate is not None and all(rule.kept for rule in gate)
    text = "RAL with noise on attention beats GRPO and its placebo where every step must look"
    comparisons = (less(result, EXPLORE, GRPO), less(result, EXPLORE, PLACEBO))
    return corrected([Claim("i", text, comparisons, gate_text(gate), applies=passed)])
