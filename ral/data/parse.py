"""One raw entry parsed into one Example: of Video-R1's files, and of users' files in the forms that people use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ral.data.answer_phrase import presented
from ral.data.asked_options import options_in_question, refuse_asked_options
from ral.data.chat import Chat, answer_of_turn, chat_field, chat_of
from ral.data.fields import (
    Entry,
    clean,
    evidence_of,
    inside,
    is_number,
    kind_of,
    problem_type_of,
    refuse_marks,
    refuse_other_than_text,
    required,
    shown,
    steps_of,
    text_of,
    uid_of,
    untagged,
    without,
)
from ral.data.final_mark import final_answer
from ral.data.gold import gold_letter, is_letter, with_letters
from ral.data.lacking import lacking, single, texts_in
from ral.data.located import PATH, media_of
from ral.data.marks import MARK, marks_in
from ral.data.media_fields import check_places, with_media, with_reading, without_leading_marks
from ral.data.names import IDS
from ral.data.option_columns import CHOICE, refuse_columns
from ral.data.option_fields import (
    has_options,
    listed_options,
    options_field,
    options_of,
    refuse_hidden_options,
    refuse_null,
    refuse_unread_options,
    without_numbers,
)
from ral.data.placeholders import refuse_in_questions, refuse_placeholders
from ral.data.subjects import type_by_subject
from ral.data.synonyms import (
    ANSWER,
    QUESTION,
    THOUGHT,
    refuse_two_answers,
    refuse_two_questions,
    refuse_two_thoughts,
)
from ral.data.wrapped_gold import concluded, reasoning_in, unwrapped, worked
from ral.types import Example

VIDEO_R1_ANSWER = '"<answer>B</answer>"'
CHOSEN = '"<think>the star is red</think><answer>A</answer>"'
ASKED = '"What color is the star?"'


def parse_video_r1(entry: Entry) -> Example:
    """Return the example of one entry of a Video-R1 file.

    Optional fields: `process` (reasoning, in SFT files), `evidence` and `steps` (in made data). BadSample where a field
    is missing or malformed.
    """
    solution = required(entry, text_of(entry, ["solution"], VIDEO_R1_ANSWER), ["solution"], VIDEO_R1_ANSWER)
    answer = required(entry, clean(entry, "solution", untagged("answer", solution)), ["solution"], VIDEO_R1_ANSWER)
    question = required(entry, text_of(entry, ["problem"], ASKED), ["problem"], ASKED)
    thought = text_of(entry, ["process"], '"<think>...</think>"')
    kind, options = problem_type_of(entry, None, null=False), listed_options(entry)
    if kind == CHOICE and not options:
        refuse_columns(entry, "solution", answer, kind, question)
    path = entry.data.get("path")
    if path is not None and not isinstance(path, str):
        entry.fail("path", f"{shown(path)} is not text", PATH)
    path = required(entry, path and path.strip(), ["path"], PATH)
    medium = media_of(entry, "path", path, kind_of(entry, "path", path))
    example = Example(
        uid=uid_of(entry, IDS[:1]),
        question=question,
        answer=answer,
        problem_type=kind,
        media=with_reading(entry, [medium], answer),
        options=with_letters(entry, options, answer)[0] if options and kind == CHOICE else options,
        thought=untagged("think", thought) if thought else None,
        evidence=evidence_of(entry),
        steps=steps_of(entry),
        source=entry.place,
    )
    refuse_marks(entry, ("solution", answer), ("process", thought))
    refuse_placeholders(entry, kind, ("solution", answer))
    marks = marks_in([question, *options])
    check_places(entry, marks, example.media)
    return without_leading_marks(example, marks)


def parse_own(entry: Entry) -> Example:
    """Return the example of one entry of a user's own file; its fields are listed in `ral.data.sources.jsonl`.

    BadSample where a field is missing or malformed, or two fields contradict each other.
    """
    chat = chat_of(entry)
    chosen, rejected = preference_of(entry)
    options = options_of(entry)
    question = _question(entry, chat, options)
    kind = problem_type_of(entry, CHOICE if options else "free-form")
    field, said = _answer(entry, chat)
    refuse_two_thoughts(entry, field, inside("think", said))
    thought = text_of(entry, THOUGHT, '"the star is red"') or reasoning_in(said, chat.answer or "", kind, question)
    answer = _presented(_bare(entry, field, said), kind, (question, *options))
    answer = unwrapped(entry, field, answer, kind, question) if not options else answer
    if chosen is None:  # preferences need no gold answer
        if not answer:
            refuse_null(entry, field, options)
            _refuse_open_end(entry, chat)
        answer = required(entry, answer, [field], '"red"')
    untyped = not options and entry.named(["problem_type"]) is None
    if untyped and (listed := options_in_question(question, answer)):
        (question, options), kind, untyped = listed, CHOICE, False
    options, answer = _chosen(entry, field, options, answer, kind)
    if untyped:
        refuse_unread_options(entry)
        kind = type_by_subject(entry, answer, worked=worked(said, answer))
        refuse_asked_options(entry, field, question, answer, kind)
    if not options:
        refuse_columns(entry, field, answer, kind, question)
    responses = ((entry.named(THOUGHT) or field, thought), ("chosen", chosen), ("rejected", rejected))
    refuse_marks(entry, (field, answer), *responses)
    refuse_placeholders(entry, kind, (field, answer), *responses[1:])
    refuse_in_questions(entry, chat.turns, question)
    example = Example(
        uid=uid_of(entry, IDS),
        question=question,
        answer=answer,
        problem_type=kind,
        options=options,
        thought=untagged("think", thought) if thought else None,
        evidence=evidence_of(entry),
        steps=steps_of(entry),
        source=entry.place,
        chosen=chosen,
        rejected=rejected,
        turns=chat.turns,
        answer_field=field,
    )
    return with_media(entry, example, chat.media)


# --- question and answer


def _question(entry: Entry, chat: Chat, options: Sequence[str]) -> str:
    """Return the question with its marks. BadSample where there is none, or two that differ."""
    names = [*QUESTION, "prompt"] if isinstance(entry.data.get("prompt"), str) else QUESTION
    refuse_two_questions(entry, options)
    written, asked = text_of(entry, names, ASKED), chat.question
    words = MARK.sub("", asked or "").strip()
    if written and words and MARK.sub("", written).strip() != words:
        entry.fail(str(entry.named(names)), "the conversation asks something else", "one of the two")
    question = f"{asked or ''}{'' if words else written or ''}"
    required(entry, MARK.sub("", question).strip(), names, ASKED)
    return question


def _answer(entry: Entry, chat: Chat) -> tuple[str, str]:
    """Return (field, text) of the gold answer; the text is "" where there is none.

    It is read from a field of its own, verl's ground truth, a completion, or the last turn, the first of these that
    exists.
    """
    refuse_two_answers(entry, chat.answer)
    name = entry.named(ANSWER)
    if name is not None and entry.data[name] != "":
        return name, _plain_answer(entry, name, entry.data[name])
    model = entry.data.get("reward_model")
    if isinstance(model, dict) and model.get("ground_truth") is not None:
        return "reward_model", _plain_answer(entry, "reward_model", model["ground_truth"])
    if chat.answer is None and entry.data.get("completion") is not None:
        return "completion", _plain_answer(entry, "completion", entry.data["completion"])
    return name or ANSWER[0], chat.answer or ""


def _refuse_open_end(entry: Entry, chat: Chat) -> None:
    """Raise BadSample where a conversation ends with the user's turn, and no field has the answer."""
    open_end = chat.question is not None and chat.answer is None and entry.named(ANSWER) is None
    if open_end and lacking(entry.data, ANSWER) is None:
        problem = f"missing, and the last turn of {chat_field(entry)} is the user's"
        entry.fail(ANSWER[0], problem, 'the answer as the last turn, of the assistant, or "answer": "red"')


def _plain_answer(entry: Entry, name: str, value: Any) -> str:
    """Return a gold answer as text, from a text or number, a list of one, or a turn of the assistant.

    BadSample for any other value.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and value and set(value) <= {"role", "from", "content", "value"}:
        return answer_of_turn(entry, name, value)
    if isinstance(value, bool) and has_options(entry):
        return shown(value)
    if isinstance(value, list):
        entry.fail(name, f"{shown(value)} is not text but {len(value)} answers", single(entry.data, value))
    if isinstance(value, dict) and len(texts := texts_in(value)) == 1:
        entry.fail(name, f"{shown(value)} is not text", f'its text alone: "{name}": "{texts[0]}"')
    if not isinstance(value, str) and not is_number(value):
        refuse_other_than_text(entry, name, value, '"red"')
    return clean(entry, name, str(value))


def _bare(entry: Entry, field: str, said: str) -> str:
    """Return the gold answer in `said`, without tags and reasoning; of a worked solution, the text behind its mark.

    BadSample for several different answer blocks, and for half a tag.
    """
    rest = without("think", said)
    rest = final_answer(rest) or concluded(entry, field, rest) or rest
    blocks = {text.strip() for text in _blocks(rest)}
    if len(blocks) > 1:
        entry.fail(field, f"{shown(rest)} holds {len(blocks)} different answers", "one <answer>...</answer>")
    answer = untagged("answer", rest)
    if "<answer>" in answer or "</answer>" in answer or "<think>" in answer or "</think>" in answer:
        entry.fail(field, f"{shown(rest)} holds a tag without its other half", '"<answer>red</answer>" or "red"')
    return answer


def _presented(answer: str, kind: str, asked: Sequence[str]) -> str:
    """Return the gold answer without words such as "The answer is".

    They stay for OCR, where they may stand in the image, and where the question or an option holds the whole answer.
    asked: the question and the options.
    """
    whole = kind == "OCR" or any(answer.casefold() in text.casefold() for text in asked)
    return answer if whole else presented(answer)


def _blocks(text: str) -> list[str]:
    """Return the contents of all <answer> blocks of a text."""
    found = inside("answer", text)
    if found is None:
        return []
    return [found, *_blocks(text.split("</answer>", 1)[1])]


def _chosen(entry: Entry, field: str, options: tuple[str, ...], answer: str, kind: str) -> tuple[tuple[str, ...], str]:
    """Return (options with letters, gold answer): the answer as a letter for multiple choice, else as text.

    Without options both stay as they are.
    """
    if not options:
        refuse_hidden_options(entry, field, answer)
        return options, answer
    if len(options) == 1:
        entry.fail(options_field(entry), "one option leaves nothing to choose", "two or more, or none")
    options, answer = without_numbers(entry, field, options, answer)
    named, letters = with_letters(entry, options, answer)
    if kind == CHOICE and answer:
        return named, gold_letter(entry, field, letters, answer)
    if answer and is_letter(letters, answer):
        entry.fail(field, f"{shown(answer)} is an option's letter, and problem_type is {shown(kind)}", f'"{CHOICE}"')
    return named, answer


def preference_of(entry: Entry) -> tuple[str | None, str | None]:
    """Return the whole responses (chosen, rejected) of an entry; (None, None) where it has neither.

    BadSample where only one is there, or both are equal.
    """
    pair = (_response(entry, "chosen"), _response(entry, "rejected"))
    if pair == (None, None):
        return pair
    chosen, rejected = (required(entry, pair[n], [name], CHOSEN) for n, name in enumerate(("chosen", "rejected")))
    if chosen == rejected:
        entry.fail("rejected", "the same as chosen", "another response, which is worse")
    return chosen, rejected


def _response(entry: Entry, name: str) -> str | None:
    """Return one whole response from a text, a turn of the assistant or TRL's list of one; None where it is missing."""
    value = entry.data.get(name)
    if isinstance(value, dict) or (isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)):
        return _plain_answer(entry, name, value)
    return text_of(entry, [name], CHOSEN)
