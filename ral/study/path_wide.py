"""Claims about the tables `path_tokens` and `path_length`: the paper's claim (c) where every step must look.

(p) RAL's lead over GRPO grows with visual tokens: RAL less GRPO of the same seed, on pictures of 1,024 visual tokens
less that on pictures of 16, routes of 3 steps.
(q) RAL's lead over GRPO grows with the length of the route: the same on routes of 8 steps less that on routes of 2,
pictures of 16 visual tokens.
RAL is as published (rows of the token itself, lambda 1). Runs are trained and evaluated on the one number, on seeds
that no other table has (40 to 49); 256 visual tokens and 5 steps are shown and decide nothing. Each claim by interval
and p as in ral.study.claims, Holm's correction over these two p alone. Supported: the interval lies above 0.
Contradicted: it lies below 0. Inconclusive: everything else.
The oracle at both ends tells whether there was room: an end at which the interval of the oracle less GRPO does not lie
above 0 had none. The claim's note says so; no verdict depends on it.
The models are a pair of their own, and so is their gate: the rules of ral.study.path_gate on boards of seed 32, which
no run has, at both ends of both axes. Where one of them is broken at an end of a claim's axis, that claim does not
apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ral.study.claims import Claim, Comparison, corrected, grows
from ral.study.path_claims import gate_text, less
from ral.study.path_gate import Gate, Rule
from ral.study.results import TableResult, along

TOKENS, LENGTH = "path_tokens", "path_length"
"""Names of the tables."""
LETTERS = ("p", "q")
EXPERIMENT = "path_wide"
"""Experiment of all rows."""
ENDS = {TOKENS: (16, 1024), LENGTH: (2, 8)}
"""The least and the greatest number of each table, between which its claim is judged."""
TEACHER, STUDENT = "assets/path_wide_teacher", "assets/path_wide_student"
BOARDS = 32  # seed of the gate's data
BATCH = 16  # entries that the gate reads at once: pictures of 1,024 visual tokens are large
MEASURED: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    TOKENS: {"16 visual tokens": {"zoom": 1}, "1024 visual tokens": {"zoom": 8}},
    LENGTH: {"2 steps": {"shortest": 2, "longest": 2}, "8 steps": {"shortest": 8, "longest": 8}},
}
"""{table: {data that its gate is measured on: their settings in dataset.source}}; the others are the experiment's."""


def wide_gate(settings: Mapping[str, Any]) -> Gate:
    """Return the gate of the wide models. settings: {dotted key: value} of the dataset of EXPERIMENT."""
    data = {}
    for name, own in {**MEASURED[TOKENS], **MEASURED[LENGTH]}.items():
        path = f"{settings['dataset.path']}_gate_{name.replace(' ', '_')}"
        chosen = {"dataset.path": path} | {f"dataset.source.{k}": v for k, v in ({"seed": BOARDS} | dict(own)).items()}
        data[name] = dict(settings) | chosen
    return Gate(TEACHER, STUDENT, data, BATCH)


def judge_wide(results: Mapping[str, TableResult], gate: Sequence[Rule] | None) -> list[Claim]:
    """Return the claims (p) and (q), their p-values corrected by Holm's rule.

    results: {table: its results}; a table without runs may be left out. gate: the rules of `wide_gate` with their
    values; None: not measured, so that no claim applies.
    """
    tokens = grown("p", "RAL's lead over GRPO grows with visual tokens", results.get(TOKENS), "visual tokens")
    length = grown("q", "RAL's lead over GRPO grows with the length of the route", results.get(LENGTH), "steps")
    return corrected([gated(tokens, of_axis(gate, TOKENS)), gated(length, of_axis(gate, LENGTH))])


def of_axis(gate: Sequence[Rule] | None, table: str) -> list[Rule] | None:
    """Return the rules of a gate that were measured at the ends of a table's axis; None where none was."""
    names = tuple(f"{name}: " for name in MEASURED[table])
    own = [rule for rule in gate or () if rule.text.startswith(names)]
    return own or None


def gated(claim: Claim, gate: Sequence[Rule] | None) -> Claim:
    """Return a claim that applies only where all rules of its gate are kept, with a sentence on them in its note."""
    passed = gate is not None and all(rule.kept for rule in gate)
    return replace(claim, applies=passed, note=f"{gate_text(gate)} {claim.note}".strip())


def grown(letter: str, text: str, result: TableResult | None, unit: str) -> Claim:
    """Return a claim on the growth of RAL's lead between the ends of a table; the oracle's comparisons decide nothing.

    result: None where the table has no runs. unit: of the table's numbers.
    """
    if result is None:
        return Claim(letter, text, (Comparison(f"(ral - grpo), {unit}", None),))
    ends = ENDS[result.table.name]
    oracle = [replace(less(result, f"oracle, {end}", f"grpo, {end}"), decides=False) for end in ends]
    return Claim(letter, text, (grows(along(result).found, unit, ends), *oracle), room(oracle))


def room(oracle: Sequence[Comparison]) -> str:
    """Return a sentence on where the oracle shows room for a term on attention. oracle: its comparison at each end."""
    known = [comparison for comparison in oracle if comparison.found is not None]
    without = [c.name for c in known if c.found is not None and not c.found.mean.low > 0]
    if len(known) < len(oracle):
        return "Whether there was room is not known: the oracle has too few runs."
    if len(without) == len(oracle):
        return "There was no room at either end: the oracle is not above GRPO."
    return f"There was no room at one end: {without[0]} is not above 0." if without else "There was room at both ends."
