"""Tables on disk: parquet, arrow files, folders of `save_to_disk`. A row becomes a raw entry when asked for.

Media that lie in a row as bytes are then written to a folder, named after their content, so that other modules deal
with files alone. Labels become their names, dates become text.
"""

from __future__ import annotations

import json
import logging
import re
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cached_property, partial
from math import isnan
from pathlib import Path
from typing import Any

from ral.data.bad import BadSample
from ral.data.names import IDS
from ral.data.sniff import kind_of_file
from ral.files.hashed import store
from ral.types import UserError

SPLIT_WORDS = {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}
SHARD = re.compile(r"(.+?)-\d+-of-\d+")  # SPLIT-00000-of-00002.parquet, as the hub names its files
MEDIA_FIELDS = ("image", "images", "video", "videos", "path")
ROWS_AT_ONCE = 1000  # whose ids are read together
EMPTY = "has no rows; write at least one"
LONGEST_REASON = 200  # characters
GOLDS = frozenset({"answer", "solution", "completion", *string.ascii_uppercase[:10], *string.ascii_lowercase[:10]})
"""Fields whose column of floats is one of integers where all of its values are whole, as pandas writes gaps."""
NO_ROWS = "corresponds to no data"  # what datasets says of a parquet file without rows
STORED = {"bytes", "path"}  # keys of a medium as datasets stores it


def plain(value: Any, feature: Any) -> Any:
    """Return a value of a table, converted to types of JSON; bytes stay bytes.

    Labels become their names (negative ones None); dates and times become ISO text, decimals and durations text; text
    of a column of type Json is parsed. Lists and dicts are converted item by item. feature: the column's type in
    `datasets`; None where it is unknown. ValueError for a label beyond the names, and for text that is no JSON.
    """
    kind = type(feature).__name__
    if value is None:
        return None
    if kind == "ClassLabel":
        if value >= len(feature.names):
            raise ValueError(f"label {value}, and there are {len(feature.names)} names of labels")
        return feature.names[value] if value >= 0 else None
    if kind == "Json" and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, list):
        inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
        return [plain(item, inner) for item in value]
    if isinstance(value, dict):
        return {
            key: plain(item, feature.get(key) if isinstance(feature, dict) else None) for key, item in value.items()
        }
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | timedelta) else value


class TableRows:
    """The rows of a `datasets.Dataset` as raw entries. fields: {field of the entry: column that holds it}.

    path, shape: the table's path and, in words, its format, for messages. unpacked: folder for media that are stored as
    bytes.
    """

    def __init__(self, table: Any, path: Path, shape: str, fields: Mapping[str, str], unpacked: Path) -> None:
        self.table, self.path, self.shape, self.fields = table.with_format("arrow"), path, shape, fields
        self.features, self.unpacked = dict(table.features), unpacked

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> dict[str, Any]:
        """Return the row at a position, from 0, with its media as paths. BadSample where it cannot be read."""
        place = f"{self.path}: entry {index + 1}"
        try:
            (raw,) = self.table[index : index + 1].to_pylist()
            found = {field: plain(raw[column], self.features.get(column)) for field, column in self.fields.items()}
            found |= {
                field: int(found[field])
                for field in self._whole
                if found[field] is not None and not isnan(found[field])
            }
        except (OSError, ValueError) as error:  # pyarrow's own errors are among these
            raise BadSample(place, f"unreadable row ({error})", "fetch the file again") from error
        if not any(field in MEDIA_FIELDS for field in found):
            found["images"] = []  # a dataset of text alone
        return {field: self._paths(value) if field in MEDIA_FIELDS else value for field, value in found.items()}

    @cached_property
    def _whole(self) -> list[str]:
        """Return the fields of GOLDS whose column holds floats, all of them whole numbers."""
        floats = {field: column for field, column in self.fields.items() if field in GOLDS and self._floats(column)}
        return [field for field, column in floats.items() if all(map(float.is_integer, self._values(column)))]

    def _floats(self, column: str) -> bool:
        return str(getattr(self.features.get(column), "dtype", "")).startswith("float")

    def _values(self, column: str) -> Iterator[float]:
        """Yield the values of a column of floats, nulls and NaN aside."""
        for batch in self.table.select_columns([column]).iter(ROWS_AT_ONCE):
            (values,) = batch.to_pydict().values()
            yield from (value for value in values if value is not None and not isnan(value))

    def ids(self) -> Iterator[dict[str, Any]]:
        """Yield {id field: value} of every row, reading no other columns; nothing where there is no id column."""
        columns = {field: self.fields[field] for field in IDS if field in self.fields}
        if not columns:
            return
        for batch in self.table.select_columns(sorted(set(columns.values()))).iter(ROWS_AT_ONCE):
            yield from ({f: row[column] for f, column in columns.items()} for row in batch.to_pylist())

    def _paths(self, value: Any) -> Any:
        """Return the media as the parser wants them: paths, and objects with a path where they hold more.

        Other values stay as they are, for the parser to check.
        """
        if isinstance(value, list):
            return [self._paths(item) for item in value]
        if isinstance(value, bytes):
            return str(store(self.unpacked, value, ""))
        if not isinstance(value, dict):
            return value
        raw = value.get("bytes")
        file = value.get("path")
        if isinstance(raw, bytes):
            file = str(store(self.unpacked, raw, Path(file or "").suffix))
        said = {key: item for key, item in value.items() if key not in STORED and item is not None}
        return {**said, **({"path": file} if file is not None else {})} if said else file


def _words(name: str) -> set[str]:
    """Return the words of a name that are names of splits."""
    return SPLIT_WORDS.intersection(re.split(r"[^a-z]+", name.lower()))


def _split_of(file: Path) -> set[str]:
    """Return the splits that a file's path names: none, one or several. file: relative to the dataset's folder."""
    shard = SHARD.match(file.name)
    if shard and _words(shard[1]):
        return {shard[1]}
    return _words(str(file.with_suffix(""))) or ({shard[1]} if shard else set())


def _by_split(path: Path, files: Sequence[Path]) -> dict[str, list[str]]:
    """Return {split: its parquet files}; {"": all of them} where no name tells a split.

    UserError where a name tells several splits, or only some names tell one.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        names = _split_of(file.relative_to(path)) if path.is_dir() else set()
        if len(names) > 1:
            raise UserError(f"{file}: names the splits {' and '.join(sorted(names))}; rename it, with one of them")
        found["".join(names)].append(str(file))
    if len(found) > 1 and "" in found:
        write = f"rename it like train-00000-of-00001.parquet, or name one file of {path}"
        raise UserError(f"{found[''][0]}: names no split, and files beside it do; {write}")
    return found


def is_saved(path: Path) -> bool:
    """Tell whether a folder was written by `save_to_disk`."""
    return any((path / name).exists() for name in ("dataset_dict.json", "state.json"))


def is_table(path: Path) -> bool:
    """Tell whether a file or folder is a table that `open_table` opens."""
    return is_saved(path) or any(path.rglob("*.parquet")) if path.is_dir() else bool(kind_of_file(path).table)


def open_table(path: Path) -> tuple[Any, str]:
    """Return (table, its format in words) of a folder or file. The table is a Dataset, or {split: Dataset}.

    UserError where it is no table or cannot be read, and where names of files tell several splits or only some names
    tell one.
    """
    import datasets  # takes a second, so only where it is used

    datasets.disable_progress_bars()
    if path.is_dir() and is_saved(path):
        return _read(path, lambda: datasets.load_from_disk(str(path))), "a folder of save_to_disk"
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    kinds = [kind_of_file(file).table for file in files]
    if kinds == ["arrow stream"]:
        return _read(path, lambda: datasets.Dataset.from_file(str(path))), "an arrow file"
    if kinds == ["arrow file"]:
        return _read(path, lambda: _arrow(path)), "an arrow file"
    if not files or set(kinds) != {"parquet"}:
        wrong = "no dataset" if not files else f"not parquet: {files[[k == 'parquet' for k in kinds].index(False)]}"
        raise UserError(f"{path}: {wrong}; write a folder of save_to_disk, a .parquet file or a folder of them")
    splits = {split: _with_rows(names) for split, names in _by_split(path, files).items()}
    tables = _read(path, lambda: {split: _parquet(names) for split, names in splits.items()})
    return tables.get("", tables), "parquet" if path.is_file() else f"parquet, {len(files)} files"


def _with_rows(files: Sequence[str]) -> list[str]:
    """Return the parquet files that have rows, since a split may have empty shards."""
    import pyarrow.parquet

    return [name for name in files if _read(Path(name), partial(pyarrow.parquet.read_metadata, name)).num_rows]


def _parquet(files: Sequence[str]) -> Any:
    """Return the table in some parquet files; an empty one where there are no files."""
    import datasets

    return datasets.Dataset.from_parquet(list(files)) if files else datasets.Dataset.from_dict({})


def _arrow(path: Path) -> Any:
    """Return an arrow file with an index at its end (feather) as a Dataset, mapped into memory."""
    import datasets
    import pyarrow

    return datasets.Dataset(pyarrow.ipc.open_file(pyarrow.memory_map(str(path))).read_all())


def _read(path: Path, read: Any) -> Any:
    """Return read(). UserError, naming `path`, for any exception in it."""
    logger = logging.getLogger("datasets")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it logs the error that it then raises
    try:
        return read()
    except Exception as error:  # pyarrow and datasets raise many kinds
        if isinstance(error, IndexError) or NO_ROWS in str(error):
            raise UserError(f"{path}: {EMPTY}") from error
        reason = " ".join(str(error.__cause__ or error).split())[:LONGEST_REASON]
        raise UserError(f"{path}: cannot be read as a dataset ({reason}); write it again, or fetch it again") from error
    finally:
        logger.setLevel(level)
