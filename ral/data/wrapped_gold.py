r"""Gold answers in the wrappings of datasets: "\boxed{B}", "so = \boxed{42}.", "<CONCLUSION> B </CONCLUSION>"."""

from __future__ import annotations

import re

from ral.data.answer_phrase import presented
from ral.data.fields import Entry, inside, shown, untagged, without
from ral.data.final_mark import final_answer
from ral.data.listed_gold import refuse_lists
from ral.data.placeholders import is_template

_BOX = re.compile(r"\\f?boxed\s*\{|<\|begin_of_box\|>")
_CONCLUSION = re.compile(r"<conclusion>(.*?)</conclusion>", re.IGNORECASE | re.DOTALL)
_HALF = re.compile(r"</?conclusion>", re.IGNORECASE)
_BEHIND = re.compile(r"[\s$.。!*_`)\]\\]*(?:I hope it is correct[.!]?\s*)?")
_COPIED = re.compile(r"latex|transcri|markdown|ocr|text (?:is|in)", re.IGNORECASE)
_PAIRS = (("**", "**"), ("__", "__"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("`", "`"))
_COMMAND = re.compile(r"\\(?:text(?:bf|rm|it)?|mathrm|mathbf|mathit|bold)\s*\{([^{}]*)\}")
_LETTER = re.compile(r"[(\[]?[A-J](?:[)\].:](?:\s+[^\s$].*)?)?")
_NUMBER = re.compile(
    r"[-+−]?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?\s*(?:\\?%|(?:\^\{?\\circ\}?|°)|\\pi|π)?"
    r"|[-+−]?(?:\\[dt]?frac\{\d+\}\{\d+\}|\d+/\d+)"
)


def concluded(entry: Entry, field: str, text: str) -> str | None:
    """Return the text of the one block <CONCLUSION>...</CONCLUSION>, which LLaVA-CoT's answers end with; else None.

    BadSample for several blocks and for half a tag. field: field of the gold answer.
    """
    blocks = [block.strip() for block in _CONCLUSION.findall(text)]
    if len(_HALF.findall(text)) != 2 * len(blocks) or len(set(blocks)) > 1:
        problem = f"{shown(text)} holds {len(blocks)} whole <CONCLUSION> blocks and other such tags"
        entry.fail(field, problem, 'the answer alone, as in "red"')
    return blocks[0] if blocks else None


def unwrapped(entry: Entry, field: str, answer: str, kind: str, question: str) -> str:
    r"""Return a gold answer without a box around it, "42" for "... = \boxed{42}.", and a bare letter or number
    without Markdown and LaTeX: "B" for "**B**" and "$\text{B}$". Other texts stay.

    OCR stays, as does an answer to a question for LaTeX, and a template such as \boxed{answer}. BadSample
    where boxes differ, or a text goes on behind one, and for a list written as text.
    kind: problem type. field: field of the gold answer.
    """
    if kind == "OCR" or _COPIED.search(question) or is_template(answer):
        return answer
    refuse_lists(entry, field, answer, question)
    boxes = _boxes(answer)
    if not boxes:
        return _bare(answer)
    if len({_bare(text) for text, _ in boxes}) > 1:
        entry.fail(field, f"{shown(answer)} holds {len(boxes)} different boxes", 'the answer alone, as in "42"')
    inner, end = boxes[-1]
    if not inner or not _BEHIND.fullmatch(answer[end:]):
        problem = f"{shown(answer)} goes on behind its box" if inner else f"{shown(answer)} has an empty box"
        entry.fail(field, problem, f'the answer alone, as in "{_bare(inner) or 42}"')
    return _bare(inner)


def worked(said: str, answer: str) -> bool:
    """Tell whether a gold answer stood in `said` behind the mark of a worked solution, or as a number in a box."""
    boxed = bool(_BOX.search(said)) and _NUMBER.fullmatch(answer) is not None
    return boxed or final_answer(without("think", said)) is not None


def reasoning_in(said: str, turn: str, kind: str, question: str) -> str | None:
    r"""Return the reasoning in a gold answer: a think block, else the working of which `unwrapped` keeps the end alone.

    "3 + 4 = 7, so \boxed{7}." is one as it stands; of "3 + 4 = 7 #### 7", "... <CONCLUSION> 7 </CONCLUSION>" and
    "... <answer>7</answer>" it is what stands ahead. None where that is only a phrase such as "The answer is". said:
    the gold answer as written. turn: the assistant's last turn. kind, question: as for `unwrapped`.
    """
    if thought := inside("think", said) or inside("think", turn):
        return thought
    ahead, block, _ = said.partition("<answer>")
    if block:
        return ahead.strip() if _works(ahead, untagged("answer", said)) else None
    if final := final_answer(said):
        return said.rpartition("####")[0].strip() if _works(said.rpartition("####")[0], final) else None
    if found := _CONCLUSION.search(said):
        return said[: found.start()].strip() if _works(said[: found.start()], found[1]) else None
    box = _BOX.search(said)
    if box is None or kind == "OCR" or _COPIED.search(question) or not _boxes(said):
        return None
    return said.strip() if _works(said[: box.start()], "42") else None


def _works(ahead: str, answer: str) -> bool:
    """Tell whether the text ahead of an answer is more than marks and a phrase that presents the answer."""
    words = re.sub(r"</?\w+>|[$*_`\\([]+\s*$", " ", ahead).strip()
    return len(re.findall(r"\w+", words)) > 1 and presented(f"{words} {answer}") != answer.strip()


def _boxes(text: str) -> list[tuple[str, int]]:
    r"""Return (content, end) of each whole box of a text: \boxed{...} with its braces in pairs, or GLM's tokens."""
    found: list[tuple[str, int]] = []
    for start in _BOX.finditer(text):
        if start[0].startswith("<"):
            end = text.find("<|end_of_box|>", start.end())
            if end >= 0:
                found.append((text[start.end() : end].strip(), end + len("<|end_of_box|>")))
            continue
        depth = 1
        for at in range(start.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth == 0:
                found.append((text[start.end() : at].strip(), at + 1))
                break
    return found


def _bare(text: str) -> str:
    """Return a letter (perhaps with its text) or a number without the Markdown and LaTeX around it; else the text."""
    core, before = text.strip(), ""
    while core != before:
        before = core
        for left, right in _PAIRS:
            inside = core.removesuffix(".")
            if inside.startswith(left) and inside.endswith(right) and len(inside) > len(left) + len(right):
                core = inside[len(left) : -len(right)].strip()
        if command := _COMMAND.fullmatch(core):
            core = command[1].strip()
    return core if _LETTER.fullmatch(core) or _NUMBER.fullmatch(core) else text
