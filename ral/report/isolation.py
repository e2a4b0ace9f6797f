"""Parts of a page that are made independently: one that fails leaves a note, and the others stand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ral.types import UserError

T = TypeVar("T")


def part(name: str, make: Callable[[], T], default: T, failures: list[str]) -> T:
    """Return the result of `make`; where it raises, the default, and a line is added to `failures`."""
    try:
        return make()
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        failures.append(f"the {name} could not be drawn ({kind}{error})")
        return default
