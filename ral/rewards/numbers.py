"""Numbers as people write them: units, currencies, percent, scale words, fractions, separators, LaTeX, number words.

`parse_number` reads a text that holds exactly one number. A text with two ("5 or 6", "5-6") has none, a time ("3:45",
"2 h 30 min") is one.
Values are exact fractions, so that "0.1" equals "1/10" and integers can be compared without rounding.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from ral.rewards.below_zero import FREEZING, below_zero
from ral.rewards.bounds import bound
from ral.rewards.clauses import join_parts
from ral.rewards.clocks import read_clock
from ral.rewards.conclusions import NO_NUMBER, said_twice
from ral.rewards.corrections import corrected, without_alternatives, words_set_aside
from ral.rewards.currencies import take_currency
from ral.rewards.denials import denied, taken_back
from ral.rewards.digits import LONGEST_NUMBER, join_groups, last_place, read_digits
from ral.rewards.dress import shown
from ral.rewards.equations import Chain, agree, read_chain, rounded_end
from ral.rewards.halves import join_halves
from ral.rewards.han import join_han, read_han
from ral.rewards.latex import BOXED, LISTED, is_argument, is_formula, latex_value, plain_text
from ral.rewards.nothing import says_none
from ral.rewards.number_words import read_words
from ral.rewards.plain_said import without_asides
from ral.rewards.quantities import join_money, join_quantities, join_rates
from ral.rewards.readings import READINGS, REWRITINGS
from ral.rewards.refusals import refuses
from ral.rewards.rough import ROUGH
from ral.rewards.scales import take_scale
from ral.rewards.shares import PERCENT, SHARE, find_share
from ral.rewards.spelling import join_powers
from ral.rewards.units import TIME_OF_DAY, Unit, convert, find_unit

LONGEST_TEXT = 200  # characters; a numerical answer is short, and a long text is an argument, not an answer
LARGEST_EXPONENT = 330  # of ten: double precision ends at 1e308 and 5e-324
FORMULA_STEP = Fraction(1, 10**12)  # relative: roots and π are computed in double precision
TWICE_TOLERANCE = Fraction(1, 100)  # relative, between the two forms of one number: "1/3 (33.3%)"
FEWEST_DIGITS = 3  # that a number needs to count as a rounded conversion: "17 m/s" is not 60 km/h, "16.7 m/s" is

_DIGITS = r"(?:\d[\d.,']*|\.\d+)"
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_^.])(?P<sign>(?<![)%°])[-+]\s*)?"
    rf"(?:(?P<whole>\d+)\s+(?P<part>\d+)\s*/\s*(?P<parts>\d+)"
    rf"|(?P<top>{_DIGITS})(?:e(?P<exponent>[-+]?\d+))?(?:\s*/\s*(?P<bottom>{_DIGITS}))?)",
    re.IGNORECASE,
)
_POWER = r"(\s*\^\s*\{?\s*[23]\s*\}?|[²³])?"
_UNIT_BEHIND = re.compile(
    r"(?<=[\d)}πi\s])(?:\\(?:text|mathrm|textrm|mbox)\s*\{([^{}]*)\}"
    r"|(?<![\\A-Za-z])(?!pi\b|sqrt)((?:(?:square|cubic|sq\.?|cu\.?)\s+)?[A-Za-z]+(?:/[A-Za-z]+)?)|([\u4e00-\u9fff]+))"
    rf"{_POWER}[\s.。$]*$"
)
_ANY_UNIT = re.compile(r"(?:(?:square|cubic|sq\.?|cu\.?) )?units?|(?:平方|立方|个)?单位", re.IGNORECASE)
_JOINED = re.compile(r"[kKMB]\b")  # "5K" is five thousand, "5 K" five kelvins
_HTML = re.compile(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>", re.IGNORECASE)
_EQUATION = re.compile(r"([^=<>≤≥,;]*)(?<![<>!])=([^=]*)")
_TERM = re.compile(r"(?<![\w.])\d+\s?[a-z](?![a-z])")
_WORKED = re.compile(r"\s*(-?\d[\d.,]*)\s*=[\s\d.]*\d\s*[-+*/×x÷(][-+*/×x÷().,\s\d]*")
FACTORIAL = re.compile(r"[\s$(\[]*\d+[\s)\]]*(?:!|！)[\s.!$！]*")
"""Matches "5!", which as a gold answer may be 120."""


@dataclass(frozen=True)
class Number:
    """One number.

    value: as written, before its unit. whole: whether it is written as an integer, so to be met exactly.
    unit: a unit of measure, a currency, or a share such as percent; None where there is none.
    bound: ">", "<" or "±" where the text gives a bound ("more than 5", "5+") instead of the number itself.
    step: the value of one more in the last digit written; 0 for fractions and words, which are exact.
    also: the same number as the text shows it rounded: 3.46 of "2√3 ≈ 3.46"; None where it does not.
    """

    value: Fraction
    whole: bool
    unit: Unit | None = None
    bound: str = ""
    step: Fraction = Fraction(0)
    also: Fraction | None = None


@lru_cache(maxsize=4096)
def parse_number(text: str) -> Number | None:
    """Return the one number in `text`; None for no number, several, unknown forms, and over LONGEST_TEXT characters."""
    if len(text) > LONGEST_TEXT:
        return None
    if later := corrected(text):
        number = parse_number(later[0])
        return number if number or later[1] else _parsed(text)
    if (alone := without_asides(text)) is not None:
        return parse_number(alone)
    if chain := read_chain(text):
        return _equated(chain, rounded_end(text))
    number = _parsed(text) or next(filter(None, (_parsed(read(text) or "") for read in READINGS)), None) or _twice(text)
    others = (rest for rewrite in REWRITINGS if number is None and (rest := rewrite(text)))
    return number or next(filter(None, map(parse_number, others)), None)


def _equated(chain: Chain, rounded: bool) -> Number | None:
    """Return the value of a chain of equations; None where its sides differ, or its end is no number."""
    end = _parsed(chain.end)
    if end is None or end.bound:
        return None
    shares = end.unit is not None and end.unit.dimension == SHARE
    said = end.value * end.unit.size if end.unit and shares and chain.computed[0] != end.value else end.value
    if not agree(chain.computed, said, end.step if rounded or not end.whole else Fraction(0)):
        return None
    exact = chain.computed[0] * end.value / said if said else end.value
    return end if exact == end.value else replace(end, value=exact, also=end.value)


def _twice(text: str) -> Number | None:
    """Return the number that a text gives in two forms of one value, "2/5 (40%)"; None where the two differ."""
    forms = said_twice(text)
    first, second = map(_parsed, forms) if forms else (None, None)
    if first is None or second is None or first.bound or second.bound:
        return None
    values = in_terms_of(first, second)
    alike = any(abs(v - first.value) <= TWICE_TOLERANCE * max(abs(v), abs(first.value)) for v in values)
    return first if alike else None


def _parsed(text: str) -> Number | None:
    """Return the one number in a text that corrects nothing; else None."""
    taken = take_currency(join_money(html.unescape(_HTML.sub(" ", shown(text)))))
    if taken is None or NO_NUMBER.search(taken[0]):
        return None
    rest, currency = taken
    box, read = BOXED.search(rest), below_zero(plain_text(rest))
    if ROUGH.search(read) or FREEZING.search(read):
        return None
    plain = join_quantities(join_rates(join_powers(join_parts(read))))
    if box and (denied(rest[: box.start()]) or taken_back(rest[box.end() :])):
        return None
    if LISTED.search(unicodedata.normalize("NFKC", rest)):
        return None
    if is_formula(plain):
        rest, unit = _without_unit(rest)
        value = latex_value(rest)
        if value is None:
            return None
        return Number(value, whole=value.denominator == 1, unit=currency or unit, step=abs(value) * FORMULA_STEP)
    if time := read_clock(plain):
        return Number(Fraction(time[0]), whole=True, unit=time[1])
    return _in_digits(plain, currency) or _in_words(plain, currency)


def _without_unit(formula: str) -> tuple[str, Unit | None]:
    r"""Return (the formula, its unit) of "π/2 rad" and "2\sqrt{3} cm"; (the text, None) where it has no unit."""
    behind = _UNIT_BEHIND.search(formula)
    if behind is None:
        return formula, None
    name = (behind[1] or behind[2] or behind[3]).strip()
    power = re.sub(r"[^23]", "", unicodedata.normalize("NFKC", behind[4] or ""))
    unit = find_unit(f"{name}^{power}" if power else name)
    return (formula[: behind.start()], unit) if unit or _ANY_UNIT.fullmatch(name) else (formula, None)


def _in_digits(plain: str, currency: Unit | None) -> Number | None:
    """Return the number of a text with digits."""
    line, scaled = join_han(join_halves(join_groups(without_alternatives(plain, _DIGITS))))
    tokens = list(_TOKEN.finditer(line))
    if len(tokens) > 1 and (worked := _WORKED.fullmatch(line)):
        tokens = list(_TOKEN.finditer(worked[1]))
    elif len(tokens) > 1 and (equation := _EQUATION.fullmatch(line)) and not _TERM.search(equation[1]):
        tokens = list(_TOKEN.finditer(equation[2]))
    number = _from_token(tokens[0], currency) if len(tokens) == 1 else None
    return replace(number, whole=False) if number and scaled else number


def _in_words(plain: str, currency: Unit | None) -> Number | None:
    """Return the number of a text without digits: English words or Chinese numerals."""
    if re.search(r"\d", plain) or says_none(plain) or refuses(plain):
        return None
    plain = join_halves(plain)
    for denied_word, others in words_set_aside(plain):
        if read_words(denied_word) or read_han(denied_word):
            return _in_words(others, currency)
    if han := read_han(plain.strip().strip(" .,。")):
        if taken_back(han.rest) or is_argument("", han.rest):
            return None
        unit = PERCENT if han.percent else currency or find_unit(han.rest)
        return Number(han.value, han.whole, unit, bound("", han.rest))
    words = read_words(plain)
    if words is None or taken_back(f" {words.rest}") or is_argument("", f" {words.rest}"):
        return None
    if share := find_share(words.rest):
        return Number(words.value * share.factor, words.whole and share.factor == 1, unit=share.unit)
    return Number(words.value, words.whole, currency or find_unit(words.rest), bound("", f" {words.rest}"))


def _from_token(token: re.Match[str], currency: Unit | None) -> Number | None:
    """Return the number a token stands for, with the percent sign, scale word and unit that follow it."""
    read, head, rest = _token_value(token), token.string[: token.start()], token.string[token.end() :]
    tail = token[0][len(token[0].rstrip(".,'")) :] + rest  # digits take a comma behind them along
    ahead = head + (token["sign"] or "")
    if read is None or denied(head) or taken_back(tail, counted=True) or is_argument(ahead, rest):
        return None
    value, whole = read
    unit, step = None if currency or _JOINED.match(rest) else find_unit(rest), _step(token)
    if unit is None:
        factor, rest, exact = take_scale(rest, money=currency is not None)
        value, whole, unit = value * factor, whole and exact and value.denominator == 1, find_unit(rest)
        step *= factor
    limit = bound(head, rest)
    if share := find_share(rest):
        return Number(value * share.factor, whole and share.factor == 1, share.unit, limit, step * share.factor)
    return Number(value, whole, currency or unit, limit, step)


def _token_value(token: re.Match[str]) -> tuple[Fraction, bool] | None:
    """Return (value, written as an integer) of a token; None for denominator zero or digits that are no number."""
    sign = -1 if (token["sign"] or "").startswith("-") else 1
    if token["whole"]:
        return _mixed(sign, token["whole"], token["part"], token["parts"])
    top, exponent = read_digits(token["top"]), int(token["exponent"] or 0)
    bottom = read_digits(token["bottom"]) if token["bottom"] else (Fraction(1), True)
    if top is None or bottom is None or not bottom[0] or abs(exponent) > LARGEST_EXPONENT:
        return None
    value = sign * top[0] / bottom[0] * Fraction(10) ** exponent
    return value, top[1] and bottom[1] and not token["exponent"] and value.denominator == 1


def _step(token: re.Match[str]) -> Fraction:
    """Return the value of one more in the last digit of a token; 0 for a fraction. Its digits form a number."""
    if token["whole"] or token["bottom"]:
        return Fraction(0)
    return last_place(token["top"]) * Fraction(10) ** int(token["exponent"] or 0)


def _mixed(sign: int, whole: str, part: str, parts: str) -> tuple[Fraction, bool] | None:
    """Return an integer and a fraction, as in "2 1/2"."""
    if max(len(whole), len(part), len(parts)) > LONGEST_NUMBER or not int(parts):
        return None
    value = sign * (int(whole) + Fraction(int(part), int(parts)))
    return value, value.denominator == 1


def in_terms_of(gold: Number, answer: Number) -> list[Fraction]:
    """Return the values that `answer` may have in the units in which `gold` is written; [] where the two contradict.

    Known units are converted, units of different kinds and different currencies contradict; a unit on one side alone
    counts as left out on the other, but a time of day meets only an hour of 24. A bound ("more than 5") is met by the
    same bound, or by the number itself. Where one of the two is a share and the other has no unit, both readings count:
    "50%" is met by "50" (the question asked for percent) and by "0.5" (the same number); "50 kg" contradicts it.
    """
    if answer.also is not None:
        exact, rounded = replace(answer, also=None), replace(answer, value=answer.also, also=None)
        return [*in_terms_of(gold, exact), *in_terms_of(gold, rounded)]
    if answer.bound and answer.bound != gold.bound:
        return []
    if TIME_OF_DAY in (unit.dimension for unit in (gold.unit, answer.unit) if unit) and None in (
        gold.unit,
        answer.unit,
    ):
        return _hour(gold, answer)
    if gold.unit and answer.unit:
        value = convert(answer.value, answer.unit, gold.unit)
        return [] if value is None else [value]
    if gold.unit and gold.unit.dimension == SHARE:
        return [answer.value, answer.value / gold.unit.size]
    if answer.unit and answer.unit.dimension == SHARE:
        return [answer.value, answer.value * answer.unit.size]
    return [answer.value]


def _hour(gold: Number, answer: Number) -> list[Fraction]:
    """Return the values of an hour of 24 beside a time of day: "22" meets "10 PM", as "10 AM" meets "10"."""
    if gold.unit is None:
        return [answer.value / 60] if gold.whole and answer.value % 60 == 0 else []
    return [60 * answer.value] if answer.whole else []


def rounding(gold: Number, answer: Number) -> Fraction:
    """Return how far, in gold's units, a right answer may be off because it was converted and then rounded.

    Half a unit of the answer's last digit where the answer has FEWEST_DIGITS digits or more and the ratio of the two
    units is no power of ten (16.67 m/s for 60 km/h); else 0: a metre is 100 centimetres, with nothing to round.
    """
    if not (gold.unit and answer.unit and answer.step) or abs(answer.value) < answer.step * 10 ** (FEWEST_DIGITS - 1):
        return Fraction(0)
    one, zero = (convert(Fraction(value), answer.unit, gold.unit) for value in (1, 0))
    if one is None or zero is None or _power_of_ten(one - zero):
        return Fraction(0)
    return (one - zero) * answer.step / 2


def _power_of_ten(value: Fraction) -> bool:
    """Tell whether a positive value is 10, 1, 1/10 and the like."""
    return f"{value.numerator * value.denominator}".rstrip("0") == "1" and 1 in (value.numerator, value.denominator)
