"""ral.files: lines of JSON, tables in Markdown, files named by their content, this repository's own folders."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ral.errors import UserError
from ral.files import jsonl, markdown
from ral.files.hashed import store, text_hash
from ral.files.repository import ROOT, SHIPPED, find

WHOLE = '{"step": 1}\n\n{"step": 2, "text": "\u2028"}\n'


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "lines.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_are_read_whatever_separates_text_within_them(tmp_path: Path) -> None:
    """U+2028 ends a line for str.splitlines, not for JSON."""
    path = write(tmp_path, WHOLE)
    assert jsonl.read(path) == jsonl.readable(path) == [{"step": 1}, {"step": 2, "text": "\u2028"}]
    assert [line.number for line in jsonl.parse(path.read_bytes())] == [1, 3]
    assert jsonl.read(tmp_path / "none.jsonl") == jsonl.readable(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("cut", [b'{"step": 3', '{"text": "é'.encode()[:-1]])
def test_a_last_line_that_was_cut_off_is_left_out(cut: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE.encode() + cut)
    assert len(jsonl.read(path)) == len(jsonl.readable(path)) == 2
    with pytest.raises(UserError, match=r"lines.jsonl line 4: not valid JSON"):
        jsonl.read(path, whole=True)


@pytest.mark.parametrize(("bad", "says"), [("{", "not valid JSON"), ("[1]", "must be an object, is list")])
def test_another_line_that_is_no_object_is_named(bad: str, says: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{bad}\n{WHOLE}")
    with pytest.raises(UserError, match=f"lines.jsonl line 1: {says}.*; mend or delete the line"):
        jsonl.read(path)
    assert len(jsonl.readable(path)) == 2


def test_a_last_line_without_a_break_counts_where_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE + json.dumps({"step": 3}))
    assert jsonl.read(path)[-1] == {"step": 3} and not list(jsonl.parse(path.read_bytes()))[-1].ended


def test_tables_set_numbers_to_the_right() -> None:
    assert markdown.table(("a", "b", "c"), [("x", 1, 2.5)], left=2) == (
        "| a | b | c |\n| --- | --- | ---: |\n| x | 1 | 2.5 |\n"
    )
    assert markdown.table(("a",), [], left=3) == "| a |\n| --- |\n"


def test_the_same_content_is_one_file(tmp_path: Path) -> None:
    one, two = (store(tmp_path / "new", b"content", ".png") for _ in range(2))
    assert one == two == tmp_path / "new" / f"{hashlib.sha256(b'content').hexdigest()}.png"
    assert one.read_bytes() == b"content" and [p.name for p in one.parent.iterdir()] == [one.name]
    spread = store(tmp_path, b"content", "", spread=True)
    assert spread.parent == tmp_path / one.name[:2] and spread.name == one.stem
    assert text_hash("a") == hashlib.sha256(b"a").hexdigest() and text_hash("\udcff") != text_hash("a")


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        store(tmp_path / "file", b"content", "")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_shipped_model_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find(SHIPPED) == str(ROOT / SHIPPED) and (Path(find(SHIPPED)) / "config.json").is_file()
    (tmp_path / SHIPPED).mkdir(parents=True)
    assert find(SHIPPED) == SHIPPED  # a folder here goes first
    assert find("someone/some-model") == "someone/some-model"
