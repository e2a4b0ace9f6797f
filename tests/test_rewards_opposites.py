"""Options with a word and its opposite, such as directions of rotation, judged by hand."""

from __future__ import annotations

import pytest

from tests.judged import check_letter

TURN = "In which direction does the wheel rotate?"
ONE_WORD = ("A. Clockwise", "B. Counterclockwise", "C. Not rotating")
HYPHEN = ("A. clockwise", "B. counter-clockwise")
ANTI = ("A. Rotate clockwise", "B. Rotate anti clockwise")
ALONE = ("A. Clockwise", "B. To the left")
DRINKS = ("A. alcoholic", "B. non-alcoholic")
ACTIVE = ("A. Active", "B. Inactive")
STABLE = ("A. stable", "B. unstable")
COMPLETE = ("A. complete", "B. empty")
COLORS = ("A. red", "B. blue")
SHADES = ("A. blue", "B. dark-blue")
CATS = ("A. gato", "B. perro")
OFTEN = "anti clockwise|anti-clockwise|anticlockwise|counter clockwise|counter-clockwise|counterclockwise|CCW"
SENTENCES = "It rotates anti clockwise.|It rotates in a counter-clockwise direction.|It's rotating anti-clockwise."

# options ; question ; letter, "-" for none ; answers
SAID = (
    (ONE_WORD, TURN, "B", f"{OFTEN}|{SENTENCES}|B. anti-clockwise"),
    (ONE_WORD, TURN, "A", "clockwise|It rotates in a clockwise direction.|The wheel turns clockwise."),
    (ONE_WORD, TURN, "C", "The wheel does not rotate.|It doesn't rotate at all.|It is not rotating.|does not rotate"),
    (ONE_WORD, TURN, "-", "It rotates.|It does not rotate evenly|not anti clockwise|non clockwise"),
    (ONE_WORD, TURN, "-", "It does not rotate clockwise.|clockwise or anti clockwise|It does not move."),
    (HYPHEN, TURN, "B", f"{OFTEN}|{SENTENCES}|The wheel turns counterclockwise."),
    (HYPHEN, TURN, "A", "clockwise|The wheel turns clockwise."),
    (HYPHEN, TURN, "-", "non-clockwise|not counter clockwise|neither clockwise nor anti clockwise"),
    (HYPHEN, TURN, "-", "neither counter-clockwise nor clockwise"),
    (SHADES, "Which?", "-", "neither blue nor dark-blue|It is neither dark-blue nor blue."),
    (ANTI, TURN, "B", "rotate counterclockwise|Rotate anti-clockwise|It rotates counter-clockwise."),
    (ANTI, TURN, "-", "It does not rotate anti-clockwise."),
    (ALONE, TURN, "-", f"{OFTEN}|{SENTENCES}"),
    (DRINKS, "Which drink is it?", "B", "non alcoholic|nonalcoholic|It is non alcoholic.|The drink is non-alcoholic."),
    (DRINKS, "Which drink is it?", "-", "anti alcoholic|not non alcoholic|pseudo alcoholic"),
    (ACTIVE, "Is it?", "B", "in-active|It is in-active.|inactive"),
    (ACTIVE, "Is it?", "-", "in active|It is in active.|It is non active."),
    (STABLE, "Is it?", "-", "un stable|It is un stable."),
    (STABLE, "Is it?", "B", "un-stable|It is unstable."),
    (COMPLETE, "How is it?", "-", "in complete|It is in complete.|It is in-complete.|non complete"),
    (COMPLETE, "How is it?", "A", "It is complete.|The set is complete."),
    (COLORS, "Which?", "A", "The man in red|the one in red."),
    (COLORS, "Which?", "-", "non red|It is anti red."),
    (CATS, "¿Qué es?", "A", "un gato|Es un gato."),
)  # fmt: skip


@pytest.mark.parametrize(("options", "question", "letter", "answers"), SAID)
def test_an_opposing_prefix_belongs_to_its_word(
    options: tuple[str, ...], question: str, letter: str, answers: str
) -> None:
    for answer in answers.split("|"):
        check_letter(answer, options, question, letter.strip("-"))
