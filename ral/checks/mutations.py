"""Mutation testing: each seeded fault is put into a copy of the code, where the tests named with it should fail."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ral.files.repository import ROOT

LISTS = ROOT / "scripts" / "mutations"
LIMIT_S = 300
"""Most seconds of a mutation's tests. After these it counts as killed, since a mutation can make an endless loop."""
FIRST_S = 3600
"""Most seconds of one run of all the tests without any mutation."""
COPIED = ("ral", "tests", "conf", "scripts", "docs")
"""Folders that are copied, since a mutation or a test may write there; everything else is linked."""
PRELOADED = ("pytest", "torch", "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl", "lightning", "hydra")
"""Modules that are imported before test processes are forked, to save time. None of them is of ral."""
QUIET = ("-q", "-x", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Arguments of pytest beside the tests. The ignored warning is about plugins that the parent process has imported."""
NO_TESTS_RAN = (2, 3, 4, 5)
"""Exit codes of pytest where no test ran."""


@dataclass(frozen=True)
class Mutation:
    """A seeded fault: `old`, which must occur once in `file`, is replaced by `new`.

    what: a description. tests: arguments of pytest that name the tests which should then fail.
    """

    what: str
    file: str
    old: str
    new: str
    tests: str


def mutations(words: Sequence[str] = ()) -> list[Mutation]:
    """Return the mutations with one of the words in their list, file or description; all where there are no words."""
    found = [
        (p.stem, Mutation(**m)) for p in sorted(LISTS.glob("*.toml")) for m in tomllib.loads(p.read_text())["mutation"]
    ]
    return [m for name, m in found if not words or any(word in f"{name} {m.file} {m.what}" for word in words)]


def prepare(folder: Path) -> None:
    """Copy the tracked files of COPIED into `folder`, and link the other tracked files."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.split("/")[0] in COPIED:
            target.write_bytes((ROOT / name).read_bytes())
        else:
            target.symlink_to(ROOT / name)


def passes(folder: Path, tests: str, limit: int = LIMIT_S) -> bool:
    """Tell whether the tests pass on the copy in `folder`; False where they take longer than `limit` seconds.

    tests: arguments of pytest. SystemExit where no test ran.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    log = log_of(folder)
    child = multiprocessing.get_context("fork").Process(target=run_tests, args=(folder, tests.split(), log))
    child.start()
    child.join(limit)
    if child.exitcode is None and child.pid:
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
        return False
    told = log.read_text()
    if child.exitcode in NO_TESTS_RAN and "ERROR collecting" not in told:
        raise SystemExit(f"{tests}: nothing was tested:\n{told}")
    return child.exitcode == 0


def log_of(folder: Path) -> Path:
    """Return the path of the log of a copy's tests: beside the copy's folder, with its name and .log behind."""
    return folder.with_name(f"{folder.name}.log")


def run_tests(folder: Path, tests: Sequence[str], log: Path) -> None:
    """Run pytest on the copy in this forked process, with its output in `log`; SystemExit with pytest's exit code.

    Modules of ral that the parent process imported are dropped, so that those of the copy are imported.
    """
    os.setsid()
    with log.open("w") as told:
        for stream in (1, 2):
            os.dup2(told.fileno(), stream)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == "ral"]:
        del sys.modules[name]
    pytest = importlib.import_module("pytest")
    sys.exit(int(pytest.main([*QUIET, *tests])))


def survives(folder: Path, mutation: Mutation) -> bool:
    """Tell whether the tests pass in spite of the mutation. SystemExit unless `old` occurs in the file once."""
    path = folder / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(
            f"{mutation.what}: {mutation.old!r} occurs {text.count(mutation.old)} times in {mutation.file}"
        )
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        return passes(folder, mutation.tests)
    finally:
        path.write_text(text)


def check(words: Sequence[str]) -> int:
    """Run the mutations that match the words, print a line for each, and return the number of survivors.

    SystemExit where no mutation matches, and where the tests fail without any mutation.
    """
    chosen, survivors = mutations(words), 0
    if not chosen:
        raise SystemExit(f"error: no mistake in {LISTS} has {' or '.join(words)} in its list, file or description")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "copy"
        prepare(folder)
        files = " ".join(sorted({part for m in chosen for part in m.tests.split()}))
        if chosen and not passes(folder, files, FIRST_S):
            raise SystemExit(f"{files} fail without any mutation:\n{log_of(folder).read_text()}")
        for mutation in chosen:
            start = time.perf_counter()
            alive = survives(folder, mutation)
            survivors += alive
            verdict, seconds = "SURVIVED" if alive else "killed", time.perf_counter() - start
            print(f"{verdict:9} {mutation.file:32} {mutation.what:60} {seconds:5.1f} s", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutations killed")
    return survivors
