"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[object], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Return a Markdown table. The first `left` columns are aligned left, the others right, as numbers are."""
    rule = ["---"] * min(left, len(head)) + ["---:"] * max(len(head) - left, 0)
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in (head, rule, *rows))
