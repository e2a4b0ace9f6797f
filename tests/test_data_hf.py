"""Hugging Face datasets on disk: folders of save_to_disk and parquet, pictures as bytes and as paths."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.hf import hf
from ral.data.media import load_picture
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
    clips = [None, encoded(5), None, None]
    datasets.Dataset.from_dict(rows(4) | {"many": many, "clip": clips}).save_to_disk(tmp_path / "saved")
    first, second, third = (read(tmp_path / "saved", "train", columns=columns, validation_size=1)[n] for n in range(3))
    assert first.media == (Media("image", tmp_path / "0.png"), Media("image", tmp_path / "1.png"))
    assert [m.kind for m in second.media] == ["image", "video"] and second.media[0].path == tmp_path / "2.png"
    assert second.media[1].path.read_bytes() == encoded(5)
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
