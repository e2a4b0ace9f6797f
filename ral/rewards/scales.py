"""Words that multiply a number: thousand, k, dozen, lakh, 万, Mio., млн."""

from __future__ import annotations

import re
import unicodedata

_NAMES = {
    12: "dozen dozens dz",
    10**2: "hundred hundreds hundert cento cientos",
    10**3: "thousand thousands tausend tsd mille mila тысяч тысячи тысяча тыс тис हज़ार हजार nghìn ngàn ribu 천",
    10**4: "만",
    10**5: "lakh lakhs lac lacs लाख",
    10**6: "million millions millionen mio mln mn millón millones milhão milhões milione milioni миллион миллиона"
    " миллионов млн मिलियन triệu juta milyon",
    10**7: "crore crores cr करोड़",
    10**8: "억",
    10**9: "billion billions bn bln milliard milliards milliarden mrd miliardi miliardo миллиард миллиарда миллиардов"
    " млрд tỷ tỉ miliar milyar",
    10**12: "trillion trillions trn трлн триллион триллионов 조",
}
SCALES = {unicodedata.normalize("NFKC", n): value for value, names in _NAMES.items() for n in names.split()}
_EXACT = frozenset({12})  # a dozen is twelve, a million may be rounded
_JOINED = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9}
_OF_MONEY = {"k": 10**3, "m": 10**6, "mm": 10**6, "b": 10**9, "t": 10**12}
MOST = 3  # one after the other: "2 hundred thousand million"

_HANGUL = "".join(name for name in SCALES if "가" <= name <= "힣")
_LATIN = "|".join(sorted((re.escape(n) for n in SCALES if n not in _HANGUL), key=len, reverse=True))
_WORD = re.compile(rf"\s*-?((?i:{_LATIN})(?![^\W\d_])\.?|[{_HANGUL}])")
_LETTER = re.compile(r"([kKMB])\b(?!/)")
_LETTER_OF_MONEY = re.compile(r" ?(k|mm|m|b|t)(?![^\W\d_])", re.IGNORECASE)


def take_scale(rest: str, *, money: bool) -> tuple[int, str, bool]:
    """Return (factor, rest, exact) of the text `rest` behind a number; (1, rest, True) where no scale word comes first.

    The returned rest is the text behind the scale words. exact: False for a scale that may round (thousand, million). A
    letter counts where it is joined to the digits ("5k", "2.5M"); with money=True also "m", "b", "t", and with a blank.
    """
    letter = (_LETTER_OF_MONEY if money else _LETTER).match(rest)
    if letter:
        return (_OF_MONEY[letter[1].lower()] if money else _JOINED[letter[1]]), rest[letter.end() :], False
    factor, exact = 1, True
    for _ in range(MOST):
        word = _WORD.match(rest)
        if word is None:
            break
        value = SCALES[word[1].rstrip(".").lower()]
        factor, exact, rest = factor * value, exact and value in _EXACT, rest[word.end() :]
    return factor, rest, exact
