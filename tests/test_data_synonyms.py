"""Fields of one meaning that say different things make a bad entry, whichever pair of names they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.types import Example

ASKED = {"question": "Which fruit?"}
TALK = [{"role": "user", "content": "Which fruit?"}, {"role": "assistant", "content": "plum"}]


def read(suffix: str = ".jsonl", **fields: Any) -> Example:
    return parse_own(Entry(Path(f"data{suffix}"), 7, {"images": [], **fields}, Path()))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({**ASKED, "answer": "B", "prompt": "Which fruit?\nA. pear\nB. plum"}, "'prompt': there is question"),
        ({"problem": "Which fruit?", "answer": "plum", "prompt": "Which tree?"}, "'prompt': there is problem"),
        ({**ASKED, "answer": "plum", "completion": "pear"}, "'completion': there is answer"),
        ({**ASKED, "solution": "plum", "completion": "pear"}, "'completion': there is solution"),
        (
            {**ASKED, "answer": 3, "completion": [{"role": "assistant", "content": "4"}]},
            "'completion': there is answer",
        ),
        ({**ASKED, "answer": "plum", "reward_model": {"ground_truth": "pear"}}, "'reward_model': there is answer"),
        ({**ASKED, "completion": "plum", "reward_model": {"ground_truth": "pear"}}, "'completion': there is reward"),
        ({**ASKED, "answer": "<think>a</think>plum", "thought": "b"}, "'thought': there is <think> in answer"),
        ({**ASKED, "answer": "B", "options": ["pear", "plum"], "A": "plum", "B": "pear"}, "'A': there is options"),
    ],
    ids=str,
)
def test_two_that_differ(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(BadSample, match=f"field {named}.*, too, and the two differ; write one of them$"):
        read(**fields)


def test_the_remedy_reads_the_one_that_stays() -> None:
    example = read(answer="B", prompt="Which fruit?\nA. pear\nB. plum")
    assert (example.options, example.answer) == (("A. pear", "B. plum"), "B")
    assert read(**ASKED, completion="pear").answer == "pear"


def test_a_row_of_a_table_is_told_how_to_leave_one_out() -> None:
    with pytest.raises(BadSample, match=r"dataset=hf dataset.source.columns.prompt=null\)$"):
        read(".parquet", **ASKED, answer="plum", prompt="Which tree?")


def test_a_conversation_that_ends_with_another_answer() -> None:
    with pytest.raises(BadSample, match="field 'answer': the conversation ends with another answer; write one of the"):
        read(messages=TALK, answer="pear")
    long = [TALK[0], {"role": "assistant", "content": "It has a stone, so it is no pear."}]
    assert read(messages=long, answer="plum").answer == "plum"
    assert read(messages=TALK, answer="B", options=["pear", "plum"]).answer == "B"


@pytest.mark.parametrize(
    "fields",
    [
        {**ASKED, "answer": "plum", "prompt": "which fruit"},
        {**ASKED, "answer": "B", "options": ["pear", "plum"], "prompt": "Which fruit? Choose.\n(A) pear\n(B) plum"},
        {**ASKED, "answer": "plum", "completion": "<think>It is blue.</think><answer>Plum</answer>"},
        {**ASKED, "answer": "It is a plum", "reward_model": {"ground_truth": "plum"}},
        {**ASKED, "answer": "plum", "completion": None, "prompt": "", "reward_model": {"style": "rule"}},
        {**ASKED, "answer": "B", "options": ["A. pear", "B. plum"], "A": "Pear", "B": "plum"},
        {"messages": TALK, "answer": "Plum."},
        {**ASKED, "answer": "3.0", "completion": "3"},
    ],
    ids=str,
)
def test_two_that_say_the_same(fields: dict[str, Any]) -> None:
    read(**fields)


@pytest.mark.parametrize("answer", [[31, 12, 50, 44], [0.25, 0.5]])
def test_a_box_as_a_list_is_told_to_be_text(answer: list[float]) -> None:
    with pytest.raises(BadSample) as told:
        read(**ASKED, answer=answer)
    assert f'write the list as text, "{answer}", where it is one answer, such as a box' in str(told.value)
    assert read(**ASKED, answer=str(answer)).answer == str(answer)
    with pytest.raises(BadSample, match="write the one right answer"):
        read(**ASKED, answer=["plum", "pear"])
