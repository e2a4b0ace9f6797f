"""Commands that work in one process and write to one folder: under torchrun or srun they are refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ral.errors import UserError
from ral.files.repository import ROOT
from ral.machine import check_alone

COMMANDS = {
    "evaluate.py": ["checkpoint=assets/tiny_teacher", "benchmark=vstar", "output=@/out"],
    "scripts/knockout.py": ["checkpoint=assets/tiny_teacher", "dataset=visual_search", "output=@/out"],
    "scripts/check_dataset.py": ["dataset=visual_search", "hydra.run.dir=@/out"],
    "scripts/export.py": ["@/checkpoints/step_000001", "--output", "@/out"],
}


@pytest.mark.parametrize("script", COMMANDS)
def test_several_of_one_command_are_refused(tmp_path: Path, script: str) -> None:
    started = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    arguments = [argument.replace("@", str(tmp_path)) for argument in COMMANDS[script]]
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | started, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {script} runs in one process, and torchrun started 2")
    assert not (tmp_path / "out" / "summary.json").exists() and not (tmp_path / "out" / "hf").exists()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"RANK": "0", "WORLD_SIZE": "4"}, r"torchrun started 4 of it \(WORLD_SIZE\)"),
        ({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "3"}, r"srun started 3 of it \(SLURM_STEP_NUM_TASKS\)"),
        ({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1", "RANK": "0", "WORLD_SIZE": "1"}, ""),
        *[({}, ""), ({"RANK": "0", "WORLD_SIZE": "1"}, ""), ({"WORLD_SIZE": "2"}, ""), ({"SLURM_NTASKS": "8"}, "")],
    ],
    ids=str,
)
def test_who_started_it(env: dict[str, str], said: str) -> None:
    if not said:
        check_alone(env, "evaluate.py")
        return
    with pytest.raises(UserError, match=rf"^evaluate.py runs in one process, and {said}.*: start python evaluate.py"):
        check_alone(env, "evaluate.py")
