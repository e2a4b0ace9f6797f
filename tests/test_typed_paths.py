"""Paths as they are typed: the home, empty ones, and variables that no shell replaced; whatever the program."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from commands import call
from conftest import CONF

from ral.config.typed_paths import names_path, with_home
from ral.machine import check_started
from ral.types import UserError

KEYS = (
    *("dataset.path", "dataset.media_root", "dataset.validation_path", "dataset.disk_cache", "dataset.source.unpacked"),
    *("model.pretrained", "model.teacher", "resume", "lora.resume", "hydra.run.dir", "hydra.sweep.dir", "checkpoint"),
    *("benchmark.path", "benchmark.default_path", "benchmark.cache", "rollout.folder", "output", "+reward.checkpoint"),
    *("image", "video", "run", "benchmark.source.media_root"),
)
OTHERS = (
    "name",
    "checkpoint.every",
    "resume_changed",
    "dataset.source.columns.image",
    "question",
    "hydra.sweep.subdir",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("key", KEYS)
def test_the_home_stands_for_itself_in_every_path(key: str) -> None:
    assert with_home([f"{key}=~/a b", f"{key}='~/x'", f"{key}=~"]) == [
        *(f"{key}=/home/me/a b", f"{key}='/home/me/x'", f"{key}=/home/me"),
    ]
    assert with_home([f"{key}=~/a,~/b", f"{key}=[~/a,~/b]"]) == [
        *(f"{key}=/home/me/a,/home/me/b", f"{key}=[/home/me/a,/home/me/b]"),
    ]
    for kept in (f"{key}=a/~/b", f"{key}=a~", f"{key}=/a~b", f"~{key}", f"{key}=null", f"{key}=outputs/${{name}}"):
        assert with_home([kept]) == [kept]


@pytest.mark.parametrize("key", OTHERS)
def test_other_keys_stay_as_they_are_typed(key: str) -> None:
    typed = [f"{key}=~/a", f"{key}=", f"{key}=$x", "--help"]
    assert with_home(typed) == typed and not names_path(key)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("text", ["", " ", "''", '""', "' '"])
def test_an_empty_path_is_refused(key: str, text: str) -> None:
    plain = key.lstrip("+")
    with pytest.raises(
        UserError, match=rf"^{re.escape(plain)}= is empty: an unset shell variable\? write {plain}=<path>"
    ):
        with_home(["max_steps=1", f"{key}={text}"])


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", ["x" * 256, "é" * 128])
def test_a_name_too_long_for_a_file_is_refused(key: str, name: str) -> None:
    said = rf"^{re.escape(key.lstrip('+'))}={name[:20]}\.\.\.: a name of {len(name)} letters is too long for a file"
    for text in (name, f"/a/{name}/b", f"'/a/{name}'", f"[/a,{name}]"):
        with pytest.raises(UserError, match=said):
            with_home([f"{key}={text}"])
    shorter = [f"{key}=/a/{name[:-1]}/{name[:-1]}"]
    assert with_home(shorter) == shorter


@pytest.mark.parametrize("text", ["$OUT/x", "/a/$OUT", "'$OUT'", '"/a/$OUT/b"'])
def test_a_variable_that_no_shell_replaced_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^hydra\.run\.dir=\S+: no shell has put a value in the place of \$OUT: write"):
        with_home([f"hydra.run.dir={text}"])
    (tmp_path / "$OUT").mkdir()
    for there in (f"dataset.path={tmp_path}/$OUT", "dataset.path=a$OUT", "dataset.path=a/b$"):
        assert with_home([there]) == [there]


def test_every_key_of_conf_that_names_a_folder_is_known() -> None:
    """By the comment beside it; paper.yaml is no configuration of a program."""
    said = re.compile(r"^ *(\w+): \S+ +# (?:a |the )?(?:folder|checkpoint folder|the newest)\b", re.MULTILINE)
    composed = [path for path in CONF.rglob("*.yaml") if path.name != "paper.yaml"]
    keys = {key for path in composed for key in said.findall(path.read_text(encoding="utf-8"))}
    assert len(keys) > 8 and {key for key in keys if not names_path(key)} <= {"subdir"}


@pytest.mark.parametrize(
    ("script", "argument", "line"),
    [
        ("train.py", "dataset.path=", "dataset.path= is empty"),
        ("evaluate.py", "checkpoint=", "checkpoint= is empty"),
        ("scripts/explore.py", "output=$OUT/x", "output=$OUT/x: no shell has put a value"),
    ],
)
def test_programs_say_so_in_one_line(tmp_path: Path, script: str, argument: str, line: str) -> None:
    done = call(script, argument, folder=tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith(f"error: {line}")
    assert not list(tmp_path.iterdir())


def test_the_home_as_it_is_typed_is_a_runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    done = call("train.py", "hydra.run.dir=~/run", "model.pretrained=~/none", folder=tmp_path)
    assert done.returncode == 1 and f"{tmp_path}/me/none" in done.stderr and not (tmp_path / "~").exists()


def test_variables_that_a_launcher_left_are_answered_before_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {"WORLD_SIZE": "8", "RANK": "0", "MASTER_PORT": "1"}
    with pytest.raises(UserError, match=r"write unset RANK WORLD_SIZE MASTER_PORT before the command$"):
        check_started(dict(left), 1, 1, ())
    with pytest.raises(UserError, match=r"LOCAL_RANK=1 says that this process is a later one"):
        check_started({"LOCAL_RANK": "1"}, 1, 1, ("LOCAL_RANK",))
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "ral.run", None)  # what imports torch
    done = call("train.py", "algo=grpo", f"hydra.run.dir={tmp_path / 'run'}", folder=tmp_path)
    assert done.returncode == 1 and "write unset RANK WORLD_SIZE MASTER_PORT" in done.stderr
    assert not (tmp_path / "run").exists()
    assert "unset" not in call("train.py", "algo=grpo", "plan=true", folder=tmp_path).stderr
