"""Every mistake that scripts/mutation_check.py plants has one place in ral/ops; the script says if tests notice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_every_mutation_has_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import mutation_check

    texts = {path.stem: path.read_text() for path in (ROOT / "ral/ops").glob("*.py")}
    assert [m.what for m in mutation_check.MUTATIONS if texts[m.file].count(m.old) != 1] == []
    assert all(m.old != m.new for m in mutation_check.MUTATIONS)
    assert len({m.what for m in mutation_check.MUTATIONS}) == len(mutation_check.MUTATIONS)
    assert {path.stem for path in (ROOT / "tests").glob("test_ops_*.py")} >= {
        f"test_ops_{m.tests}" for m in mutation_check.MUTATIONS
    }
    sys.modules.pop("mutation_check")
