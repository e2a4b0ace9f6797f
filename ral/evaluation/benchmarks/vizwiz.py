"""VizWiz-VQA (Gurari et al. 2018, arXiv 1802.08218): questions that blind people asked about their photographs.

Dataset lmms-lab-encoder/VizWiz-VQA, split val: 4,319 questions, ten annotators' answers each. Scored by VQA accuracy:
for each choice of nine of the ten annotators min(1, number that gave the answer / 3), averaged over these choices.
Answers are compared in the normal form of the VQA evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.choice import final
from ral.evaluation.benchmarks.folder import CACHE, Items, picture, rows
from ral.evaluation.benchmarks.items import Item, Judged, mean
from ral.types import Example, UserError

EXPECTED = "lmms-lab-encoder/VizWiz-VQA: data/val-*.parquet"
COLUMNS = ("question_id", "image", "question", "answers")
INSTRUCTION = (
    "\nWhen the provided information is insufficient, respond with 'Unanswerable'."
    "\nAnswer the question using a single word or phrase."
)
ENOUGH = 3  # annotators that make an answer fully right
MARKS = ';/[]"{}()=+\\_-><@`'
ARTICLES = ("a", "an", "the")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: str(n) for n, word in enumerate(DIGITS)} | {"none": "0"}
CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# What is written without one of its apostrophes gets it back. One entry of the published table takes one away.
RESTORED = {word[: m.start()] + word[m.end() :]: word for word in CONTRACTIONS.split() for m in re.finditer("'", word)}
RESTORED["somebody'd"] = "somebodyd"


def load(path: str | Path, split: str = "val", cache: str | Path = CACHE) -> Sequence[Item]:
    """Return the items with their ten answers; group: the category of the answer, "" where the file has none.

    path: the downloaded folder. cache: folder for images. UserError where the folder has another layout, and, when an
    item is asked for, where it has no answers (the split test).
    """

    def item(row: Mapping[str, Any], n: int) -> Item:
        if not row["answers"]:
            raise UserError(
                f"{path}: '{row['question_id']}' has no answers; write benchmark.tasks.vizwiz.source.split=val"
            )
        answers = tuple(row["answers"])
        common = max(dict.fromkeys(answers), key=answers.count)
        question = row["question"].capitalize() + INSTRUCTION
        media = (picture(row["image"], cache),)
        example = Example(str(row["question_id"]), question, common, "free-form", media)
        return Item(example, group=row.get("category") or "", answers=answers)

    return Items(rows(path, split, expected=EXPECTED, columns=COLUMNS), item)


def normal(text: str) -> str:
    """Return the normal form of the VQA evaluation: lower case, no articles, number words up to ten as digits.

    Commas and question marks are removed, and points that no digit follows. Each other mark of MARKS, and "!", is
    removed everywhere if it stands beside a blank anywhere in the text; else each becomes a blank, so that "t-shirt" is
    two words. "'s" becomes a word of its own, "none" becomes "0", "dont" becomes "don't".
    """
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = re.sub(r"[\n\t]", " ", text)
    spaced = text
    for mark in (*MARKS, "!"):
        beside_blank = f"{mark} " in spaced or f" {mark}" in spaced
        text = text.replace(mark, "" if beside_blank else " ")
    text = re.sub(r"\.(?!\d)", "", text)
    words = (NUMBERS.get(word, word) for word in text.split() if word not in ARTICLES)
    return " ".join(RESTORED.get(word, word) for word in words)


def agreement(answer: str, answers: Sequence[str]) -> float:
    """Return the VQA accuracy in [0, 1] of an answer. answers: the annotators'; all in normal form."""
    same = [other == answer for other in answers]
    return mean([min(1.0, (sum(same) - own) / ENOUGH) for own in same])


def judge(item: Item, response: str) -> Judged:
    """Return the agreement of the response's answer with the annotators, from 0 to 1, as score."""
    answer = normal(final(response))
    return Judged(answer, agreement(answer, [normal(other) for other in item.answers]))
