"""Answers that say there is none of what was counted: "none", "no apples", 没有苹果; they meet the gold answer 0."""

from __future__ import annotations

import re

from ral.rewards.refusals import refuses

_LEAD = (
    r"(?:(?:so|therefore|thus),? )?(?:(?:the answer|it|the (?:number|count|total)) (?:is|would be) |answer ?: ?"
    r"|(?:in total,? )?there (?:is|are|was|were) |there's |(?:i|we) (?:can )?(?:see|count|find|have) "
    r"|(?:it|he|she) has |they have )?"
)
_NOT_COUNTED = (
    r"idea|answers?|number|solutions?|way|doubt|question|problem|wonder|one|data|information|info|clue|comment|more|less"
    r"|fewer|longer|result|response|definite|single|exact|clear|conclusion|need|evidence|mention|matter|real|such|sense"
    r"|choice|option|correct|valid|right|thanks|chance|not"
)
_UNLIKE = r"(?! (?:but|or|and|except|besides|only|other|than)\b)"
_ENGLISH = re.compile(
    rf"{_LEAD}(?:none(?: at all| (?:of|in) (?:them|these|those|it"
    r"|the (?!above|options?|choices?|answers?|given|following)[a-z]+))?"
    r"|none (?:are|is|were|was|can be) (?:visible|seen|shown|present|there|found)(?: here| in (?:it|the [a-z]+))?"
    rf"|nil|nobody|no one|not (?:any|a single one)|nought|nothing(?: at all)?|no "
    rf"(?!(?:{_NOT_COUNTED})\b)[a-z]+(?:{_UNLIKE} [a-z]+){{0,5}})[\s.!]*",
    re.IGNORECASE,
)
_NOT_ANY = re.compile(
    r"(?:there (?:are|is|were) ?(?:n't|not)|(?:i|we) (?:do|can|could|did)(?:n't|not| not) (?:see|find|count)"
    r"|(?:i|we) can't (?:see|find)) (?:any|a single one)(?: (?!image|picture|photo|video|clip|frame|file|information"
    r"|data|answer|way|reason|doubt|difference|problem|other|more|but|or|and|except|than)[a-z]+"
    rf"(?:{_UNLIKE} [a-z]+){{0,4}})?"
    r"[\s.!]*",
    re.IGNORECASE,
)
_HAN = re.compile(
    r"(?:答案是?[:：,，]?|一共|总共|總共|[图圖视視画畫][中里裡片频頻面]{1,2}|这里|這裡|其中|里面){0,3}"
    r"(?:一[个個只隻人本条條辆輛张張]也?都?)?(?:没有|沒有|无|無)(?:任何)?"
    r"(?!答案|办法|辦法|足够|足夠|信息|資訊|数字|數字|解|给|給"
    r"|说|說|提|显示|顯示|问题|問題|疑|法|关|關|选项|選項|正确|正確)"
    r"[\u4e00-\u9fff]{0,6}[\s.。!！]*"
)


def says_none(text: str) -> bool:
    """Tell whether a text says that there is none of something.

    "none of the above", "no idea", "no more than" and refusals ("No image was provided.") do not.
    """
    plain = " ".join(text.split()).strip("*\"'` ")
    if refuses(plain):
        return False
    plain = plain.replace("’", "'")
    return any(form.fullmatch(plain) for form in (_ENGLISH, _NOT_ANY)) or _HAN.fullmatch(plain) is not None
