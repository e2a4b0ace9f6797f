"""Datasets on disk -> Examples: Video-R1's JSON, read unchanged, and a user's own JSON or JSON lines.

A dataset loader is a function `loader(split, ...) -> Sequence[Example]` for the splits "sft", "train", "validation" and
"test". The loaders here read an entry, and look for its media files, when the entry is asked for, so that opening a
large file takes seconds. Entries are numbered from 1 in every message.
"""

from __future__ import annotations

from pathlib import Path

from ral.data.entries import Entries, Parse
from ral.data.files import UNPACKED, located, open_rows, warn_of_shared
from ral.data.parse import parse_own as parse_own
from ral.data.parse import parse_video_r1 as parse_video_r1
from ral.types import UserError

TRAINING = ("sft", "train")
SPLITS = (*TRAINING, "validation", "test")
LARGEST_HELD_OUT_SHARE = 5  # at most one fifth of a file is held out for validation


def read_file(
    path: Path,
    *,
    media_root: Path | None = None,
    limit: int | None = None,
    parse: Parse = parse_video_r1,
    unpacked: Path = UNPACKED,
    name: str | None = None,
) -> Entries:
    """Return all entries of one file, or the first `limit`.

    media_root: folder that relative paths of media start from; None for the file's. parse: makes an Example of a raw
    entry. unpacked: folder for copies of files that are not read in place (`open_rows`). name: prefix of uids, None for
    the file's name. UserError for a file that cannot be read, or limit < 1.
    """
    _check_limit(path, limit)
    path = located(path)
    rows = open_rows(path, unpacked)
    return Entries(rows, _root(path, media_root), parse, range(len(rows))[:limit], name)


def _root(path: Path, media_root: Path | None) -> Path:
    """Return the folder that relative paths of media start from: the file's own where media_root is None."""
    return path.parent if media_root is None else located(media_root)


def validation_count(total: int, validation_size: int) -> int:
    """Return the number of last entries, of a file of `total`, that are held out: at most a fifth, at least one."""
    return max(1, min(validation_size, total // LARGEST_HELD_OUT_SHARE))


def _check_limit(path: Path, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UserError(f"{path}: limit {limit} leaves no entries; write at least 1, or null for all")


def _check_numbers(path: Path, split: str, validation_size: int, limit: int | None) -> None:
    if split not in SPLITS:
        raise UserError(f"{path}: unknown split {split!r}; write one of {', '.join(SPLITS)}")
    if validation_size < 1:
        raise UserError(f"{path}: validation_size {validation_size} leaves no validation entries; write at least 1")
    _check_limit(path, limit)


def parts(path: Path, split: str, total: int, validation_size: int, limit: int | None) -> range:
    """Return the positions of a split in `total` entries: the last ones are for validation, the rest to train on.

    limit: first training entries to keep, None for all. UserError for an unknown split, total < 2, validation_size < 1
    or limit < 1.
    """
    _check_numbers(path, split, validation_size, limit)
    if total < 2:
        raise UserError(f"{path}: one entry cannot be both trained on and held out; write two, or validation_path")
    cut = total - validation_count(total, validation_size)
    return range(cut)[:limit] if split in TRAINING else range(cut, total)


def file_split(
    split: str,
    path: str | Path,
    media_root: str | Path | None,
    validation_path: str | Path | None,
    validation_size: int,
    limit: int | None,
    parse: Parse,
    unpacked: str | Path,
) -> Entries:
    """Return a split of a file whose entries `parse` reads; other parameters and errors are those of `video_r1`."""
    return _split(
        split,
        located(path),
        _located(media_root),
        _located(validation_path),
        validation_size,
        limit,
        parse,
        Path(unpacked),
    )


def _split(
    split: str,
    path: Path,
    media_root: Path | None,
    validation_path: Path | None,
    validation_size: int,
    limit: int | None,
    parse: Parse,
    unpacked: Path,
) -> Entries:
    _check_numbers(path, split, validation_size, limit)
    if validation_path is not None and split not in TRAINING:
        name = _distinct(path, validation_path)
        return read_file(validation_path, media_root=media_root, parse=parse, unpacked=unpacked, name=name)
    if validation_path is not None:
        read = read_file(path, media_root=media_root, limit=limit, parse=parse, unpacked=unpacked)
        warn_of_shared(read.rows, read.part, open_rows(validation_path, unpacked))
        return read
    rows = open_rows(path, unpacked)
    part = parts(path, split, len(rows), validation_size, limit)
    return Entries(rows, _root(path, media_root), parse, part)


def _located(path: str | Path | None) -> Path | None:
    return None if path is None else located(path)


def _distinct(path: Path, other: Path) -> str | None:
    """Return a prefix for uids of a held-out file where its name equals that of the training file; else None."""
    alike = path.stem == other.stem and path.absolute() != other.absolute()
    return f"{other.stem}-validation" if alike else None


def video_r1(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_path: str | Path | None = None,
    validation_size: int = 256,
    seed: int = 0,
    limit: int | None = None,
    unpacked: str | Path = UNPACKED,
) -> Entries:
    """Return a split of a Video-R1 file (an array of objects; fields problem, solution, path, problem_type, ...).

    media_root: folder that media paths start from; None for the file's folder. Without `validation_path`, the last
    `validation_size` entries (at most a fifth of the file) are the validation split and the rest is for training; with
    it, all of that file is held out. "test" is the validation split; "sft" is the training split. limit: first entries
    of the training split to keep; None for all. unpacked: folder for copies of files that are not read in place
    (`open_rows`). seed: not used, since nothing is drawn; every loader takes it. UserError, naming the file, where it
    cannot be read, and for an unknown split, validation_size < 1, limit < 1, and a file of one entry to split;
    BadSample, when an entry is asked for, where it cannot be used.
    """
    return file_split(split, path, media_root, validation_path, validation_size, limit, parse_video_r1, unpacked)


def jsonl(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_path: str | Path | None = None,
    validation_size: int = 256,
    seed: int = 0,
    limit: int | None = None,
    unpacked: str | Path = UNPACKED,
) -> Entries:
    """Return a split of a user's own file: JSON, JSON lines, CSV or parquet (`open_rows`).

    Splits, parameters and errors are those of `video_r1`.

    Fields: question | problem; answer | solution; image(s) | video(s) | path; options; problem_type ("multiple choice"
    where there are options; else "free-form", or "numerical" by `ral.data.subjects`); thought | process; evidence;
    steps; or a conversation under messages | conversations | prompt. docs/data.md says what each may hold. Tags around
    answers are optional. An entry with `chosen` and `rejected`, whole responses, needs no answer.
    """
    return file_split(split, path, media_root, validation_path, validation_size, limit, parse_own, unpacked)
