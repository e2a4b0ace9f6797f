"""The rows in a JSON value that is neither a list of entries nor one entry, such as columns or wrapped lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ral.errors import UserError

TEXTS = ("question", "problem", "answer", "solution", "prompt", "query", "instruction", "text", "chosen", "response")
CHATS = ("messages", "conversations", "conversation", "turns")
NAMES = {*TEXTS, *CHATS, "image", "images", "video", "videos", "path", "options", "problem_type", "reward_model"}
"""Names of fields by which a header or an entry is recognised."""
TURN = ({"role", "content"}, {"from", "value"})
FORM = "write an array of objects, or one object a line"
NO_ENTRIES = "has no entries; write at least one"
LISTED = 6  # keys that a message names
DEEPEST = 4  # objects within objects that are looked through


@dataclass(frozen=True)
class Shaped:
    """Rows, and the form in which they were found, in words such as "columns"."""

    rows: Sequence[Any]
    shape: str


class Unclear(Exception):
    """Raised where a known form has a fault. The message names both."""


def is_turns(value: object) -> bool:
    """Tell whether a value is a conversation: a list of objects that each have a speaker and a text."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and any(t <= v.keys() for t in TURN) for v in value)
    )


def is_entry(value: object) -> bool:
    """Tell whether a value is one entry.

    It is an object with a text under a known name, or with a conversation, and without a list of entries.
    """
    if not isinstance(value, dict):
        return False
    said = any(isinstance(value.get(name), str | int | float) for name in TEXTS)
    said = said or any(is_turns(value.get(name)) for name in (*CHATS, "prompt"))
    return said and not any(isinstance(held, list) and held and all(map(is_entry, held)) for held in value.values())


def shaped(value: Any, place: object, key: str | None = None) -> Shaped | None:
    """Return the rows in a JSON value; None where the value is one entry itself.

    place: the file that messages name. key: where the list to take stands, "a" or "a.b"; None to find it. UserError
    where there are no rows, several lists and no key, or a fault in the form of the rows, such as columns of different
    lengths.
    """
    try:
        if key is not None:
            return _named(value, key)
        if is_entry(value):
            return None
        found = _rows(value)
    except Unclear as error:
        raise UserError(f"{place}: {error}") from None
    if found is None and isinstance(value, dict) and NAMES.intersection(value):
        return None  # the parser of entries says what is wrong with it
    if found is None and (empty := _empty(value)):
        raise UserError(f"{place}: {empty}, and so {NO_ENTRIES}")
    if found is None:
        raise UserError(f"{place}: holds {described(value)}, and no entries are found in it; {FORM}")
    return found


def _empty(value: object) -> str:
    """Return where an empty list stands that should hold entries, in words; "" where something else is wrong."""
    if isinstance(value, list) and not any(value):
        return "holds an empty list" if not value else "holds nothing but empty lists"
    keys = [f"'{key}'" for key, held in value.items() if held == []] if isinstance(value, dict) else []
    return f"has nothing under {' and '.join(keys[:LISTED])}" if keys else ""


def described(value: object) -> str:
    """Return what a JSON value is, in words for messages."""
    if isinstance(value, dict):
        keys = ", ".join(list(map(str, value))[:LISTED])
        return f"one object with the keys {keys}" if value else "one empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    return f"one {'text' if isinstance(value, str) else 'value'} ({str(value)[:30]})"


def _named(value: Any, key: str) -> Shaped:
    """Return the rows under a key. Unclear where there are none."""
    held = value
    for name in key.split("."):
        if not isinstance(held, dict) or name not in held:
            raise Unclear(f"has no key '{key}'; {described(value)}")
        held = held[name]
    found = _rows(held)
    if found is None:
        raise Unclear(f"holds no list of entries under '{key}', but {described(held)}; {FORM}")
    return Shaped(found.rows, f"{found.shape} under '{key}'")


def _rows(value: Any, depth: int = 0) -> Shaped | None:
    """Return the rows in a list or an object; None where there are none."""
    if isinstance(value, list):
        return _of_list(value)
    if not isinstance(value, dict) or depth > DEEPEST:
        return None
    return _columns(value) or _frame(value) or _by_id(value) or _wrapped(value, depth)


def _of_list(value: list[Any]) -> Shaped | None:
    """Return the rows of a list of objects, cells below a header, conversations, or lists of objects; else None."""
    if value and all(isinstance(row, dict) for row in value):
        return Shaped(value, "a list of objects")
    if not value or not all(isinstance(row, list) and row for row in value):
        return None
    if all(map(is_turns, value)):
        name = "messages" if "role" in value[0][0] else "conversations"
        return Shaped([{name: row} for row in value], "a list of conversations")
    if all(isinstance(inner, dict) for row in value for inner in row):
        return Shaped([inner for row in value for inner in row], f"{len(value)} lists of objects in a list")
    if all(isinstance(name, str) for name in value[0]):
        return _below_header(value[0], value[1:])
    return None


def _below_header(header: Sequence[str], rows: Sequence[Any]) -> Shaped:
    """Return rows of cells as objects whose keys are the header. Unclear for rows of another length."""
    check_header(header)
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise Unclear(f"row {number} has {len(row)} cells, the header {len(header)}; write as many in each")
    return Shaped([dict(zip(header, row, strict=True)) for row in rows], "rows of cells below a header")


def check_header(header: Sequence[str]) -> None:
    """Raise Unclear where no column has a known name, or a name is missing or occurs twice."""
    shown = ", ".join(repr(name) for name in header[:LISTED])
    if not NAMES.intersection(header):
        write = "write the names of fields there, such as question, answer and image"
        raise Unclear(f"holds rows of cells, and the first row ({shown}) names no field; {write}")
    if len(set(header)) < len(header) or not all(header):
        raise Unclear(f"has a column without a name, or two of one name ({shown}); give each its own")


def _columns(value: Mapping[str, Any]) -> Shaped | None:
    """Return the rows of columns: {"question": [...], "answer": [...]}, or {row name: cell} in place of each list.

    None for anything else. Unclear for columns of different lengths, or a value that is no column.
    """
    known = [name for name in value if name in NAMES and isinstance(value[name], list | dict)]
    if not any(name in NAMES for name in TEXTS if name in known) and not {*CHATS, "reward_model"}.intersection(known):
        return None
    if all(isinstance(cells, dict) for cells in value.values()):
        return _cells_by_name(value)
    alone = [name for name, cells in value.items() if not isinstance(cells, list)]
    if alone:
        raise Unclear(
            f"holds columns ({', '.join(known)}), and '{alone[0]}' is none; write a list there, or take it out"
        )
    lengths = {name: len(cells) for name, cells in value.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise Unclear(f"holds columns of different lengths ({listed}); write as many cells in each")
    rows = [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    return Shaped(rows, "columns")


def _cells_by_name(value: Mapping[str, Mapping[str, Any]]) -> Shaped | None:
    """Return the rows of columns as pandas writes them by default: {"question": {"0": ..., "1": ...}, ...}.

    None where the cells are fields of an entry. Unclear where columns have different rows.
    """
    first = next(iter(value.values()))
    if NAMES.intersection(first):
        return None
    for name, cells in value.items():
        if cells.keys() != first.keys():
            raise Unclear(f"holds columns, and '{name}' has other rows than the first; write as many cells in each")
    return Shaped([{name: cells[row] for name, cells in value.items()} for row in first], "columns of named rows")


def _frame(value: Mapping[str, Any]) -> Shaped | None:
    """Return the rows of {"columns": [...], "data": [[...], ...]}, as pandas writes with orient="split"; else None."""
    header, rows = value.get("columns"), value.get("data")
    if not isinstance(header, list) or not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        return None
    return _below_header(header, rows)


def _by_id(value: Mapping[str, Any]) -> Shaped | None:
    """Return the rows of {"id": {entry}, ...}; else None. The key becomes the id of an entry without id."""
    if not value or NAMES.intersection(value) or not all(map(is_entry, value.values())):
        return None
    rows = [entry if entry.keys() & {"id", "problem_id"} else {"id": name, **entry} for name, entry in value.items()]
    return Shaped(rows, "objects by their ids")


def _wrapped(value: Mapping[str, Any], depth: int) -> Shaped | None:
    """Return the rows of the only list below the keys of an object; None where there is none.

    If only one of several lists holds entries alone, it is taken. Else Unclear where there are several.
    """
    found = {key: rows for key, held in value.items() if (rows := _below(held, depth + 1)) is not None}
    certain = {key: rows for key, rows in found.items() if all(map(is_entry, rows.rows))}
    if len(certain) == 1:
        found = certain
    if len(found) > 1:
        listed = ", ".join(f"'{key}' ({len(rows.rows)} rows)" for key, rows in list(found.items())[:LISTED])
        more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
        write = (
            f"write ::KEY behind the file's name, such as data.json::{max(found, key=lambda key: _likely(found[key]))}"
        )
        raise Unclear(f"is one object with several lists: {listed}{more}; {write}")
    if not found:
        return None
    ((key, rows),) = found.items()
    return Shaped(rows.rows, f"{rows.shape} under '{key}'")


def _likely(shaped: Shaped) -> tuple[bool, int]:
    """Return how likely rows are entries, for comparisons: (whether one has fields of entries; number of rows).

    Fields of entries may stand one object deeper.
    """
    held = [row for row in shaped.rows if isinstance(row, Mapping)]
    deeper = [inner for row in held for inner in row.values() if isinstance(inner, Mapping)]
    return any(NAMES.intersection(row) for row in (*held, *deeper)), len(shaped.rows)


def _below(held: Any, depth: int) -> Shaped | None:
    """Return the rows in a value below an object; None where there are none, or where it is a conversation."""
    if isinstance(held, list) and is_turns(held):
        return None
    return _rows(held, depth)
