"""The block of a page of docs/ that `scripts/reproduce.py` replaces."""

from __future__ import annotations

from ral.errors import UserError

BEGIN, END = "<!-- reproduce:begin -->", "<!-- reproduce:end -->"


def replace_block(text: str, new: str, name: str) -> str:
    """Return a page's text with `new` between its two marks. UserError unless both marks are there, in order.

    name: file name of the page in docs/, for the error.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"docs/{name}: has no {BEGIN} followed by {END}")
    return f"{before}{BEGIN}\n\n{new.strip()}\n\n{END}{after}"
