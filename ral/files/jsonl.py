"""Files of one JSON object a line: metrics, records of evaluations, questions of benchmarks.

Datasets of a run, which may be of any size and shape, are read by ral.data.jsonfile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.errors import UserError


@dataclass(frozen=True)
class Line:
    """One line that is not blank.

    number: place of the line in its file, from 1. value: its JSON object; None where the line is none, and `problem`
    says why. ended: whether a line break follows; a line without one was cut off while it was written.
    """

    number: int
    value: dict[str, Any] | None
    problem: str = ""
    ended: bool = True


def parse(content: bytes) -> Iterator[Line]:
    """Yield the lines of a file's content in UTF-8 that are not blank. The last line may be cut within a character."""
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        ended = number < len(lines)
        try:
            value = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            yield Line(number, None, f"not valid JSON ({error})", ended)
            continue
        if isinstance(value, dict):
            yield Line(number, value, "", ended)
        else:
            yield Line(number, None, f"must be an object, is {type(value).__name__}", ended)


def read(path: Path, whole: bool = False) -> list[dict[str, Any]]:
    """Return the objects of a file, one a line; [] where there is no file. UserError for a line that is no JSON object.

    A last line that was cut off is left out; with `whole` it is an error too.
    """
    found = []
    for line in parse(path.read_bytes()) if path.is_file() else ():
        if line.value is not None:
            found.append(line.value)
        elif line.ended or whole:
            raise UserError(f"{path} line {line.number}: {line.problem}; mend or delete the line")
    return found


def readable(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, [] where there is no file; lines that are no JSON object are left out."""
    lines = parse(path.read_bytes()) if path.is_file() else ()
    return [line.value for line in lines if line.value is not None]
