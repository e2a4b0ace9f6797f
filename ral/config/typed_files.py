"""Refusals of files in place of an option (`model=Qwen/...`) and of several in place of one (`dataset.path=*.json`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ral.config.groups import own_groups
from ral.errors import UserError

ONE_FILE = ("dataset.path", "benchmark.path")
"""Keys that take one file or folder."""
JOINED = (
    "files of JSON lines are joined by `cat a.jsonl b.jsonl > all.jsonl`, JSON arrays by "
    "`jq -c '.[]' a.json b.json > all.jsonl`; a folder of .parquet files is read whole with dataset=hf"
)
TABLES = (".parquet", ".arrow")
_FILE = re.compile(r"[~.]?/.*|.*/.*|.*\.(?:jsonl?|ndjson|csv|tsv|parquet|arrow|gz|zip|safetensors)", re.IGNORECASE)


def refuse_several_files(typed: Sequence[str], sweep: bool) -> None:
    """Raise UserError for a pattern, a list or several names under a key that takes one file.

    typed: the overrides of the command line. sweep: True where commas separate the values of a sweep.
    """
    for override in typed:
        key, _, value = override.lstrip("+").partition("=")
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        text = value[1:-1] if quoted else value
        several = "*" in text or "?" in text or text.startswith("[") or ("," in text and not (sweep and not quoted))
        if key in ONE_FILE and several and not re.search(r"\$\{|://", text) and not Path(text).expanduser().exists():
            raise UserError(f"{key}={text}: one file is read, and that names several; {JOINED}")


def refuse_files_as_options(typed: Sequence[str], config_dir: Path, config_name: str) -> None:
    """Raise UserError for a path or a model's hub id in place of a group's option.

    typed: the overrides of the command line.
    """
    _refuse_yaml_files(typed, config_dir, config_name)
    if any(override.lstrip("+").startswith("hydra.searchpath=") for override in typed):
        return  # options in folders of the user's own
    own = own_groups(config_dir, config_name)
    for override in typed:
        key, _, value = override.lstrip("+").partition("=")
        text = value.strip("'\"")
        if key in own and key in _WRITE and _FILE.fullmatch(text) and not (config_dir / key / f"{text}.yaml").is_file():
            known = ", ".join(sorted(path.stem for path in (config_dir / key).glob("*.yaml")))
            raise UserError(f"{key}={text}: {key} takes an option of conf/{key}: write {_write(key, text)} ({known})")


def _refuse_yaml_files(typed: Sequence[str], config_dir: Path, config_name: str) -> None:
    """Raise UserError for a yaml file in place of a group's option."""
    for override in typed:
        key, _, value = override.lstrip("+").partition("=")
        file = Path(value.strip("'\"")).expanduser()
        if file.suffix not in (".yaml", ".yml") or key not in own_groups(config_dir, config_name):
            continue
        inside = file.absolute().parent
        above = str(inside.parent) if inside.name == key else "FOLDER"
        where = "" if inside.name == key else f" for a file FOLDER/{key}/{file.stem}.yaml"
        if inside == config_dir.absolute() / key:
            raise UserError(f"{key}={value}: {key} takes a name, not a file: write {key}={file.stem}")
        raise UserError(
            f"{key}={value}: {key} takes a name, not a file: write --config-dir={above} {key}={file.stem}{where}"
        )


_WRITE = {
    "model": "model.pretrained={0}, and model=<its family>",
    "dataset": "dataset={1} dataset.path={0}, or another option",
    "benchmark": "benchmark=jsonl benchmark.path={0}, or another option",
}
"""Group -> what to write: {0} is the path, {1} the reader of its format."""


def _write(key: str, text: str) -> str:
    """Return the settings that take a path, for a group that does not."""
    table = text.lower().endswith(TABLES) or Path(text).expanduser().is_dir()
    return _WRITE[key].format(text, "hf" if table else "jsonl")
