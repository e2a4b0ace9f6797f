"""The phrase that presents an answer, as in "The answer is B" and "Answer: 3": the gold answer is what it presents."""

from __future__ import annotations

import re

_OPENING = r"(?:(?:so|therefore|thus|hence|finally),?\s+)?"
_NOUN = r"(?:the\s+|my\s+)?(?:(?:final|correct|right|best|short)\s+)*(?:answer|option|choice|ans)"
_OF = r"(?:\s+(?:to|for)\s+(?:this|the)\s+(?:question|problem))?"
_VERB = r"(?:\s*[*_]*\s*[:：=]|\s+(?:is|was|should\s+be|would\s+be|must\s+be)\b\s*[:：]?)[\s*_]*"
_CHINESE = r"(?:(?:所以|因此|故),?，?)?(?:正确|最终)?答案(?:[是为]|\s*[:：])\s*[:：]?\s*"
_WORDS = rf"[#*_\s]*(?:{_OPENING}{_NOUN}{_OF}{_VERB}|{_CHINESE})"
_PHRASE = re.compile(_WORDS, re.IGNORECASE)
_LAST = re.compile(rf".*(?:[.!?。]\s+|\n){_WORDS}([^\n]+?)\s*", re.IGNORECASE | re.DOTALL)
_SENTENCES = re.compile(r"[.!?。]\s+\S")
_LABEL = re.compile(r"\A[(\[]?[A-Za-z\d][.)\]]\s+")
_OPTION = re.compile(r"(?:option|choice)\s*[:：]?\s*(?=[(\[]?[A-J](?:\W|$))", re.IGNORECASE)
_ABBREVIATED = re.compile(r"(?:^|[\s.])[A-Za-z]\.$")


def presented(text: str) -> str:
    """Return the answer that a text presents: "B" for "The answer is B.", "3" for "Answer: 3"; any other text as it is.

    The phrase opens the text, or its last sentence or line, where only one sentence follows the phrase. A full stop
    behind the answer is removed, as are stars of Markdown and the word "option" before a letter.
    """
    if opening := _PHRASE.match(text):
        rest = text[opening.end() :]
    elif (last := _LAST.fullmatch(text)) and not _SENTENCES.search(_LABEL.sub("", last[1], count=1)):
        rest = last[1]
    else:
        return text
    plain = _OPTION.sub("", rest.strip().strip("*_").strip(), count=1)
    if plain.endswith((".", "。")) and (len(plain) < 3 or not _ABBREVIATED.search(plain)):
        plain = plain[:-1].rstrip("*_ ")
    return plain or text
