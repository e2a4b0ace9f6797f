"""Options of a multiple-choice question: the one that an answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ral.rewards.asked import as_asked
from ral.rewards.claims import (
    CONFIRMED,
    DESCRIBED,
    ENDS,
    HEDGE,
    IT_IS_LAST,
    LONGEST,
    REASON,
    STATED,
    SURE_LAST,
    UNSURE,
    without_claims,
    without_subject,
)
from ral.rewards.compounds import article_before
from ral.rewards.contractions import written_out
from ral.rewards.contrasts import preferred
from ral.rewards.corrections import INSTEAD, corrected
from ral.rewards.denials import AND_RULED_OUT, OTHER_RULED_OUT, RULED_OUT, taken_back
from ral.rewards.dress import CLOSING, OPENING, shown, undress, unmarked, visible
from ral.rewards.forms import option_of_form
from ral.rewards.keyed import keyed
from ral.rewards.kinds import option_of_kind
from ral.rewards.mentions import one_in_sentence
from ral.rewards.option_spelling import in_option_spelling
from ral.rewards.option_texts import normalised, split_options
from ral.rewards.plain_said import choice_alone
from ral.rewards.values import option_of_value, other_number, values_differ_in_unit
from ral.rewards.verb_phrases import in_base_form
from ral.rewards.verdicts import changed_verdict, option_of_verdict
from ral.rewards.word_forms import in_option_words

_LETTER = re.compile(
    rf"[\s#>:*•-]*([{OPENING}]*)\s*([A-Za-z])(?![A-Za-z0-9\u00c0-\u024f\u0400-\u04ff_'])(?:\s*([{CLOSING}]+))?"
)
_STRONG = re.compile(r"\s*(?:[.:)、。]|(?=[(（])|\n)")
_WEAK = re.compile(r" ?(?:[-–—=|→]|->|,|。) | ?(?:[,;。→=|]|->) ?|[-–—](?=[^\W\d])")
_TEXT_THEN_LETTER = re.compile(
    rf"(.+?)[\s,:–—-]*(?:[{OPENING}]\s*(?:option )?|\boption )\s*([A-Za-z])\s*[{CLOSING}]?[\s.。!]*", re.DOTALL
)
_BRACKETED = re.compile(rf"\s*[{OPENING}]([^{OPENING}{CLOSING}]+)[{CLOSING}][\s.。!]*")
_MARKED = re.compile(rf"(?<=[{OPENING}])[A-Z](?=[{CLOSING}])")
_REPEATED = re.compile(r"\W*(?<!\w)([A-Za-z])(?:[\s,.;:()!-]+\1)+(?!\w)\W*", re.IGNORECASE)  # "B B"
_ARTICLE = re.compile(r"(?:a|[Aa]n|[Tt]he) (?=\S)")  # "A" may be a letter


def chosen_letter(answer: str, options: Sequence[str], question: str = "") -> str | None:
    """Return the capital letter of the option that `answer` names; None where it names none, or more than one.

    options: texts with or without letters ("A. blue", "blue"); empty where unknown: then any letter alone counts.
    An answer is read in this order. First a correction (`corrections`), an option given in place of another
    (`contrasts`) and, for options yes and no, a yes or no of any language (`verdicts`). Then its beginning, each time
    with one claim less in front ("It is", 答案是): a letter alone ("B", "(B)", "**B**"); the text of an option, or
    letter and text, word for word ("blue", "B - blue", "blue (B)"); a letter with a mark and any text ("B. it is
    blue"), with "is correct" or "because ...". None where that text is another option's or another number than the
    option, lists more letters, rules the letter out or refuses to answer. Then what the last words state ("..., so the
    answer is B"), and the one option that has a short answer's value (`values`) or written form (`forms`), or that a
    short sentence names (`mentions`). Last, the same is tried without contractions, in the options' forms of a word
    (`word_forms`, `verb_phrases`), by their kind (`kinds`), without asides (`plain_said`), and, where `question` asks
    for what is wrong, with "B is wrong" as B. Case, width, quotes and white space never count.
    """
    answer = in_option_spelling(keyed(answer), options)
    if named := _chosen(answer, options, question):
        return named
    plain, own = written_out(answer), tuple(map(written_out, options))
    if (plain, own) != (answer, tuple(options)) and (named := _chosen(plain, own, question)):
        return named
    texts = split_options(tuple(options))
    forms = in_base_form(in_option_words(answer, tuple(texts.values())), tuple(texts.values()), question)
    if forms != answer and (named := _chosen(forms, options, question)):
        return named
    if named := option_of_kind(answer, options, question):
        return named
    if alone := choice_alone(answer, question):
        return chosen_letter(alone, options, question)
    turned = as_asked(question, answer)
    return _chosen(turned, options, question) if turned != answer else None


def _chosen(answer: str, options: Sequence[str], question: str) -> str | None:
    """Return the letter of the option that an answer names as it is written."""
    texts, plain = split_options(tuple(options)), undress(answer)
    if changed_verdict(plain) and (said := option_of_verdict((plain,), texts)):
        return said[0]
    later, own_text = corrected(answer[: 2 * LONGEST]), _by_text((plain, visible(answer)), texts)
    if later and len(answer) <= 2 * LONGEST and not own_text:
        named = _chosen(later[0], options, question)
        if named or later[1]:
            return named
    if not (own_text and plain[-1:] != "?") and (said := option_of_verdict(without_claims(plain), texts)):
        return said[0]
    if not own_text and (named := preferred(plain, lambda part: _chosen(part, options, question))):
        return named
    if named := read(answer, texts):
        if other_number(_text_behind(plain), options, named):
            return None
        if not _begins_with_letter(plain) and values_differ_in_unit(visible(answer), options):
            return None
        other = option_of_value(_text_behind(plain), options)
        return named if other in (None, named) else None
    if _begins_with_letter(plain):
        return None
    return (
        _stated_last(plain, texts)
        or _first_value(answer, options)
        or _first_form(answer, options)
        or one_in_sentence(plain, texts, question)
    )


def _text_behind(text: str) -> str:
    """Return the text behind the letter and mark that a text begins with; "" for no letter, or a long text."""
    found = _LETTER.match(text)
    if found is None or len(text) > LONGEST:
        return ""
    mark = _STRONG.match(text, found.end())
    return text[mark.end() if mark else found.end() :] if mark or found[3] else ""


def _first_value(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter of the option whose value a short answer has, perhaps behind a claim such as "It is"."""
    if len(answer) > LONGEST:
        return None
    return next(filter(None, (option_of_value(form, options) for form in without_claims(visible(answer)))), None)


def _first_form(answer: str, options: Sequence[str]) -> str | None:
    """Return the letter of the option that a short answer is written like, perhaps behind a claim such as "It is"."""
    if len(answer) > LONGEST:
        return None
    forms = [form for claimed in without_claims(shown(answer)) for form in (claimed, without_subject(claimed)) if form]
    return next(filter(None, (option_of_form(form, options) for form in forms)), None)


def read(answer: str, texts: dict[str, str]) -> str | None:
    """Return the letter that an answer names from its beginning."""
    plain = undress(answer)
    forms = without_claims(plain)
    for last in (SURE_LAST, IT_IS_LAST):
        if behind := last.search(plain[-LONGEST:]):
            forms += without_claims(plain[: len(plain) - len(behind[0])])
    for place, form in enumerate(forms):
        dressed = (form, visible(answer)) if place == 0 else (form,)
        if named := _bare(form, texts) or _by_text(dressed, texts) or _with_text(form, texts) or _instead(form, texts):
            return named
    return None


def _instead(text: str, texts: dict[str, str]) -> str | None:
    """Return the letter of B in "not A but B"; None where A and B are one option, or either is none."""
    found = INSTEAD.match(text[:LONGEST]) if len(text) <= LONGEST else None
    if found is None:
        return None
    denied, given = read(found["denied"] or found["han"] or found["other"], texts), read(found["given"], texts)
    return given if denied and denied != given else None


def _begins_with_letter(text: str) -> bool:
    """Tell whether a text begins with a letter in brackets or with a mark, which another one at its end contradicts."""
    found = _LETTER.match(text)
    return found is not None and bool(found[3] or _STRONG.match(text, found.end()))


def _bare(text: str, texts: dict[str, str]) -> str | None:
    """Return the letter of a text that is nothing but a letter, with brackets or marks around it; else None."""
    found = _LETTER.match(text)
    if (again := _REPEATED.fullmatch(text[:LONGEST])) and len(text) <= LONGEST:
        return again[1].upper() if _known(again[1].upper(), texts) else None
    if found is None or text[found.end() :].strip(ENDS + CLOSING) or not _known(found[2].upper(), texts):
        return None
    return found[2].upper()


def _by_text(dressed: tuple[str, ...], texts: dict[str, str]) -> str | None:
    """Return the one option whose text, or letter and text, an answer is word for word."""
    said = {normalised(text) for text in dressed}
    said |= {normalised(text[article.end() :]) for text in dressed if (article := _ARTICLE.match(text))}
    named = [letter for letter, own in texts.items() if said & {own, normalised(f"{letter} {own}")} - {""}]
    named = named or [
        letter for letter, own in texts.items() if dressed[0].startswith("A ") and _is_article(dressed[0], own)
    ]
    named = named or [letter for letter, own in texts.items() if _ARTICLE.sub("", own, count=1) in said - {""}]
    if not named and (inner := _BRACKETED.fullmatch(dressed[0])):
        return _by_text((inner[1],), texts)
    if not named and (found := _TEXT_THEN_LETTER.fullmatch(dressed[0][:LONGEST])):
        forms = {normalised(form) for form in without_claims(found[1])}
        named = [letter for letter, own in texts.items() if letter == found[2].upper() and own in forms]
    return named[0] if len(named) == 1 else None


def _is_article(text: str, own: str) -> bool:
    """Tell whether a text is an option's with the article "A" in front."""
    return normalised(text[2:]) == own and article_before(text, 2, len(text.rstrip(ENDS)))


def _with_text(text: str, texts: dict[str, str]) -> str | None:
    """Return the letter that a text begins with; None where what follows contradicts it or may belong to a sentence."""
    found = _LETTER.match(text)
    if found is None or not _known(found[2].upper(), texts):
        return None
    letter, rest = found[2].upper(), text[found.end() :]
    own, strong = texts.get(letter, ""), bool(found[1] and found[3])
    if taken_back(rest) or taken_back(_behind(rest, own)):
        return None
    if confirmed := CONFIRMED.match(rest):
        rest = rest[confirmed.end() :]
        return None if not AND_RULED_OUT.match(rest) and _contradicts(rest, letter, texts) else letter
    if REASON.match(rest):
        return letter
    marked = _STRONG.match(rest)
    if strong or marked or found[3]:
        rest = rest[marked.end() :] if marked else rest
        return None if _contradicts(rest, letter, texts) else letter
    mark = _WEAK.match(rest)
    rest = rest[mark.end() :] if mark else rest
    if OTHER_RULED_OUT.match(rest.lstrip()):
        return letter
    return letter if _is_own(rest, own, letter, texts) else None


def _is_own(text: str, own: str, letter: str, texts: dict[str, str]) -> bool:
    """Tell whether a text is an option's own, perhaps with a reason behind it; a letter alone is a letter."""
    line = " ".join(unmarked(text).casefold().split())
    if not own or line.strip(ENDS).upper() in texts:
        return False
    if normalised(text) == own:
        return True
    rest = line[len(own) :]
    split = rest.startswith((".", ",", ";", "。", "(")) or REASON.match(rest)
    return line.startswith(own) and bool(split) and not _contradicts(rest, letter, texts)


def _behind(rest: str, own: str) -> str:
    """Return what follows an option's own text where the text behind its letter begins with it; else ""."""
    text = rest.lstrip(ENDS + CLOSING)
    return text[len(own) :] if own and text.casefold().startswith(own) else ""


def _contradicts(text: str, letter: str, texts: dict[str, str]) -> bool:
    """Tell whether the text behind a letter takes it back: another option, more letters, "is wrong", "cannot tell"."""
    head, bare = text[:LONGEST].strip(), normalised(text)
    own = texts.get(letter)
    if not bare.strip(ENDS + OPENING + CLOSING) or bare == own or bare.strip("() ") == own:
        return False
    if REASON.match(text) or OTHER_RULED_OUT.match(head):
        return False
    if _lists_letters(text) or RULED_OUT.match(head) or HEDGE.match(head.lstrip(",; ").lstrip(OPENING)):
        return True
    if UNSURE.search(head) and not (own and UNSURE.search(own)):
        return True
    if DESCRIBED.match(head) and any(name != letter for name in _MARKED.findall(head)):
        return True
    if any(name != letter and words and _marked_with(name, words, bare) for name, words in texts.items()):
        return True
    inner = read(head.strip("()（）,;。 "), texts)
    return inner is not None and inner != letter


def _marked_with(letter: str, words: str, text: str) -> bool:
    """Tell whether a text holds another option with its letter, as an echo of all options does."""
    return re.search(rf"(?<!\w){letter}[.):]\s*{re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def _stated_last(text: str, texts: dict[str, str]) -> str | None:
    """Return the letter of "..., so the answer is B" at the end of a text; None where the sentence negates or doubts
    it.
    """
    line = " ".join(text[-LONGEST:].split())
    found = STATED.search(line)
    if found is None:
        return None
    sentence = re.split(r"[.!?。]\s", line[: found.start()])[-1]
    letter = (found[1] or found[2]).upper()
    doubted = UNSURE.search(sentence) or re.search(
        r"\b(?:not|never|(?<!no )(?<!without )(?<!without a )(?<!beyond )doubt|whether|if|unless|wrong|incorrect|false"
        r"|untrue|invalid|eliminate|avoid)\b|n't\b",
        sentence,
        re.I,
    )
    return letter if _known(letter, texts) and not doubted else None


def _known(letter: str, texts: dict[str, str]) -> bool:
    return not texts or letter in texts


def _lists_letters(text: str) -> bool:
    """Return True for "C", "C. D." or "or C": more letters, and nothing else."""
    words = re.findall(r"\w+", text[:LONGEST].casefold())
    return bool(words) and all(
        (len(word) == 1 and word.isascii() and word.isalpha()) or word in ("or", "and") for word in words
    )
