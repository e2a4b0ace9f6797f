"""Yes and no in some twenty languages: the verdict that an answer begins with ("Yes, it is.", 是的, "Nein, ...").

An answer that begins with yes and goes on with no, or asks, or doubts, has no verdict.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from ral.rewards.claims import UNSURE, without_claims
from ral.rewards.embedded import denied_at_once, judged_clause
from ral.rewards.mentions import SETS_OFF, lone_letters
from ral.rewards.verdict_words import JUDGEMENTS, LANGUAGES, OF_OPTIONS_ALONE, OF_STATEMENTS

_QUESTION = re.compile(
    r".{0,8}(?:是否|是不是|[对對]不[对對]|有[没沒]有|能否|[会會]不[会會]|能不能|可不可以|可否)|.*[吗嗎][\s.。?!]*$",
    re.DOTALL,
)
_CLAUSE = r"(?:it|there|he|she|they|we|you|i|this|that|these|those|the|all|both|everyone)(?:'\w+)?\b"
_END = rf"(?=\s*(?:$|\n|[,.;:!?。、…)])|\s+[-–—]+\s|\s+{_CLAUSE}|\s+(?:because|since)\b)"
_JOINED = r"\s*(?:[/&]|\b(?:and|or|und|oder|et|ou|y|o|e|или|и)\b|或者?|和|还是|還是|かつ|または)\s*"
_TORN = re.compile(
    r"(?<!\w)(?:maybe|perhaps|possibly|sorry|unless|aber|vielleicht|mais|peut-être"
    r"|pero|quizás|talvez|però|forse|но|может)(?!\w)|\?|但|不过|不過|然而|也许|也許|可能|でも|하지만"
    r"|(?:^|[,.;:!?…—–-]\s*)(?:wait|actually|hmm)(?!\w)",
    re.IGNORECASE,
)
_MARK = r"(?:^|[,.;:!?…—–-]\s*)"
_PLAIN_YES, _PLAIN_NO = r"(?:yes|yeah|yep|yup)", r"(?:no|nope)"
_ALONE = (
    rf"(?:{_MARK}|\b(?:but|and|or|so|is|be|however|although|then|also|well|oh|rather|thus|hence|therefore|actually|wait|say)\s+)%s"
    r"(?=\s*(?:$|[,.;:!?…)]))"
)
_YES_ALONE, _NO_ALONE = re.compile(_ALONE % _PLAIN_YES), re.compile(_ALONE % _PLAIN_NO)
_CHANGED = re.compile(
    rf"{_MARK}(?:(?:oh|wait|actually|sorry|hmm|{_PLAIN_NO}|{_PLAIN_YES}|scratch that|correction|on second thought)"
    rf"[\s,.:;!…—–-]+)*(?:wait|actually|scratch that|correction|on second thought)[\s,.:;!…—–-]+(?:it's |it is )?"
    rf"(?:(?P<yes>{_PLAIN_YES})|{_PLAIN_NO})(?=\s*(?:$|[,.;!…]))"
)
"""Matches a plain second verdict: "Yes, wait, no", "Yes. Actually no.", "No, no, wait, yes"."""
_LIMITED = re.compile(
    r"(?<!\w)(?:but|however|although|though)(?!\w),? ?(?P<clause>[^.;!]*)",
)
_NOT_QUITE = re.compile(
    r"(?:it |that |this |there |they )?(?:is |are |was |does |do )?(?:not|n't)"
    r"(?:$|[ ,]+(?:really|quite|exactly|fully|entirely|completely|always|all|in the|actually|sure)\b)"
)
_NOT_SAID = re.compile(r"[^.,;]*(?:n't|\bnot)(?: (?:say|answer|call it|call this|be|have said))+ (?:a )?(?:yes|no)\b")
_MAYBE = re.compile(r"\b(?:maybe|perhaps|possibly|might|could)\b|也许|也許|可能")
_SHORT = re.compile(
    r"(?:it|there|he|she|they|we|you|i|this|that|these|those)(?:'s|'re| (?:is|are|was|were|does|do|did|has|have|had|can"
    r"|could|will|would|should))(?P<no>n't| not)?",
    re.IGNORECASE,
)
_TRUE, _FALSE = "true|correct|right|accurate", "false|incorrect|wrong|untrue|inaccurate"
_TRUTH = re.compile(
    r"(?:(?:(?:the|this|that) (?:given |above )?(?:statement|claim|sentence|assertion|proposition|description|caption)"
    r"|it|this|that)(?:'s| is| was|(?= ?(?:is|was)n't)))? ?"
    r"(?P<no>(?:(?:is|was)n't|(?:(?:clearly|definitely|simply) )?not) )?"
    rf"(?:(?:clearly|definitely|simply|indeed) )?(?:(?P<true>{_TRUE})|{_FALSE})(?=\s*(?:$|[.,;!]|(?:because|since)\b))"
)
_AGREES = re.compile(r"(?:true|correct)\b")
_SURELY = re.compile(r"(?:certainly|definitely|absolutely|of course|surely|sure)(?P<no> not)?[\s.!]*")
_HAN_NO = re.compile(r"(?:[没沒無无否]|不(?:[是对對会會能]|存在|正[确確]))")


class Verdict(NamedTuple):
    """Yes or no of a text. yes: None where the text says both, asks or doubts. rest: the text behind the word."""

    yes: bool | None
    rest: str


def find_verdict(text: str) -> Verdict | None:
    """Return the verdict that a text without formatting begins with; None where it begins with none.

    A word of yes or no counts only before a mark, the end of the text, or a clause of its own ("Yes it is"): "no dogs",
    "no idea", 不一定 and 对不起 are no verdicts.
    """
    line = _asked().sub("", _plain(text), count=1)
    if _QUESTION.match(line) or _both().match(line):
        return Verdict(None, "")
    if surely := _SURELY.fullmatch(line):
        return Verdict(surely["no"] is None, "")
    found = _head().match(line)
    if found is None:
        return None
    if changed := changed_verdict(line):
        return changed
    yes, rest = _answers()[found[1]], line[found.end() :].strip(" \n,.;:!。、…)-–—")
    return Verdict(None if _contradicts(yes, rest) or line[found.end() :].lstrip()[:1] == "?" else yes, rest)


def changed_verdict(text: str) -> Verdict | None:
    """Return the last verdict of a text that begins with one and plainly changes it: "Yes, wait, no"; else None."""
    line = _plain(text)
    found = list(_CHANGED.finditer(line)) if _head().match(line) else []
    return Verdict(found[-1]["yes"] is not None, "") if found and not UNSURE.search(line) else None


def stated_verdict(text: str) -> Verdict | None:
    """Return the verdict that a text without formatting states first or last; None where it states and doubts none.

    "Yes, it is", "The answer is yes", "I'd say no" and "There is one, so yes" state one. Texts that deny or doubt one
    ("not yes", "I wouldn't say yes", "I'm not sure it's yes") give Verdict(None, ""), while "there are two" and "yes
    indeed it shines" give None.
    """
    if said := next(filter(None, map(_of_clause, without_claims(text))), None):
        return said
    if said := next(filter(None, map(find_verdict, without_claims(text))), None):
        return Verdict(None, "") if said.yes and _agrees_with_none(text, said) else said
    if last := _said_last(text):
        return last
    line = _behind_question(text)
    others = re.sub(rf"(?<!\w)(?:{_any_word()})(?!\w)", " ", line)
    return Verdict(None, "") if UNSURE.search(line) or SETS_OFF.search(others) else None


def _said_last(text: str) -> Verdict | None:
    """Return the verdict of a text's last clause where that is nothing else, "..., so the answer is yes"; else None."""
    line = _behind_question(text)
    last = next(filter(None, map(_last().search, without_claims(line))), None)
    doubted = UNSURE.search(line) or _MAYBE.search(line)
    return Verdict(_answers()[last["said"]], "") if last and not doubted else None


def _behind_question(text: str) -> str:
    """Return the part of a text, in small letters, that stands behind its own question."""
    return _plain(text[text.rstrip(" ?？").rfind("?") + 1 :])


def stated_truth(text: str) -> Verdict | None:
    """Return the verdict of a text on a statement, with `yes` False for "It is not true."; None where it has none."""
    line = _plain(text)
    if clause := next(filter(None, map(_of_clause, without_claims(line))), None):
        return clause
    found = next(filter(None, map(_TRUTH.match, without_claims(line))), None)
    if found is None:
        return None
    true = (found["true"] is not None) != (found["no"] is not None)
    rest = found.string[found.end() :].strip(" \n,.;:!")
    return Verdict(None if _contradicts(true, rest) else true, "")


def _of_clause(text: str) -> Verdict | None:
    """Return the verdict of a judgement of a clause, "It is not true that it is red"; None for any other text."""
    found = judged_clause(_plain(text), _truth)
    return None if found is None else Verdict(None if UNSURE.search(text) else found.yes, "")


def _truth(clause: str) -> bool | None:
    """Return what a clause says of a statement, or as a verdict; None for neither."""
    said = stated_truth(clause) or find_verdict(clause)
    return said.yes if said else None


def _agrees_with_none(text: str, said: Verdict) -> bool:
    """Tell whether a text agrees by "true" or "correct" with there being none: "True, no dog is visible"."""
    agrees = next((form for form in without_claims(_plain(text)) if _AGREES.match(form)), None)
    return agrees is not None and denied_at_once(said.rest)


def truth_of_gold(gold: str) -> bool | None:
    """Return the truth value of a gold answer that is "true" or "false" alone; None for any other."""
    return {"true": True, "false": False}.get(_plain(gold).strip(" .!"))


def verdict_of_gold(gold: str) -> bool | None:
    """Return True for a gold answer that is yes alone, in any language, False for no; None for any other.

    Words that may mean more than that (有, "true", "right") give None.
    """
    word = _plain(gold).strip(" .。!")
    return next((word in yes for yes, no in _families(LANGUAGES) if word in yes | no), None)


def option_of_verdict(forms: Sequence[str], options: Mapping[str, str]) -> tuple[str | None] | None:
    """Return (letter,) of the option that means the yes or no that an answer begins or ends with.

    (None,) where the answer says both, doubts, or also names another letter. None where it says neither, or where the
    options do not hold one yes and one no; other options may stand beside these.
    forms: the answer as written, then without its claims. options: {letter: text in small letters}.
    """
    poles = _poles(options)
    if not poles:
        return None
    found = next(((form, verdict) for form in forms if (verdict := _of_clause(form))), None)
    found = found or next(((form, verdict) for form in forms if (verdict := find_verdict(form))), None)
    of_statements = {_plain(options[letter]).strip(" .!") for letter in poles.values()} <= OF_STATEMENTS
    if found and not of_statements and found[1].yes and _agrees_with_none(*found):
        return (None,)
    if found is None and of_statements:
        found = next(((form, verdict) for form in forms if (verdict := stated_truth(form))), None)
    if found is None and forms and (last := _said_last(forms[0])):
        found = forms[0], last
    if found is None:
        return None
    form, verdict = found
    letter = None if verdict.yes is None else poles[verdict.yes]
    return (None if lone_letters(form) - {letter} else letter,)


def _poles(options: Mapping[str, str]) -> dict[bool, str] | None:
    """Return {True: letter of yes, False: letter of no}; None where options say neither, or one of them in two ways."""
    texts = {letter: _plain(own).strip(" .。!") for letter, own in options.items()}
    for yes, no in _families((*LANGUAGES, *JUDGEMENTS, *OF_OPTIONS_ALONE)):
        for_yes = [letter for letter, own in texts.items() if own in yes]
        for_no = [letter for letter, own in texts.items() if own in no]
        if len(for_yes) == len(for_no) == 1 and for_yes != for_no:
            others = [own for letter, own in texts.items() if letter not in (*for_yes, *for_no)]
            return None if any(map(find_verdict, others)) else {True: for_yes[0], False: for_no[0]}
    return None


def _contradicts(yes: bool, rest: str) -> bool:
    """Tell whether what follows a verdict takes it back: the other word, a short clause of the other kind, a doubt."""
    rest = _NOT_SAID.sub(" ", rest)
    if _TORN.search(rest) or UNSURE.search(rest):
        return True
    if (other := _head().match(rest)) and _answers()[other[1]] != yes:
        return True
    if (yes and _HAN_NO.match(rest)) or (_NO_ALONE if yes else _YES_ALONE).search(rest):
        return True
    clauses = [re.split(r"[,.;!。]", rest, maxsplit=1)[0], *(found["clause"] for found in _LIMITED.finditer(rest))]
    return any(map(_NOT_QUITE.match, clauses[1:])) or any(_is_other(yes, clause) for clause in clauses)


def _is_other(yes: bool, clause: str) -> bool:
    """Tell whether a clause is a short one of the other kind: "it is not" behind yes, "there is" behind no."""
    short = _SHORT.fullmatch(re.split(r"[,.;!。]", clause, maxsplit=1)[0].strip())
    return short is not None and (short["no"] is not None) == yes


def _plain(text: str) -> str:
    return re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFKC", text).casefold().replace("’", "'")).strip(" \n*_\"'`")


@cache
def _families(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    return tuple((frozenset(_split(yes)), frozenset(_split(no))) for yes, no in pairs)


def _split(words: str) -> list[str]:
    return [_plain(word) for word in words.split()]


@cache
def _answers() -> dict[str, bool]:
    """Return {word: whether it means yes} of all words that an answer may begin with."""
    return {word: word in yes for yes, no in _families((*LANGUAGES, *JUDGEMENTS)) for word in (*yes, *no)}


@cache
def _head() -> re.Pattern[str]:
    return re.compile(rf"({_any_word()})[啊呀哦噢呢哈吧よね]?{_END}")


@cache
def _both() -> re.Pattern[str]:
    """Return the pattern of "yes and no", 是或否 and "yes/no"."""
    return re.compile(rf"(?:{_any_word()}){_JOINED}(?:{_any_word()})(?![a-z])")


@cache
def _asked() -> re.Pattern[str]:
    """Return the pattern of a question repeated in front of its answer: "True or false?"."""
    return re.compile(rf"^(?:{_any_word()}){_JOINED}(?:{_any_word()})\?\s*(?=\w)")


@cache
def _last() -> re.Pattern[str]:
    """Return the pattern of a yes or no that a text ends with, in a clause of nothing else: "..., so it is yes"."""
    return re.compile(
        rf"(?:^|[,.;:!?。，；]\s*|\b(?:so|thus|hence|therefore),?\s+|(?:所以|因此|故)[,，]?)"
        r"(?:(?:so|thus|hence|therefore),? )?"
        r"(?:(?:(?:the |my )?(?:final |correct |right )?answer|it|that)(?:'s| is| would be| must be):? )?"
        rf"(?:an? )?(?:答案[是为]?:?)?(?P<said>{_any_word()})[\s.!。)]*$"
    )


def _any_word() -> str:
    return "|".join(map(re.escape, sorted(_answers(), key=len, reverse=True)))
