"""Flags that name a configuration, or a folder of them, that is not there: one line with what to type."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from ral.config.typed_configs import refuse_config_flags
from ral.errors import UserError
from ral.files.repository import CONF


def refused(*typed: str, config: str = "train", conf: Path = CONF) -> str:
    """Return the line about flags."""
    with pytest.raises(UserError) as caught:
        refuse_config_flags(get_args_parser().parse_args(list(typed)), conf, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def passes(*typed: str, config: str = "train") -> None:
    refuse_config_flags(get_args_parser().parse_args(list(typed)), CONF, config)


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("my", "train", "this program's is train: leave the flag out; settings of your own go into FOLDER/experiment"),
        ("/x/my.yaml", "train", "FOLDER/experiment/my.yaml, and --config-dir=FOLDER experiment=my;"),
        ("easy_vqa", "train", "that is an experiment: write experiment=easy_vqa"),
        ("paper/grpo.yaml", "train", "that is an experiment: write experiment=paper/grpo"),
        ("easy-vqa", "train", "did you mean experiment=easy_vqa?"),
        ("7b_80gb", "train", "did you mean experiment=paper/7b_80gb?"),
        ("evaluate", "train", "that is the configuration of evaluate.py: leave the flag out, or start that program"),
        ("train", "evaluate", "that is the configuration of train.py"),
        ("my", "evaluate", "and this program's is evaluate: leave the flag out, and write settings as key=value"),
        ("grpo", "explore", "and this program's is explore: leave the flag out, and write settings as key=value"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_none_is_answered_with_what_was_meant(name: str, config: str, words: str) -> None:
    assert words in refused(f"--config-name={name}", config=config)
    assert refused("-cn", name, config=config).startswith(f"--config-name={name}: ")


def test_a_file_is_answered_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text("max_steps: 3")
    for name in ("my", "my.yaml", "./my.yaml", str(tmp_path / "my.yaml")):
        line = refused(f"--config-name={name}")
        assert "move it to FOLDER/experiment/my.yaml" in line and "--config-dir=FOLDER experiment=my" in line


def test_a_configuration_of_ones_own_is_taken_where_it_is_based_on_the_programs(tmp_path: Path) -> None:
    own = f"--config-dir={tmp_path}"
    (tmp_path / "my.yaml").write_text("max_steps: 3")
    assert "write 'defaults: [train, _self_]' as its first line" in refused(own, "--config-name=my")
    (tmp_path / "my.yaml").write_text("defaults: [{algo: grpo}]\nmax_steps: 3")
    assert f"{tmp_path}/my.yaml does not begin with" in refused(own, "--config-name=my.yaml")
    (tmp_path / "my.yaml").write_text("defaults: [train, _self_]\nmax_steps: 3")
    passes(own, "--config-name=my")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nmax_steps: 3")
    assert f"write --config-dir={tmp_path} experiment=mine" in refused(own, "--config-name=mine")


def test_what_is_typed_rightly_passes() -> None:
    for typed in ((), ("--config-name=train",), ("-cn", "train.yaml"), (f"--config-dir={CONF}",), (f"-cp={CONF}",)):
        passes(*typed)
    passes("--config-name=evaluate", config="evaluate")


def test_folders_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    assert "--config-dir=/nope: no such folder" in refused("--config-dir=/nope")
    assert "is a file, not a folder" in refused(f"--config-dir={tmp_path}/a.yaml")
    assert "--config-path=/nope: no such folder" in refused("--config-path=/nope")
    line = refused(f"--config-path={tmp_path}")
    assert f"has no train.yaml: it takes the place of all of conf/; write --config-dir={tmp_path}" in line
