"""Where an answer stands: behind the thought, in rewards, format, evaluation and benchmarks alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards_clock import grows_linearly

from ral.evaluation.benchmarks.choice import final
from ral.rewards.accuracy import accuracy
from ral.rewards.answers import answer_span, extract_answer, first_answer
from ral.rewards.format import response_format
from ral.types import Example

# response, answer (None: there is none)
BLOCKS = [
    ("<think>a</think><answer>B</answer>", "B"),
    ("<think>I will write <answer>A</answer> no</think><answer>B</answer>", "B"),
    ("<think>use the <answer> tag</think><answer>B</answer>", "B"),
    ("<think>close with </answer></think><answer>B</answer>", "B"),
    ("<think>end with </think>, then <answer>A</answer>? no</think><answer>B</answer>", "B"),
    ("<think>a <think>b</think> <answer>A</answer> c</think><answer>B</answer>", "B"),
    ("<think>a</think><answer>A</answer><think>again</think><answer>B</answer>", "B"),
    ("<think>a</think><answer>B</answer><think>more", "B"),
    ("<think>a</think><answer>B</answer></think>", "B"),
    ("the prompt opened it <answer>A</answer></think><answer>B</answer>", "B"),
    ("<think>a</think>\n\n<answer>\nB\n</answer>\n", "B"),
    ("<think>a</think> So <answer>B</answer> it is", "B"),
    ("<answer>B</answer><think>a <answer>A</answer></think>", "B"),
    ("<think>a</think><answer>B</answer><answer>A</answer>", "B"),
    ("<think>a</think><answer><answer>B</answer></answer>", "B"),
    ("<think>a</think><answer>x <answer>B</answer>", "B"),
    ("<think>never closed <answer>B</answer>", "B"),
    ("<think>never closed <answer>A</answer> and <answer>B</answer><|im_end|>\n", "B"),
    ("<think>never closed <answer>A</answer> and on", None),
    ("<think>only here <answer>B</answer></think>", None),
    ("the prompt opened it <answer>B</answer></think>", None),
    ("<think>a</think><answer>A</answer></think> <think>b <answer>B</answer></think>", "A"),
    ("<think>a</think><answer>B", None),
    ("<think>a</think>B</answer>", None),
    ("<think>a</think><ANSWER>B</ANSWER>", None),
    ('<think>a</think><answer id="1">B</answer>', None),
    ("<think>a</think>＜answer＞B＜/answer＞", None),
    ("<think>a</think><answer></answer>", ""),
]
PIECES = ["<think>", "</think>", "<answer>", "</answer>", "A", "B", " ", "\n"]
RESPONSES = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def entry(gold: str = "B") -> Example:
    return Example("1", "?", gold, "multiple choice", options=("A. x", "B. y"))


@pytest.mark.parametrize(("response", "answer"), BLOCKS)
def test_the_answer_is_the_block_behind_the_thought(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer
    assert accuracy(entry(), response) == float(answer == "B")
    if answer is not None:
        assert final(response) == answer


def test_compat_keeps_the_first_tags() -> None:
    response = "<think>not <answer>A</answer></think><answer>B</answer>"
    assert first_answer(response) == "A"
    assert [accuracy(entry(gold), response, rules="compat") for gold in "AB"] == [1.0, 0.0]
    assert [accuracy(entry(gold), response) for gold in "AB"] == [0.0, 1.0]


@settings(max_examples=500, deadline=None)
@given(RESPONSES)
def test_a_response_in_form_has_its_answer_and_spans_hold_no_tags(response: str) -> None:
    span = answer_span(response)
    if response_format(entry(), response, thinking=True) or response_format(entry(), response, thinking=False):
        assert span == (response.rindex("<answer>") + len("<answer>"), response.rindex("</answer>"))
    if span is not None:
        assert response[: span[0]].endswith("<answer>")
        assert response[span[1] :].startswith("</answer>")
        assert not any(tag in response[slice(*span)] for tag in ("<answer>", "</answer>", "<think>", "</think>"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", " ", "<answer>", "</answer>", "A", "<think>"]), max_size=20).map("".join))
def test_nothing_said_in_a_closed_thought_changes_the_answer(thought: str) -> None:
    assert extract_answer(f"<think>{thought}</think><answer>B</answer>") == "B"


@pytest.mark.parametrize(
    "piece", ["<answer>", "</answer>", "<think>", "</think>", "</think><answer>", "<answer></answer></think>"]
)
def test_a_long_response_is_read_in_linear_time(piece: str) -> None:
    assert grows_linearly(extract_answer, piece, 30_000)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ("<think>Is it (A)? Let me", ""),
        ("<think>a <answer>A</answer> b</think>So B", "So B"),
        ("<think>x</think><answer>B", "B"),
        ("x</think>B", "B"),
        ("<think>x</think>B<think>A", "B"),
        ("B</answer>", "B"),
    ],
)
def test_without_a_block_benchmarks_read_what_stands_outside_the_thought(response: str, said: str) -> None:
    assert final(response) == said
