"""Yes and no in the words of several languages, judged by hand: right answers earn 1, others 0."""

from __future__ import annotations

import pytest

from ral.rewards.accuracy import accuracy
from ral.types import Example

KINDS = {"c": "multiple choice", "n": "numerical", "o": "OCR", "f": "free-form", "r": "regression"}
SHI_FOU = ("是", "否")
YES_NO = ("A. Yes", "B. No")
NO_YES = ("A. No", "B. Yes")
YOU = ("A. 有", "B. 没有")
DUI_CUO = ("A. 对", "B. 错")
JA_NEIN = ("A. Ja", "B. Nein")
CORRECT = ("A. Correct", "B. Incorrect")
RIGHT_WRONG = ("A. Right", "B. Wrong")
TURNS = ("A. Right", "B. Left", "C. No turn")
BOTH = ("A. Yes", "B. No", "C. Yes and no")
PARKED = ("A. No", "B. Yes", "C. No, it is parked")
LETTERED = ("A. 是", "B. 否")
BARE = ("Yes", "No")
UNSURE = ("A. Yes", "B. No", "C. Cannot be determined")
TRUE_FALSE = ("A. True", "B. False")
# (kind, options, gold, answers that are right)
RIGHT: list[tuple[str, tuple[str, ...], str, str]] = [
    (
        "c",
        SHI_FOU,
        "A",
        "是的 | 对 | 是的。 | 对的 | 是 | 有 | Yes, it is. | Yes, there is. | Sí. | Oui | Ja | Да | はい | 네 | 예",
    ),
    ("c", SHI_FOU, "A", "没错 | 正确 | 是的，有一只狗 | 对，门是开着的"),
    (
        "c",
        SHI_FOU,
        "B",
        "不是 | 没有 | 不 | 不对 | 否 | 没 | No, there isn't. | No, it isn't | Nein | Non | Нет | いいえ | 아니요",
    ),
    ("c", SHI_FOU, "B", "아니오 | 不是的 | 没有。 | 不，没有狗 | 不，门是关着的"),
    (
        "c",
        YES_NO,
        "A",
        "是的 | 对 | 是的。 | 对的 | 是 | 有 | Yes, it is. | Yes, there is. | Sí. | Oui | Ja | Да | はい | 네 | 예",
    ),
    ("c", YES_NO, "A", "没错 | 正确 | 是的，有一只狗 | 对，门是开着的 | 是，答案是A | Yes — the man is running."),
    ("c", YES_NO, "A", "Yes, there are two dogs or three. | Yes, he does. | **Yes**, the cat is black."),
    ("c", YES_NO, "A", r"\boxed{\text{Yes}} | YES | Answer: 是的 | Tak | Evet | हाँ"),
    (
        "c",
        YES_NO,
        "B",
        "不是 | 没有 | 不 | 不对 | 否 | 没 | No, there isn't. | No, it isn't | Nein | Non | Нет | いいえ | 아니요",
    ),
    ("c", YES_NO, "B", "아니오 | 不是的 | 没有。 | 不，没有狗"),
    ("c", YES_NO, "B", "不，门是关着的 | 不是的，它是红色的。 | No (B) | No - the light is red."),
    ("c", YES_NO, "B", "No, they are not. | `No` | the answer is no | I think no. | Нет, не видно | Não. | Không"),
    ("c", YES_NO, "B", "لا | नहीं"),
    ("c", NO_YES, "B", "Yes. | 对"),
    ("c", NO_YES, "A", "不是"),
    ("c", YOU, "A", "有 | 有的 | Yes, there is. | 是的"),
    ("c", YOU, "B", "没有。 | No | 不是"),
    ("c", DUI_CUO, "A", "是的 | 没错"),
    ("c", DUI_CUO, "B", "不对 | 不"),
    ("c", JA_NEIN, "A", "Yes"),
    ("c", JA_NEIN, "B", "不是"),
    ("c", CORRECT, "A", "Yes"),
    ("c", CORRECT, "B", "No, it is wrong."),
    ("c", RIGHT_WRONG, "A", "Yes"),
    ("c", RIGHT_WRONG, "B", "No"),
    ("c", TURNS, "A", "Right"),
    ("c", BOTH, "C", "Yes and no"),
    ("c", PARKED, "C", "No, it is parked"),
    ("c", PARKED, "B", "Yes"),
    ("f", (), "yes", "Yes | 對 | Yes, it is. | 是的"),
    ("f", (), "是", "是的，它是红色的 | 是的"),
    ("f", (), "不是", "不是的"),
    ("f", (), "no", "不是 | 没有 | No, there isn't."),
    ("f", (), "はい", "はい、そうです"),
    ("f", (), "oui", "Oui, c'est vrai."),
    ("c", LETTERED, "A", "是的，图中有一只狗。 | 对。 | Yes | 答案是：是"),
    ("c", LETTERED, "B", "不是。 | 没有。 | 不对 | No, it is not. | 答案：否"),
    ("c", BARE, "A", "是的 | 对 | Yes there is a dog. | はい、そうです。 | 네, 맞습니다. | Oui, il y a un chien."),
    ("c", BARE, "A", "Sí, hay un perro. | Yeah, it is | Definitely yes. | The answer is yes."),
    ("c", BARE, "B", "不是 | 没有 | No there isn't. | No, there isn't | いいえ、違います。 | 아니요, 없습니다."),
    ("c", BARE, "B", "Nein, das stimmt nicht. | No, no hay ningún perro. | Nope. | The answer is: No"),
    ("c", UNSURE, "C", "It cannot be determined."),
    ("c", UNSURE, "B", "No."),
    ("c", TRUE_FALSE, "A", "The statement is true. | Yes | 正确 | 没错"),
    ("c", TRUE_FALSE, "B", "The statement is not true"),
    ("c", TRUE_FALSE, "B", "False, because the ball is red. | 不正确 | 错误"),
    ("f", (), "否", "不是 | 没有"),
    ("f", (), "No", "Nein"),
    ("f", (), "true", "Yes | 是的 | Yeah, it is there. | There is one, so yes | True | Yes. The statement is true."),
    (
        "f",
        (),
        "False",
        "No | Nope | No, none. | I'd say no | 不是 | Nein | No, that's false. | It is not true.",
    ),
    ("f", (), "Yes", "True | true."),
    ("f", (), "no", "False | The statement is false."),
    ("f", (), "Paris", "Paris."),
]
# the same, of answers that are wrong
WRONG: list[tuple[str, tuple[str, ...], str, str]] = [
    ("c", PARKED, "A", "No, it's parked there | No, parked"),
    (
        "c",
        SHI_FOU,
        "B",
        "是的 | 对 | 是的。 | 对的 | 是 | 有 | Yes, it is. | Yes, there is. | Sí. | Oui | Ja | Да | はい | 네 | 예",
    ),
    ("c", SHI_FOU, "B", "没错 | 正确 | 是的，有一只狗 | 对，门是开着的"),
    (
        "c",
        SHI_FOU,
        "A",
        "不是 | 没有 | 不 | 不对 | 否 | 没 | No, there isn't. | No, it isn't | Nein | Non | Нет | いいえ | 아니요",
    ),
    ("c", SHI_FOU, "A", "아니오 | 不是的 | 没有。 | 不，没有狗 | 不，门是关着的"),
    (
        "c",
        YES_NO,
        "B",
        "是的 | 对 | 是的。 | 对的 | 是 | 有 | Yes, it is. | Yes, there is. | Sí. | Oui | Ja | Да | はい | 네 | 예",
    ),
    ("c", YES_NO, "B", "没错 | 正确 | 是的，有一只狗 | 对，门是开着的 | 是不是 | 有没有"),
    ("c", YES_NO, "B", "没有办法确定 | 不清楚 | 不好说 | 是，不 | 不是吗？ | No. A"),
    (
        "c",
        YES_NO,
        "B",
        "No-one is there | Non-stick pan | None of them | Not sure | No dogs | No, they are. | 答案是不是",
    ),
    ("c", YES_NO, "B", "No lo sé | Je ne sais pas"),
    (
        "c",
        YES_NO,
        "A",
        "不是 | 没有 | 不 | 不对 | 否 | 没 | No, there isn't. | No, it isn't | Nein | Non | Нет | いいえ | 아니요",
    ),
    ("c", YES_NO, "A", "아니오 | 不是的 | 没有。 | 不，没有狗 | 不，门是关着的 | 对不对"),
    ("c", YES_NO, "A", "是不是 | 是，但也不是 | 不，是的 | 对吗 | 不是吗？ | 是的，没有狗 | 是，答案是B"),
    ("c", YES_NO, "A", "No (A) | Yes? | Yes/No | Yes, No | Yes, maybe. | Yes, he doesn't. | I don't think yes"),
    ("c", YES_NO, "A", "Ja, aber nein | Oui et non | No lo sé"),
    ("c", NO_YES, "B", "不对"),
    ("c", YOU, "A", "没有 | 没有错"),
    ("c", DUI_CUO, "A", "不对 | 对错难说"),
    ("c", DUI_CUO, "B", "没错"),
    ("c", JA_NEIN, "A", "Nein, das ist falsch"),
    ("c", CORRECT, "A", "not correct"),
    ("c", TURNS, "A", "Yes"),
    ("c", TURNS, "C", "No"),
    ("c", BOTH, "A", "Yes and no"),
    ("c", PARKED, "A", "No, it is parked"),
    ("f", (), "yes", "No | Yes, but no | 是吗 | No, it is not. | Yes and no"),
    ("f", (), "是", "否 | 不是"),
    ("f", (), "no", "没错 | nobody | Not yet"),
    ("f", (), "はい", "いいえ"),
    ("f", (), "non", "Oui"),
    ("f", (), "right", "yes"),
    ("f", (), "true", "No | No, that is not true | Yes or no | True or false?"),
    ("f", (), "FALSE", "Yes | 是 | Yes, but no | True | True or false?"),
    ("f", (), "yes", "False"),
    ("f", (), "没有", "是"),
    ("c", LETTERED, "A", "不是 | 没有 | 不对 | 是吗？ | 是或否 | 不确定 | 对不起，我看不清 | 答案：否"),
    ("c", LETTERED, "B", "是否 | 不知道 | 不一定"),
    ("c", BARE, "A", "No, it is | Yes, it isn't. | No, no hay ningún perro. | Not yes | Yes or no | Yes and no"),
    ("c", BARE, "A", "Yesterday"),
    ("c", BARE, "B", "No, it is | None | No idea. | No one knows | no way to tell"),
    ("c", UNSURE, "A", "Yes, but it cannot be determined"),
    ("c", UNSURE, "B", "没有足够的信息"),
    ("c", TRUE_FALSE, "B", "没错"),
    ("c", TRUE_FALSE, "A", "不正确"),
]


def scores(kind: str, options: tuple[str, ...], gold: str, answers: str, rules: str = "fixed") -> dict[str, float]:
    example = Example("e", "q", gold, KINDS[kind], options=options)
    said = answers.split(" | ")
    return {a: accuracy(example, f"<think>x</think><answer>{a}</answer>", rules=rules) for a in said}  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "options", "gold", "answers"), RIGHT)
def test_right_answers_earn_1(kind: str, options: tuple[str, ...], gold: str, answers: str) -> None:
    assert {a for a, score in scores(kind, options, gold, answers).items() if score != 1.0} == set()


@pytest.mark.parametrize(("kind", "options", "gold", "answers"), WRONG)
def test_wrong_answers_earn_0(kind: str, options: tuple[str, ...], gold: str, answers: str) -> None:
    assert {a for a, score in scores(kind, options, gold, answers).items() if score != 0.0} == set()


@pytest.mark.parametrize("answer", ["是的", "Yes, it is.", "对"])
def test_video_r1s_rule_stays(answer: str) -> None:
    assert scores("c", YES_NO, "A", answer, rules="compat") == {answer: 0.0}
    assert scores("f", (), "no", "不是", rules="compat") == {"不是": 0.0}


def test_a_gold_answer_of_more_than_yes_or_no_is_compared_as_text() -> None:
    right, no_verdict = scores("f", (), "no smoking", "No, there isn't | no smoking").values()
    assert right < 1 and no_verdict == 1
    assert 0 < scores("f", (), "yes", "yes indeed it shines")["yes indeed it shines"] < 1  # no mark: text against text
