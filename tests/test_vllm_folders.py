"""Folders of weights that killed processes left are removed at the next start; nothing that is held or not ours is."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CONF, ENVIRONMENT

from ral.errors import UserWarned
from ral.models.mllm import MLLM
from ral.rollout.vllm import process
from ral.rollout.vllm.engine import VLLMEngine, vllm_engine
from ral.rollout.vllm.folders import hold, lock_file, remove, remove_stale
from ral.rollout.vllm.weights import make_folder

TINY = str(CONF.parent / "assets" / "tiny")
STAND_INS = os.pathsep.join([str(Path(__file__).parent), str(CONF.parent)])
TRAINER = """
import time
from ral.models.mllm import MLLM
from ral.rollout.vllm import engine, process
process.MODULE, engine.check_package = "stub_vllm_worker", lambda: None
policy = MLLM.load({model!r})
one = engine.vllm_engine(policy, folder={root!r})
one.update_weights(policy, 0)
print(one.process.process.popen.pid, flush=True)
time.sleep(100)
"""
SERVER = """
import asyncio, sys, time
from pathlib import Path
from types import ModuleType
import stub_vllm_worker
for name, parts in stub_vllm_worker.PARTS.items():
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(parts)
from ral.rollout.vllm import folders
folders.MEMORY = Path({root!r})
from ral.rollout.vllm.served import Served
async def received():
    return {{"type": "http.request", "body": b"weights"}}
asyncio.run(Served(None).keep("weights-00000.safetensors", received))
print("kept", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that holds folders of weights."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """Start processes that print a line once they hold a folder; they are killed after the test."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"seen": str(tmp_path / "seen"), "read": []}))
    env = ENVIRONMENT | {"PYTHONPATH": STAND_INS, "FAKE_VLLM": str(plan)}
    made: list[subprocess.Popen[str]] = []

    def start(code: str) -> tuple[subprocess.Popen[str], str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        made.append(subprocess.Popen([sys.executable, "-c", code], env=env, text=True, **pipes))  # type: ignore[call-overload]
        assert made[-1].stdout is not None
        return made[-1], made[-1].stdout.readline().strip()

    yield start
    for each in made:
        each.kill()
        each.communicate()


def left(root: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in root.iterdir())


def until(done: Callable[[], bool]) -> None:
    """Wait until something holds, for half a minute at most."""
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def cleared(root: Path) -> bool:
    """Begin another run; tell whether the folder is empty then."""
    make_folder(str(root))
    return not left(root)


def test_weights_of_a_trainer_and_an_engine_that_were_killed_go_at_the_next_start(
    root: Path, started: Callable[..., Any]
) -> None:
    """Not while the trainer lives, and not while its engine does."""
    trainer, pid = started(TRAINER.format(model=TINY, root=str(root)))
    name, lock = left(root)
    assert lock == f"{name}.lock" and left(root / name) == ["weights-00000.safetensors"]
    assert not cleared(root) and left(root) == [name, lock]
    os.kill(int(pid), signal.SIGSTOP)  # it cannot clean up behind the trainer
    trainer.kill()
    trainer.wait()
    try:
        assert not cleared(root) and left(root / name) == ["weights-00000.safetensors"]
    finally:
        os.kill(int(pid), signal.SIGKILL)
    until(lambda: cleared(root))


def test_files_of_a_server_that_was_killed_go_at_the_next_start(root: Path, started: Callable[..., Any]) -> None:
    """One that ends by itself leaves none."""
    killed, _ = started(SERVER.format(root=str(root)))
    name, lock = left(root)
    assert lock == f"{name}.lock" and left(root / name) == ["weights-00000.safetensors"]
    killed.kill()
    killed.wait()
    other, _ = started(SERVER.format(root=str(root)))
    assert len(left(root)) == 2 and name not in left(root)
    other.communicate("\n", timeout=60)
    assert other.returncode == 0 and not left(root)


def test_an_engine_whose_trainer_is_gone_removes_folder_and_lock(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[..., MLLM]
) -> None:
    monkeypatch.setattr(process, "MODULE", "stub_vllm_worker")
    monkeypatch.setattr("ral.rollout.vllm.engine.check_package", lambda: None)
    monkeypatch.setenv("PYTHONPATH", STAND_INS)
    monkeypatch.setenv("FAKE_VLLM", str(tmp_path / "plan.json"))
    (tmp_path / "plan.json").write_text(json.dumps({"seen": str(tmp_path / "seen"), "read": []}))
    policy = load()
    engine: VLLMEngine = vllm_engine(policy, folder=str(root))
    engine.update_weights(policy, 0)
    assert len(left(root)) == 2 and engine.process is not None
    engine.process.process.pipe.close()
    assert engine.process.process.popen.wait(30) == 0 and not left(root)
    engine.close()


# ---------------------------------------------------------------------------------------------- what is not removed


def stale(root: Path, name: str = "ral-weights-12-0123abcd") -> Path:
    """A folder of weights that nobody holds, with its lock file."""
    folder = root / name
    folder.mkdir()
    (folder / "weights-00000.safetensors").write_text("weights")
    lock_file(folder).write_text("")
    return folder


def test_what_is_not_ours_stays(root: Path, tmp_path: Path) -> None:
    """Other names, folders without a lock file, and links, whatever they point at."""
    theirs = [
        stale(root, name) for name in ("ral-weights-mine", "ral-weights-12-0123abcd-2", "weights", "ral-served-1")
    ]
    lock_file(stale(root, "ral-weights-13-0123abcd")).unlink()
    outside = stale(tmp_path)
    (root / "ral-weights-14-0123abcd").symlink_to(outside)
    (root / "ral-weights-14-0123abcd.lock").symlink_to(lock_file(outside))
    (root / "ral-weights-15-0123abcd").symlink_to(outside)
    before = left(root)
    (root / "ral-weights-15-0123abcd.lock").write_text("")
    stale(root)
    remove_stale(root)
    assert left(root) == before and all(left(each) == ["weights-00000.safetensors"] for each in [*theirs, outside])


def test_folders_of_another_user_stay(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stale(root)
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    remove_stale(root)
    assert left(folder) == ["weights-00000.safetensors"] and lock_file(folder).exists()
    monkeypatch.undo()
    remove_stale(root)
    assert not left(root)


def test_a_folder_held_once_more_stays_until_the_last_lets_go(root: Path) -> None:
    folder = stale(root)
    first, second = hold(folder), hold(folder)
    assert first is not None and second is not None
    os.close(first)
    remove_stale(root)
    assert folder.is_dir()
    os.close(second)
    remove_stale(root)
    assert not left(root)


def test_a_lock_file_removed_as_it_is_locked_is_made_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the holder would hold a file that nobody finds."""
    folder, usual, removed = root / "ral-weights-12-0123abcd", fcntl.flock, []

    def late(handle: int, how: int) -> None:
        if not removed:
            removed.append(lock_file(folder).unlink())
        usual(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    handle = hold(folder)
    folder.mkdir()
    remove_stale(root)
    assert removed and left(root) == [folder.name, f"{folder.name}.lock"]
    remove(folder, handle)
    assert not left(root)


def test_a_file_system_without_locks_is_named_and_no_file_of_its_folder_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "ral-weights-12-0123abcd"

    def none(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.warns(UserWarned, match=rf"^{root} lies on a file system without locks .*remove {folder.name} there"):
        assert hold(folder) is None
    assert not left(root)
    stale(root)
    remove_stale(root)
    assert len(left(root)) == 2


def test_a_folder_that_cannot_be_made_is_left_to_who_writes_into_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert hold(tmp_path / "file" / "ral-weights-12-0123abcd") is None
    remove_stale(tmp_path / "file")
    remove_stale(tmp_path / "none")
