"""Fields of one meaning in an entry, such as `question` and `prompt`: they have to say the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ral.data.alike import same_number
from ral.data.fields import Entry, is_number
from ral.data.marks import MARK
from ral.data.option_fields import option_text
from ral.data.stray import in_table

QUESTION, ANSWER = ["question", "problem"], ["answer", "solution"]
THOUGHT = ["thought", "process"]
SHORT = 3  # words: a turn of the assistant of at most so many is no worked answer


def refuse_two_questions(entry: Entry, options: Sequence[str]) -> None:
    """Raise BadSample where two of question, problem and a text `prompt` differ.

    A prompt may repeat the question together with all of the options.
    """
    refuse_two(entry, QUESTION)
    name, prompt = entry.named(QUESTION), entry.data.get("prompt")
    if name is None or entry.data[name] == "" or not isinstance(prompt, str) or not prompt.strip():
        return
    whole, asked = words(prompt), words(str(entry.data[name]))
    repeated = options and all(_holds(whole, words(text)) for text in (asked, *options))
    if whole != asked and not repeated:
        _fail(entry, "prompt", name)


def refuse_two_answers(entry: Entry, said: str | None) -> None:
    """Raise BadSample where two fields of the gold answer differ, or a short last turn of the conversation and a field.

    A solution or completion may hold the answer among other words, and an answer verl's ground truth. said: the
    conversation's last turn, of the assistant; None where there is none. It counts where it has at most SHORT words.
    """
    refuse_two(entry, ANSWER)
    name = next((name for name in ANSWER if _text(entry.data.get(name))), None)
    model = entry.data.get("reward_model")
    truth = words(_text(model.get("ground_truth")) if isinstance(model, dict) else "")
    other = words(_text(entry.data.get("completion")) if said is None else "")
    if name is None:
        if truth and other and not _holds(other, truth):
            _fail(entry, "completion", "reward_model")
        return
    answer, turn = words(_text(entry.data[name])), words(said or "")
    if truth and not _holds(answer, truth):
        _fail(entry, "reward_model", name)
    if other and not _holds(other, answer):
        _fail(entry, "completion", name)
    letters = len(answer) == 1 == len(turn) or entry.named(["options", "choices", "A"]) is None
    if turn and len(turn.split()) <= SHORT and letters and not _holds(turn, answer) and not _holds(answer, turn):
        entry.fail(name, "the conversation ends with another answer", "one of the two")


def refuse_two_thoughts(entry: Entry, field: str, within: str | None) -> None:
    """Raise BadSample where thought and process differ, or one of them and the reasoning `within` the answer.

    field: field of the answer.
    """
    refuse_two(entry, THOUGHT)
    name = next((name for name in THOUGHT if _text(entry.data.get(name))), None)
    if name is not None and within and words(within) != words(_text(entry.data[name])):
        _fail(entry, name, f"<think> in {field}")


def refuse_two(entry: Entry, names: Sequence[str]) -> None:
    """Raise BadSample where two fields of one meaning say different things.

    Only `solution` may say more than `answer`, if it contains the answer: a worked solution.
    """
    said = [words(str(entry.data[name])) for name in names if entry.data.get(name) not in (None, "")]
    worked = len(said) == 2 and names is ANSWER and _holds(said[1], said[0])
    if len(said) == 2 and said[0] != said[1] and not worked:
        _fail(entry, names[1], names[0])


def words(text: str) -> str:
    """Return the words and numbers of a text in lower case, without marks and tags, for comparisons."""
    plain = re.sub(r"</?\w+>", " ", MARK.sub(" ", text)).casefold()
    return " ".join(re.findall(r"-?\w+(?:[.,]\d+)*", plain)) or plain.strip()


def _holds(whole: str, part: str) -> bool:
    """Tell whether words hold others, or both are one number ("3" and "3.0")."""
    return f" {part} " in f" {whole} " or same_number(whole, part)


def _text(value: object) -> str:
    """Return the text of a value: of a text, number, truth value, list of one, or turn; "" for any other."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("content", value.get("value"))
    return (option_text(value) or "").strip() if isinstance(value, str) or is_number(value) else ""


def _fail(entry: Entry, name: str, other: str) -> None:
    table = f" (of a table: dataset=hf dataset.source.columns.{name}=null)" if in_table(entry) else ""
    entry.fail(name, f"there is {other}, too, and the two differ", f"one of them{table}")
