"""Datasets on disk -> list[Example]: Video-R1's JSON, read unchanged, and a user's own JSON or JSON lines.

A source is a function `source(split, ...) -> list[Example]` for the splits "sft", "train", "validation" and "test".
Entries are numbered from 1 in every message. Only the entries of the asked split are checked, their media files
included, so a small `limit` on a large file is quick.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ral.data.chat import chat_of
from ral.data.fields import (
    Entry,
    Kind,
    evidence_of,
    inside,
    kind_of,
    media_of,
    options_of,
    problem_type_of,
    required,
    shown,
    text_of,
    untagged,
    without,
)
from ral.types import Example, Media, UserError

SPLITS = ("sft", "train", "validation", "test")
LARGEST_HELD_OUT_SHARE = 5  # at most one fifth of a file is held out for validation
VIDEO_R1_ANSWER = '"<answer>B</answer>"'
Parse = Callable[[Entry], Example]


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"{path}: no such file; write the path of a JSON or JSON lines file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error


def _parse_array(path: Path, text: str) -> list[Any]:
    try:
        entries: list[Any] = json.loads(text)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise UserError(f"{path}: {problem}; write an array of objects, or one object a line") from error
    return entries


def _parse_lines(path: Path, text: str) -> list[Any]:
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            problem = f"line {number} is not JSON: {error.msg} at column {error.colno}"
            raise UserError(f"{path}: {problem}; write an array of objects, or one object a line") from error
    return entries


def read_entries(path: Path) -> list[Any]:
    """The raw entries of a JSON array or of JSON lines; UserError for anything else and for an empty file."""
    text = _read_text(path)
    entries = (_parse_array if text.lstrip().startswith("[") else _parse_lines)(path, text)
    if not entries:
        raise UserError(f"{path}: has no entries; write at least one")
    return entries


def _example(path: Path, media_root: Path, number: int, data: Any, parse: Parse) -> Example:
    if not isinstance(data, dict):
        raise UserError(f'{path}: entry {number}: {shown(data)} is not an object; write {{"problem": ..., ...}}')
    return parse(Entry(path, number, data, media_root))


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
        uid=f"{entry.file.stem}-{entry.data.get('problem_id', entry.number)}",
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
    letters = [chr(ord("A") + n) for n in range(len(options))]
    named = [f"{letter}. {option}" for letter, option in zip(letters, options, strict=True)]
    if all(re.match(rf"\(?{letter}[.):]", option) for letter, option in zip(letters, options, strict=True)):
        named = list(options)
    choice = letters[options.index(answer)] if answer in options else answer
    found = re.match(r"\(?([A-Za-z])(?![A-Za-z0-9])", choice)
    if options and (found is None or found.group(1).upper() not in letters):
        entry.fail(
            entry.named(ANSWER) or "messages", f"{shown(answer)} is none of the options", "an option or its letter"
        )
    return tuple(named), choice


def parse_own(entry: Entry) -> Example:
    """One entry of a user's own file; see `jsonl` for the fields."""
    chat = chat_of(entry)
    question = text_of(entry, QUESTION, '"What color is the star?"') or chat.question
    answer = text_of(entry, ANSWER, '"red"') or chat.answer or ""
    thought = text_of(entry, THOUGHT, '"the star is red"') or inside("think", answer)
    question = (question or "").replace("<image>", "").replace("<video>", "").strip()
    bare = required(entry, untagged("answer", without("think", answer)), ANSWER, '"red"')
    options, bare = _lettered(entry, options_of(entry), bare)
    return Example(
        uid=f"{entry.file.stem}-{entry.data.get('problem_id', entry.data.get('id', entry.number))}",
        question=required(entry, question, QUESTION, '"What color is the star?"'),
        answer=bare,
        problem_type=problem_type_of(entry, "multiple choice" if options else "free-form"),
        media=_own_media(entry, chat.media),
        options=options,
        thought=untagged("think", thought) if thought else None,
        evidence=evidence_of(entry),
        source=entry.place,
    )


def read_file(
    path: Path, *, media_root: Path | None = None, limit: int | None = None, parse: Parse = parse_video_r1
) -> list[Example]:
    """All entries of one file, or the first `limit`."""
    _check_limit(path, limit)
    return _examples(path, media_root, parse, slice(0, limit))


def _examples(path: Path, media_root: Path | None, parse: Parse, part: slice) -> list[Example]:
    entries = read_entries(path)
    root = path.parent if media_root is None else media_root
    return [_example(path, root, n + 1, entries[n], parse) for n in range(len(entries))[part]]


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


def _split(
    split: str,
    path: Path,
    media_root: Path | None,
    validation_path: Path | None,
    validation_size: int,
    limit: int | None,
    parse: Parse,
) -> list[Example]:
    _check_numbers(path, split, validation_size, limit)
    training = split in ("sft", "train")
    if validation_path is not None:
        file = path if training else validation_path
        return _examples(file, media_root, parse, slice(0, limit if training else None))
    total = len(read_entries(path))
    if total < 2:
        raise UserError(f"{path}: one entry cannot be both trained on and held out; write two, or validation_path")
    cut = total - validation_count(total, validation_size)
    return _examples(path, media_root, parse, slice(0, min(cut, limit or cut)) if training else slice(cut, None))


def _folder(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def video_r1(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_path: str | Path | None = None,
    validation_size: int = 256,
    seed: int = 0,
    limit: int | None = None,
) -> list[Example]:
    """A split of a Video-R1 file (an array of objects; fields problem, solution, path, problem_type, ...).

    media_root: where `path` starts; the file's folder by default. Without `validation_path`, the last
    `validation_size` entries (at most a fifth of the file) are the validation split and the rest is for training;
    with it, all of that file is. "test" is the validation split; "sft" is the training split. `limit` keeps the first
    entries of the training split. `seed` is not used: nothing is drawn; it is here because every source has it.
    Errors: UserError naming file, entry and field.
    """
    held_out = _folder(validation_path)
    return _split(split, Path(path), _folder(media_root), held_out, validation_size, limit, parse_video_r1)


def jsonl(
    split: str,
    *,
    path: str | Path,
    media_root: str | Path | None = None,
    validation_path: str | Path | None = None,
    validation_size: int = 256,
    seed: int = 0,
    limit: int | None = None,
) -> list[Example]:
    """A split of a user's own file: a JSON array or JSON lines. Splits and parameters as in `video_r1`.

    Fields: question | problem; answer | solution; image(s) | video(s) | path (a string or a list; picture or clip by
    data_type or the suffix); options; problem_type ("multiple choice" where there are options, else "free-form");
    thought | process; evidence; or `messages` in chat format (see `chat`). Tags around answers are optional.
    """
    held_out = _folder(validation_path)
    return _split(split, Path(path), _folder(media_root), held_out, validation_size, limit, parse_own)
