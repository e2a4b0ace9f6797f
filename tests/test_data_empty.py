"""Files without entries, of every kind that is read: one line that names the file and says so."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from ral.data.hf import hf
from ral.data.sources import jsonl
from ral.types import UserError

SCHEMA = pa.schema([("question", pa.string()), ("answer", pa.string())])
ROWS = pa.table({"question": ["a?", "b?", "c?"], "answer": ["1", "2", "3"]}, schema=SCHEMA)
TEXTS = {
    "list.json": "[ \n]",
    "lists.json": "[[], []]",
    "under_a_key.json": '{"data": [], "about": {"count": 0}}',
    "columns.json": '{"question": [], "answer": []}',
    "header.json": '[["question", "answer"]]',
    "nothing.jsonl": "",
    "blank.jsonl": "\n \n",
    "header.csv": "question,answer,image\n",
    "header.tsv": "question\tanswer",
    "nothing.csv": "",
    "blank.csv": "\n\n",
    "null.parquet": "",
}


def refused(path: Path, unpacked: Path, read: Any = jsonl, **more: Any) -> str:
    with pytest.raises(UserError) as told:
        read("train", path=path, unpacked=unpacked, **more)
    message = str(told.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_without_entries_is_told_as_that(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text(TEXTS[name])
    assert "has no entries; write at least one" in refused(file, tmp_path / "unpacked")


def test_a_packed_text_without_entries_is_told_as_that(tmp_path: Path) -> None:
    for name, text in (("a.json.gz", "[]"), ("b.csv.gz", "question,answer\n"), ("c.jsonl.gz", "")):
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(text)
        assert "has no entries; write at least one" in refused(tmp_path / name, tmp_path / "unpacked")


def test_a_key_with_an_empty_list_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"train": [], "test": []}')
    assert "has nothing under 'train' and 'test'" in refused(tmp_path / "a.json", tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "folder", "arrow stream", "arrow file"])
def test_a_table_without_rows_is_told_as_that(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    if kind in ("parquet", "folder"):
        parquet.write_table(SCHEMA.empty_table(), path / "a.parquet" if kind == "folder" else path)
    else:
        with (ipc.new_stream if kind == "arrow stream" else ipc.new_file)(str(path), SCHEMA) as file:
            file.write_table(SCHEMA.empty_table())
    for read, more in ((jsonl, {}), (hf, {"columns": {}})):
        assert "has no rows; write at least one" in refused(path, tmp_path / "unpacked", read, **more)


def test_a_shard_without_rows_is_no_fault_of_its_split(tmp_path: Path) -> None:
    parquet.write_table(SCHEMA.empty_table(), tmp_path / "train-00000-of-00002.parquet")
    parquet.write_table(ROWS, tmp_path / "train-00001-of-00002.parquet")
    found = hf("train", path=tmp_path, columns={"image": None}, unpacked=tmp_path / "unpacked", validation_size=1)
    assert len(found) == 2


def test_a_split_without_rows_is_named_and_not_taken_from_another(tmp_path: Path) -> None:
    parquet.write_table(ROWS, tmp_path / "train.parquet")
    parquet.write_table(SCHEMA.empty_table(), tmp_path / "validation.parquet")
    with pytest.raises(UserError, match="its split 'validation' has no rows"):
        hf("validation", path=tmp_path, columns={"image": None}, unpacked=tmp_path / "unpacked")


def test_shards_of_different_columns_are_told_by_their_columns(tmp_path: Path) -> None:
    parquet.write_table(ROWS, tmp_path / "a.parquet")
    parquet.write_table(pa.table({"question": ["d?"], "gold": [[1]]}), tmp_path / "b.parquet")
    assert "gold" in refused(tmp_path, tmp_path / "unpacked")
