"""Currencies in front of a number or behind it. Two of them never convert: $5 is not 5 €."""

from __future__ import annotations

import re
from fractions import Fraction

from ral.rewards.units import Unit

_DOLLARS = "USD|CAD|AUD|NZD|SGD|MXN"  # not those that 元 may mean
_DOLLAR = "\ue000"  # stands for "\$", which is no mark of LaTeX

# what is meant: signs and words
_SIGNS = {
    _DOLLARS: f"$ {_DOLLAR}",
    "USD": "US$ U$S 美元 美金 ドル",
    "CAD": "CA$ C$",
    "AUD": "AU$ A$",
    "NZD": "NZ$",
    "HKD": "HK$ 港币 港元",
    "SGD": "S$",
    "TWD": "NT$ 新台币 台币",
    "MXN": "MX$",
    "BRL": "R$",
    "EUR": "€ 欧元 歐元 ユーロ евро",
    "GBP": "£ 英镑 英鎊",
    "JPY|CNY": "¥ ￥",
    "JPY": "円 日元 日圆",
    "CNY": "人民币 人民幣",
    "CNY|TWD|HKD": "元",
    "INR": "₹ ₨",
    "RUB": "₽ рублей рубля рубль руб",
    "KRW": "₩ 원",
    "VND": "₫",
    "THB": "฿",
    "TRY": "₺",
    "ILS": "₪",
    "UAH": "₴",
    "NGN": "₦",
    "PHP": "₱",
    "BTC": "₿",
    "PLN": "zł",
}
_WORDS = {
    _DOLLARS: "dollar dollars buck bucks",
    "EUR": "euro euros",
    "GBP": "quid sterling",
    "JPY": "yen",
    "CNY": "yuan renminbi rmb",
    "INR|PKR|LKR": "rupee rupees rs",
    "RUB": "ruble rubles rouble roubles",
    "CHF|XAF|EUR": "franc francs",
    "MXN|PHP|ARS|CLP|COP": "peso pesos",
    "SEK|NOK|DKK|ISK": "krona kronor krone kroner kr",
    "THB": "baht",
    "VND": "dong",
    "IDR": "rupiah",
    "MYR": "ringgit",
    "PLN": "zloty zlotys",
    "AED|MAD": "dirham dirhams",
    "SAR|QAR|IRR": "riyal riyals",
    "ILS": "shekel shekels",
    "BTC": "bitcoin bitcoins",
}
_CODE_NAMES = (
    "USD EUR GBP JPY CNY INR RUB KRW CAD AUD NZD HKD SGD TWD CHF SEK NOK DKK PLN CZK HUF BRL MXN ZAR TRY ILS AED SAR"
    " THB VND IDR MYR PHP PKR BTC"
)
_CODES = _CODE_NAMES.split()
_CENTS = {f"{_DOLLARS}|EUR": "¢ cent cents", "GBP": "pence"}

_UNITS: dict[str, Unit] = {code: Unit(code, Fraction(1)) for code in _CODES}
_UNITS |= {n: Unit(d, Fraction(1)) for table in (_SIGNS, _WORDS) for d, names in table.items() for n in names.split()}
_UNITS |= {name: Unit(d, Fraction(1, 100)) for d, names in _CENTS.items() for name in names.split()}


def _pattern() -> re.Pattern[str]:
    """Return the pattern of signs anywhere, and of words and codes alone or beside a digit; not of "per cent"."""
    names = sorted(_UNITS, key=len, reverse=True)
    signs = [re.escape(n) for n in names if not n.isascii() or not n.isalpha()]
    lower = [n for n in names if n.isascii() and n.isalpha() and n.islower()]
    alone = rf"(?<![^\W\d_])(?<!per )(?:(?i:{'|'.join(lower)})|{'|'.join(_CODES)})(?![^\W\d_])\.?"
    return re.compile(rf"{'|'.join(signs)}|{alone}")


_MONEY = _pattern()
_FORMULA = re.compile(r"\$\$?([^$]*)\$\$?")


def take_currency(text: str) -> tuple[str, Unit | None] | None:
    """Return (the text without its currency, the currency or None); None where two contradict, as in "$5 (4 €)".

    Dollar signs in pairs are LaTeX's; one alone, or with a backslash, is money.
    """
    text = _FORMULA.sub(r" \1 ", text.replace("\\$", _DOLLAR))
    found = [_unit(match[0]) for match in _MONEY.finditer(text)]
    if not found:
        return text, None
    common = set.intersection(*(set(unit.dimension.split("|")) for unit in found))
    if not common or len({unit.size for unit in found}) > 1:
        return None
    return _MONEY.sub(" ", text), Unit("|".join(sorted(common)), found[0].size)


def _unit(name: str) -> Unit:
    name = name if name in _UNITS else name.rstrip(".")
    return _UNITS[name] if name in _UNITS else _UNITS[name.lower()]
