"""Words for yes and no in some twenty languages, and those that judge a statement."""

from __future__ import annotations

# words for yes, words for no: of one language or of one way to judge
LANGUAGES = (
    ("yes yeah yep yup yea", "no nope nah nay"),
    ("是 是的 嗯 嗯嗯 没错 沒錯", "否 不 不是 不是的 並非 并非"),
    ("对 对的 對 對的", "不对 不對"),
    ("はい ええ うん そうです はいそうです", "いいえ いえ 違います ちがいます そうではありません"),
    ("네 예 그렇습니다 맞습니다 맞아요 그래요", "아니요 아니오 아뇨 아닙니다 아니에요"),
    ("ja jawohl jep", "nein nee nej nei"),
    ("oui", "non"),
    ("sí si sì claro", "no"),
    ("sim", "não nao"),
    ("да ага", "нет"),
    ("так", "ні"),
    ("tak", "nie"),
    ("ano", "ne"),
    ("evet", "hayır hayir"),
    ("có đúng", "không sai"),
    ("ya iya", "tidak bukan"),
    ("نعم أجل بله آره", "لا كلا خیر نه"),
    ("हाँ हां जी हाँ", "नहीं"),
    ("ใช่ ใช่ครับ ใช่ค่ะ", "ไม่ใช่ ไม่ ไม่ครับ ไม่ค่ะ"),
    ("ναι", "όχι"),
)
JUDGEMENTS = (
    ("true", "false"),
    ("correct", "incorrect"),
    ("有 有的", "没有 沒有 没 沒 无 無 没有的"),
    ("正确 正確 正确的 正確的", "错误 錯誤 错 錯 错的 错误的 錯誤的 不正确 不正確"),
    ("对 對 对的", "错 錯 错的 错误 錯誤"),
    ("会 會", "不会 不會"),
    ("能 可以", "不能 不可以"),
    ("あります います 正しい 正しいです", "ありません いません 正しくない 正しくありません"),
    ("있습니다 있어요", "없습니다 없어요 틀렸습니다"),
)
OF_OPTIONS_ALONE = (("right", "wrong"), ("〇 ○ ✓ ✔ √ o", "× ✗ ✘ x"))
"""Words that mean yes and no where they are the options, and may mean anything else in an answer."""

OF_STATEMENTS = {"true", "false", "correct", "incorrect", "right", "wrong"}
