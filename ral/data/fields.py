"""Single fields of a raw entry; every failure is a BadSample of one line that names file, entry and field."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from ral.data.bad import BadSample
from ral.data.lacking import beside, lacking
from ral.data.marks import MARK
from ral.data.names import entry_name
from ral.options import AT_ENDS
from ral.types import PROBLEM_TYPES, Box, Evidence, Step

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ogv", ".ts", ".3gp"}
)
Kind = Literal["image", "video"]


@dataclass(frozen=True)
class Entry:
    """One raw entry, a JSON object, and its place in a file.

    number: from 1. media_root: folder that relative paths of media start from. name: prefix of uids; None for the
    file's name without suffix. repeated: ids that occur more than once in the file.
    """

    file: Path
    number: int
    data: Mapping[str, Any]
    media_root: Path
    name: str | None = None
    repeated: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """Return the text that names this entry in messages, such as "train.json: entry 12"."""
        return f"{self.file}: entry {self.number}"

    def fail(self, field: str, problem: str, write: str, file: Path | None = None) -> NoReturn:
        """Raise BadSample for a field of this entry.

        problem: the fault. write: what to write in the field instead. file: the media file at fault, None for none.
        """
        raise BadSample(self.place, f"field '{field}': {problem}", f"write {write}", file)

    def named(self, names: Sequence[str]) -> str | None:
        """Return the first of `names` that this entry has a value for; None where all are missing or null."""
        return next((name for name in names if self.data.get(name) is not None), None)


def shown(value: object) -> str:
    """Return a value as messages show it: one line, at most 60 characters, floats and truth values as in JSON."""
    text = json.dumps(value) if isinstance(value, bool | float) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def refuse_other_than_text(entry: Entry, name: str, value: object, example: str) -> NoReturn:
    """Raise BadSample for a value that is not text. example: a value that would be right, for the message."""
    if not isinstance(value, bool | int | float):
        entry.fail(name, f"{shown(value)} is not text", f"a string such as {example}")
    what = "a truth value" if isinstance(value, bool) else "a number"
    if not is_number(value) and not isinstance(value, bool):
        what = "no finite number, or one too large to be read"
    entry.fail(name, f"{shown(value)} is not text but {what}", f'it as text, in quotes: "{shown(value)}"')


def text_of(entry: Entry, names: Sequence[str], example: str, *, numbers: bool = False) -> str | None:
    """Return the text in the first of the fields `names` that has a value, stripped; None where none has.

    numbers: whether a number counts as text. example: a value that would be right, for messages. BadSample for another
    type.
    """
    name = entry.named(names)
    if name is None:
        return None
    value = entry.data[name]
    if not isinstance(value, str) and not (numbers and is_number(value)):
        refuse_other_than_text(entry, name, value, example)
    return clean(entry, name, str(value))


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number that a float can hold. A truth value is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def clean(entry: Entry, field: str, text: str) -> str:
    """Return a text without white space and invisible characters at its ends.

    BadSample where it holds the character U+0000 or half of a surrogate pair.
    """
    if "\0" in text:
        entry.fail(field, f"{shown(text)} holds the control character U+0000", "the text without it")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        entry.fail(field, "holds half of a surrogate pair", "the text in UTF-8")
    return AT_ENDS.sub("", text)


def refuse_marks(entry: Entry, *texts: tuple[str, str | None]) -> None:
    """Raise BadSample where a response holds a mark for an image or video. texts: (field, its text or None) pairs."""
    for name, text in texts:
        if text and (found := MARK.search(text)):
            problem = f"{shown(text)} holds the mark {found.group()}, and a response shows no picture and no clip"
            entry.fail(name, problem, "it without the mark")


def required(entry: Entry, value: str | None, names: Sequence[str], example: str) -> str:
    """Return `value`. BadSample where it is missing or empty.

    names: the fields that may hold it; messages advise the first. example: a value that would be right.
    """
    if not value:
        here = entry.named(names)
        if here is None and (said := lacking(entry.data, names)):
            entry.fail(names[0], *said)
        others = "" if any(name in entry.data for name in names) else beside(entry.data)
        entry.fail(here or names[0], f"missing or empty{others}", f"a string such as {example}")
    return value


def inside(tag: str, text: str) -> str | None:
    """Return the content of the first <tag>...</tag> block in a text, stripped; None where there is no such block."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return found.group(1).strip() if found else None


def untagged(tag: str, text: str) -> str:
    """Return the content of the first <tag>...</tag> block in a text, or the whole text where it has none."""
    held = inside(tag, text)
    return text.strip() if held is None else held


def without(tag: str, text: str) -> str:
    """Return `text` without its <tag>...</tag> blocks."""
    return re.sub(rf"<{tag}>.*?</{tag}>", "", text, flags=re.DOTALL).strip()


SPELLINGS = {
    "multiple choice": ("multichoice", "multiplechoicequestion", "mcq", "mc", "choice", "singlechoice"),
    "numerical": ("numeric", "number"),
    "OCR": ("textrecognition",),
    "free-form": ("freetext", "openended", "openendedquestion", "open", "shortanswer"),
    "regression": (),
}
"""{problem type: its other spellings}, in small letters without blanks, hyphens and underscores."""
TYPES = {
    _plain: name for name, others in SPELLINGS.items() for _plain in (re.sub(r"[\s_-]", "", name.lower()), *others)
}


def problem_type_of(entry: Entry, default: str | None, *, null: bool = True) -> str:
    """Return the problem type of an entry, one of PROBLEM_TYPES, from any spelling in SPELLINGS.

    default: the type where it is missing; None makes a missing type BadSample. null: whether null and "" count as
    missing. BadSample for any other value.
    """
    value = entry.data.get("problem_type")
    missing = "problem_type" not in entry.data or (null and (value is None or value == ""))
    if missing and default is not None:
        return default
    plain = re.sub(r"[\s_-]", "", value.lower()) if isinstance(value, str) else ""
    if plain not in TYPES:
        listed = ", ".join(f'"{name}"' for name in PROBLEM_TYPES)
        close = [TYPES[near] for near in difflib.get_close_matches(plain, TYPES, n=1)] if plain else []
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        problem = "missing" if missing else f"unknown problem type {shown(value)}{hint}"
        entry.fail("problem_type", problem, f"one of {listed}")
    return TYPES[plain]


def uid_of(entry: Entry, names: Sequence[str]) -> str:
    """Return the uid of an entry: PREFIX-ID, or PREFIX-NUMBER without an id, or PREFIX-ID#NUMBER for a repeated id.

    names: the fields that may hold the id. PREFIX is entry.name, or the file's name without suffix where that is None.
    """
    own = entry_name(entry.data, entry.number, names)
    prefix = entry.name or entry.file.stem
    return f"{prefix}-{own}#{entry.number}" if own in entry.repeated else f"{prefix}-{own}"


def kind_of(entry: Entry, field: str, path: str) -> Kind:
    """Return "image" or "video", by the field `data_type` where it has a value, else by the suffix of `path`.

    BadSample where neither tells. field: the field that holds `path`, for the message.
    """
    given = entry.data.get("data_type")
    if given == "image" or given == "video":
        return "image" if given == "image" else "video"
    if given is not None:
        entry.fail("data_type", f"unknown kind {shown(given)}", '"image" or "video"')
    suffix = Path(path).suffix.lower()
    if suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        entry.fail(field, f"cannot tell picture from clip by {shown(path)}", 'the field data_type: "image" or "video"')
    return "image" if suffix in IMAGE_SUFFIXES else "video"


def _numbers(value: object, count: int, ok: Callable[[list[float]], bool]) -> tuple[float, ...] | None:
    """Return the numbers in a list of `count` numbers that passes `ok`; None for any other value."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    if not all(map(is_number, value)):
        return None
    return tuple(float(x) for x in value) if ok([float(x) for x in value]) else None


def _box_works(box: list[float]) -> bool:
    left, top, right, bottom = box
    return 0 <= left < right <= 1 and 0 <= top < bottom <= 1


def _box(entry: Entry, field: str, value: object) -> Box:
    """Return one box. BadSample where it is malformed."""
    box = _numbers(value, 4, _box_works)
    if box is None:
        problem = f"box {shown(value)} does not work"
        entry.fail(field, problem, "[left, top, right, bottom] as fractions from 0 to 1")
    return (box[0], box[1], box[2], box[3])


def _piece(entry: Entry, value: object) -> Evidence:
    """Return the evidence in {"box": [...], "span": [...] or null}. BadSample where it is malformed."""
    if not isinstance(value, dict):
        entry.fail("evidence", f"{shown(value)} is not an object", '{"box": [0, 0, 0.5, 0.5], "span": null}')
    box = _box(entry, "evidence", value.get("box"))
    if value.get("span") is None:
        return Evidence(box)
    span = _numbers(value["span"], 2, lambda s: 0 <= s[0] < s[1])
    if span is None:
        entry.fail("evidence", f"span {shown(value['span'])} does not work", "[start, end] in seconds, or null")
    return Evidence(box, (span[0], span[1]))


def evidence_of(entry: Entry) -> tuple[Evidence, ...]:
    """Return all evidence of an entry; () where it has none. BadSample where it is malformed."""
    value = entry.data.get("evidence")
    if value is None:
        return ()
    if not isinstance(value, list):
        entry.fail("evidence", f"{shown(value)} is not a list", '[{"box": [0, 0, 0.5, 0.5], "span": null}]')
    return tuple(_piece(entry, piece) for piece in value)


STEP = '{"text": "2 3 left", "boxes": [[0, 0, 0.5, 0.5]]}'


def steps_of(entry: Entry) -> tuple[Step, ...]:
    """Return the steps of an entry, [{"text": ..., "boxes": [...]}, ...]; () where it has none.

    BadSample where they are malformed.
    """
    value = entry.data.get("steps")
    if value is None:
        return ()
    if not isinstance(value, list):
        entry.fail("steps", f"{shown(value)} is not a list", f"[{STEP}]")
    return tuple(_step(entry, step) for step in value)


def _step(entry: Entry, value: object) -> Step:
    """Return one step object."""
    text, boxes = (value.get("text"), value.get("boxes")) if isinstance(value, dict) else (None, None)
    if not isinstance(text, str) or not text.strip() or not isinstance(boxes, list) or not boxes:
        entry.fail("steps", f"{shown(value)} is no step", STEP)
    return Step(text.strip(), tuple(_box(entry, "steps", box) for box in boxes))
