"""Datasets on disk -> Examples: Video-R1's JSON, read unchanged, and a user's own JSON or JSON lines.

A source is a function `source(split, ...) -> Sequence[Example]` for the splits "sft", "train", "validation" and "test".
These read an entry, and look for its media files, when it is asked for, so that opening a large file takes seconds.
Entries are numbered from 1 in every message.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ral.data.chat import chat_of
from ral.data.entries import Entries, Parse
from ral.data.fields import (
    Entry,
    Kind,
    evidence_of,
    inside,
    kind_of,
    media_of,
    options_of,
    preference_of,
    problem_type_of,
    required,
    shown,
    text_of,
    untagged,
    without,
)
from ral.data.files import UNPACKED, located, open_rows, warn_of_shared
from ral.types import Example, Media, UserError

TRAINING = ("sft", "train")
SPLITS = (*TRAINING, "validation", "test")
LARGEST_HELD_OUT_SHARE = 5  # at most one fifth of a file is held out for validation
VIDEO_R1_ANSWER = '"<answer>B</answer>"'


def _uid(entry: Entry, names: Sequence[str]) -> str:
    """The file's name with the entry's id, else with its number."""
    name = entry.named(names)
    return f"{entry.file.stem}-{entry.data[name] if name else entry.number}"


def _path_media(entry: Entry) -> tuple[Media, ...]:
    """The one file under `path`."""
    path = required(entry, text_of(entry, ["path"], '"./pictures/1.png"'), ["path"], '"./pictures/1.png"')
    return (media_of(entry, "path", path, kind_of(entry, "path", path)),)


def parse_video_r1(entry: Entry) -> Example:
    """One entry of a Video-R1 file; `process` (SFT files) and `evidence` (visual_search) may be there."""
    solution = required(entry, text_of(entry, ["solution"], VIDEO_R1_ANSWER), ["solution"], VIDEO_R1_ANSWER)
    answer = required(entry, untagged("answer", solution), ["solution"], VIDEO_R1_ANSWER)
    question = text_of(entry, ["problem"], '"What color is the star?"')
    thought = text_of(entry, ["process"], '"<think>...</think>"')
    return Example(
        uid=_uid(entry, ["problem_id"]),
        question=required(entry, question, ["problem"], '"What color is the star?"'),
        answer=answer,
        problem_type=problem_type_of(entry, None),
        media=_path_media(entry),
        options=options_of(entry),
        thought=untagged("think", thought) if thought else None,
        evidence=evidence_of(entry),
        source=entry.place,
    )


QUESTION, ANSWER = ["question", "problem"], ["answer", "solution"]
THOUGHT = ["thought", "process"]
MEDIA: dict[str, Kind | None] = {"image": "image", "images": "image", "video": "video", "videos": "video", "path": None}


def _own_media(entry: Entry, of_chat: Sequence[tuple[str, Any, Kind]]) -> tuple[Media, ...]:
    """Files under image(s), video(s) and path, then those inside `messages`."""
    found = [media_of(entry, field, path, kind) for field, path, kind in of_chat]
    names = [name for name in MEDIA if entry.data.get(name) is not None]
    for name in names:
        value = entry.data[name]
        paths = value if isinstance(value, list) else [value]
        found += [media_of(entry, name, path, MEDIA[name]) for path in paths]
    if not found and not names:
        problem = "no picture and no clip"
        entry.fail("image", problem, '"image", "video" or "path" ("images": [] for an entry of text alone)')
    return tuple(found)


def _lettered(entry: Entry, options: tuple[str, ...], answer: str) -> tuple[tuple[str, ...], str]:
    """Options without letters get them ("A. red"); an answer that is an option's text becomes its letter."""
    letters = string.ascii_uppercase[: len(options)]
    if len(letters) < len(options):
        entry.fail("options", f"{len(options)} are more than there are letters", f"at most {len(letters)} options")
    bare = [re.sub(rf"^\(?{letter}[.):]+\s*", "", option) for letter, option in zip(letters, options, strict=True)]
    named = tuple(f"{letter}. {option}" for letter, option in zip(letters, options, strict=True))
    if all(text != option for text, option in zip(bare, options, strict=True)):
        named = options
    for texts in (options, bare):
        if answer in texts:
            return named, letters[texts.index(answer)]
    found = re.fullmatch(r"\(?([A-Za-z])(\)|[.):].*)?", answer, re.DOTALL)
    if options and answer and (found is None or found.group(1).upper() not in letters):
        entry.fail(
            entry.named(ANSWER) or "messages", f"{shown(answer)} is none of the options", "an option or its letter"
        )
    return named, answer


def parse_own(entry: Entry) -> Example:
    """One entry of a user's own file; see `jsonl` for the fields."""
    chat = chat_of(entry)
    question = text_of(entry, QUESTION, '"What color is the star?"') or chat.question
    answer = text_of(entry, ANSWER, '"red"', numbers=True) or chat.answer or ""
    thought = text_of(entry, THOUGHT, '"the star is red"') or inside("think", answer)
    question = (question or "").replace("<image>", "").replace("<video>", "").strip()
    chosen, rejected = preference_of(entry)
    bare = untagged("answer", without("think", answer))
    if chosen is None:  # preferences need no gold answer
        bare = required(entry, bare, ANSWER, '"red"')
    options, bare = _lettered(entry, options_of(entry), bare)
    return Example(
        uid=_uid(entry, ["problem_id", "id"]),
        question=required(entry, question, QUESTION, '"What color is the star?"'),
        answer=bare,
        problem_type=problem_type_of(entry, "multiple choice" if options else "free-form"),
        media=_own_media(entry, chat.media),
        options=options,
        thought=untagged("think", thought) if thought else None,
        evidence=evidence_of(entry),
        source=entry.place,
        chosen=chosen,
        rejected=rejected,
    )


def read_file(
    path: Path,
    *,
    media_root: Path | None = None,
    limit: int | None = None,
    parse: Parse = parse_video_r1,
    unpacked: Path = UNPACKED,
) -> Entries:
    """All entries of one file, or the first `limit`."""
    _check_limit(path, limit)
    path = located(path)
    rows = open_rows(path, unpacked)
    return Entries(rows, _root(path, media_root), parse, range(len(rows))[:limit])


def _root(path: Path, media_root: Path | None) -> Path:
    """Where paths of media start: the file's folder by default."""
    return path.parent if media_root is None else located(media_root)


def validation_count(total: int, validation_size: int) -> int:
    """How many last entries of a file of `total` are for validation: at most a fifth, at least one."""
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
    """Positions of a split in a file of `total` entries: its last ones are for validation, the rest is for training."""
    _check_numbers(path, split, validation_size, limit)
    if total < 2:
        raise UserError(f"{path}: one entry cannot be both trained on and held out; write two, or validation_path")
    cut = total - validation_count(total, validation_size)
    return range(cut)[:limit] if split in TRAINING else range(cut, total)


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
        return read_file(validation_path, media_root=media_root, parse=parse, unpacked=unpacked)
    if validation_path is not None:
        read = read_file(path, media_root=media_root, limit=limit, parse=parse, unpacked=unpacked)
        warn_of_shared(read.rows, read.part, open_rows(validation_path, unpacked))
        return read
    rows = open_rows(path, unpacked)
    part = parts(path, split, len(rows), validation_size, limit)
    return Entries(rows, _root(path, media_root), parse, part)


def _located(path: str | Path | None) -> Path | None:
    return None if path is None else located(path)


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
    """A split of a Video-R1 file (an array of objects; fields problem, solution, path, problem_type, ...).

    media_root: where `path` starts; the file's folder by default. Without `validation_path`, the last
    `validation_size` entries (at most a fifth of the file) are the validation split and the rest is for training;
    with it, all of that file is. "test" is the validation split; "sft" is the training split. `limit` keeps the first
    entries of the training split. `unpacked`: folder for copies of files that are not read in place (`open_rows`).
    `seed` is not used: nothing is drawn; it is here because every source has it.
    Errors: UserError naming file, entry and field.
    """
    file, root, held_out = located(path), _located(media_root), _located(validation_path)
    return _split(split, file, root, held_out, validation_size, limit, parse_video_r1, Path(unpacked))


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
    """A split of a user's own file: JSON, JSON lines, CSV or parquet (`open_rows`). Splits and parameters: `video_r1`.

    Fields: question | problem; answer | solution; image(s) | video(s) | path (a string or a list; picture or clip by
    data_type or the suffix); options; problem_type ("multiple choice" where there are options, else "free-form");
    thought | process; evidence; or `messages` in chat format (see `chat`). Tags around answers are optional. An entry
    with `chosen` and `rejected`, whole responses, needs no answer.
    """
    file, root, held_out = located(path), _located(media_root), _located(validation_path)
    return _split(split, file, root, held_out, validation_size, limit, parse_own, Path(unpacked))
