"""Nouns inside longer ones: "dog" of "a dog house", "hot dog", "a kitchen sink" and 热狗摊 is not what is meant.

Whether two nouns form one is read off words alone: a mention that another content word follows is part of more, unless
it is an adjective ("a blue ball"), or what follows is a verb ("the dog sits") or its class ("a tennis match").
"""

from __future__ import annotations

import re

_COLOURS = (
    "red blue green yellow black white brown orange purple pink gray grey silver gold golden beige violet cyan"
    " magenta turquoise teal maroon navy tan cream ivory olive crimson blonde blond"
)
_SIZES = (
    "big small large tall short long wide narrow thick thin huge tiny little medium giant heavy light high low deep"
    " shallow old young new ancient modern hot cold warm cool wet dry clean dirty full empty open closed shut bright"
    " dark soft hard smooth rough round square flat straight curved oval circular rectangular triangular hexagonal"
    " spherical cubic cylindrical conical octagonal pentagonal sharp blunt fast slow quick loud quiet happy sad"
    " angry surprised scared calm excited serious neutral bored tired sleepy hungry sick healthy rich poor sunny"
    " cloudy rainy snowy windy foggy stormy male female left right top bottom upper lower front back middle center"
    " central first second third fourth fifth last next same different single double multiple many few several"
    " striped plain dotted spotted checkered patterned solid transparent opaque shiny matte rusty fresh ripe raw"
    " cooked fried frozen broken"
)
_MADE_OF = (
    "wood wooden metal metallic plastic glass leather cotton stone paper concrete brick rubber steel iron ceramic"
    " wool silk fabric cardboard marble bamboo"
)
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty hundred"
_OF_ORIGIN = (
    "american chinese japanese french german italian spanish british english indian russian korean mexican european"
    " asian african dutch greek swiss thai turkish canadian australian"
)
_ADJECTIVES = frozenset(f"{_COLOURS} {_SIZES} {_MADE_OF} {_NUMBERS} {_OF_ORIGIN}".split())
_ADJECTIVE = re.compile(r"\w{3,}(?:ish|less|ful|ous|ular|able|ible|(?<!e)ed|ern)")

_FUNCTION_WORDS = (
    "is are was were be been being am has have had does do did can could will would should shall may might must in"
    " on at of for from to into onto with without by near behind under over above below beneath beside besides"
    " between among inside outside around across along through against toward towards upon within during before"
    " after until since next and or but nor so because as that which who whom whose where when while if than then"
    " there here not also too only just both now again together instead indeed itself himself herself themselves"
    " alone it he she they we i you this these those the a an his her its their our my your what how why all each"
    " every some any no appears appear seems seem looks look shows show stands sits lies runs walks goes eats moves"
    " plays holds wears jumps falls flies swims sleeps comes makes takes gets keeps turns stood sat lay ran walked"
    " went ate came took held wore fell flew swam slept kept left made got gave saw says said asleep awake visible"
    " present out up down off away back please"
)
_CLASS_WORDS = (
    "one ones color colour colored coloured option choice answer game games match matches sport season day time"
    " scene setting area room type kind style shape flag language country city state weather month year brand animal"
    " bird food fruit dish drink expression emotion mood pattern object item thing person people side direction"
    " position number letter word symbol species tree trees flower flowers fish genre music show restaurant cuisine"
    " breed in"
)
_ING_WORDS = (
    "building painting ceiling clothing string ring king thing swing evening morning wing crossing parking wedding"
    " earring pudding railing drawing landing awning"
)
_FUNCTION, _CLASS, _NOUNS_IN_ING = (frozenset(words.split()) for words in (_FUNCTION_WORDS, _CLASS_WORDS, _ING_WORDS))
_OTHER_THINGS = re.compile(
    r"\b(?:(?:hot|corn|prairie) (?=dogs?\b)|(?:teddy|gummy) (?=bears?\b)|sea (?=lions?\b|horses?\b|cows?\b)"
    r"|guinea (?=pigs?\b)|(?:rocking|clothes) (?=horses?\b)|jelly (?=fish\b))",
    re.IGNORECASE,
)
"""Matches the words that make another thing of the noun behind them."""
_NEXT = re.compile(r"\s+([A-Za-z]+(?:-[A-Za-z]+)*)('s\b)?(?:\s+([a-z]+))?")
_BE = ("is", "are", "was", "were")
_SUBJECT = re.compile(r"(?:(?:the|this|that|an?|one)\s+)?", re.IGNORECASE)
_HAN_NEXT = re.compile(r"([\u4e00-\u9fff]{1,3})\s*(?:$|[,.;!。，；])")
_HAN_IS = re.compile(r"[是为為](?:一[只隻个個条條匹头頭张張辆輛家座件])?$")
_HAN_GOES_ON = "的了在和与與及或色吗呢吧啊"
_MAKER_NAMES = (
    "toyota honda ford bmw mercedes audi volkswagen vw tesla nissan hyundai kia chevrolet chevy jeep subaru mazda"
    " lexus volvo porsche ferrari lamborghini fiat renault peugeot citroen citroën skoda opel suzuki mitsubishi"
    " cadillac buick chrysler bentley maserati bugatti boeing airbus cessna embraer yamaha kawasaki ducati harley"
    " samsung google huawei xiaomi sony nokia motorola dell hp lenovo asus acer canon nikon microsoft nintendo nike"
    " adidas"
)
_MAKERS = frozenset(_MAKER_NAMES.split())
"""Makers whose name stands in front of what they make."""
MODEL = re.compile(
    r"(?: (?!(?:Dealer|Logo|Store|Shop|Sign|Stadium|Cent|Factory|Plant|Park))(?:[A-Z][\w-]*|[A-Za-z]*-?\d[\w-]*))+[.!]?"
)
"""Matches the name of what a maker makes, behind the maker's: " Corolla", " 747", " CR-V"."""
MOST_WORDS = 3  # of a text that is one noun with what describes it


def part_of_more(line: str, start: int, end: int) -> bool:
    """Tell whether the words line[start:end] are part of a longer noun that is another thing.

    line: a sentence without formatting (`dress.undress`). True for "dog" in "It is a dog house" and "a hot dog"; False
    for "dog" in "a brown dog" and "the dog sits there", "blue" in "a blue ball" and "tennis" in "a tennis match".
    """
    own, behind = line[start:end], line[end:]
    if "\u4e00" <= own[-1:] <= "\u9fff":
        more = _HAN_NEXT.match(behind) if _HAN_IS.search(line[:start]) and not own.endswith("色") else None
        return more is not None and not set(more[1]) & set(_HAN_GOES_ON)
    if any(found.end() == start for found in _OTHER_THINGS.finditer(line)):
        return True
    if own.casefold() in _MAKERS and MODEL.match(behind):
        return False
    found = _NEXT.match(behind)
    if found is None or found[2] or describes(own) or (own[:1].isupper() and start and found[1].islower()):
        return False
    acts = _SUBJECT.fullmatch(line[:start]) and found[1].endswith("s") and found[3] not in _BE
    return not acts and content_word(found[1])


def describes(own: str) -> bool:
    """Tell whether `own`, an option's text, cannot begin a longer noun: an adjective, a number, a verb in -ing, or more
    than MOST_WORDS words.
    """
    words = own.casefold().split()
    last = words[-1]
    if len(words) > MOST_WORDS or not last.isalpha() or last in _ADJECTIVES or last in _FUNCTION:
        return True
    return (last.endswith("ing") and last not in _NOUNS_IN_ING) or _ADJECTIVE.fullmatch(last) is not None


def article_before(line: str, start: int, end: int) -> bool:
    """Tell whether the "A" that a line begins with is the article of the words line[start:end] right behind it.

    True before one noun in small letters ("A car") and before a maker ("A Toyota"): there "A" is no letter of an
    option. False before an adjective, a plural, any other name, and yes or no.
    """
    own = line[start:end]
    if line[:start] != "A " or describes(own) or own.casefold() in ("yes", "no", "true", "false", "none"):
        return False
    return own.casefold() in _MAKERS or (own.islower() and not re.search(r"[^su]s$", own))


def content_word(word: str) -> bool:
    """Tell whether a word behind a noun may form a longer noun with it: no verb, preposition, adverb or class word."""
    word = word.lower()
    if word in _FUNCTION or word in _CLASS or word.endswith("ly"):
        return False
    return not (word.endswith("ing") and word not in _NOUNS_IN_ING) and not re.fullmatch(r"\w{3,}(?<!e)ed", word)
