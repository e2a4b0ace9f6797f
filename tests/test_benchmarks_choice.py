"""Letters in prose: what benchmarks read, and what names no option."""

from __future__ import annotations

import pytest

from ral.evaluation.benchmarks import (
    blink,
    choice,
    cv_bench,
    lvbench,
    mmmu_pro,
    muirbench,
    mvbench,
    tempcompass,
    videommmu,
)
from ral.evaluation.benchmarks.items import Item
from ral.rewards.choices import chosen_letter
from ral.types import Example

OPTIONS = ("A. rubber", "B. cotton", "C. kevlar", "D. leather")
TEN = tuple(f"{letter}. part {n}" for n, letter in enumerate("ABCDEFGHIJ"))

NONE = [
    *("A close look shows nothing certain", "A close look at the glove.", "A careful look does not help."),
    *("I cannot determine the answer.", "I cannot determine which one it is", "I can't tell from the picture", "A cat"),
    *("I cannot tell whether it is (A) or (B).", "Unable to determine if A or B is right.", "I don't know.", "Not B."),
    *(
        "It is unclear whether the answer is A.",
        "I am not sure. It could be A or B.",
        "Neither A nor B.",
        "B is wrong.",
    ),
    *("It is not cotton.", "It isn't (B).", "(B) is incorrect.", "The options are A, B, C and D.", "Either (A) or (B)"),
    *(
        "There is no way to tell; A, B, C and D all look alike.",
        "I would need a closer look.",
        "None of them",
        "无法确定",
    ),
    *("The image is unclear, so I cannot pick A.", "It is impossible to say A or B", "I doubt the answer is B."),
    *("(A) is soft and (B) is hard.", "Based on the image I cannot answer.", "<think>Surely (B), or let me see"),
]
NAMED = [
    ("The answer is B", "B"),
    ("After a close look, I'd say B", "B"),
    ("A close look shows that the answer is B.", "B"),
    ("A close look shows cotton.", "B"),
    ("I cannot be sure, but the answer is B.", "B"),
    ("Not A. Not C. It must be (B).", "B"),
    ("A is wrong, so the answer is B", "B"),
    ("The glove is cotton, so B.", "B"),
    ("It looks like B to me", "B"),
    ("Considering A and C, the best option is B", "B"),
    ("Looking closely, A seems right", "A"),
    ("I would go with A", "A"),
    ("A is the best fit here", "A"),
    ("So it is A.", "A"),
    ("I rule out A; B.", "B"),
    ("The correct option is (B), not (A).", "B"),
    ("The material is not rubber but cotton", "B"),
    ("it's B because the others are not", "B"),
]


GUESSES = """Without more context, A is just a guess.|A is a possibility, but I can't be sure.|A would be a pure guess.
Any answer would be a guess: A?|I would be guessing if I said C.|B is a possibility.|C is one possibility.
Saying B would be guessing.|B would be pure speculation.|Choosing B would be a guess.|B would be a shot in the dark.
B could be a possibility.|It would be a guess to say B.|B would be a random guess.|I would just be guessing: B?
Picking B would be arbitrary.|B is nothing more than a guess.|B is a mere guess.|B is a guess at best.
B is at best a guess.|It is only a guess that it is B.|B is one of the possibilities.
If I said B, I would be guessing.
The answer B would be guesswork."""
DECIDED = """My best guess is A.|I'd guess A|I guess it's A.|If I had to guess, A.|My guess: A|A is my best guess.
A would be my best guess.|A is the best guess.|Just a guess: A|Just a guess, but A.|This is just a guess: A
A, but that is just a guess.|The answer is A, although it is just a guess.|The only possibility is A.|A, at a guess.
A is the only possibility.|A is the most likely possibility.|B would be a pure guess, so A.|I am guessing A.
B is a possibility, but the answer is A.|A is no guess.
The answer is A; B is just a guess.|A, since the triangle is arbitrary.|A is more than a guess."""


def test_a_guess_that_decides_nothing_names_none() -> None:
    for text in GUESSES.replace("\n", "|").split("|"):
        assert [choice.letter(text, options) for options in (OPTIONS, TEN, ())] == ["", "", ""], text
        assert not chosen_letter(text, OPTIONS), text


def test_a_guess_that_decides_is_read() -> None:
    for text in DECIDED.replace("\n", "|").split("|"):
        assert choice.letter(text, OPTIONS) == "A", text


def test_a_question_for_possibilities_is_answered_by_one() -> None:
    assert choice.letter("I see that B is a possibility here.", OPTIONS, "Which of these is a possibility?") == "B"


@pytest.mark.parametrize("options", [OPTIONS, TEN, ()], ids=["four", "ten", "unknown"])
@pytest.mark.parametrize("text", NONE)
def test_nothing_is_chosen(text: str, options: tuple[str, ...]) -> None:
    assert choice.letter(choice.final(text), options) == ""


@pytest.mark.parametrize(("text", "named"), NAMED)
def test_the_letter_is_read(text: str, named: str) -> None:
    assert choice.letter(text, OPTIONS) == named


@pytest.mark.parametrize(
    "text",
    [
        *(
            "(A)(C)",
            "[A][C]",
            "(A) (C)",
            "(A); (C)",
            "A) C)",
            "「A」「C」",
            "The answer is (A)(C)",
            r"\boxed{A} \boxed{C}",
        ),
        *("I choose (A); (C).", "So the answers are (A) (C).", "The correct answer is (A)(C) because both fit."),
    ],
)
@pytest.mark.parametrize("options", [OPTIONS, ()], ids=["four", "unknown"])
def test_several_letters_choose_none(text: str, options: tuple[str, ...]) -> None:
    assert choice.letter(text, options) == "" and not chosen_letter(text, options)


def test_several_letters_with_their_texts_choose_none() -> None:
    first, second = OPTIONS[0], OPTIONS[2]
    for text in (f"{first}\n{second}", f"{first}; {second}", f"The answer is {first}, {second}."):
        assert choice.letter(text, OPTIONS) == "" and not chosen_letter(text, OPTIONS)
    assert choice.letter(f"({first[0]})({first[0]})", OPTIONS) == first[0]


def test_the_ninth_option_is_no_pronoun() -> None:
    assert [choice.letter(text, TEN) for text in ("I", "I.", "The answer is I.", "(I)", "I think")] == [*"IIII", ""]


def test_an_option_that_refuses_may_be_chosen() -> None:
    assert choice.letter("It cannot be determined", ("A. red", "B. cannot be determined")) == "B"


@pytest.mark.parametrize("gold", "AI")
@pytest.mark.parametrize("response", NONE)
def test_no_benchmark_rewards_a_refusal(response: str, gold: str) -> None:
    item = Item(Example("1", "?", gold, "multiple choice", options=TEN), facts={"task": "multi-choice"})
    for judge in (choice.judge, muirbench.judge, tempcompass.judge, videommmu.judge):
        assert judge(item, response).score == 0.0, judge


def test_modules_without_a_judge_of_their_own_use_this_one() -> None:
    assert not [m for m in (blink, cv_bench, lvbench, mmmu_pro, mvbench) if hasattr(m, "judge")]
