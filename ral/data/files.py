"""A file of entries in any of its formats: JSON of many kinds, CSV, parquet, compressed or not.

A large file is read in place: only an index of where its entries lie is held. A file that is compressed, in another
encoding, or no list of entries is copied once, as JSON lines, to a folder of unpacked files.
"""

from __future__ import annotations

import codecs
import difflib
import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ral.data import delimited, unpacked
from ral.data.bad import BadSample
from ral.data.entries import FileRows
from ral.data.fields import shown
from ral.data.json_spans import ARRAY, FORM, HELD, LARGEST_ENTRY, TRIED
from ral.data.jsonfile import JsonFile, open_json, stamp
from ral.data.jsontext import Unreadable, is_object, long_number, parsed
from ral.data.shapes import shaped
from ral.data.sniff import Kind, kind_of_file
from ral.data.tables import EMPTY, TableRows, is_table, open_table
from ral.errors import UserWarned
from ral.types import UserError

UNPACKED = Path("outputs/data/unpacked")
LARGEST_WHOLE = 2**29  # bytes of JSON that are read at once where the entries are not simply one after another
TABLES = {".csv", ".tsv", ".psv"}
WRAPPED = re.compile(r'\s*\{\s*"[^"]*"\s*:\s*[\[{]')  # an object, and the beginning of its first value
KEY = "::"  # between a file's name and the key of a list in it
NAMED = {str: "texts", int: "numbers", float: "numbers", list: "lists", bool: "truth values"}
LISTED = 3  # files that a message names


def located(path: str | Path) -> Path:
    """Return a path with ~ and file:// resolved. UserError for an address that is not on this machine."""
    text = str(path)
    remote = re.match(r"([a-z][a-z0-9+.-]+):/", text)
    if remote and remote[1] == "file":
        return Path("/" + unquote(text.removeprefix("file:").lstrip("/")))
    if remote and len(remote[1]) > 1:
        raise UserError(f"{text}: is an address, and data are read from disk; fetch it, and write the path of the file")
    return Path(text).expanduser()


def _keyed(path: Path) -> tuple[Path, str | None]:
    """Return the file that a path names, and the key behind "::"; None where it has none."""
    name, separator, key = str(path).rpartition(KEY)
    return (path, None) if not separator or path.exists() else (Path(name), key)


def _check_there(path: Path) -> None:
    """Raise UserError, with the likely spelling, unless a path is a file or a table."""
    if path.is_file() or (path.is_dir() and is_table(path)):
        return
    if path.is_dir():
        found = sorted(file.name for file in path.iterdir() if file.is_file())[:LISTED]
        has = f"has {', '.join(found)}" if found else "has no files"
        raise UserError(f"{path}: is a folder that holds no dataset ({has}); write the path of a file of entries")
    if path.exists():
        again = "entries are read again and again: write them to a file (> data.jsonl), and name that file"
        raise UserError(f"{path}: is a pipe or a device, which can be read once, and {again}")
    near = next((folder for folder in path.parents if folder.is_dir()), Path("."))
    missing = path.relative_to(near).parts[0] if near in path.parents else path.name
    try:
        alike = difflib.get_close_matches(missing, [found.name for found in near.iterdir()], 1)
    except OSError:
        alike = []
    meant = f"did you mean {near / alike[0]}?" if alike else "write the path of a JSON or JSON lines file"
    raise UserError(f"{path}: no such file; {meant}")


def open_rows(path: Path, folder: Path = UNPACKED) -> FileRows:
    """Return the raw entries of a file, or of a table on disk.

    path: may end in ::KEY, or ::KEY.KEY, to take one list within an object, as in data.json::train. folder: folder for
    unpacked copies and for media that are stored as bytes. UserError for a file that is missing, unreadable, empty, cut
    off or of no known format.
    """
    file, _ = _keyed(path)
    _check_there(file)
    try:
        return _opened(path, stamp(file), folder)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


@lru_cache(maxsize=4)  # the splits of a run lie in one file
def _opened(path: Path, stamp: tuple[int, int], folder: Path) -> FileRows:
    file, key = _keyed(path)
    if is_table(file):
        return _table(file, folder)
    text, how = _as_text(file, folder)
    return _text_rows(file, text, how, key, folder)


def _table(path: Path, folder: Path) -> TableRows:
    """Return the rows of a table, all columns under their own names.

    UserError where the table has splits or no rows, and as `open_table`.
    """
    table, shape = open_table(path)
    if isinstance(table, Mapping):
        raise UserError(f"{path}: holds the splits {', '.join(table)}; write dataset=hf, which knows of splits")
    if not len(table):
        raise UserError(f"{path}: {EMPTY}")
    return TableRows(table, path, shape, {name: name for name in table.column_names}, folder)


def _as_text(path: Path, folder: Path) -> tuple[Path, str]:
    """Return (the file or a decompressed copy of it in UTF-8, a note on the conversion such as ", gzip")."""
    text, how = path, ""
    while packed := (kind := _kind(text, path)).packed:
        text, how = unpacked.decompressed(folder, text, packed), f"{how}, {packed}"
    if kind.table:
        raise UserError(f"{path}: is a table within a compressed file; decompress it")
    if kind.encoding != "utf-8":
        text, how = unpacked.recoded(folder, path, text, kind.encoding), f"{how}, {kind.encoding}"
    return text, how


def _kind(text: Path, path: Path) -> Kind:
    """Return the kind of a file. UserError where it cannot be read; it is then deleted if it is a copy of `path`."""
    try:
        return kind_of_file(text, path)
    except UserError:
        if text != path:
            text.unlink(missing_ok=True)
        raise


def _begins_as_json(text: Path) -> bool:
    """Tell whether the first character is "[" or "{", not counting blanks and commas."""
    with text.open("rb") as file:
        return file.read(2**16).decode("utf-8", "replace").lstrip("\ufeff \t\r\n,")[:1] in ("[", "{")


def _text_rows(path: Path, text: Path, how: str, key: str | None, folder: Path) -> FileRows:
    """Return the entries of a text in UTF-8. how: conversions that made the text, for the format in words."""
    delimiter = None if _begins_as_json(text) else _delimiter(path, text)
    if delimiter:
        shape, rows = delimited.DELIMITERS[delimiter], delimited.rows_of(path, text, delimiter)
        lines = unpacked.as_lines(folder, text, f"lines of {shape}", rows)
        return open_json(path, lines, shape + how)
    whole = _whole(path, text) if key else _wrapped(path, text)
    if whole is None:
        simple = open_json(path, text)
        first = simple.first()
        if not isinstance(first, list) and (len(simple) > 1 or simple.shape == ARRAY):
            _check_objects(simple)
            return replace(simple, shape=simple.shape + how)
        whole = _whole(path, text)
    found = shaped(whole, path, key)
    if found is None:
        return replace(open_json(path, text), shape=f"one JSON object{how}")
    lines = unpacked.as_lines(folder, text, f"lines of {key}", found.rows)
    return open_json(path, lines, found.shape + how)


def _check_objects(rows: JsonFile) -> None:
    """Raise UserError where none of the first entries is an object."""
    read = []
    for index in range(min(TRIED, len(rows))):
        with suppress(BadSample):
            read.append(rows.row(index))
    if read and not any(isinstance(value, dict) for value in read):
        kinds = " and ".join(sorted({NAMED.get(type(value), "values") for value in read}))
        write = 'write an object for each entry, such as {"question": "...", "answer": "...", "image": "..."}'
        raise UserError(f"{rows.path}: holds {kinds} such as {shown(read[0])}, and no entries; {write}")


def _delimiter(path: Path, text: Path) -> str:
    """Return the delimiter of a CSV file of any kind; "" for any other file."""
    found = delimited.delimiter_of(text)
    suffixes = {suffix.lower() for suffix in path.suffixes[-2:]}
    return (found or ",") if suffixes & TABLES or (found and delimited.names_fields(text, found)) else ""


def _wrapped(path: Path, text: Path) -> Any:
    """Return the value of a large file that is one object around its entries; None for any other file."""
    size = text.stat().st_size
    if size <= HELD:
        return None
    with text.open("rb") as file:
        first = file.readline(LARGEST_ENTRY)
    if not WRAPPED.match(first.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")):
        return None
    if len(first) < size and is_object(first.decode("utf-8", "replace")):
        return None
    try:
        return _whole(path, text)
    except UserError:
        if size > LARGEST_WHOLE:
            raise
        return None  # objects one after another, or a first line that is broken


def _whole(path: Path, text: Path) -> Any:
    """Return the whole content of a file as one value. UserError where it is too large, or not JSON."""
    size = text.stat().st_size
    if size > LARGEST_WHOLE:
        large = f"{size / 2**30:.1f} GB, and only up to {LARGEST_WHOLE / 2**30:.1f} are read that way"
        raise UserError(f"{path}: is one object around its entries, of {large}; {FORM} (jq -c '.data[]' does it)")
    try:
        return parsed(text.read_bytes())
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}; {FORM}"
        ) from error
    except Unreadable as error:
        raise UserError(f"{path}: {error}{_line_of_long_number(text)}; {error.write}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}; {FORM}") from error


def _line_of_long_number(text: Path) -> str:
    """Return where a file has a number that is too long, in words for a message; "" where it has none."""
    with text.open("rb") as file:
        number = next((number for number, line in enumerate(file, start=1) if long_number(line)), None)
    return "" if number is None else f" (line {number} of the file)"


def warn_of_shared(training: FileRows, part: range, held_out: FileRows) -> None:
    """Warn, in one line, where entries of the held-out file also stand at the positions `part` of the training file.

    The bytes of entries of two JSON files are compared. Nothing is done for tables, or where both are the same file.
    """
    if training is held_out or not isinstance(training, JsonFile) or not isinstance(held_out, JsonFile):
        return
    wanted = Counter(held_out.contents(range(len(held_out))))
    shared = sum(wanted.pop(content, 0) for content in training.contents(part))
    if shared:
        known = f"{shared} of its {len(held_out)} entries also stand in {training.path}, which is trained on"
        warnings.warn(f"{held_out.path}: {known}: nothing measured on them is held out", UserWarned, stacklevel=2)
