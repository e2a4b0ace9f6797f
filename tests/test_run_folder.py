"""A run's folder: one process at a time, refused where it holds a run, given back by a run that never began."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ral.errors import UserError
from ral.files import run_folder
from ral.files.own_folder import as_folder
from ral.files.removal import texts_of
from ral.files.run_folder import abandon, begin, claim, claim_for_run, first_rank, fresh, leave, release, written
from ral.report.card import MARK

HOLDER = """
import sys
from pathlib import Path
from ral.files.run_folder import claim
claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def nothing_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Claims of one test are not those of another."""
    monkeypatch.setattr(run_folder, "_here", run_folder._Here())
    yield
    for held in list(run_folder._here.claims.values()):
        release(held)


CONTENT = {
    "config.yaml": "algo:\n  group_size: 4\ndataset:\n  path: x\nmax_steps: 3\n",
    **{f"{name}/README.md": f"---\n---\n{MARK}\n" for name in ("hf", "adapter")},
}


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(CONTENT.get(name, "old"))
    return folder


def files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != run_folder.LOCK}


RUN = (
    *("config.yaml", "metrics.jsonl", "checkpoints/step_000003/state.pt", "hf/model.safetensors", "eval/after.jsonl"),
    "hf/README.md",
)
OWN = ("notes.txt", "hf/notes.md", "checkpoints/mine/state.pt", "eval/mine.jsonl", "other/config.yaml")


def test_another_process_is_kept_out_until_the_first_one_dies(tmp_path: Path) -> None:
    """Killed, it cannot give the lock back, and the lock goes all the same; its file is no obstacle."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"another process works in it \(process {holder.pid} on .*\): wait"):
            claim(tmp_path / "run")
        holder.kill()
        holder.wait()
    assert (tmp_path / "run" / run_folder.LOCK).is_file()
    assert claim(tmp_path / "run").lock is not None


def test_the_same_process_gets_the_same_claim_and_gives_it_back(tmp_path: Path) -> None:
    held = claim(tmp_path / "run")
    assert claim(tmp_path / "run") is held and run_folder.held(tmp_path / "run")
    begin(tmp_path / "run")
    leave(held)
    assert not (tmp_path / "run" / run_folder.LOCK).exists() and not run_folder.held(tmp_path / "run")


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    assert claim(tmp_path).lock is None
    assert "without locks" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*RUN, "environment.json", "adapter/adapter_model.safetensors", "skipped/step_1.pt"])
def test_a_folder_that_holds_a_run_is_refused_with_three_ways_out(tmp_path: Path, name: str) -> None:
    fill(tmp_path, name)
    with pytest.raises(UserError, match=r"holds a run already.*resume=auto.*hydra.run.dir=.*overwrite=true"):
        claim_for_run(tmp_path, None, False)
    assert not run_folder.held(tmp_path) and (tmp_path / name).read_text() == CONTENT.get(name, "old")


def test_a_folder_with_other_files_is_free(tmp_path: Path) -> None:
    fill(tmp_path, *OWN, ".hydra/overrides.yaml", "error.txt", "data.jsonl")
    assert not claim_for_run(tmp_path, None, False).anew


def test_overwrite_removes_what_the_run_wrote_once_the_new_one_begins(tmp_path: Path) -> None:
    fill(tmp_path, *RUN, *OWN)
    held = claim_for_run(tmp_path, None, True)
    assert len(written(tmp_path)) == len(RUN)
    fill(tmp_path, "metrics.jsonl").joinpath("metrics.jsonl").write_text("new")
    os.utime(tmp_path / "metrics.jsonl", ns=(1, 1))  # whatever its time: it changed
    begin(tmp_path)
    leave(held)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {*OWN, "metrics.jsonl"} and not (tmp_path / "checkpoints/step_000003").exists()


INSIDE = {
    "model.pretrained": "hf",
    "algo.teacher": "hf",
    "lora.resume": "adapter",
    "reward.parts.learned.function.path": "hf",
    "dataset.path": "eval/after.jsonl",
    "resume": "checkpoints/step_000003",
}


@pytest.mark.parametrize("way", ["absolute", "relative", "dots", "a link to it", "a link to the run"])
@pytest.mark.parametrize(("key", "inner"), INSIDE.items())
def test_what_a_run_reads_is_not_removed_by_it(
    tmp_path: Path, key: str, inner: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (*RUN, "adapter/adapter_model.safetensors", "adapter/README.md")
    run = fill(tmp_path / "run", *names)
    monkeypatch.chdir(tmp_path)
    Path("alias").symlink_to(run)
    Path("model").symlink_to(run / inner)
    named = {"absolute": str(run / inner), "relative": f"run/{inner}", "dots": f"run/../run/eval/../{inner}"}
    typed = named | {"a link to it": "model", "a link to the run": f"alias/{inner}"}
    with pytest.raises(UserError) as told:
        claim_for_run(run, None, True, lambda: texts_of({"name": "grpo", key: typed[way], "z.y.x.w.v": typed[way]}))
    assert f"{key}={typed[way]}, which this run reads, is part of it: write hydra.run.dir=<another" in str(told.value)
    assert files_of(run) == set(names) and not run_folder.held(run)


def test_inputs_beside_the_run_s_files_are_no_obstacle(tmp_path: Path) -> None:
    run = fill(tmp_path / "data" / "run", *RUN, "mine.json", "model/model.safetensors")
    apart = fill(tmp_path / "else" / "hf", "model.safetensors")
    paths = [run / "mine.json", run / "model", tmp_path / "data", run, apart, "hf", "~nobody/x", "x" * 5000, ""]
    held = claim_for_run(run, None, True, lambda: texts_of({"dataset.path": [str(path) for path in paths]}))
    begin(run)
    leave(held)
    assert files_of(run) == {"mine.json", "model/model.safetensors"} and files_of(apart) == {"model.safetensors"}


@pytest.mark.parametrize(
    "names",
    [
        ("hf/model.safetensors", "hf/config.json"),
        ("hf/model.safetensors", "hf/README.md", "bad_samples.jsonl"),
        ("config.yaml", "wandb/run-1/logs/debug.log", "mlruns/0/meta.yaml"),
        ("metrics.jsonl", "tensorboard/events.out.tfevents.1"),
    ],
)
def test_a_folder_without_a_run_keeps_its_files(
    tmp_path: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTENT, "config.yaml", "trainer: other\nmax_steps: 3\n")
    fill(tmp_path, *names)
    with pytest.raises(UserError, match=r"holds .* and no run \(.*so nothing there is removed: write hydra\.run\.dir="):
        claim_for_run(tmp_path, None, True)
    assert files_of(tmp_path) == set(names)


def test_what_a_check_of_data_left_is_removed(tmp_path: Path) -> None:
    fill(tmp_path, "bad_samples.jsonl", "report.html", "explore.html.partial")
    assert claim_for_run(tmp_path, None, True).anew


def test_adapters_of_a_run_lie_beside_its_model_and_have_no_card(tmp_path: Path) -> None:
    fill(tmp_path, *RUN[:3], "hf/model.safetensors", "hf/README.md", "adapter/adapter_model.safetensors")
    assert claim_for_run(tmp_path, None, True).anew


@pytest.mark.parametrize("name", ["hf", "adapter"])
@pytest.mark.parametrize("card", [None, "# My model"])
def test_a_model_that_no_run_wrote_stays(tmp_path: Path, name: str, card: str | None) -> None:
    fill(tmp_path, *RUN[:3], f"{name}/model.safetensors", f"{name}/adapter_model.safetensors")
    if card is not None:
        (tmp_path / name / "README.md").write_text(card)
    with pytest.raises(UserError, match=rf"{name}/ holds a model without the card .* move or remove it yourself"):
        claim_for_run(tmp_path, None, True)


@pytest.mark.parametrize("part", ["hf", "checkpoints", "mlruns"])
def test_files_behind_a_link_stay(tmp_path: Path, part: str) -> None:
    apart = fill(tmp_path / "apart", *RUN, "mlruns/0/meta.yaml")
    run = fill(tmp_path / "run", *RUN[:2])
    (run / part).symlink_to(apart / part)
    with pytest.raises(UserError, match=rf"only links to: remove the link {run / part} yourself, or"):
        claim_for_run(run, None, True)
    assert len(files_of(apart)) == len(RUN) + 1


def test_overwrite_that_does_not_begin_removes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, *RUN, *OWN)
    leave(claim_for_run(tmp_path, None, True))
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {*RUN, *OWN}


def test_what_resume_goes_on_with(tmp_path: Path) -> None:
    whole = fill(tmp_path / "whole", *RUN)
    assert not claim_for_run(whole, "auto", False).anew
    assert not claim_for_run(whole, str(whole / "checkpoints/step_000003"), False).anew
    with pytest.raises(UserError, match="is of another one"):
        claim_for_run(whole, str(tmp_path / "else/checkpoints/step_000001"), False)
    for resume in ("auto", str(whole / "checkpoints/step_000003")):
        with pytest.raises(UserError, match="write one of them alone"):
            claim_for_run(whole, resume, True)
    assert claim_for_run(fill(tmp_path / "cut", *RUN[:2]), "auto", False).anew
    with pytest.raises(UserError, match="came to its end, and has no checkpoint"):
        claim_for_run(fill(tmp_path / "bare", *RUN[:2], RUN[3]), "auto", False)


def test_a_run_that_never_began_leaves_the_disk_as_it_was(tmp_path: Path) -> None:
    new, there = tmp_path / "a" / "b" / "run", fill(tmp_path / "there", *OWN)
    abandon(claim_for_run(new, None, False))
    assert not (tmp_path / "a").exists()
    for folder in (tmp_path / "a" / "run", there):
        held = claim_for_run(folder, None, False)
        fill(folder, "config.yaml", ".hydra/overrides.yaml", "wandb/id.txt", "wandb/offline-run-1/files/x.json")
        abandon(held)
    assert not (tmp_path / "a").exists()
    assert {str(p.relative_to(there)) for p in there.rglob("*") if p.is_file()} == set(OWN)
    assert not (there / ".hydra").exists() and not (there / "wandb").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    abandon(claim(empty))
    assert empty.is_dir()


def test_files_that_an_error_names_stay(tmp_path: Path) -> None:
    held = claim_for_run(tmp_path / "run", None, False)
    fill(tmp_path / "run", "bad_samples.jsonl", "config.yaml")
    leave(held, keep=["bad_samples.jsonl"])
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["bad_samples.jsonl"]


def test_a_fresh_folder_is_nobody_elses(tmp_path: Path) -> None:
    assert [fresh(tmp_path / "d" / "12-00-00-ral").name for _ in range(3)] == [
        "12-00-00-ral", "12-00-00-ral-2", "12-00-00-ral-3",
    ]  # fmt: skip


@pytest.mark.parametrize("name", run_folder.RANK_VARIABLES)
def test_further_ranks_hold_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in run_folder.RANK_VARIABLES:
        monkeypatch.delenv(other, raising=False)
    assert first_rank()
    monkeypatch.setenv(name, "0")
    assert first_rank()
    monkeypatch.setenv(name, "3")
    assert not first_rank()


@pytest.mark.parametrize("kind", ["refused", "failed"])
def test_a_run_from_python_keeps_to_the_same_rules(
    run: Callable[..., Path], small: list[str], tmp_path: Path, kind: str
) -> None:
    if kind == "refused":
        fill(tmp_path / "run", *RUN)
        with pytest.raises(UserError, match="holds a run already"):
            run("algo=grpo", *small)
        assert (tmp_path / "run" / "metrics.jsonl").read_text() == "old"
        return
    with pytest.raises(UserError, match="dealt out evenly"):
        run("algo=grpo", *small, "algo.prompts_per_step=3", "hardware.devices=2")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("named", ["/", "", "~", "."])
def test_a_run_has_a_folder_of_its_own(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's root, the home and the current folder, which an empty hydra.run.dir is, stay as they are."""
    monkeypatch.chdir(tmp_path)
    before = sorted(Path("/").iterdir())
    with pytest.raises(UserError, match=r"a run needs a folder of its own: write hydra\.run\.dir="):
        claim_for_run(Path(named).expanduser(), None, False)
    assert not list(tmp_path.iterdir()) and sorted(Path("/").iterdir()) == before
    assert claim_for_run(tmp_path / "run", None, False)


@pytest.mark.parametrize("key", ["output", "hydra.run.dir"])
def test_a_file_in_the_place_of_a_folder_is_called_that_under_its_own_key(tmp_path: Path, key: str) -> None:
    (tmp_path / "file").write_text("kept")
    write = f"and a folder is needed there; write {key}=<another folder>"
    for folder, what in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "a" / "b", f"{tmp_path}/file is a file"),
    ):
        with pytest.raises(UserError) as told:
            claim(folder, key)
        assert str(told.value) == f"{key}={folder}: {what}, {write}"
    assert (tmp_path / "file").read_text() == "kept"


def test_results_have_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for named in ("/", "", ".", str(Path.home())):
        with pytest.raises(UserError, match=r"output=/\S*: what is written needs a folder of its own: write output=/"):
            claim(Path(named), "output")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("resume", "typed"), [(True, "true"), (False, "false"), (1, "1"), (1.5, "1.5")])
def test_a_resume_that_is_no_text_says_what_to_type(tmp_path: Path, resume: object, typed: str) -> None:
    """Also where a run lies there, and before anything is locked."""
    fill(tmp_path / "run", *RUN)
    for folder in (tmp_path / "run", tmp_path / "new"):
        with pytest.raises(
            UserError, match=rf"^resume={typed} has the wrong type: .*; write resume=auto to go on from"
        ):
            claim_for_run(folder, resume, False)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists() and not run_folder._here.claims


@pytest.mark.parametrize("value", [True, 3, None])
def test_a_folder_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=r"^output=\w+ has the wrong type: str expected"):
        as_folder(value, "output")
    assert as_folder("a/b", "output") == Path("a/b")
