"""Checks that overwrite=true removes only files of an earlier run, and none that the new run is to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ral.errors import UserError
from ral.files.repository import find

CARD_LINE = "made by ral from the files of the run"
"""Words in the model card (README.md) that a run writes into the folder of its model."""
MODELS = ("hf", "adapter")
"""Folders of models below a run's folder."""
SINGLE = frozenset({"bad_samples.jsonl", "report.html", "explore.html"})
"""Files of this project that may lie in a folder without a run; so may drafts (*.partial)."""
KEYS_OF_A_RUN = ("algo", "dataset", "max_steps")
Inputs = Callable[[], Mapping[str, str]]
"""Function that returns {text: key} of what a run reads; called only where files are to be removed."""
OTHER = "write hydra.run.dir=<another folder>"


def check_removal(folder: Path, found: Collection[Path], inputs: Mapping[str, str]) -> None:
    """Raise UserError unless all files in `found`, below `folder`, may be removed before a run that reads `inputs`.

    folder: the run's folder. inputs: {text of the configuration: its key}; ignored are texts that name no file or
    folder, and folders around the run's. Refused are an input among the files or above them, files behind a link that
    leads out of the folder, and files that no run of this project wrote.
    """
    for refused in (_read_again(folder, found, inputs), _linked(folder, found), _of_no_run(folder, found)):
        if (line := next(refused, None)) is not None:
            raise UserError(line)


def _read_again(folder: Path, found: Collection[Path], inputs: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each input that is, or holds, one of the files."""
    there, whole = {_place(path) for path in found}, folder.resolve()
    for text, key in inputs.items():
        for path in _named(text):
            holds = any(file.is_relative_to(named) for named in {_place(path), path.resolve()} for file in there)
            if holds and not whole.is_relative_to(path.resolve()):
                yield (
                    f"what the earlier run wrote to hydra.run.dir={folder} would be removed, and {key}={text}, which "
                    f"this run reads, is part of it: {OTHER}"
                )


def _named(text: str) -> list[Path]:
    """Return the existing paths that a text may name: below the working directory, and where models are looked up."""
    try:
        paths = {Path(text).expanduser(), Path(find(text))} if text.strip() and "\0" not in text else set()
        return [path for path in paths if path.exists()]
    except (OSError, RuntimeError):  # too long for a name; a home of nobody
        return []


def _place(path: Path) -> Path:
    """Return where a file or link itself lies, links on the way to it followed."""
    return path.absolute().parent.resolve() / path.name


def _linked(folder: Path, found: Collection[Path]) -> Iterator[str]:
    """Yield a line for each file that lies outside the folder, behind a link in it."""
    whole = folder.resolve()
    for path in sorted(found):
        if not (place := _place(path)).is_relative_to(whole):
            link = next(above for above in reversed(path.parents) if above.is_symlink() and above != folder)
            yield (
                f"{place} would be removed, which hydra.run.dir={folder} only links to: remove the link {link} "
                f"yourself, or {OTHER}"
            )


def _of_no_run(folder: Path, found: Collection[Path]) -> Iterator[str]:
    """Yield a line where the files are not those of a run, or a model among them is none that a run wrote."""
    names = sorted({path.relative_to(folder).parts[0] for path in found})
    others = [name for name in names if name not in SINGLE and not name.endswith(".partial")]
    if others and not is_run(folder):
        listed = ", ".join(f"{name}/" if (folder / name).is_dir() else name for name in others)
        yield (
            f"hydra.run.dir={folder} holds {listed} and no run (neither a run's config.yaml nor its checkpoints), so "
            f"nothing there is removed: {OTHER}"
        )
    for name in (name for name in others if name in MODELS and not _has_card(folder, name)):
        yield (
            f"hydra.run.dir={folder}: {name}/ holds a model without the card (README.md) that a run writes, which may "
            f"be your own: move or remove it yourself, or {OTHER}"
        )


def is_run(folder: Path) -> bool:
    """Tell whether a folder holds a run: a run's config.yaml, or a checkpoint."""
    if any(folder.glob("checkpoints/*step_*/state.pt")):
        return True
    file = folder / "config.yaml"
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return all(re.search(rf"^{key}:", text, re.MULTILINE) for key in KEYS_OF_A_RUN)


def _has_card(folder: Path, name: str) -> bool:
    """Tell whether a run's model has its card; adapter/, which gets none, has that of hf/ beside it."""
    cards = [folder / own / "README.md" for own in dict.fromkeys((name, "hf"))]
    found = cards if name == "adapter" else cards[:1]
    return any(card.is_file() and CARD_LINE in card.read_text(encoding="utf-8", errors="replace") for card in found)


def texts_of(leaves: Mapping[str, object]) -> dict[str, str]:
    """Return {text: dotted key} of the values in a configuration that may name a file: texts, and texts in lists.

    leaves: {dotted key: plain value}. A text that several keys have stands under the one nearest the top.
    """
    found: dict[str, str] = {}
    for key, value in sorted(leaves.items(), key=lambda leaf: (leaf[0].count("."), leaf[0])):
        for text in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
            if isinstance(text, str) and text not in found:
                found[text] = key
    return found
