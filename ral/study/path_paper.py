"""Claims about the table `path_paper`: the paper's claims (a), (b), (d), (e), (f) where every step must look.

(j) is (a): RAL, as published (rows of the token itself, lambda 1), is more accurate than GRPO.
(k) is (b): RAL is not below the student in a kind of question in which GRPO is. Without such a kind it does not apply.
(m) is (d): RAL without thinking beats the student, thinking and not thinking.
(n) is (e): attention distillation, as published, adds to token distillation.
(o) is (f): RAL has more grounding in the last layer than GRPO.
Each by the rule of its letter in the first study (ral.study.claims), on seeds that the table `path` has not; Holm's
correction is over the p that decide here. The gate of `path` has to hold, else none applies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ral.study.claims import Claim, corrected, never_below, to_the_evidence, without_thinking
from ral.study.path_claims import gate_text, less
from ral.study.path_gate import Rule
from ral.study.results import TableResult

PAPER = "path_paper"
"""Name of the table."""
LETTERS = ("j", "k", "m", "n", "o")


def judge_paper(result: TableResult, gate: Sequence[Rule] | None) -> list[Claim]:
    """Return the claims (j), (k), (m), (n), (o), their p-values corrected by Holm's rule.

    gate: the gate's rules with their values; None: not measured, so that no claim applies.
    """
    row = result.row("base")
    base = None if row is None else next(iter(row.runs.values()), None)
    passed = gate is not None and all(rule.kept for rule in gate)
    claims = [
        Claim("j", "RAL, as published, is more accurate than GRPO", (less(result, "ral", "grpo"),), gate_text(gate)),
        replace(never_below(result, base), letter="k"),
        replace(without_thinking(result, base), letter="m"),
        Claim("n", "Attention distillation adds to token distillation", (less(result, "ral_distill", "distill"),)),
        replace(to_the_evidence(result, base), letter="o"),
    ]
    return corrected([replace(claim, applies=claim.applies and passed) for claim in claims])
