"""Multiple choice: the letter that a response names, and whether it is the gold one.

All authors' extractors read "B", "B." and "B. text" alike, and so does this one. They differ on prose: some take the
first letter of any word ("The ..." is T, "Based on ..." is B), some guess at random (MMMU), some read nothing else at
all (MuirBench). Here prose is read by the rules of `letter` in turn; prose that names no option, or several, is wrong.
The "A" of "A close look" and the "I" of "I cannot tell" are words, and a refusal names nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ral.evaluation.benchmarks.items import Item, Judged
from ral.options import first_of_several, several_letters
from ral.rewards.answers import CLOSE, OPEN, THINK_CLOSE, THINK_OPEN, extract_answer
from ral.rewards.asked import as_asked
from ral.rewards.choices import chosen_letter
from ral.rewards.claims import DESCRIBED, UNSURE, without_claims
from ral.rewards.contradictions import names_two
from ral.rewards.denials import denied
from ral.rewards.dress import undress, unmarked
from ral.rewards.mentions import SETS_OFF, mentions, one_in_sentence, one_text, without_mentions
from ral.rewards.option_spelling import in_option_spelling
from ral.rewards.option_texts import split_options
from ral.rewards.verdicts import option_of_verdict

_STATED = re.compile(
    r"(?i:\b(?:answers?|(?:correct|right|best|final|my) (?:option|choice))\b(?:\s+(?:is|would be|should be|must be))?)"
    r"\s*[:\-]?\s*(?i:(?:option|choice)\s+)?[(\[*\"'{]*([A-Z])(?![A-Za-z'])"
)
_LEADING = re.compile(r"\A[(\[*\s]*([A-Z])(?:\s*[)\].:,*]|\s*\n|\s*$)")
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")
_MARKED = re.compile(r"\b([A-Z])[.):](?!\w)")
_ALONE = re.compile(r"(?<![\w'.-])([A-Z])(?![\w'-])")

_AFTER_LETTER = (
    r"is|was|seems?|looks?|fits|matches|because|since|as|and|but|which|based|due|given|for|according|here|it|correctly"
    r"|best|rather|instead"
)
_A_WORDS = {
    "A": re.compile(rf" +(?!(?:would|must|should|will|{_AFTER_LETTER})\b)[a-z]"),
    "I": re.compile(rf" +(?!(?:{_AFTER_LETTER})\b)[a-z]|,? +(?:for one|myself)\b"),
}
"""Patterns of the text behind an "A" or "I" that is a word of a sentence."""
_PIECES = re.compile(
    r"((?<=[.!?。！？])\s+|\n+|,? +\b(?:but|however|yet|still|so|therefore|thus|hence|nevertheless)\b,?)"
)
_DOUBT = re.compile(
    r"\b(?:whether|doubts?|unless)\b|\bif\b[^.]{1,80}\b(?:were|had)\b[^.]*\bwould\b|\bwould\b[^.]*\bif\b[^.]*\bwere\b",
    re.IGNORECASE,
)
_MERELY = (
    r"(?:just|only|merely|simply|purely|at best|at most|nothing (?:more|else|other|but)(?: than| but)?|no more than)"
)
_IDLE = re.compile(
    rf"(?:\bbe (?:{_MERELY} )*(?:guessing|arbitrary)|(?:\b(?:is|was|be|remains)|'s) (?:{_MERELY} )*"
    r"(?:(?:a )?(?:(?:pure|mere|wild|random|blind|sheer|total|complete) )?(?:guess|speculation|guesswork)"
    r"|(?:a|one|another) possibility|(?:one of|among) the possibilities|a shot in the dark|a coin (?:toss|flip)))"
    r"\b(?! ?[:—–-]+ ?[(\[*]*[A-Z][)\]*]*[.!]?\s*$)",
    re.IGNORECASE,
)
"""Matches what calls an answer a guess or a possibility ("A is just a guess"), not "It is a guess: A" or "my guess is
A"."""
_CLAUSES = re.compile(r"([,;(]| [—–-] )")
_SPECULATES = re.compile(r"\b(?:guess|speculat|possib|arbitrar)", re.IGNORECASE)
_ONE = r"(?:(?:option|choice) )?[(\[*]*[A-Z][)\]*]*(?![A-Za-z'])"
_SEVERAL = re.compile(
    rf"(?<![\w'])(?i:(?:n?either|both|between) )?{_ONE}(?:(?:, ?(?i:(?:or|and|nor) )?|/| (?i:or|and|nor) ){_ONE})+"
    r"|[(\[【「]([A-Z])[)\]】」](?:[\s;,/&|、]*[(\[【「](?!\1)[A-Z][)\]】」])+"
)
_DENIED = re.compile(
    rf"(?i:\b(?:not|rule[sd]? out|ruling out|eliminat\w+|exclud\w+|reject\w*|rather than|instead of|unlike"
    rf"|than)|n't) {_ONE}"
    rf"|(?i:(?:\b(?:not|never)|n't) (?:say|call it|choose|pick|select|go with|answer|believe|think)(?: that)?"
    rf"(?: it(?:'s| is))?) {_ONE}"
    r"|(?i:\b(?:wrong|incorrect|false|untrue) (?:one|answer|option|choice|statement)(?: (?:is|was|would be))?):?"
    rf" {_ONE}"
    rf"|(?<![\w']){_ONE}"
    r"(?= ?(?i:(?:is|was|would be|can be|seems|looks|does|could)(?: \w+)?(?: (?:only|clearly|single))?"
    r"(?: not|n't| wrong| incorrect| false| ruled out| out| excluded| eliminated)|isn't|doesn't|cannot|can't)\b)"
)
_SENTENCES = re.compile(
    r"(?<=[.!?。！？;；])\s+|\n+|,? +\b(?:however|yet|so|therefore|thus|hence|nevertheless)\b,?|, +but\b"
)


def final(response: str) -> str:
    """Return the answer in a response, without white space at its ends.

    It is the answer block, else all text outside the thought. A thought that was cut by the length limit holds no
    answer.
    """
    block = extract_answer(response)
    if block is not None:
        return block
    text = response.rpartition(THINK_CLOSE)[2].partition(THINK_OPEN)[0]
    return text.replace(OPEN, "").replace(CLOSE, "").strip()


def lettered(options: Sequence[str]) -> tuple[str, ...]:
    """Return options with letters in front: ("red", "blue") -> ("A. red", "B. blue")."""
    return tuple(f"{chr(ord('A') + n)}. {option}" for n, option in enumerate(options))


def letter(text: str, options: Sequence[str], question: str = "") -> str:
    """Return the letter of the option that a text names; "" where it names none or several.

    options: ("A. red", ...), or () where unknown. question: where it asks for what is wrong, "B is incorrect" names B
    (`ral.rewards.asked`).

    The text is first read as rewards read it (a letter alone, an option word for word, a letter with its text); a
    letter with another option's text names none, as there. Then
    refusals, doubts, guesses ("A is just a guess"), alternatives ("A or B") and letters ruled out ("not B") are taken
    out of it, and the first of these rules that finds something decides: the last "answer is B"; a letter that opens
    the text; the only "(B)"; the only "B."; the one option whose text occurs; the one capital letter that stands alone.
    """
    texts = split_options(tuple(options))
    text = in_option_spelling(text, options)
    chosen = chosen_letter(text, options, question)
    if chosen and first_of_several(text, texts) == chosen and not _DOUBT.search(text) and not _DENIED.search(text):
        return ""
    if chosen and (not texts or chosen in texts):
        return chosen
    if names_two(text, options) or any(several_letters(form, texts) for form in without_claims(undress(text))):
        return ""
    certain = _certain(as_asked(question, text), texts, question)
    line = " ".join(certain.split())
    if stated := _letters(_STATED, line, texts):
        return stated[-1]
    if opening := _letters(_LEADING, certain, texts):
        return "" if _compares(line) else opening[0]
    outside = without_mentions(line, texts)
    for pattern in (_BRACKETED, _MARKED):
        named = set(_letters(pattern, outside, texts))
        if named:
            return named.pop() if len(named) == 1 else ""
    occurring = _occurring(texts, certain, question)
    found = occurring if len(occurring) == 1 else sorted(set(_letters(_ALONE, outside, texts)))
    return found[0] if len(found) == 1 else ""


def _certain(text: str, texts: dict[str, str], question: str) -> str:
    """Return a text without the parts that refuse, doubt, or name letters only to compare them or to rule them out."""
    offered = any(UNSURE.search(option) for option in texts.values())  # "cannot be determined" may be an option
    idle = not _SPECULATES.search(" ".join((question, *texts.values())))  # "Which is a possibility?"

    def kept(part: str) -> bool:
        return not _DOUBT.search(part) and (offered or not UNSURE.search(part))

    parts = _PIECES.split(text)
    parts = [_without_guesses(part) for part in parts] if idle else parts
    pieces = [part if n % 2 or kept(part) else " " for n, part in enumerate(parts)]
    return _DENIED.sub(_blanked, _SEVERAL.sub(" ", "".join(pieces)))


def _without_guesses(part: str) -> str:
    """Return a sentence without the clauses that call an answer a guess, and without an "if" clause in front of one."""
    clauses = _CLAUSES.split(part)
    guesses = [_IDLE.search(clause) is not None for clause in clauses] + [False, False]
    supposed = [clause.strip().lower().startswith("if ") for clause in clauses]
    return "".join(" " if guesses[n] or (supposed[n] and guesses[n + 2]) else c for n, c in enumerate(clauses))


def _blanked(found: re.Match[str]) -> str:
    """Return a blank for a letter ruled out; "than" stays, as a sign that its sentence compares."""
    return " than " if found[0].lower().startswith("than ") else " "


def _compares(line: str) -> bool:
    """Tell whether a sentence compares several options, as in "(A) is soft and (B) is hard", and chooses none."""
    described = DESCRIBED.search(line, 0, len("(A) describes"))
    return described is not None and len(set(_BRACKETED.findall(line))) > 1


def _letters(pattern: re.Pattern[str], text: str, texts: dict[str, str]) -> list[str]:
    """Return the letters of options that a pattern finds, in order.

    The words "A" and "I" and denied letters are left out.
    """

    def found() -> Iterator[str]:
        for match in pattern.finditer(text):
            word = _A_WORDS.get(match[1])
            said = not (word and word.match(text, match.end(1))) and not denied(text[: match.start(1)])
            if said and (not texts or match[1] in texts):
                yield match[1]

    return list(found())


def _occurring(texts: dict[str, str], text: str, question: str) -> list[str]:
    """Return the options that the sentences of a text name, each read as rewards read it (`mentions.one_text`).

    A sentence that denies, doubts or compares names none. The result is empty where a sentence names several options,
    or none plainly, and where a yes or no contradicts itself.
    """
    named: set[str] = set()
    if option_of_verdict(without_claims(undress(text)), texts):
        return []
    for sentence in _SENTENCES.split(text):
        line = " ".join(unmarked(sentence).split())
        line = f"a{line[1:]}" if _A_WORDS["A"].match(line, 1) and line.startswith("A ") else line
        if chosen := one_in_sentence(line, texts, question) or one_text(line, texts, question):
            named.add(chosen)
        elif any(mentions(line, texts)) and not SETS_OFF.search(line):
            return []
    return sorted(named)


def judge(item: Item, response: str) -> Judged:
    """Return score 1 where the response names the letter of the gold option, else 0.

    The gold answer is read as published: "B", "(B)" or "B. text".
    """
    options = item.example.options
    named = letter(final(response), options, item.example.question)
    return Judged(named, float(named != "" and named == letter(item.example.answer, options)))
