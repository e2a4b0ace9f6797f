"""Hugging Face datasets on disk: folders of save_to_disk and parquet, pictures as bytes and as paths."""

from __future__ import annotations

import importlib
import io
import pickle
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.files import open_rows
from ral.data.hf import fields_of, hf
from ral.data.media import load_picture
from ral.data.sources import jsonl
from ral.data.tables import plain
from ral.types import Media, UserError

datasets = pytest.importorskip("datasets")
COLUMNS: dict[str, str | None] = {
    "question": "text",
    "answer": "label",
    "image": "picture",
    "id": "key",
    "options": None,
}


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (28, 28), (number, 90, 7))


def encoded(number: int) -> bytes:
    content = io.BytesIO()
    picture(number).save(content, "PNG")
    return content.getvalue()


def rows(count: int, first: int = 0) -> dict[str, list[Any]]:
    numbers = range(first, first + count)
    return {"key": [f"k{n}" for n in numbers], "text": [f"What is {n}?" for n in numbers], "label": list(numbers)}


def table(count: int, first: int = 0) -> Any:
    """A dataset with a column of datasets' own Image."""
    pictures = [{"bytes": encoded(n), "path": f"{n}.png"} for n in range(first, first + count)]
    features = {"key": "string", "text": "string", "label": "int64"}
    typed = datasets.Features({k: datasets.Value(v) for k, v in features.items()} | {"picture": datasets.Image()})
    return datasets.Dataset.from_dict(rows(count, first) | {"picture": pictures}, features=typed)


def read(path: Path, split: str, **settings: Any) -> Any:
    return hf(split, path=path, **({"columns": COLUMNS, "unpacked": path.parent / "unpacked"} | settings))


def check(examples: Any, numbers: list[int]) -> None:
    """The examples are those of these numbers, each with its own picture."""
    assert [e.question for e in examples] == [f"What is {n}?" for n in numbers]
    assert [e.answer for e in examples] == [str(n) for n in numbers]
    for number, example in zip(numbers, examples, strict=True):
        assert load_picture(example.media[0].path).getpixel((3, 3)) == (number, 90, 7)
        assert example.uid.endswith(f"-k{number}") and example.problem_type == "free-form"


def test_a_saved_dataset(tmp_path: Path) -> None:
    table(10).save_to_disk(tmp_path / "saved")
    examples = read(tmp_path / "saved", "train")
    assert not any((tmp_path / "unpacked").iterdir())  # nothing is read before it is asked for
    check(examples, list(range(8)))
    check(read(tmp_path / "saved", "validation"), [8, 9])
    assert len(read(tmp_path / "saved", "train", limit=3)) == 3
    check(pickle.loads(pickle.dumps(examples)), list(range(8)))  # as workers get it
    assert len(list((tmp_path / "unpacked").iterdir())) == 10


def test_a_dataset_with_splits(tmp_path: Path) -> None:
    splits = datasets.DatasetDict({"train": table(4), "validation": table(3, 20), "extra": table(5, 40)})
    splits.save_to_disk(tmp_path / "saved")
    check(read(tmp_path / "saved", "sft", limit=2), [0, 1])
    check(read(tmp_path / "saved", "validation", limit=2), [20, 21, 22])
    check(read(tmp_path / "saved", "train", train_split="extra", validation_split="none"), [40, 41, 42, 43])
    with pytest.raises(UserError, match=r"no split 'trian'; write dataset.source.train_split=<train or validation"):
        read(tmp_path / "saved", "train", train_split="trian")


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    table(6).to_parquet(tmp_path / "folder" / "0.parquet")
    table(4, 6).to_parquet(tmp_path / "folder" / "1.parquet")
    check(read(tmp_path / "folder", "train"), list(range(8)))
    check(read(tmp_path / "folder" / "1.parquet", "validation", validation_size=1), [9])


@pytest.mark.parametrize(
    "names",
    [
        (
            "data/train-00000-of-00002",
            "data/train-00001-of-00002",
            "data/validation-00000-of-00001",
            "data/test-0-of-1",
        ),
        ("train/part-00000-of-00002", "train/part-00001-of-00002", "validation/part-00000-of-00001", "test/0"),
        ("train_a", "train_b", "validation", "my-test-2024"),
    ],
)
def test_parquet_files_with_splits_in_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for number, name in enumerate(names):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        table(2, 10 * number).to_parquet(tmp_path / "folder" / f"{name}.parquet")
    check(read(tmp_path / "folder", "train"), [0, 1, 10, 11])
    check(read(tmp_path / "folder", "validation"), [20, 21])
    check(read(tmp_path / "folder", "validation", validation_split="test"), [30, 31])


@pytest.mark.parametrize(
    "names, message",
    [
        (("train-0-of-1", "more"), r"more.parquet: names no split, and files beside it do; rename it like train-00000"),
        (("train_or_test", "train"), r"train_or_test.parquet: names the splits test and train; rename it"),
        (("train_sft-0-of-1", "test_sft-0-of-1"), r"write dataset.source.train_split=<test_sft or train_sft>"),
    ],
)
def test_parquet_files_of_which_the_split_is_not_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    for name in names:
        table(2).to_parquet(tmp_path / "folder" / f"{name}.parquet")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "folder", "train")


def test_paths_lists_and_raw_bytes(tmp_path: Path) -> None:
    for n in range(3):
        picture(n).save(tmp_path / f"{n}.png")
    columns = {"question": "text", "answer": "label", "images": "many", "video": "clip"}
    many = [["0.png", "1.png"], [str(tmp_path / "2.png")], [], ["gone.png"]]
    clip = b"\0\0\0\x20ftypisom" + encoded(5)  # known by its first bytes
    clips = [None, clip, None, None]
    datasets.Dataset.from_dict(rows(4) | {"many": many, "clip": clips}).save_to_disk(tmp_path / "saved")
    first, second, third = (read(tmp_path / "saved", "train", columns=columns, validation_size=1)[n] for n in range(3))
    assert first.media == (Media("image", tmp_path / "0.png"), Media("image", tmp_path / "1.png"))
    assert [m.kind for m in second.media] == ["image", "video"] and second.media[0].path == tmp_path / "2.png"
    assert second.media[1].path.read_bytes() == clip
    assert third.media == ()
    with pytest.raises(BadSample, match=r"saved: entry 4: field 'images': no such file: .*gone.png"):
        read(tmp_path / "saved", "validation", columns=columns)[0]
    with pytest.raises(BadSample, match=r"no such file"):
        read(tmp_path / "saved", "train", columns=columns, media_root=tmp_path / "saved")[0]


def test_text_alone_and_a_missing_picture(tmp_path: Path) -> None:
    datasets.Dataset.from_dict(rows(3) | {"picture": [encoded(0), None, encoded(2)]}).save_to_disk(tmp_path / "saved")
    assert read(tmp_path / "saved", "train", columns=COLUMNS | {"image": None})[1].media == ()
    with pytest.raises(BadSample, match="entry 2: field 'image': no picture and no clip"):
        read(tmp_path / "saved", "train")[1]


@pytest.mark.parametrize("name", ["picture", "image_path"])
def test_a_column_of_media_that_nothing_reads(tmp_path: Path, name: str) -> None:
    """Of every reader: as structs and as paths; null for the field `image` asks for text alone."""
    media = [encoded(n) for n in range(3)] if name == "picture" else [f"{n}.png" for n in range(3)]
    columns = {**rows(3), "answer": ["red"] * 3, "question": ["Which?"] * 3, name: media}
    columns.pop("text", None), columns.pop("label", None)
    datasets.Dataset.from_dict(columns).save_to_disk(tmp_path / "saved")
    datasets.Dataset.from_dict(columns).to_parquet(tmp_path / "a.parquet")
    own = {"question": "question", "answer": "answer"}
    for path in (tmp_path / "saved", tmp_path / "a.parquet"):
        with pytest.raises(BadSample, match=f"field '{name}': nothing reads it, and it looks like a medium"):
            jsonl("train", path=path, unpacked=tmp_path / "unpacked", validation_size=1)[0]
        alone = read(path, "train", columns=own | {"image": None}, validation_size=1)
        assert alone[0].media == () and alone[0].answer == "red"


def test_mistakes_are_named(tmp_path: Path) -> None:
    table(3).save_to_disk(tmp_path / "saved")
    with pytest.raises(
        UserError, match=r"no column 'q' for the field 'question'; write dataset.source.columns.question="
    ):
        read(tmp_path / "saved", "train", columns={"question": "q"})
    with pytest.raises(UserError, match=r"no dataset; write a folder of save_to_disk, a .parquet file or"):
        read(tmp_path, "train")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(UserError, match=r"a.parquet: cannot be read as a dataset"):
        read(tmp_path / "a.parquet", "train")


LABELS = ["cat", "dog"]


def write_typed(path: Path, columns: dict[str, tuple[Any, list[Any]]]) -> Path:
    """A saved dataset of columns with their types."""
    features = datasets.Features({name: feature for name, (feature, _) in columns.items()})
    values = {name: cells for name, (_, cells) in columns.items()}
    datasets.Dataset.from_dict(values, features=features).save_to_disk(path)
    return path


def test_labels_are_their_names_wherever_they_stand(tmp_path: Path) -> None:
    label, text = datasets.ClassLabel(names=LABELS), datasets.Value("string")
    columns = {
        "question": (text, ["a?", "b?", "c?"]),
        "answer": (label, [1, 0, -1]),
        "options": (datasets.Sequence(label), [[0, 1], [1, 0], [0, 1]]),
        "image": (datasets.Image(), [{"bytes": encoded(n), "path": None} for n in range(3)]),
        "extra_info": ({"kind": label, "all": datasets.Sequence({"of": label})}, [{"kind": 1, "all": {"of": [0]}}] * 3),
    }
    path = write_typed(tmp_path / "saved", columns)
    defaults = {name: name for name in ("question", "answer", "image", "video", "options", "id")}
    examples = read(path, "train", columns=defaults, validation_size=1)
    raw = examples.rows.row(0)
    assert (raw["answer"], raw["options"]) == ("dog", ["cat", "dog"])
    assert raw["extra_info"] == {"kind": "dog", "all": {"of": ["cat"]}}
    assert examples.rows.row(2)["answer"] is None  # a label of -1 is missing
    assert [e.options for e in examples] == [("A. cat", "B. dog"), ("A. dog", "B. cat")]
    with pytest.raises(ValueError, match="label 2, and there are 2 names"):
        plain(2, label)


def test_values_that_json_does_not_have(tmp_path: Path) -> None:
    columns = {
        "question": (datasets.Value("large_string"), ["a?"] * 3),
        "answer": (datasets.Value("timestamp[s]"), [datetime(2026, 1, 2, 3)] * 3),
        "problem_type": (datasets.Value("null"), [None] * 3),
        "cost": (datasets.Value("decimal128(5, 2)"), [Decimal("1.50")] * 3),
        "images": (datasets.Sequence(datasets.Value("string")), [[]] * 3),
    }
    path = write_typed(tmp_path / "saved", columns)
    raw = open_rows(path).row(0)
    assert raw == {
        "question": "a?",
        "answer": "2026-01-02T03:00:00",
        "problem_type": None,
        "cost": "1.50",
        "images": [],
    }


def test_nested_parquet_of_verl_comes_through(tmp_path: Path) -> None:
    """Pictures as structs in a list become files; turns and the gold answer stay as they are."""
    stored = [{"bytes": encoded(7), "path": None}, {"bytes": encoded(8), "path": "b.png"}]
    row = {
        "data_source": "geo",
        "prompt": [{"role": "user", "content": "<image><image>How large?"}],
        "images": stored,
        "reward_model": {"ground_truth": "7", "style": "rule"},
        "extra_info": {"index": 3, "answer": "7", "thumbnail": {"bytes": b"ab", "path": None}},
    }
    pyarrow = pytest.importorskip("pyarrow")
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.Table.from_pylist([row] * 4), tmp_path / "a.parquet")
    for examples in (
        jsonl("train", path=tmp_path / "a.parquet", unpacked=tmp_path / "unpacked"),
        read(tmp_path / "a.parquet", "train", columns={"question": "question", "answer": "answer", "image": "image"}),
    ):
        raw = examples.rows.row(0)
        assert {name: raw[name] for name in row if name != "images"} == {n: v for n, v in row.items() if n != "images"}
        assert [Path(path).read_bytes() for path in raw["images"]] == [encoded(7), encoded(8)]
        assert examples.rows.shape == "parquet"


@pytest.mark.parametrize("form", ["arrow", "feather", "saved", "shards", "no suffix"])
def test_tables_are_read_under_the_names_of_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    made = datasets.Dataset.from_dict({"problem": ["a?", "b?", "c?"], "solution": list("xyz"), "images": [[]] * 3})
    path = tmp_path / "made"
    if form == "feather":
        importlib.import_module("pyarrow.feather").write_feather(made.data.table, str(path))
    elif form == "arrow":
        made.save_to_disk(tmp_path / "folder")
        path = next((tmp_path / "folder").glob("*.arrow"))
    elif form == "shards":
        path.mkdir()
        for n in range(3):
            made.select([n]).to_parquet(path / f"{n}.parquet")
    else:
        made.save_to_disk(path) if form == "saved" else made.to_parquet(path)
    entries = jsonl("train", path=path, unpacked=tmp_path / "unpacked")
    assert [e.answer for e in entries] == ["x", "y"] and len(jsonl("validation", path=path)) == 1


def test_tables_with_splits_or_without_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.DatasetDict({"train": table(2), "test": table(2)}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match=r"saved: holds the splits train, test; write dataset=hf"):
        jsonl("train", path=tmp_path / "saved")
    table(2).select([]).to_parquet(tmp_path / "none")
    table(2).select([]).save_to_disk(tmp_path / "saved_none")
    for source in (
        lambda: jsonl("train", path=tmp_path / "none"),
        lambda: read(tmp_path / "none", "train"),
        lambda: read(tmp_path / "saved_none", "train"),
    ):
        with pytest.raises(UserError, match=r"none: has no rows; write at least one"):
            source()


TYPES = {"text": "string", "label": "string", "picture": datasets.Image(), "path": "string", "messages": "list"}


@pytest.mark.parametrize(
    "there, columns, fields",
    [
        (["question", "answer", "image", "options"], {}, ["question", "answer", "image", "options"]),
        (["question", "answer", "image", "options"], {"options": None}, ["question", "answer", "image"]),
        (["problem", "solution", "images", "level"], {}, ["problem", "solution", "images", "level"]),
        (["prompt", "reward_model", "images"], {}, ["prompt", "reward_model", "images"]),
        (["messages", "images"], {}, ["messages", "images"]),
        (["question", "answer", "image", "path"], {}, ["question", "answer", "image"]),
        (["question", "answer", "path"], {}, ["question", "answer", "path"]),
        (["text", "answer", "image", "messages"], {"question": "text"}, ["question", "answer", "image"]),
        (["question", "answer", "picture"], {"image": None}, ["question", "answer", "picture"]),
    ],
)
def test_columns_keep_their_names_unless_told(there: list[str], columns: dict[str, Any], fields: list[str]) -> None:
    defaults = {name: name for name in ("question", "answer", "image", "video", "options", "problem_type", "id")}
    found = fields_of(Path("x"), defaults | columns, {name: TYPES.get(name, "string") for name in there})
    assert sorted(found) == sorted(fields)


@pytest.mark.parametrize(
    "there, message",
    [
        (
            ["q", "answer", "image"],
            "no column 'question' for the field 'question'; write dataset.source.columns.question=",
        ),
        (["question", "image"], "no column 'answer'"),
        (["question", "answer", "picture"], "no column 'image' for the field 'image'"),
        (
            ["messages", "picture"],
            "its column 'picture' holds pictures or clips, and no field reads it; write dataset.so",
        ),
    ],
)
def test_columns_that_are_missing_or_left_out(there: list[str], message: str) -> None:
    defaults = {name: name for name in ("question", "answer", "image", "video")}
    with pytest.raises(UserError, match=message):
        fields_of(Path("x"), defaults, {name: TYPES.get(name, "string") for name in there})


def test_a_full_disk_leaves_no_picture_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(3).save_to_disk(tmp_path / "saved")
    examples = read(tmp_path / "saved", "train")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write(path, content[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises((OSError, UserError), match="No space left"):
        examples[0]
    assert not any((tmp_path / "unpacked").iterdir())
    monkeypatch.undo()
    check(examples[:1], [0])


def test_a_cut_parquet_file_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import pandas

    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    pandas.DataFrame({"question": ["Q?"] * 50, "answer": ["x"] * 50}).to_parquet(whole)
    cut.write_bytes(whole.read_bytes()[:400])
    with pytest.raises(UserError, match=r"cut\.parquet: cannot be read as a dataset"):
        jsonl("train", path=cut, validation_size=1)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("golds", "read"),
    [
        ([2017.0, None, 150.0], ["2017", None, "150"]),
        ([2017.0, None, 150.5], ["2017.0", None, "150.5"]),
        ([float("nan"), -3.0, 4.0], [None, "-3", "4"]),
    ],
)
def test_integers_that_pandas_made_floats(tmp_path: Path, golds: list[float | None], read: list[str | None]) -> None:
    columns = {"question": ["How many?"] * 4, "answer": [*golds, 1.0], "height": [1.0, 2.0, 3.0, 4.0]}
    table = datasets.Dataset.from_dict(columns)
    table.to_parquet(tmp_path / "a.parquet")
    found = hf("train", path=tmp_path / "a.parquet", columns={}, unpacked=tmp_path / "u", validation_size=1)
    for at, gold in enumerate(read):
        if gold is None:
            with pytest.raises(BadSample, match="'answer': missing"):
                found[at]
        else:
            assert found[at].answer == gold
    assert found.rows.row(0)["height"] == 1.0
