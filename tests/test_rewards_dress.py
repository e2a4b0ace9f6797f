"""Answers to multiple-choice questions in every dress, judged by hand before the rules were run on them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards_clock import grows_linearly

from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.choices import chosen_letter
from ral.types import Example

COLORS = ("A. red", "B. blue", "C. green", "D. black")
TEN = tuple(f"{letter}. part {n}" for n, letter in enumerate("ABCDEFGHIJ"))

MARKS = r"""
B ⏐ b ⏐ Ｂ ⏐ B. ⏐ (B) ⏐ （B） ⏐ [B] ⏐ {B} ⏐ <B> ⏐ 【B】 ⏐ 「B」 ⏐ 『B』 ⏐ 《B》 ⏐ 〈B〉 ⏐ 〔B〕 ⏐ 'B' ⏐ ‘B’
"B" ⏐ “B” ⏐ «B» ⏐ ‹B› ⏐ „B“ ⏐ `B` ⏐ **B** ⏐ __B__ ⏐ ***B*** ⏐ ~~B~~ ⏐ \boxed{B} ⏐ \fbox{B}
\boxed{\mathrm{\mathbf{B}}} ⏐ $B$ ⏐ \(B\) ⏐ \text{(B)} ⏐ \boxed B ⏐ Ⓑ ⏐ 𝐁 ⏐ 🅱️ ⏐ 🅑 ⏐ B! ⏐ B? ⏐ B; ⏐ B, ⏐ : B
- B ⏐ * B ⏐ # B ⏐ > B ⏐ ((B)) ⏐ [[B]] ⏐ **(B)** ⏐ <b>B</b> ⏐ B</s> ⏐ <p><b>B</b></p> ⏐ b) ⏐ b.
""".replace("\n", "⏐").split("⏐")
WITH_TEXT = r"""
B (blue) ⏐ B（blue） ⏐ B (blue). ⏐ (B) blue. ⏐ (B) (blue) ⏐ B — blue ⏐ B: blue ⏐ B = blue ⏐ B → blue
B -> blue ⏐ B | blue ⏐ B.blue ⏐ blue (B) ⏐ blue, option B ⏐ Blue [B] ⏐ the blue ⏐ B, blue ⏐ 'B. blue'
“B. blue” ⏐ (B. blue) ⏐ [B. blue] ⏐ {B: blue} ⏐ \boxed{B. blue} ⏐ B (the blue one) ⏐ B (not A) ⏐ B. Not A.
B, not A ⏐ B. It is blue, not red. ⏐ B. blue; A is red ⏐ B) It is clearly blue. ⏐ B、blue ⏐ B。blue
""".replace("\n", "⏐").split("⏐")
CLAIMED = r"""
Selected: B ⏐ B, definitely ⏐ B rather than A ⏐ ✅ B ⏐ 👉 B ⏐ Definitely B
Option B ⏐ option (B) ⏐ Option "B" ⏐ Choice B ⏐ Letter B ⏐ I choose B ⏐ I'd go with B ⏐ I’d go with (B)
I would go with option B ⏐ I pick B ⏐ I select B: blue ⏐ We choose B ⏐ Let's go with B ⏐ My answer is B
My final answer: B ⏐ Final Answer: **B** ⏐ **Answer:** B ⏐ Answer is (B) ⏐ The answer is B, because it is blue.
The best choice is B ⏐ The right option is 'B' ⏐ The answer is: B ⏐ ANSWER IS B ⏐ Answer = B
The answer would be B ⏐ It must be B ⏐ Must be B ⏐ I think it's B ⏐ I think it is blue
I believe the answer is B ⏐ Probably B ⏐ Most likely B ⏐ B it is ⏐ B is the answer
B is right because it is blue ⏐ B seems correct ⏐ It is B, not A ⏐ So, B ⏐ Therefore, the answer is B
Hence (B). ⏐ The sky is blue. The answer is B. ⏐ Since it is blue, the correct option is B. ⏐ B, I think
The final answer is $\boxed{B}$.
""".replace("\n", "⏐").split("⏐")
LANGUAGES = r"""
选B ⏐ 選B ⏐ 选择B。 ⏐ 我选B ⏐ 我选择B项 ⏐ 答案：B ⏐ 答案是（B） ⏐ 答案为B ⏐ 正确选项是B。 ⏐ 故选：B ⏐ 应选B
本题选B ⏐ 所以选B ⏐ 我认为答案是B ⏐ B项正确 ⏐ B选项 ⏐ 选项B ⏐ B，因为它是蓝色的 ⏐ 答：B ⏐ 答えはBです ⏐ 答え：B
正解はBです ⏐ Bです ⏐ Bを選びます ⏐ 정답은 B입니다 ⏐ 정답: B ⏐ B번 ⏐ Die Antwort ist B
Die richtige Antwort ist B. ⏐ Ich wähle B ⏐ B ist richtig ⏐ La bonne réponse est B ⏐ Réponse : B
Je choisis B ⏐ C'est B ⏐ La respuesta correcta es la B. ⏐ Respuesta: B ⏐ Elijo la opción B ⏐ Es la B
A resposta correta é a letra B ⏐ Resposta: B ⏐ Alternativa B ⏐ La risposta corretta è la B ⏐ Scelgo B
Ответ: B ⏐ Правильный ответ — B ⏐ Я выбираю B ⏐ Вариант B
Het antwoord is B ⏐ Ik kies B ⏐ Odpowiedź: B ⏐ Doğru cevap: B ⏐ Đáp án là B ⏐ Chọn B ⏐ Jawabannya adalah B
الإجابة الصحيحة هي B ⏐ सही उत्तर B है ⏐ คำตอบคือ B ⏐ Svar: B
""".replace("\n", "⏐").split("⏐")
NONE = r"""
I can't choose B ⏐ I would not choose B ⏐ I don't think it's B ⏐ Anything but B ⏐ All except B ⏐ B is out ⏐ B? No, A
A or B ⏐ B or C ⏐ either B or C ⏐ not B ⏐ B is wrong ⏐ B is incorrect ⏐ B is not correct ⏐ B. is wrong
B. incorrect ⏐ (B) is wrong ⏐ (B) is not right ⏐ A close look shows nothing certain
A close look shows blue things ⏐ I cannot determine ⏐ I cannot determine which ⏐ I can't tell ⏐ I don't know
I am not sure ⏐ Neither ⏐ N/A ⏐ A, B ⏐ A and B ⏐ A & B ⏐ A/B ⏐ AB ⏐ B C ⏐ A; B ⏐ A. B. C. D. ⏐ A B C D ⏐ B. or C
B. or maybe C ⏐ B (or C) ⏐ B, maybe C ⏐ B or (C) ⏐ B. red ⏐ B: red ⏐ B (red) ⏐ (B) red ⏐ B - red ⏐ red (B)
red, option B ⏐ A. blue ⏐ A (blue) ⏐ B. it is red ⏐ E ⏐ E. blue ⏐ Big ⏐ Blueberry ⏐ bluish ⏐ B's
I choose A or B ⏐ The answer is A or B ⏐ The answer is not B ⏐ The answer isn't B ⏐ It is not B ⏐ Both A and B
All of them ⏐ 不选B ⏐ 不是B ⏐ B不对 ⏐ B是错的 ⏐ 答案不是B ⏐ 选A或B ⏐ A或B ⏐ 无法确定 ⏐ 我不知道
A. red B. blue C. green D. black ⏐ В ⏐ Β ⏐ 8 ⏐ ? ⏐ A blue car drives by ⏐ A careful look
A: I cannot determine ⏐ (A) I cannot tell from it ⏐ B. cannot be determined ⏐ I doubt the answer is B
I am not sure whether the answer is B ⏐ B is correct, C is correct ⏐ B. The answer is C ⏐ B. Actually C ⏐ B, C
B and maybe C ⏐ An apple ⏐ Is it B or C? ⏐ The options are A, B, C and D ⏐ Option ⏐ Answer: ⏐ It could be B or C
not (B) ⏐ nicht B ⏐ It is a dog ⏐ Ich weiß nicht ⏐ (A) is red and (B) is blue
""".replace("\n", "⏐").split("⏐")
RIGHT = [a.strip() for a in (*MARKS, *WITH_TEXT, *CLAIMED, *LANGUAGES) if a.strip()]
WRONG = [a.strip() for a in NONE if a.strip()]

# (options, answer, letter)
OPTIONS = [
    (("C) blue", "A) red", "D) green"), "D", "D"),
    (("C) blue", "A) red", "D) green"), "C) blue", "C"),
    (("C) blue", "A) red", "D) green"), "B", None),
    (("[A] cat", "[C] dog", "[D] cow"), "dog", "C"),
    (("A、猫", "C、狗"), "C、狗", "C"),
    (("Ａ．猫", "Ｃ．狗"), "Ｃ", "C"),
    (("(a) x", "(b) y"), "b", "B"),
    (("A. cat", "B. dog"), "a dog", "B"),
    (("A. cat", "B. dog"), "It is a dog", "B"),
    (("A. cat", "B. dog"), "A cat", "A"),
    (("cat", "dog"), "The dog", "B"),
    (("A. the cat", "B. the dog"), "cat (option B)", None),
    (("A. the cat", "B. the dog"), "The dog (option B)", "B"),
    (("A. the cat", "B. the dog"), "dog", "B"),
    (("A. cat", "B. dog"), "It barks. Therefore, option B is correct.", "B"),
    (("A. [1, 2]", "B. (1, 2)"), "B. (1, 2)", "B"),
    (("A. [1, 2]", "B. (1, 2)"), "B. [1, 2]", None),
    (("A. [1, 2]", "B. (1, 2)"), "(1, 2)", "B"),
    (("A. yes", "B. no", "C. cannot be determined"), "C. cannot be determined", "C"),
    (("A. not blue", "B. blue"), "not blue", "A"),
    (("A. 3", "B. 4"), "B (4)", "B"),
    (("A. 3", "B. 4"), "B (3)", None),
    (("A. 3", "B. 4"), "3 or 4", None),
    (("A. left", "B. right"), "A is right", "A"),
    (("A. left", "B. right"), "right", "B"),
    (("A. it's red", "B. it is blue"), "it’s red", "A"),
    (("A. the dogs' bowl", "B. x"), "the dogs’ bowl", "A"),
    (("A", "B", "C", "D"), "B", "B"),
    (TEN, "I", "I"),
    (TEN, "(I)", "I"),
    (TEN, "I cannot determine", None),
    (TEN, "I think J", "J"),
    ((), "A cat", None),
    ((), "I choose B", "B"),
]


def right(answer: str, options: tuple[str, ...] = COLORS, gold: str = "B") -> float:
    example = Example("1", "?", gold, "multiple choice", options=options, source="t.json entry 1")
    return accuracy(example, f"<think>hm</think><answer>{answer}</answer>")


def test_both_directions_are_many() -> None:
    assert len(RIGHT) >= 190
    assert len(WRONG) >= 90


@pytest.mark.parametrize("answer", RIGHT)
def test_the_letter_is_found(answer: str) -> None:
    assert right(answer) == 1.0


@pytest.mark.parametrize("answer", WRONG)
def test_no_letter_or_a_contradicted_one_earns_nothing(answer: str) -> None:
    assert right(answer) == 0.0


@pytest.mark.parametrize(("options", "answer", "letter"), OPTIONS)
def test_options_with_letters_of_their_own(options: tuple[str, ...], answer: str, letter: str | None) -> None:
    assert chosen_letter(answer, options) == letter


@pytest.mark.parametrize(
    "gold", ["B", "b", "Ｂ", "（Ｂ）", "B.", "【B】", "「B」", "'B'", "B (blue)", "答案：B", "B、blue", "Blue"]
)
def test_gold_answers_in_any_dress(gold: str) -> None:
    check_gold(Example("1", "?", gold, "multiple choice", options=COLORS))
    assert right("B", gold=gold) == 1.0
    assert right(gold, gold=gold) == 1.0
    assert right("A", gold=gold) == 0.0


WRAPPED = st.sampled_from([("", ""), ("(", ")"), ("【", "】"), ("'", "'"), ("**", "**"), ("\\text{", "}"), ("“", "”")])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(RIGHT),
    st.sampled_from(["", " ", "\n", "\u3000", "\u200b"]),
    st.sampled_from(["", " ", "\t\n", "\ufeff"]),
)
def test_white_space_and_invisible_characters_change_nothing(answer: str, before: str, after: str) -> None:
    assert right(before + answer + after) == 1.0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from("ABCDabcd"), WRAPPED, st.sampled_from(["", ".", "!", "。"]))
def test_case_width_and_wrapping_change_nothing(letter: str, wrap: tuple[str, str], end: str) -> None:
    wide = chr(ord(letter) + 0xFEE0)
    for form in (letter, wide):
        assert chosen_letter(f"{wrap[0]}{form}{wrap[1]}{end}", COLORS) == letter.upper()


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(RIGHT + WRONG), max_size=3).map(" ".join)))
def test_any_text_names_an_option_or_none(answer: str) -> None:
    assert chosen_letter(answer, COLORS) in (None, *"ABCD")


@pytest.mark.parametrize(
    "piece", ["B. ", "I think ", "the answer is ", "B or ", "((B))", "\\text{", "选", "B because ", "`'"]
)
def test_long_answers_are_read_quickly(piece: str) -> None:
    assert grows_linearly(lambda text: chosen_letter(text, COLORS), piece, 30_000)
