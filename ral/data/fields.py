"""Reads single fields of a JSON entry; every failure is one line that names file, entry and field."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from ral.data.bad import BadSample
from ral.types import PROBLEM_TYPES, Evidence, Media

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ogv", ".ts", ".3gp"}
)
Kind = Literal["image", "video"]


@dataclass(frozen=True)
class Entry:
    """One JSON object with its place: `number` counts from 1; media paths are relative to `media_root`."""

    file: Path
    number: int
    data: Mapping[str, Any]
    media_root: Path

    @property
    def place(self) -> str:
        return f"{self.file}: entry {self.number}"

    def fail(self, field: str, problem: str, write: str, file: Path | None = None) -> NoReturn:
        """Raise the one-line error of this entry; file: the one to blame."""
        raise BadSample(self.place, f"field '{field}': {problem}", f"write {write}", file)

    def named(self, names: Sequence[str]) -> str | None:
        """The first of `names` that this entry has a value for."""
        return next((name for name in names if self.data.get(name) is not None), None)


def shown(value: object) -> str:
    """A value as an error shows it: short, on one line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def text_of(entry: Entry, names: Sequence[str], example: str, *, numbers: bool = False) -> str | None:
    """The text under the first name present, stripped; None where no name is present. numbers: they count as text."""
    name = entry.named(names)
    if name is None:
        return None
    value = entry.data[name]
    if not isinstance(value, str) and (isinstance(value, bool) or not numbers or not isinstance(value, int | float)):
        entry.fail(name, f"{shown(value)} is not text", f"a string such as {example}")
    return str(value).strip()


def required(entry: Entry, value: str | None, names: Sequence[str], example: str) -> str:
    """`value`, unless it is missing or empty."""
    if not value:
        entry.fail(entry.named(names) or names[0], "missing or empty", f"a string such as {example}")
    return value


def inside(tag: str, text: str) -> str | None:
    """What the first <tag>...</tag> of `text` holds, stripped; None where there is none."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return found.group(1).strip() if found else None


def untagged(tag: str, text: str) -> str:
    """What <tag>...</tag> holds, or the whole text where it has no such block."""
    held = inside(tag, text)
    return text.strip() if held is None else held


def without(tag: str, text: str) -> str:
    """`text` without its <tag>...</tag> blocks."""
    return re.sub(rf"<{tag}>.*?</{tag}>", "", text, flags=re.DOTALL).strip()


CHOSEN = '"<think>the star is red</think><answer>A</answer>"'


def preference_of(entry: Entry) -> tuple[str | None, str | None]:
    """The whole responses `chosen` and `rejected`; None and None where the entry has neither."""
    pair = (text_of(entry, ["chosen"], CHOSEN), text_of(entry, ["rejected"], CHOSEN))
    if pair == (None, None):
        return pair
    chosen, rejected = (required(entry, pair[n], [name], CHOSEN) for n, name in enumerate(("chosen", "rejected")))
    if chosen == rejected:
        entry.fail("rejected", "the same as chosen", "another response, which is worse")
    return chosen, rejected


def options_of(entry: Entry) -> tuple[str, ...]:
    """The options of multiple choice as they stand; () for a missing, null or empty list."""
    value = entry.data.get("options")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        entry.fail("options", f"{shown(value)} is not a list of strings", '["A. red", "B. blue"]')
    return tuple(option.strip() for option in value)


def problem_type_of(entry: Entry, default: str | None) -> str:
    """The problem type, one of PROBLEM_TYPES; `default` where it is missing (None: it has to be there)."""
    value = entry.data.get("problem_type", default)
    if value not in PROBLEM_TYPES:
        listed = ", ".join(f'"{name}"' for name in PROBLEM_TYPES)
        problem = "missing" if "problem_type" not in entry.data else f"unknown problem type {shown(value)}"
        entry.fail("problem_type", problem, f"one of {listed}")
    return str(value)


def kind_of(entry: Entry, field: str, path: str) -> Kind:
    """Picture or clip: by `data_type` where present, else by the file's suffix."""
    given = entry.data.get("data_type")
    if given == "image" or given == "video":
        return "image" if given == "image" else "video"
    if given is not None:
        entry.fail("data_type", f"unknown kind {shown(given)}", '"image" or "video"')
    suffix = Path(path).suffix.lower()
    if suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        entry.fail(field, f"cannot tell picture from clip by {shown(path)}", 'the field data_type: "image" or "video"')
    return "image" if suffix in IMAGE_SUFFIXES else "video"


def media_of(entry: Entry, field: str, path: object, kind: Kind | None) -> Media:
    """One file, which has to exist. kind None: told by `kind_of`."""
    if not isinstance(path, str) or not path.strip():
        entry.fail(field, f"{shown(path)} is not a path", 'a string such as "./pictures/1.png"')
    full = entry.media_root / path
    if not os.path.isfile(full):  # False also for what no file can be called
        write = f"a path below media_root ({entry.media_root}), or set media_root"
        entry.fail(field, f"no such file: {full}", write, full)
    return Media(kind or kind_of(entry, field, path), full)


def _numbers(value: object, count: int, ok: Callable[[list[float]], bool]) -> tuple[float, ...] | None:
    """`count` numbers that pass `ok`, else None."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
        return None
    return tuple(float(x) for x in value) if ok([float(x) for x in value]) else None


def _box_works(box: list[float]) -> bool:
    left, top, right, bottom = box
    return 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def _piece(entry: Entry, value: object) -> Evidence:
    """One evidence object: {"box": [...], "span": [...] or null}."""
    if not isinstance(value, dict):
        entry.fail("evidence", f"{shown(value)} is not an object", '{"box": [0, 0, 0.5, 0.5], "span": null}')
    box = _numbers(value.get("box"), 4, _box_works)
    if box is None:
        problem = f"box {shown(value.get('box'))} does not work"
        entry.fail("evidence", problem, "[left, top, right, bottom] as fractions from 0 to 1")
    if value.get("span") is None:
        return Evidence((box[0], box[1], box[2], box[3]))
    span = _numbers(value["span"], 2, lambda s: 0 <= s[0] < s[1])
    if span is None:
        entry.fail("evidence", f"span {shown(value['span'])} does not work", "[start, end] in seconds, or null")
    return Evidence((box[0], box[1], box[2], box[3]), (span[0], span[1]))


def evidence_of(entry: Entry) -> tuple[Evidence, ...]:
    """All evidence of an entry; () where it has none."""
    value = entry.data.get("evidence")
    if value is None:
        return ()
    if not isinstance(value, list):
        entry.fail("evidence", f"{shown(value)} is not a list", '[{"box": [0, 0, 0.5, 0.5], "span": null}]')
    return tuple(_piece(entry, piece) for piece in value)
