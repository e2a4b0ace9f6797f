"""Letters of options."""

import pytest

from ral.options import letter_and_text, lettered


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
