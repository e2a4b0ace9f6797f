"""The options of an entry in any of their forms: under `options` or `choices`, or in fields A, B, ..."""

from __future__ import annotations

import ast
import json
import re
import string
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from ral.data.fields import Entry, clean, is_number, shown
from ral.data.truths import NOTHING, by_truth, plain
from ral.options import letter_and_text, lettered

EXAMPLE = '["A. red", "B. blue"]'
FIELDS = ("options", "choices")
UNDER_LETTERS = string.ascii_uppercase[:10]
"""Names of fields that hold one option each, as in MMBench: A, B, and so on without a gap, or the same in small
letters.
"""
_LABEL = re.compile(r"[(\[{【「]?\s*([A-Za-z]|\d{1,2})\s*[)\]}】」]?\s*[.:、,。]?")
_LETTER = re.compile(r"\W*[A-Ja-j]\W*")
_NUMBERED = re.compile(r"[(\[【]?\s*(\d{1,2})\s*(?:[)\]】][.:]?|[.、](?!\d)|:(?=\s))\s*(\S.*)", re.DOTALL)
_LABELS = (
    "甲乙丙丁戊己庚辛壬癸",
    "一二三四五六七八九十",
    "가나다라마바사아자차",
    "アイウエオカキクケコ",
)
"""Counting signs of other scripts, each string in its order. Options may be numbered by them."""
_LABELLED = re.compile(rf"[(（【]?\s*([{''.join(_LABELS)}])\s*(?:[)）】][、.:：]?|[、.．:：])\s*(\S.*)", re.DOTALL)
_CIRCLED = re.compile(r"([①-⑳])\s*[.:、]?\s*(.*)", re.DOTALL)
_LIKE_OPTIONS = re.compile(
    r"(?:answer_?)?(?:option|choice|candidate|alternative)s?_?[a-h\d]?(?:_text|_list)?", re.IGNORECASE
)


def options_field(entry: Entry) -> str:
    """Return the name of the field that holds an entry's options, for messages; "options" where it has none."""
    if (name := entry.named(FIELDS)) is None and _under_letters(entry):
        return "A"
    return name or FIELDS[0]


def _under_letters(entry: Entry) -> dict[str, object]:
    """Return {capital letter: option} of the fields A, B, ..., in capital or small letters; else {}.

    They count where there are two or more and the gold answer names one of them.
    """
    return next(filter(None, (_in_fields(entry, letters) for letters in (UNDER_LETTERS, UNDER_LETTERS.lower()))), {})


def _in_fields(entry: Entry, letters: str) -> dict[str, object]:
    """Return {capital letter: option} of the fields named by `letters`, or {}, as `_under_letters` does."""
    found: dict[str, object] = {}
    for letter in letters:
        if letter not in entry.data or entry.data[letter] in (None, ""):
            break
        found[letter.upper()] = entry.data[letter]
    gold = re.sub(r"</?answer>", "", str(entry.data.get("answer") or entry.data.get("solution"))).strip()
    texts = {letter: str(text) for letter, text in found.items()}
    named = _LETTER.fullmatch(gold) is not None or gold in texts.values() or by_truth(texts, gold)
    return found if len(found) > 1 and named else {}


def refuse_hidden_options(entry: Entry, field: str, answer: str) -> None:
    """Raise BadSample where the gold answer is a letter, and a field such as `option_a` is filled, which nothing reads.

    field: field of the gold answer.
    """
    if _LETTER.fullmatch(answer) is None:
        return
    like = [name for name, value in entry.data.items() if value is not None and _LIKE_OPTIONS.fullmatch(name)]
    if hidden := [name for name in like if name not in FIELDS]:
        entry.fail(field, f"{shown(answer)} is a letter, and nothing reads '{hidden[0]}'", f'"options": {EXAMPLE}')


def refuse_unread_options(entry: Entry) -> None:
    """Raise BadSample where options stand in fields that nothing reads, such as `option_a` or `candidates`.

    One such field is enough where it holds a list or object of several values; else at least two have to be filled.
    Fields called "alternatives" are ignored: they may hold further right answers.
    """
    fields = {name: value for name, value in entry.data.items() if _LIKE_OPTIONS.fullmatch(name) and name not in FIELDS}
    like = {
        name: value
        for name, value in fields.items()
        if value not in (None, "", []) and "alternative" not in name.lower()
    }
    several = [name for name, value in like.items() if isinstance(value, list | dict) and len(value) > 1]
    single = [name for name, value in like.items() if isinstance(value, str) or is_number(value)]
    if unread := several or (single if len(single) > 1 else []):
        problem = "holds what to choose from, and nothing reads it"
        entry.fail(unread[0], problem, f'"options": {EXAMPLE}, or "problem_type": "free-form" for an answer in words')


def without_numbers(entry: Entry, field: str, options: tuple[str, ...], answer: str) -> tuple[tuple[str, ...], str]:
    """Return (options, answer) with letters in place of numbers, where the options are numbered in order, from 0 or 1.

    ("1. red", "2. blue") and "2" become ("red", "blue") and "B. blue"; other options and their answer stay as they are.
    field: field of the gold answer. BadSample where the answer is the number of one option and the text of another.
    """
    pairs = [_number_and_text(option) for option in options]
    numbers, texts = [pair[0] for pair in pairs if pair], tuple(pair[1] for pair in pairs if pair)
    ordered = numbers in (list(range(len(options))), list(range(1, len(options) + 1)))
    if not ordered or len(set(map(str.casefold, texts))) < len(texts):
        return options, answer
    plain = unicodedata.normalize("NFKC", answer).strip(" *_`$()[]【】.")
    pair = _number_and_text(answer)
    if pair is not None and pair in pairs:
        return texts, _lettered(texts, numbers.index(pair[0]))
    named = _place_of(plain) if _labels(options, plain) else int(plain) if plain.isdecimal() else None
    if named not in numbers:
        return texts, answer
    at = numbers.index(named)
    if plain in texts and texts.index(plain) != at:
        entry.fail(field, f"{shown(answer)} is the number of one option and the text of another", "the option itself")
    return texts, _lettered(texts, at)


def _labels(options: tuple[str, ...], plain: str) -> bool:
    """Tell whether a gold answer is a single counting sign of the script by which the options are numbered."""
    first = _LABELLED.fullmatch(options[0].strip())
    return first is not None and any(plain in labels and first[1] in labels for labels in _LABELS if len(plain) == 1)


def _lettered(texts: tuple[str, ...], at: int) -> str:
    return f"{string.ascii_uppercase[at]}. {texts[at]}" if at < len(string.ascii_uppercase) else texts[at]


def _number_and_text(option: str) -> tuple[int, str] | None:
    """Return (2, "blue") for "2. blue", "(2) blue" and "② blue"; None where no number is marked."""
    if circled := _CIRCLED.fullmatch(option.strip()):
        return (int(unicodedata.numeric(circled[1])), circled[2].strip()) if circled[2].strip() else None
    if labelled := _LABELLED.fullmatch(option.strip()):
        return _place_of(labelled[1]), labelled[2].strip()
    found = _NUMBERED.fullmatch(unicodedata.normalize("NFKC", option).strip())
    return (int(found[1]), found[2].strip()) if found else None


def _place_of(label: str) -> int:
    """Return the place of a counting sign in the order of its script, from 1."""
    return 1 + next(labels.index(label) for labels in _LABELS if label in labels)


def listed_options(entry: Entry) -> tuple[str, ...]:
    """Return the options of a list of strings as they are; () for a missing, null or empty list.

    BadSample for any other value.
    """
    value = entry.data.get("options")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        entry.fail(options_field(entry), f"{shown(value)} is not a list of strings", EXAMPLE)
    return tuple(clean(entry, "options", option) for option in value)


def options_of(entry: Entry) -> tuple[str, ...]:
    """Return the options of a user's own entry as texts; () where it has none.

    They are read from `options` or `choices`, or from fields A, B, C, ...: a list of texts or numbers, {"A": "red"}, or
    one string that holds either. JSON's truth values become "true" and "false". BadSample for any other form, and where
    `options` and `choices` differ.
    """
    given = [name for name in FIELDS if entry.data.get(name) is not None]
    if len(given) > 1 and entry.data[given[0]] != entry.data[given[1]]:
        entry.fail(given[1], f"there is {given[0]}, too, and the two differ", "one of them")
    value = entry.data[given[0]] if given else _under_letters(entry) or None
    if isinstance(value, str):
        value = _from_string(entry, value)
    if isinstance(value, dict):
        value = _from_object(entry, value)
    if value is None:
        return ()
    value = _without_padding(value) if isinstance(value, list) else value
    texts = [option_text(option) for option in value] if isinstance(value, list) else [None]
    if isinstance(value, list) and None in value:
        write = 'the option as text ("None"), or leave it out'
        entry.fail(options_field(entry), f"{shown(value)} is not a list of strings: null is no option", write)
    kinds = set(map(type, value)) if isinstance(value, list) else set()
    if None in texts or (bool in kinds and kinds & {int, float}):  # true may be 1
        entry.fail(options_field(entry), f"{shown(value)} is not a list of strings", EXAMPLE)
    found = tuple(clean(entry, "options", text) for text in texts if text is not None)
    _refuse_two_lists(entry, given, found)
    return found


def _refuse_two_lists(entry: Entry, given: Sequence[str], options: Sequence[str]) -> None:
    """Raise BadSample where fields A, B, ... hold other options, or another order of them, than the field `given`."""
    bare = [(letter_and_text(option) or ("", option))[1].strip().casefold() for option in options]
    under = [str(text).strip().casefold() for text in _under_letters(entry).values()] if given else []
    if under and bare != under:
        entry.fail("A", f"there is {given[0]}, too, and the two differ", "one of them")


def _without_padding(values: list[object]) -> list[object]:
    """Return two or more options without the nulls behind them, which fill up tables of one width."""
    last = max((place for place, value in enumerate(values) if value is not None), default=-1)
    return values[: last + 1] if last > 0 else values


def option_text(value: object) -> str | None:
    """Return an option as text: numbers as written, truth values as "true" and "false"; None for any other value."""
    if isinstance(value, bool):
        return shown(value)
    return str(value) if isinstance(value, str) or is_number(value) else None


def has_options(entry: Entry) -> bool:
    """Tell whether an entry has options in any of their forms."""
    return entry.named(FIELDS) is not None or bool(_under_letters(entry))


def refuse_null(entry: Entry, field: str, options: Iterable[str]) -> None:
    """Raise BadSample for a missing gold answer where an option is "None" or "null": null may have meant the option.

    field: field of the gold answer.
    """
    named = [option for option in options if plain((letter_and_text(option) or ("", option))[1]) in NOTHING]
    if named:
        problem = f"missing or null, and {shown(named[0])} is an option"
        entry.fail(field, problem, f"the option as text, in quotes: {shown(named[0])}")


def _from_string(entry: Entry, text: str) -> object:
    """Return the list or object that a text holds, or its lines where each begins with a letter; None for a blank text.

    BadSample for any other text.
    """
    text = text.strip()
    if text[:1] in ("[", "{"):
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
            if isinstance(value, list | dict):
                return value
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if len(lines) > 1 and lettered(tuple(lines)) is not None:
        return lines
    entry.fail(options_field(entry), f"{shown(text)} is one string, and is not a list of strings", EXAMPLE)


def _from_object(entry: Entry, value: Mapping[str, object]) -> list[str]:
    """Return the options of an object as texts with letters, such as "A. red".

    value: {"A": "red", "C": "blue"}, or {"label": ["A", "C"], "text": ["red", "blue"]}. An option whose text is null is
    left out. BadSample for any other object.
    """
    if isinstance(value.get("label"), list) and isinstance(value.get("text"), list):
        labels, texts = list(value["label"]), list(value["text"])  # type: ignore[call-overload]
        if len(labels) != len(texts):
            entry.fail(options_field(entry), f"{len(labels)} labels for {len(texts)} texts", EXAMPLE)
    else:
        labels, texts = list(value), list(value.values())
    pairs = [(label, option_text(text)) for label, text in zip(labels, texts, strict=True) if text is not None]
    marked = [_LABEL.fullmatch(unicodedata.normalize("NFKC", str(label)).strip()) for label, _ in pairs]
    if not all(marked) or None in [text for _, text in pairs]:
        entry.fail(options_field(entry), f"{shown(value)} is not a list of strings, and not one text a letter", EXAMPLE)
    return [f"{m[1].upper()}. {text}" for m, (_, text) in zip(marked, pairs, strict=True) if m is not None]
