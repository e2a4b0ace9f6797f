"""The words with which people claim an option ("I choose B", 答案是B, "la respuesta es B"), give reasons, or hedge.

Those with which they take one back stand in ral.rewards.denials. `without_claims` takes them off an answer's front.
"""

from __future__ import annotations

import re
import unicodedata

from ral.rewards.refusals import REFUSAL

LONGEST = 200  # characters of an answer in which such words are looked for
MOST_CLAIMS = 4  # one inside the other: "So I think the answer is option B"
ENDS = " .,:;!?。、…·"

_SURE = (
    r"(?:undoubtedly|doubtless(?:ly)?|unquestionably|surely|evidently|of course|no (?:doubt|question|wonder)"
    r"|(?:without|beyond) (?:(?:a|any|all) )?(?:shadow of a )?(?:doubt|question))"
)
_HAN_SURE = r"(?:毫无疑问|毫無疑問|毫无疑义|毋庸置疑|无疑|無疑|显然|顯然|很明显|明显|肯定|当然|當然|一定|确实|確實)地?"
_OPENERS = (
    rf"(?:(?:(?:there is|there's|i have|we have|there can be) )?{_SURE}(?: about (?:it|that))?(?: that)?|{_HAN_SURE}"
    r"|so|therefore|thus|hence|then|well|ok|okay|yes|sure|clearly|finally|in conclusion|overall|所以|因此|故|那么)"
)
_ADVERBS = (
    rf"(?:most likely|probably|likely|clearly|definitely|obviously|therefore|thus|indeed|simply|actually|certainly"
    rf"|absolutely|still|{_SURE})"
)
_KINDS = (
    r"(?:answer|ans\.?|pick|option|choice|letter|response|solution|alternative|candidate|selection|statement|guess|bet|vote"
    r"|verdict|conclusion)"
)
_BEST = (
    r"(?:correct|right|best|final|most (?:likely|appropriate|accurate|plausible|suitable|fitting)|(?:one and )?only"
    r"|proper|true)"
)
_NOUN = (
    rf"(?:(?:the|my|our|your) )?(?:{_BEST} ){{0,2}}{_KINDS}(?: here| choice| option| letter| to (?:the|this) question)?"
)
_BE = r"(?:is|would be|should be|must be|will be|has to be|appears to be|seems to be|=|->|→|⇒|-)"
_PICK = (
    r"(?:(?:i|we|let us|let)(?:'d|'ll|'m|'s| would| will| shall| am| have to| must)? ?)?(?:rather )?"
    r"(?:choose|pick|select|chose|picked|selected|go(?:ing)? (?:with|for)|going to go with|opt for|vote for|say|answer"
    r"|believe|think|guess|conclude|suppose|settle on|call (?:it|this|that)|choosing|picking|selecting)\b(?: that)?"
)
_ENGLISH = (
    rf"(?:{_PICK} )?(?:(?:{_NOUN}|it|that|this)(?:'s| ?{_BE}| was)(?: {_ADVERBS})?(?: that)? ?:? ?)",
    rf"{_NOUN}(?: ?:| -+)? ?",
    r"only (?=(?:option |[(\[])?[a-z][)\]]?(?: is\b|[\s.!]*$))",
    rf"{_PICK} ?:? ?",
    rf"(?:it )?(?:must|should|has to|can only|would)(?: {_ADVERBS})? be "
    r"|(?:selected|chosen|picked)(?: (?:answer|option|choice))? ?: ?",
    rf"(?:{_ADVERBS},?|{_BEST}(?: {_KINDS})? ?:|my {_KINDS}|i am {_ADVERBS} sure it is) ?",
)
_HAN = (
    r"(?:我(?:们|們)?|本题|此题|这题|本題)?(?:应该|应|應該|應|会|會|认为|認為|觉得|最终|最終|可以)?"
    r"(?:选|選(?!択))(?:择|擇|取|项|項|的是)? ?[:是为為]? ?",
    r"(?:我(?:们)?(?:认为|觉得)?)?(?:本题|这道题|此题)?的?(?:正确|正確|最终|最終|最佳|最后|参考|標準|标准)?的?"
    r"(?:答案|选项|選項|解答|解|答え|答|正解|回答)(?:应该|应|應該|應)?[是为為選选は]? ?[:、]? ?(?:选项|選項|选|選)? ?",
    r"(?:正确|正確)的是 ?|(?:是|为) ?|我(?:们|們)?(?:认为|認為|觉得|覺得|想|猜)(?:应该)?(?:答案)?是? ?",
    r"私は|最も適切な(?:選択肢|答え)は ?",
    r"(?:정답|답|답변|선택(?!지))(?:은|는|:| :)? ?",
)
_OTHERS = (
    # Spanish, Portuguese, Italian, French
    r"(?:la|a|il|le|o) (?:respuesta|resposta|risposta|réponse|reponse|bonne réponse|opción|opção|opzione|alternativa"
    r"|lettre|letra|choix)(?: (?:correcta|correta|corretta|correcte|exacte|certa|giusta|final|juste))?"
    r"(?: (?:est|es|é|è))?"
    r"(?: (?:la|a|o|le|il|l'))? ?:? ?(?:opción|opção|opzione|letra|alternativa|option|lettre)? ?",
    r"(?:respuesta|resposta|risposta|réponse|reponse|opción|opção|opzione|letra|alternativa|lettre|inciso|choix)"
    r"(?: (?:correcta|correta|corretta|correcte|final|finale))? ?:? ?",
    r"(?:(?:yo|eu|io|je) )?(?:elijo|escojo|escolho|scelgo|choisis|sélectionne|selecciono)(?: (?:la|a|o|le))?"
    r"(?: (?:opción|opção|opzione|letra|option|lettre|réponse))? ?",
    r"(?:es la|é a|è la|c'est(?: la)?) (?:opción|opção|opzione|letra|option|lettre|réponse)? ?",
    # German, Dutch, Scandinavian
    r"(?:(?:die|meine|das|het|mijn|svaret|det) )?(?:(?:richtige|korrekte|beste|juiste|goede|rätta|rigtige) )?"
    r"(?:antwort|lösung|option|antwoord|optie|svar|svaret|auswahl)(?: (?:ist|lautet|is|är|er))? ?:? ?"
    r"(?:option|optie)? ?",
    r"(?:ich (?:wähle|nehme|denke, es ist)|ik kies|jag väljer|richtig ist|es ist) (?:option|antwort)? ?",
    # Russian, Ukrainian, Polish, Czech
    r"(?:(?:мой|правильный|верный|окончательный|правильна|moja|poprawna|prawidłowa|správná) )?"
    r"(?:ответ|вариант|відповідь|odpowiedź|odpověď)(?: (?:ответа|to|je))?(?: [-—–])? ?:? ?(?:вариант|буква)? ?",
    r"(?:я )?(?:выбираю|выберу|обираю|wybieram|vybírám)(?: (?:вариант|ответ|odpowiedź))? ?",
    # Turkish, Vietnamese, Indonesian, Arabic, Persian, Hindi, Thai
    r"(?:doğru )?(?:cevap|yanıt|seçenek)(?:ım)? ?:? ?",
    r"(?:câu trả lời|đáp án|phương án|lựa chọn)(?: (?:đúng|chính xác))?(?: là)? ?:? ?|(?:tôi )?chọn(?: đáp án)? ?",
    r"(?:jawaban|pilihan|opsi)(?:nya)?(?: (?:yang )?(?:benar|tepat|akhir))?(?: adalah)? ?:? ?|saya (?:pilih|memilih) ?",
    r"(?:ال)?(?:إجابة|اجابة|جواب|خيار)(?: ال?صحيحة?)?(?: (?:هي|هو))? ?:? ?|(?:پاسخ|گزینه)(?: (?:صحیح|درست))? ?:? ?",
    r"(?:सही )?(?:उत्तर|जवाब|विकल्प)(?: है)? ?:? ?|(?:คำตอบ|ตัวเลือก|ข้อ)(?:ที่ถูกต้อง)?(?:คือ)?(?:ข้อ)? ?:? ?",
)
_NAMED = (
    r"(?:(?:the )?(?:option|choice|letter|answer)(?: (?:letter|number))?|opción|opção|选项|選項|選択肢|선택지) ?:? ?"
)
SURE_LAST = re.compile(
    rf"(?<=[^\W_]),? (?:{_SURE}(?: about (?:it|that))?|on (?:second thoughts?|reflection))[\s.!]*$", re.IGNORECASE
)
IT_IS_LAST = re.compile(r"(?<=\w)(?:です|である|だ|입니다|이에요|예요|이다)[\s.。!]*$")
"""Matches "it is" as Japanese and Korean say it, behind what it is."""
CLAIM = re.compile(
    unicodedata.normalize(
        "NFKC", rf"(?:{_OPENERS}[,:]? ?)?(?:(?:{'|'.join((*_ENGLISH, *_HAN, *_OTHERS))}) ?(?:{_NAMED})?|{_NAMED})"
    ),
    re.IGNORECASE,
)
OPENER = re.compile(rf"{_HAN_SURE}[,:、]? ?|{_OPENERS}(?:[,:.] ?| )", re.IGNORECASE)

_CONFIRMED = (
    rf" (?:is|would be|should be|must be|seems|looks|appears)(?: to be)?(?: {_ADVERBS})?"
    rf" (?:(?:the|my|our) )?(?:{_BEST}(?: {_KINDS})?|{_KINDS})",
    rf" (?:is not|isn't) (?:the|an?) (?:wrong|incorrect|false) (?:one|{_KINDS})",
    rf" it is| for sure| is(?=[\s.!]*$)|,? {_ADVERBS}",
    r",? (?:i think|i believe|i guess|i suppose|i would say|i'd say)| \(?final answer\)?",
    r" ?是(?:正确|正確)?(?:答案|选项)",
    r" ?(?:选项|選項|项|項)?(?:是)?(?:最)?(?:正确|正確|对|對|合适|合適|符合题意)(?:的)?(?:答案|选项|選項)?",
    r" ?(?:项|項|选项|選項)",
    r" ?(?:番|が正解|が正しい|が答え)?(?:です|である|だ|を選びます|を選択します|を選ぶ)",
    r" ?(?:번)?(?:입니다|이다|예요|이에요|가 정답입니다|를 선택합니다|을 선택합니다)| ?번",
    r" (?:ist|is) (?:richtig|korrekt|juist|correct|goed)| (?:est|es|é|è) (?:la |a )?(?:(?:bonne|correcta|correta"
    r"|correcte|corretta|certa)(?: (?:réponse|respuesta|resposta|risposta))?"
    r"|(?:réponse|respuesta|resposta|risposta) \w+)",
    r" (?:है|là đúng|là đáp án đúng|olur|doğrudur)",
)
_REASON = (
    r"(?:(?:because|since|as (?:it|the|this|that|we|shown|seen)|for the reason|due to|given that"
    r"|which (?:is|shows|matches)"
    r"|weil|denn|porque|perché|parce que|потому что|так как|porqué)(?![^\W\d_])"
    r"|(?:因为|因為|由于|理由|なぜなら|왜냐하면))"
    r"(?=\W*\w|\w)"
)
CONFIRMED = re.compile(rf"(?:{'|'.join(_CONFIRMED)})(?=[\s,.;:!。，]|$)", re.IGNORECASE)
_CAR = r"car(?= (?:l[ea]s?\b|l'|ils?\b|elles?\b|c'est|ce\b|cett?e?\b|une?\b))"  # French for because; "A car" is none
REASON = re.compile(rf"[,，;.。]? ?(?:{_REASON}|{_CAR})|[,，;] ?car\b(?=\W*\w)", re.IGNORECASE)

DESCRIBED = re.compile(r"(?:is|are|was|shows?|has|looks?|contains|depicts|represents|describes|says)\b", re.IGNORECASE)
"""Matches the words after a letter that a sentence describes: "(A) is soft, and (B) is hard"."""
HEDGE = re.compile(
    r"(?:(?:and|or|/|vs\.?|versus)(?:\W|$)|(?:maybe|perhaps|possibly) |或者?|还是|還是|または|oder |или )",
    re.IGNORECASE,
)
"""Matches the text after a letter that is one of several: "B or C", "B/C"."""
STATED = re.compile(
    rf"(?:(?<=[\s,;:])|^)(?:{_NOUN}(?:'s| ?(?:{_BE}|:))(?: {_ADVERBS})? ?|(?:答案|选项)(?:是|为|:) ?"
    r"|(?:故|应|所以)?选(?:择)? ?:? ?)"
    r"(?:(?:option|choice|letter) )?[(\[]?([A-Za-z])[)\]]?[\s.!。]*$"
    rf"|\b(?:option|choice) [(\[]?([A-Za-z])[)\]]? is (?:the )?(?:{_BEST}(?: {_KINDS})?|{_KINDS})[\s.!]*$",
    re.IGNORECASE,
)
"""Matches a claim at the end of an answer: "so the answer is B."."""
UNSURE = re.compile(
    r"\b(?:(?:can ?not|can't|could not|couldn't|unable to|impossible to|not possible to|hard to|difficult to|no way to)"
    r"(?: be)?(?: \w+)? (?:determine[d]?|tell|say|see[n]?|know|identify|identified|decide|answer(?:ed)?|be sure"
    r"|be certain|conclude|read|make out|choose|select|pick|confirm)"
    r"|(?:not|n't) (?:sure|certain|clear|know|enough|visible|possible|see)|unsure|uncertain|unclear|insufficient"
    r"|unknown|cannot answer|no idea|undetermined|indeterminate)\b"
    rf"|{REFUSAL}"
    r"|nothing (?:certain|conclusive|clear)|无法|無法|不能确定|不确定|不確定|不知道|看不清|不清楚|わかりません"
    r"|分かりません|판단할 수 없|모르겠|не могу|невозможно|ne peux pas|no puedo|não posso|nicht bestimmen|kann nicht",
    re.IGNORECASE,
)
"""Matches a refusal to answer, or a doubt."""


def without_claims(text: str) -> list[str]:
    """Return a text, the text without the claim in front, without the next claim too, and so on.

    "The answer is: I choose B" gives itself, "I choose B" and "B". At most MOST_CLAIMS claims are taken off; a claim
    with nothing behind it stays.
    """
    forms = [text]
    for _ in range(MOST_CLAIMS):
        head = forms[-1][:LONGEST]
        claim = CLAIM.match(head) or OPENER.match(head)
        rest = forms[-1][claim.end() :].lstrip(" :,") if claim and claim.end() else ""
        if not rest.strip(ENDS):
            break
        forms.append(rest)
    return forms


_SUBJECT = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:the|its|their|this|that)(?P<words>(?: [^\W\d_]+){1,6}?)"
    r" (?:is|are|was|equals|is equal to|is given by|will be|must be|=):? (?=[-+(\[\d\\$√π{|]|[a-z](?![a-z]))",
    re.IGNORECASE,
)
_OF_ANOTHER = re.compile(
    r"\b(?:not|no|never|other|another|opposite|inverse|reciprocal|negative|complement|wrong|incorrect|false|original"
    r"|previous|half|twice|double|square|if|unless|less|more|than|which|who)\b",
    re.IGNORECASE,
)


def without_subject(text: str) -> str | None:
    """Return the end of a sentence that says what one thing is, "2√3" of "The length is 2√3", if it begins like a
    formula; else None.

    None also where the subject is another thing's opposite, inverse, half or the like.
    """
    found = _SUBJECT.match(text.strip())
    return text.strip()[found.end() :] if found and not _OF_ANOTHER.search(found["words"]) else None
