"""What the user names for a script to write to: something that is there already is not lost unawares."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch
from conftest import CONF, load_script
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from test_easy_vqa import convert, source  # noqa: F401

from ral.assembly.models import load_policy
from ral.checks.dataset import check_no_run
from ral.errors import UserError
from ral.files.targets import check_apart, check_free, check_own
from ral.learner.checkpoints import CONFIG, FILE

MINE = "what I have"


def test_what_is_there_is_free_only_where_told(tmp_path: Path) -> None:
    file, folder, empty, link = (tmp_path / name for name in ("file", "folder", "empty", "link"))
    file.write_text(MINE)
    folder.mkdir()
    empty.mkdir()
    (folder / "a").touch()
    link.symlink_to(tmp_path / "nowhere")
    check_free([tmp_path / "new", empty], told=False)
    for taken, words in ((file, "is there already"), (folder, "is not empty"), (link, "is there already")):
        with pytest.raises(UserError, match=rf"^{taken} {words} .*name another --output, or add --overwrite$"):
            check_free([empty, taken], told=False)
        check_free([taken], told=True)


def test_an_input_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text(MINE)
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    check_apart(Path("b.json"), [Path("a.json"), None])
    for same in ("a.json", "./a.json", str(tmp_path / "a.json"), "link.json"):
        with pytest.raises(UserError, match="is read and would be written over"):
            check_apart(Path(same), [None, Path("a.json")])


def test_only_a_folder_of_the_scripts_making_is_emptied(tmp_path: Path) -> None:
    check_own(tmp_path / "new", ["run"])
    check_own(tmp_path, ["run"])
    (tmp_path / "thesis.tex").touch()
    for folder in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(UserError, match="not of this script's making"):
            check_own(folder, ["run"])
    (tmp_path / "run").mkdir()
    check_own(tmp_path, ["log", "run"])


def said(script: str, *arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the error with which a script ends."""
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    monkeypatch.setattr(sys, "stderr", StringIO())
    with pytest.raises(SystemExit) as ended:
        sys.exit(load_script(script).main())
    return str(ended.value) + sys.stderr.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("side_by_side", ["a=nowhere", "--output", "mine"]),
        ("update_index", [".", "--output", "mine"]),
        ("where_it_looks", ["--output", "mine"]),
        ("new_model", ["--data", "data.json", "--output", "folder"]),
        ("make_tiny", ["tiny", "--output", "models"]),
        ("dashboard", ["--output", "mine"]),
        ("report", [".", "--output", "mine"]),
    ],
)
def test_a_script_leaves_what_is_there(
    script: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "folder/config.json", "models/tiny/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(MINE)
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "data.json").write_text("[]")
    line = said(script, *arguments, monkeypatch=monkeypatch)
    assert "would be written over: name another --output, or add --overwrite" in line
    for name in ("mine", "folder/config.json", "models/tiny/config.json"):
        assert (tmp_path / name).read_text() == MINE


@pytest.mark.parametrize("script", ["soak", "chaos"])
def test_a_folder_of_the_users_is_not_emptied(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text(MINE)
    assert "would be emptied" in said(script, "--output", tmp_path, monkeypatch=monkeypatch)
    assert (tmp_path / "mine").read_text() == MINE


def test_pairs_are_written_over_nothing_but_pairs_and_where_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = load_script("make_preferences").main
    entries = [{"question": "Pick", "options": ["red", "blue"], "answer": "A", "images": []} for _ in range(3)]
    data, output = tmp_path / "data.json", tmp_path / "pairs.jsonl"
    data.write_text(json.dumps(entries))
    assert make(["--data", str(data), "--output", str(output)]) == 0
    written = output.read_bytes()
    output.write_text(MINE)
    assert make(["--data", str(data), "--output", str(output)]) == 1 and output.read_text() == MINE
    assert "add --overwrite" in capsys.readouterr().err
    assert make(["--data", str(data), "--output", str(output), "--overwrite"]) == 0 and output.read_bytes() == written
    for told in ([], ["--overwrite"]):
        assert make(["--data", str(data), "--output", str(data), *told]) == 1
        assert json.loads(data.read_text()) == entries
    assert "is read and would be written over" in capsys.readouterr().err


def test_a_converted_set_takes_no_files_place(source: Path, tmp_path: Path) -> None:  # noqa: F811
    output = tmp_path / "out"
    for taken in ("sft.json", "validation.json", "train/images/0.png"):
        (output / taken).parent.mkdir(parents=True, exist_ok=True)
        (output / taken).write_text(MINE)
        refused = convert("--source", source, "--output", output)
        assert refused.returncode == 1 and f"{output / taken} is there already" in refused.stderr
        assert [path for path in output.rglob("*") if path.is_file()] == [output / taken]
        (output / taken).unlink()
    assert convert("--source", source, "--output", output).returncode == 0
    assert convert("--source", source, "--output", output).returncode == 1
    assert convert("--source", source, "--output", output, "--overwrite").returncode == 0


def test_a_map_is_not_drawn_over_the_picture_nor_over_other_files(tmp_path: Path) -> None:
    draw = load_script("attention_map")
    picture, other = tmp_path / "cat.png", tmp_path / "map.png"
    Image.new("RGB", (56, 56)).save(picture)
    pixels = picture.read_bytes()
    other.write_text(MINE)
    for output, words in (
        ([picture], "is read and would be written over: name another output="),
        ([picture, "overwrite=true"], "is read and would"),
        ([other], r"is there already .* add overwrite=true$"),
    ):
        given = [f"image={picture}", "question=Why?", f"output={output[0]}", *map(str, output[1:])]
        with pytest.raises(UserError, match=words):
            draw.draw(draw.settings_of(given))
    assert other.read_text() == MINE and picture.read_bytes() == pixels


def test_the_list_of_a_check_does_not_replace_a_runs(tmp_path: Path) -> None:
    check_no_run(tmp_path)
    (tmp_path / "bad_samples.jsonl").touch()
    check_no_run(tmp_path)
    (tmp_path / "config.yaml").write_text("algo: {}\ndataset: {}\nmax_steps: 3\n")
    with pytest.raises(UserError, match=r"is a run's folder.*write another hydra\.run\.dir"):
        check_no_run(tmp_path)


@pytest.fixture
def checkpoint(tmp_path: Path, model_folder: Callable[..., Path]) -> Path:
    """A checkpoint whose run began with the model in base/."""
    base = tmp_path / "base" / "hf"
    base.parent.mkdir()
    base.symlink_to(model_folder())
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"model.pretrained={base}", "hardware.accelerator=cpu", "hardware.precision=32-true"])
    folder = tmp_path / "checkpoints" / "step_000001"
    folder.mkdir(parents=True)
    weights = {name: weight.detach() + 1 for name, weight in load_policy(cfg).trained_parameters()}
    text = OmegaConf.to_yaml(OmegaConf.create(OmegaConf.to_container(cfg, resolve=False)))
    torch.save({CONFIG: text, "weights": {"policy": weights}}, folder / FILE)
    return folder


def test_an_export_takes_no_models_place_unless_told_and_loses_none(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("export")
    for part in ("hf", "adapter"):
        run = tmp_path / f"run_{part}"
        (run / part).mkdir(parents=True)
        (run / part / "model-00002-of-00002.safetensors").write_text(MINE)
        with pytest.raises(UserError, match=rf"^{run / part} is not empty and would be written over.*--overwrite$"):
            script.export(checkpoint, run)
    run = tmp_path / "run_hf"
    with pytest.raises(UserError, match=r"base/hf is read and would be written over"):
        script.export(checkpoint, tmp_path / "base", overwrite=True)
    with monkeypatch.context() as broken:
        broken.setattr("ral.assembly.exported.save_network", lambda *_: os.fspath(1))  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            script.export(checkpoint, run, overwrite=True)
    assert [path.name for path in run.rglob("*")] == ["hf", "model-00002-of-00002.safetensors"]
    written = script.export(checkpoint, run, overwrite=True)
    assert written == run / "hf" and (written / "config.json").is_file() and (written / "model.safetensors").is_file()
    assert not (written / "model-00002-of-00002.safetensors").exists() and list(run.iterdir()) == [written]
