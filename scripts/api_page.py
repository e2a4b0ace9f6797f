"""Write the functions of `import ral` into docs/python.md, from their signatures and docstrings."""

from __future__ import annotations

import installed  # noqa: F401

import sys

from ral.checks.api_page import PAGE, written
from ral.errors import UserError


def main() -> None:
    """Write the page, or say in one line why not."""
    try:
        PAGE.write_text(written(), encoding="utf-8")
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"page: {PAGE}")


if __name__ == "__main__":
    main()
