"""LaTeX and Unicode notation of numbers: turned into plain text where that is easy, else given to math-verify."""

from __future__ import annotations

import math
import re
import unicodedata
from fractions import Fraction
from functools import cache, partial
from typing import Any

LONGEST_FORMULA = 80  # characters given to math-verify
LARGEST_VALUE = 1e12  # beyond it a root is not told from an integer, and 1 / (rounding error) from a number
MOST_POWERS = 2  # "^" signs in such a formula: towers of powers take for ever to evaluate

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_NUMBER = r"[\d.,']*\d"

# (what to find, what to write instead), in this order
_PLAIN: tuple[tuple[str, str], ...] = (
    (r"(?<=\d)\*\*(?=-?\d)", "^"),
    (r"\\!", ""),
    (r"\^\s*\{\s*(-\s*\d)\s*\}", r"^\1"),
    (r"\{,\}", ","),
    (r"\\(?:[,;: ]|(?:q?quad|left|right|displaystyle|approx|sim|angle)(?![a-z]))", " "),
    (r"\\mu(?![a-z])", "μ"),
    (r"\\(?:Omega|ohm)(?![a-z])", "Ω"),
    (r"\\pm(?![a-z])", "±"),
    (r"\\leq?(?![a-z])|\\lt(?![a-z])", "≤"),
    (r"\\geq?(?![a-z])|\\gt(?![a-z])", "≥"),
    (r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}", r" \1 "),
    (rf"\\[dtc]?frac\s*\{{\s*({_NUMBER})\s*\}}\s*\{{\s*({_NUMBER})\s*\}}", r" \1/\2"),
    (rf"\\[dtc]?frac\s*\{{\s*-\s*({_NUMBER})\s*\}}\s*\{{\s*({_NUMBER})\s*\}}", r" -\1/\2"),
    (r"\\[dtc]?frac\s*(\d)\s*(\d)", r" \1/\2"),
    (r"\\[dtc]?frac\s*\{\s*([A-Za-zμ°]+)\s*\}\s*\{\s*([A-Za-z]+(?:\^[23])?)\s*\}", r" \1/\2"),
    (r"\^\s*\{?\s*\\circ\s*\}?|\\degree\b", "°"),
    (r"\\(?:times|cdot)(?![a-z])", "×"),
    (r"\\([%$])", r"\1"),
    (r"\^\s*\{\s*(-?\d+)\s*\}", r"^\1"),
    (r"\\[()\[\]]|\*\*|[`$€£¥₹~≈{}]", " "),
    (r"[−–—‐‑‒―﹣˗➖]", "-"),
    (rf"(?<!\w)\|\s*-?\s*({_NUMBER}|\d)\s*\|(?!\w)", r" \1 "),
    (rf"(?<![\w)%])-\s*\(\s*({_NUMBER}|\d)\s*\)", r"-\1"),
    (r"\b(?:minus|negative)\s+(?=[\d.])|(?:[负負]|零下\s*)(?=\d)", "-"),
    (rf"({_NUMBER})\s*[×x*·]\s*10\s*\^\s*\(?\s*(-?\d{{1,3}})\)?(?!\d)", r"\1e\2"),
    (r"(?<![\w.^])10\s*\^\s*\(?\s*(-?\d{1,3})\)?(?!\d)", r"1e\1"),
)
_RULES = tuple((re.compile(pattern), replacement) for pattern, replacement in _PLAIN)
BOXED = re.compile(r"\\(?:f?boxed|f(?:rame)?box)\s*\{(.*)\}", re.DOTALL)
_POWER = re.compile(
    r"(?<![\w.,^)/])(?<![\d^)/*×·] )(-?\s*)(?:(\d{1,9}(?:\.\d{1,9})?)|\(\s*(-?\d{1,9})\s*\))\s*\^\s*"
    r"(?:\((-?\d{1,2})\)|(-?\d{1,2}))(?![\d^(/]|[.,]\d|\s*[\^*×/])"
)
LISTED = re.compile(
    r"(?:(?<!\\)[(\[]|\\\{|(?<![\w}^\\])\{)[^()\[\]{}]*\d\s*,\s*[-+]?(?:\d{1,2}|\d{4,}|\d{3}\.)(?![\d,])[^()\[\]{}]*[)\]}]"
)
"""Matches "(3,4)", "[2,5]" and "{3,4}": two numbers, not one with a decimal comma; "(1,000)" is one."""
LARGEST_POWER = 10**15  # a power beyond it is no answer
_FOREIGN_DIGIT = re.compile(r"(?![0-9])\d")
_BOXED_DIGIT = re.compile(r"\\boxed\s*(?=\d)")
# slashes, apostrophes, and Arabic separators of thousands and of decimals
_MARKS = str.maketrans(
    {
        "\N{FRACTION SLASH}": "/",
        "\N{DIVISION SLASH}": "/",
        "\N{BIG SOLIDUS}": "/",
        "’": "'",
        "′": "'",
        "٬": ",",
        "٫": ".",
    }
)

_SAFE = re.compile(r"(?:\\(?:[dtc]?frac|sqrt|pi|times|cdot|div|left|right)(?![a-z])|[\d\s.+*/^(){}\[\]-])*")
_ROOT = r"(?<![A-Za-z\\])sqrt(?=\s*[\d(.{])"
_PI = r"(?<![A-Za-z\\])pi(?![A-Za-z])"
_FORMULA = re.compile(rf"[\\π√]|{_ROOT}|{_PI}", re.IGNORECASE)
_FUNCTIONS = (
    r"(?:arc|a)?(?:sin|cos|tan|cot|sec|csc)h?|log|ln|lg|exp|sqrt|cbrt|abs|floor|ceil|round|max|min|gcd|lcm|mod|sum|len"
)
_NUMERALS = r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_SPOKEN = (
    r"(?:roots?|squares?|cube|log|logarithm|sine|cosine|tangent|factorial|half|double|twice|multiples?|powers?"
    r"|reciprocal|inverse|negation|opposite) of|twice|thrice|double|triple|quadruple|half"
    r"|(?:hal(?:f|ves)|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth|hundredth|thousandth)s?) of"
    rf"|(?:{_NUMERALS}|twenty|fifty|a hundred|a thousand) (?:times|plus|multiplied by|divided by)"
)
_NAMES = r"answer|total|result|count|number|sum|value|is|are|equals?|option|choice|about|approx|approximately|final|of"
_APPLIED = re.compile(
    rf"(?:(?<![A-Za-z])(?:(?:{_FUNCTIONS})\d*(?:\s*_\s*\{{?\s*\w+\s*\}}?)?\s*[(\[{{]?"
    rf"|(?!(?:{_NAMES}|{_NUMERALS})\s*\()[A-Za-z]\w*'*\(|[fgh]'*\s*\(|(?:{_SPOKEN})(?: the(?: number)?)?)"
    r"|-\s*\(|⌊|⌈|根号|根號)\s*$",
    re.IGNORECASE,
)
_RAISED = re.compile(
    r"\s*[\^*/_x×]\s*[-(]?\d|\s*(?:squared|cubed)\b(?!\s+\w)|\s*factorial\b|\s*[-+*^]\s*[a-z](?![A-Za-z])"
    r"|(?-i:[xyzn]{1,3})(?:\^?\d)?(?![\w]|\s+[a-z]{2})|i(?!\w)|\s+i\s*$|\s*[个個]?分之|\s*的\s*(?:平方|立方|一半|半|倍|倒数|倒數|相反数|相反數|阶乘|階乘|绝对值"
    r"|[\d一二两兩三四五六七八九十百几幾]+(?:倍|次方|分之|成))",
    re.IGNORECASE,
)
_SUM = re.compile(r"(?<![A-Za-z])[A-Za-z](?:\s*\^\s*-?\d+)?\s*[-+]\s*$")
_BIG_POWER = re.compile(r"\^\s*(?:\{\s*)?-?\s*(?:\d{3,}|\d+\.|[^\d\s{-])|\^\s*\{(?!\s*-?\s*\d{1,2}\s*\})")


def plain_text(text: str) -> str:
    """Return `text` with numbers in LaTeX or Unicode notation written in ASCII. Notation that is not known stays."""
    if boxed := BOXED.search(text):
        text = boxed.group(1)
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda match: "^" + match.group().translate(_SUPERSCRIPTS), text)
    text = re.sub(r"(?<=\d)(?=[¼½¾⅐-⅞])", " ", text)
    text = unicodedata.normalize("NFKC", _BOXED_DIGIT.sub(" ", text)).translate(_MARKS)
    text = _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.digit(match[0])), text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return _POWER.sub(_power, text)


def _power(match: re.Match[str]) -> str:
    """Return the value of a power of numbers, "25" of "5^2"; the text itself of 90^0 (degrees), -5^2 and large ones."""
    base, exponent = Fraction(match[2] or match[3]), int(match[4] or match[5])
    if not exponent or not base or ("-" in match[1] and (exponent % 2 == 0 or match[3])):
        return match[0]
    if abs(exponent) * max(abs(math.log10(abs(base))), 0) > math.log10(LARGEST_POWER):
        return match[0]
    value = base**exponent
    return f"{match[1]}{value.numerator}" + (f"/{value.denominator}" if value.denominator > 1 else "")


def is_formula(plain: str) -> bool:
    r"""Tell whether a number is written with LaTeX, a root or pi: "\frac{\sqrt{3}}{2}", "2π", "sqrt(2)", "pi/2"."""
    return _FORMULA.search(plain) is not None


def is_argument(ahead: str, behind: str) -> bool:
    """Tell whether a number is only a part of an expression: "log(3)", "f(3)", "ln 3", "2^3", "3 squared", "x + 3".

    ahead: the text in front of the number, its sign included. behind: the text behind it.
    """
    applied = _APPLIED.search(ahead.rstrip("-+ ")) is not None
    return applied or _SUM.search(ahead) is not None or _RAISED.match(behind) is not None


def latex_value(text: str) -> Fraction | None:
    r"""Return the number that a formula such as "\sqrt{16}" or "x = 2\pi" stands for; None where it stands for none.

    Only formulas of digits, roots, fractions, powers, pi and the four operations are evaluated; they are short and
    their powers below 100, because evaluation has no time limit of its own (signals work in the main thread alone).
    """
    formula = _formula(text)
    if len(formula) > LONGEST_FORMULA or not _SAFE.fullmatch(formula) or _BIG_POWER.search(formula):
        return None
    if formula.count("^") > MOST_POWERS:
        return None
    parsed = _math_verify()(f"${formula}$")
    return _real(parsed[0]) if parsed else None


def _formula(text: str) -> str:
    """Return a formula without dollar signs, box, degree sign and the name before its equals sign."""
    if boxed := BOXED.search(text):
        text = boxed.group(1)
    text = unicodedata.normalize("NFKC", text).replace("π", r"\pi ").replace("−", "-")
    text = re.sub(rf"(?i){_PI}", r"\\pi ", re.sub(rf"(?i){_ROOT}|\\sqrt(?=\s*[\d(])", "√", text))
    text = re.sub(r"√\s*(\d+(?:\.\d+)?)|√\s*\(([^()]*)\)", lambda m: rf"\sqrt{{{m.group(1) or m.group(2)}}}", text)
    text = text.replace("√", r"\sqrt").replace("*", r" \cdot ")
    text = re.sub(
        r"\^\s*\{?\s*\\circ\s*\}?|\\[()\[\]]|\$|°|\\[,;: ]|\\text\s*\{[^{}]*\}(?:\s*\^\s*\{?\d\}?)?", " ", text
    )
    return re.sub(r"^\s*[A-Za-z]\s*=", "", text).strip(" .")


@cache
def _math_verify() -> Any:
    """Return math-verify's LaTeX parser, imported when the first formula comes (sympy takes most of a second)."""
    import logging

    from math_verify import LatexExtractionConfig, parse

    logging.getLogger("math_verify.parser").setLevel(logging.ERROR)  # it warns that it has no time limit: see above
    return partial(parse, extraction_config=[LatexExtractionConfig()], parsing_timeout=None)


def _real(expression: Any) -> Fraction | None:
    """Return the value of a sympy expression as a fraction; None unless it is a finite real number."""
    if getattr(expression, "is_Rational", False):
        return Fraction(int(expression.p), int(expression.q))
    try:
        value = float(expression)
    except (TypeError, ValueError, OverflowError):
        return None  # a symbol, a complex number, a set: no real number
    if not abs(value) <= LARGEST_VALUE:
        return None
    nearest = round(value)
    return Fraction(nearest if math.isclose(value, nearest, rel_tol=1e-12, abs_tol=1e-9) else value)
