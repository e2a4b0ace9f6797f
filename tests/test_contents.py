"""Content of data and models under the same path: what a run remembers of it, and what a resumed run says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import pytest
from conftest import train_in

from ral.config.contents import check_contents, contents, plain_contents
from ral.errors import UserError
from ral.files import contents as files
from ral.files.contents import change, data_content, model_content
from ral.learner.checkpoints import CONTENTS, read, save

ROWS = [{"question": f"What is {n}?", "answer": str(n)} for n in range(12)]


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".csv":
            path.write_text("\n".join(["question,answer", *(f"{r['question']},{r['answer']}" for r in rows)]))
        case ".parquet":
            datasets.Dataset.from_list(rows).to_parquet(str(path))
        case _:
            datasets.Dataset.from_list(rows).save_to_disk(str(path))
    return path


def words(path: Path, before: Any) -> str:
    """Return how the data at a path differ from `before`."""
    now = data_content(str(path), ("train", "validation"))
    assert before is not None and now is not None
    return change(before, now)


OTHERS: dict[str, list[dict[str, str]]] = {
    "reversed": ROWS[::-1],
    "longer": [*ROWS, {"question": "?", "answer": "x"}],
    "shorter": ROWS[:-1],
    "another answer of the same length": [*ROWS[:5], {**ROWS[5], "answer": "9"}, *ROWS[6:]],
}


@pytest.mark.parametrize("rows", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "saved"])
def test_other_entries_under_the_same_path_are_noticed(name: str, rows: list[Any], tmp_path: Path) -> None:
    before = data_content(str(written(tmp_path / name, ROWS)))
    again = written(tmp_path / "again" / name, ROWS)
    assert before is not None and change(before, data_content(str(again)) or before) == ""  # written anew, but equal
    other = written(tmp_path / "other" / name, rows)
    assert words(other, before).startswith(str(other)) and words(other, before).endswith("has changed")


def test_a_file_that_was_touched_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", ROWS)
    before = data_content(str(path))
    os.utime(path, (1, 1))
    assert words(path, before) == ""
    assert data_content(f"file://{path}") == before == data_content(f"{path}::rows")
    assert data_content(str(tmp_path / "none.json")) is None


def test_of_a_folder_the_file_that_differs_is_named(tmp_path: Path) -> None:
    for part in range(3):
        written(tmp_path / "hub" / "data" / f"train-{part:05d}-of-00003.parquet", ROWS[4 * part : 4 * part + 4])
    hub = tmp_path / "hub"
    before = data_content(str(hub))
    for name in ("README.md", ".cache/huggingface/download/x.json", "picture.png", "dataset_infos.json"):
        (hub / name).parent.mkdir(parents=True, exist_ok=True)
        (hub / name).write_text("{}")
    assert words(hub, before) == ""
    written(hub / "data" / "train-00001-of-00003.parquet", ROWS[:4])
    assert words(hub, before) == f"{hub}/data/train-00001-of-00003.parquet has changed"
    written(hub / "more.parquet", ROWS)
    assert words(hub, before) == f"{hub}/more.parquet is new"
    (hub / "data" / "train-00000-of-00003.parquet").unlink()
    assert words(hub, before) == f"{hub}/data/train-00000-of-00003.parquet is gone"


def test_of_json_files_beside_pictures_the_entries_count(tmp_path: Path) -> None:
    (tmp_path / "direct").mkdir()
    (tmp_path / "direct" / "a.jpg").write_bytes(b"1")
    (tmp_path / "direct" / "a.json").write_text("{}")
    before = data_content(str(tmp_path))
    (tmp_path / "direct" / "a.jpg").write_bytes(b"2")
    assert words(tmp_path, before) == ""
    (tmp_path / "direct" / "a.json").write_text("[]")
    assert words(tmp_path, before) == f"{tmp_path}/direct/a.json has changed"


def test_a_table_saved_again_is_the_same(tmp_path: Path) -> None:
    """Its state.json holds a name drawn anew; other programs leave caches beside the rows."""
    folder = written(tmp_path / "saved", ROWS)
    before = data_content(str(folder))
    (folder / "state.json").write_text((folder / "state.json").read_text().replace("fingerprint", "fingerprint "))
    (folder / "cache-1f.arrow").write_bytes(b"x")
    assert words(folder, before) == ""


def test_of_made_data_the_settings_of_the_splits_in_use_count(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        (tmp_path / f"{split}.json").write_text("[]")
        (tmp_path / f"{split}.settings.json").write_text('{"seed": 1}')
    before = data_content(str(tmp_path), ("train", "validation"))
    assert before is not None and before.made
    (tmp_path / "sft.settings.json").write_text("{}")
    (tmp_path / "sft.json").write_text("[]")
    assert words(tmp_path, before) == ""
    (tmp_path / "train.settings.json").write_text('{"seed": 2}')
    assert words(tmp_path, before) == f"{tmp_path}/train.settings.json has changed"


def test_a_large_file_is_read_in_blocks_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READ", 4000)
    monkeypatch.setattr(files, "BLOCK", 100)
    path = tmp_path / "a.jsonl"

    def hashed(at: int | None, size: int = 100_000) -> str:
        content = bytearray(b" " * size)
        if at is not None:
            content[at] = 1
        path.write_bytes(content)
        return (data_content(str(path)) or pytest.fail()).files[""]

    assert len({hashed(0), hashed(None), hashed(99_999), hashed(None, 100_001)}) == 4
    blocks = list(files._blocks(100_000, 4000))
    assert len(blocks) == 40 and sum(length for _, length in blocks) == 4000
    assert blocks[0] == (0, 100) and sum(blocks[-1]) == 100_000
    gaps = [later - start for (start, _), (later, _) in pairwise(blocks)]
    assert max(gaps) - min(gaps) <= 1
    middle = blocks[17][0] + 5
    assert hashed(middle) != hashed(None) == hashed(150)
    assert sum(length for _, length in files._blocks(3999, 4000)) == 3999  # read whole


@pytest.mark.parametrize("size", [0, 1, 2, 99, 100, 101, 250, 4000, 4001, 4100, 12_345])
@pytest.mark.parametrize("share", [1, 3, 100, 250, 4000])
def test_blocks_lie_within_the_file(size: int, share: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BLOCK", 100)
    blocks = list(files._blocks(size, share))
    assert all(start >= 0 and start + length <= size for start, length in blocks)
    read = sum(length for _, length in blocks)
    assert read == size if size <= share else 2 <= read <= max(share, 2)


def test_a_models_folder_counts_with_weights_and_template_and_a_hub_id_does_not(tmp_path: Path) -> None:
    assert model_content("Qwen/Qwen2.5-VL-3B-Instruct") is None
    (tmp_path / "config.json").write_text("{}")
    assert model_content(str(tmp_path)) is None
    (tmp_path / "model.safetensors").write_bytes(b"0" * 100)
    (tmp_path / "chat_template.jinja").write_text("a")
    before = model_content(str(tmp_path))
    assert before is not None and set(before.files) == {"config.json", "model.safetensors", "chat_template.jinja"}
    (tmp_path / "chat_template.jinja").write_text("b")
    (tmp_path / "README.md").write_text("b")
    now = model_content(str(tmp_path))
    assert now is not None and change(before, now) == f"{tmp_path}/chat_template.jinja has changed"


def tree(tmp_path: Path) -> dict[str, Any]:
    data, held, template = (str(tmp_path / name) for name in ("a.json", "held.json", "t.j2"))
    return {
        "algo": {"train_split": "train"},
        "dataset": {
            "path": data, "validation_path": held, "media_root": str(tmp_path),
            "templates": {"think": template, "zero": "zero"},
            "source": {
                "path": data, "validation_path": held, "unpacked": str(tmp_path), "columns": {"path": data},
                "own_path": str(tmp_path / "own.csv"),
            },
        },
        "model": {"pretrained": "hub/id"},
    }  # fmt: skip


def test_data_held_out_data_and_templates_are_compared_and_named_with_what_to_type(tmp_path: Path) -> None:
    for name in ("a.json", "held.json", "t.j2", "own.csv"):
        (tmp_path / name).write_text("1")
    cfg = tree(tmp_path)
    kept = plain_contents(contents(cfg))
    given = {"dataset.path": "a.json", "dataset.validation_path": "held.json"}
    given |= {"dataset.source.own_path": "own.csv", "dataset.templates.think": "t.j2"}
    assert kept.keys() == given.keys()
    check_contents(json.loads(json.dumps(kept)), contents(cfg), [], "auto")
    for key, name in given.items():
        (tmp_path / name).write_text("2")
        with pytest.raises(UserError) as error:
            check_contents(kept, contents(cfg), ["seed"], "auto")
        assert f"{tmp_path / name} has changed ({key}); put it back as it was" in str(error.value)
        assert f"'resume_changed=[seed,{key}]'" in str(error.value) and "\n" not in str(error.value)
        for allowed in ([key], key, "all", ["dataset"]):
            check_contents(kept, contents(cfg), allowed, "auto")
        (tmp_path / name).write_text("1")
    (tmp_path / "a.json").unlink()  # its reader says so
    check_contents(kept, contents(cfg), [], "auto")


@pytest.fixture
def settings(small: list[str]) -> list[str]:
    return [*small, "algo=grpo", "eval.every=0", "eval.before=false", "checkpoint.every=1", "start_check=false"]


def test_a_run_whose_file_changed_is_refused_and_goes_on_where_told(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[Any] = [{**row, "images": []} for row in ROWS]
    data, folder = written(tmp_path / "a.jsonl", rows), tmp_path / "run"
    own = [s for s in settings if not s.startswith(("dataset.", "max_steps"))]
    own += ["dataset=jsonl", f"dataset.path={data}", "dataset.max_new_tokens=6"]
    train_in(folder, *own, "max_steps=1", report=False)
    checkpoint = folder / "checkpoints" / "step_000001"
    assert read(checkpoint)[CONTENTS].keys() >= {"dataset.path", "model.pretrained"}
    os.utime(data)
    written(data, rows[::-1])
    for resume in ("auto", str(checkpoint)):
        with pytest.raises(
            UserError, match=rf"{data} has changed \(dataset\.path\).*'resume_changed=\[dataset\.path\]'"
        ):
            train_in(folder, *own, "max_steps=3", f"resume={resume}", report=False)
    train_in(folder, *own, "max_steps=2", "resume=auto", "resume_changed=[dataset.path]", report=False)
    newest = folder / "checkpoints" / "step_000002"
    new, old = (read(step)[CONTENTS]["dataset.path"] for step in (newest, checkpoint))
    assert new != old  # and a resume compares with the new content
    save({key: value for key, value in read(newest).items() if key != CONTENTS}, tmp_path / "old")
    for name in ("state.pt", "sha256"):
        (tmp_path / "old" / name).replace(newest / name)
    written(data, rows)
    capsys.readouterr()
    train_in(folder, *own, "max_steps=3", "resume=auto", report=False)
    assert "holds no hashes of the data and models, being of an earlier version" in capsys.readouterr().err


def test_data_made_locally_are_compared_once_they_are_there(
    settings: list[str], tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """Another run made others in the folder: they are made anew, so nothing has changed. By hand: refused."""
    made, folder = tmp_path / "made", tmp_path / "run"
    own = [*settings, f"dataset.path={made}"]
    train_in(folder, *own, "max_steps=1", report=False)
    for name in ("train", "validation"):
        (made / f"{name}.settings.json").write_text("{}")
    train_in(folder, *own, "max_steps=2", "resume=auto", report=False)
    checkpoint = folder / "checkpoints" / "step_000002"
    state = read(checkpoint)
    kept = state[CONTENTS]["dataset.path"]
    assert sorted(kept["files"]) == ["train.settings.json", "validation.settings.json"]
    kept["files"]["train.settings.json"] = "of another version"
    save(dict(state), tmp_path / "aside")
    for name in ("state.pt", "sha256"):
        (tmp_path / "aside" / name).replace(checkpoint / name)
    with pytest.raises(UserError, match=r"made/train\.settings\.json has changed \(dataset\.path\)"):
        train_in(folder, *own, "max_steps=3", "resume=auto", report=False)
