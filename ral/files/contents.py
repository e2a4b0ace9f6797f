"""Hashes of the data and models that a run is given, so that a change under the same path is noticed.

Media are not read, and of large files only blocks: hashing takes seconds at most, whatever the size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ral.errors import UserError

READ = 2**29
"""Bytes read of one dataset or model at most, shared evenly by its files; files below their share are read whole."""
BLOCK = 2**20
"""Bytes of a block of a larger file, at most. Blocks lie at both ends and evenly between."""
ENTRIES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".psv", ".gz", ".bz2", ".xz", ".zst")
TABLES = (".parquet", ".arrow", ".feather")
WEIGHTS = (".safetensors", ".bin")
MODEL = (*WEIGHTS, ".json", ".jinja", ".txt", ".model")
"""Suffixes of the files that count in a model's folder: weights, configurations, tokenizer, chat template."""
MADE = ".settings.json"
"""End of the name of a file that fixes every byte of a split made locally; the split's name precedes it."""
SAVED = ("state.json", "dataset_dict.json")
"""Files that a folder of `save_to_disk` has. The first holds a random name of the table, and nothing of its rows."""
CACHED = "cache-"
"""Beginning of the names of tables that the library datasets keeps beside those that it was given."""
KEY = "::"


@dataclass(frozen=True)
class Content:
    """Content of the file or folder `path`.

    files: {name of a file relative to path, "" where path is a file: SHA-256 of its size and of the bytes read of it}.
    """

    path: str
    files: Mapping[str, str]

    @property
    def made(self) -> bool:
        """Tell whether the content is that of data made locally, which are made again where they are missing."""
        return bool(self.files) and all(name.endswith(MADE) for name in self.files)


def data_content(path: str, splits: Collection[str] = ()) -> Content | None:
    """Return the content of a file or folder of data; None where the path does not exist or holds no file of data.

    path: may begin with ~ or file://, and end in ::KEY, the key of a list in a JSON file. splits: names of the splits
    in use; of data made locally these alone count. UserError where a file cannot be read.
    """
    place = Path(path.removeprefix("file://")).expanduser()
    if KEY in place.name and not place.exists():
        place = Path(str(place).rpartition(KEY)[0])
    return _content(place, _of_data(place, splits) if place.is_dir() else ())


def model_content(path: str) -> Content | None:
    """Return the content of a model's or adapter's folder; None where there are no weights (a hub id, say).

    UserError where a file cannot be read.
    """
    place = Path(path).expanduser()
    found = [file for file in place.iterdir() if file.suffix in MODEL] if place.is_dir() else []
    return _content(place, found if any(file.suffix in WEIGHTS for file in found) else ())


def _content(place: Path, files: Iterable[Path]) -> Content | None:
    """Return the content of the file `place`, or else of `files` in it; None where there is neither."""
    found = [place] if place.is_file() else sorted(files)
    share = READ // max(1, len(found))
    hashes = {"" if file == place else str(file.relative_to(place)): _hash(file, share) for file in found}
    return Content(str(place), hashes) if hashes else None


def _of_data(folder: Path, splits: Collection[str]) -> list[Path]:
    """Return the files of entries in a folder: of made data the settings, of tables the tables, else all."""
    if made := [file for split in splits if (file := folder / f"{split}{MADE}").is_file()]:
        return made
    there = list(_walk(folder))
    if any((folder / name).is_file() for name in SAVED):
        return [file for file in there if file.suffix in (*TABLES, ".json") and file.name != SAVED[0]]
    tables = [file for file in there if file.suffix == ".parquet"]
    return tables or [file for file in there if file.suffix.lower() in (*ENTRIES, *TABLES)]


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and those below, without hidden ones and caches."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith((".", CACHED)):
                yield Path(place, name)


def _hash(file: Path, share: int) -> str:
    """Return the SHA-256 of a file's size and of `share` of its bytes: all of a smaller one, else blocks."""
    digest = hashlib.sha256()
    try:
        size = file.stat().st_size
        digest.update(f"{size} ".encode())
        with file.open("rb") as handle:
            for start, length in _blocks(size, share):
                handle.seek(start)
                digest.update(handle.read(length))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error}); check its permissions") from error
    return digest.hexdigest()


def _blocks(size: int, share: int) -> Iterator[tuple[int, int]]:
    """Yield (first byte, number of bytes) of the blocks of a file: some `share` bytes, the ends among them."""
    if size <= share:
        yield from ((start, min(BLOCK, size - start)) for start in range(0, size, BLOCK))
        return
    length = max(1, min(BLOCK, share // 2))
    count = max(2, share // length)
    yield from (((size - length) * number // (count - 1), length) for number in range(count))


def change(before: Content, now: Content) -> str:
    """Return in words how the content has changed, such as "data/a.json is gone"; "" where it is the same.

    One changed file is named: one that is gone, else one that is new, else one with other content.
    """
    if "" in before.files or "" in now.files:
        return "" if before.files == now.files else f"{now.path} has changed"
    for name, words in (
        *((name, "is gone") for name in sorted(before.files.keys() - now.files.keys())),
        *((name, "is new") for name in sorted(now.files.keys() - before.files.keys())),
        *((name, "has changed") for name in sorted(before.files) if before.files[name] != now.files.get(name)),
    ):
        return f"{Path(now.path, name)} {words}"
    return ""
