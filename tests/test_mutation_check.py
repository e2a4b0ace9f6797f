"""Every mistake that scripts/mutation_check.py plants has one place in the code, and tests that exist."""

from __future__ import annotations

from pathlib import Path

from ral.checks.mutations import mutations

ROOT = Path(__file__).resolve().parents[1]


def test_every_mutation_has_one_place_and_its_tests_exist() -> None:
    found = mutations()
    assert found
    assert [m.what for m in found if (ROOT / m.file).read_text().count(m.old) != 1] == []
    assert [m.what for m in found if m.old == m.new] == []
    assert sorted({part for m in found for part in m.tests.split() if not names_tests(part)}) == []


def names_tests(part: str) -> bool:
    """Tell whether a part of Mutation.tests is a file of tests, or a function in one: all of them are run together."""
    name, _, function = part.partition("::")
    path = ROOT / name
    return path.is_file() and (not function or f"\ndef {function.partition('[')[0]}(" in path.read_text())


def test_words_choose_by_list_file_and_description() -> None:
    assert {m.file for m in mutations(["ops/divergence"])} == {"ral/ops/divergence.py"}
    assert mutations(["no such word"]) == []
