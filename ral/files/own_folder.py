"""Folders that a command may take for its own output, and the message about a folder that cannot be used."""

from __future__ import annotations

from pathlib import Path

from ral.errors import UserError


def refuse_shared(folder: Path, key: str) -> None:
    """Raise UserError for the root of the disk, the home folder and the current folder (which an empty name means).

    key: the setting that names the folder.
    """
    if folder.resolve() in (Path("/"), Path.home().resolve(), Path.cwd().resolve()):
        what = "a run" if key == "hydra.run.dir" else "what is written"
        raise UserError(f"{key}={folder}: {what} needs a folder of its own: write {key}={folder / 'run'}")


def unusable(folder: Path, key: str, error: OSError) -> str:
    """Return the message about a folder that cannot be made or written: the reason, and what to write instead.

    key: the setting that names the folder. error: what the attempt raised.
    """
    other = f"write {key}=<another folder>"
    for path in (folder, *folder.parents):
        if path.exists():
            file = "" if path.is_dir() else "is a file" if path == folder else f"{path} is a file"
            break
    else:
        file = ""
    problem = f"{file}, and a folder is needed there" if file else f"cannot be written ({error.strerror or error})"
    return f"{key}={folder}: {problem}; {other}"


def as_folder(value: object, key: str) -> Path:
    """Return the folder that the setting `key` names. UserError for a value that is no text: a number, null."""
    if not isinstance(value, str):
        raise UserError(f"{key}={'null' if value is None else repr(value)} has the wrong type: str expected")
    return Path(value)


def remove_empty(folder: Path, kept: Path) -> None:
    """Remove `folder` and those above it as far as `kept`, which stays, up to the first in which something lies."""
    while folder != kept and folder != folder.parent:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def check_resume(resume: object) -> None:
    """Raise UserError where `resume` is neither null nor a text, such as the true of other programs."""
    if resume is not None and not isinstance(resume, str):
        typed = str(resume).lower() if isinstance(resume, bool) else resume
        write = "resume=auto to go on from the newest checkpoint in hydra.run.dir, or resume=<run>/checkpoints/step_N"
        raise UserError(f"resume={typed} has the wrong type: a folder, auto or null expected; write {write}")
