"""Questions that ask for what is wrong ("Which statement is incorrect?"): there "B is incorrect" names B."""

from __future__ import annotations

import re

_WRONG = r"(?:incorrect|wrong|false|untrue|invalid|(?:not|n't) (?:correct|right|true|accurate|valid))"
_HAN = r"(?:错误|錯誤|不正确|不正確|不对|不對|有误)"
_ASKS = re.compile(
    rf"\b(?:which|what|select|choose|identify|find|pick|mark|name)\b[^.?!\n]{{0,120}}?(?:\b|(?=n't)){_WRONG}"
    r"(?! (?:with|in|about|here)\b)(?!\w)"
    rf"|{_HAN}的(?:是|一项|一項|选项|選項|说法)|(?:哪|何)[^。?？]{{0,12}}{_HAN}",
    re.IGNORECASE,
)
"""Matches a question for what is wrong, not "What is wrong with it?"."""
_NOUN = r"(?:one|answer|option|choice|statement|claim|letter|description|sentence|fact)"
_IS_WRONG = re.compile(rf"\b(?:is|was) ?(?:(?:the|an?) )?(?:only )?{_WRONG}(?: {_NOUN})?(?=[\s.!,;]|$)", re.IGNORECASE)
_THE_WRONG = re.compile(rf"\b(?:the |an? )?(?:only )?{_WRONG} (?:{_NOUN} )?(?=is\b)|{_HAN}的(?=是)", re.I)
_HAN_WRONG = re.compile(rf"(?:是)?(?:{_HAN}|错|錯)的?(?=[\s。.!]*$)")


def as_asked(question: str, answer: str) -> str:
    """Return `answer`, with "is the answer" in place of "is wrong" if `question` asks for what is wrong."""
    if not _ASKS.search(question):
        return answer
    turned = _THE_WRONG.sub("the answer ", answer)
    if turned == answer:
        turned = _IS_WRONG.sub("is the answer", answer)
    return _HAN_WRONG.sub("是答案", turned)
