"""What people's files hold that cannot be read, or only seems so: the message, or the example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import call
from PIL import Image

from ral.data.bad import BadSample
from ral.data.sources import jsonl, video_r1
from ral.errors import UserError
from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example, Turn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (56, 56), "red").save(tmp_path / "a.png")
    (tmp_path / "c.mp4").write_bytes(b"not opened here")
    return tmp_path


GOOD = {"question": "Color?", "answer": "red", "image": "a.png"}


def opened(folder: Path, text: str) -> Any:
    (folder / "data.json").write_text(text, encoding="utf-8")
    return jsonl("train", path=folder / "data.json", validation_size=1)


def read(folder: Path, **fields: Any) -> Example:
    example: Example = opened(folder, json.dumps([GOOD | fields, GOOD, GOOD]))[0]
    return example


def refused(folder: Path, **fields: Any) -> str:
    with pytest.raises(BadSample) as caught:
        read(folder, **fields)
    assert "\n" not in str(caught.value) and ": entry 1: " in str(caught.value)
    return str(caught.value)


COLORS = ["red", "blue", "green"]


@pytest.mark.parametrize(
    ("options", "answer", "words"),
    [
        (COLORS, "B. red", "'B. red' contradicts itself: B is 'blue', and that text is of option A"),
        (COLORS, "A, green", "contradicts itself: A is 'red', and that text is of option C"),
        (["C) x", "A) y", "B) z"], "(C) y", "contradicts itself: C is 'x', and that text is of option A"),
    ],
)
def test_a_letter_and_the_text_of_another_option_contradict(
    folder: Path, options: list[str], answer: str, words: str
) -> None:
    assert words in refused(folder, options=options, answer=answer)


@pytest.mark.parametrize(
    "answer", ["C, green", "c green", "C (green)", "C; green", "green (C)", "C - green", "C, Green "]
)
def test_a_letter_and_its_own_text_name_an_option_in_any_dress(folder: Path, answer: str) -> None:
    assert read(folder, options=COLORS, answer=answer).answer == "C"


@pytest.mark.parametrize(
    ("options", "answer", "shown", "gold"),
    [
        (["E. coli", "S. aureus"], "A", ("A. E. coli", "B. S. aureus"), "A"),
        (["E. coli", "S. aureus", "B. subtilis"], "C", ("A. E. coli", "B. S. aureus", "C. B. subtilis"), "C"),
        (["a: 5", "a: 6"], "B", ("A. a: 5", "B. a: 6"), "B"),
        (["C: the drive", "D: the drive"], "A", ("A. C: the drive", "B. D: the drive"), "A"),
        (["C: the drive", "D: the drive"], "D: the drive", ("A. C: the drive", "B. D: the drive"), "B"),
        (["A. x", "C. y"], "C", ("A. x", "C. y"), "C"),
        (["C. x", "B. y"], "C", ("C. x", "B. y"), "C"),
    ],
)
def test_letters_that_belong_to_the_texts_stay_there(
    folder: Path, options: list[str], answer: str, shown: tuple[str, ...], gold: str
) -> None:
    example = read(folder, options=options, answer=answer)
    assert (example.options, example.answer) == (shown, gold)
    assert accuracy(example, f"<answer>{gold}</answer>") == 1.0


def test_the_right_option_may_have_been_left_out(folder: Path) -> None:
    assert "'A' is none of the options" in refused(folder, options=["B. red", "C. blue"], answer="A")


@pytest.mark.parametrize(
    ("options", "answer", "words"),
    [
        (COLORS, "С", "'С' is none of the options: it begins with the Cyrillic letter С, which looks like the Latin C"),
        (["A. x", "B. y"], "В. y", "it begins with the Cyrillic letter В, which looks like the Latin B"),
        (COLORS, "Α", "it begins with the Greek letter Α, which looks like the Latin A"),
        (["A. x", "С. y"], "B", "an option begins with the Cyrillic letter С"),
        (["A) x", "Β) y", "C) z"], "B", "an option begins with the Greek letter Β"),
        (["А. x", "Б. y", "В. z"], "В", "an option begins with the Cyrillic letter А"),
    ],
)
def test_letters_that_look_like_latin_ones_are_never_taken_for_others(
    folder: Path, options: list[str], answer: str, words: str
) -> None:
    assert words in refused(folder, options=options, answer=answer)


@pytest.mark.parametrize("field", ["answer", "solution", "completion"])
def test_a_gold_answer_is_named_by_its_field(folder: Path, field: str) -> None:
    question = {"prompt" if field == "completion" else "question": "How many?"}
    data = question | {field: "plenty", "problem_type": "numerical", "image": "a.png"}
    example = opened(folder, json.dumps([data, GOOD]))[0]
    with pytest.raises(UserError, match=f"entry 1: field {field}: 'plenty' holds no single number"):
        check_gold(example)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e99999", "Infinity"),
        ("true", "true"),
        ("false", "false"),
    ],
)
@pytest.mark.parametrize("field", ["answer", "question", "thought"])
def test_values_that_are_no_text_are_shown_as_json_has_them(folder: Path, field: str, written: str, shown: str) -> None:
    fields = {"question": '"Q?"', "answer": '"red"', "image": '"a.png"', field: written}
    entry = "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    with pytest.raises(BadSample) as caught:
        opened(folder, f"[{entry}, {json.dumps(GOOD)}]")[0]
    assert f"entry 1: field '{field}': {shown} is not text but " in str(caught.value)
    assert str(caught.value).endswith(f'write it as text, in quotes: "{shown}"')


LONG = "7" * 5000


@pytest.mark.parametrize("between", [",\n", "\n"])
@pytest.mark.parametrize("number", [LONG, f"-{LONG}"])
def test_a_number_that_is_too_long_is_one_bad_entry(folder: Path, between: str, number: str) -> None:
    odd = json.dumps(GOOD | {"answer": 0}).replace("0", number)
    text = between.join([json.dumps(GOOD), odd, json.dumps(GOOD), json.dumps(GOOD)])
    examples = opened(folder, text if between == "\n" else f"[{text}]")
    assert (len(examples), examples[0].answer, examples[2].answer) == (3, "red", "red")
    with pytest.raises(
        BadSample, match=r"entry 2: a number of 5000 digits is too long .*; write it as text, in quotes$"
    ):
        examples[1]


def test_a_number_that_is_too_long_within_one_object(folder: Path) -> None:
    entries = f'{json.dumps(GOOD)},\n{{"question": "Q?", "answer": {LONG}}}'
    (folder / "data.json").write_text(f'{{"data": [\n{entries}]}}')
    with pytest.raises(
        UserError, match=r"a number of 5000 digits .* \(line 3 of the file\); write it as text, in quotes$"
    ):
        jsonl("train", path=f"{folder / 'data.json'}::data")


@pytest.mark.parametrize("kind", ["multiple choice", "numerical", "regression", "OCR", "free-form"])
@pytest.mark.parametrize("rules", ["fixed", "compat"])
def test_long_texts_of_digits_end_no_scoring(kind: str, rules: Any) -> None:
    example = Example("a", "Q?", LONG, kind, options=("A. x", f"B. {LONG}"))
    for answer in (LONG, f"{LONG}/{LONG}", f"1e{LONG}", f"x^{LONG}"):
        try:
            assert 0.0 <= accuracy(example, f"<answer>{answer}</answer>", rules=rules) <= 1.0
        except UserError as error:
            assert "holds no single number" in str(error) and len(str(error)) < 400


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"question": "Look <video> there."}, "1 place <video>, and no clip"),
        ({"question": "<image> A <image>, <video>?"}, "2 places <image>, and 1 picture"),
        ({"question": "See <image>?", "image": None, "video": "c.mp4"}, "1 place <image>, and no picture"),
    ],
)
def test_the_mark_that_is_named_stands_there(folder: Path, fields: dict[str, Any], words: str) -> None:
    assert words in refused(folder, **fields)


@pytest.mark.parametrize("mark", ["<image>", "<video>"])
@pytest.mark.parametrize("field", ["answer", "thought", "chosen", "rejected"])
def test_a_response_has_no_places_of_media(folder: Path, field: str, mark: str) -> None:
    fields = {"chosen": "one", "rejected": "other"} if field in ("chosen", "rejected") else {}
    words = f"field '{field}': 'so {mark} red' holds the mark {mark}"
    assert words in refused(folder, **{**fields, field: f"so {mark} red"})


def test_a_system_turn_beside_a_plain_question(folder: Path) -> None:
    assert read(folder, system=" Be brief. ").turns == (Turn("system", "Be brief."),)
    assert read(folder, system="").turns == read(folder, system=None).turns == ()
    assert "field 'system': a picture or clip in a turn of the system (<video>)" in refused(folder, system="x <video>")


@pytest.mark.parametrize("escape", ["\\ud800", "\\uDC11"])
@pytest.mark.parametrize("others", [0, 2])
def test_half_of_a_surrogate_pair_is_said_to_be_one(folder: Path, escape: str, others: int) -> None:
    entries = [json.dumps(GOOD).replace("Color", f"Col{escape}or"), *[json.dumps(GOOD)] * others]
    words = rf"entry 1: holds \\{escape.lower()[1:]}, half of a surrogate pair .*; write the whole character"
    with pytest.raises(UserError, match=words):
        opened(folder, f"[{', '.join(entries)}]")[0]
    whole = json.dumps([GOOD | {"question": "a 😀?"}, GOOD])
    assert "\\ud83d" in whole and opened(folder, whole)[0].question == "a 😀?"


@pytest.mark.parametrize("text", ['["a", "b"]', "[1, 2.5]", "[null, null]", '"a"\n"b"', "[true, false]", "[[1], [2]]"])
@pytest.mark.parametrize("source", [jsonl, video_r1])
def test_a_list_without_objects_is_no_dataset(folder: Path, text: str, source: Any) -> None:
    (folder / "data.json").write_text(text)
    with pytest.raises(UserError, match=r"data.json: holds .* no entries.*; write an ") as caught:
        source("train", path=folder / "data.json")
    assert not isinstance(caught.value, BadSample)


def test_a_dataset_of_which_nothing_can_be_used_ends_a_check_with_an_error(folder: Path) -> None:
    (folder / "data.json").write_text(json.dumps([{"question": "Q?"}] * 3))
    settings = ("dataset=jsonl", f"dataset.path={folder / 'data.json'}", "workers=1", "hydra.run.dir=out")
    done = call("scripts/check_dataset.py", *settings, folder=folder)
    assert done.returncode == 1 and "ok: 0 bad: 3" in done.stdout
    assert "error: dataset: none of the 3 entries can be used; the first: " in done.stderr


def talk(*turns: tuple[str, Any], **last: Any) -> dict[str, Any]:
    """A conversation in place of question and answer; last: more keys of its last turn."""
    said = [{"role": role, "content": content} for role, content in turns]
    return {"question": None, "answer": None, "messages": [*said[:-1], said[-1] | last]}


ASKED = ("user", "Color?")
CALL = [{"id": "1", "type": "function", "function": {"name": "zoom", "arguments": "{}"}}]
BODY = {"custom_id": "r1", "body": {"model": "m", "messages": [{"role": "user", "content": "Color?"}]}}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            BODY | {"question": None},
            "'question': missing, and nothing reads 'body', which has 'messages'; write \"messages\" in",
        ),
        ({"answer": None, "label_info": {"answer": "red"}}, "nothing reads 'label_info', which has 'answer'; write"),
        (
            {"answer": None, "answers": ["red", "dark red"]},
            "'answer': missing, and nothing reads 'answers'; write \"answer\"",
        ),
        ({"answer": None, "answerKey": "A"}, "'answer': missing, and nothing reads 'answerKey'; write \"answer\" in"),
        (
            talk(ASKED, ("assistant", "red"), ("user", "thanks")),
            "'answer': missing, and the last turn of messages is the",
        ),
        (talk(ASKED) | {"response": "red"}, "'answer': missing, and nothing reads 'response'"),
        (talk(ASKED, ("assistant", None), tool_calls=CALL), "a turn of the assistant calls a tool (tool_calls), and"),
        (
            talk(ASKED, ("assistant", "I zoom."), function_call=CALL[0]),
            "calls a tool (function_call), and tools are not",
        ),
    ],
)
def test_what_stands_in_place_of_a_field_is_named(folder: Path, fields: dict[str, Any], said: str) -> None:
    assert said in refused(folder, **fields)


def test_fields_that_nothing_reads_are_named_beside_a_missing_one(folder: Path) -> None:
    entry = {"image": "a.png", "question": "Color?", "colour": "red", **{f"f{n}": n for n in range(6)}, "none": None}
    with pytest.raises(BadSample, match=r"missing or empty \(nothing reads colour, f0, f1, f2, f3 and 2 more\); write"):
        opened(folder, json.dumps([entry, GOOD, GOOD]))[0]
    assert "nothing reads" not in refused(folder, answer="", colour="red")
    assert read(folder, **talk(ASKED, ("assistant", "red"), tool_calls=[])).answer == "red"


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("Picture 1: <img>a.png</img>\nColor?", '"image": "a.png" and <image> in its place'),
        ("Color? ![here](b.jpg)", '"image": "b.jpg" and'),
        ("<img width=3 src='x/c.jpeg'> Color?", '"image": "x/c.jpeg" and'),
        ("Color? <video>c.mp4</video>", '"video": "c.mp4" and <video> in its place'),
    ],
)
def test_a_file_inside_the_text_is_named(folder: Path, text: str, write: str) -> None:
    asked = talk(("user", text), ("assistant", "red"))
    for more in ({"image": None}, {"image": None, "images": []}):
        said = refused(folder, **asked, **more)
        assert "in the text, and it looks like a medium; write " + write in said and "text alone" not in said
    with pytest.raises(BadSample, match="looks like a medium"):
        read(folder, image=None, images=[], question=text)


@pytest.mark.parametrize("text", ["What does <img> do?", "See [it](b.png).", "<img>red</img>", "![x](red)"])
def test_tags_without_a_file_are_text(folder: Path, text: str) -> None:
    assert read(folder, image=None, images=[], question=text).question == text
