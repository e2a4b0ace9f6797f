"""Short sentences that name one option, judged by hand: (options), then what is named and the answers that name it."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

COLORS = ("A. red", "B. blue", "C. green", "D. black")
NAMED = """
The color is blue | The color is blue. | It's blue | The ball appears to be blue! | It is a blue ball | blue - B
In the picture, the color is blue, because it shines | The shape on the left is a blue one | The sky looks **blue**.
The ball is blue, so B. | It is not red, so B | Since it is not red, the answer is B. | According to the image, B.
The ball in the image is blue, which corresponds to option B. | This matches option B. | Looks like B | The second, B
I'm sure it's B. | The second option, B | Ans: B | Ans. (B) | B; the ball is blue | {"answer": "B"} | {'option': 'b'}
答案选择B | 应该是B | 综上所述，选择B选项。 | 球是蓝色的，因此答案是B
"""
NOT_NAMED = """
The color is not blue | The color is blue or red | The ball is red, so B | The color is blue and green | It is blue (A)
The color could be blue | The color isn't blue | bluebird | It's a blue-green ball | It was blue but is now yellow
It is darker than blue | Is it blue? | The color is blue, A | It is blue, yellow | It is not B | It rules out B
It is anything but blue | I doubt it is blue | neither A nor B | Not A, so B or C | It cannot be B | unlike B
The color is blue, isn't it? | A blue ball, so C | The man in group B | It is blue, no, it is yellow | maybe blue
The color is red. It is blue. | I cannot tell whether it is blue | Blues are played | {"answer": "B or C"}
The color is similar to blue | Everything except blue | It used to be blue | Both blue and yellow | 不是蓝色，选A或B
"""
YES_NO, DOGS = ("A. Yes", "B. No"), ("a dog", "a hot dog", "cat", "the bird")
NUMBERS, HAN = ("2", "3", "12", "2.5"), ("红色", "蓝色", "狗", "深蓝色")
OTHERS = [
    (YES_NO, "A", "Yes, it is. | Yes, the door is open. | Yes. The man is not there. | No, wait, yes"),
    (YES_NO, "B", "No, it is not. | No, the door is closed. | no, there is no dog"),
    (YES_NO, "", "Yes, but no | No, yes | No, I cannot tell | Yes, maybe"),
    (DOGS, "A", "It's the dog. | The animal is a dog | The dog is sitting there"),
    (DOGS, "B", "It's a hot dog. | They eat a hot dog"),
    (DOGS, "C", "The animal is a cat."),
    (DOGS, "D", "There sits a bird | It is the bird"),
    (
        DOGS,
        "",
        "They eat hot dog and cat | the dog chases the cat | There is no dog | It is a birdhouse | A bird sits there",
    ),
    (NUMBERS, "A", "There are 2 dogs | The number of dogs is 2."),
    (NUMBERS, "C", "There are 12 in total"),
    (NUMBERS, "D", "The length is 2.5"),
    (NUMBERS, "", "2 of 3 | There are 2 of 5 left | -2 degrees | 2-3 | At least 2 or 3 | There are not 2"),
    (HAN, "B", "颜色是蓝色 | 球是蓝色的。"),
    (HAN, "C", "它是狗 | 这是一只狗。"),
    (HAN, "D", "球是深蓝色的"),
    (HAN, "", "颜色不是蓝色 | 它是热狗 | 颜色是红色和蓝色 | 可能是蓝色"),
    (("A. a", "B. the", "C. it"), "", "It is a word | The word is the one"),
    (("A. May", "B. June"), "A", "The month is May."),
    (("A. not visible", "B. visible"), "A", "The man is not visible."),
]
TABLE = [
    *[(COLORS, "B", text) for text in NAMED.replace("\n", " | ").split(" | ") if text],
    *[(COLORS, "", text) for text in NOT_NAMED.replace("\n", " | ").split(" | ") if text],
    *[(options, letter, text) for options, letter, texts in OTHERS for text in texts.split(" | ")],
]


@pytest.mark.parametrize(("options", "letter", "text"), TABLE, ids=str)
def test_by_hand(options: tuple[str, ...], letter: str, text: str) -> None:
    letters = "ABCD"[: len(options)]
    scores = {}
    for gold in letters:
        example = Example("u", "Which?", gold, "multiple choice", options=options)
        scores[gold] = accuracy(example, f"<think>so</think><answer>{text}</answer>")
    assert {gold for gold, score in scores.items() if score} == set(letter)
    assert set(scores.values()) <= {0.0, 1.0}


@pytest.mark.parametrize("text", ["The color is blue", "It's blue.", "It is not red, so B"])
def test_video_r1s_rule_stays(text: str) -> None:
    example = Example("u", "Which?", "B", "multiple choice", options=COLORS)
    assert accuracy(example, f"<answer>{text}</answer>", rules="compat") == 0.0


def test_a_long_text_names_nothing_by_a_word_in_it() -> None:
    example = Example("u", "Which?", "B", "multiple choice", options=COLORS)
    text = "The man walks along the street and then he sees a house that stands beside a lake whose water is blue " * 2
    assert accuracy(example, f"<answer>{text}</answer>") == 0.0


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("Option D is incorrect because the car is red; therefore, option B.", 1),
        ("D is wrong since nothing there is blue, so B.", 1),
        ("A and C are out because they are no cars, which leaves B.", 1),
        ("Option B is incorrect because the car is red; therefore, option D.", 0),
        ("B is wrong because the car is red, so not B.", 0),
    ],
)
def test_what_is_ruled_out_with_a_reason_leaves_the_rest(answer: str, score: int) -> None:
    options = ("A. a bus", "B. a red car", "C. a bike", "D. a blue car")
    example = Example(uid="x", question="q", answer="B", problem_type="multiple choice", options=options)
    assert accuracy(example, f"<think>x</think><answer>{answer}</answer>") == score
