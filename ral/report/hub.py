"""The model of a run on the Hugging Face hub: the list of files to upload, and the upload."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ral.errors import UserError
from ral.report.card import CARD, write_card
from ral.report.words import size

FOLDERS = {"hf": "model.safetensors*", "adapter": "adapter_model.*"}
"""{folder of a run that can be published: pattern of its weights}; the first folder with weights is taken."""


@dataclass(frozen=True)
class Published:
    """The files to upload. folder: folder of the model. files: their paths below it. repo: id on the hub."""

    folder: Path
    files: tuple[str, ...]
    repo: str

    @property
    def lines(self) -> list[str]:
        """Return a line for each file with its size, and a line with their sum."""
        sizes = [(self.folder / name).stat().st_size for name in self.files]
        listed = [f"  {name}  {size(count)}" for name, count in zip(self.files, sizes, strict=True)]
        return [*listed, f"{len(self.files)} files, {size(sum(sizes))}, from {self.folder} to {self.repo}"]


def prepare(run: Path, repo: str, licence: str | None = None) -> Published:
    """Write the card of a run's model, and return the list of the files to upload.

    repo: id on the hub, owner/name. licence: as in `write_card`. UserError for a wrong id, and where `run` is no
    folder, no run's folder, or holds no trained model.
    """
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise UserError(f"--repo {repo}: write <user or organisation>/<name>")
    if not run.is_dir():
        raise UserError(f"{run}: no such folder; name that of a run, which train.py prints as its last line")
    there = [run / name for name, weights in FOLDERS.items() if any((run / name).glob(weights))]
    if not there:
        raise UserError(f"{run}: no trained model: hf/ and adapter/ are what a run leaves at its end (resume=auto)")
    write_card(run, there[0], licence)
    files = sorted(str(path.relative_to(there[0])) for path in there[0].rglob("*") if path.is_file())
    return Published(there[0], tuple(files), repo)


def upload(published: Published, private: bool) -> str:
    """Send the files to the hub; return the address of the repository. private: whether a new repository is private.

    UserError where there is no token, and where the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if get_token() is None:
        raise UserError("no token for the hub: run `hf auth login`, or set HF_TOKEN; without --upload nothing is sent")
    api = HfApi(library_name="ral")
    try:
        made = api.create_repo(published.repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=published.repo, folder_path=published.folder, commit_message=f"Model and {CARD}")
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"{published.repo}: not uploaded ({reason}); the same command tries again") from error
    return str(made)
