"""Options that are spans of a clip, judged by hand before the rules ran."""

from __future__ import annotations

import pytest
from judged import check_letter

CLOCK = ("A. 0:20 - 0:30", "B. 0:30 - 0:45", "C. 0:45 - 1:00", "D. 1:20 - 1:30")
SECONDS = ("A. 2.5s - 4s", "B. 4s - 7.5s", "C. 25s - 40s")
WHEN = "When does the woman pour the tea?"

# options ; letter, "" for none ; answers
TABLE = (
    (CLOCK, "A", "From 20 to 30 seconds.|20s - 30s|between 20 and 30 seconds"
     "|The woman pours the tea from 20.0s to 30.0s."
     "|from 00:00:20 to 00:00:30|20.0 - 30.0 seconds|It happens from 20 s until 30 s.|0:20-0:30|00:20 to 00:30"),
    (CLOCK, "C", "45s to 60s|from 45 seconds to 1 minute|45 to 60 seconds"),
    (CLOCK, "D", "80s to 90s|from 80 to 90 seconds|1 minute 20 seconds to 1 minute 30 seconds|1 min 20 s - 1 min 30 s"),
    (CLOCK, "", "from 20 to 35 seconds|from 20 to 30 frames|20 to 30 minutes|not from 20 to 30 seconds|30 to 20 seconds"
     "|From 20 to 30 seconds or 30 to 45 seconds|20-30|from 20 s to 30 s before the end|maybe 20 to 30 seconds"
     "|after 20 seconds|frames 20 to 30|20 to 30 seconds after the bell|Is it from 20 to 30 seconds?"),
    (CLOCK, "", "20-30 s later|20 to 30 seconds from the end|around 0:20-0:30 into the second clip"
     "|from 0:20 to 0:30 she waits, then she pours"),
    (CLOCK, "A", "from 20 to 30 seconds into the video"),
    (SECONDS, "A", "from 2.5 to 4 seconds|0:02.5 - 0:04|2.5 s to 4.0 s"),
    (SECONDS, "C", "from 25 to 40 seconds|0:25 - 0:40"),
    (SECONDS, "", "from 2.5 to 40 seconds|from 25 to 4 seconds|2.5 to 4 minutes"),
)  # fmt: skip
ROWS = [(*row[:2], answer) for row in TABLE for answer in row[2].split("|")]


@pytest.mark.parametrize(("options", "letter", "answer"), ROWS)
def test_a_span_names_the_option_of_its_times(options: tuple[str, ...], letter: str, answer: str) -> None:
    check_letter(answer, options, WHEN, letter)
