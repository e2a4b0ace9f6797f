"""Units of measure that a numerical answer may carry, and how they convert into each other.

Two answers with known units are compared after conversion; units of different kinds ("5 cm", "5 kg") contradict. A unit
that is not listed here ("apples") is passed over, so that only the number counts.
"""

from __future__ import annotations

import itertools
import math
import re
from fractions import Fraction
from typing import NamedTuple

from ral.rewards.scales import SCALES
from ral.rewards.spelling import spelled

CLOCK = "clock"  # "3:45", hours or minutes: against a unit of time its value counts as it is
TIME_OF_DAY = "time of day"  # "10:30 AM", in minutes since midnight: against a clock its value counts as it is
RATE = "bits/time"


class Unit(NamedTuple):
    """Unit of measure or money. dimension: the quantity it measures; several, joined by "|", for an ambiguous sign.

    (value + offset) * size is the value in the dimension's base unit.
    """

    dimension: str
    size: Fraction
    offset: Fraction = Fraction(0)


_BARE_DEGREES = "degrees"  # "25°" may be an angle or a temperature; against one with a scale its value counts as it is

# dimension -> {size in the base unit: names in lower case}
_NAMES: dict[str, dict[str, str]] = {
    "length": {
        "0.000000001": "nm nanometer nanometers nanometre nanometres",
        "0.000001": "um μm micrometer micrometers micrometre micrometres micron microns",
        "0.001": "mm millimeter millimeters millimetre millimetres 毫米 мм",
        "0.01": "cm centimeter centimeters centimetre centimetres 厘米 公分 センチ см",
        "0.1": "dm decimeter decimeters decimetre decimetres 分米",
        "1": "m meter meters metre metres 米 公尺 メートル м",
        "1000": "km kilometer kilometers kilometre kilometres kms 公里 千米 キロメートル км",
        "0.0254": "in inch inches 英寸",
        "0.3048": "ft foot feet 英尺",
        "0.9144": "yd yard yards",
        "1609.344": "mi mile miles 英里",
        "1852": "nmi 海里",
    },
    "area": {
        "10000": "hectare hectares ha 公顷",
        "4046.8564224": "acre acres 英亩",
        "1": "平方米 平米",
        "1000000": "平方公里",
    }
    | {"0.0001": "平方厘米"},
    "volume": {
        "0.000001": "ml milliliter milliliters millilitre millilitres cc 毫升 мл",
        "0.00001": "cl centiliter centiliters",
        "0.0001": "dl deciliter deciliters",
        "0.001": "l liter liters litre litres 升 公升 リットル л",
        "1": "立方米",
        "0.003785411784": "gallon gallons gal",
        "0.000946352946": "quart quarts qt",
        "0.000473176473": "pint pints",
        "0.0000295735295625": "floz",
    },
    "mass": {
        "0.000001": "μg ug mcg microgram micrograms",
        "0.001": "mg milligram milligrams 毫克 мг",
        "1": "g gram grams gm gms 克 グラム г",
        "500": "斤",
        "1000": "kg kilogram kilograms kgs kilo kilos 千克 公斤 キログラム кг",
        "1000000": "t ton tons tonne tonnes 吨 トン",
        "28.349523125": "oz ounce ounces",
        "453.59237": "lb lbs",
        "6350.29318": "stone",
    },
    "time": {
        "0.000000001": "ns nanosecond nanoseconds",
        "0.000001": "μs us microsecond microseconds",
        "0.001": "ms millisecond milliseconds 毫秒",
        "1": "s sec secs second seconds 秒 秒钟 с sekunde sekunden seconde secondes segundos secondi секунд секунды",
        "60": "min mins minute minutes 分钟 мин minuten minuto minutos minuti минут минуты",
        "3600": "h hr hrs hour hours 小时 時間 ч std stunde stunden heure heures hora horas часа часов час",
        "86400": "day days 天 日",
        "604800": "week weeks wk wks 周 星期",
    },
    "months": {
        "1": "month months 个月 個月",
        "12": "year years yr yrs 年",
        "120": "decade decades",
        "1200": "century centuries 世纪 世紀",
    },
    "speed": {"1": "m/s", "5/18": "km/h kph kmh kmph", "0.44704": "mph", "0.3048": "fps", "463/900": "knot knots kn"},
    "bits": {"1": "bit bits", "8": "byte bytes 字节", "8000000": "mb", "8000000000": "gb", "8000000000000": "tb"},
    "pressure": {
        "1": "帕",
        "1000": "千帕",
        "101325": "atm atmosphere atmospheres 大气压",
        "6894.757293168": "psi",
        "101325/760": "mmhg torr",
        "3386.389": "inhg",
    },
    "power": {"745.69987158227": "hp horsepower", "735.49875": "ps 马力", "1": "瓦", "1000": "千瓦"},
    "voltage": {"1": "伏"},
    "CNY|HKD|TWD": {"1": "块 块钱 塊", "0.1": "角 毛 毛钱"},
    "rotation": {"1": "rpm"},
}
_PREFIXES = {"n": "nano", "μ": "micro", "m": "milli", "": "", "k": "kilo", "M": "mega", "G": "giga", "T": "tera"}
_SIZES = {"n": -9, "μ": -6, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
# symbol: (dimension, word, size)
_SI: dict[str, tuple[str, str, Fraction | int]] = {
    "V": ("voltage", "volt", 1),
    "A": ("current", "ampere", 1),
    "W": ("power", "watt", 1),
    "J": ("energy", "joule", 1),
    "Wh": ("energy", "watt-hour", 3600),
    "N": ("force", "newton", 1),
    "Hz": ("frequency", "hertz", 1),
    "Pa": ("pressure", "pascal", 1),
    "bar": ("pressure", "bar", 10**5),
    "Ω": ("resistance", "ohm", 1),
    "ohm": ("resistance", "ohm", 1),
    "Ohm": ("resistance", "ohm", 1),
    "S": ("conductance", "siemens", 1),
    "eV": ("energy", "electronvolt", Fraction("1.602176634e-19")),
    "mol": ("amount", "mole", 1),
    "cal": ("energy", "calorie", Fraction("4.184")),
}
_BASES = {"F": "capacitance", "H": "inductance", "T": "flux density", "M": "concentration", "G": "gauss"}
"""Symbols that stand for something else where they have no prefix."""
_BINARY = {"k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_BITS = {"b": 1, "bit": 1, "bits": 1, "B": 8}
_TEMPERATURES = {
    "°c °celsius celsius centigrade 摄氏度": Unit(f"temperature|{_BARE_DEGREES}", Fraction(1), Fraction("273.15")),
    "°f °fahrenheit fahrenheit 华氏度": Unit(f"temperature|{_BARE_DEGREES}", Fraction(5, 9), Fraction("459.67")),
    "kelvin kelvins": Unit("temperature", Fraction(1)),
}
_STERLING = "GBP"
_POUND = Unit(f"mass|{_STERLING}", Fraction("453.59237"))  # "5 pounds" may be a weight or money
_ANGLES = {
    "° degree degrees deg degs 度": Unit(f"angle|{_BARE_DEGREES}", Fraction(1)),
    "rad radian radians": Unit("angle", Fraction(180 / math.pi)),
}


def _symbols() -> dict[str, Unit]:
    """Return {symbol: unit} of the units whose case counts: "mW" is not "MW", "Gb" is not "GB", "Mm" is not "mm"."""
    found = {"C": UNITS["°c"], "F": UNITS["°f"], "K": UNITS["kelvin"]}
    for (prefix, power), (symbol, (dimension, _, size)) in itertools.product(_SIZES.items(), _SI.items()):
        found[prefix + symbol] = Unit(dimension, Fraction(f"1e{power}") * size)
    for prefix, (symbol, dimension) in itertools.product("nμum", _BASES.items()):
        found[prefix + symbol] = Unit(dimension, Fraction(f"1e{_SIZES[prefix]}"))
    found |= {f"M{name}": Unit(UNITS[name].dimension, 10**6 * UNITS[name].size) for name in "mgsl"}
    found |= {"ML": found["Ml"], "Cal": UNITS["kilocalorie"], "hPa": Unit("pressure", Fraction(100))}
    return found | _of_bits() | {"Nm": Unit("torque", Fraction(1)), "B": UNITS["byte"], "NM": UNITS["nmi"]}


def _of_bits() -> dict[str, Unit]:
    """Return bits and bytes with their prefixes, and as many in a second."""
    found: dict[str, Unit] = {"bps": Unit(RATE, Fraction(1)), "kbps": Unit(RATE, Fraction(1000))}
    for (prefix, power), (symbol, bits) in itertools.product(_BINARY.items(), _BITS.items()):
        found[prefix + symbol] = Unit("bits", Fraction(bits * 10**power))
        if len(symbol) == 1:
            found[f"{prefix}{symbol}ps"] = Unit(RATE, Fraction(bits * 10**power))
            found[f"{prefix.upper()}i{symbol}"] = Unit("bits", Fraction(bits * 2 ** (power // 3 * 10)))
    slow = Unit("kb in lower case", Fraction(1))  # meant as kilobytes about as often as kilobits
    return found | {"kb": slow, "mbps": found["Mbps"], "gbps": found["Gbps"]}


def _ambiguous() -> dict[str, Unit]:
    """Return {name in lower case: unit} of the symbols with a prefix, for answers written in another case.

    Where capitals alone tell two units apart ("mw" may be mW or MW) the unit meets nothing but itself.
    """
    known: dict[str, set[Unit]] = {}
    for name, unit in SYMBOLS.items():
        if name[1:] in _BASES:
            continue
        known.setdefault(name.lower(), set()).add(unit)
    named = {n: us for n, us in known.items() if len(n) > 1 and n not in UNITS and n not in SCALES}
    return {n: next(iter(us)) if len(us) == 1 else Unit(f"{n} in lower case", Fraction(1)) for n, us in named.items()}


def _words() -> dict[str, Unit]:
    """Return units whose case does not count."""
    found = {
        name: Unit(dimension, Fraction(size))
        for dimension, sizes in _NAMES.items()
        for size, names in sizes.items()
        for name in names.split()
    }
    found |= {name: unit for names, unit in (_TEMPERATURES | _ANGLES).items() for name in names.split()}
    for (prefix, word), (dimension, name, size) in itertools.product(_PREFIXES.items(), _SI.values()):
        unit = Unit(dimension, Fraction(f"1e{_SIZES[prefix]}") * size)
        found |= {f"{word}{name}": unit, f"{word}{name}s": unit}
    found |= {"amp": found["ampere"], "amps": found["ampere"], "mhz": found["megahertz"], "pound": _POUND}
    found |= {"pounds": _POUND}
    for prefix, power in (("kilo", 3), ("mega", 6), ("giga", 9), ("tera", 12), ("peta", 15)):
        for word, bits in (("bit", 1), ("byte", 8)):
            found[f"{prefix}{word}"] = found[f"{prefix}{word}s"] = Unit("bits", Fraction(bits * 10**power))
    return found


UNITS: dict[str, Unit] = _words()
SYMBOLS: dict[str, Unit] = _symbols()
_OTHER_CASE: dict[str, Unit] = _ambiguous()

_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_POWERED = re.compile(
    r"(square|sq\.?|cubic|cu)\s+(\S+)|(?P<side>[a-z]+)\^?(?P<power>[23])|(平方|立方)(\S+)", re.IGNORECASE
)
_INVERSE = re.compile(r"(?:per |/)\s*([A-Za-z]+)")
_SOLID = {2: "area", 3: "volume"}
_LONE = frozenset("lhgms")  # single letters that name a unit; other ones need the case of their symbol
_NO_FIRST_WORD = frozenset(("in", "t", "l", "g", "s", "h", "a", "ha", "second", "us", "day", "kn", "stone", "bar"))
"""Words that begin a phrase ("in total", "second row") more often than they are a unit in front of one."""


def find_unit(text: str) -> Unit | None:
    """Return the unit that `text`, all that follows a number, names; None where it names no listed unit.

    Behind the unit a few words may follow: "cm long", "km/h (approximately)".
    """
    name = spelled(text)
    if unit := _unit(name):
        return unit
    first = re.split(r"[\s,;(]", name, maxsplit=1)[0].strip(" .,;:!()")
    return None if first.lower() in _NO_FIRST_WORD else _unit(first)


def _unit(name: str) -> Unit | None:
    """Return the unit of exactly that name; "A/B" of two units is one."""
    if simple := _simple(name):
        return simple
    if (inverse := _INVERSE.fullmatch(name)) and (below := _simple(inverse[1])):
        dimension = "frequency" if below.dimension == "time" else f"1/{below.dimension}"
        return Unit(dimension, 1 / below.size)
    top, slash, bottom = name.partition("/")
    over, under = (_simple(top), _per(bottom)) if slash else (None, None)
    if over is None or under is None:
        return None
    dimension = (
        "speed" if (over.dimension, under.dimension) == ("length", "time") else f"{over.dimension}/{under.dimension}"
    )
    return Unit(dimension, over.size / under.size)


def _per(name: str) -> Unit | None:
    """Return the unit below a slash; "s^2" counts there."""
    root = re.fullmatch(r"(s|sec|second|h|min)\^?2", name)
    return Unit("time^2", UNITS[root[1]].size ** 2) if root else _simple(name)


def _simple(name: str) -> Unit | None:
    """Return a unit that is no quotient."""
    if found := SYMBOLS.get(name):
        return found
    small = name.lower()
    if len(name) == 1 and name.isascii() and name != small and name != "L":
        return None
    if found := UNITS.get(small):
        return found if len(small) > 1 or not small.isascii() or small in _LONE | {"t", "°"} else None
    match = _POWERED.fullmatch(name)
    if match is None:
        return _OTHER_CASE.get(small)
    root = match[2] or match["side"] or match[6]
    side = SYMBOLS.get(root) or UNITS.get(root.lower())
    power = int(match["power"]) if match["power"] else _POWERS[(match[1] or match[5]).lower()]
    return Unit(_SOLID[power], side.size**power) if side is not None and side.dimension == "length" else None


def convert(value: Fraction, unit: Unit, into: Unit) -> Fraction | None:
    """Return `value`, given in `unit`, in the unit `into`; None where the two measure different things.

    A clock's time keeps its value in a unit of time, and bare degrees theirs in °C and °F.
    """
    if {unit.dimension, into.dimension} in ({CLOCK, "time"}, {CLOCK, TIME_OF_DAY}):
        return value
    common = set(unit.dimension.split("|")) & set(into.dimension.split("|"))
    if not common:
        return None
    if common == {_BARE_DEGREES}:
        return value
    if common == {_STERLING}:
        return value * _in_pounds(unit) / _in_pounds(into)
    return (value + unit.offset) * unit.size / into.size - into.offset


def _in_pounds(unit: Unit) -> Fraction:
    """Return the worth of a unit of money in pounds sterling."""
    return Fraction(1) if unit == _POUND else unit.size
