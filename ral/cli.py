"""Runs a main function under Hydra so that every failure is one line a user can act on.

Exit codes: 0 done, 1 error (one line on stderr that begins with `error:`), 130 interrupted. `debug=true` puts the
traceback before that line. Nothing heavy is imported here: `--help` and `--cfg job` answer at once.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from ral import sweeps
from ral.config import check as check_config
from ral.config import first_line
from ral.errors import UserError
from ral.signature import did_you_mean, walk

CONF = Path(__file__).resolve().parents[1] / "conf"
VERSION_BASE = "1.3"
"""The Hydra behaviour that conf/ is written for."""
SIMILAR_KEY = 0.75
"""Dotted keys less alike than this (0 to 1) are not offered as corrections."""
NEARLY_AS_SIMILAR = 0.05
"""Keys within this distance of the most similar one are offered beside it."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""
SPINS = "20000"
"""Turns a thread waits by spinning before it sleeps (GNU OpenMP): well under a millisecond."""

Main = Callable[[DictConfig], Any]


def _bound_spinning() -> None:
    """Let waiting threads of GNU OpenMP spin briefly, then sleep, unless the environment says how they wait.

    Spinning for long, its default, starves whoever shares the cores; sleeping at once makes a run on an idle
    machine twice as slow.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def run(main: Main, config_name: str, config_dir: Path = CONF, check: Main = check_config) -> None:
    """Compose the configuration from sys.argv, check it, call main with it, and leave with the exit code.

    main: called once, or once for each job of a multirun; imports what it needs itself.
    check: called with the configuration before main; raises UserError.
    """
    failures: list[Exception] = []
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them in its own way
    _bound_spinning()
    try:
        _check_flags(sys.argv[1:])
        job = _guarded(main, check, failures)
        hydra.main(version_base=VERSION_BASE, config_path=str(config_dir), config_name=config_name)(job)()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        _report(_explain(error, config_dir, config_name), error, _wants_traceback(sys.argv[1:]))
        failures.append(error)
    if line := sweeps.told():
        print(f"error: {line}", file=sys.stderr, flush=True)
    if failures or line:
        sys.exit(1)


def _guarded(main: Main, check: Main, failures: list[Exception]) -> Main:
    """main with its check, reporting failures itself: Hydra never sees them, and a sweep goes on with its next job.

    What main returns is what a sweeper such as Optuna's optimises; a run that failed counts for less than any other.
    """
    script = os.path.abspath(sys.argv[0])  # of this process: job may be called in one that a launcher started

    @functools.wraps(main)
    def job(cfg: DictConfig) -> float | None:
        sweeps.note(sweeps.CUT_OFF)
        try:
            with _relaunchable(script):
                check(cfg)
                value = main(cfg)
        except SystemExit as stop:
            sweeps.note(f"stopped with exit code {stop.code}; resume=auto goes on from what was saved")
            raise
        except Exception as error:
            _report(_message(error), error, bool(cfg.get("debug", False)))
            sweeps.note(_message(error))
            failures.append(error)
            return sweeps.worst()
        sweeps.note(None)
        return value

    return job


@contextmanager
def _relaunchable(script: str) -> Iterator[None]:
    """In a job of a multirun, make this process look, to Lightning and Hydra, as if `script` had been started for it.

    Lightning starts the other ranks with this process's module and arguments; without this every rank would start the
    whole sweep again, or the launcher's own worker. In a single run nothing has to change.
    """
    state: Any = HydraConfig.instance().cfg
    if state is None or state.hydra.mode != RunMode.MULTIRUN:
        yield
        return
    argv, folder, module = sys.argv, state.hydra.runtime.output_dir, sys.modules["__main__"]
    own = [o for o in state.hydra.overrides.hydra if not o.startswith(("hydra.mode=", "hydra.run.dir="))]
    sys.argv, spec, module.__spec__ = [script, *state.hydra.overrides.task, *own], module.__spec__, None
    with read_write(state.hydra):
        state.hydra.run.dir = folder
    try:
        yield
    finally:
        sys.argv, module.__spec__ = argv, spec


def _report(message: str, error: Exception, with_traceback: bool) -> None:
    if with_traceback:
        traceback.print_exception(error)
    print(f"error: {message}", file=sys.stderr, flush=True)


def _message(error: Exception) -> str:
    """One line for a failure inside a job."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {first_line(error)} (run again with debug=true for the traceback)"


def _wants_traceback(arguments: Sequence[str]) -> bool:
    given = [a.partition("=")[2].lower() for a in arguments if a.lstrip("+").startswith("debug=")]
    return bool(given) and given[-1] in ("true", "1", "yes", "on")


def _check_flags(arguments: Sequence[str]) -> None:
    """UserError for flags that Hydra does not know, instead of argparse's usage text and exit code 2."""
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        raise UserError(f"{message}; settings are written key=value without dashes, --help lists them")

    parser.error = fail  # type: ignore[method-assign]
    parser.parse_args(arguments)


# --- Hydra's errors in one line ---------------------------------------------------------------------------------------


def _explain(error: Exception, config_dir: Path, config_name: str) -> str:
    """One line for a failure outside of a job: while composing, or while making the run's folder."""
    if isinstance(error, MissingConfigException):
        return _missing_config(error)
    if isinstance(error, OverrideParseException):
        return f"cannot read {error.override!r}: write key=value without spaces, and quote special characters"
    if isinstance(error, ConfigCompositionException):
        return _composition(error, config_dir, config_name)
    if isinstance(error, OmegaConfBaseException):
        return _omegaconf(error)
    if isinstance(error, yaml.MarkedYAMLError):
        return _yaml(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot write to {error.filename}: {error.strerror}; choose another folder with hydra.run.dir=<folder>"
    return _message(error)


def _missing_config(error: MissingConfigException) -> str:
    """A group has no such option, or there is no such config."""
    name = error.missing_cfg_file or ""
    group, _, option = name.rpartition("/")
    if not group:
        return first_line(error)
    options = sorted(error.options or ())
    return f"{group}={option}: conf/{group} has no {option!r}{did_you_mean(option, options)}{_listed(option, options)}"


def _listed(option: str, options: Sequence[str]) -> str:
    """All options, unless did_you_mean has listed them already."""
    close = difflib.get_close_matches(option, options)
    return f" (options: {', '.join(options)})" if close else ""


def _composition(error: ConfigCompositionException, config_dir: Path, config_name: str) -> str:
    """An override or a defaults list that does not fit together."""
    text, cause = first_line(error), error.__cause__
    key = match[1] if (match := re.search(r"'([^']*)'", text)) else ""
    if not key and "No match in the defaults list" in text:
        return "cannot read '=': write key=value without spaces"
    if text.startswith("Ambiguous value"):
        return f"{key}: add -m to run once for each value, or write key=[a,b] for a list"
    if "already at" in text:
        return f"{key} is already set: write {key}=<value> without +"
    if "No match in the defaults list" in str(error):
        return f"group {key} is not part of this configuration; add it with +{key}=<option>"
    if text.startswith(("Could not override", "Could not delete")):
        return f"unknown key {key}{_closest(key, _known_keys(key, config_dir, config_name))}"
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


def _known_keys(wrong: str, config_dir: Path, config_name: str) -> list[str]:
    """Names of the groups, and dotted keys of the configuration composed without the override that failed."""
    flags = get_args_parser().parse_args(sys.argv[1:])
    overrides = [o for o in flags.overrides if o.lstrip("+~").partition("=")[0] != wrong]
    folder = Path(flags.config_path or config_dir).resolve()
    with hydra.initialize_config_dir(str(folder), version_base=VERSION_BASE):
        cfg = _compose_what_works(flags.config_name or config_name, overrides)
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    if not wrong.startswith("hydra"):
        del raw["hydra"]
    return [p.name for p in folder.iterdir() if p.is_dir()] + [key for key, _ in walk(raw) if key and "[" not in key]


def _compose_what_works(config_name: str, overrides: list[str]) -> DictConfig:
    """The configuration with as many of the first overrides as can be applied."""
    for kept in range(len(overrides), 0, -1):
        try:
            return hydra.compose(config_name, overrides[:kept], return_hydra_config=True)
        except (HydraException, OmegaConfBaseException):
            continue  # another mistake among these; the user hears of it after mending the first one
    return hydra.compose(config_name, return_hydra_config=True)


def _closest(key: str, known: Sequence[str]) -> str:
    """'; did you mean x?' for the dotted keys most like `key` as a whole and in their last part."""
    scores = {k: _similarity(key, k) for k in dict.fromkeys(known)}
    best = max(scores.values(), default=0.0)
    close = [k for k, s in scores.items() if s >= max(SIMILAR_KEY, best - NEARLY_AS_SIMILAR)]
    close.sort(key=lambda k: -scores[k])
    return f"; did you mean {' or '.join(close[:3])}?" if close else "; --cfg job prints every key"


def _similarity(one: str, other: str) -> float:
    """0 to 1: mean of the likeness of two dotted keys and that of their last parts."""
    whole = difflib.SequenceMatcher(None, one, other).ratio()
    last = difflib.SequenceMatcher(None, one.rpartition(".")[2], other.rpartition(".")[2]).ratio()
    return (whole + last) / 2
