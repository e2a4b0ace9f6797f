"""Functions by which a text that holds more than one number is read again, in their order; each keeps less of it."""

from __future__ import annotations

from collections.abc import Callable

from ral.rewards.claims import without_subject
from ral.rewards.clauses import (
    total_said,
    without_changes,
    without_labels,
    without_periods,
    without_times,
    year_of_month,
)
from ral.rewards.clocks import time_concluded
from ral.rewards.conclusions import concluded_in_words, explained
from ral.rewards.counts import counted
from ral.rewards.listed import enumerated, unlisted
from ral.rewards.steps import last_step
from ral.rewards.word_forms import place_said

READINGS: tuple[Callable[[str], str | None], ...] = (
    explained,
    concluded_in_words,
    total_said,
    year_of_month,
    without_times,
    without_labels,
    counted,
    enumerated,
    time_concluded,
    place_said,
)
"""Text -> the part of it that may be its number, None for no such part. What it returns is read as it stands."""
REWRITINGS: tuple[Callable[[str], str | None], ...] = (
    last_step,
    unlisted,
    without_changes,
    without_periods,
    without_subject,
)
"""Text -> the same without what is no part of its answer, None for the text itself. What it returns is read anew."""
