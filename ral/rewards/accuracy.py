"""Accuracy of a response by its entry's own problem type, in [0, 1]: 90% of RAL's reward (arXiv 2602.04884, section 4).

The five types and their formulas are Video-R1's (arXiv 2503.21776), section 3.1.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from ral.options import first_of_several
from ral.rewards.answers import extract_answer
from ral.rewards.asked_units import in_asked_unit
from ral.rewards.calendar_words import same_calendar
from ral.rewards.changes import contradicts, direction, sign_of_change
from ral.rewards.choices import chosen_letter
from ral.rewards.clauses import DATED, without_names
from ral.rewards.coordinates import same_coordinates
from ral.rewards.dress import quoted, undress, unwrapped
from ral.rewards.forms import written_form
from ral.rewards.keyed import keyed
from ral.rewards.landmark_sizes import without_landmark_size
from ral.rewards.named import of_angle, of_quantity, without_bound
from ral.rewards.nothing import says_none
from ral.rewards.number_words import lone_number
from ral.rewards.numbers import FACTORIAL, Number, in_terms_of, parse_number, rounding
from ral.rewards.offsets import measures_elsewhere, moment_said
from ral.rewards.option_texts import split_options
from ral.rewards.other_counts import counts_other, part_asked
from ral.rewards.points import as_point
from ral.rewards.published import published_accuracy
from ral.rewards.relations import same_relation
from ral.rewards.steps import steps_fail
from ral.rewards.texts import one_line, rouge, same_text, word_error_rate, words_alone
from ral.rewards.told_changes import change_of, same_change
from ral.rewards.verdicts import stated_truth, stated_verdict, truth_of_gold, verdict_of_gold
from ral.types import PROBLEM_TYPES, Example, UserError

RELATIVE_TOLERANCE = Fraction(1, 100)  # of numerical answers that are not written as integers
Scorer = Callable[[str], float]
_MEASURE = re.compile(r"[-+−]?\d[\d.,]*\s?[^\W\d_]{1,12}(?:/[a-z]{1,7}|[²³]|\^[23])?\.?")
"""A number and its unit."""
_AS_ASKED = (without_names, of_angle, of_quantity, without_landmark_size)
"""(answer, question) -> the part of the answer without the numbers that its question names."""


def accuracy(example: Example, response: str, *, rules: Literal["fixed", "compat"] = "fixed") -> float:
    """Score the answer of `response` (`answers.answer_span`) in [0, 1].

    rules="fixed", by `example.problem_type`:
    - multiple choice: the option's letter, in any usual dress, or its text word for word (`choices.chosen_letter`);
    - numerical: units, percent, fractions, thousands separators, LaTeX (`numbers.parse_number`). A gold answer written
      as an integer must be met exactly, any other within 1e-2 of the larger of the two; an answer in another unit may
      be off by the rounding of its last digit, where it gives three digits or more (`numbers.rounding`);
    - OCR: 1 - word error rate, clipped to [0, 1], on normalised white space and case; quotes, Markdown and LaTeX around
      the whole text, and a full stop that gold lacks, are not part of it (`dress.unwrapped`);
    - free-form: mean F of ROUGE-1, -2, -L with stemming, over words of any script (`texts.words`). Deviation from
      Video-R1: an answer equal to gold but for case, white space and punctuation scores 1.0 even where it is a single
      word, whose ROUGE-2 is 0 (published: 0.667), and so does "2" for "two"; to a gold answer that is yes, no, true or
      false, the yes or no that the answer begins with is right or wrong as a whole, and so is "It is not true."
      (`verdicts`);
    - regression: 1 - |answer - gold| / |gold|, clipped to [0, 1], units tolerated; where gold is 0, 1 for 0, else 0.
    rules="compat": as Video-R1 published it, quirks included (`published.published_accuracy`).
    A response without a readable answer scores 0. Under "fixed" a gold answer that cannot be read, or an unknown
    problem type, raises UserError naming the entry: a reward must never be silently 0. So do any other `rules`.
    """
    if rules == "compat":
        return published_accuracy(example, response)
    if rules != "fixed":
        raise UserError(f'reward rules {rules!r} are unknown; write "fixed" or "compat"')
    judge = _judge(example)
    answer = extract_answer(response) or ""
    answer = answer if example.answer.lstrip().startswith("{") else keyed(answer)
    return judge(answer) if answer else 0.0


def check_gold(example: Example) -> None:
    """Raise UserError where the gold answer or the problem type of `example` cannot be scored by the rules "fixed"."""
    _judge(example)


def _judge(example: Example) -> Scorer:
    """Return the function from an answer to its score by the rules "fixed"; the gold answer is read once, here."""
    match example.problem_type:
        case "multiple choice":
            return _choice_judge(example)
        case "numerical":
            gold = _gold_number(example)
            return lambda answer: _numerical(gold, _signed(gold, answer, example))
        case "regression":
            gold = _gold_number(example)
            return lambda answer: _regression(gold, _signed(gold, answer, example))
        case "OCR":
            text = _gold_text(example)
            return lambda answer: _read_text(text, answer)
        case "free-form":
            text = _gold_text(example)
            return lambda answer: _free_form(text, answer, example.question)
    raise _unknown_type(example)


def _choice_judge(example: Example) -> Scorer:
    gold = chosen_letter(example.answer, example.options)
    texts = split_options(example.options)
    letters = tuple(texts)
    if gold is not None and first_of_several(example.answer, texts) == gold:
        raise UserError(
            f"{_name(example)}: field {example.answer_field}: {_short(example.answer)} is none of the options but "
            "several; write the one right letter"
        )
    if gold is None or (letters and gold not in letters):
        known = f"one of the letters {', '.join(letters)}" if letters else "an option letter such as B"
        raise UserError(
            f"{_name(example)}: field {example.answer_field}: {example.answer!r} names no option; write {known}"
        )

    def judge(answer: str) -> float:
        chosen = chosen_letter(answer, example.options, example.question)
        return float(chosen == gold and first_of_several(answer, texts) != gold)

    return judge


def _signed(gold: Number, answer: str, example: Example) -> Number | None:
    """Return the number of an answer with the sign of the change that it tells, where gold does not tell its own.

    Where gold has no unit, the number is in the unit that the question asks for. None where the answer has none, or one
    that measures from elsewhere than asked (`offsets`) or counts another thing (`other_counts`).
    """
    elsewhere = measures_elsewhere(answer, example.question) or counts_other(answer, example.question)
    if elsewhere or steps_fail(answer):
        return None
    number = _answered(gold, answer, example.question)
    if number is not None and gold.unit is None:
        number = in_asked_unit(number, example.question)
    if number is None or contradicts(example.answer, answer):
        return None
    if number.value <= 0 or direction(example.answer):
        return number
    sign = sign_of_change(answer, example.question, below=gold.value < 0)
    return number if sign > 0 else replace(number, value=-number.value, also=None)


def _answered(gold: Number, answer: str, question: str) -> Number | None:
    """Return the number of an answer, None where it has none; where gold is 0, "none" and "no apples" are 0.

    Numbers that only name what `question` asks about ("in Q3 2021") are left out where the answer has several.
    """
    forms = (
        part_asked(answer, question),
        moment_said(answer, question),
        without_bound(answer, question),
        answer,
        *(read(answer, question) for read in _AS_ASKED),
    )
    number = next(filter(None, (parse_number(form) for form in forms if form)), None)
    if number is None and (change := change_of(answer)) is not None:
        return change.size  # "decreased by five percent"
    return Number(gold.value, whole=True) if number is None and not gold.value and says_none(answer) else number


def _numerical(gold: Number, answer: Number | None) -> float:
    """Return 1.0 where the answer equals gold: exactly for a gold written as integer, else within RELATIVE_TOLERANCE.

    The tolerance is relative to the larger of the two, so that "0.33" meets "1/3" as "1/3" meets "0.33". An answer in
    another unit may be off by `rounding`, too. None scores 0.
    """
    if answer is None:
        return 0.0
    relative, rounded = Fraction(0) if gold.whole else RELATIVE_TOLERANCE, rounding(gold, answer)
    return float(
        any(
            abs(value - gold.value) <= max(relative * max(abs(value), abs(gold.value)), rounded)
            for value in in_terms_of(gold, answer)
        )
    )


def _regression(gold: Number, answer: Number | None) -> float:
    """Return 1 - relative error, clipped to [0, 1]; gold 0 is met by 0 alone."""
    values = [] if answer is None else in_terms_of(gold, answer)
    if not gold.value:
        return float(0 in values)
    return max((float(max(Fraction(0), 1 - abs((v - gold.value) / gold.value))) for v in values), default=0.0)


def _free_form(gold: str, answer: str, question: str) -> float:
    plain = unwrapped(answer)
    if (same := same_relation(gold, plain)) is not None:
        return float(same)
    if (right := _gold_verdict(gold)) is not None:
        readers = (stated_verdict,) if truth_of_gold(gold) is None else (stated_truth, stated_verdict)
        if said := next(filter(None, (read(undress(answer)) for read in readers)), None):
            return float(said.yes is right)
    if same_coordinates(gold, plain, question) or same_coordinates(gold, answer, question):
        return 1.0
    if (as_point(gold) or as_point(answer)) and written_form(gold) == written_form(answer):
        return 1.0
    if (change := change_of(gold)) and (told := change_of(plain)) and same_change(change, told):
        return 1.0
    if same_text(gold, answer) or same_text(gold, plain) or _is_count(gold, plain):
        return 1.0
    if same_calendar(gold, plain, question) or _is_measure(gold, plain):
        return 1.0
    return min(1.0, max(0.0, rouge(gold, answer), rouge(gold, plain) if plain != answer else 0.0))


def _gold_verdict(gold: str) -> bool | None:
    """Return the truth value of a gold answer that is yes, no, true or false alone; None for any other."""
    yes = verdict_of_gold(gold)
    return truth_of_gold(gold) if yes is None else yes


def _is_count(gold: str, answer: str) -> bool:
    """Tell whether gold is a lone integer and the one number of the answer, without a unit or bound, equals it."""
    wanted, said = lone_number(gold), parse_number(answer)
    return wanted is not None and said == Number(wanted, whole=True, step=said.step if said else Fraction(0))


def _is_measure(gold: str, answer: str) -> bool:
    """Tell whether gold and answer are nothing but a number with a unit, and equal: "3 kg", "3kg", "3 kilograms"."""
    if not (_MEASURE.fullmatch(gold.strip()) and _MEASURE.fullmatch(answer.strip())):
        return False
    wanted, said = parse_number(gold), parse_number(answer)
    if wanted is None or said is None or wanted.unit is None or said.unit is None:
        return False
    return bool(_numerical(wanted, said))


def _read_text(gold: str, answer: str) -> float:
    """Return 1 - word error rate, clipped to [0, 1]: the best of the answer as written and without dress or quotes.

    Where the answer breaks its lines as the sign may, marks between words do not count.
    """
    plain = unwrapped(answer)
    said = quoted(answer) or answer
    forms = {answer, plain, said, said.rstrip(" .。"), plain.rstrip(" .。")}
    golds = {one_line(gold), one_line(unwrapped(gold))}
    rates = [word_error_rate(wanted, one_line(form)) for wanted in golds for form in forms]
    rates += [word_error_rate(words_alone(gold), words_alone(form)) for form in forms if "\n" in form.strip()]
    return min(1.0, max(0.0, 1.0 - min(rates)))


def _gold_number(example: Example) -> Number:
    gold = parse_number(example.answer)
    if gold is None or gold.bound == "±" or FACTORIAL.fullmatch(example.answer) or DATED.search(example.answer):
        raise UserError(
            f"{_name(example)}: field {example.answer_field}: {_short(example.answer)} holds no single number, "
            f'which problem type "{example.problem_type}" needs; write one such as 42, 3/4 or 12.5 cm, or make the '
            'type "free-form"'
        )
    return gold


def _gold_text(example: Example) -> str:
    if not example.answer.strip():
        raise UserError(
            f"{_name(example)}: field {example.answer_field}: the answer is empty; write the right answer as text"
        )
    return example.answer


def _unknown_type(example: Example) -> UserError:
    names = {name.lower(): name for name in PROBLEM_TYPES}
    close = difflib.get_close_matches(example.problem_type.lower(), names, n=1)
    hint = f'did you mean "{names[close[0]]}"? Known: ' if close else "known: "
    return UserError(
        f"{_name(example)}: field problem_type: {example.problem_type!r} is unknown; {hint}{', '.join(PROBLEM_TYPES)}"
    )


def _name(example: Example) -> str:
    """Return an entry's name in messages: its source, or its uid."""
    return example.source or f"entry {example.uid}"


def _short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "...")
