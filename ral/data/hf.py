"""Hugging Face datasets on disk: a folder written by `save_to_disk`, or parquet. Columns become the fields of `jsonl`.

Rows are read when they are asked for. Media that lie in the rows as bytes are written to a folder at that moment, named
after their content, so that everything else deals with files alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.data.bad import BadSample
from ral.data.entries import Entries
from ral.data.names import IDS
from ral.data.sources import TRAINING, parse_own, parts
from ral.types import UserError

SPLIT_WORDS = {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}
SHARD = re.compile(r"(.+?)-\d+-of-\d+")  # SPLIT-00000-of-00002.parquet, as the hub names its files
ROWS_AT_ONCE = 1000  # whose ids are read together
MEDIA_FIELDS = ("image", "images", "video", "videos", "path")


class HubRows:
    """The rows of a `datasets.Dataset` as entries in the format of `jsonl`."""

    def __init__(self, table: Any, path: Path, columns: Mapping[str, str], unpacked: Path) -> None:
        self.table, self.path, self.columns, self.unpacked = table.with_format("arrow"), path, columns, unpacked

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> dict[str, Any]:
        """The row at a position, its media as paths. BadSample where it cannot be read."""
        place = f"{self.path}: entry {index + 1}"
        try:
            (raw,) = self.table[index : index + 1].to_pylist()
        except (OSError, ValueError) as error:  # pyarrow's own errors are among these
            raise BadSample(place, f"unreadable row ({error})", "fetch the file again") from error
        fields = {field: raw[column] for field, column in self.columns.items()}
        if not any(field in MEDIA_FIELDS for field in fields):
            fields["images"] = []  # a dataset of text alone
        return {field: self._paths(value) if field in MEDIA_FIELDS else value for field, value in fields.items()}

    def ids(self) -> Iterator[dict[str, Any]]:
        """The ids of all rows."""
        columns = {field: self.columns[field] for field in IDS if field in self.columns}
        if not columns:
            return
        for batch in self.table.select_columns(sorted(set(columns.values()))).iter(ROWS_AT_ONCE):
            yield from ({f: row[column] for f, column in columns.items()} for row in batch.to_pylist())

    def _paths(self, value: Any) -> Any:
        """Media as the parser wants them: paths. What is neither bytes nor a path is left for it to complain of."""
        if isinstance(value, list):
            return [self._paths(item) for item in value]
        if isinstance(value, bytes):
            return self._written(value, "")
        if not isinstance(value, dict):
            return value
        raw = value.get("bytes")
        file = self._written(raw, Path(value.get("path") or "").suffix) if isinstance(raw, bytes) else value.get("path")
        said = {key: item for key, item in value.items() if key not in ("bytes", "path") and item is not None}
        return {**said, **({"path": file} if file is not None else {})} if said else file

    def _written(self, content: bytes, suffix: str) -> str:
        """The absolute path of a file with this content, written unless it is there."""
        path = (self.unpacked / f"{hashlib.sha256(content).hexdigest()}{suffix}").absolute()
        if not path.exists():
            aside = path.with_name(f"{path.name}.{os.getpid()}")
            aside.write_bytes(content)
            os.replace(aside, path)
        return str(path)


def _words(name: str) -> set[str]:
    """Those of the words in a name that are names of splits."""
    return SPLIT_WORDS.intersection(re.split(r"[^a-z]+", name.lower()))


def _split_of(file: Path) -> set[str]:
    """The split that a file's path below the dataset's folder names: one; none; several where that is not clear."""
    shard = SHARD.match(file.name)
    if shard and _words(shard[1]):
        return {shard[1]}
    return _words(str(file.with_suffix(""))) or ({shard[1]} if shard else set())


def _by_split(path: Path, files: Sequence[Path]) -> dict[str, list[str]]:
    """The parquet files of each split; of one called "" where no name holds one. UserError where it is not clear."""
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


def _open(path: Path) -> Any:
    """A Dataset, or a mapping of splits to such. UserError where there is none."""
    import datasets  # takes a second, so only where it is used

    datasets.disable_progress_bars()
    saved = (path / "dataset_dict.json").exists() or (path / "state.json").exists()
    files = [] if saved else [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    splits = _by_split(path, files)
    try:
        if saved:
            return datasets.load_from_disk(str(path))
        if files and all(file.suffix == ".parquet" for file in files):
            tables = {split: datasets.Dataset.from_parquet(names) for split, names in splits.items()}
            return tables.get("", tables)
    except Exception as error:  # pyarrow and datasets raise many kinds
        raise UserError(f"{path}: cannot be read as a dataset ({' '.join(str(error).split())[:200]})") from error
    raise UserError(f"{path}: no dataset; write a folder of save_to_disk, a .parquet file or a folder of them")


def _check_columns(path: Path, columns: Mapping[str, str], there: list[str]) -> None:
    for field, column in columns.items():
        if column not in there:
            write = f"write dataset.source.columns.{field}=<one of {', '.join(there)}>, or null"
            raise UserError(f"{path}: has no column '{column}' for the field '{field}'; {write}")


def hf(
    split: str,
    *,
    path: str | Path,
    columns: Mapping[str, str | None],
    unpacked: str | Path,
    media_root: str | Path | None = None,
    train_split: str = "train",
    validation_split: str = "validation",
    validation_size: int = 256,
    limit: int | None = None,
) -> Entries:
    """A split of a Hugging Face dataset on disk.

    columns: field (as in `jsonl`) -> column, None for a field that there is none for. Where the dataset has splits of
    its own (those of save_to_disk, or in the names of parquet files or their folders), `train_split` and
    `validation_split` name those to use; without the latter the last `validation_size` rows are held out, as in
    `video_r1`. unpacked: folder for media that are stored as bytes.
    """
    path, unpacked, training = Path(path), Path(unpacked), split in TRAINING
    found, name = _open(path), train_split if training else validation_split
    if isinstance(found, Mapping) and train_split not in found:
        raise UserError(
            f"{path}: has no split '{train_split}'; write dataset.source.train_split=<{' or '.join(found)}>"
        )
    apart = isinstance(found, Mapping) and validation_split in found
    table = found[name if apart else train_split] if isinstance(found, Mapping) else found
    used = {field: column for field, column in columns.items() if column is not None}
    _check_columns(path, used, table.column_names)
    whole = range(len(table))[: limit if training else None]
    part = whole if apart else parts(path, split, len(table), validation_size, limit)
    unpacked.mkdir(parents=True, exist_ok=True)
    root = path.parent if media_root is None else Path(media_root)
    distinct = f"{path.stem}-{name}" if apart and not training else None  # entries of both splits begin at 1
    return Entries(HubRows(table, path, used, unpacked), root, parse_own, part, distinct)
