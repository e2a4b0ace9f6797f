"""Content of the data and models that a configuration names: a checkpoint keeps it, and a resumed run compares it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ral.config.resuming import ALL, covers, leaves
from ral.config.typed_paths import names_path
from ral.errors import UserError
from ral.files.contents import Content, change, data_content, model_content

WRITTEN = ("unpacked", "disk_cache", "cache", "output", "media_root")
"""Last parts of keys below `dataset` that name folders of copies, and of media, whose content is not read."""
TEMPLATES = "dataset.templates."
MODELS = ("model.pretrained", "model.teacher", "algo.teacher", "lora.resume")
HELD_OUT = "validation"


def contents(tree: Mapping[str, Any]) -> dict[str, Content]:
    """Return {dotted key: content} of the data, templates and models on this machine that a configuration names.

    tree: the configuration, resolved. A path that several keys name stands under one of them, the one nearest the top.
    Hub ids and paths where nothing lies are left out. UserError where a file cannot be read.
    """
    splits = (str(tree.get("algo", {}).get("train_split", "train")), HELD_OUT)
    found: dict[str, Content] = {}
    seen: set[str] = set()
    for key, path in _named(tree):
        if path in seen:
            continue
        seen.add(path)
        content = model_content(path) if key in MODELS else data_content(path, splits)
        if content is not None:
            found[key] = content
    return found


def _named(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of each key that names data, a template or a model.

    Keys nearest the top, to which others refer, come first.
    """
    for key, value in sorted(leaves(tree).items(), key=lambda pair: (pair[0].count("."), pair[0])):
        of_data = key.startswith("dataset.") and names_path(key) and key.rpartition(".")[2] not in WRITTEN
        of_template = key.startswith(TEMPLATES) and "." in str(value)  # other templates are shipped
        if isinstance(value, str) and (of_data or of_template or key in MODELS):
            yield key, value


def plain_contents(found: Mapping[str, Content]) -> dict[str, Any]:
    """Return contents as plain values, {key: {"path": ..., "files": {name: hash}}}, for a checkpoint."""
    return {key: {"path": content.path, "files": dict(content.files)} for key, content in found.items()}


def check_contents(
    kept: Mapping[str, Any], now: Mapping[str, Content], allowed: str | Sequence[str], resume: str
) -> None:
    """Raise UserError where data or models of a resumed run have changed, except those of keys in `allowed`.

    kept: contents in the checkpoint, as `plain_contents` returns them. now: contents of the present configuration. Keys
    that only one of the two has are not compared. allowed: the setting resume_changed: keys, groups of keys, or "all".
    resume: the value of the setting `resume`, which the message quotes.
    """
    names = [allowed] if isinstance(allowed, str) else list(allowed)
    if ALL in names:
        return
    found = {}
    for key in sorted(kept.keys() & now.keys()):
        before = Content(kept[key]["path"], kept[key]["files"])
        if not any(covers(key, name) for name in names) and (words := change(before, now[key])):
            found[key] = words
    if found:
        shown = ", ".join(f"{words} ({key})" for key, words in found.items())
        raise UserError(
            f"resume={resume}: the content is not what the run began with: {shown}; put it back as it was, or write "
            f"'resume_changed=[{','.join([*names, *found])}]' to go on with what is there now"
        )
