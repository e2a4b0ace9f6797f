"""Comparatives against the one asked: asked which is larger, "The truck is smaller" names what is not the answer."""

from __future__ import annotations

import re

# comparatives and superlatives of more of a quantity, and of less of it
_QUANTITIES = (
    ("larger bigger greater largest biggest greatest", "smaller smallest tinier tiniest littler"),
    ("higher highest", "lower lowest"),
    ("farther further farthest furthest", "closer nearer closest nearest"),
    ("taller longer tallest longest", "shorter shortest"),
    ("heavier heaviest darker darkest", "lighter lightest"),
    ("faster quicker fastest quickest", "slower slowest"),
    ("older oldest elder eldest", "younger newer youngest newest"),
    ("wider broader widest broadest", "narrower narrowest"),
    ("hotter warmer hottest warmest", "colder cooler coldest coolest chillier"),
    ("more most", "less fewer least fewest"),
    ("stronger strongest", "weaker weakest"),
    ("brighter brightest", "darker dimmer darkest dimmest"),
    ("later latest last", "earlier sooner earliest soonest first"),
    ("deeper deepest", "shallower shallowest"),
    ("better best", "worse worst"),
    ("thicker fatter thickest fattest", "thinner slimmer thinnest slimmest"),
    ("harder hardest", "softer easier softest easiest"),
    ("louder loudest noisier", "quieter quietest softer"),
    ("steeper steepest", "flatter flattest gentler"),
    ("fuller fullest", "emptier emptiest"),
    ("richer richest", "poorer poorest"),
    ("costlier costliest pricier priciest dearer", "cheaper cheapest"),
    ("cleaner cleanest", "dirtier dirtiest"),
    ("safer safest", "riskier riskiest"),
    ("rougher roughest", "smoother smoothest"),
    ("happier happiest", "sadder saddest"),
    ("wetter wettest", "drier driest dryer"),
)
_SIDES = tuple((frozenset(more.split()), frozenset(less.split())) for more, less in _QUANTITIES)
_ALL = frozenset().union(*(side for sides in _SIDES for side in sides)) - {"first", "last"}
_DEGREE = re.compile(
    rf"\b(?<!at )(?:{'|'.join(sorted(_ALL))})\b(?! (?:likely|probable|probably|appropriate|suitable|accurate|common"
    r"|commonly|plausible|fitting|of|or (?:less|fewer|more)|and)\b)",
    re.IGNORECASE,
)
_EXPENSIVE = (
    (re.compile(r"\bmore (?:expensive|costly)\b", re.IGNORECASE), "pricier"),
    (re.compile(r"\bless (?:expensive|costly)\b", re.IGNORECASE), "cheaper"),
)
_PLAIN = {
    "small": "smaller", "little": "smaller", "tiny": "smaller", "big": "larger", "large": "larger", "huge": "larger",
    "high": "higher", "low": "lower", "near": "nearer", "close": "closer", "far": "farther", "tall": "taller",
    "long": "longer", "short": "shorter", "heavy": "heavier", "light": "lighter", "slow": "slower", "fast": "faster",
    "old": "older", "young": "younger", "wide": "wider", "narrow": "narrower", "cold": "colder", "cool": "cooler",
    "hot": "hotter", "warm": "warmer", "weak": "weaker", "strong": "stronger", "dim": "dimmer", "bright": "brighter",
    "dark": "darker", "shallow": "shallower", "deep": "deeper", "thin": "thinner", "thick": "thicker",
    "cheap": "cheaper", "expensive": "pricier",
}  # fmt: skip
"""Adjectives -> their comparatives."""
_IS_PLAIN = re.compile(
    r"\b(?:is|are|was|were|looks?|seems?|appears?) (?:(?:very|quite|rather|really|so|too|the|an?|relatively) )*"
    rf"(?P<plain>{'|'.join(_PLAIN)})(?: ones?)?(?=\s*(?:[,.;!]|$))",
    re.IGNORECASE,
)
_IN_TURN = re.compile(
    r"(?<!\bthe )(?<!\bat )\b(?:first|last)(?=\s*(?:[,.;:?!]|$|in\b|at\b|on\b))|\b(?:first|last)(?= to [a-z])",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:because|since|as|due to|given|so)\b", re.IGNORECASE)
_EQUAL = re.compile(r"\b(?:the same|equal|equally)\b", re.IGNORECASE)
_TURNED = re.compile(r"\b(?:not|no|never|except)\b|n['’]t\b", re.IGNORECASE)


def against_asked(line: str, question: str) -> bool | None:
    """Tell whether a sentence says less of the quantity of which `question` asks for more, or the reverse.

    True for "The truck is smaller" where the larger one is asked for; False where it says what is asked, or compares
    nothing; None where it says less of another quantity, which may or may not be the same ("has a lower speed" where
    the faster one is asked for), or that things are equal. What stands behind "because" and the like is left out.
    False, too, where the question has no comparative, several, or a denial.
    """
    told, asked = _degrees(_REASON.split(line)[0]), _degrees(question)
    if asked and _EQUAL.search(line):
        return None
    if not told or not asked or _TURNED.search(question):
        return False
    sides = [sides for sides in _SIDES if any(asked <= side for side in sides)]
    if any(told & own for pair in sides for own in pair if asked <= own) or not sides:
        return False
    if any(told & other for pair in sides for other in pair if not asked <= other):
        return True
    return None if _signs(told).isdisjoint(_signs(asked)) else False


def plainly_against(line: str, question: str) -> bool:
    """Tell whether a sentence says that a thing is small where `question` asks which is larger: then no answer."""
    plain = [_PLAIN[found["plain"].lower()] for found in _IS_PLAIN.finditer(_REASON.split(line)[0])]
    return any(against_asked(degree, question) for degree in plain) and not against_asked(line, question)


def _degrees(text: str) -> frozenset[str]:
    """Return the comparatives and superlatives of a text, in small letters."""
    for pattern, word in _EXPENSIVE:
        text = pattern.sub(word, text)
    return frozenset(found[0].lower() for pattern in (_DEGREE, _IN_TURN) for found in pattern.finditer(text))


def _signs(degrees: frozenset[str]) -> set[int]:
    """Return 1 for degrees of more, -1 for degrees of less, both for both."""
    return {sign for sides in _SIDES for sign, side in zip((1, -1), sides, strict=True) if degrees & side}
