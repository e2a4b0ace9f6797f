"""Words about a folder of adapters that stands where a model is wanted."""

from __future__ import annotations

from pathlib import Path


def in_place_of(folder: Path, base: str, trained: str | None) -> str:
    """Return what to write in place of the adapter in `folder`: a model that has it added in, or how to make one.

    base: name of the model that the adapter is of. trained: the setting for a model to train, beside which an adapter
    may be gone on with; None for a setting that takes whole models alone.
    """
    model = folder.parent / "hf"
    made = (model / "config.json").is_file()
    go_on = f"write {trained}={base} lora.resume={folder} to go on training it, or " if trained else ""
    verb = "write" if trained is None else "take"
    return go_on + (
        f"{verb} {model}, which has it added in"
        if made
        else f"make a model of it with python scripts/export.py {folder}"
    )
