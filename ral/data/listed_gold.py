"""Gold answers that are a list or an object written as text: "['green', 'lime']", '{"answer": "green"}'."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from ral.data.fields import Entry, shown
from ral.data.lacking import most_said

_MAY_BE_ONE = re.compile(r"\[\s*['\"].*['\"]\s*,?\s*\]|\{\s*['\"](?:answer|text|value)['\"]\s*:.*\}", re.DOTALL)
_ASKED = re.compile(
    r"\b(?:lists?|array|json|python|dict\w*|tuple|format|order|sort|rank|sequence|code|output)\b", re.IGNORECASE
)
MOST = 10_000
"""Characters above which a text is not read as a list."""


def refuse_lists(entry: Entry, field: str, answer: str, question: str) -> None:
    """Raise BadSample for a gold answer that is a list of texts, or an object around one, written as text.

    A question that asks for a list or an order may have one. field: field of the gold answer.
    """
    if len(answer) > MOST or not _MAY_BE_ONE.fullmatch(answer) or _ASKED.search(question):
        return
    try:
        value = ast.literal_eval(answer)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return
    if isinstance(value, Mapping):
        inner = next(iter(value.values()))
        if len(value) == 1 and isinstance(inner, str):
            entry.fail(field, f"{shown(answer)} is an object written as text", f'the answer alone: "{inner}"')
        return
    texts = [text.strip() for text in value if isinstance(text, str)]
    if len(texts) == len(value):
        one = texts[0] if len(set(texts)) == 1 else most_said(texts)
        write = f'the one right answer, such as "{one or texts[0]}"'
        entry.fail(field, f"{shown(answer)} is a list of {len(texts)} written as text", write)
