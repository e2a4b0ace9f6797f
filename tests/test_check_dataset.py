"""scripts/check_dataset.py over made data whose broken entries are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commands import call

from ral.checks.dataset import check_splits
from ral.errors import UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 entries, 36 of them broken in nine ways, some odd."""
    folder = tmp_path_factory.mktemp("made")
    done = call("scripts/make_broken_dataset.py", "--output", "b", "--entries", "200", "--share", "0.18", folder=folder)
    assert done.returncode == 0 and done.stdout == "data: b/data.json\n", done.stderr
    return folder / "b"


def test_a_scan_finds_exactly_what_is_broken(made: Path, tmp_path: Path) -> None:
    key = [json.loads(line) for line in (made / "key.jsonl").read_text().splitlines()]
    broken = {line["index"]: line["kind"] for line in key if "kind" in line}
    assert len(broken) == 36 and len(set(broken.values())) == 9 and len(key) > 60
    settings = ("dataset=video_r1", f"dataset.path={made / 'data.json'}", "workers=2", "hydra.run.dir=out")
    done = call("scripts/check_dataset.py", *settings, "dataset.media.image_max_pixels=200704", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "checked: 200 ok: 164 bad: 36"
    found = [json.loads(line) for line in (tmp_path / "out" / "bad_samples.jsonl").read_text().splitlines()]
    assert {line["index"] for line in found} == set(broken) and len(found) == 36
    assert all(list(line) == ["index", "problem_id", "path", "reason", "remedy"] for line in found)
    assert all(line["remedy"] for line in found)
    assert all(any(f"{line['reason']}; {line['remedy']}" in said for line in found) for said in told_of(done.stdout))
    assert all(line["problem_id"] == 100000 + line["index"] for line in found)
    for text in ("usable entries", "numerical", "video", "would be skipped", "unreadable clip", "no such file"):
        assert text in done.stdout
    assert f"entry {min(line['index'] for line in found) + 1} " in done.stdout  # as in every message, from 1
    assert "Traceback" not in done.stderr


def told_of(stdout: str) -> list[str]:
    """Return the lines on bad entries below the table, at least one."""
    found = [line for line in stdout.splitlines() if line.startswith("  ") and ": entry " in line]
    assert len(found) > 4
    return found


def test_limit_splits_and_the_default_folder(made: Path, tmp_path: Path) -> None:
    settings = ("dataset=video_r1", f"dataset.path={made / 'data.json'}", "splits=[train]", "dataset.limit=10")
    done = call("scripts/check_dataset.py", *settings, "workers=1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("checked: 10 ok: ")
    (written,) = tmp_path.glob("outputs/check/*/*/bad_samples.jsonl")
    assert f"bad_samples: {written}" in done.stdout


def test_what_only_some_uses_rule_out(made: Path, tmp_path: Path) -> None:
    """Reasoning that SFT lacks, and a gold answer that the rules cannot read; strict=false asks for neither."""
    entry = {"problem_id": 1, "problem": "How many?", "problem_type": "numerical", "data_type": "image"}
    entry |= {
        "solution": "<answer>2</answer>",
        "process": "<think>two</think>",
        "path": str(made / "sources/good/1.png"),
    }
    entries = [dict(entry) for _ in range(4)]
    entries[0]["solution"] = "<answer>plenty</answer>"
    del entries[1]["process"]
    (tmp_path / "data.json").write_text(json.dumps(entries))
    settings = ("dataset=video_r1", "dataset.path=data.json", "workers=1", "hydra.run.dir=out")
    for split, strict, bad in (("train", True, [0]), ("sft", True, [1]), ("train", False, []), ("sft", False, [])):
        done = call("scripts/check_dataset.py", *settings, f"splits=[{split}]", f"strict={strict}", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        found = (tmp_path / "out" / "bad_samples.jsonl").read_text().splitlines()
        assert [json.loads(line)["index"] for line in found] == bad


def scanned(folder: Path, entries: list[dict[str, object]], *settings: str) -> list[tuple[int, str]]:
    """(index, reason) of each bad entry of a file."""
    (folder / "data.json").write_text(json.dumps(entries))
    done = call(
        "scripts/check_dataset.py", "dataset.path=data.json", "workers=1", "hydra.run.dir=out", *settings, folder=folder
    )
    assert done.returncode == 0, done.stderr
    lines = (folder / "out" / "bad_samples.jsonl").read_text().splitlines()
    return [(line["index"], line["reason"]) for line in map(json.loads, lines)]


def test_what_was_made_of_a_file_is_printed(tmp_path: Path) -> None:
    """Its shape, what is read of its entries and what is not, and the first entry as the model reads it."""
    entries = [{"question": f"What is {n}?", "answer": "red", "images": [], "answr": "x"} for n in range(10)]
    (tmp_path / "data.json").write_text(json.dumps({"version": 2, "samples": entries}))
    settings = ("dataset=jsonl", "dataset.path=data.json", "workers=1", "hydra.run.dir=out")
    done = call("scripts/check_dataset.py", *settings, folder=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "checked: 10 ok: 10 bad: 0", done.stderr
    assert "train: 8 of the 10 entries of data.json (a list of objects under 'samples')" in done.stdout
    assert "fields read: question, answer, images" in done.stdout and "fields that nothing reads: answr" in done.stdout
    shown = done.stdout.partition("first entry, as the model reads it:\n")[2]
    assert shown.startswith("  | <|im_start|>user\n  | What is 0?")


def test_control_tokens_and_pairs_as_a_run_takes_them(tmp_path: Path) -> None:
    """The model's tokens rule entries out, in pairs also those of their responses; pairs need no gold answer."""
    good = {"question": "What is it?", "images": []}
    pair = {**good, "chosen": "<answer>red</answer>", "rejected": "<answer>blue</answer>"}
    entries: list[dict[str, object]] = [{**good, "answer": "red"} for _ in range(3)]
    entries += [{**good, "question": "What is <|im_end|>?", "answer": "red"}, pair, {**pair, "chosen": "<|endoftext|>"}]
    found = scanned(tmp_path, [*entries, good, pair, pair], "dataset=jsonl")
    assert [index for index, _ in found] == [3, 5, 6]
    assert "control token <|im_end|>" in found[0][1] and "the chosen holds" in found[1][1]
    assert "'answer': missing" in found[2][1]


def test_the_file_for_sft_is_looked_at_as_sft_does(made: Path, tmp_path: Path) -> None:
    """No reasoning: bad where video_r1_cot trains, not in what it holds out, and not for dataset=video_r1."""
    entry = {"problem_id": 1, "problem": "How many?", "problem_type": "numerical", "data_type": "image"}
    entry |= {"solution": "<answer>2</answer>", "path": str(made / "sources/good/1.png")}
    entries: list[dict[str, object]] = [{**entry, "process": "<think>two</think>"}, *(dict(entry) for _ in range(9))]
    assert [index for index, _ in scanned(tmp_path, entries, "dataset=video_r1_cot")] == [1, 2, 3, 4, 5, 6, 7]
    assert scanned(tmp_path, entries, "dataset=video_r1") == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("dataset=video_r1",), "dataset.path is not set"),
        (("dataset=video_r1", "dataset.path=gone.json"), "gone.json: no such file"),
        (("dataset=vidoe_r1",), "did you mean video_r1"),
        (("model.pretrained=/gone",), "model.pretrained=/gone: no such folder"),
        (("dataset.limits=3",), "unknown key dataset.limits"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = call("scripts/check_dataset.py", *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_help(tmp_path: Path) -> None:
    done = call("scripts/check_dataset.py", "--help", folder=tmp_path)
    assert done.returncode == 0 and "video_r1" in done.stdout and "checked: N ok: M bad: K" in done.stdout


def test_a_folder_of_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    done = call("scripts/make_broken_dataset.py", "--output", "mine", "--entries", "10", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("choice", "source", "split", "write"),
    [
        ("jsonl", {"_target_": "ral.data.sources.jsonl"}, "test", "write sft, train, validation$"),
        ("hf", {"_target_": "ral.data.hf.hf"}, "test", r"validation \(or dataset.source.validation_split="),
        ("video_r1", {"_target_": "ral.data.sources.video_r1"}, "Train", "write sft, train, validation$"),
        ("visual_search", {"_target_": "ral.worlds.x", "sizes": {"train": 9, "test": 9}}, "val", "write train, test$"),
    ],
)
def test_a_split_that_is_not_there_is_refused(choice: str, source: dict[str, Any], split: str, write: str) -> None:
    with pytest.raises(UserError, match=rf"splits: dataset={choice} has no split '{split}'; .*{write}"):
        check_splits(["train", split], source, choice)


def test_splits_that_are_there_pass() -> None:
    check_splits(["sft", "train", "validation"], {"_target_": "ral.data.sources.jsonl"}, "jsonl")
    check_splits(["test"], {"_target_": "ral.worlds.x", "sizes": {"test": 9}}, "visual_search")
    check_splits(["anything"], {"_target_": "mine.source"}, "csv")
