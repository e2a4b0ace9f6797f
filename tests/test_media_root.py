"""Media that are not where the data say: each program names the key of its own that says where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import call
from conftest import CONF, load_script
from omegaconf import OmegaConf
from PIL import Image

from ral.config.evaluation import renamed
from ral.data.bad import ROOT_KEY

MISSING = "{0}/data.json: entry {1}: field 'path': no such file: {0}/{1}.png; write a path below {0}, or "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file of three entries whose pictures lie elsewhere."""
    asked = {"problem": "What color?", "data_type": "image", "problem_type": "free-form", "solution": "red"}
    rows = [asked | {"path": f"{n}.png"} for n in (1, 2, 3)]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "begins", "key"),
    [
        ("scripts/explore.py split=train", "nothing to show: 2 entries cannot be used; the first: ", ROOT_KEY),
        ("scripts/knockout.py split=train", "dataset: none of the 2 entries of split train can be used; ", ROOT_KEY),
        ("scripts/check_dataset.py workers=1", "dataset: none of the 3 entries can be used; the first: ", ROOT_KEY),
        ("evaluate.py", "benchmark jsonl: none of 3 items could be asked; ", "benchmark.tasks.jsonl.source.media_root"),
    ],
)
def test_each_program_names_its_own_key(folder: Path, typed: str, begins: str, key: str) -> None:
    program, *settings = typed.split()
    group = "benchmark" if program == "evaluate.py" else "dataset"
    settings += [f"{group}=jsonl", f"{group}.path={folder}/data.json"]
    done = call(program, *settings, f"hydra.run.dir={folder}/out", folder=folder)
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and line.startswith(f"error: {begins}"), done.stderr
    assert line.endswith(MISSING.format(folder, 1) + f"{key}=<the folder that it starts from>")


@pytest.mark.parametrize("script", ["make_preferences", "new_model"])
def test_flags_are_named_as_flags(folder: Path, script: str) -> None:
    out = folder / "out.jsonl"
    done = call(f"scripts/{script}.py", "--data", folder / "data.json", "--output", out, folder=folder)
    assert done.returncode == 1 and "or --media-root=<the folder" in done.stderr and ROOT_KEY not in done.stderr
    assert "--media-root" in Path(load_script(script).__file__ or "").read_text()


def test_a_picture_of_ones_own_that_is_not_there(tmp_path: Path) -> None:
    for script in ("scripts/explore.py", "scripts/attention_map.py"):
        done = call(script, "image=no.png", "question=Huh?", f"output={tmp_path}/out", folder=tmp_path)
        assert done.stderr.splitlines()[-1] == (
            "error: image=no.png: no such file; write the path of a file on this machine"
        )


def test_an_entry_without_evidence_beside_one_without_its_picture(folder: Path) -> None:
    Image.new("RGB", (28, 28)).save(folder / "1.png")
    settings = ("dataset=jsonl", f"dataset.path={folder}/data.json", "split=train", f"output={folder}/out")
    done = call("scripts/knockout.py", *settings, folder=folder)
    assert "none of the 2 entries of split train has evidence: give" in done.stderr
    assert f"(docs/data.md); 1 cannot be used, the first: {folder}/data.json: entry 2: " in done.stderr


@pytest.mark.parametrize("path", sorted((CONF / "benchmark").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_key_of_a_benchmark_is_one_that_it_has(path: Path) -> None:
    """Where it has none, its media lie below benchmark.path."""
    name, source = path.stem, OmegaConf.to_container(OmegaConf.load(path)).get("source") or {}  # type: ignore[union-attr]
    key = renamed(ROOT_KEY, name, source)
    own = {f"benchmark.tasks.{name}.source.{part}media_root" for part in ("", "read.")}
    assert key in own if "media_root" in path.read_text() else key == "benchmark.path"
    assert ("media_root" in source.get("read", {})) == (".read." in key)


def test_the_other_settings_of_data() -> None:
    line = renamed("dataset.media.max_frames dataset.disk_cache=x dataset.source.unpacked=u", "jsonl", {})
    assert line == "media.max_frames disk_cache=x benchmark.tasks.jsonl.source.unpacked=u"
