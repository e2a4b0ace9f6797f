"""Hydra's own settings: those that would not count are answered, and the answer works."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import call

from ral.config.typed_hydra import refuse_hydra_settings, repeated
from ral.errors import UserError


@pytest.mark.parametrize("typed", ["hydra.job.chdir=true", "++hydra.job.chdir=True", "hydra.job.chdir='on'"])
def test_a_run_is_not_moved_into_its_folder(typed: str) -> None:
    with pytest.raises(UserError, match=r"hydra\.job\.chdir=true would move .*: leave hydra\.job\.chdir out"):
        refuse_hydra_settings([typed], multirun=False)


@pytest.mark.parametrize(("typed", "multirun"), [(["seed=0,1"], True), (["hydra.mode=MULTIRUN"], False)])
def test_the_folder_of_a_sweep_has_a_name_of_its_own(typed: list[str], multirun: bool) -> None:
    with pytest.raises(UserError, match=r"hydra\.run\.dir=out/s is not read with -m: write hydra\.sweep\.dir=out/s"):
        refuse_hydra_settings([*typed, "hydra.run.dir=out/s"], multirun)
    refuse_hydra_settings([*typed, "hydra.sweep.dir=out/s"], multirun)


def test_other_settings_of_hydra_pass() -> None:
    refuse_hydra_settings(["hydra.job.chdir=false", "hydra.run.dir=out/s", "hydra.verbose=true"], multirun=False)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["algo=grpo", "max_steps=1", "algo=ral"], ["algo=grpo is without effect, since algo=ral stands behind it"]),
        (["seed=1", "++seed=2", "seed=3"], ["seed=1 is without effect, since ++seed=2", "++seed=2 is without effect"]),
        (["seed=1", "seed=1", "~algo.token", "+algo.token.coef=1"], []),
    ],
)
def test_a_setting_typed_twice_is_told(typed: list[str], told: list[str]) -> None:
    lines = list(repeated(typed))
    assert len(lines) == len(told) and all(line.startswith(said) for line, said in zip(lines, told, strict=True))


def test_the_warning_on_a_setting_typed_twice_is_printed(tmp_path: Path) -> None:
    code, said = plan(tmp_path, "seed=1", "seed=2", "hydra.run.dir=out/run")
    assert code == 0 and "warning: seed=1 is without effect, since seed=2 stands behind it: write one" in said


def plan(folder: Path, *typed: str) -> tuple[int, str]:
    done = call("train.py", "algo=grpo", "max_steps=1", "plan=true", *typed, folder=folder)
    return done.returncode, done.stderr


def test_a_refused_move_leaves_no_folder_and_its_advice_works(tmp_path: Path) -> None:
    code, said = plan(tmp_path, "hydra.job.chdir=true", "hydra.run.dir=out/run")
    assert code == 1 and said.startswith("error: hydra.job.chdir=true would move"), said
    assert list(tmp_path.iterdir()) == []
    code, said = plan(tmp_path, "hydra.run.dir=out/run")
    assert code == 0, said


def test_a_move_that_a_yaml_asks_for_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text("# @package _global_\nhydra:\n  job:\n    chdir: true\n")
    code, said = plan(tmp_path, f"--config-dir={own}", "experiment=mine", "hydra.run.dir=out/run")
    assert code == 1 and "error: hydra.job.chdir=true would move" in said, said
    assert list(tmp_path.iterdir()) == [own]


def test_the_folder_of_a_sweep_beside_a_single_run_is_a_warning(tmp_path: Path) -> None:
    code, said = plan(tmp_path, "hydra.sweep.dir=out/s")
    assert code == 0 and "hydra.sweep.dir=out/s is not read without -m: write hydra.run.dir=out/s" in said
