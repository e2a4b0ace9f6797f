"""Options of multiple choice with their letters, and the option that the gold answer names."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ral.data.alike import alike, same_number
from ral.data.fields import Entry, shown
from ral.data.marks import MARK
from ral.data.option_fields import EXAMPLE, options_field
from ral.data.truths import by_truth
from ral.options import (
    INVISIBLE,
    first_of_several,
    foreign_letter,
    foreign_name,
    letter_and_text,
    lettered,
    own_alphabet,
    several_letters,
)

LETTERS = string.ascii_uppercase
_BARE = re.compile(r"[(\[{【「]?\s*([A-Za-z])\s*[)\]}】」]?\s*[.:、,。]?")
_DRESS = re.compile(r"\\(?:boxed|text|mathrm|textbf)\s*\{(.*)\}", re.DOTALL)
_LABEL = r"(?:option|choice|answer|ans|opt|选项)[\W_]*"
_FIRST = re.compile(
    rf"(?:<(?:p|[^<>]{{2,}})>|\\[a-z]+|\d+[.)]|[\W_])*+(?:{_LABEL}([A-Za-z])(?![A-Za-z0-9'’])|([A-Za-z])(?![A-Za-z0-9'’]).)",
    re.IGNORECASE | re.DOTALL,
)
_DARK = {
    **dict(zip(range(0x1F150, 0x1F16A), LETTERS, strict=True)),
    **dict(zip(range(0x1F170, 0x1F18A), LETTERS, strict=True)),
}
"""{white letter on a dark circle or square: plain letter}"""
_SYMBOL = re.compile(r"[a-z]\s*[:.]")  # of a quantity, as in "a: 5"
_LOOSE = re.compile(r"[(\[{【「]?([A-Za-z])[)\]}】」]?(?:\s+|\s*[,，;；:：=|、-]\s*|\s*(?=[(\[（]))(\S.*)", re.DOTALL)
_BEHIND = re.compile(r"(.*\S)\s*[,;、]?\s*[(\[【]([A-Za-z])[)\]】]\.?", re.DOTALL)
SKIPPED = 3  # letters that a lettering may leave out
_WORDS = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?|(?:正确)?答案[是为选]?|[应故]?选(?:择|项)?)\s*:?\s*",
    re.IGNORECASE,
)
_LETTER_OR_TEXT = "an option or its letter"
_SEVERAL = re.compile(r"[A-Z](?:[\s,;.&/、]*(?:and\s+|or\s+)?[A-Z])+[\s.,;]*")


def _norm(text: str) -> str:
    """Return a text in the form for comparisons: one width, lower case, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).casefold().split())


def with_letters(entry: Entry, options: tuple[str, ...], answer: str = "") -> tuple[tuple[str, ...], dict[str, str]]:
    """Return (options, {letter: text}): options that each begin with a letter, given letters kept, else A, B, C, ...

    answer: the gold answer; where it equals an option word for word, letters that cannot be read are no error.
    BadSample for over 26 options, empty ones, a letter without text, a letter twice, letters on some options only, and
    letters of another alphabet or in an unknown form.
    """
    if len(options) > len(LETTERS):
        entry.fail(
            options_field(entry), f"{len(options)} are more than there are letters", f"at most {len(LETTERS)} options"
        )
    if empty := [number for number, option in enumerate(options, start=1) if not option]:
        entry.fail(options_field(entry), f"option {empty[0]} is empty", EXAMPLE)
    _refuse_no_text(entry, options)
    word_for_word = _norm(answer) in map(_norm, options)
    pairs = [letter_and_text(option) for option in options]
    given = [pair[0] for pair in pairs if pair is not None]
    _refuse_foreign_letters(entry, options, given, word_for_word)
    if of_the_text := _part_of_the_text(options, given, answer):
        pairs, given = [None] * len(options), []  # "E. coli", "E. faecalis": initials of names
    elif (found := lettered(options)) is not None:
        return options, found
    if not (word_for_word or of_the_text):
        _refuse_hidden_letters(entry, options, given)
    if len(given) == len(options):
        twice = next(letter for letter in given if given.count(letter) > 1)
        entry.fail(
            options_field(entry), f"two options have the letter {twice}", f"a letter of its own for each: {EXAMPLE}"
        )
    places = [pair is None or pair[0] == letter for pair, letter in zip(pairs, LETTERS, strict=False)]
    if not all(places):
        entry.fail(options_field(entry), f"some of {shown(list(options))} have a letter, some have none", EXAMPLE)
    texts = {
        letter: pair[1] if pair is not None else _text(option, letter, options)
        for letter, option, pair in zip(LETTERS, options, pairs, strict=False)
    }
    named = tuple(
        option if pair is not None else f"{letter}. {text}"
        for option, pair, (letter, text) in zip(options, pairs, texts.items(), strict=True)
    )
    return named, texts


def _refuse_no_text(entry: Entry, options: Sequence[str]) -> None:
    """Raise BadSample where an option, such as "B.", is only a letter and its mark."""
    pairs = [letter_and_text(option) for option in options]
    if bare := [number for number, pair in enumerate(pairs) if pair is not None and not pair[1]]:
        write = f'{EXAMPLE}, or the letters alone, as in ["A", "B"], where all options stand in the picture'
        problem = f"option {bare[0] + 1}, {shown(options[bare[0]])}, has a letter and no text"
        entry.fail(options_field(entry), problem, write)


def _refuse_foreign_letters(entry: Entry, options: Sequence[str], given: Sequence[str], word_for_word: bool) -> None:
    """Raise BadSample where Cyrillic or Greek letters mark options beside Latin ones, or in their alphabet's order."""
    found = [letter for letter in map(foreign_letter, options) if letter is not None]
    if not found or len(found) + len(given) < len(options):
        return
    if given or (own_alphabet("".join(found)) and not word_for_word):
        entry.fail(options_field(entry), f"an option begins with {foreign_name(found[0])}", f"Latin letters: {EXAMPLE}")


def _part_of_the_text(options: Sequence[str], given: Sequence[str], answer: str) -> bool:
    """Tell whether the letters `given` belong to the options' texts ("E. coli" beside "S. aureus", "C: the drive").

    They do where one of them occurs twice and not all are letters of places (A, B, ...), or all options read like "a:
    5"; where the texts behind all of them are the same; and where the gold answer is the letter of a place, and no
    option has that letter.
    """
    places = LETTERS[: len(options)]
    if len(set(given)) < len(given):
        one = len(given) == len(options) and len(set(given)) == 1
        return not set(given) <= set(places) or (one and all(_SYMBOL.match(option) for option in options))
    if len(given) < len(options) or "A" in given:
        return False
    bare = _bare_letter(answer)
    pairs = [letter_and_text(option) for option in options]
    alike = len({_norm(pair[1]) for pair in pairs if pair}) == 1 and not MARK.search(options[0])
    if bare is None:
        return alike
    dropped = not alike and "".join(sorted(given)) == LETTERS[1 : len(given) + 1]  # the right option may be left out
    return bare in places and bare not in given and not dropped


def _bare_letter(answer: str) -> str | None:
    """Return the letter of an answer that is only a letter, as a capital, whatever marks surround it; else None."""
    bare = _BARE.fullmatch(_undress(answer))
    return bare[1].upper() if bare else None


def _refuse_hidden_letters(entry: Entry, options: tuple[str, ...], given: Sequence[str]) -> None:
    """Raise BadSample where options seem to begin with letters, not in order, in a form that is not read."""
    plain = [unicodedata.normalize("NFKC", INVISIBLE.sub("", option).translate(_DARK)) for option in options]
    firsts = [(m[1] or m[2]).upper() for text in plain if (m := _FIRST.match(text))]
    near = set(firsts) <= set(LETTERS[: len(options) + SKIPPED])
    if given or len(firsts) < len(options) or len(set(firsts)) < len(firsts) or not near:
        return
    if "".join(firsts) != LETTERS[: len(firsts)]:
        problem = (
            f"{shown(list(options))} seem to have letters of their own, {', '.join(firsts)}, marked in no known way"
        )
        entry.fail(options_field(entry), problem, EXAMPLE)


def _text(option: str, letter: str, options: Sequence[str]) -> str:
    """Return an option's text, without its letter where all options read "A red", with the letters of their places."""
    blank = all(re.match(rf"{other}\s+\S", o) for other, o in zip(LETTERS, options, strict=False))
    return option[1:].strip() if blank and option.startswith(letter) else option


def gold_letter(entry: Entry, field: str, letters: Mapping[str, str], answer: str) -> str:
    """Return the letter of the option that the gold answer names, by letter or by text.

    field: field of the gold answer, for messages. letters: {letter: text}. BadSample where it names no option, or two.
    """
    plain = _undress(answer)
    named = [letter for letter, text in letters.items() if _norm(text) in (_norm(answer), _norm(plain))]
    if not named and any(several_letters(form, letters) or first_of_several(form, letters) for form in (answer, plain)):
        entry.fail(field, f"{shown(answer)} is none of the options but several", "the one right letter")
    bare = _BARE.fullmatch(plain)
    by_letter = bare[1].upper() if bare and bare[1].upper() in letters else None
    if by_letter is None and (pair := _with_text(plain, letters)):
        by_letter, text = pair
        if len(named) == 1 and _norm(letters[by_letter]) != _norm(text):  # "B. subtilis" is an option word for word
            return _single(entry, letters, named[0])
        others = [letter for letter, other in letters.items() if text and _norm(other) == _norm(text)]
        if not named and others and by_letter not in others:
            problem = f"{shown(answer)} contradicts itself: {by_letter} is {shown(letters[by_letter])}"
            entry.fail(field, f"{problem}, and that text is of option {' and '.join(others)}", "the right letter alone")
        named = named or others
        named = [by_letter] if by_letter in named else named
    if by_letter is None:
        for said in (answer, plain):  # "$" is a currency, or LaTeX
            named = (
                named or [letter for letter, text in letters.items() if alike(text, said)] or by_truth(letters, said)
            )
    if by_letter is not None and not set(named) - {by_letter}:
        named = [by_letter]
    if len(named) == 1 and by_letter in (None, named[0]):
        return _single(entry, letters, named[0])
    if named:
        choices = ", ".join(sorted({*named, *filter(None, [by_letter])}))
        entry.fail(field, f"{shown(answer)} may be any of the options {choices}", 'letter and text, as in "B. red"')
    _nothing(entry, field, letters, answer, plain)


def _nothing(entry: Entry, field: str, letters: Mapping[str, str], answer: str, plain: str) -> NoReturn:
    """Raise BadSample for a gold answer that is none of the options."""
    problem = f"{shown(answer)} is none of the options"
    if letter := foreign_letter(plain):
        entry.fail(field, f"{problem}: it begins with {foreign_name(letter)}", "the Latin letter")
    if plain.isdigit():
        entry.fail(field, f"{problem}: a place counted from 0 or from 1?{_others(plain, letters)}", _LETTER_OR_TEXT)
    if _SEVERAL.fullmatch(plain) and set(re.findall("[A-Z]", plain)) <= set(letters):
        entry.fail(field, f"{problem} but several", "the one right letter")
    entry.fail(field, problem, "an option or its letter")


def _others(plain: str, letters: Mapping[str, str]) -> str:
    """Return words on the file's other entries, whose answers may be places too, where an option is a number; or ""."""
    numbers = [text for text in letters.values() if text.strip().isdecimal()]
    if int(plain) > len(letters) or not numbers:
        return ""
    problem = f"one that is also an option's text, as {numbers[0]} is here, is read as that text"
    return f" Then the other golds of this file are places too, and {problem}; mend all of them"


def _single(entry: Entry, letters: Mapping[str, str], letter: str) -> str:
    """Return the letter. BadSample where its text also stands under another letter."""
    own = letters[letter]
    twins = [
        other
        for other, text in letters.items()
        if (_norm(text) == _norm(own) or same_number(text, own)) and not MARK.search(text)
    ]
    if len(twins) > 1:
        entry.fail(options_field(entry), f"the right one occurs twice, as {' and '.join(twins)}", "it once")
    return letter


def _with_text(plain: str, letters: Mapping[str, str]) -> tuple[str, str] | None:
    """Return ("B", "red") for "B. red"; and for "B red", "B, red", "B (red)", "red (B)" where an option has that text.

    None for any other answer.
    """
    pair = letter_and_text(plain)
    loose = _LOOSE.fullmatch(plain)
    if loose and (pair is None or _norm(letters.get(pair[0], "")) != _norm(pair[1])):
        texts = {_norm(text) for text in (loose[2], loose[2].strip("()[]（）").strip())}
        named = [text for text in letters.values() if _norm(text) in texts]
        pair = (loose[1].upper(), named[0]) if named else pair
    if pair is None and (behind := _BEHIND.fullmatch(plain)):
        named = [text for text in letters.values() if _norm(text) == _norm(behind[1])]
        pair = (behind[2].upper(), named[0]) if named else None
    own = pair is not None and _norm(letters.get(pair[0], "")) == _norm(pair[1])
    return pair if pair and pair[0] in letters and (own or not _SEVERAL.fullmatch(plain)) else None


def _undress(answer: str) -> str:
    """Return an answer in one width, without LaTeX, Markdown, quotes and words such as "The answer is"."""
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", answer)).strip().strip("$*_`\"'“”‘’ ").strip()
    while (match := _DRESS.fullmatch(text)) is not None:
        text = match[1].strip()
    opening = _WORDS.match(text)
    return text[opening.end() :].strip() if opening and text[opening.end() :].strip() else text


def is_letter(letters: Mapping[str, str], answer: str) -> bool:
    """Tell whether an answer is the letter of an option, and the text of no option. letters: {letter: text}."""
    bare = _BARE.fullmatch(_undress(answer))
    texts = {_norm(text) for text in letters.values()}
    return bare is not None and bare[1].upper() in letters and _norm(answer) not in texts
