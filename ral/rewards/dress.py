r"""Removal of formatting around answers: invisible characters, LaTeX, HTML, Markdown, quotes (`undress`)."""

from __future__ import annotations

import re
import string
import unicodedata

OPENING, CLOSING = r"(\[{<【「『《〈〔〖⟨«‹", r")\]}>】」』》〉〕〗⟩»›"
"""Brackets of any script that a letter may stand in, for the inside of a character class."""

_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff]")
_SPECIAL = re.compile(r"<\|[A-Za-z][\w-]{0,39}\|>")
_ELEMENT = r"(?P<element>(?<![a-z\\])[A-Z][a-z]?|[)\]}])"
_SUBSCRIPT = re.compile(
    rf"{_ELEMENT}\s*(?:\$_(?:(\d{{1,3}})|\{{(\d{{1,3}})\}})\$"
    r"|_(?:\{\s*(\d{1,3})\s*\}|(\d{1,3})(?![\w.])|(\d)))"
)
_MINUS = re.compile(r"(?<=[A-Za-z\d)\]}])−(?!\s*[\w(\\])")
_CHARGE = re.compile(
    r"(?P<element>[A-Z][a-z]?\d{0,3}|[)\]}]\d{0,3})\$?\^(?:\{\s*(\d?[+-])\s*\}|(\d?[+-])(?!\s*[\w(\\]))"
)
_ENCLOSED_STARTS = (0x1F150, 0x1F170, 0x1F1E6)  # negative circled, negative squared, regional: the letter as an emoji
_ENCLOSED = {start + n: letter for start in _ENCLOSED_STARTS for n, letter in enumerate(string.ascii_uppercase)}
_HTML = re.compile(r"</?(?:b|i|u|em|strong|code|span|p|br|s|answer|think) ?/?>", re.IGNORECASE)
_LATEX = re.compile(
    r"\\(?:f?boxed|fbox|framebox|text|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|mathbb|mathcal|bm|mbox"
    r"|operatorname|underline|emph)\s*\{([^{}]*)\}"
)
_LATEX_LETTER = re.compile(r"\\(?:boxed|text|mathrm|mathbf) ?([A-Za-z])(?![A-Za-z])")
_LATEX_SPACES = re.compile(r"\\(?:[,;: ()\[\]]|(?:q?quad|left|right|displaystyle)(?![A-Za-z]))")
_WRAPPED = re.compile(
    r"""\\(?:f?boxed|fbox|text|textbf|textit|mathrm)\s*\{((?:[^{}]|\{[^{}]*\})*)\}|\$([^$]+)\$|"([^"]*)"|“([^”]*)”|'([^']*)'|`([^`]*)`"""
    r"|\*\*([^*]*)\*\*|\*([^*]*)\*|__([^_]*)__|「([^」]*)」|『([^』]*)』",
    re.DOTALL,
)
_QUOTED = re.compile(
    r"(?P<lead>[^\"“「『:]{1,60}?)"
    r"(?::\s*|\b(?:reads?|says?|is|displays?|shows?|是|为|写着)(?:\s*[:：,]?\s*(?=[\"“「『])|\s+(?!(?:not|never|no|either|neither|probably|maybe|perhaps)\b)(?=[^\s\"“「『])))"
    r"(?P<inner>\S(?:.*\S)?)\s*",
    re.DOTALL | re.IGNORECASE,
)
_ABOUT_TEXT = re.compile(
    r"\b(?:text|sign|word|words|label|caption|title|answer|it|logo|plate|number)\b|文字|内容|答案", re.I
)
_A_THING = re.compile(r"\s*(?:the|this|that|its|his|her|their|my|your)(?: [\w'’&/-]+){1,9}\s*", re.IGNORECASE)
_IS = re.compile(r"\s(?:is|reads?|says?|shows?)\s*$", re.IGNORECASE)
_OF_ANOTHER = re.compile(
    r"\b(?:other|another|wrong|incorrect|former|previous|next|opposite|maybe|perhaps|possibly|might|may|could|would|if"
    r"|unless|whether|who|i|you|we|is|are|was|were|or|but|than|only thing)\b",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:not|never|no)\b|n't|不|没", re.IGNORECASE)
_EMOJI = re.compile(r"[\u2600-\u27bf\U0001f300-\U0001faff]")
_HEADING = re.compile(r"^\s*#{1,6}\s+", re.MULTILINE)
_NESTED = 4  # how deep LaTeX commands stand in each other
_MARKS = re.compile(r"[*_`~$\"“”„‟″＂]+")
_QUOTES = re.compile(r"[‘’‚‛′]")
_LONE_QUOTE = re.compile(r"(?<!\w)'+|'+(?!\w)")  # but not the one of "it's"


def shown(text: str) -> str:
    """Return the text without what a reader cannot see: zero-width characters, soft hyphens, direction marks, and
    special tokens of models such as <|begin_of_box|>.
    """
    return _INVISIBLE.sub("", _SPECIAL.sub("", text))


def visible(text: str) -> str:
    """Return the text in one width (NFKC), without invisible characters, with plain letters for those of emoji, and
    with the formulas of substances on one line (`on_one_line`).
    """
    return on_one_line(unicodedata.normalize("NFKC", shown(text).translate(_ENCLOSED)))


def on_one_line(text: str) -> str:
    r"""Return a text with plain digits for the subscripts and charges of formulas: H2O for H_2O, H$_2$O and
    \mathrm{H}_2O, Ca2+ for Ca^{2+}; a power such as x^2 stays.
    """
    text = _MINUS.sub("-", _SUBSCRIPT.sub(_joined, text))
    return _CHARGE.sub(_joined, text)


def _joined(found: re.Match[str]) -> str:
    return "".join(part for part in found.groups() if part)


def unmarked(text: str) -> str:
    """Return the text with blanks for quotes, Markdown marks and $; an apostrophe inside a word stays."""
    return _LONE_QUOTE.sub(" ", _QUOTES.sub("'", _MARKS.sub(" ", text)))


def unwrapped(text: str) -> str:
    r"""Return a text without the quotes, Markdown, \boxed{} or \text{} that enclose the whole of it.

    The text inside is kept, but typographic apostrophes become plain ones.
    """
    text = _QUOTES.sub("'", shown(text)).strip()
    for _ in range(_NESTED):
        found = _WRAPPED.fullmatch(text)
        inside = next((part for part in found.groups() if part is not None), "").strip() if found else ""
        if not inside:
            return text
        text = inside
    return text


def quoted(text: str) -> str:
    """Return the text that a sentence quotes: EXIT of 'The sign reads "EXIT".' and "The text says: EXIT"; else "".

    A sentence that says what one thing is counts as well: Sunkist of "The brand is Sunkist."
    """
    found = _QUOTED.fullmatch(text)
    if found is None or not _names_text(found["lead"]) or _NOT.search(found["lead"]):
        return ""
    inner = found["inner"]
    return unwrapped(inner.rstrip(".。!") if inner[0] in '"“「『' else inner)


def _names_text(lead: str) -> bool:
    """Tell whether the words in front of a quoted text name it, "The sign", or a thing that has one, "The name"."""
    named = _IS.sub("", lead)
    thing = _A_THING.fullmatch(named) is not None and not _OF_ANOTHER.search(named)
    return thing or _ABOUT_TEXT.search(lead) is not None


def undress(text: str) -> str:
    """Return an answer in one width (NFKC), without LaTeX of type and spacing, HTML, Markdown, quotes and emoji."""
    text = _LATEX_LETTER.sub(r"\1", _HEADING.sub("", visible(text)))
    for _ in range(_NESTED):
        text = _LATEX.sub(r"\1", text)
    text = _LATEX_SPACES.sub(" ", text)
    plain = _HTML.sub(" ", text)
    return unmarked(_EMOJI.sub(" ", plain if plain.strip() else text)).strip()
