"""The rule that refuses numbers outside of their ranges.

The ranges are those of this package's own functions and of torch's. Below any other `_target_` no number is checked
here: that code has its own checks. Rules on pairs of values stand in ral.config.ranges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ral.config.number_table import MOST, OURS, Range, plain, range_of
from ral.config.schema import Node
from ral.config.signature import AT_RUN_TIME, select, walk


def leaves(value: Any, key: str = "", ours: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of each leaf of `value`, but for those below a `_target_` that is none of OURS.

    key: the dotted key of `value` itself, "" for the whole configuration. ours: False where `value` lies below such a
    `_target_`.
    """
    if isinstance(value, Mapping):
        target = value.get("_target_")
        ours = target.startswith(OURS) if isinstance(target, str) else ours
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}" if key else str(name), ours)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, f"{key}[{index}]", ours)
    elif ours:
        yield key, value


def _is_kind(value: Any, found: Range) -> bool:
    """Tell whether a value is a number, and an integer (8.0 is one) where the range is of these."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not found.whole or float(value).is_integer()


def wrong_number(key: str, value: Any) -> str | None:
    """Return one line on a value that is out of its key's range or no number; None if it is right or the key has no
    range.

    An integer written as 8.0 passes: the schema checks whether the key takes it.
    """
    found = range_of(key)
    if found is None or value is None or value == AT_RUN_TIME or value in found.words:
        return None
    write = f"write {found}, such as {key}={plain(found.such_as)}"
    if not _is_kind(value, found):
        return f"{key}={value!r} has the wrong type: {'int' if found.whole else 'float'} expected; {write}"
    if not math.isfinite(value) and not found.holds(value):
        return f"{key}={value} is no finite number: {write}"
    if found.holds(value):
        return None
    small = value < found.least or (not found.holds(found.least) and value == found.least)
    if small:
        return f"{key}={value} is too small: {f'write {found.write}' if found.write else write}"
    most = f" (at most {MOST})" if found.most == MOST else ""
    return f"{key}={value} is too large: {write}{most}"


def wrong_numbers(tree: Node, typed: Node | None = None) -> Iterator[str]:
    """Yield a line for each number out of its range. tree: the configuration, resolved.

    typed: the configuration before resolution; None where it is not known. Keys that have a value of their own in it
    come first, before keys that refer to another key, so that the first line names the key that the user wrote.
    """
    wrong = [(key, line) for key, value in leaves(tree) if (line := wrong_number(key, value)) is not None]
    first = [key for key, _ in wrong if typed is None or _written(typed, key)]
    yield from (line for key, line in sorted(wrong, key=lambda found: found[0] not in first))


def _written(typed: Node, key: str) -> bool:
    """Tell whether a key has a value of its own, not an interpolation."""
    value = select(typed, re.sub(r"\[\d+\]", "", key))
    return value is not None and not (isinstance(value, str) and "${" in value)


def numbers_are_finite(cfg: Node) -> str | None:
    """Return one line on the first number that is NaN or infinite; None if all are finite. cfg: resolved.

    Infinity passes for a key whose range is `endless`.
    """
    for key, value in walk(cfg):
        found = range_of(key)
        endless = found is not None and found.endless and value == math.inf
        if isinstance(value, float) and not math.isfinite(value) and not endless:
            return f"{key}={value} is no finite number: write one that is"
    return None
