"""A benchmark's downloaded folder: its rows by configuration and split, and the images that these hold.

The first of these that is there is read: a folder of `save_to_disk`; the hub's parquet files, under any of the names it
gives them (CONFIG/SPLIT-00000-of-00002.parquet, data/SPLIT-..., SPLIT_CONFIG.parquet, CONFIG/SPLIT/0000.parquet); a
.jsonl or .json file of rows. Nothing is downloaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from ral.evaluation.benchmarks.items import Item
from ral.files import jsonl
from ral.files.hashed import store
from ral.types import Media, UserError

CACHE = "~/.cache/ral"
SUFFIXES = (".parquet", ".jsonl", ".json")  # the first kind that holds the split is read
MAGIC = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}


class DatasetRows(Sequence[Mapping[str, Any]]):
    """Rows of a `datasets.Dataset`, read when asked for. An image is {"bytes": ..., "path": ...}."""

    def __init__(self, table: Any) -> None:
        self.table = table.with_format("arrow")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        n = range(len(self))[index]
        return self.table[n : n + 1].to_pylist()[0]


class Joined(Sequence[Mapping[str, Any]]):
    """The rows of several configurations, one after another."""

    def __init__(self, parts: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        self.places = [(part, n) for part in parts for n in range(len(part))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [part[n] for part, n in self.places[index]]
        part, n = self.places[index]
        return part[n]


class Items(Sequence[Item]):
    """The items of rows, made when asked for, so that an image is written only once its question is asked.

    make: a function from a row and its position to the item.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], make: Callable[[Mapping[str, Any], int], Item]) -> None:
        self.rows, self.make = rows, make

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        n = range(len(self))[index]
        return self.make(self.rows[n], n)


def rows(
    path: str | Path, split: str, config: str | None = None, expected: str = "", columns: Sequence[str] = ()
) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a split below the folder `path`, or all rows of the file `path`.

    config: the configuration; None where the dataset has none. expected: the layout in words, for the error
    ("lmms-lab-encoder/MME: data/test-*.parquet"). columns: names that the rows must have. UserError, one line, where
    the folder, the split or a column is missing or a file cannot be read.
    """
    path = Path(path).expanduser().absolute()
    name = f"'{split}'" if config is None else f"'{split}' of '{config}'"
    if not path.exists():
        raise UserError(f"{path}: no such folder; expected {expected}; write benchmark.path=<the downloaded folder>")
    try:
        found = _saved(path, split, config) or _files(path, split, config)
    except Exception as error:  # pyarrow, datasets and json raise many kinds
        raise UserError(f"{path}: cannot read the split {name} ({_line(error)}); expected {expected}") from error
    if not found:
        raise UserError(f"{path}: no split {name}; expected {expected}; found {_listing(path)}")
    there = found.table.column_names if isinstance(found, DatasetRows) else list(found[0])
    missing = [column for column in columns if column not in there]
    if missing:
        raise UserError(f"{path}: split {name} has no column '{missing[0]}' but {there}; expected {expected}")
    return found


def picture(value: Any, cache: str | Path, root: str | Path | None = None) -> Media:
    """Return the image in a cell of a row. value: bytes, {"bytes": ..., "path": ...} or a path.

    Bytes are written below `cache` once, under the hash of their content. root: folder that relative paths start from;
    None: the working directory. UserError where the file is missing.
    """
    content = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(content, bytes):
        return Media("image", _written(content, Path(cache).expanduser()))
    place = value.get("path") if isinstance(value, Mapping) else value
    file = Path(root or "", str(place)).expanduser()
    if not place or not file.is_file():
        raise UserError(f"{file}: no such picture; it has to lie in the benchmark's folder or in the row as bytes")
    return Media("image", file)


def _written(content: bytes, cache: Path) -> Path:
    """Return the absolute path of a file with this content, written unless it exists."""
    suffix = next((s for magic, s in MAGIC.items() if content.startswith(magic)), "")
    return store(cache, content, suffix, spread=True)


def _saved(path: Path, split: str, config: str | None) -> DatasetRows | None:
    """Return the split of a folder written by `save_to_disk`; None for any other folder.

    The configuration is a folder below `path`, or `path` itself.
    """
    folder = path / config if config and (path / config).is_dir() else path
    below = folder / split if not (folder / "state.json").exists() else folder
    if not (below / "state.json").exists():
        return None
    import datasets  # takes a second, so only where it is used

    return DatasetRows(datasets.load_from_disk(str(below)))


def _files(path: Path, split: str, config: str | None) -> Sequence[Mapping[str, Any]] | None:
    """Return the rows of all files of the first kind in SUFFIXES that holds the split; None where none does."""
    if path.is_file():
        return _table([path])
    for suffix in SUFFIXES:
        files = [f for f in sorted(path.rglob(f"*{suffix}")) if _holds(f.relative_to(path.parent), split, config)]
        if files:
            return _table(files)
    return None


def _holds(file: Path, split: str, config: str | None) -> bool:
    """Tell whether a file belongs to the split and the configuration, by the names of its folders and its own."""
    folders = [part.casefold() for part in file.parts[:-1]]
    words = re.split(r"[^a-z0-9]+", file.stem.casefold())
    here = config is None or config.casefold() in folders or config.casefold() in words
    return here and (words[0] == split.casefold() or split.casefold() in folders[1:])


def _table(files: Sequence[Path]) -> Sequence[Mapping[str, Any]]:
    if files[0].suffix == ".parquet":
        import datasets

        datasets.disable_progress_bars()
        return DatasetRows(datasets.Dataset.from_parquet([str(file) for file in files]))
    return [row for file in files for row in _json(file)]


def _json(file: Path) -> list[Mapping[str, Any]]:
    if file.suffix == ".jsonl":
        return list(jsonl.read(file, whole=True))
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError(f"{file.name} is not a list of objects")
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _listing(path: Path) -> str:
    names = sorted(p.name for p in path.iterdir()) if path.is_dir() else [path.name]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else "nothing"
