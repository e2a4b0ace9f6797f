"""Options under other names and with numbers, fields that contradict each other, and keys that no medium has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.overview import fields_read, unread
from ral.data.sources import jsonl
from ral.types import Example


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (56, 56), "red").save(tmp_path / "a.png")
    (tmp_path / "c.mp4").write_bytes(b"not opened here")
    return tmp_path


BASE = {"question": "Color?", "image": "a.png"}


def opened(folder: Path, **fields: Any) -> Any:
    entry = {name: value for name, value in (BASE | fields).items() if value is not ...}
    (folder / "data.json").write_text(json.dumps([entry] * 3), encoding="utf-8")
    return jsonl("train", path=folder / "data.json", validation_size=1)


def read(folder: Path, **fields: Any) -> Example:
    example: Example = opened(folder, **fields)[0]
    return example


def refused(folder: Path, **fields: Any) -> str:
    with pytest.raises(BadSample) as caught:
        read(folder, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"choices": ["red", "blue"]},
        {"choices": ["A. red", "B. blue"]},
        {"choices": {"A": "red", "B": "blue"}},
        {"choices": "['red', 'blue']"},
        {"choices": {"label": ["A", "B"], "text": ["red", "blue"]}},
        {"options": None, "choices": ["red", "blue"]},
        {"options": ["red", "blue"], "choices": ["red", "blue"]},
        {"A": "red", "B": "blue"},
        {"A": "red", "B": "blue", "C": None, "D": ""},
        {"options": ["1. red", "2. blue"]},
        {"options": {"1": "red", "2": "blue"}},
        {"options": ["① red", "② blue"]},
    ],
)
@pytest.mark.parametrize("gold", ["B", "(b)", "blue", "<answer>B</answer>"])
def test_options_are_read_wherever_they_stand(folder: Path, fields: dict[str, Any], gold: str) -> None:
    example = read(folder, answer=gold, **fields)
    assert (example.problem_type, example.answer) == ("multiple choice", "B")
    assert example.options == ("A. red", "B. blue")


def test_what_is_read_is_told(folder: Path) -> None:
    read_, others = fields_read(opened(folder, answer="B", A="red", B="blue", hint="warm"))
    assert {"A", "B"} <= set(read_) and others == ["hint"]


def test_fields_with_single_letters_are_options_only_of_a_gold_answer_among_them(folder: Path) -> None:
    example = read(folder, answer="12", A="red", B="blue")
    assert (example.problem_type, example.options, example.answer) == ("free-form", (), "12")


@pytest.mark.parametrize(
    ("options", "gold", "letter"),
    [
        (["1. red", "2. blue"], "2", "B"),
        (["1. red", "2. blue"], 2, "B"),
        (["1. red", "2. blue"], "2. blue", "B"),
        (["1. red", "2. blue"], "(2)", "B"),
        (["0) red", "1) blue"], "1", "B"),
        (["(1) red", "(2) blue"], "1", "A"),
        (["① red", "② blue"], "②", "B"),
        (["1. 3 m", "2. 2 m"], "2", "B"),
        (["1. B", "2. A"], "1", "A"),
        (["1. 10", "2. 2"], "2", "B"),
        (["甲、 red", "乙、 blue"], "乙", "B"),
        (["一． red", "二． blue"], "二", "B"),
        (["가. red", "나. blue"], "나", "B"),
        (["ア： red", "イ： blue"], "イ", "B"),
        (["（甲） red", "（乙） blue"], "乙", "B"),
    ],
)
def test_a_numbered_option_is_named_by_its_number(folder: Path, options: list[str], gold: Any, letter: str) -> None:
    example = read(folder, options=options, answer=gold)
    assert example.answer == letter
    first, second = example.options
    assert first == f"A. {options[0].split(' ', 1)[1]}" and second == f"B. {options[1].split(' ', 1)[1]}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": ["A. red", "B. "]}, "option 2, 'B.', has a letter and no text"),
        ({"options": ["A. red", "(B)"]}, "option 2, '(B)', has a letter and no text"),
        ({"options": ["A.", "B.", "C."]}, "option 1, 'A.', has a letter and no text"),
        ({"options": "A. red\nB. \nC. blue"}, "option 2, 'B.', has a letter and no text"),
        ({"options": {"A": "red", "B": ""}}, "option 2, 'B.', has a letter and no text"),
        ({"A": "red", "B": " "}, "option 2, 'B.', has a letter and no text"),
    ],
    ids=str,
)
@pytest.mark.parametrize("gold", ["A", "B"])
def test_a_letter_without_a_text_is_bad(folder: Path, fields: dict[str, Any], said: str, gold: str) -> None:
    message = refused(folder, answer=gold, **fields)
    assert said in message and 'write ["A. red", "B. blue"], or the letters alone, as in ["A", "B"]' in message


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["A", "B"], ("A. A", "B. B")),  # which stand in the picture
        ({"A": "red", "B": "blue", "C": None}, ("A. red", "B. blue")),
        (["A. -", "B. B"], ("A. -", "B. B")),
        (["A. red", "B. 0"], ("A. red", "B. 0")),
    ],
)
def test_letters_alone_and_short_texts_are_options(folder: Path, options: Any, kept: tuple[str, ...]) -> None:
    assert read(folder, options=options, answer="A").options == kept


@pytest.mark.parametrize("padding", [1, 3])
def test_nulls_behind_the_options_are_padding(folder: Path, padding: int) -> None:
    read_ones = read(folder, options=["red", "blue", *[None] * padding], answer="B")
    assert read_ones.options == ("A. red", "B. blue") and read_ones.answer == "B"
    for options in ([None, "red"], ["red", None, "blue"], ["red", *[None] * padding], [None] * padding):
        assert "null is no option" in refused(folder, options=options, answer="red")


@pytest.mark.parametrize("field", ["image", "images", "videos", "path"])
def test_a_null_among_media_is_bad(folder: Path, field: str) -> None:
    said = refused(folder, image=None, answer="red", **{field: ["a.png", None]}) if field != "image" else ""
    said = said or refused(folder, image=["a.png", None], answer="red")
    assert f"field '{field}': ['a.png', None]: null is no picture and no clip; write each path, or leave it out" in said


def test_numbers_that_are_texts_stay(folder: Path) -> None:
    assert read(folder, options=["1. Liga", "2. Liga"], answer="2. Liga").options == ("A. 1. Liga", "B. 2. Liga")
    assert read(folder, options=["1.5", "2.5"], answer="2.5").options == ("A. 1.5", "B. 2.5")
    assert read(folder, options=["2. x", "4. y"], answer="4. y").options == ("A. 2. x", "B. 4. y")
    assert "none of the options" in refused(folder, options=["red", "blue"], answer="2")
    assert "number of one option and the text of another" in refused(folder, options=["1. 2", "2. 1"], answer="2")


@pytest.mark.parametrize(
    ("options", "gold", "letter"),
    [
        *[([0.5, 1.0, 1.5], 1, "B"), (["0.5", "1.0", "1.5"], "1", "B"), ([1, 2], 2.0, "B"), (["-1", "1"], "−1.0", "A")],
        *[
            (["$5", "$6"], "6.00 dollars", "B"),
            (["5 dollars", "6 dollars"], "$6", "B"),
            (["$5", "5 €"], "5 euros", "B"),
        ],
        *[(["1,000", "2,000"], "2000", "B"), (["50%", "60%"], "60 percent", "B"), (["1/2", "1/3"], "0.5", "A")],
        *[(["5 cm", "6 cm"], "6.0 cm", "B"), (["red", "Blue"], "Blue.", "B"), (["red", "Blue"], " blue。", "B")],
        *[(["red", "blue!"], "Blue", "B"), (["红色", "蓝色"], "蓝色。", "B"), (["红色。", "蓝色。"], "蓝色", "B")],
    ],
)
def test_gold_in_other_signs_names_its_option(folder: Path, options: list[Any], gold: Any, letter: str) -> None:
    assert read(folder, options=options, answer=gold).answer == letter


@pytest.mark.parametrize(
    ("options", "gold", "words"),
    [
        *[(["0.5", "1.0"], "2", "none of the options"), (["5 cm", "6 cm"], "5 m", "none of the options")],
        *[(["5 cm", "6 cm"], "5", "none of the options"), (["$5", "6"], "5 €", "none of the options")],
        *[(["1.0", "1.00"], "1", "may be any of"), (["Blue.", "blue!"], "blue", "may be any of")],
        *[(["red", "blue"], "Blue. Or red.", "none of the options"), (["red", "blue"], "...", "none of the options")],
    ],
)
def test_gold_of_no_option_or_of_two_is_bad(folder: Path, options: list[str], gold: str, words: str) -> None:
    assert words in refused(folder, options=options, answer=gold)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"answer": "B", "option_a": "red", "option_b": "blue"},
            "field 'answer': 'B' is a letter, and nothing reads 'option_a'",
        ),
        ({"answer": "(C)", "candidates": ["red", "blue"]}, "nothing reads 'candidates'"),
        ({"answer": "B", "options": ["red", "blue"], "choices": ["blue", "red"]}, "there is options, too"),
        ({"answer": "B", "choices": [["red"], "blue"]}, "field 'choices'"),
        ({"answer": "B", "choices": ["red"]}, "field 'choices': one option"),
        ({"answer": "D", "A": "red", "B": "blue"}, "field 'answer': 'D' is none of the options"),
        ({"answer": "red", "solution": "blue"}, "field 'solution': there is answer, too, and the two differ"),
        ({"answer": "5", "solution": "-5"}, "the two differ"),
        ({"answer": "+", "solution": "-"}, "the two differ"),
        ({"answer": "red", "problem": "Shape?"}, "field 'problem': there is question, too, and the two differ"),
    ],
)
def test_what_is_contradictory_or_unread_is_bad(folder: Path, fields: dict[str, Any], words: str) -> None:
    assert words in refused(folder, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"answer": "red", "solution": "<answer>Red.</answer>"},
        {"answer": "5", "solution": r"Two and three make $\boxed{5}$, so 5."},
        {"answer": "red", "solution": ""},
        {"answer": "red", "problem": "<image> Color?"},
        {"answer": "B"},
    ],
)
def test_two_fields_that_agree_are_read(folder: Path, fields: dict[str, Any]) -> None:
    assert read(folder, **fields).answer == fields["answer"]


@pytest.mark.parametrize(
    ("medium", "words"),
    [
        (
            {"video": "c.mp4", "start": 1, "end": 2},
            "nothing reads the key 'start' of a medium; did you mean video_start?",
        ),
        (
            {"video": "c.mp4", "video_stat": 1},
            "nothing reads the key 'video_stat' of a medium; did you mean video_start?",
        ),
        ({"path": "c.mp4", "num_frames": 8}, "did you mean nframes?"),
        ({"path": "c.mp4", "max_pixel": 50176}, "did you mean max_pixels?"),
        ({"video": "c.mp4", "zoom": 2}, "nothing reads the key 'zoom'"),
        ({"video": "c.mp4", "image": "a.png"}, "one object names a picture and a clip"),
    ],
)
@pytest.mark.parametrize("talk", [False, True])
def test_a_key_of_a_medium_that_nothing_reads_is_bad(
    folder: Path, medium: dict[str, Any], words: str, talk: bool
) -> None:
    part = [{"type": "video", **medium}, {"type": "text", "text": "Color?"}]
    said = {"question": ..., "messages": [{"role": "user", "content": part}]} if talk else {"video": medium}
    message = refused(folder, image=..., answer="red", **said)
    assert words in message
    assert ("video_start, video_end, fps, nframes" in message) == ("nothing reads" in words or "did you" in words)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "a.png", "detail": "high"}},
        {"type": "input_image", "image_url": "a.png", "detail": "auto", "id": 3},
        {"type": "image", "image": "a.png", "min_pixels": 3136, "max_pixels": 50176},
        {"type": "image", "path": "a.png", "width": 56, "height": 56, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "image": "a.png", "video_start": None, "zoom": None},
    ],
)
def test_keys_that_ask_for_nothing_do_no_harm(folder: Path, part: dict[str, Any]) -> None:
    turns = [{"role": "user", "content": [part, {"type": "text", "text": "Color?"}]}]
    assert len(read(folder, image=..., question=..., answer="red", messages=turns).media) == 1


@pytest.mark.parametrize(
    ("fields", "field", "write"),
    [
        *[({"image": ..., "video": "c.mp4", name: 2.5}, name, "video_start") for name in ("start", "start_time")],
        *[({"image": ..., "video": "c.mp4", name: "00:12"}, name, "video_end") for name in ("end", "end_time")],
        *[({"image": ..., "path": "c.mp4", name: 30}, name, "in seconds") for name in ("start_frame", "end_frame")],
        ({"image": ..., "video": "c.mp4", "clip": [1, 4.5]}, "clip", "video_start and video_end"),
        ({"image": ..., "video": "c.mp4", "clip": {"from": 1, "to": 4}}, "clip", "video_start and video_end"),
        *[({name: "b.png"}, name, "\"images\": [..., 'b.png']") for name in ("image2", "image_2", "image-3")],
        ({"image": ..., "video": "c.mp4", "video2": "d.mp4"}, "video2", '"videos": [...'),
    ],
)
def test_a_field_beside_media_that_is_meant_for_them_is_not_passed_over(
    fields: dict[str, Any], field: str, write: str, folder: Path
) -> None:
    message = refused(folder, answer="red", **fields)
    assert f"field '{field}': nothing reads it" in message and write in message.split("write ")[1]


@pytest.mark.parametrize(
    "fields",
    [
        {"start": 2.5, "end": 4},  # beside a picture
        {"image": ..., "video": "c.mp4", "start": "the door opens", "clip": "clip_0012", "end": None},
        {"image": ..., "video": "c.mp4", "video_start": 2.5, "start": 2.5},
        {"image2": "a.png", "image_1": None, "image_2": "", "image_3": 7, "image_id": "b.png", "video_2": "none"},
    ],
)
def test_other_fields_that_nothing_reads_are_accepted(fields: dict[str, Any], folder: Path) -> None:
    examples = opened(folder, answer="red", **fields)
    assert examples[0].answer == "red"
    there = [name for name, value in fields.items() if value not in (..., None)]
    assert set(fields_read(examples)[1]) == {name for name in there if name not in ("video", "video_start")}
    line = unread("train", examples)
    assert line is not None and line.startswith("train: fields that nothing reads: ")


def test_a_run_names_the_fields_that_nothing_reads(
    run: Callable[..., Path],
    small: list[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened(folder, answer="red", hint="warm", score=3)
    settings = [line for line in small if not line.startswith(("dataset.path", "dataset.source"))]
    data = ["dataset=jsonl", f"dataset.path={folder / 'data.json'}", "dataset.source.validation_size=1"]
    run(*settings, *data, "max_steps=1", "algo.prompts_per_step=1")
    lines = [line for line in capsys.readouterr().err.splitlines() if "nothing reads" in line]
    assert lines == [f"{split}: fields that nothing reads: hint, score" for split in ("train", "validation")]
