"""Placeholders of templates and grounding data (`<bbox>`, `<ref-object>`, `{answer}`), which nothing here fills in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ral.data.chat import FIELDS, chat_field
from ral.data.fields import Entry, shown
from ral.types import Turn

_NAMES = r"ref-object|bbox(?:es)?|box(?:es)?|quad|objs?|ref|seg|mask|points?|region"
_TAG = re.compile(rf"<((?:{_NAMES})[_-]?\d*)>|\[SEG\]", re.IGNORECASE)
_SAID = r"\s*(?:(?:your|the|final|correct|right|gold)[ _])*(?:answer|solution|response|ground[ _]truth)(?:[ _]here)?\s*"
_WHOLE = re.compile(
    rf"(?:\$?\{{{{1,2}}{_SAID}\}}{{1,2}}|\[{_SAID}\]|<{_SAID}>|\\boxed\s*\{{{_SAID}\}}|%\({_SAID}\)s)\.?", re.IGNORECASE
)
_OF_OBJECTS = ("<bbox>", "<ref-object>")
"""Placeholders that the field `objects` of ms-swift's entries fills, in questions and in answers."""
OBJECTS = "objects"
BOX, WORDS = '"[10, 20, 110, 220]"', '"the red car"'


def unfilled(text: str) -> Iterator[str]:
    """Yield the placeholders of a text; a tag around contents, such as <box>(1,2),(3,4)</box>, is none."""
    for found in _TAG.finditer(text):
        content, closing, _ = text[found.end() :].partition(f"</{found[1]}>")
        if not (found[1] and closing and content.strip()):
            yield found.group()


def is_template(text: str) -> bool:
    """Tell whether a gold answer is the place for one in a template, as {answer} and [your answer here] are."""
    return _WHOLE.fullmatch(text) is not None


def refuse_placeholders(entry: Entry, kind: str, *texts: tuple[str, str | None]) -> None:
    """Raise BadSample where a response holds a placeholder, or a gold answer is one of a template, as {answer}.

    kind: the problem type; text that is read off an image (OCR) may hold anything, unless the entry has `objects`.
    texts: (field, its text or None) pairs.
    """
    if kind == "OCR" and entry.data.get(OBJECTS) is None:
        return
    for name, text in texts:
        field = name if entry.named([name]) else chat_field(entry) or name
        if text and is_template(text):
            entry.fail(field, f"{shown(text)} is a placeholder, and nothing fills it in", 'the answer, such as "red"')
        if found := next(unfilled(text or ""), None):
            _fail(entry, field, text or "", found)


def refuse_in_questions(entry: Entry, turns: Sequence[Turn], question: str) -> None:
    """Raise BadSample where a text of the prompt holds a placeholder that only the field `objects` fills.

    `<bbox>` may be part of an instruction, and counts only beside that field.
    """
    tags = _OF_OBJECTS if entry.data.get(OBJECTS) is not None else _OF_OBJECTS[1:]
    for text in (*(turn.text for turn in turns), question):
        if found := next((tag for tag in unfilled(text) if tag in tags), None):
            _fail(entry, entry.named(["question", "problem", *FIELDS]) or "question", text, found)


def _fail(entry: Entry, field: str, text: str, found: str) -> None:
    """Raise BadSample for the placeholder `found` in a text of a field."""
    read = f": '{OBJECTS}' is not read" if entry.data.get(OBJECTS) is not None else ""
    example = WORDS if found.lower().startswith("<ref") else BOX
    problem = f"{shown(text)} holds the placeholder {found}, and nothing fills it in{read}"
    entry.fail(field, problem, f"in its place what it stands for, such as {example}")
