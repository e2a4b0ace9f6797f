"""Names of units in one spelling: "m s^-1", "km per hour" and "公里每小时" become m/s, km/h and 公里/小时."""

from __future__ import annotations

import re

_TIMES = r"(?:second|minute|hour|day|week|month|year)"
_NEGATIVE = r"([A-Za-z]{1,3})\s?\^\s?\(?-([123])\)?(?![\d.])"
_SECOND = re.compile(rf"(?:(?<=[A-Za-zμΩ°])|(?<=\^[23]))(?:\s*[·⋅∙×*.]\s*|\s+){_NEGATIVE}")
_RUN_ON = re.compile(r"(?<![A-Za-z])(k?m)([sh])(?=\s?\^\s?\(?-[12])")
"""Matches the units of "ms^-1", which means "m s^-1" far more often than a rate of milliseconds."""
_ALONE = re.compile(rf"(?<=\d)\s*{_NEGATIVE}")


def join_powers(text: str) -> str:
    """Return a text with "m/s" for "m s^-1", "g/cm^3" for "g·cm^-3" and "10 per s" for "10 s^-1"."""
    text = _RUN_ON.sub(lambda found: f"{found[1]} {found[2]}", text)
    text = _SECOND.sub(lambda found: f"/{_powered(found)}", text)
    return _ALONE.sub(lambda found: f" per {_powered(found)}", text)


def _powered(found: re.Match[str]) -> str:
    return found[1] if found[2] == "1" else f"{found[1]}^{found[2]}"


def spelled(text: str) -> str:
    """Return the unit in `text` (all that follows a number) in one spelling: "°C" for "degrees C", "m/s" for "m per s".

    Also: "m^2" for "m ^2", "floz" for "fl. oz", "Nm" for "N·m". Marks at the ends are removed, other words stay.
    """
    name = text.strip(" \t\n.,;:!()").replace("µ", "μ").replace("\N{OHM SIGN}", "Ω")
    name = re.sub(r"(?i)(?:degrees?|deg)\s+(?=[cf]\b|celsius|fahrenheit|centigrade)", "°", name)
    name = re.sub(r"(?<=°)\s+(?=[CFcf]\b)|\s+(?=\^)", "", name)
    name = re.sub(r"(?i)\b(?:fl\.?\s?oz|fluid\s+ounces?)\b", "floz", name)
    name = re.sub(r"\bN\s?[·*⋅]\s?m\b", "Nm", name)
    name = re.sub(rf"(?i)(?<=\w)\s+(?:an?|each|every)\s+(?={_TIMES}\b)", "/", name)
    return re.sub(r"(?i)(?<=\w)\s*(?:/|\b(?:per|pro|por|par)\b|每)\s*(?=[a-z\u4e00-\u9fff])", "/", name)
