"""The command line of `scripts/reproduce.py`: key=value, each read into its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.study.plan import MAIN


@dataclass(frozen=True)
class Settings:
    """The command line. seeds, rows: None where it does not say."""

    tables: tuple[str, ...] = (MAIN,)
    rows: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    processes: int = 2
    output: Path = Path("outputs/reproduce")
    docs: bool = False
    resolution: bool = False


def number(key: str, text: str) -> int:
    """Read a whole number from 0 on."""
    if not text.isdecimal():
        raise UserError(f"{key}={text}: write a whole number from 0 on")
    return int(text)


def seed_list(text: str) -> tuple[int, ...]:
    """Return the seeds that `10`, `0-4` or `0,3` names."""
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
    """Read true or false."""
    if text not in ("true", "false"):
        raise UserError(f"{key}={text}: write {key}=true or {key}=false")
    return text == "true"


def names(text: str) -> tuple[str, ...]:
    """Split names at commas, or at semicolons where there is one."""
    return tuple(part.strip() for part in text.split(";" if ";" in text else ",") if part.strip())


READ: Mapping[str, Callable[[str], Any]] = {
    "tables": names,
    "rows": names,
    "seeds": seed_list,
    "processes": lambda text: number("processes", text),
    "output": Path,
    "docs": lambda text: flag("docs", text),
    "resolution": lambda text: flag("resolution", text),
}


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line. UserError names an unknown key and the possible ones."""
    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in READ:
            raise UserError(f"{argument}: unknown; write key=value with one of {', '.join(READ)} (--help says more)")
        given[key] = READ[key](value)
    return Settings(**given)
