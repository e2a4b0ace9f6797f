"""Answers whose letter and text name two options: "A. blue" where A is red, "8 people, so 1-5" beside "6-10"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ral.rewards.choices import read
from ral.rewards.claims import LONGEST, without_claims
from ral.rewards.dress import undress
from ral.rewards.option_texts import split_options
from ral.rewards.ranges import two_ranges
from ral.rewards.values import option_of_value, other_number

_LED = re.compile(r"\W*([A-Za-z])\s*[)\]）】.:,;、。]+\s*(\S.*)", re.DOTALL)


def names_two(answer: str, options: Sequence[str]) -> bool:
    """Tell whether an answer begins with an option's letter and goes on with another option's text, or with a number
    that the option is not; and whether its number lies in another range than the one that it names.

    options: ("A. red", ...). Only a text that is an option word for word, or in its value, counts.
    """
    texts = split_options(tuple(options))
    if two_ranges(answer, texts):
        return True
    for form in without_claims(undress(answer)):
        found = _LED.match(form)
        if found is None or found[1].upper() not in texts or len(form) > LONGEST:
            continue
        own, rest = found[1].upper(), found[2].strip("()（）,;。 ")
        other = read(rest, texts) or option_of_value(rest, options)
        if other not in (None, own) or other_number(rest, options, own):
            return True
    return False
