"""Rewards: where the answer is found, what format means, how parts are combined, and what is an error."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards_clock import grows_linearly

from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.answers import extract_answer
from ral.rewards.combine import Part, Reward
from ral.rewards.format import response_format
from ral.rewards.length import length_bonus, repetition_penalty
from ral.rewards.start import describe_start, start_warnings, uniform
from ral.types import PROBLEM_TYPES, Example, FinishReason, PromptBatch, Rollout, Scores, UserError, Wording

GOOD = "<think>a</think>\n<answer>B</answer>"


def example(kind: str = "multiple choice", answer: str = "B", options: tuple[str, ...] = ("A. x", "B. y")) -> Example:
    return Example(
        uid="u7", question="?", answer=answer, problem_type=kind, options=options, source="data.json entry 7"
    )


def rollout(examples: list[Example], texts: list[str], finished: bool = True) -> Rollout:
    group, ids = len(texts) // len(examples), torch.zeros(len(examples), 1, dtype=torch.int64)
    pads = 500 * "<|image_pad|>"
    prompts = PromptBatch(
        token_ids=ids,
        valid=ids == 0,
        visual=ids > 0,
        media={},
        examples=tuple(examples),
        wordings=tuple(Wording(f"prompt {i} <|vision_start|>{pads}<|vision_end|>") for i in range(len(examples))),
        grids=((),) * len(examples),
        evidence=ids > 0,
    )
    tokens = torch.zeros(len(texts), 1, dtype=torch.int64)
    reasons: tuple[FinishReason, ...] = ("stop" if finished else "length",) * len(texts)
    return Rollout(prompts, tokens, tokens == 0, tokens == 0, tuple(texts), reasons, group)


# --- where the answer is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>B</answer>", "B"),
        ("x <answer> B\n</answer> y", "B"),
        ("<answer>two\nlines</answer>", "two\nlines"),
        ("<answer>first</answer><answer>second</answer>", "first"),
        ("</answer><answer>B</answer>", "B"),
        ("<answer></answer>", ""),
        ("<answer>B", None),
        ("B</answer>", None),
        ("</answer>B<answer>", None),
        ("<Answer>B</Answer>", None),
        ("", None),
    ],
)
def test_extract_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


def test_extract_answer_is_linear() -> None:
    assert extract_answer("<answer>" * 200_000) is None
    assert grows_linearly(extract_answer, "<answer>", 200_000)


# --- format ------------------------------------------------------------------------------------------------------

FORMS = [
    # (response, in form with thinking, in form without)
    (GOOD, 1, 0),
    ("<think>a</think><answer>B</answer>", 1, 0),
    ("<think>a\n\nb</think> \t\n <answer>B\nC</answer>", 1, 0),
    ("<think></think><answer></answer>", 1, 0),
    ("<answer>B</answer>", 0, 1),
    ("<answer>B\nC</answer>", 0, 1),
    ("", 0, 0),
    ("B", 0, 0),
    ("Sure! " + GOOD, 0, 0),
    (GOOD + " Done.", 0, 0),
    (GOOD + "\n", 0, 0),
    (" <answer>B</answer>", 0, 0),
    ("<think>a</think>, so <answer>B</answer>", 0, 0),
    ("<think>a<answer>B</answer></think>", 0, 0),
    ("<think>a</think><think>b</think><answer>B</answer>", 0, 0),
    ("<think>a<think>b</think><answer>B</answer>", 0, 0),
    ("<think>a</think></think><answer>B</answer>", 0, 0),
    ("<think>a</think><answer>A</answer><answer>B</answer>", 0, 0),
    ("<think>a</think><answer>A<answer>B</answer>", 0, 0),
    ("<think>a</think><answer>A</answer></answer>", 0, 0),
    ("<think>a <answer>A</answer></think><answer>B</answer>", 0, 0),
    ("<think>a</think><answer><think>B</answer>", 0, 0),
    ("<answer>B</answer><think>a</think>", 0, 0),
    ("<think>a</think><answer>B", 0, 0),
    ("<think>a<answer>B</answer>", 0, 0),
    ("<answer>A</answer><answer>B</answer>", 0, 0),
    ("<answer><think>a</think>B</answer>", 0, 0),
    ("<answer>", 0, 0),
    ("<answer></answer", 0, 0),
    ("<answer></answer>", 0, 1),
]


@pytest.mark.parametrize(("response", "thinking", "zero"), FORMS)
def test_format(response: str, thinking: int, zero: int) -> None:
    assert response_format(example(), response, thinking=True) == thinking
    assert response_format(example(), response, thinking=False) == zero


# --- accuracy: errors, and the five types together -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "gold", "says"),
    [
        ("numerical", "a lot", "holds no single number"),
        ("numerical", "3:45 or 4:45", "holds no single number"),
        ("regression", "", "holds no single number"),
        ("multiple choice", "C", "names no option; write one of the letters A, B"),
        ("multiple choice", "maybe", "names no option"),
        ("OCR", " ", "the answer is empty"),
        ("free-form", "", "the answer is empty"),
        ("ocr", "x", 'did you mean "OCR"'),
        ("multiple-choice", "B", 'did you mean "multiple choice"'),
        ("riddle", "x", "is unknown"),
    ],
)
@pytest.mark.parametrize("response", [GOOD, "no answer at all"])
def test_gold_that_cannot_be_scored_names_the_entry(kind: str, gold: str, says: str, response: str) -> None:
    bad = example(kind, gold)
    for call in (partial(accuracy, bad, response), partial(check_gold, bad)):
        with pytest.raises(UserError, match=r"data\.json entry 7") as caught:
            call()
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    assert accuracy(bad, "<answer>q</answer>", rules="compat") == 0.0


def test_unknown_rules() -> None:
    with pytest.raises(UserError, match='"fixed" or "compat"'):
        accuracy(example(), GOOD, rules="strict")  # type: ignore[arg-type]


def test_first_answer_counts_and_text_outside_does_not() -> None:
    assert accuracy(example(), "<answer>A</answer><answer>B</answer>") == 0.0
    assert accuracy(example(), "<answer>B</answer><answer>A</answer>") == 1.0
    assert accuracy(example(), "B") == 0.0
    assert accuracy(example(), "<think>B</think><answer>A</answer>") == 0.0


GOLD = {
    "multiple choice": st.sampled_from(["A", "B", "a.", "(b)", "B. y", "x"]),
    "numerical": st.one_of(
        st.integers(-(10**12), 10**12).map(str),
        st.integers(-(10**12), 10**12).map("{:,}".format),
        st.floats(-1e9, 1e9, allow_nan=False).map(repr),
        st.fractions(max_denominator=999).map(str),
    ),
    "OCR": st.text(min_size=1).filter(str.strip),
    "free-form": st.text(min_size=1).filter(str.strip),
}
GOLD["regression"] = GOLD["numerical"]
ENTRIES = st.sampled_from(PROBLEM_TYPES).flatmap(lambda kind: GOLD[kind].map(lambda gold: example(kind, gold)))


@settings(max_examples=150, deadline=None)
@given(ENTRIES)
def test_gold_in_tags_scores_one(entry: Example) -> None:
    assert accuracy(entry, f"<answer>{entry.answer}</answer>") == 1.0


@settings(max_examples=200, deadline=None)
@given(ENTRIES, st.one_of(st.text(), st.from_regex(r"[-+ 0-9.,/%^eE\\${}a-c×½²()]{0,30}", fullmatch=True)))
def test_any_answer_scores_between_zero_and_one(entry: Example, answer: str) -> None:
    for rules in ("fixed", "compat"):
        assert 0.0 <= accuracy(entry, f"<answer>{answer}</answer>", rules=rules) <= 1.0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_different_integers_are_different_answers(gold: int, answer: int) -> None:
    assert accuracy(example("numerical", str(gold)), f"<answer>{answer:,}</answer>") == float(gold == answer)


@pytest.mark.parametrize("kind", PROBLEM_TYPES)
@pytest.mark.parametrize("filler", ["x", "1", "!", ".", " ", "B. ", "1,", "\\frac{", "^", "<answer>"])
def test_absurdly_long_answers_are_scored_quickly(kind: str, filler: str) -> None:
    gold = {"multiple choice": "B", "OCR": "stop here", "free-form": "stop here"}.get(kind, "5")
    check_gold(example(kind, gold))
    accuracy(example(kind, gold), r"<answer>\sqrt{3}</answer>")  # whatever is imported at first use is there now
    assert grows_linearly(lambda text: accuracy(example(kind, gold), f"<answer>{text}</answer>"), filler, 30_000)


def test_heavy_packages_are_imported_at_first_use_only() -> None:
    code = (
        "import sys, ral.rewards.accuracy, ral.rewards.combine, ral.rewards.length\n"
        "print([m for m in ('jiwer', 'rouge_score', 'nltk', 'math_verify') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- length and repetition -----------------------------------------------------------------------------------------


def test_length_bonus() -> None:
    bonus = partial(length_bonus, shortest=5, longest=6)
    right, wrong = "<answer> B </answer>", "<answer> A </answer>"  # three words each
    assert bonus(example(), f"a b {right}") == 1.0
    assert bonus(example(), f"a b c {right}") == 1.0
    assert bonus(example(), f"a {right}") == 0.0
    assert bonus(example(), f"a b c d {right}") == 0.0
    assert bonus(example(), f"a b {wrong}") == 0.0
    with pytest.raises(UserError, match="no range"):
        length_bonus(example(), GOOD, shortest=9, longest=8)


def test_repetition_penalty() -> None:
    assert repetition_penalty(example(), "a b c d", n=2) == 0.0
    assert repetition_penalty(example(), "a A a a a", n=2) == 1 / 4 - 1  # four pairs, one kind
    assert repetition_penalty(example(), "a b a b", n=2) == 2 / 3 - 1  # ab ba ab
    assert repetition_penalty(example(), "a b c", n=4) == 0.0
    assert repetition_penalty(example(), "") == 0.0
    with pytest.raises(UserError, match="at least 1"):
        repetition_penalty(example(), "a", n=0)


# --- combination ---------------------------------------------------------------------------------------------------


def paper_reward() -> Reward:
    return Reward(
        {
            "accuracy": Part(partial(accuracy, rules="fixed"), 0.9),
            "format": Part(partial(response_format, thinking=True), 0.1),
        }
    )


def test_reward_is_the_weighted_sum_and_keeps_its_parts() -> None:
    other = example(answer="A")
    texts = [GOOD, "<answer>B</answer>", "<think></think><answer>A</answer>", "nothing"]
    scores = paper_reward()(rollout([example(), other], texts))
    assert scores.parts["accuracy"].tolist() == [1, 1, 1, 0]  # the third answers the second prompt
    assert scores.parts["format"].tolist() == [1, 0, 1, 0]
    torch.testing.assert_close(scores.reward, torch.tensor([1.0, 0.9, 1.0, 0.0]))
    assert scores.reward.dtype == scores.parts["format"].dtype == torch.float32
    again = paper_reward().score([example(), example(), other, other], texts)
    assert torch.equal(again.reward, scores.reward)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_value_that_is_no_finite_number_names_part_and_entry(value: float) -> None:
    reward = Reward({"mine": Part(lambda _, text: value if text == "bad" else 0.0, 1.0)})
    with pytest.raises(UserError, match=r"reward part mine gave .* on data.json entry 7 \(uid u7\)"):
        reward.score([example(), example()], ["fine", "bad"])


@pytest.mark.parametrize("function", [lambda e, t: 1 / 0, lambda e, t: None, lambda e, t: "much"])
def test_a_custom_reward_that_fails_is_named_with_its_cause(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=r"reward part mine failed on data.json entry 7 \(uid u7\)") as caught:
        Reward({"mine": Part(function, 1.0)}).score([example()], ["x"])
    assert isinstance(caught.value.__cause__, (ZeroDivisionError, TypeError, ValueError))


def test_a_user_error_of_a_part_is_passed_on() -> None:
    with pytest.raises(UserError, match="holds no single number"):
        paper_reward().score([example("numerical", "many")], [GOOD])


def test_reward_rejects_what_cannot_be_summed() -> None:
    with pytest.raises(UserError, match=r"reward.parts is empty"):
        Reward({})
    with pytest.raises(UserError, match=r"reward.parts.mine.weight is nan"):
        Reward({"mine": Part(lambda e, t: 0.0, float("nan"))})
    with pytest.raises(ValueError, match="4 responses for 2 prompts x 3"):
        batch = rollout([example(), example()], ["a"] * 4)
        paper_reward()(replace(batch, group_size=3))


# --- the check at the start ----------------------------------------------------------------------------------------


def test_uniform() -> None:
    assert uniform(torch.tensor([0.5, 0.5]))
    assert uniform(torch.tensor([1.0]))
    assert not uniform(torch.tensor([0.5, 0.5, 0.6]))


def start_of(texts: list[str], finished: bool = True, prompts: int = 2) -> tuple[Rollout, Scores]:
    batch = rollout([example()] * prompts, texts, finished)
    return batch, paper_reward()(batch)


def test_describe_start_shows_prompt_answers_and_breakdown() -> None:
    text = describe_start(*start_of([GOOD, "<answer>B</answer>", "no", GOOD]), k=2)
    assert "prompt 0 <|vision_start|><|image_pad|> x 500<|vision_end|>" in text
    assert "prompt 1" in text  # spread over the prompts
    assert "answer 0 to data.json entry 7 (multiple choice)" in text
    assert "reward:   1  (accuracy 1, format 1)" in text
    assert "reward:   0  (accuracy 0, format 0)" in text
    assert text.count("--- answer") == 2
    assert "warning" not in text


@pytest.mark.parametrize(
    ("texts", "finished", "says"),
    [
        (["no"] * 4, True, ["all 4 rewards are 0: no answer is right", "no answer holds <answer>"]),
        (["no"] * 4, False, ["all 4 rewards are 0: no answer is right", "cut by the length limit"]),
        ([GOOD] * 4, True, ["all 4 rewards are 1: every answer is right already"]),
        ([GOOD, GOOD, "no", "no"], True, ["every advantage is 0"]),
        (["<answer>B</answer>", "x"] * 2, True, ["think mode against zero mode"]),
        ([GOOD, "no", GOOD, "no"], True, []),
    ],
)
def test_start_warnings(texts: list[str], finished: bool, says: list[str]) -> None:
    found = start_warnings(*start_of(texts, finished))
    assert len(found) == len(says)
    assert all(part in warning for part, warning in zip(says, found, strict=True))


def test_describe_start_marks_cut_answers_and_ends_with_warnings() -> None:
    text = describe_start(*start_of(["word " * 5000] * 2, finished=False), k=5)
    assert text.count("--- answer") == 2
    assert "[...]" in text
    assert "[cut by the length limit]" in text
    assert text.splitlines()[-1].startswith("warning: no answer has the format")
