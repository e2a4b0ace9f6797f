"""Conversion of the published questions easy-VQA 1.0 (5,000 images, 48,248 questions, MIT licence) to Video-R1 JSON.

It reads the data folder of the package `easy-vqa`: train/questions.json and test/questions.json, each an array of
[question, answer, image number], beside images/<number>.png.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.files.targets import check_free

KINDS: dict[str, tuple[str, ...]] = {
    "yes or no": ("no", "yes"),
    "shape": ("circle", "rectangle", "triangle"),
    "color": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
}
SPLITS = ("sft", "train", "validation", "test")
KIND_OF = {answer: kind for kind, answers in KINDS.items() for answer in answers}
NEGATED = re.compile(r"\b(?:not|no)\b")
NAMED = re.compile(rf"\b(?:{'|'.join(KINDS['shape'] + KINDS['color'])})\b")


@dataclass(frozen=True)
class Conversion:
    """Settings of one conversion of easy-VQA to Video-R1 JSON.

    source: data folder of the package `easy-vqa`. output: folder that is written. limits: {split: greatest number of
    entries, None for all}, with every split of SPLITS as a key. sft_share: share, in [0, 1], of the training images
    whose questions go to sft.json. seed: fixes order and split. copy: whether images are copied to `output`.
    overwrite: whether files that are there already are written over.
    """

    source: Path
    output: Path
    limits: Mapping[str, int | None]
    sft_share: float
    seed: int
    copy: bool
    overwrite: bool = False


@dataclass(frozen=True)
class Question:
    """One question of the package.

    number: unique over the parts "train" and "test". picture: path of its image below the data folder.
    """

    number: int
    text: str
    answer: str
    picture: str

    @property
    def negated(self) -> bool:
        """Tell whether the question is negated, as in "is there not a red shape?"."""
        return bool(NEGATED.search(self.text))

    @property
    def named(self) -> str | None:
        """Return the shape or color that the question itself names; None where it names none."""
        match = NAMED.search(self.text)
        return match.group() if match else None

    @property
    def options(self) -> tuple[str, ...]:
        """Return all answers that questions of this kind have, sorted, such as ("no", "yes")."""
        return KINDS[KIND_OF[self.answer]]

    @property
    def letter(self) -> str:
        """Return the letter of the right option, "A" for the first."""
        return chr(ord("A") + self.options.index(self.answer))


def find_data(source: Path) -> Path:
    """Return the folder that holds train/ and test/: `source` itself, or data/ or easy_vqa/data/ in it.

    UserError where none of these holds both.
    """
    for folder in (source, source / "data", source / "easy_vqa" / "data"):
        if all((folder / half / "questions.json").is_file() for half in ("train", "test")):
            return folder
    raise UserError(
        f"{source} holds no easy-vqa data: train/questions.json and test/questions.json are missing; "
        "give the folder easy_vqa/data of the unpacked package"
    )


def read_questions(data: Path, half: str, first: int) -> list[Question]:
    """Return all questions of a part. half: "train" or "test". first: number of the first question.

    UserError for a file that is no JSON or has no questions, a malformed row or a missing image.
    """
    path = data / half / "questions.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: no readable JSON ({error}); unpack the package again") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: no questions; expected an array of [question, answer, picture number]")
    pictures = {picture.name for picture in (data / half / "images").glob("*.png")}
    return [_question(path, half, index, row, first, pictures) for index, row in enumerate(rows)]


def _question(path: Path, half: str, index: int, row: Any, first: int, pictures: set[str]) -> Question:
    """Return row `index` of a questions.json as a Question. UserError, naming the row, where it is malformed."""
    where = f"{path} entry {index + 1}"
    match row:
        case [str(text), str(answer), int(number)]:
            pass
        case _:
            raise UserError(f"{where}: {json.dumps(row)[:80]} is not [question, answer, picture number]")
    if answer not in KIND_OF:
        raise UserError(f"{where}: answer {answer!r} is none of {', '.join(KIND_OF)}")
    if answer in KINDS["yes or no"] and not NAMED.search(text):
        raise UserError(f"{where}: question {text!r} names no shape and no color to answer yes or no to")
    if f"{number}.png" not in pictures:
        raise UserError(f"{where}: picture {path.parent / 'images' / f'{number}.png'} is missing")
    return Question(first + index, text, answer, f"./{half}/images/{number}.png")


def facts_of(questions: Iterable[Question]) -> dict[str, dict[str, str]]:
    """Return {image: {"color": ..., "shape": ...}}, as far as the questions about an image and their answers tell.

    Facts come from answers that are a color or a shape, from the thing named in "what color is the circle?", and from
    "is there a red shape?" answered by yes. Each image holds exactly one shape.
    """
    facts: dict[str, dict[str, str]] = {}
    for question in questions:
        known = facts.setdefault(question.picture, {})
        kind = KIND_OF[question.answer]
        if kind != "yes or no":
            known[kind] = question.answer
        if question.named and (kind != "yes or no" or (question.answer == "yes") != question.negated):
            known[KIND_OF[question.named]] = question.named
    return facts


def thought_of(question: Question, known: dict[str, str]) -> str:
    """Return a short reasoning, true by the package's answers: on the image, the question and the right option.

    known: the facts on the question's image, as in `facts_of`. An example: "The picture shows a blue circle. The
    question asks whether a red shape is missing. It is. That is yes, option B."
    """
    thing = " ".join(known[kind] for kind in ("color", "shape") if kind in known)
    thing += "" if "shape" in known else " shape"
    seen = f"The picture shows a {thing}. " if known else ""
    kind = KIND_OF[question.answer]
    if kind != "yes or no":
        return f"{seen}The question asks for the {kind}. That is {question.answer}, option {question.letter}."
    asked = f"a {question.named}" + (" shape" if question.named in KINDS["color"] else "")
    state = "missing" if question.negated else "there"
    verdict = "It is." if question.answer == "yes" else "It is not."
    return (
        f"{seen}The question asks whether {asked} is {state}. {verdict} "
        f"That is {question.answer}, option {question.letter}."
    )


def entry_of(question: Question, thought: str | None) -> dict[str, Any]:
    """Return a question as an entry of a Video-R1 file. thought: its field `process`; None for no such field."""
    entry = {
        "problem_id": question.number,
        "problem": question.text,
        "data_type": "image",
        "problem_type": "multiple choice",
        "options": [f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(question.options)],
        "solution": f"<answer>{question.letter}</answer>",
        "path": question.picture,
        "data_source": "easy-vqa",
    }
    return entry if thought is None else entry | {"process": f"<think>{thought}</think>"}


def split_by_picture(
    questions: list[Question], share: float, rng: random.Random
) -> tuple[list[Question], list[Question]]:
    """Return two shuffled lists of questions without a common image.

    The first has a share of the images, not none or all. share: in [0, 1]. UserError where there is only one image.
    """
    pictures = sorted({question.picture for question in questions})
    if len(pictures) < 2:
        raise UserError(f"{questions[0].picture} is the only picture of its half; two are needed to split them")
    rng.shuffle(pictures)
    chosen = set(pictures[: min(max(1, round(share * len(pictures))), len(pictures) - 1)])
    mixed = rng.sample(questions, len(questions))
    return [q for q in mixed if q.picture in chosen], [q for q in mixed if q.picture not in chosen]


def make_splits(data: Path, asked: Conversion) -> dict[str, list[dict[str, Any]]]:
    """Return {split: its entries}, within the limits and in an order that the seed fixes.

    UserError where the data are malformed.
    """
    train = read_questions(data, "train", 0)
    test = read_questions(data, "test", len(train))
    rng = random.Random(asked.seed)
    sft, rl = split_by_picture(train, asked.sft_share, rng)
    validation, held_out = split_by_picture(test, 0.5, rng)
    facts = facts_of(train)
    return {
        "sft": [entry_of(q, thought_of(q, facts[q.picture])) for q in sft[: asked.limits["sft"]]],
        "train": [entry_of(q, None) for q in rl[: asked.limits["train"]]],
        "validation": [entry_of(q, None) for q in validation[: asked.limits["validation"]]],
        "test": [entry_of(q, None) for q in held_out[: asked.limits["test"]]],
    }


def copy_pictures(data: Path, output: Path, pictures: Iterable[str]) -> None:
    """Copy images, given by paths below `data`, to the same places below `output`."""
    for picture in pictures:
        target = output / picture
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / picture, target)


def convert(asked: Conversion) -> None:
    """Write a file for each split, copy the images where `asked.copy` says so, and print how to use the files.

    UserError where the data are missing or malformed, or something would be written over.
    """
    from rich.progress import track

    data = find_data(asked.source)
    splits = make_splits(data, asked)
    copied = asked.copy and asked.output.resolve() != data.resolve()
    used = sorted({entry["path"] for entries in splits.values() for entry in entries}) if copied else []
    check_free([asked.output / name for name in (*(f"{name}.json" for name in splits), *used)], asked.overwrite)
    asked.output.mkdir(parents=True, exist_ok=True)
    if copied:
        copy_pictures(data, asked.output, track(used, description="copying pictures"))
    for name, entries in splits.items():
        path = asked.output / f"{name}.json"
        path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        print(f"{path}: {len(entries)} entries")
    root = "" if asked.copy else f" dataset.media_root={data}"
    files = f"dataset.path={asked.output / 'train.json'} dataset.validation_path={asked.output / 'validation.json'}"
    print(f"use: dataset=jsonl {files}{root}")
