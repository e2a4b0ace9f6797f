"""Parts of a page that are made one by one: a part that fails leaves a note, and the others are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ral.types import UserError

T = TypeVar("T")


def part(name: str, make: Callable[[], T], default: T, failures: list[str]) -> T:
    """Return make(). Where it raises, return `default` and add a line on the part `name` to `failures`."""
    try:
        return make()
    except Exception as error:
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        failures.append(f"the {name} could not be drawn ({kind}{error})")
        return default
