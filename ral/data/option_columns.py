"""Options in fields of one name with a running index or letter, which nothing reads: `a0`, `a1`; `Choice A`."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Mapping

from ral.data.fields import Entry, is_number, shown
from ral.data.lacking import READ
from ral.data.stray import in_table, is_medium
from ral.data.stray_times import words_of
from ral.options import letter_and_text

CHOICE = "multiple choice"
_INDEX = re.compile(r"(\D*?)[\W_]*(\d{1,2})(\D*)")
_LETTER_LAST, _LETTER_FIRST = re.compile(r"(.*?)[\W_]*([a-jA-J])()"), re.compile(r"()([a-jA-J])[\W_]+(.+)")
_GOLD_LETTER = re.compile(r"\W*[A-Ja-j]\W*")
_WRONG = re.compile(r"distract|wrong|incorrect|decoy|foil")
_OTHERS = """
    x y z w h t r v p box bbox coord point pt pos time start end score prob logit weight width height size
    id tag label category hint note step turn url line page
"""
_MEASURES = frozenset(_OTHERS.split())
"""Words of names that hold measures or remarks. An index as gold answer does not make such fields options."""
_MOST = 3
"""Number of options that a message writes out."""
Family = dict[str, object]


def refuse_columns(entry: Entry, field: str, answer: str, kind: str, question: str) -> None:
    """Raise BadSample where options stand in two or more fields with a running index or letter, which nothing reads.

    Fields are such options where the gold answer `answer`, from `field`, is the index, letter, name or text of one of
    them, or where their names say that they are the wrong ones (`distractor1`). Nothing is refused where `kind` was
    given and is not multiple choice, nor where all the texts stand in the question and the answer is no index.
    """
    if not answer or (entry.named(["problem_type"]) is not None and kind != CHOICE):
        return
    for family in _families(entry.data):
        asked = all(str(text) in question for text in family.values())
        if _wrong(family) or (_names(family, answer) and (answer.strip().isdecimal() or not asked)):
            _fail(entry, field, answer, family)


def _fail(entry: Entry, field: str, answer: str, family: Family) -> None:
    """Raise BadSample that names the fields and shows how to write their texts as options."""
    names, texts = list(family), [str(text) for text in family.values()]
    if _wrong(family) and answer not in texts:
        texts = [answer, *texts]
    written = ", ".join(shown(text) for text in texts[:_MOST]) + (", ..." if len(texts) > _MOST else "")
    problem = f"nothing reads {', '.join(names)}, and they look like the options of its {field}"
    index = answer.strip().isdecimal()
    said = f"as {field} its text or letter in place of {shown(answer)}" if index else f"as {field} its text or letter"
    columns = " ".join(f"+dataset.source.columns.{letter}={name}" for letter, name in zip("AB", names, strict=False))
    of_table = f" (of a table: dataset=hf {columns} and so on)" if in_table(entry) and not index else ""
    write = f'"options": [{written}]{of_table} and {said}, or "problem_type": "free-form" for an answer in words'
    entry.fail(names[0], problem, write)


def _families(data: Mapping[str, object]) -> list[Family]:
    """Return the groups {name: text} of two or more different texts whose names differ only in an index or letter.

    The indices run from 0 or 1, the letters from A, without a gap. Media and fields that are read are left out.
    """
    found: dict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for name, value in data.items():
        if isinstance(name, str) and (name not in READ or len(name) == 1) and _is_text(value):
            for stem, place in _places(name):
                found[stem].setdefault(place, name)
    runs = [[places[n] for n in _run(places)] for places in found.values()]
    families = [{name: data[name] for name in names} for names in runs]
    return [one for one in families if len(one) > 1 and len({str(text).strip() for text in one.values()}) == len(one)]


def _is_text(value: object) -> bool:
    return (isinstance(value, str) and bool(value.strip()) and not is_medium(value)) or is_number(value)


def _places(name: str) -> list[tuple[tuple[str, ...], int]]:
    """Return (stem, place) for each way to read a name with an index or letter: ("number", "a", "") and 0 for "a0"."""
    found: list[tuple[tuple[str, ...], int]] = [
        (("number", m[1].lower(), m[3].lower()), int(m[2])) for m in [_INDEX.fullmatch(name)] if m
    ]
    for form in (_LETTER_LAST, _LETTER_FIRST):
        if m := form.fullmatch(name):
            found.append(((form.pattern, m[1].lower(), m[3].lower()), string.ascii_lowercase.index(m[2].lower())))
    return found


def _run(places: Mapping[int, str]) -> list[int]:
    """Return the places without a gap from the first on, which is 0 or, for indices, 1."""
    first = 0 if 0 in places else 1
    return [n for n in range(first, first + len(places)) if all(m in places for m in range(first, n + 1))]


def _wrong(family: Family) -> bool:
    """Tell whether the names say that these are the wrong options."""
    return all(_WRONG.search(name.lower()) for name in family)


def _names(family: Family, answer: str) -> bool:
    """Tell whether a gold answer is the letter, text, name or index of one of the fields."""
    said, texts = answer.strip().casefold(), {str(text).strip().casefold() for text in family.values()}
    words = {word for name in family for word in words_of(re.sub(r"\d+", " ", name))}
    pair = letter_and_text(answer)
    if re.fullmatch(r"-?\d+(?:\.\d+)?", said):
        return not words & _MEASURES and (said in texts or (said.isdecimal() and int(said) <= len(family)))
    named = said in texts or said in {name.casefold() for name in family}
    return named or _GOLD_LETTER.fullmatch(answer) is not None or (pair is not None and pair[1].casefold() in texts)
