"""Words for an entry that lacks a field: other fields of the entry that may be meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

ALIKE = {
    "question": ("query", "instruction", "input", "text", "user", "ask", "q"),
    "answer": (
        *("response", "output", "label", "target", "gold", "gt", "ground_truth", "reference", "a", "answers"),
        *("answerkey", "answer_key", "correct_answer", "final_answer", "multiple_choice_answer"),
    ),
    "chosen": ("better", "preferred"),
    "rejected": ("worse", "dispreferred"),
}
"""{field: names that other files have for it}, in small letters. Messages point at them; nothing reads them."""
SINGLE = ("correct_answer", "multiple_choice_answer", "final_answer", "ground_truth")
"""Fields that hold the one right answer where `answer` or `answers` lists several: SAT's, VQAv2's."""
TALKS = ("messages", "conversations", "conversation", "prompt")
"""Fields of a conversation, which may take the place of a question."""
_READ = """
    problem_id id question problem prompt answer solution completion reward_model image images video videos path
    data_type options choices problem_type thought process chosen rejected evidence steps messages conversations
    conversation system video_start video_end fps nframes min_pixels max_pixels ability data_source a b c d e f
"""
READ = frozenset(_READ.split())
WITHOUT_MOST = 'the one right answer, such as "red"'
SHOWN = 5
"""Most fields that a message names."""


def lacking(data: Mapping[str, Any], names: Sequence[str]) -> tuple[str, str] | None:
    """Return (fault, remedy) for an entry that lacks a field but has one of a like name; None where it has none.

    data: the entry. names: names that the missing field may have.
    """
    filled = {name: value for name, value in data.items() if isinstance(name, str) and value not in (None, "")}
    others = {other for name in names for other in (name, *ALIKE.get(name, ()))}
    alike = [name for name in filled if name.strip().lower() in others and name not in names]
    alike.sort(key=lambda name: name.strip().lower() not in SINGLE)  # an index may stand beside the answer's text
    if other := next((name for name in alike if not isinstance(filled[name], list | dict)), None):
        listed = next((name for name in alike if _offers(filled[name], filled[other])), None)
        more = f', and "options" in place of "{listed}"' if listed else ""
        return f"missing, and nothing reads '{other}'", f'"{names[0]}" in place of "{other}"{more}'
    if alike:
        return f"missing, and nothing reads '{alike[0]}'", one_of(alike[0], filled[alike[0]], names[0])
    wanted = (*names, *(TALKS if "question" in names else ()))
    for outer, value in filled.items():
        inner = next((key for key in wanted if value.get(key)), None) if isinstance(value, Mapping) else None
        if inner is not None and outer not in READ:
            return f"missing, and nothing reads '{outer}', which has '{inner}'", f'"{inner}" in the entry itself'
    return None


def _offers(values: object, chosen: object) -> bool:
    """Tell whether a list holds different texts of which `chosen` is one: options, and not several people's answers."""
    texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else []
    return len(texts) > 1 and len(set(texts)) == len(texts) and chosen in texts


def one_of(other: str, value: object, name: str) -> str:
    """Return what to write in the field `name` where only `other`, a list or an object, might hold its content."""
    texts = texts_in(value)
    if isinstance(value, list) and len(value) > 1:
        most = most_said(texts)
        such = f': "{most}" is said most' if most and name in ("answer", "solution") else ""
        return f'"{name}" with the one right answer, in place of the {len(value)} of "{other}"{such}'
    if value and texts and value != texts:
        return f'"{name}": "{texts[0]}" in place of "{other}"' if len(texts) == 1 else f'"{name}" with one text'
    return f'"{name}" in place of "{other}"'


def texts_in(value: object) -> list[str]:
    """Return the answers in a list, an object {"answer": ...}, {"text": ...}, {"value": ...}, or in lists of them."""
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if isinstance(value, list):
        return [text for inner in value for text in texts_in(inner)]
    if isinstance(value, Mapping):
        return texts_in(next((value[key] for key in ("answer", "text", "value") if key in value), None))
    return [] if value is None or isinstance(value, bool) else [str(value)]


def most_said(texts: Sequence[str]) -> str | None:
    """Return the one text that occurs most often, and more than once; None for a tie."""
    counted = Counter(texts).most_common(2)
    tied = len(counted) > 1 and counted[0][1] == counted[1][1]
    return counted[0][0] if counted and not tied and counted[0][1] > 1 else None


def single(data: Mapping[str, Any], values: Sequence[object]) -> str:
    """Return what to write in place of a list of answers: the field that holds the right one, where there is one; for
    numbers, such as a box, also the list as text.

    values: the answers.
    """
    held = next((n for n, v in data.items() if n in SINGLE and isinstance(v, str) and v), None)
    if held:
        return f'"answer" in place of "{held}"'
    most = most_said(texts_in(list(values)))
    if not most and values and all(isinstance(item, int | float) and not isinstance(item, bool) for item in values):
        return f'the list as text, "{list(values)}", where it is one answer, such as a box, else the one right number'
    return f'the one right answer, such as "{most}", which is said most' if most else WITHOUT_MOST


def beside(data: Mapping[str, Any]) -> str:
    """Return the first fields of an entry that nothing reads, as " (nothing reads a, b)" for a message; "" for none."""
    unread = [name for name, value in data.items() if value is not None and str(name).strip().lower() not in READ]
    more = f" and {len(unread) - SHOWN} more" if len(unread) > SHOWN else ""
    return f" (nothing reads {', '.join(map(str, unread[:SHOWN]))}{more})" if unread else ""
