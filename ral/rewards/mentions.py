"""The one option that a short sentence names: "The color is blue", "It's the dog.", "Yes, it is.", 颜色是蓝色.

A sentence that names two, denies or doubts anything, or compares, counts as naming none: its meaning is then open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ral.rewards.antonyms import against_asked, plainly_against
from ral.rewards.below_zero import FREEZING, below_zero
from ral.rewards.bounds import bound
from ral.rewards.claims import LONGEST, REASON, UNSURE
from ral.rewards.comparisons import as_asked_for, compared
from ral.rewards.compounds import MODEL, article_before, content_word, part_of_more
from ral.rewards.converses import is_adverb, of_asked_thing
from ral.rewards.degrees import in_option_degree, not_yet, to_a_degree
from ral.rewards.denials import denied, taken_back
from ral.rewards.landmarks import only_near, without_landmark
from ral.rewards.number_words import is_pronoun, read_words
from ral.rewards.rough import ROUGH

MOST_WORDS = 24  # of such a sentence
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_WORDS_OF_ALL = frozenset({"an", "the", "it", "is", "in", "to", "of", "on", "at", "by", "yes", "no"})
SETS_OFF = re.compile(
    r"\b(?:not|no|nor|never|none|neither|nothing|nobody|cannot|without|except|but|although|though|however|unless"
    r"|whether|if|either|or|maybe|perhaps|possibly|might|may|could|than|unlike|instead|besides|apart|excluding|hardly"
    r"|barely|unlikely|doubt\w*|wrong|incorrect|false|impossible|opposite|used to|anything|everything|any|all|both"
    r"|similar|almost|nearly|guess|assume|suppose|hope|wish|would have|exclud\w*|eliminat\w*|rul\w* out|lacks?"
    r"|quits?|quitting|gave up|gives? up"
    r"|missing|absent|fails?|denies|refus\w*|other|another|expected|supposed|hesitat\w*|reluctant)\b|n['’]t\b|[?？≠]|!="
    r"|不|没|沒|非|无|無|别|或|还是|還是|但|可能|也许|除|ない|아니",
    re.IGNORECASE,
)
"""Matches words that deny, doubt, set off or compare: an option beside one may not be what is meant."""
_LATIN = r"A-Za-z0-9_\u00c0-\u024f"
_LETTER = re.compile(rf"(?<![{_LATIN}'’.-])([A-Z])(?![{_LATIN}'’-])")
_ARTICLE = re.compile(r" [a-z]|'m\b|’m\b")
_SAID = (
    r"[,，;；:：。]|(?<=\s)(?:so|thus|hence|therefore|option|choice|like|likely|it's|it’s|is|be|with|to|matches)"
    r"|[选選择擇是为為]"
)
_LAST = re.compile(
    rf"(?P<ahead>.*?)(?P<said>{_SAID})\s*(?:(?:it(?:'s| is)|(?:the )?(?:answer|option|choice)|选|选择)\s*)*"
    r"[\[(（]?(?P<letter>[A-Z])[\])）]?(?: ?(?:选项|選項|项|項))?[\s.!。！]*",
    re.DOTALL,
)
_CLAUSE = re.compile(r"[,，;；。.:]\s*|\s(?:so|thus|hence|therefore|because|since|and)\s")
_ADDED = re.compile(
    r"\s*(?:,|，|、|/|&|\+)?\s*(?:and(?! (?:it|he|she|they|there|we|i)\b)|plus|和|与|與)\b"
    r"|\s*[/&+、]|\s*[,，]\s*(?!which|as\b|so\b|that)\w+[.!]?\s*$"
)
_NUMERAL = re.compile(r"\d[\d.,]*|[零〇一二两兩三四五六七八九十百千万萬亿億]+")
_SO = re.compile(r"(?P<ahead>[^,;.]+)[,;] (?:so|thus|hence|therefore),? (?P<end>[^,;]+)", re.IGNORECASE)
_THAN = re.compile(r"\bthan\b", re.IGNORECASE)
_IT_IS = re.compile(r"^(?:(?:it is|it's|the answer is) )?(?:(?:the|an?) )?")
_HAND = re.compile(r"\b(left|right)[ -]hand\b", re.IGNORECASE)
_WITH = re.compile(r"\s*with\b", re.IGNORECASE)
_JOINED = re.compile(r"\b(?:and|with)\b|[和与與&+]")
_FORMER = re.compile(
    r"\b(?:was|were|had been) [^,;.]*\bbefore (?:it|they|he|she|being|the)\b|\bno longer\b"
    r"|\bat first\b(?! (?:glance|sight|look))"
    r"|\b(?:initially|originally)\b",
    re.IGNORECASE,
)
_ASKS_FORMER = re.compile(
    r"\b(?:before|was|were|did|had|happen\w*|originally|initially|first|no longer|change[sd]?"
    r"|start\w*|beginning|begin)\b",
    re.IGNORECASE,
)
_FOLLOWED = re.compile(r"(?P<said>[^,;.]+),? followed (?:closely |next )?by (?P<other>[^,;.]+)[\s.!]*", re.IGNORECASE)
_ASKS_FIRST = re.compile(
    r"\b(?:first|most|earliest|(?:high|larg|bigg|great|tall|long|heavi|fast|old)est)\b", re.IGNORECASE
)
_ADDED_AHEAD = re.compile(r"(?:\band|\bplus|[/&+、和与與])\s*(?:an?\s|the\s)?$", re.IGNORECASE)


def one_in_sentence(text: str, options: Mapping[str, str], question: str = "") -> str | None:
    """Return the letter of the one option that a short sentence names by its text or by its last letter; else None.

    text: without formatting (`dress.undress`). options: {letter: text in small letters}, empty where unknown. An
    option's text counts as whole words, the longer first ("hot dog" is no "dog"). Not counted are texts of one letter,
    articles and other words of any sentence, and landmarks ("behind the table", `landmarks`), unless `question` asks by
    that relation.
    """
    line = _HAND.sub(r"\1", " ".join(text.split()))
    if len(line) > LONGEST or len(line.split()) > MOST_WORDS or not line:
        return None
    told = of_asked_thing(line, options.values(), question)
    if (named := _last_letter(line, options)) or told is None:
        return named
    line = told
    if named := one_text(line, options, question):
        return named
    if named := _preferred(line, options, question) or _concluded(line, options, question):
        return named
    place = without_landmark(line, question)
    return one_text(place, options, question) if place else None


def _preferred(line: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the option that a sentence compares with another option: the chair of "The chair is closer
    than the lamp" and of "The chair, followed by the lamp" where the first or most is asked; None where it compares
    anything else, or not as `question` asks (`comparisons.compared`).
    """
    if (found := _FOLLOWED.fullmatch(line)) and _ASKS_FIRST.search(question):
        ahead, behind = one_text(found["said"], options, question), one_text(found["other"], options)
        return ahead if behind and ahead != behind else None
    if (parts := compared(line, question)) is None or _JOINED.search(parts[1]):
        return None
    others = {letter for letter, *_ in mentions(parts[1], options)}
    named = one_text(parts[0], options, question)
    return named if len(others) == 1 and named not in others and not SETS_OFF.search(parts[1]) else None


def lone_letters(line: str) -> set[str]:
    """Return the capital letters that stand alone, but for the words A and I."""
    found = _LETTER.finditer(line)
    return {m[1] for m in found if m[1] not in "AI" or not _ARTICLE.match(line, m.end())}


def _last_letter(line: str, options: Mapping[str, str]) -> str | None:
    """Return the only letter of a sentence, at its end: "The ball is blue, so B", with denials elsewhere."""
    found = _LAST.fullmatch(line)
    if found is None or lone_letters(line) != {found["letter"]} or (options and found["letter"] not in options):
        return None
    *others, last = _CLAUSE.split(found["ahead"] + found["said"])
    if (
        UNSURE.search(line)
        or denied(line[: found.start("letter")])
        or SETS_OFF.search(last)
        or re.search("[?？]", line)
    ):
        return None
    told = [clause for clause in others if not SETS_OFF.search(clause)]
    named = {letter for clause in (*told, last) for letter, *_ in mentions(clause, options)}
    return found["letter"] if named <= {found["letter"]} else None


def one_text(line: str, options: Mapping[str, str], question: str = "") -> str | None:
    """Return the letter of the one option whose text a sentence holds; None where it denies, doubts or names others."""
    told = of_asked_thing(line, options.values(), question)
    if told is None:
        return None
    line = in_option_degree(told, options)
    found = [
        (letter, start, end)
        for letter, start, end in mentions(line, options)
        if not is_adverb(line[:start], options[letter], line[end:])
    ]
    if len({letter for letter, *_ in found}) != 1 or ROUGH.search(line) or FREEZING.search(line) or is_pronoun(line):
        return None
    letter, own = found[0][0], options[found[0][0]]
    article = article_before(line, *found[0][1:]) and MODEL.fullmatch(line[found[0][2] :])
    if (line.startswith("A ") and not article) or below_zero(line) != line:  # "A" may be the letter
        return None
    line = f"a{line[1:]}" if article else line
    pairs = any(_JOINED.search(text) for text in options.values())  # "blue with white" may be "blue and white"
    if lone_letters(without_mentions(line, options)) - {letter}:
        return None
    for _, start, end in found:
        ahead, behind = line[:start], line[end:]
        added = (_ADDED.match(behind) or (pairs and _WITH.match(behind))) and not REASON.match(behind)
        if _is_number(own) and bound(ahead, behind):
            return None
        if (
            to_a_degree(ahead, own, behind)
            or not_yet(ahead, own, question)
            or denied(ahead)
            or taken_back(behind)
            or added
            or _ADDED_AHEAD.search(ahead)
        ):
            return None
        if only_near(ahead, line[start:end], question, options.values()):
            return None
    rest = re.sub(re.escape(own), " ", line, flags=re.IGNORECASE)
    numbers = bool(re.search(r"\d", own)) and re.search(r"\d", rest)
    if SETS_OFF.search(rest) or UNSURE.search(rest) or numbers:
        return None
    if plainly_against(rest, question) or _formerly(rest, question):
        return None
    against = against_asked(rest, question)
    if against and len(options) == 2 and not _is_number(own):
        return next(other for other in options if other != letter)
    return letter if against is False else None


def _formerly(line: str, question: str) -> bool:
    """Tell whether a sentence says what was before something, "was red before it was painted", and is not asked so."""
    return _FORMER.search(line) is not None and _ASKS_FORMER.search(question) is None


def _is_number(own: str) -> bool:
    """Tell whether an option is nothing but a number, in digits or words."""
    return _NUMERAL.fullmatch(own) is not None or read_words(own) is not None


def _concluded(line: str, options: Mapping[str, str], question: str) -> str | None:
    """Return the letter of the option that a sentence ends with: the door of "The lamp is farther away, so the door".

    The end may be a sentence that compares as `question` asks; else None where it is more than the option's text, and
    where what stands in front denies or doubts anything, or names none.
    """
    found = _SO.fullmatch(line)
    if found is None or SETS_OFF.search(_THAN.sub(" ", found["ahead"])) or UNSURE.search(line):
        return None
    named, told = (
        one_text(found["end"], options, question),
        {letter for letter, *_ in mentions(found["ahead"], options)},
    )
    if named is None or not told:
        return None
    if _THAN.search(found["ahead"]) and (len(told) != 2 or named not in told):
        return None
    bare = _IT_IS.sub("", found["end"].casefold()).strip(" .!") == options[named]
    return named if bare or as_asked_for(found["end"], question) else None


def without_mentions(line: str, options: Mapping[str, str]) -> str:
    """Return a line with blanks for the options' texts, so that the B of "sample B" is no letter of an option."""
    for _, start, end in mentions(line, options):
        line = line[:start] + " " * (end - start) + line[end:]
    return line


def mentions(line: str, options: Mapping[str, str]) -> Iterator[tuple[str, int, int]]:
    """Yield (letter, start, end) of the options' texts in a line, the longest option first.

    Not yielded: a text inside another that was found, and a text inside a longer noun of the line
    (`compounds.part_of_more`) or of an option.
    """
    taken: list[tuple[int, int]] = []
    for letter, own in sorted(options.items(), key=lambda item: -len(item[1])):
        pattern = _pattern(own)
        for found in re.finditer(pattern, line, re.IGNORECASE) if pattern else ():
            start, end = found.span(1)
            if not any(start < stop and begin < end for begin, stop in taken):
                taken.append((start, end))
                if not part_of_more(line, start, end) and not _part_of_option(line, start, end, options):
                    yield letter, start, end


def _part_of_option(line: str, start: int, end: int, options: Mapping[str, str]) -> bool:
    """Tell whether the word beside line[start:end] is so in a longer option too: "hot dog" of "hot dog stand"."""
    own, ahead, behind = (
        line[start:end],
        re.search(r"([^\W\d_]+) $", line[:start]),
        re.match(r" ([^\W\d_]+)", line[end:]),
    )
    longer = [f"{ahead[1]} {own}"] if ahead and content_word(ahead[1]) else []
    longer += [f"{own} {behind[1]}"] if behind and content_word(behind[1]) else []
    return any(
        re.search(rf"(?<!\w){re.escape(words.casefold())}(?!\w)", text) for words in longer for text in options.values()
    )


def _pattern(own: str) -> str:
    """Return the pattern of an option's text in a sentence; "" for one that no sentence could name."""
    bare = re.sub(r"^(?:an?|the) (?=\S)", "", own)
    if _HAN.search(bare):
        whole = re.escape(bare)
        return (
            f"({whole})" if len(bare) > 1 else rf"(?:[是为為]|一[只隻个個条條匹头頭张張辆輛])({whole})(?=[\s。.!！]*$)"
        )
    if bare in ("on", "in"):
        return rf"(?<![\w-])({bare})(?=[\s.!]*$)"
    if (len(bare) < 2 and not bare.isdigit()) or bare in _WORDS_OF_ALL:
        return ""
    return rf"(?<![\w$€£])(?<![-–.,'’](?=\w))(?<!\d[.,])({re.escape(bare)})(?![\w%°]|[-–.,:/]\d|[-–'’]\w)"
