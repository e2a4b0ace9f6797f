"""Letters of options."""

import pytest

from ral.options import letter_and_text, lettered, several_letters


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("B. red", ("B", "red")),
        ("b) red", ("B", "red")),
        ("(b) red", ("B", "red")),
        ("[B] red", ("B", "red")),
        ("B、红", ("B", "红")),
        ("【B】red", ("B", "red")),
        ("（Ｂ）red", ("B", "red")),
        ("B:red", ("B", "red")),
        ("B.", ("B", "")),
        ("A red car", None),
        ("(B] red", None),
        ("red", None),
    ],
)
def test_letter_and_text(option, expected):
    assert letter_and_text(option) == expected


def test_lettered_needs_a_letter_of_its_own_for_each():
    assert lettered(("A. x", "C. y")) == {"A": "x", "C": "y"}
    assert lettered(("A. x", "A. y")) is None
    assert lettered(("A. x", "y")) is None


@pytest.mark.parametrize(
    "written",
    [
        *("**C.** red", "**C**. red", "Option C: red", "Choice C. red", "C - red", "C— red", "C| red", "<C> red"),
        *("C> red", "C/ red", "C; red", "C。red", "C\tred", "“C” red", "\\(C\\) red", "\\text{C}. red"),
        *("<b>C.</b> red", "- C. red", "* C) red", "Ⓒ red"),
    ],
)
def test_letters_in_every_dress(written):
    assert letter_and_text(written) == ("C", "red")


@pytest.mark.parametrize("text", ["U.S.", "A.M.", "T-shirt", "C++", "C/C++", "I/O ports", "x-ray", "C# code"])
def test_what_only_looks_like_a_letter(text):
    assert letter_and_text(text) is None


TEXTS = {"A": "red", "B": "dark  blue", "C": "green"}


@pytest.mark.parametrize(
    "text",
    [
        *("(A)(C)", "[B] [C]", "A) C)", "a.\nb.", "A, C", "A、C", "“A” and “B”", "A/C", "Option A, option C", "A + B"),
        *(r"\boxed{A}\boxed{C}", "$A$, $C$", "（Ａ）（Ｃ）", "- A\n- C", "(A) & (C) & (B)"),
    ],
)
def test_lists_of_letters(text):
    assert several_letters(text, TEXTS) and several_letters(text, {})


@pytest.mark.parametrize(
    "text", ["(A) red (C) green", "A. red; B. dark blue", "A - red\nB: Dark Blue", "(C) (green), (A)"]
)
def test_lists_of_letters_with_their_texts(text):
    assert several_letters(text, TEXTS)
    assert not several_letters(text.replace("red", "pink").replace("green", "grey"), TEXTS)


@pytest.mark.parametrize(
    "text",
    ["A", "(A)(A)", "A. A", "A. red", "", "red", "a b", "(A)(D)", "A. red because (C) is", "AC"],
)
def test_one_letter_or_prose_is_no_list(text):
    assert not several_letters(text, TEXTS)
