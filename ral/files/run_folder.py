"""Ownership of run folders: a process locks its folder while it lives, and knows the files in it that runs write.

A lock is of the process (fcntl.lockf): the system drops it when the process ends, however it ends, and forked processes
do not hold it. Nothing heavy is imported here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ral.errors import UserError
from ral.files.own_folder import check_resume, refuse_shared, remove_empty, unusable
from ral.files.removal import Inputs, check_removal

LOCK = ".lock"
"""Lock file in a folder that a process works in; its text names the process."""
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL})
"""Error numbers of a file system without locks."""
RANK_VARIABLES = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK")
"""Environment variables that number processes and nodes: where one is above 0, this process is not the first rank."""
ERROR = "error.txt"
"""File in the folder of a sweep's run: the reason why the run failed."""
NOTES = (ERROR, "refused.txt")
"""Files that a sweep writes into the folders of its runs."""
_WEIGHTS = (
    *("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
    *("merges.txt", "chat_template.jinja", "chat_template.json", "processor_config.json"),
    *("preprocessor_config.json", "video_preprocessor_config.json", "reward_model.json"),
)
_STATE = ("state.pt", "sha256", "shards/*")
_PARTS = {
    "": (
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "bad_samples.jsonl",
        "report.html",
        "explore.html",
        "*.partial",
    ),
    "eval": ("before.jsonl", "after.jsonl", "*.partial"),
    "checkpoints": ("best.json", *(f"{begin}step_*/{name}" for begin in ("", "partial_") for name in _STATE)),
    "hf": (*_WEIGHTS, "README.md", "curves.png"),
    "adapter": ("adapter_config.json", "adapter_model.safetensors", "README.md", "curves.png"),
    "skipped": ("step_*.pt",),
    "tensorboard": ("events.out.tfevents.*", "hparams.yaml"),
    "csv": ("metrics.csv", "hparams.yaml"),
    "mlruns": ("**/*",),
    "trackio": ("name.txt",),
    "profile": ("trace.json", "top_costs.txt"),
    "wandb": ("id.txt", "debug*.log", "latest-run", "run-*/**/*", "offline-run-*/**/*", "artifacts/**/*", "media/**/*"),
}
WRITTEN = tuple(f"{part}/{name}".lstrip("/") for part, names in _PARTS.items() for name in names)
"""Patterns, below a run's folder, of the files that runs write."""
TYPED = (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml")
"""Hydra's files with what the user typed. A folder with these alone holds no run."""
ALL = (*WRITTEN, *TYPED, *NOTES)
RESULTS = ("hf/*.safetensors", "adapter/*.safetensors", "report.html")
"""Patterns of files that only a run which came to its end leaves."""


@dataclass
class Claim:
    """A folder that this process works in. nearest: the folder itself, or the nearest above it, that existed before.

    found: {file that an earlier run wrote there: its time of change in ns}; there: these files, and those of .hydra/
    and notes. lock: its file descriptor; None where the file system has no locks. started: whether training began.
    anew: whether the files in `found` are removed when training begins.
    """

    folder: Path
    nearest: Path
    found: dict[Path, int]
    there: frozenset[Path]
    lock: int | None = None
    started: bool = False
    anew: bool = False


@dataclass
class _Here:
    """The folders that this process holds, and those that were there before it made any."""

    claims: dict[Path, Claim] = field(default_factory=dict)
    nearest: dict[Path, Path] = field(default_factory=dict)


_here = _Here()


def remember(folder: Path) -> None:
    """Note which folder exists now: `folder`, or else the nearest one above it. Later calls do not change that."""
    folder = folder.absolute()
    _here.nearest.setdefault(folder, next(p for p in (folder, *folder.parents) if p.exists()))


def fresh(folder: Path) -> Path:
    """Make `folder`, or the first of folder-2, folder-3, ... that does not exist; return its path."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    number, chosen = 1, folder
    while True:
        try:
            chosen.mkdir()
            return chosen
        except FileExistsError:
            number += 1
            chosen = folder.with_name(f"{folder.name}-{number}")


def written(folder: Path, patterns: Sequence[str] = WRITTEN) -> list[Path]:
    """Return the files below `folder` that match the patterns, sorted; by default those that runs write."""
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_symlink() or not path.is_dir()}
    return sorted(found)


def claim(folder: Path, key: str = "hydra.run.dir") -> Claim:
    """Lock a folder, made where it does not exist, for this process; called again, return the same claim.

    UserError where another process works in it, where it cannot be written, and for the root of the disk, the home
    folder and the current folder. key: the setting that names the folder.
    """
    refuse_shared(folder.absolute(), key)
    folder = folder.absolute()
    if folder in _here.claims:
        return _here.claims[folder]
    remember(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _locked(folder, key)
    except OSError as error:
        raise UserError(unusable(folder, key, error)) from error
    found = {path: path.lstat().st_mtime_ns for path in written(folder)}
    made = _here.claims[folder] = Claim(folder, _here.nearest[folder], found, frozenset(written(folder, ALL)), lock)
    return made


def _locked(folder: Path, key: str) -> int | None:
    """Return the lock's file descriptor; None, with a warning, where the file system has no locks."""
    path = folder / LOCK
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(handle, 200).decode(errors="replace").strip()
            os.close(handle)
            if error.errno in NO_LOCKS:
                why = f"{folder} lies on a file system without locks: two runs at once in it would go unnoticed"
                print(f"warning: {why}", file=sys.stderr)
                return None
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise UserError(
                f"{key}={folder}: another process works in it ({holder or 'unnamed'}): wait for its end, or write "
                f"{key}=<another folder>"
            ) from error
        if _same_file(handle, path):  # else its last holder removed it in between
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return handle
        os.close(handle)


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def claim_for_run(folder: Path, resume: str | None, overwrite: bool, inputs: Inputs = dict) -> Claim:
    """Lock a folder for a run. UserError as in `claim`, and where it holds a run that may not be resumed or removed.

    resume: None, "auto" or a checkpoint's folder, UserError for another type; overwrite: whether files of an earlier
    run may be removed. UserError also where that would remove what is to be resumed, what the run reads (`inputs`), or
    what no run wrote.
    """
    check_resume(resume)
    claimed = claim(folder)
    try:
        claimed.anew = _begins_anew(claimed, resume, overwrite)
        if claimed.anew:
            check_removal(claimed.folder, claimed.found, inputs())
    except UserError:
        release(claimed)
        raise
    return claimed


def _begins_anew(claimed: Claim, resume: str | None, overwrite: bool) -> bool:
    """Tell whether files of an earlier run in the folder are to be removed; UserError where they may not be."""
    folder = claimed.folder
    if overwrite and resume is not None and (resume == "auto" or Path(resume).absolute().is_relative_to(folder)):
        raise UserError(f"overwrite=true removes the run that resume={resume} goes on with: write one of them alone")
    if not claimed.found or overwrite:
        return bool(claimed.found)
    holds = f"hydra.run.dir={folder} holds a run already ({_summary(claimed)})"
    other = "hydra.run.dir=<another folder>, or overwrite=true to remove what that run wrote"
    if resume is None:
        raise UserError(f"{holds}: write resume=auto to go on with it, {other}")
    if resume != "auto" and not Path(resume).absolute().is_relative_to(folder):
        raise UserError(f"{holds}, and resume={resume} is of another one: write resume=auto, {other}")
    if resume != "auto" or any(folder.glob("checkpoints/step_*/state.pt")):
        return False
    if written(folder, RESULTS):
        raise UserError(f"{holds} that came to its end, and has no checkpoint to go on from: write {other}")
    return True


def _summary(claimed: Claim) -> str:
    """Return the names of files and folders, right below the claimed folder, that an earlier run wrote."""
    return ", ".join(sorted({path.relative_to(claimed.folder).parts[0] for path in claimed.found}))


def held(folder: Path) -> bool:
    """Tell whether this process holds the folder."""
    return folder.absolute() in _here.claims


def first_rank() -> bool:
    """Tell whether this process is the first rank, or the only one: the one that holds the folder for all."""
    return not any(os.environ.get(name, "0") not in ("", "0") for name in RANK_VARIABLES)


def leave(claimed: Claim, keep: Sequence[str] = ()) -> None:
    """Release the folder; where no run began in it, also remove what this process made there, except for `keep`."""
    if claimed.started:
        release(claimed)
    else:
        abandon(claimed, keep)


def begin(folder: Path) -> None:
    """Note that training begins: from now on the folder stays, and files of an earlier run are removed where `anew`.

    Files that this run has written again by now stay. Do nothing for a folder not claimed here, or on a second call.
    """
    claimed = _here.claims.get(folder.absolute())
    if claimed is None or claimed.started:
        return
    claimed.started = True
    if claimed.anew:
        same = (p for p, t in claimed.found.items() if p.is_symlink() or (p.exists() and p.stat().st_mtime_ns == t))
        _remove(same)
        _prune_folders(claimed.folder)


def release(claimed: Claim) -> None:
    """Release the folder and leave its files as they are."""
    _here.claims.pop(claimed.folder, None)
    if claimed.lock is not None:
        with contextlib.suppress(OSError):
            (claimed.folder / LOCK).unlink()
        os.close(claimed.lock)
        claimed.lock = None


def abandon(claimed: Claim, keep: Sequence[str] = ()) -> None:
    """Release a folder in which no run began, and remove the files and folders made since the claim.

    Only files that match ALL are removed, none where an earlier run's were found. keep: names of files that stay.
    """
    new = [p for p in written(claimed.folder, ALL) if p not in claimed.there]
    if not claimed.found:
        kept = {claimed.folder / name for name in keep}
        _remove(p for p in new if p not in kept)
        _prune_folders(claimed.folder)
    release(claimed)
    remove_empty(claimed.folder, claimed.nearest)


def forgo(folder: Path) -> None:
    """Remove a folder that this process made, not held here, and those above it that it made, where they are empty."""
    remove_empty(folder.absolute(), _here.nearest.get(folder.absolute(), folder.absolute()))


def _remove(paths: Iterator[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _prune_folders(folder: Path) -> None:
    """Remove the empty folders of a run's parts."""
    for part in (*_PARTS, ".hydra"):
        top = folder / part
        below = sorted((p for p in top.rglob("*") if p.is_dir() and not p.is_symlink()), reverse=True) if part else []
        for each in (*below, top) if part else ():
            with contextlib.suppress(OSError):
                each.rmdir()
