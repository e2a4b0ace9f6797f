"""CSV and TSV files read as objects: the first row holds the names of the fields."""

from __future__ import annotations

import ast
import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ral.data.shapes import NAMES, NO_ENTRIES, Unclear, check_header
from ral.data.tables import GOLDS
from ral.errors import UserError

DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "CSV with bars"}
STRUCTURED = {"options", "choices", "image", "images", "video", "videos", "messages", "conversations", "prompt"}
"""Fields whose cells may hold a list or an object, written as JSON or as in Python."""
STRUCTURED |= {"evidence", "steps", "reward_model", "extra_info"}
"""Fields whose cells may hold a list or an object, as JSON or as Python writes it."""


_FLOAT = re.compile(r"-?\d+\.0")


def delimiter_of(path: Path) -> str:
    """Return the delimiter of DELIMITERS that occurs most often in a file's first line; "" where none does."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        line = file.readline()
    best = max(DELIMITERS, key=line.count)
    return best if best in line else ""


def names_fields(path: Path, delimiter: str) -> bool:
    """Tell whether the first line of a file holds the name of a known field (`ral.data.shapes.NAMES`)."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return bool(NAMES & {name.strip(' \t\r\n"') for name in file.readline().split(delimiter)})


def _cell(name: str, text: str) -> Any:
    """Return a cell as a JSON entry would have it: None where empty, a list or object in a field of STRUCTURED."""
    if not text.strip():
        return None
    if name in STRUCTURED and text.lstrip()[0] in "[{":
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return text


def rows_of(path: Path, text: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of `text`, a file in UTF-8, as {field: cell}. path: the file that messages name.

    An empty cell is None. A first column without a name that counts 0, 1, 2, ..., as pandas writes its index, is left
    out. UserError for a file without rows, a header without known fields, a row of another length, broken quotes, or
    bytes that are not UTF-8.
    """
    csv.field_size_limit(sys.maxsize)  # a cell may hold a picture
    with text.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(filter(None, reader), [])]
            if not any(header):
                raise UserError(f"{path}: {NO_ENTRIES}")
            index = header[0] == "" and "" not in header[1:]
            check_header(header[index:])
            whole = _whole(text, delimiter, header)
            for number, row in enumerate(filter(None, reader)):
                if len(row) != len(header):
                    problem = f"line {reader.line_num} has {len(row)} cells, the header {len(header)}"
                    raise UserError(
                        f"{path}: {problem}; write as many in each, with quotes around one that holds {delimiter!r}"
                    )
                if index and row[0] != str(number):
                    raise Unclear(f"line {reader.line_num}: its first column has no name and holds {row[0]!r}; name it")
                cells = dict(zip(header[index:], row[index:], strict=True))
                yield {name: _cell(name, _integer(cell) if name in whole else cell) for name, cell in cells.items()}
        except Unclear as error:
            raise UserError(f"{path}: {error}") from None
        except csv.Error as error:
            raise UserError(f"{path}: line {reader.line_num}: {error}; mend the quotes around its cells") from error
        except UnicodeDecodeError as error:
            line, byte = first_bad_byte(text)
            raise UserError(
                f"{path}: line {line}: byte 0x{byte:02x} is not UTF-8 text ({error.reason}); write the file as UTF-8"
            ) from error


def _whole(text: Path, delimiter: str, header: Sequence[str]) -> set[str]:
    """Return the columns of GOLDS whose filled cells are all written as floats of whole numbers, such as 2015.0.

    pandas writes a column of integers so where a cell is empty. None of them where the file cannot be read to its end,
    which is for its reader to say.
    """
    left = {place: name for place, name in enumerate(header) if name in GOLDS}
    filled: set[int] = set()
    with text.open(encoding="utf-8-sig", newline="") as file:
        rows = filter(None, csv.reader(file, delimiter=delimiter, strict=True))
        try:
            next(rows, None)
            for row in rows:
                there = {place for place in left if place < len(row) and row[place].strip()}
                filled |= there
                left = {p: name for p, name in left.items() if p not in there or _FLOAT.fullmatch(row[p].strip())}
                if not left:
                    break
        except (csv.Error, UnicodeDecodeError):
            return set()
    return {name for place, name in left.items() if place in filled}


def _integer(cell: str) -> str:
    return cell.strip().removesuffix(".0")


def first_bad_byte(path: Path) -> tuple[int, int]:
    """Return (number, byte) of the first line that is not UTF-8: its number, from 1, and the value of the wrong byte.

    AssertionError where the whole file is UTF-8.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, line[error.start]
    raise AssertionError(f"{path} is UTF-8")
