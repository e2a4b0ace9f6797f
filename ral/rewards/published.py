"""Video-R1's accuracy reward as published, quirks included, to reproduce its numbers.

The quirks, none of which the rules "fixed" have:
- the first answer tags count, also where the thought only quotes them; a missing answer is the empty string;
- multiple choice wants the same characters: "B." is not "B";
- numerical: "5" and "5.0" differ, since both or neither must hold "." or ","; commas are dropped, so "3,14" is 314;
  no unit, no percent, no fraction;
- regression: the answer "nan" earns 1.0, because the clip of a NaN happens to give 0 as relative error;
  where gold is 0, the answer 0 earns 0.0, because the same small number stands above and below the line;
- a single word that is right earns 2/3 in free-form, since one word has no pair of words for ROUGE-2;
- an unknown problem type or a gold answer that is no number earns 0 for every response.
One quirk is left out: there the type of a batch's first entry rules all of it, here each entry has its own.
"""

from __future__ import annotations

from ral.rewards.answers import first_answer
from ral.rewards.texts import rouge, word_error_rate
from ral.types import Example

EPSILON = 1e-9  # of the published relative error


def published_accuracy(example: Example, response: str) -> float:
    """Return the accuracy in [0, 1] by Video-R1's published rules."""
    gold, answer = example.answer.strip(), first_answer(response) or ""
    match example.problem_type:
        case "multiple choice":
            return float(answer == gold)
        case "numerical":
            return _numerical(gold, answer)
        case "OCR":
            return min(1.0, max(0.0, 1.0 - word_error_rate(gold, answer)))
        case "free-form":
            return min(1.0, max(0.0, rouge(gold, answer, published=True)))
        case "regression":
            return _regression(gold, answer)
        case _:
            return 0.0


def _numerical(gold: str, answer: str) -> float:
    if any(c in gold for c in ".,") != any(c in answer for c in ".,"):
        return 0.0
    wanted, given = _number(gold), _number(answer)
    return float(wanted is not None and given is not None and round(wanted, 2) == round(given, 2))


def _regression(gold: str, answer: str) -> float:
    wanted, given = _number(gold), _number(answer)
    if wanted is None or given is None:
        return 0.0
    error = (abs(given - wanted) + EPSILON) / (abs(wanted) + EPSILON)
    return 1.0 - min(1.0, max(0.0, error))  # this order of arguments turns a NaN into 0, as published


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None
