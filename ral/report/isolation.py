"""Parts of a page made each by itself, so that what cannot be drawn is said and the rest stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ral.types import UserError

T = TypeVar("T")


def part(name: str, make: Callable[[], T], default: T, failures: list[str]) -> T:
    """Return the result of `make`; the default where it fails, with the reason among the failures."""
    try:
        return make()
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        failures.append(f"the {name} could not be drawn ({kind}{error})")
        return default
