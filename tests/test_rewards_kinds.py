"""Options of a kind that is said in several ways (dates, spans of time), judged by hand."""

from __future__ import annotations

import pytest

from tests.judged import check_letter

DATES = ("A. March 5, 2020", "B. May 3, 2020", "C. March 15, 2020", "D. March 5, 2021")
DAYS = ("A. 5 March", "B. 5 May", "C. 2020-03-06", "D. March 2020")
SPANS = ("A. 90 minutes", "B. 1 hour", "C. 2 hours", "D. 30 minutes")
SHORT = ("A. 15 minutes", "B. 45 minutes", "C. 1 day", "D. 1 week")

# options ; question ; letter, "-" for none ; answers
SAID = (
    (DATES, "When?", "A", "5 March 2020|March 5th, 2020|2020-03-05|Mar 5, 2020|5th of March 2020|March 05, 2020"),
    (DATES, "When?", "A", "It is dated 5 March 2020.|The letter is dated Mar. 5, 2020|2020/3/5|2020年3月5日|March the 5th, 2020"),
    (DATES, "When?", "C", "March 15 2020|15 March, 2020|2020-03-15"),
    (DATES, "When?", "B", "3 May 2020|May 3rd, 2020|2020-05-03"),
    (DATES, "When?", "-", "March 5|5 March|03/05/2020|March 2020|2020|2020-13-05|45 March 2020|6 March 2020"),
    (DATES, "When?", "-", "not 5 March 2020|before 5 March 2020|5 March 2020 or 3 May 2020|5-15 March 2020|after Mar 5, 2020"),
    (DATES, "When?", "-", "5 March 2020?|maybe 5 March 2020|the day after 5 March 2020|5 Marchers 2020"),
    (DAYS, "When?", "A", "March 5|March 5th|the 5th of March|5 Mar"),
    (DAYS, "When?", "C", "March 6, 2020|6 March 2020"),
    (DAYS, "When?", "D", "Mar 2020|March of 2020"),
    (DAYS, "When?", "-", "5 March 2020|June 5|March 6|March 2021"),
    (SPANS, "How long is the film?", "B", "an hour|It lasts one hour.|It takes an hour.|one hour|The film lasts an hour."),
    (SPANS, "How long is the film?", "D", "half an hour|It lasts half an hour.|about half an hour"),
    (SPANS, "How long is the film?", "A", "an hour and a half|one and a half hours"),
    (SPANS, "How long is the film?", "-", "half a day|less than an hour|not an hour|an hour or two|half a minute|a minute"),
    (SPANS, "How long is the film?", "-", "once an hour|an hour ago|every hour|three hours|half an hour or an hour"),
    (SHORT, "How long?", "A", "a quarter of an hour"),
    (SHORT, "How long?", "B", "three quarters of an hour"),
    (SHORT, "How long?", "C", "a day|24 hours"),
    (SHORT, "How long?", "D", "a week|It takes a week."),
    (SHORT, "How long?", "-", "a quarter of the day|a quarter of an inch|a month|a hour hand"),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), SAID)
def test_an_option_said_in_another_way_is_that_option(
    options: tuple[str, ...], question: str, letter: str, answers: str
) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter.strip("-"))
