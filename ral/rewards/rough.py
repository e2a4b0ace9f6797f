"""Numbers that are said roughly: 五六个, 二十来个, "thirty-something", "30-odd", "mid-30s". They are no number.

"about 30", 约三十 and "30 or so" name the number that they are near, and are that number; "30+" is a bound (`bounds`).
"""

from __future__ import annotations

import re

from ral.rewards.number_words import SMALL, TENS

_PAIRS = "一二|一两|一兩|二三|两三|兩三|三四|四五|五六|六七|七八|八九|三五|三两|三兩"
_HAN_DIGIT = "零〇一二两兩三四五六七八九"
_ROUND = "十百千万萬亿億0"  # what a round number ends with
_COUNTED = "个個人名位只隻本年歳岁歲枚块塊元米次天条條张張件台匹头頭"
_HAN = (
    # two digits in order are an alternative, 五六个 and 十五六岁; behind 点 or in a row of more they are digits
    rf"(?<![{_HAN_DIGIT}点點\d])(?:{_PAIRS})(?![{_HAN_DIGIT}])"
    rf"|(?<![{_HAN_DIGIT}十百千\d])(?:百八十|千八百|万八千)(?![{_HAN_DIGIT}])"
    rf"|[{_ROUND}](?:[来來](?![自到了临臨说說看源])|好?[几幾]|[余餘](?![下数數弦额額])|[数數](?=[{_COUNTED}]))"
    rf"|[{_HAN_DIGIT}十百千万亿\d][{_COUNTED}]?(?:出头|出頭|开外|開外|挂零|有余|有餘)"
    rf"|\d여\s?[명개년살원]"
)
_ROUND_WORDS = "|".join((*TENS, "hundred", "thousand", "million", "dozen"))
_NUMBER = rf"(?:\d[\d,.]*\d|\d|\b(?:{'|'.join(list(SMALL)[2:])}|{_ROUND_WORDS}))"
_ROUND_NUMBER = rf"(?:\d*0|\b(?:{_ROUND_WORDS}))"
_EXACT_ODD = r"(?:numbers?|ones?|integers?|digits?|primes?|functions?|pages?|rows?|columns?|values?|factors?|sums?)"
_LATIN = (
    rf"{_NUMBER}\s*-?\s*ish\b|{_NUMBER}[ -]something(?:s|ish)?\b|{_NUMBER}-odd\b|{_ROUND_NUMBER} odd\b(?! {_EXACT_ODD})"
    rf"|{_NUMBER}-some\b|{_ROUND_NUMBER} some\b(?! (?:of|are|were|is|have)\b)"
    rf"|{_NUMBER} (?:and (?:a (?:bit|few|half-dozen)|some|change)|y pico|et quelques|e poucos|e passa|с лишним"
    r"|und ein paar)\b"
    r"|\b(?:early|mid|middle|late|low|lower|high|upper|the|in (?:its|my)|his|her|their)[ -]\d*0['’]?s\b"
    r"|\b(?:maybe|perhaps|possibly) (?=\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b)"
    r"|\b(?:several|a few|some|many|a couple(?: of)?) (?:dozen|hundred|thousand|million|tens)s?\b"
)
ROUGH = re.compile(rf"{_HAN}|{_LATIN}", re.IGNORECASE)
"""Matches a number that is said roughly, anywhere in a text of one width."""
