r"""Chains of equations that end in their value: "Area = 5 × 5 = 25", "2\sqrt{3} ≈ 3.46", "A = 5^2 = 25".

Sides of digits, roots, powers, pi and the four operations are computed; all have to agree within the digits shown.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ral.rewards.units import Unit, find_unit

LONGEST = 200  # characters of such a chain
LARGEST_POWER = 64  # exponents beyond it are not computed
SAME = Fraction(1, 10**9)  # relative: roots and pi are computed in double precision

_PLAIN = (
    (r"\\(?:text|textbf|mathrm|mbox|operatorname|boxed)\s*\{([^{}]*)\}", r" \1 "),
    (r"\$\$?([^$]*[\\=≈^√][^$]*)\$\$?", r" \1 "),
    (r"\\(?:left|right|displaystyle)(?![a-z])|\\[()\[\],;:! ]", " "),
    (r"\^\s*\{?\s*\\circ\s*\}?", "°"),
    (r"\\(?:tri)?angle(?![a-z])|[∠△]", " "),
    (r"\\(?:approx|simeq|thickapprox)(?![a-z])|≃|≅", "≈"),
    (r"\\(?:times|cdot)(?![a-z])|[×·∙]|(?<=[\d)])\s*x\s*(?=[\d(])", "*"),
    (r"\\div(?![a-z])|÷", "/"),
    (r"\\pi(?![a-z])", "π"),
    (r"\\sqrt(?![a-z])", "√"),
    (r"[−–]", "-"),
    (r"²", "^2"),
    (r"³", "^3"),
    (r"(?<=\d),(?=\d{3}(?!\d))", ""),
)
_RULES = tuple((re.compile(pattern), replacement) for pattern, replacement in _PLAIN)
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
_ROOT = re.compile(r"√\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\d+(?:\.\d+)?))")
_JOINTS = re.compile(r"(?<![<>!:≠])([=≈])")
_NO_CHAIN = re.compile(r"[<>≤≥≠±;?%:]|!=|\\(?!frac|dfrac|tfrac|cfrac|text)")
_LEAD = re.compile(r"^[^\d\\√π=≈]*(?:\b(?:is|are|was|get|gives|equals|total|have|answer)\b|:)\s*(?=[\d(√\\π-])")
_NAME = re.compile(r"\s*(?!π)[^\W\d][^\d=+*/π√\\]*")
_TERMS = re.compile(r"[\sA-Za-z\d.+*/^()π√_{}\\-]*[A-Za-z][\sA-Za-z\d.+*/^()π√_{}\\-]*")
_COMPUTED = re.compile(r"[\d.\s+*/^()√π{}\[\]-]+")
_TIMES = re.compile(r"(?<=[\d)π])\s*(?=[(π√s])|(?<=[)π])\s*(?=\d)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_UNIT = re.compile(r"(?<=[\d\s])[A-Za-z]+(?:\^[23])?$")
_MEASURED = re.compile(r"(\d)\s*([A-Za-z]+(?:\^[23])?(?:/(?=[A-Za-z])[A-Za-z]+(?:\^[23])?)?)(?=\s*(?:[-+*/)]|$))")
_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


class Chain(NamedTuple):
    """A chain of sides. computed: values of the sides in front that were computed. end: the last side as written."""

    computed: tuple[Fraction, ...]
    end: str


def read_chain(text: str) -> Chain | None:
    """Return the sides of a chain of equations; None for any other text, and for one with nothing to compute.

    The first side may be a name ("Area"), any but the last an expression of letters ("2(l + w)"). Of "25 = 5 × 5" the
    end is 25. Degrees, and the unit of the end, may stand behind the other sides too; where
    the end has a unit, so may other units behind numbers ("6 cm × 4 cm = 24 cm²").
    """
    if len(text) > LONGEST or not _JOINTS.search(line := plain_sides(text)) or _NO_CHAIN.search(line):
        return None
    *sides, end = [side.strip() for side in _JOINTS.split(line)[::2]]
    sides = [_LEAD.sub("", sides[0]), *sides[1:]]
    if _NAME.fullmatch(sides[0]):
        sides = sides[1:]
    if len(sides) == 1 and _NUMBER.fullmatch(sides[0]) and not _NUMBER.fullmatch(end.strip(" .")):
        sides, end = [end.strip(" .")], sides[0]
    unit = _UNIT.search(end)
    values = [evaluate(side.replace("°", "").removesuffix(unit[0] if unit else "")) for side in sides]
    if all(value is None for value in values) and re.search(r"[^\W\d_]", end):
        values = [evaluate(_without_units(side, end)) for side in sides]
    if any(value is None and not _TERMS.fullmatch(side) for side, value in zip(sides, values, strict=True)):
        return None
    computed = tuple(value for value in values if value is not None)
    return Chain(computed, end) if computed and re.search(r"\d", end) else None


def _without_units(side: str, end: str) -> str:
    """Return a side of two numbers or more without the units behind them: "6 * 4" of "6 cm * 4 cm"; others as they are.

    A letter that is no unit stays, so that "2x" is no number. So do all units where `end` has another one of their kind
    ("2 * 3 m = 600 cm"): the numbers differ there.
    """
    bare = _MEASURED.sub(lambda found: found[1] if find_unit(found[2]) else found[0], side)
    own, last = _unit_parts(side), _unit_parts(end)
    converted = any(one.dimension == other.dimension and one.size != other.size for one in own for other in last)
    return side if converted or len(_NUMBER.findall(bare)) < 2 else bare


def _unit_parts(side: str) -> set[Unit]:
    """Return the units whose names a side holds, without their powers: cm of "6 cm^2"."""
    return {unit for name in re.findall(r"[A-Za-z]+", side) if (unit := find_unit(name))}


def agree(computed: Sequence[Fraction], shown: Fraction, step: Fraction) -> bool:
    """Tell whether the sides of a chain are one value.

    computed: values of the sides in front, at least one. shown: the last side's value. step: the value of one more in
    the last digit of `shown`, which may be rounded or cut off there: 1 for an integer behind "≈", 0 where it is written
    exactly.
    """
    exact = computed[0]
    if any(abs(value - exact) > SAME * max(abs(value), abs(exact)) for value in computed[1:]):
        return False
    if abs(shown - exact) <= SAME * max(abs(shown), abs(exact)):
        return True
    return shown * exact > 0 and -step / 2 <= abs(exact) - abs(shown) < step


def rounded_end(text: str) -> bool:
    """Tell whether the last side of a chain stands behind "≈", so that even an integer may be a rounded value."""
    return _JOINTS.findall(plain_sides(text))[-1:] == ["≈"]


def evaluate(side: str) -> Fraction | None:
    r"""Return the value of an expression of numbers, "2(4 + 2)" or "\frac{√{3}}{2}"; None for any other text.

    side: as `plain_sides` writes it, with √ for \sqrt. Roots and π are computed in double precision.
    """
    for _ in range(4):  # roots and fractions inside one another
        side = _ROOT.sub(lambda m: f"sqrt(({m[1] or m[2] or m[3]}))", side)
        side = _FRACTION.sub(lambda m: f"(({m[1] or m[3]})/({m[2] or m[4]}))", side)
    if not _COMPUTED.fullmatch(side.replace("sqrt", "√")):
        return None
    source = _TIMES.sub("*", side.replace("{", "(").replace("}", ")")).replace("sqrt*(", "sqrt(")
    source = re.sub(r"(?<!\d)0+(?=\d)", "", source.replace("^", "**").replace("π", "pi"))
    try:
        return _value(ast.parse(source.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        return None


def _value(node: ast.AST) -> Fraction:
    """Return the value of a parsed expression; ValueError for one that is not computed."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.Name(id="pi"):
            return Fraction(math.pi)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.Call(func=ast.Name(id="sqrt"), args=[inner]):
            return _root(_value(inner))
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _value(left) / _value(right)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, power = _value(left), _value(right)
            if power.denominator > 1 or abs(power) > LARGEST_POWER or abs(base) > 10**6:
                raise ValueError(f"power {power} is not computed")
            return base**power.numerator
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATIONS:
            return Fraction(_OPERATIONS[type(operation)](_value(left), _value(right)))
    raise ValueError(f"{type(node).__name__} is not computed")


def _root(value: Fraction) -> Fraction:
    """Return a square root, exact where it is a fraction."""
    if value < 0:
        raise ValueError("a negative number has no real root")
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    return Fraction(top, bottom) if Fraction(top, bottom) ** 2 == value else Fraction(math.sqrt(value))


def plain_sides(text: str) -> str:
    """Return a chain with ASCII operators, without LaTeX's delimiters."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.strip(" .。")
