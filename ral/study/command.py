"""The command line of `scripts/reproduce.py`: key=value, each parsed into its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.study.plan import MAIN


@dataclass(frozen=True)
class Settings:
    """Settings of the command line of `scripts/reproduce.py`.

    tables, rows: names of tables and labels of rows; rows None: all. seeds: None for each table's own. processes: runs
    at once; 0 runs nothing. output: folder of the runs and results. docs: whether pages of docs/ are written.
    resolution: whether trained models are evaluated at other resolutions. gate: whether the gates of the tables are
    measured and printed, and nothing is run.
    """

    tables: tuple[str, ...] = (MAIN,)
    rows: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    processes: int = 2
    output: Path = Path("outputs/reproduce")
    docs: bool = False
    resolution: bool = False
    gate: bool = False


def number(key: str, text: str) -> int:
    """Read a whole number from 0 on. UserError, naming `key`, for anything else."""
    if not text.isdecimal():
        raise UserError(f"{key}={text}: write a whole number from 0 on")
    return int(text)


def seed_list(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: `10` is 0 to 9, `0-4` a range, `0,3` a list.

    UserError where it names none, or a part is no whole number.
    """
    if "," in text:
        found = tuple(dict.fromkeys(number("seeds", part) for part in text.split(",") if part))
    elif "-" in text:
        first, _, last = text.partition("-")
        found = tuple(range(number("seeds", first), number("seeds", last) + 1))
    else:
        found = tuple(range(number("seeds", text)))
    if not found:
        raise UserError(f"seeds={text}: names no seed; write 10 (how many), 0-4 (a range) or 0,3 (a list)")
    return found


def flag(key: str, text: str) -> bool:
    """Read true or false. UserError, naming `key`, for anything else."""
    if text not in ("true", "false"):
        raise UserError(f"{key}={text}: write {key}=true or {key}=false")
    return text == "true"


def names(text: str) -> tuple[str, ...]:
    """Return the names in a text, split at semicolons where it has one, else at commas."""
    return tuple(part.strip() for part in text.split(";" if ";" in text else ",") if part.strip())


READ: Mapping[str, Callable[[str], Any]] = {
    "tables": names,
    "rows": names,
    "seeds": seed_list,
    "processes": lambda text: number("processes", text),
    "output": Path,
    "docs": lambda text: flag("docs", text),
    "resolution": lambda text: flag("resolution", text),
    "gate": lambda text: flag("gate", text),
}


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line. UserError for an unknown key, with the known ones, and for a value of the wrong type."""
    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in READ:
            raise UserError(f"{argument}: unknown; write key=value with one of {', '.join(READ)} (--help says more)")
        given[key] = READ[key](value)
    return Settings(**given)
