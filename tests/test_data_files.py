"""Files of entries in every shape that people have: what is read of them, and what is said of those that are not."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data import files, json_spans, shapes
from ral.data.bad import BadSample
from ral.data.files import located, open_rows
from ral.data.overview import overview
from ral.data.sources import jsonl, parse_own, read_file
from ral.types import UserError

COUNT = 5
ROWS = [{"question": f"What is {n}, ü中?", "answer": f"a{n}", "image": "a.png"} for n in range(COUNT)]
TURNS = [[{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": "A"}] for n in range(COUNT)]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
TEXT = "\n".join(LINES) + "\n"
PRETTY = [json.dumps({**row, "evidence": [{"box": [0, 0, 1, 1]}, {"box": [0, 0, 1, 0.5]}]}, indent=2) for row in ROWS]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
NAMED = {name: {str(n): cell for n, cell in enumerate(cells)} for name, cells in COLUMNS.items()}
CELLS = [list(row.values()) for row in ROWS]
HEADER = list(ROWS[0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # copies of files go below it
    return tmp_path


def put(path: Path, content: object) -> Path:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(path: Path) -> list[Any]:
    opened = open_rows(path)
    return [opened.row(n) for n in range(len(opened))]


WRAPPERS = ["data", "annotations", "samples", "examples", "train", "questions", "whatever"]
PLAIN: dict[str, object] = {
    "lines.jsonl": TEXT,
    "lines.ndjson": TEXT,
    "mark.jsonl": b"\xef\xbb\xbf" + TEXT.encode(),
    "mark.json": b"\xef\xbb\xbf" + json.dumps(ROWS).encode(),
    "marks.jsonl": "".join("\ufeff" + line + "\n" for line in LINES),
    "crlf.jsonl": TEXT.replace("\n", "\r\n"),
    "cr.jsonl": "\r".join(LINES),
    "blank.jsonl": "\n\n" + "\n \n".join(LINES) + "\n\n",
    "commas.jsonl": ",\n".join(LINES) + ",\n",
    "comma.json": "[" + ",\n".join(LINES) + ",\n]",
    "one_line.json": " ".join(LINES),
    "close.json": "".join(LINES),
    "utf16.jsonl": TEXT.encode("utf-16"),
    "utf16le.jsonl": TEXT.encode("utf-16-le"),
    "utf16be.json": json.dumps(ROWS).encode("utf-16-be"),
    "utf32.jsonl": TEXT.encode("utf-32"),
    "a.jsonl.gz": gzip.compress(TEXT.encode()),
    "two_members.jsonl.gz": gzip.compress(TEXT[:99].encode()) + gzip.compress(TEXT[99:].encode()),
    "no_suffix": gzip.compress(TEXT.encode()),
    "a.json.gz": gzip.compress(json.dumps({"data": ROWS}).encode()),
    "twice.jsonl.gz": gzip.compress(gzip.compress(TEXT.encode("utf-16"))),
    "a.jsonl.bz2": bz2.compress(TEXT.encode()),
    "a.jsonl.xz": lzma.compress(TEXT.encode()),
    "columns.json": COLUMNS,
    "named_cells.json": NAMED,
    "split.json": {"columns": HEADER, "index": [0, 1], "data": CELLS},
    "cells.json": [HEADER, *CELLS],
    "nested.json": [ROWS],
    "batches.json": [ROWS[:2], ROWS[2:]],
    "columns_within.json": {"train": COLUMNS},
    "deep.json": {"version": 1, "dataset": {"name": "x", "train": ROWS}},
    "beside.json": {"data": ROWS, "authors": [{"name": "x"}], "tags": ["a", "b"]},
    "a.csv": "question,answer,image\n" + "".join(f'"{r["question"]}",{r["answer"]},a.png\n' for r in ROWS),
    "a.tsv": "question\tanswer\timage\n" + "".join(f"{r['question']}\t{r['answer']}\ta.png\n" for r in ROWS),
    "excel.csv": "\ufeffquestion;answer;image\r\n" + "".join(f"{r['question']};{r['answer']};a.png\r\n" for r in ROWS),
    "table.txt": "question\tanswer\timage\n" + "".join(f"{r['question']}\t{r['answer']}\ta.png\n" for r in ROWS),
    **{f"wrapped_{name}.json": {"info": {"year": 2026}, name: ROWS} for name in WRAPPERS},
}


@pytest.mark.parametrize("name", PLAIN)
def test_every_entry_of_a_plain_file_is_read(folder: Path, name: str) -> None:
    path = put(folder / name, PLAIN[name])
    assert rows(path) == ROWS
    examples = [*jsonl("train", path=path), *jsonl("validation", path=path)]
    assert [e.answer for e in examples] == [row["answer"] for row in ROWS]
    assert all(e.media[0].path == folder / "a.png" for e in examples)


def test_files_read_in_place_leave_no_copy(folder: Path) -> None:
    for name in ("lines.jsonl", "crlf.jsonl", "mark.json", "commas.jsonl", "one_line.json"):
        rows(put(folder / name, PLAIN[name]))
    assert not any((folder / "here").iterdir())
    path = put(folder / "a.jsonl.gz", PLAIN["a.jsonl.gz"])
    assert rows(path) == ROWS == rows(path)
    copies = list((folder / "here/outputs/data/unpacked").glob("*.json"))
    assert [copy.read_text(encoding="utf-8") for copy in copies] == [TEXT]


@pytest.mark.parametrize("between", ["\n", ",\n", "\n\n", ""])
def test_objects_over_several_lines(folder: Path, between: str) -> None:
    path = put(folder / "pretty.json", between.join(PRETTY))
    assert [row["answer"] for row in rows(path)] == [row["answer"] for row in ROWS]
    texts = [*PRETTY]
    texts[2] = texts[2].replace('"answer":', '"answer"')
    opened = open_rows(put(folder / "broken.json", "\n".join(texts)))
    assert len(opened) == COUNT
    with pytest.raises(BadSample, match=r"entry 3: not JSON.*the entry begins at line \d+ of the file"):
        opened.row(2)
    assert [opened.row(n)["answer"] for n in (0, 1, 3, 4)] == ["a0", "a1", "a3", "a4"]
    with pytest.raises(UserError, match=r"cut.json: not JSON from entry 5 on, or not whole"):
        open_rows(put(folder / "cut.json", "\n".join(PRETTY)[:-30]))


def test_a_conversation_is_no_list_of_entries(folder: Path) -> None:
    """One entry with lists in it stays one entry, a list of conversations becomes as many."""
    one = {"messages": TURNS[0], "images": ["a.png", "a.png"]}
    assert rows(put(folder / "one.json", json.dumps(one, indent=1))) == [one]
    r1 = {"question": "Q", "answer": "A", "options": ["x", "y"], "evidence": [{"box": [0, 0, 1, 1]}], "images": []}
    assert rows(put(folder / "r1.jsonl", json.dumps(r1))) == [r1]
    assert rows(put(folder / "all.json", TURNS)) == [{"messages": turns} for turns in TURNS]
    columns = {"messages": TURNS[:2], "images": [["a.png"], []]}
    assert [row["images"] for row in rows(put(folder / "columns.json", columns))] == [["a.png"], []]
    verl = {"prompt": TURNS[0][:1], "reward_model": {"ground_truth": "A"}, "extra_info": {"index": 1}}
    assert rows(put(folder / "verl.json", verl)) == [verl]


def test_objects_by_their_ids(folder: Path) -> None:
    path = put(folder / "ids.json", {f"q{n}": row for n, row in enumerate(ROWS)})
    assert rows(path) == [{"id": f"q{n}", **row} for n, row in enumerate(ROWS)]


@pytest.mark.parametrize("key", ["rows", "data"])
def test_the_list_of_entries_is_suggested(folder: Path, key: str) -> None:
    """As the datasets server writes it: `features` describe columns."""
    features = [{"feature_idx": n, "name": name, "type": {}} for n, name in enumerate(("question", "answer", "image"))]
    held = [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(ROWS[:2])]
    path = put(folder / "server.json", {"features": features, key: held})
    with pytest.raises(UserError, match=rf"several lists: 'features' .*data\.json::{key}"):
        rows(path)


def test_a_list_is_named_behind_the_file(folder: Path) -> None:
    path = put(folder / "two.json", {"train": ROWS[2:], "test": ROWS[:2], "info": "x"})
    with pytest.raises(
        UserError, match=r"two.json: .*several lists: 'train' \(3 rows\), 'test' \(2 rows\); write ::KEY"
    ):
        rows(path)
    assert rows(Path(f"{path}::test")) == ROWS[:2]
    assert len(jsonl("train", path=f"{path}::train", validation_path=f"{path}::test")) == 3
    with pytest.raises(UserError, match=r"has no key 'dev'; one object with the keys train, test, info"):
        rows(Path(f"{path}::dev"))


REFUSED: dict[str, tuple[object, str]] = {
    "lfs.json": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n",
        "is a Git LFS pointer.*git lfs pull",
    ),
    "page.jsonl": ("<!DOCTYPE html><html>Log in</html>", "is a web page"),
    "empty.jsonl": ("", "has no entries"),
    "blank.json": ("\n \n", "has no entries"),
    "zero.jsonl": (b"\0" * 200, "nothing but zero bytes"),
    "a.zip": (b"PK\x03\x04" + b"\0" * 30, "is a zip archive.*unpack it"),
    "a.jsonl.tar.gz": (gzip.compress(b"\0" * 257 + b"ustar" + b"\0" * 500), "is a tar archive"),
    "data.pkl": (b"\x80\x04\x95" + b"\0" * 30, "is a pickle"),
    "a.png.json": (b"\x89PNG\r\n\x1a\n", "is a picture"),
    "quotes.json": (str(ROWS), "is Python's way of writing"),
    "comment.json": ("// data\n" + json.dumps(ROWS), "begins with a comment"),
    "cut.jsonl.gz": (gzip.compress(TEXT.encode())[:-20], "cut.jsonl.gz: its gzip compression is damaged or cut off"),
    "lengths.json": ({**COLUMNS, "answer": ["x"]}, r"columns of different lengths \(question 5, answer 1, image 5\)"),
    "beside.json": ({**COLUMNS, "problem_type": "OCR"}, "'problem_type' is none; write a list there"),
    "rows.json": ([["What?", "x"], ["Who?", "y"]], r"the first row \('What\?', 'x'\) names no field"),
    "ragged.json": ([HEADER, CELLS[0][:2]], "row 2 has 2 cells, the header 3"),
    "empty_list.json": ({"data": []}, "has nothing under 'data', and so has no entries"),
    "strings.json": ({"names": ["a", "b"]}, "one object with the keys names, and no entries"),
    "mixed.json": ([["question"], {"question": "x"}], "holds a list of 2, and no entries"),
    "ragged.csv": ("question,answer\na,b\nc,d,e\n", "line 3 has 3 cells, the header 2; write as many.*quotes"),
    "quotes.csv": ('question,answer\n"a"b,c\n', "line 2: .*mend the quotes"),
    "headless.csv": ("What?,x\nWho?,y\n", r"the first row \('What\?', 'x'\) names no field"),
    "latin.csv": ("question,answer\na,b\nO\xf9?,x\n".encode("latin-1"), "line 3: byte 0xf9 is not UTF-8 text"),
    "index.csv": (",question,answer\n0,a,b\n2,c,d\n", "line 3: its first column has no name and holds '2'; name it"),
    "nameless.csv": (",question,,answer\n0,a,b,c\n", "has a column without a name"),
    "odd16.jsonl": (TEXT.encode("utf-16")[:-1], "looks like utf-16 text and is not"),
    "twice.json": ('{"data": [{"question": "a", "question": "b"}], "x": 1}', "the key 'question' stands twice"),
    "word.json": ("hello", "entry 1: not JSON: .*write an array of objects, or one object a line"),
}


def test_the_index_that_pandas_writes_is_left_out(folder: Path) -> None:
    path = put(folder / "pandas.csv", ",question,answer\n0,Who?,x\n1,What?,y\n")
    rows = open_rows(path)
    assert [rows.row(n) for n in range(len(rows))] == [
        {"question": "Who?", "answer": "x"},
        {"question": "What?", "answer": "y"},
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named_in_one_line(folder: Path, name: str) -> None:
    content, message = REFUSED[name]
    path = put(folder / name, content)
    with pytest.raises(UserError, match=message) as caught:
        open_rows(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not list((folder / "here").rglob("*.json*"))  # nothing half-made is left


def test_single_entries_that_are_bad(folder: Path) -> None:
    """A key that stands twice, two objects on a line, a last line that is cut off: one entry each, with its line."""
    twice = '{"question": "a?", "question": "b?", "answer": "x", "image": "a.png"}'
    same = '{"question": "a?", "question": "a?", "answer": "x", "image": "a.png"}'
    texts = [LINES[0], twice, "", same, LINES[1] + " " + LINES[2], "# note", LINES[3][:20]]
    opened = open_rows(put(folder / "data.jsonl", "\n".join(texts)))
    assert len(opened) == 6 and opened.row(2)["question"] == "a?"
    for index, line, message in (
        (1, 2, "the key 'question' stands twice in one object"),
        (3, 5, "Extra data.*write one object a line"),
        (4, 6, "not JSON"),
        (5, 7, "not JSON.*the file seems to be cut off there"),
    ):
        with pytest.raises(BadSample, match=rf"entry {index + 1}: .*{message}") as caught:
            opened.row(index)
        assert f"begins at line {line} of the file" in str(caught.value)


def test_nan_is_a_missing_value(folder: Path) -> None:
    texts = [line[:-1] + ', "evidence": NaN, "score": NaN}' for line in LINES]
    texts[1] = '{"question": "How many?", "answer": NaN, "image": "a.png"}'
    examples = read_file(put(folder / "a.jsonl", "\n".join(texts)), parse=parse_own)
    assert examples[0].evidence == () and examples[2].answer == "a2"
    with pytest.raises(BadSample, match="'answer': missing"):
        examples[1]


def test_cells_of_a_table_of_text(folder: Path) -> None:
    """Empty cells are missing, lists are read as JSON or as Python writes them, answers stay text."""
    text = 'question,answer,image,options\n"a, or\nb?",1,,"[""x"", ""y""]"\nc?,"[1, 2]",a.png,"[\'x\', \'y\']"\n'
    assert rows(put(folder / "a.csv", text)) == [
        {"question": "a, or\nb?", "answer": "1", "image": None, "options": ["x", "y"]},
        {"question": "c?", "answer": "[1, 2]", "image": "a.png", "options": ["x", "y"]},
    ]


def test_an_object_larger_than_an_entry_may_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read whole up to a bound, and above it named as what it is."""
    monkeypatch.setattr(files, "HELD", 100)
    monkeypatch.setattr(json_spans, "LARGEST_ENTRY", 300)
    monkeypatch.setattr(json_spans, "WINDOW", 64)
    for number, text in enumerate(({"data": ROWS}, '{"data": [\n' + ",\n".join(LINES) + "\n]}\n")):
        assert rows(put(folder / f"{number}.json", text)) == ROWS
    monkeypatch.setattr(files, "LARGEST_WHOLE", 350)
    with pytest.raises(UserError, match=r"large.json: is one object around its entries, of .* GB"):
        rows(put(folder / "large.json", {"data": ROWS}))
    assert rows(put(folder / "lines.jsonl", TEXT)) == ROWS


def test_an_entry_with_a_picture_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More is held of the file where one entry is larger than what is held otherwise."""
    monkeypatch.setattr(json_spans, "HELD", 100)
    monkeypatch.setattr(json_spans, "WINDOW", 50)
    large = [*ROWS[:2], {**ROWS[2], "image": "data:image/png;base64," + "A" * 2000}, *ROWS[3:]]
    assert rows(put(folder / "a.json", large)) == large


def test_paths_as_people_write_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(folder / "my data.jsonl", TEXT)
    monkeypatch.setenv("HOME", str(folder))
    for written in ("~/my data.jsonl", f"file://{path}", f"file://{path}".replace(" ", "%20")):
        assert located(written) == path
        assert len(jsonl("train", path=written)) == COUNT - 1
    for address in ("https://host/a.jsonl", "s3://bucket/a.jsonl", "hf://datasets/x"):
        with pytest.raises(UserError, match=r"is an address, and data are read from disk; fetch it"):
            jsonl("train", path=address)


def test_what_was_perhaps_meant(folder: Path) -> None:
    put(folder / "train.jsonl", TEXT)
    with pytest.raises(UserError, match=r"trian.jsonl: no such file; did you mean .*/train.jsonl\?"):
        open_rows(folder / "trian.jsonl")
    with pytest.raises(
        UserError, match=r"is a folder that holds no dataset \(has a.png, train.jsonl\); write the path"
    ):
        open_rows(folder)
    with pytest.raises(UserError, match=r"zzz/q.jsonl: no such file; write"):
        open_rows(folder / "zzz" / "q.jsonl")


def test_copies_need_a_folder(folder: Path) -> None:
    path, blocked = put(folder / "a.jsonl.gz", PLAIN["a.jsonl.gz"]), put(folder / "file", "x")
    with pytest.raises(UserError, match=r"a.jsonl.gz: .*cannot hold it.*write dataset.source.unpacked="):
        jsonl("train", path=path, unpacked=blocked / "below")
    assert len(jsonl("train", path=path, unpacked=folder / "else")) == COUNT - 1


def test_a_packed_file_that_changes_is_read_anew(folder: Path) -> None:
    path = put(folder / "a.jsonl.gz", gzip.compress(TEXT.encode()))
    before = open_rows(path)
    put(path, gzip.compress((TEXT + LINES[0]).encode()))
    assert len(open_rows(path)) == COUNT + 1
    with pytest.raises(UserError, match="has changed since the run started"):
        before.row(0)


def test_entries_that_are_trained_on_and_held_out(folder: Path) -> None:
    path = put(folder / "train.jsonl", TEXT)
    for name, content, shared in (("array.json", [*ROWS[2:], {"question": "new"}], 0), ("b.jsonl", LINES[0], 1)):
        other = put(folder / name, content)
        message = f"{name}: {shared} of its 1 entries also stand in .*train.jsonl" if shared else None
        if message is None:
            jsonl("train", path=path, validation_path=other)
            continue
        with pytest.warns(UserWarning, match=message):
            jsonl("train", path=path, validation_path=other)
    jsonl("train", path=path, validation_path=path)  # whoever names it twice knows
    put(folder / "c.jsonl", LINES[4])
    jsonl("train", path=path, validation_path=folder / "c.jsonl", limit=2)  # not among those that are trained on


def test_small_files_and_large_limits(folder: Path) -> None:
    one, two = put(folder / "one.jsonl", LINES[0]), put(folder / "two.jsonl", "\n".join(LINES[:2]))
    with pytest.raises(UserError, match="one entry cannot be both"):
        jsonl("train", path=one)
    assert [len(jsonl(split, path=two, limit=99)) for split in ("train", "validation")] == [1, 1]


def test_the_overview_names_what_nothing_reads(folder: Path) -> None:
    path = put(folder / "a.json", {"data": [{**row, "anwser": "x", "score": None} for row in ROWS]})
    shape, read, unread = overview("train", jsonl("train", path=path))
    assert shape == f"train: 4 of the 5 entries of {path} (a list of objects under 'data')"
    assert {"question", "answer", "image"} <= set(read.split(": ")[1].split(", "))
    assert unread == "  fields that nothing reads: anwser"
    assert overview("train", []) == []


def test_shapes_of_values() -> None:
    assert shapes.shaped(ROWS[0], "x") is None and shapes.shaped({"question": None, "answer": 3}, "x") is None
    assert shapes.is_entry({"text": "about", "data": ROWS}) is False
    found = shapes.shaped({"text": "about", "data": ROWS}, "x")
    assert found is not None and found.rows == ROWS


@pytest.mark.parametrize(("cells", "count"), [("What?,red", 2), ("What?,red,a.png,more", 4)])
def test_a_row_of_a_table_has_as_many_cells_as_its_header(cells: str, count: int, folder: Path) -> None:
    path = put(folder / "ragged.csv", f"question,answer,image\nWhat?,blue,a.png\n{cells}\n")
    with pytest.raises(UserError, match=rf"ragged.csv: line 3 has {count} cells, the header 3"):
        rows(path)


@pytest.mark.parametrize(
    ("golds", "read"),
    [
        (["2017.0", "", "150.0"], ["2017", None, "150"]),
        (["2017.0", "", "150.5"], ["2017.0", None, "150.5"]),
        (["2017.0", "red", "150.0"], ["2017.0", "red", "150.0"]),
        (["2017", "3.0", "4.0"], ["2017", "3.0", "4.0"]),
    ],
)
def test_integers_that_pandas_wrote_as_floats(folder: Path, golds: list[str], read: list[str | None]) -> None:
    lines = "".join(f"{at}.0,Who?,{gold}\n" for at, gold in enumerate(golds))
    found = rows(put(folder / "floats.csv", f"id,question,answer\n{lines}"))
    assert [row["answer"] for row in found] == read and found[0]["id"] == "0.0"


def test_a_pipe_is_told_to_be_a_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UserError, match=r"pipe: is a pipe or a device, which can be read once, .*write them to a file"):
        open_rows(folder / "pipe")
    with pytest.raises(UserError, match="/dev/null: is a pipe or a device"):
        open_rows(Path("/dev/null"))
