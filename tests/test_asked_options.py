"""Options that stand as lines in the question, as LLaVA's files have them: read whole, or left as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.rewards.accuracy import accuracy
from ral.types import Example

LAST = "Answer with the option's letter from the given choices directly."
LINES = "A. red\nB. blue\nC. green"


def read(question: str, answer: str, **fields: Any) -> Example:
    said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return parse_own(Entry(Path("data.json"), 1, {"images": [], "conversations": said, **fields}, Path()))


@pytest.mark.parametrize("answer", ["B", "B.", "(B)", "B. blue", " B) blue"])
@pytest.mark.parametrize(
    ("lines", "stem"),
    [
        (f"Color?\n{LINES}\n{LAST}", f"Color?\n{LAST}"),
        (f"Color?\n{LINES}", "Color?"),
        (f"Hint: look.\nColor?\nOptions:\n(A) red\n(B) blue\n(C) green\n{LAST}", f"Hint: look.\nColor?\n{LAST}"),
        ("Color?\nChoices:\n\nA) red\n\nB) blue\n\nC) green\n", "Color?"),
    ],
)
def test_lines_with_letters_are_options(lines: str, stem: str, answer: str) -> None:
    example = read(lines, answer)
    assert (example.question, example.problem_type, example.answer) == (stem, "multiple choice", "B")
    assert example.options == ("A. red", "B. blue", "C. green")
    assert accuracy(example, "<answer>blue</answer>") == 1 and accuracy(example, "<answer>red</answer>") == 0


@pytest.mark.parametrize(
    "lines",
    [
        *["- A. red\n- B. blue", "* A) red\n* B) blue", "**A.** red\n**B.** blue", "**A. red**\n**B. blue**"],
        *["A．red\nB．blue", "Ａ．red\nＢ．blue", "(a) red\n(b) blue", "a. red\nb. blue", "A - red\nB - blue"],
        *["Options: A. red\nB. blue", "(A): red\n(B): blue", "<A> red\n<B> blue", "Ⓐ red\nⒷ blue"],
        *["\\item A. red\n\\item B. blue", "A\tred\nB\tblue", "Option A: red\nOption B: blue", "**A** red\n**B** blue"],
        *["A、red\nB、blue", "**Options:**\n- (A) red\n- (B) blue", "`A` red\n`B` blue", "[A]: red\n\n[B]: blue"],
        *["A — red\nB — blue", "> A. red\n> B. blue", "（A）red\n（B）blue"],
    ],
)
def test_letters_in_any_dress_are_options(lines: str) -> None:
    for gold in ("B", "(b)", "B.", "b"):
        example = read(f"Color?\n{lines}", gold)
        assert (example.question, example.problem_type, example.answer) == ("Color?", "multiple choice", "B")
        assert example.options[:2] == ("A. red", "B. blue")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Color?\nOptions: (A) red (B) blue", "B"),
        ("Color? A. red B. blue C. green", "(c)"),
        ("Which fits?\nOptions: A: A red car, B: A blue car, C: A cat", "B"),
        ("Color?\n(A) red (B) blue\n(C) green", "A"),
        ("Color?\nA. red\nB. blue C. green", "A"),
        ("Color?\nA. red B. blue\nB. green", "A. red"),
        ("Color?\nA. red\nB. blue and\nso on\nC. green", "A"),
        ("Color? (a) red, (b) blue", "b"),
        ("Color?\nA red\nB blue", "A"),
        ("Color? A. red\nB. blue", "B"),
        ("| A | red |\n| B | blue |", "B"),
        (f"Color?\n{LINES}", "D"),
        (LINES, "B"),
    ],
)
def test_lists_that_are_not_read_are_bad_entries(question: str, answer: str) -> None:
    said = r'is a letter, and the question lists A, .*; write "options": \[.*\], and the question without them, or "pro'
    with pytest.raises(BadSample, match=said):
        read(question, answer)
    assert read(question, answer, problem_type="free-form").options == ()
    stem = "Color?"
    assert (
        read(stem, answer[:2].strip("(."), options=["red", "blue", "green", "pink"]).problem_type == "multiple choice"
    )


def test_numbered_lines_with_a_number_as_gold_are_ambiguous() -> None:
    question = "Which is right?\n1. red\n2. blue\n3. green"
    with pytest.raises(BadSample, match=r"'2' may be a number, or one of the lines .*\"numerical\" for a number"):
        read(question, "2")
    assert read(question, "2", problem_type="numerical").answer == "2"
    assert read(question, "2", ability="math").problem_type == "numerical"
    assert read(question.replace("Which is", "How many are"), "2").answer == "2"
    assert read(question, "7").answer == "7" and read(question, "blue").answer == "blue"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Color?\nB. red\nC. green", "B"),
        ("Color?\nA. red", "A"),
        (f"Color?\n{LINES}", "blue"),
        (f"Color?\n{LINES}", "A red car"),
        ("Who is it?\nA. Smith said so", "B"),
        ("Which point is closer, A or B?", "A"),
        ("Which is taller, (A) or (B)?", "B"),
        ("Person A: hello. Person B: good day. Who spoke first?", "A"),
        ("In triangle ABC with A: 30 degrees and B: 60 degrees, which angle is larger?", "B"),
        ("Which letter is in the sign?", "b"),
        ("A man and a dog. Is it a boy?", "a"),
    ],
)
def test_what_is_no_whole_list_is_left_as_it_is(question: str, answer: str) -> None:
    example = read(question, answer)
    assert (example.question, example.answer, example.options) == (question, answer, ())


def test_marks_behind_the_options_keep_their_places(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"not opened")
    media = {"images": ["a.png", "b.png"]}

    def asked(text: str) -> Example:
        return parse_own(Entry(tmp_path / "d", 1, {"question": text, "answer": "A", **media}, tmp_path))

    with pytest.raises(BadSample, match="lists A, B"):
        asked("<image>Which?\nA. red\nB. blue\n<image>")
    assert [m.path.name for m in asked("Which?\nA. <image>\nB. <image>").media] == ["a.png", "b.png"]
    assert asked("Which?\nA. <image>\nB. <image>").options == ("A. <image>", "B. <image>")


def test_a_type_or_options_of_its_own_count_more() -> None:
    assert read(f"Color?\n{LINES}", "B", problem_type="free-form").options == ()
    assert read(f"Color?\n{LINES}", "B", options=["x", "y"]).options == ("A. x", "B. y")
    with pytest.raises(BadSample, match="contradicts itself"):
        read(f"Color?\n{LINES}", "B. red")
