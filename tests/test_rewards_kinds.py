"""Options of a kind that is said in several ways (dates, spans of time), judged by hand."""

from __future__ import annotations

import pytest

from tests.judged import check_letter

DATES = ("A. March 5, 2020", "B. May 3, 2020", "C. March 15, 2020", "D. March 5, 2021")
DAYS = ("A. 5 March", "B. 5 May", "C. 2020-03-06", "D. March 2020")
SPANS = ("A. 90 minutes", "B. 1 hour", "C. 2 hours", "D. 30 minutes")
SHORT = ("A. 15 minutes", "B. 45 minutes", "C. 1 day", "D. 1 week")
ALL = ("A. dogs", "B. cats", "C. birds", "D. All of the above")
NONE = ("A. dogs", "B. cats", "C. birds", "D. None of the above")
ALL_NONE = ("A. a dog", "B. a cat", "C. All of the above", "D. None of the above")
PAIRS = ("A. dogs", "B. cats", "C. Both A and B", "D. All of the above")
TWO = ("A. I only", "B. II only", "C. Both I and II", "D. Neither I nor II")
THREE = ("A. I only", "B. II only", "C. I and II only", "D. I, II and III")
FIGURES = ("A. 1 only", "B. 2 only", "C. Both 1 and 2", "D. Neither 1 nor 2")
POINTS = ("A. North", "B. Northeast", "C. East", "D. Southeast")
CROSS = ("A. North", "B. South", "C. East", "D. West")
SHORT_POINTS = ("A. N", "B. NE", "C. E", "D. SE")
HALF_POINTS = ("A. North", "B. Northeast", "C. Up", "D. Down")
HOURS = ("A. 3 o'clock", "B. 6 o'clock", "C. 9 o'clock", "D. 12 o'clock")
CLOCKS = ("A. 3:00", "B. 3 o'clock", "C. 9:00", "D. 12:00")
WHICH = "I. The box is red. II. The ball is blue. Which of the statements is true?"
IN_PICTURE = "Which animals are in the picture?"

# options ; question ; letter, "-" for none ; answers
SAID = (
    (DATES, "When?", "A", "5 March 2020|March 5th, 2020|2020-03-05|Mar 5, 2020|5th of March 2020|March 05, 2020"),
    (DATES, "When?", "A", "It is dated 5 March 2020.|The letter is dated Mar. 5, 2020|2020/3/5|2020年3月5日"),
    (DATES, "When?", "A", "March the 5th, 2020"),
    (DATES, "When?", "C", "March 15 2020|15 March, 2020|2020-03-15"),
    (DATES, "When?", "B", "3 May 2020|May 3rd, 2020|2020-05-03"),
    (DATES, "When?", "-", "March 5|5 March|03/05/2020|March 2020|2020|2020-13-05|45 March 2020|6 March 2020"),
    (DATES, "When?", "-", "not 5 March 2020|before 5 March 2020|5 March 2020 or 3 May 2020|5-15 March 2020"),
    (DATES, "When?", "-", "after Mar 5, 2020"),
    (DATES, "When?", "-", "5 March 2020?|maybe 5 March 2020|the day after 5 March 2020|5 Marchers 2020"),
    (DAYS, "When?", "A", "March 5|March 5th|the 5th of March|5 Mar"),
    (DAYS, "When?", "C", "March 6, 2020|6 March 2020"),
    (DAYS, "When?", "D", "Mar 2020|March of 2020"),
    (DAYS, "When?", "-", "5 March 2020|June 5|March 6|March 2021"),
    (SPANS, "How long is the film?", "B", "an hour|It lasts one hour.|It takes an hour.|one hour"),
    (SPANS, "How long is the film?", "B", "The film lasts an hour."),
    (SPANS, "How long is the film?", "D", "half an hour|It lasts half an hour.|about half an hour"),
    (SPANS, "How long is the film?", "A", "an hour and a half|one and a half hours"),
    (SPANS, "How long is the film?", "-", "half a day|less than an hour|not an hour|an hour or two|half a minute"),
    (SPANS, "How long is the film?", "-", "a minute"),
    (SPANS, "How long is the film?", "-", "once an hour|an hour ago|every hour|three hours|half an hour or an hour"),
    (SHORT, "How long?", "A", "a quarter of an hour"),
    (SHORT, "How long?", "B", "three quarters of an hour"),
    (SHORT, "How long?", "C", "a day|24 hours"),
    (SHORT, "How long?", "D", "a week|It takes a week."),
    (ALL, IN_PICTURE, "D", "All of them|All three.|A, B, and C|A, B and C are all correct"),
    (ALL, IN_PICTURE, "D", "All of these options are correct."),
    (ALL, IN_PICTURE, "D", "Dogs, cats and birds|All of these animals are in the picture.|All|It's all of these"),
    (ALL, IN_PICTURE, "D", "(A), (B) and (C)"),
    (ALL, IN_PICTURE, "D", "A, B and C are all correct, so D."),
    (ALL, IN_PICTURE, "D", "Dogs, cats, and birds are all visible, so all of the above."),
    (ALL, IN_PICTURE, "-", "dogs and cats|A and B|A, B and D|All two|All but birds|Not all of them"),
    (ALL, IN_PICTURE, "-", "All of them are wrong"),
    (ALL, IN_PICTURE, "-", "dogs, cats or birds|A, B or C|dogs, cats and fish|All are missing|All dogs|None of them"),
    (ALL, IN_PICTURE, "-", "None"),
    (ALL, IN_PICTURE, "-", "All animals except birds|Are all of them correct?|Almost all|No dogs, cats and birds"),
    (ALL, "Which is not in the picture?", "-", "All of them are in the picture.|A, B and C are all visible"),
    (ALL, "Which is not in the picture?", "D", "All of them|A, B and C"),
    (NONE, IN_PICTURE, "D", "None of these|None of them.|None|None of the options is correct.|It is none of them"),
    (NONE, IN_PICTURE, "D", "none of the options"),
    (NONE, IN_PICTURE, "D", "None of the animals listed are in the picture.|There are no dogs, cats or birds."),
    (NONE, IN_PICTURE, "D", "There are no dogs, cats or birds in the picture, so none of the above."),
    (NONE, IN_PICTURE, "-", "There are no dogs or cats|None of them are missing|None of the options is wrong"),
    (NONE, IN_PICTURE, "-", "All of them|A, B and C"),
    (NONE, IN_PICTURE, "-", "None but the dogs|None other than dogs|No one|Nothing can be determined"),
    (NONE, IN_PICTURE, "-", "None of the dogs|None of the options can be determined"),
    (NONE, IN_PICTURE, "-", "There are no dogs, cats and fish|None of these?"),
    (NONE, "Which is not in the picture?", "-", "None of them are in the picture.|None of these is correct"),
    (ALL_NONE, IN_PICTURE, "C", "All of them|a dog and a cat|A and B"),
    (ALL_NONE, IN_PICTURE, "D", "None of them|None|There is no dog or cat"),
    (PAIRS, IN_PICTURE, "-", "All of them|A and B and C"),
    (TWO, WHICH, "B", "Only II|II|Only statement II is true.|I is false; II is true.|Statement II only"),
    (TWO, WHICH, "B", "I is false and II is true|II is true, I is not"),
    (TWO, WHICH, "B", "Statement I is false and statement II is true, so II only.|I is not true, but II is correct."),
    (TWO, WHICH, "C", "I and II|Both statements are true.|Both|I is true and II is true"),
    (TWO, WHICH, "C", "Statements I and II are both correct"),
    (TWO, WHICH, "D", "Neither statement is true.|Neither|None of the statements is true|I is false, II is false."),
    (TWO, WHICH, "D", "I and II are false"),
    (TWO, WHICH, "A", "Only I|Only I is correct, II is not.|Statement I only|Only statement I"),
    (TWO, WHICH, "A", "I is true, but II is false"),
    (TWO, WHICH, "-", "Neither I|I or II|I is false|II is false|Either I or II|I think so|I am not sure"),
    (TWO, WHICH, "-", "I is true and I is false"),
    (TWO, WHICH, "-", "not only II|Only III|II?|Both are false|I, II and III|Only I is false"),
    (TWO, WHICH, "-", "I is true, II is true, III is true|I is trueish and II is not"),
    (TWO, "Which of the statements is false?", "-", "Only II is true.|I is false; II is true."),
    (TWO, "Which of the statements is false?", "A", "Only I|I"),
    (THREE, WHICH, "D", "I, II, III|All three statements are true.|I, II, and III|All of them|All"),
    (THREE, WHICH, "C", "I and II|I and II are true, III is false.|Only I and II"),
    (THREE, WHICH, "-", "All two statements are true.|I and III|Both|Neither|III only|II and III"),
    (THREE, WHICH, "B", "II|Only II|I is false, II is true and III is false"),
    (FIGURES, WHICH, "B", "Only 2|Statement 2 only|Only statement 2 is true."),
    (FIGURES, WHICH, "C", "1 and 2|Both statements are correct"),
    (FIGURES, WHICH, "-", "1 or 2|Only 3|1, 2 and 3|12"),
    (POINTS, "Where?", "B", "NE|N.E.|north-east|North-East.|towards the north-east|northeastern"),
    (POINTS, "Where?", "B", "heading north east|in the north east of the city"),
    (CROSS, "Where?", "-", "heading north east|south east of the lake"),
    (POINTS, "Where?", "B", "It points to the northeast, halfway between north and east."),
    (POINTS, "Where?", "B", "It points north-east, i.e. between north and east."),
    (POINTS, "Where?", "A", "N|due north|It points due north.|towards the north|northward"),
    (POINTS, "Where?", "C", "E|eastwards|to the east"),
    (POINTS, "Where?", "D", "SE|south-east|The arrow points south-east."),
    (POINTS, "Where?", "-", "NW|NNE|between north and east|not NE|NE or N|north by northeast|NE?|SW|ne|S"),
    (POINTS, "Where?", "-", "north-east or east"),
    (POINTS, "Where?", "-", "away from the north-east|It points north-east, between south and east"),
    (POINTS, "Where?", "-", "from the north-east to the south|NE, SE"),
    (SHORT_POINTS, "Where?", "B", "northeast|north-east|NE"),
    (SHORT_POINTS, "Where?", "D", "south east|D"),
    (SHORT_POINTS, "Where?", "-", "west|north-west"),
    (HALF_POINTS, "Where?", "-", "NE|N|E"),
    (HOURS, "Where?", "A", "at three o'clock|3:00|three o'clock|It is at 3 o'clock.|the 3 o'clock position"),
    (HOURS, "Where?", "A", "3 o’clock"),
    (HOURS, "Where?", "D", "12:00|at twelve o'clock"),
    (HOURS, "Where?", "-", "3:30|at four o'clock|between 3 and 6 o'clock|not at three o'clock|half past three|13:00"),
    (HOURS, "Where?", "-", "at thirty o'clock"),
    (CLOCKS, "What time?", "-", "three o'clock"),
    (CLOCKS, "What time?", "C", "nine o'clock|9 o'clock|at 9 o'clock"),
    (SHORT, "How long?", "-", "a quarter of the day|a quarter of an inch|a month|a hour hand"),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), SAID)
def test_an_option_said_in_another_way_is_that_option(
    options: tuple[str, ...], question: str, letter: str, answers: str
) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter.strip("-"))
