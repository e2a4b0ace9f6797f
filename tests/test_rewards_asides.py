"""Letters and numbers that are set aside for another, forms that are no number, and none for 0: judged by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from test_rewards_phrases import pairs, phrases, score

from ral.data.bad import BadSample
from ral.data.sources import jsonl
from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.choices import chosen_letter
from ral.types import Example, UserError

COLORS = ("A. red", "B. blue", "C. green", "D. black")
SAME = r"""
5 ⇐ (5) ⏐ 5 ⇐ [5] ⏐ 5 ⇐ {5} ⏐ 1000 ⇐ (1,000) ⏐ 2500000 ⇐ [2,500,000] ⏐ 3.4 ⇐ 3,4 ⏐ 3.4 ⇐ $3,4$
3.4 ⇐ \boxed{3,4} ⏐ 3.4 ⇐ \text{3,4}
7 ⇐ It's 7! ⏐ 5 ⇐ 5! ⏐ 5 ⇐ It is 5!! ⏐ 3 ⇐ x = 3 ⏐ 3 ⇐ n=3 ⏐ 10 ⇐ 10x zoom ⏐ 3 ⇐ 3x as many ⏐ 5 N ⇐ 5 N
5 ⇐ y = 5.
1.5 h ⇐ 1 h 30 ⏐ 1.5 h ⇐ 1h30 ⏐ 1.5 h ⇐ 1 hour 30 ⏐ 125 min ⇐ 2 hours and 5 ⏐ 90 min ⇐ 1小时30
1.5 h ⇐ It takes 1 h 30.
90° ⇐ π/2 rad ⏐ 180° ⇐ π radians ⏐ 60° ⇐ \frac{\pi}{3} rad ⏐ π/2 ⇐ π/2 rad ⏐ π/2 rad ⇐ 90°
π/2 rad ⇐ π/2 ⏐ 6.28 cm ⇐ 2π cm
62.8 mm ⇐ 2π cm ⏐ 7 ⇐ 7=3+4 ⏐ 7 ⇐ 7 = 3 + 4 ⏐ 7 ⇐ 3+4=7 ⏐ 12 ⇐ 12 = 3×4 ⏐ 12 ⇐ 12 = 2*6 ⏐ 5 ⇐ x = 5
0 ⇐ none ⏐ 0 ⇐ None. ⏐ 0 ⇐ no apples ⏐ 0 ⇐ zero apples ⏐ 0 ⇐ There are no red apples in the picture.
0 ⇐ nothing
0 ⇐ none of them ⏐ 0 ⇐ No people ⏐ 0 ⇐ I see no dogs ⏐ 0 ⇐ 没有 ⏐ 0 ⇐ 没有苹果 ⏐ 0 ⇐ 图中没有人
0 ⇐ 一个也没有 ⏐ 0 ⇐ 零个
0 kg ⇐ nothing
5 ⇐ I said 6 but it is 5 ⏐ 5 ⇐ I first thought 6, but it is 5 ⏐ 5 ⇐ At first I counted 6? No, 5
5 ⇐ rather 5 than 6
5 ⇐ 6 is wrong, so 5 ⏐ 5 ⇐ 6 is not right, it is 5 ⏐ 5 ⇐ 我原以为是6，其实是5 ⏐ 5 ⇐ 一开始我以为是6，但应该是5
5 ⇐ Initially I guessed four, but it is five
"""
OTHER = r"""
2.5 ⇐ [2,5] ⏐ 3.4 ⇐ (3,4) ⏐ 3.4 ⇐ {3,4} ⏐ 3.4 ⇐ \{3,4\} ⏐ 3.4 ⇐ （3，4） ⏐ 3.4 ⇐ the point (3,4)
3.4 ⇐ \left(3,4\right) ⏐ 2.5 ⇐ x ∈ [2,5]
2.5 ⇐ (2,5] ⏐ 3.14 ⇐ (3,14) ⏐ -3.4 ⇐ (-3,4) ⏐ 1 ⇐ x²+1 ⏐ 1 ⇐ x^2+1 ⏐ 1 ⇐ x^{2} + 1 ⏐ 2 ⇐ 2x ⏐ 2 ⇐ 2xy
2 ⇐ 2x² ⏐ 3 ⇐ 3n ⏐ 2 ⇐ y = 2x
6 ⇐ 2x = 6 ⏐ 120 ⇐ 5! ⏐ 1.5 h ⇐ 1 h 31 ⏐ 1.3 h ⇐ 1 h 30 ⏐ 90° ⇐ π/2 ⏐ 90° ⇐ π rad ⏐ 90° ⇐ π/2 cm
3 ⇐ 7=3+4 ⏐ 4 ⇐ 7=3+4
7 ⇐ 3+4 ⏐ 7 ⇐ 7 = x + 4 = 8 ⏐ 0 ⇐ none of the above ⏐ 0 ⇐ no idea ⏐ 0 ⇐ no answer ⏐ 0 ⇐ no more than 5
0 ⇐ No, one apple ⏐ 0 ⇐ no fewer than three
0 ⇐ no apples but two pears ⏐ 0 ⇐ 没有答案 ⏐ 0 ⇐ 没有足够信息 ⏐ 1 ⇐ none ⏐ 5 ⇐ no apples ⏐ 0 ⇐ no number
0 ⇐ no one knows ⏐ 0 ⇐ not none
6 ⇐ I said 6 but it is 5 ⏐ 5 ⇐ I said 5 but it is 6 ⏐ 5 ⇐ I said 5 but I was wrong ⏐ 6 ⇐ 6 is wrong, so 5
5 ⇐ rather 6 than 5 ⏐ 5 ⇐ 6 is wrong, so 4 or 5
5 ⇐ 我原以为是5，其实是6 ⏐ 0 ⇐ nothing certain ⏐ 0 ⇐ no clear count ⏐ 5 ⇐ 6 is wrong, 5 is wrong ⏐ 1 ⇐ 一个也没有
6 ⇐ 6 is wrong, so 6
"""
REFUSED = [
    "[2,5]",
    "(3,4)",
    "{3,4}",
    "（3，4）",
    "±3",
    r"\pm 3",
    "5!",
    "$5!$",
    "x^2+1",
    "2x",
    "3xy",
    "none",
    "no apples",
    "y = 2x",
]
NAMES_B = """
My guess: B|My guess is B|B B|B, B|B. B.|(B) (B)|C is not right, so B|(A) is wrong, (B) is right
A is wrong; the answer is B|A is incorrect, so it is B
I first thought A, but it is B|I initially thought it was A, but the answer is B|At first I said A but B
I thought A at first, but now I think B|I said A, but it's B
It must surely be B|It has to be B|It can only be B|rather B than A|Rather (B) than (C).
Option A is wrong, so option B|我一开始以为是A，但应该选B|原以为是A，其实是B
I originally chose C, but it is B|My vote: B|My verdict is B|C is clearly wrong, therefore B
A is not the answer, B is|A isn't right, so B|The conclusion is B|I guessed A, but it is blue
"""
NOT_B = """
My guess: A or B|B A|A B|A is not right, so B or C|(A) is wrong, (B) is wrong|B is not right, so A
(B) is wrong, (A) is right|I first thought B, but it is A
I said B but it is A|I said B but I was wrong|It must surely be A or B|rather A than B|A is right, B is wrong
B is wrong, so B|I thought B|C is wrong, so A or B
我一开始以为是B，但应该选A|原以为是B，其实是A|I first thought A, but it is not B
It must not be B|My guess is neither A nor B
A is wrong, so I cannot tell whether B|B b A
A is wrong, and B is wrong|I thought A or B, but it is C
"""


@pytest.mark.parametrize(("gold", "answer"), pairs(SAME))
def test_the_same_value_counts(gold: str, answer: str) -> None:
    assert score(gold, answer) == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(OTHER))
def test_another_value_or_none_earns_nothing(gold: str, answer: str) -> None:
    assert score(gold, answer) == 0.0


@pytest.mark.parametrize("gold", REFUSED)
def test_a_gold_answer_that_is_no_single_number_is_refused(gold: str) -> None:
    with pytest.raises(UserError, match="holds no single number"):
        check_gold(Example("u", "?", gold, "numerical"))


def test_regression_takes_none_for_0() -> None:
    example = Example("1", "?", "0", "regression")
    assert [accuracy(example, f"<answer>{a}</answer>") for a in ("none", "no cars", "no idea")] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("answer", phrases(NAMES_B))
def test_the_one_letter_that_is_left_counts(answer: str) -> None:
    assert chosen_letter(answer, COLORS) == "B"


@pytest.mark.parametrize("answer", phrases(NOT_B))
def test_a_letter_that_is_not_left_alone_does_not(answer: str) -> None:
    assert chosen_letter(answer, COLORS) != "B"


@pytest.mark.parametrize(
    ("options", "answer", "letter"),
    [
        *[(("$5", "5 €"), "5", None), (("$5", "5 €"), "It is 5", None), (("$5", "5 €"), "$5", "A")],
        *[(("$5", "5 €"), "5 euros", "B"), (("$5", "5 €"), "B. 5 €", "B"), (("$5", "$6"), "5", "A")],
        *[(("5 kg", "5 lb"), "5", None), (("5 kg", "5"), "5", "B")],
        *[(("A. 6", "B. 5"), "I said 6 but it is 5", "B"), (("A. 6", "B. 5"), "6 is wrong, so 5", "B")],
        *[(("A. rather red than blue", "B. blue"), "rather red than blue", "A"), ((), "C is not right, so B", "B")],
        *[(("true", "false"), "True", "A"), (("true", "false"), "B. false", "B")],
    ],
)
def test_options_by_value_and_words(options: tuple[str, ...], answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, options) == letter


def entry(folder: Path, **fields: object) -> Example:
    """The first entry of a file of such entries."""
    Image.new("RGB", (56, 56), "red").save(folder / "a.png")
    whole = {"question": "Which?", "image": "a.png", **fields}
    (folder / "data.json").write_text(json.dumps([whole] * 3), encoding="utf-8")
    return jsonl("train", path=folder / "data.json", validation_size=1)[0]


@pytest.mark.parametrize(("gold", "letter"), [(True, "A"), (False, "B"), ("true", "A"), ("False", "B"), ("B", "B")])
@pytest.mark.parametrize("name", ["options", "choices"])
def test_truth_values_are_options(tmp_path: Path, name: str, gold: object, letter: str) -> None:
    found = entry(tmp_path, **{name: [True, False], "answer": gold})
    assert (found.options, found.answer) == (("A. true", "B. false"), letter)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": ["yes", "maybe"], "answer": True}, "'true' is none of the options"),
        ({"answer": True}, "not text but a truth value"),
        ({"options": [None, "no"], "answer": "no"}, "is not a list of strings: null is no option"),
        ({"options": [1, 1.0], "answer": 1}, "occurs twice, as A and B"),
        ({"options": ["5", "5.00", "6"], "answer": "A"}, "occurs twice, as A and B"),
        ({"options": ["$5", "$5.00"], "answer": "$5"}, "occurs twice, as A and B|may be any of the options A, B"),
    ],
)
def test_options_that_cannot_be_told_apart_are_refused(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises((BadSample, UserError), match=message):
        entry(tmp_path, **fields)


@pytest.mark.parametrize(
    ("options", "gold", "letter"),
    [
        *[(["Red.", "Blue."], "Blue", "B"), (["1/2", "2/4"], "1/2", "A"), (["5 MB", "5 GB"], "5 MB", "A")],
        *[([1, 1.5], 1, "A"), (["1 cm", "1.0 m"], "1 cm", "A"), (["5", "5%"], "5", "A")],
    ],
)
def test_options_that_differ_in_more_than_marks_are_read(
    tmp_path: Path, options: list[object], gold: object, letter: str
) -> None:
    assert entry(tmp_path, options=options, answer=gold).answer == letter
