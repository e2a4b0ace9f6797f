"""Letters that an answer is given, by the reward and by the benchmarks, for tables judged by hand."""

from __future__ import annotations

from collections.abc import Sequence

from ral.evaluation.benchmarks import choice
from ral.rewards.accuracy import accuracy
from ral.types import Example


def check_letter(answer: str, options: Sequence[str], question: str, letter: str) -> None:
    """Check that an answer earns 1 for the gold answer `letter` alone ("": for none), and that benchmarks read it."""
    examples = [Example("u", question, own[0], "multiple choice", options=tuple(options)) for own in options]
    right = [example.answer for example in examples if accuracy(example, f"<answer>{answer}</answer>")]
    assert right == list(letter), answer
    assert choice.letter(answer, options, question) == letter, answer
