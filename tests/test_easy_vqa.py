"""scripts/easy_vqa_to_json.py on a small folder in the package's layout, read back by this project's own loader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[1] / "scripts" / "easy_vqa_to_json.py"
ROWS = [  # about every picture: a blue circle
    ["what is the blue shape?", "circle"],
    ["what color is the shape?", "blue"],
    ["does the image contain a rectangle?", "no"],
    ["is there not a blue shape in the image?", "no"],
    ["is no triangle present?", "yes"],
    ["is a blue shape present?", "yes"],
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The layout of easy-vqa 1.0: easy_vqa/data/{train,test}/questions.json and images/<number>.png."""
    for half in ("train", "test"):
        images = tmp_path / "easy_vqa" / "data" / half / "images"
        images.mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (64, 64), (250, 250, 250)).save(images / f"{number}.png")
        rows = [[*row, number] for number in range(4) for row in ROWS]
        (images.parent / "questions.json").write_text(json.dumps(rows))
    (tmp_path / "easy_vqa" / "data" / "answers.txt").write_text("circle\nblue\nyes\nno\n")
    return tmp_path / "easy_vqa" / "data"


def convert(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


def entries(folder: Path, name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((folder / f"{name}.json").read_text())
    return loaded


def test_all_questions_are_written_once_and_no_picture_is_shared(source: Path, tmp_path: Path) -> None:
    done = convert("--source", source, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    splits = {name: entries(tmp_path / "out", name) for name in ("sft", "train", "validation", "test")}
    assert {name: len(found) for name, found in splits.items()} == dict.fromkeys(splits, 12)
    everything = [entry for found in splits.values() for entry in found]
    assert len({entry["problem_id"] for entry in everything}) == 48
    pictures = [{entry["path"] for entry in found} for found in splits.values()]
    assert sum(map(len, pictures)) == len(set().union(*pictures)) == 8
    assert all((tmp_path / "out" / entry["path"]).is_file() for entry in everything)
    assert all(entry["path"].startswith("./") for entry in everything)


def test_entries_have_the_right_options_letters_and_thoughts(source: Path, tmp_path: Path) -> None:
    assert convert("--source", source, "--output", tmp_path / "out").returncode == 0
    by_question = {entry["problem"]: entry for entry in entries(tmp_path / "out", "sft")}
    color = by_question["what color is the shape?"]
    assert color["problem_type"] == "multiple choice"
    assert color["options"][1] == "B. blue"
    assert len(color["options"]) == 8
    assert color["solution"] == "<answer>B</answer>"
    assert color["process"] == (
        "<think>The picture shows a blue circle. The question asks for the color. That is blue, option B.</think>"
    )
    assert by_question["what is the blue shape?"]["options"] == ["A. circle", "B. rectangle", "C. triangle"]
    missing = by_question["is there not a blue shape in the image?"]
    assert missing["options"] == ["A. no", "B. yes"]
    assert "asks whether a blue shape is missing. It is not. That is no, option A." in missing["process"]
    assert "whether a triangle is missing. It is. That is yes" in by_question["is no triangle present?"]["process"]
    assert not any("process" in entry for entry in entries(tmp_path / "out", "train"))


def test_a_thought_tells_only_what_the_package_tells(source: Path, tmp_path: Path) -> None:
    rows = [
        ["is there a red shape?", "no", 0],
        ["is there not a circle?", "no", 1],
        ["is there a red shape?", "yes", 2],
    ]
    (source / "train" / "questions.json").write_text(json.dumps(rows))
    assert convert("--source", source, "--output", tmp_path / "out", "--sft-share", "0.7").returncode == 0
    seen = {
        "./train/images/0.png": "<think>The question asks",
        "./train/images/1.png": "<think>The picture shows a circle. The",
        "./train/images/2.png": "<think>The picture shows a red shape. The",
    }
    found = entries(tmp_path / "out", "sft")
    assert len(found) == 2
    for entry in found:
        assert entry["process"].startswith(seen[entry["path"]])


def test_limits_seed_and_reference(source: Path, tmp_path: Path) -> None:
    limits = ("--limit-sft", "5", "--limit-train", "4", "--limit-validation", "3", "--limit-test", "2")
    done = convert("--source", source.parent.parent, "--output", tmp_path / "a", "--no-copy", *limits)
    assert done.returncode == 0, done.stderr
    assert [len(entries(tmp_path / "a", name)) for name in ("sft", "train", "validation", "test")] == [5, 4, 3, 2]
    assert f"dataset.media_root={source}" in done.stdout
    assert not list((tmp_path / "a").glob("**/*.png"))
    convert("--source", source, "--output", tmp_path / "b", "--no-copy", *limits)
    convert("--source", source, "--output", tmp_path / "c", "--no-copy", *limits, "--seed", "1")
    assert entries(tmp_path / "a", "train") == entries(tmp_path / "b", "train") != entries(tmp_path / "c", "train")


def test_the_loader_reads_what_is_written(source: Path, tmp_path: Path) -> None:
    from ral.data.sources import jsonl
    from ral.rewards.accuracy import accuracy, check_gold

    assert convert("--source", source, "--output", tmp_path / "out").returncode == 0
    for name in ("sft", "train"):
        path = tmp_path / "out" / f"{name}.json"
        found = jsonl("train", path=path, validation_path=tmp_path / "out" / "validation.json")
        assert len(found) == 12
        assert all((example.thought is not None) == (name == "sft") for example in found)
        for example in found:
            check_gold(example)
            assert accuracy(example, f"<answer>{example.answer}</answer>") == 1.0
            assert example.media[0].path.is_file()


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (["what?", "purple", 0], "entry 1: answer 'purple' is none of"),
        (["is it?", "yes", 0], "entry 1: question 'is it?' names no shape"),
        (["is there a red shape?", "yes", 99], "99.png is missing"),
        (["is there a red shape?", "yes"], "entry 1: "),
        ({"q": 1}, "is not [question, answer, picture number]"),
    ],
)
def test_a_bad_entry_is_named(source: Path, tmp_path: Path, row: Any, says: str) -> None:
    (source / "train" / "questions.json").write_text(json.dumps([row]))
    check_error(convert("--source", source, "--output", tmp_path / "out"), says)


def test_a_wrong_folder_and_broken_json(source: Path, tmp_path: Path) -> None:
    check_error(convert("--source", tmp_path / "nowhere", "--output", tmp_path / "out"), "holds no easy-vqa data")
    (source / "test" / "questions.json").write_text("{")
    check_error(convert("--source", source, "--output", tmp_path / "out"), "no readable JSON")


def check_error(done: subprocess.CompletedProcess[str], says: str) -> None:
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_help_explains_files_and_folders() -> None:
    text = convert("--help").stdout
    for word in ("pip download easy-vqa==1.0", "sft.json", "validation.json", "dataset.media_root", "--limit-train"):
        assert word in text
