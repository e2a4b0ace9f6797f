"""Numbers beside those that the question itself names, and changes behind an amount, judged by hand."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

BARS = "How many bars are above 50%?"
VIEW = "What percentage of Americans have an unfavorable view of China in 2019?"
SINCE = "Since 2x + 4 = 3x - 1, x = 5, so AB = 2(5) + 4 = 14."

# question ; gold ; answers that are right ; answers that are not
TABLE = (
    (BARS, "3", "There are 3 bars above 50%.|3 bars are above 50%.|3 bars are above 50%"
     "|3 bars are above 50%: Canada (54%), UK (55%) and Japan (85%).|Three bars are above 50%",
     "There are 3 bars above 60%.|There are not 3 bars above 50%.|There are 2 bars above 50%."
     "|There are 3 or 4 bars above 50%.|3 bars are above 50%: Canada (54%) and UK (55%).|Maybe 3 bars are above 50%."
     "|There are 3 bars below 50%.|There are 3 bars above 50% and 2 below it.|above 50%"),
    (BARS, "50", "50", "There are 3 bars above 50%."),
    ("Which bar is above 50%?", "3", "3", "There are 3 bars above 50%."),
    ("How many years had sales over 100?", "4", "4 years had sales over 100.|There were 4 years with sales over 100",
     "4 years had sales over 200.|5 years had sales over 100."),
    (VIEW, "60%", "In 2019, 60% of Americans had an unfavorable view of China, up from 47% in 2018."
     "|60%, up from 47% in 2018|60%, down from 80%|60% (up from 47%)",
     "47%, up from 60% in 2018|In 2018, 47%, and 60% in 2019|60% or up from 47%|not 60%, up from 47%"
     "|It was 47% in 2018, up from 60%"),
    (VIEW, "47%", "47%", "60%, up from 47% in 2018"),
    ("Find m∠1.", "68", "∠1 = 68°|∠1 is 68°.|Angle 1 is 68 degrees.|m∠1 = 68°|∠1 = 180° - 65° - 47° = 68°"
     "|$\\\\angle 1 = 180^\\\\circ - 65^\\\\circ - 47^\\\\circ = 68^\\\\circ$",
     "∠2 = 68°|∠1 = 86°|∠1 is not 68°|∠1 + ∠2 = 68°|∠1 is 68° or 86°|∠1 = ∠2 = 68|∠1 = 180° - 65° = 68°|∠1 ≈ 68°?"),
    ("Find m∠1.", "1", "1", "∠1 = 68°"),
    ("Find m∠1 and m∠2.", "68", "68", "∠1 = 68°"),
    ("Find AB.", "14", f"{SINCE}|x = 5, so AB = 14.",
     "Since 2x + 4 = 3x - 1, x = 5, so BC = 2(5) + 4 = 14.|Since 2x + 4 = 3x - 1, x = 5, so AB = 2(5) + 4 = 15."
     "|Since 2x + 4 = 3x - 1, x = 5, so AB is not 14, so AB = 13|Since 2x = 3x - 1, x = 1, so AB = 14 or 15"
     "|Since 2x + 4 = 3x - 1, x = 5, so AB = 2(5) + 3 = 14."),
    ("Find AB.", "5", "5", SINCE),
)  # fmt: skip


@pytest.mark.parametrize(("question", "gold", "right", "wrong"), TABLE)
def test_by_hand(question: str, gold: str, right: str, wrong: str) -> None:
    example = Example("u", question, gold, "numerical")
    for score, answers in ((1.0, right), (0.0, wrong)):
        earned = {a: accuracy(example, f"<answer>{a}</answer>") for a in answers.replace("\\\\", "\\").split("|")}
        assert earned == dict.fromkeys(earned, score)
