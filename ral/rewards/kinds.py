"""Finds the option that an answer means where options are of a kind with many ways of writing, such as dates."""

from __future__ import annotations

import string
from collections.abc import Sequence

from ral.options import lettered
from ral.rewards.all_or_none import option_of_all_or_none
from ral.rewards.calendar_words import option_of_calendar
from ral.rewards.camera import option_of_move
from ral.rewards.claims import without_claims
from ral.rewards.compass import option_of_point
from ral.rewards.converses import of_asked_thing
from ral.rewards.coordinates import option_of_coordinates
from ral.rewards.dates import option_of_date
from ral.rewards.dress import undress, visible
from ral.rewards.echoes import verdict_of_echo
from ral.rewards.equals import option_of_equal
from ral.rewards.option_texts import split_options
from ral.rewards.orders import option_of_order
from ral.rewards.places import option_of_place
from ral.rewards.plain_said import both_or_neither
from ral.rewards.ranges import option_of_range
from ral.rewards.relations import option_of_relation
from ral.rewards.statements import option_of_statements
from ral.rewards.time_spans import option_of_span
from ral.rewards.verdicts import option_of_verdict

LONGEST = 200  # characters of such an answer


def option_of_kind(answer: str, options: Sequence[str], question: str) -> str | None:
    """Return the letter of the one option that an answer means, by the rules for the kind of the options; else None.

    The kinds are "both" and "neither" (`plain_said`), orders (`orders`), dates (`dates`), compass points (`compass`),
    statements that hold (`statements`), all or none of the others (`all_or_none`), signs and relations (`relations`),
    ranges of numbers (`ranges`), a camera's moves (`camera`), numbered pictures (`places`), days, months and times of
    day (`calendar_words`), equality (`equals`), spans of time (`time_spans`), boxes and points (`coordinates`), and yes
    and no where the question is said again (`echoes`). A claim such as "It is" may stand in front of all but the first
    two and the last; only the first two are tried for answers of more than LONGEST characters.
    """
    texts = split_options(tuple(options))
    if named := both_or_neither(visible(answer), texts) or option_of_order(visible(answer), texts):
        return named
    if len(answer) > LONGEST:
        return None
    if said := option_of_verdict((verdict_of_echo(undress(answer), question),), texts):
        return said[0]
    own = lettered(tuple(options)) or dict(zip(string.ascii_uppercase, options, strict=False))
    if named := option_of_coordinates(answer, own, question):
        return named
    told = of_asked_thing(undress(answer), own.values(), question)
    forms = without_claims(told) if told else ()
    return next(filter(None, (_of_kind(form, own, question) for form in forms)), None)


def _of_kind(text: str, options: dict[str, str], question: str) -> str | None:
    """Return the letter of the option that a text without claims in front means. options: {letter: text as written}."""
    return (
        option_of_date(text, options)
        or option_of_point(text, options)
        or option_of_statements(text, options, question)
        or option_of_all_or_none(text, options, question)
        or option_of_relation(text, options, question)
        or option_of_range(text, options)
        or option_of_move(text, options)
        or option_of_place(text, options, question)
        or option_of_calendar(text, options, question)
        or option_of_equal(text, options, question)
        or option_of_span(text, options)
    )
