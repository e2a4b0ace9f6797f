"""The present name of an object of this package, for a `_target_` that has the name of an earlier version."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ral.config.former import TARGETS

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this package."""
MOST = 3
"""No hint is given where more objects than this have the same name."""


def where_now(path: str) -> str:
    """Return '; it has moved: write x' for `path`, a dotted name of this package that does not exist; '' where no
    new name is known.
    """
    root, _, rest = path.partition(".")
    if root != PACKAGE.name:
        return ""
    known = TARGETS.get(path)
    module, _, name = rest.rpartition(".")
    everywhere = sorted(named(name))
    alike = [new for new in everywhere if module and new.endswith(f".{module.rpartition('.')[2]}.{name}")]
    found = [known] if known else alike or everywhere
    return f"; it has moved: write {' or '.join(found)}" if 0 < len(found) <= MOST else ""


def named(name: str) -> Iterator[str]:
    """Yield the dotted names of all public functions and classes of this package that are called `name`."""
    if not name or name.startswith("_"):
        return
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if f"def {name}(" not in text and f"class {name}" not in text:
            continue
        nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name]
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        yield from (".".join((*[p for p in parts if p != "__init__"], name)) for _ in nodes)
