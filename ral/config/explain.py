"""Hydra's errors, and those of a configuration, in one line that says what to type instead."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ral.config.check import first_line
from ral.config.groups import NO_PACKAGE, no_such_option, of_another_program, own_groups
from ral.config.other_names import NOTHING_LIKE_IT, closest, known_here
from ral.config.renamed_keys import moved, today
from ral.config.signature import did_you_mean, walk
from ral.files.own_folder import unusable

VERSION_BASE = "1.3"  # the Hydra behaviour that conf/ is written for


def explain(
    error: Exception,
    config_dir: Path,
    config_name: str,
    message: Callable[[Exception], str],
    arguments: Sequence[str] | None = None,
) -> str:
    """Return one line for a failure outside of a job: while composing, or while making the run's folder.

    message: gives the line for an error that is not Hydra's, yaml's or a file's. arguments: typed; None for sys.argv.
    """
    if isinstance(error, MissingConfigException):
        return _missing_config(error, typed(arguments))
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, ConfigCompositionException):
        return _composition(error, config_dir, config_name, arguments)
    if isinstance(error, OmegaConfBaseException):
        return _omegaconf(error)
    if isinstance(error, yaml.MarkedYAMLError):
        return _yaml(error)
    if isinstance(error, OSError) and error.filename is not None:
        return unusable(Path(error.filename), _folder_key(config_dir, config_name), error)
    return message(error)


def _folder_key(config_dir: Path, config_name: str) -> str:
    """Return the key that names the folder of a command: the one that its configuration takes hydra.run.dir from."""
    said = re.search(r"^    dir: \$\{(\w+)\}", (config_dir / f"{config_name}.yaml").read_text(encoding="utf-8"), re.M)
    return said[1] if said else "hydra.run.dir"


def better(
    message: str, cfg: DictConfig, config_dir: Path, config_name: str, arguments: Sequence[str] | None = None
) -> str:
    """Return the line of a failed check, with a remedy where one is known: another key or option, or quotes.

    message: the check's line; cfg: what was checked. arguments: those of the command line; None for sys.argv.
    """
    wrong = re.match(r"unknown key ([\w.]+)|([\w.]+) is not set", message)
    at_fault = wrong[1] or wrong[2] if wrong else ""
    if (line := of_another_program(at_fault, config_dir, config_name, typed(arguments))) is not None:
        return line
    if message.startswith("unknown key experiment") and (named := _choices().get("experiment")):
        return f"experiment={named}{NO_PACKAGE}"
    if match := re.match(r"unknown key ([\w.]+)", message):
        chosen = _choices()
        known = own_groups(config_dir, config_name) + [key for key, _ in walk(OmegaConf.to_container(cfg))]
        way = known_here(match[1], _value(match[1]), known, config_dir)
        return of_other_choices(match[1], config_dir, chosen) or (
            f"unknown key {match[1]}: write {way}" if way else message
        )
    if match := re.match(r"([\w.]+) has moved: write ", message):
        known = [key for key, _ in walk(OmegaConf.to_container(cfg, resolve=False))]
        return of_an_earlier_version(match[1], known, config_dir, _choices()) or message
    key = re.match(r"[\w.]+", message)
    text = "has the wrong type: str" in message or "nterpolation" in message
    given = [o for o in typed(arguments) if key and o.lstrip("+").partition("=")[0] == key[0]] if text else []
    ways = [way for o in given if (way := quoted(o))]
    return f"{message}; as text it is typed {ways[-1]}" if ways else message


def typed(arguments: Sequence[str] | None = None) -> list[str]:
    """Return the overrides (`key=value`) among the arguments of a command line. arguments: None for sys.argv."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    return list(get_args_parser().parse_known_args(given)[0].overrides)


def quoted(override: str) -> str | None:
    """Return an override as it is typed into a shell so that its value is text; None if there is no such spelling.

    The spelling is parsed again before it is returned: Hydra reads the same characters from it.
    """
    key, equals, value = override.partition("=")
    if not equals or not re.fullmatch(r"[+~]{0,2}[\w./@:-]+", key):
        return None
    inside = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)  # ${ would be an interpolation
    for mark in ('"', "'"):
        escaped = re.sub(r"(\\*)" + mark, lambda m: m[1] * 2 + "\\" + mark, inside)  # noqa: B023
        escaped += "\\" * (len(escaped) - len(escaped.rstrip("\\")))
        text = f"{key}={mark}{escaped}{mark}"
        if _read_back(text) == value:
            return shlex.quote(text)
    return None


def _read_back(override: str) -> str | None:
    """Return the text that Hydra and OmegaConf make of an override's value; None where it is no text."""
    try:
        value = OverridesParser.create().parse_override(override).value()
        found = OmegaConf.create({"value": value})["value"]
    except (HydraException, OmegaConfBaseException):
        return None
    return found if isinstance(found, str) else None


def _unreadable(override: str) -> str:
    way = quoted(override)
    if way is None:
        return f"cannot read {override!r}: write key=value without spaces, and quote special characters"
    value = override.partition("=")[2]
    kind = " (a list is written [a,b], a group {a:1,b:2})" if value.startswith(("[", "{")) else ""
    return f"cannot read {override!r}: as text it is typed {way}{kind}"


def _missing_config(error: MissingConfigException, overrides: Sequence[str]) -> str:
    """Return the line where a group has no such option, or there is no such config."""
    name = error.missing_cfg_file or ""
    group, _, option = name.rpartition("/")
    if not group:
        return first_line(error)
    options = sorted(error.options or ())
    near = did_you_mean(option.lower(), options)
    listed = "" if "known:" in near or not options else f" (options: {', '.join(options)})"
    said = f"{group}={option}: conf/{group} has no {option!r}{near}{listed}"
    return "; ".join([said, *_own_folders(group, option, overrides)])


def _own_folders(group: str, option: str, overrides: Sequence[str]) -> list[str]:
    """Return a line for each folder on the typed hydra.searchpath: it is missing, or it lacks the option too."""
    given = [o for o in overrides if o.lstrip("+").startswith("hydra.searchpath=")]
    names = OverridesParser.create().parse_override(given[-1]).value() if given else []
    folders = [str(name).removeprefix("file://") for name in names] if isinstance(names, list) else []
    return [
        f"hydra.searchpath={folder}: "
        + (f"no file {group}/{option}.yaml there" if Path(folder).is_dir() else "no such folder")
        for folder in folders
        if "://" not in folder
    ]


def _composition(
    error: ConfigCompositionException, config_dir: Path, config_name: str, arguments: Sequence[str] | None
) -> str:
    """Return the line for an override, or a defaults list, from which Hydra cannot compose a configuration."""
    text, cause = first_line(error), error.__cause__
    key = match[1] if (match := re.search(r"'([^']*)'", text)) else ""
    if not key and "No match in the defaults list" in text:
        return "cannot read '=': write key=value without spaces"
    if (line := of_another_program(key, config_dir, config_name, typed(arguments))) is not None:
        return line
    if text.startswith("Ambiguous value"):
        way = quoted(key)
        text = f", or {way} for a text with a comma" if way else ""
        return f"{key}: add -m to run once for each value, or write key=[a,b] for a list{text}"
    if "already at" in text:
        return f"{key} is already set: write {key}=<value> without +"
    if "No match in the defaults list" in str(error):
        return no_such_option(key, deleted=f"~{key}" in typed(arguments))
    if text.startswith(("Could not override", "Could not delete")):
        known, chosen = _known_keys(key, config_dir, config_name, arguments)
        if (line := of_an_earlier_version(key, known, config_dir, chosen)) is not None:
            return line
        return of_other_choices(key, config_dir, chosen) or _unknown(key, known, config_dir)
    if isinstance(cause, OmegaConfBaseException):
        return _omegaconf(cause, text)
    return text or type(error).__name__


def _omegaconf(error: OmegaConfBaseException, context: str = "") -> str:
    parts = (context, error.full_key, first_line(error.msg or error))
    return ": ".join(str(part) for part in parts if part)


def _yaml(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    where = f"{mark.name} line {mark.line + 1}: " if mark is not None else ""
    return f"{where}not valid yaml: {error.problem or error.context}"


def _choices() -> dict[str, str]:
    """Return {group: its chosen option} in a job of Hydra; {} outside of one."""
    cfg: Any = HydraConfig.instance().cfg
    return {} if cfg is None else {str(k): str(v) for k, v in cfg.hydra.runtime.choices.items()}


def of_other_choices(key: str, config_dir: Path, chosen: Mapping[str, str]) -> str | None:
    """Return the line for a key that others than its group's option have; else None. chosen: {group: option}."""
    group, _, rest = key.partition(".")
    if not rest or group not in chosen or not (config_dir / group).is_dir():
        return None
    options, names = _options(group, config_dir), rest.split(".")
    own, having = options.get(chosen[group]), sorted(n for n, o in options.items() if _at(o, names, ...) is not ...)
    if own is None or not having or chosen[group] in having:
        return None
    lacking = next(n for n in range(1, len(names) + 1) if _at(own, names[:n]) is None)
    what = ".".join(names[:lacking])
    naming = [name for name in having if what in (options[name].get("objective") or ())]
    kind, having = (" term", naming) if naming else ("", having)
    return (
        f"unknown key {key}: {group}={chosen[group]} has no {what}{kind}; {what} is in "
        f"{', '.join(f'{group}={name}' for name in having)}"
    )


def of_an_earlier_version(key: str, known: Sequence[str], config_dir: Path, chosen: Mapping[str, str]) -> str | None:
    """Return the line for a key of an earlier version; else None. known: keys of this run; chosen: {group: option}."""
    new = today(key)
    if new is None or new in known:
        return None if new is None else moved(key)
    elsewhere = of_other_choices(new, config_dir, chosen)
    lacking = elsewhere.partition(": ")[2] if elsewhere else f"this configuration has no such key{closest(new, known)}"
    return f"{key} has moved to {new}: {lacking}"


def _options(group: str, config_dir: Path) -> dict[str, Any]:
    """Return {option: its node} of a group, each composed by itself; options that need a whole run's are left out."""
    found: dict[str, Any] = {}
    ready = GlobalHydra.instance().is_initialized()  # in a job, Hydra's own
    with nullcontext() if ready else hydra.initialize_config_dir(str(config_dir.resolve()), version_base=VERSION_BASE):
        for path in sorted((config_dir / group).glob("*.yaml")):
            try:
                composed: Any = OmegaConf.to_container(hydra.compose(f"{group}/{path.stem}"), resolve=False)
            except (HydraException, OmegaConfBaseException, yaml.YAMLError):
                continue
            found[path.stem] = composed.get(group) or {}
    return found


def _at(tree: Any, names: Sequence[str], otherwise: Any = None) -> Any:
    """Return what stands under nested names, `otherwise` where nothing does."""
    for name in names:
        if not isinstance(tree, Mapping) or name not in tree:
            return otherwise
        tree = tree[name]
    return tree


def _known_keys(
    wrong: str, config_dir: Path, config_name: str, arguments: Sequence[str] | None
) -> tuple[list[str], dict[str, str]]:
    """Return groups and dotted keys of the configuration composed without the override that failed, and its choices."""
    flags = get_args_parser().parse_args(sys.argv[1:] if arguments is None else list(arguments))
    overrides = [o for o in flags.overrides if o.lstrip("+~").partition("=")[0] != wrong]
    folder = Path(flags.config_path or config_dir).resolve()
    with hydra.initialize_config_dir(str(folder), version_base=VERSION_BASE):
        cfg = _compose_what_works(flags.config_name or config_name, overrides)
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    choices = {str(k): str(v) for k, v in raw["hydra"]["runtime"]["choices"].items()}
    if not wrong.startswith("hydra"):
        del raw["hydra"]
    groups = own_groups(folder, flags.config_name or config_name)
    return groups + [key for key, _ in walk(raw) if key and "[" not in key], choices


def _compose_what_works(config_name: str, overrides: list[str]) -> DictConfig:
    """Return the configuration with as many of the first overrides as can be applied."""
    for kept in range(len(overrides), 0, -1):
        try:
            return hydra.compose(config_name, overrides[:kept], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):
            continue  # another mistake among these; the user hears of it after correcting the first one
    return hydra.compose(config_name, return_hydra_config=True)


def _unknown(key: str, known: Sequence[str], config_dir: Path) -> str:
    """Return the line for an unknown key, with the name of the same setting here, or with the keys most like it."""
    found, value = closest(key, known), _value(key)
    way = known_here(key, value, known, config_dir)
    if way is None and found == NOTHING_LIKE_IT:
        way = known_here(key, value, known, config_dir, exact=False)
    return f"unknown key {key}: write {way}" if way else f"unknown key {key}{found}"


def _value(key: str) -> str:
    """Return the value that was typed for a key; '' where none was typed."""
    given = [o.partition("=")[2] for o in typed() if o.lstrip("+~").partition("=")[0] == key]
    return given[-1] if given else ""
