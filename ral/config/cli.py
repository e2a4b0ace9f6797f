"""Runs a main function under Hydra so that every failure is one line a user can act on.

Exit codes: 0 done, 1 error (one line on stderr that begins with `error:`), 130 interrupted, 141 where the reader of the
output ended, 143 or 138 ended by SIGTERM or SIGUSR1. `debug=true` prints the traceback before that line. Nothing heavy
is imported here: `--help` and `--cfg job` answer at once.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, read_write

from ral.config import listing, sweeps
from ral.config.check import check as check_config
from ral.config.check import first_line
from ral.config.deleted import of_a_deletion
from ral.config.explain import VERSION_BASE, better, explain, typed
from ral.config.groups import refuse_no_options
from ral.config.other_names import undashed
from ral.config.typed_configs import refuse_config_flags
from ral.config.typed_files import refuse_files_as_options, refuse_several_files
from ral.config.typed_hydra import check_job, refuse_hydra_settings
from ral.config.typed_paths import with_home
from ral.errors import UserError, warn_in_plain_lines
from ral.files import run_folder
from ral.files.repository import CONF

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""
READER_GONE = 141
"""Exit code where the program that reads the output (such as `head`) has ended: 128 + SIGPIPE."""
SPINS = "20000"
"""Turns a thread waits by spinning before it sleeps (GNU OpenMP): well under a millisecond."""

SIGNALLED = 128
"""Exit code after another signal: this plus the signal's number."""

QUOTED, KEPT = '\\"', "\\${"
"""How a text in double quotes spells a double quote, and `${`, which would otherwise name a key (Hydra's grammar)."""

Main = Callable[[DictConfig], Any]
Claiming = Callable[[DictConfig], run_folder.Claim]
Where = tuple[Path, str]
"""Folder and name of the configuration."""


def literal(arguments: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return the arguments with the values of `keys` in quotes; a value already in quotes stays as it is.

    Commas, brackets and quotes in such a value are then part of the text, not of Hydra's grammar.
    """

    def one(argument: str) -> str:
        key, equals, text = argument.partition("=")
        if key not in keys or not equals or (len(text) > 1 and text[0] == text[-1] and text[0] in "'\""):
            return argument
        escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + (QUOTED if found[2] else ""), text)
        return f'{key}="{escaped.replace("${", KEPT)}"'

    return [one(argument) for argument in arguments]


def _bound_spinning() -> None:
    """Let waiting threads of GNU OpenMP spin briefly, then sleep, unless the environment says how they wait.

    Spinning for long, its default, starves whoever shares the cores; sleeping at once makes a run on an idle
    machine twice as slow.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def run(
    main: Main,
    config_name: str,
    config_dir: Path = CONF,
    check: Main = check_config,
    claim: Claiming | None = None,
    texts: Sequence[str] = (),
) -> None:
    """Compose the configuration from sys.argv, check it, call main with it. Failures raise SystemExit, with the exit
    codes in the module's docstring.

    main: called once, or once for each job of a sweep; it should import heavy packages itself.
    check: called with the configuration before main; raises UserError.
    claim: locks a job's folder before anything is written there (ral.files.run_folder); None: no folder is locked.
    texts: keys whose values are texts, in which commas, brackets and quotes stand for themselves (`literal`).
    """
    failures: list[Exception] = []
    sys.argv = literal(sys.argv, texts)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its exceptions on instead of printing them in its own way
    _bound_spinning()
    warn_in_plain_lines()
    listing.register()
    try:
        sys.argv[1:] = flags_first(with_home(sys.argv[1:]))
        flags = _check_flags(sys.argv[1:], of_training=config_name == "train")
        refuse_config_flags(flags, config_dir, config_name)
        refuse_no_options(flags.overrides, config_dir, config_name)
        refuse_hydra_settings(flags.overrides, multirun=flags.multirun)
        refuse_files_as_options(flags.overrides, config_dir, config_name)
        refuse_several_files(flags.overrides, sweep=flags.multirun)
        if (page := listing.help_page(flags, config_dir, config_name, VERSION_BASE)) is not None:
            return print(page, flush=True)
        job = _guarded(main, check, claim, failures, (config_dir, config_name))
        with _leaving_on_signals():
            hydra.main(version_base=VERSION_BASE, config_path=str(config_dir), config_name=config_name)(job)()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # of `--help | head`: who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)
    except Exception as error:
        _report(explain(error, config_dir, config_name, message_of), error, _wants_traceback(sys.argv[1:]))
        failures.append(error)
    if line := sweeps.failed_runs():
        print(f"error: {line}", file=sys.stderr, flush=True)
    if failures or line:
        sys.exit(1)


@contextmanager
def _leaving_on_signals() -> Iterator[None]:
    """Raise SystemExit inside the block on a scheduler's signals (SIGTERM, SIGUSR1), so that folders are given back.

    A run replaces these handlers by its own.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(SIGNALLED + number)

    here = threading.current_thread() is threading.main_thread()
    ours = [n for n in (signal.SIGTERM, signal.SIGUSR1) if here and signal.getsignal(n) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _guarded(main: Main, check: Main, claim: Claiming | None, failures: list[Exception], where: Where) -> Main:
    """Wrap main with its check, and report failures: Hydra never sees them, and a sweep continues with its next job.

    A sweeper such as Optuna's optimises the value that main returns; a failed run gets the worst value.
    """
    script = os.path.abspath(sys.argv[0])  # of this process: job may be called in one that a launcher started

    def failed(error: Exception, cfg: DictConfig, note: Callable[[str], None]) -> float | None:
        said = message_of(error)
        message = of_a_deletion(said, typed(), *where) or better(said, cfg, *where)
        _report(message, error, bool(cfg.get("debug", False)))
        note(message)
        sweeps.leave_nothing()
        failures.append(error)
        return sweeps.worst()

    @functools.wraps(main)
    def job(cfg: DictConfig) -> float | None:
        try:
            check_job()
            claimed = claim(cfg) if claim is not None and (run_folder.first_rank() or sweeps.is_alone(cfg)) else None
        except UserError as error:  # the folder is another run's, so nothing is noted in it
            return failed(error, cfg, sweeps.refused)
        reported = ""

        def note(message: str) -> None:
            nonlocal reported
            reported = message
            sweeps.note(message)

        try:
            sweeps.note(sweeps.CUT_OFF)
            if claim is None or (claimed is not None and not claimed.found):  # other ranks write nothing
                sweeps.keep_typed(cfg)
            with _relaunchable(script):
                check(cfg)
                value = main(cfg)
        except SystemExit as stop:
            sweeps.note(f"stopped with exit code {stop.code}; resume=auto goes on from what was saved")
            raise
        except Exception as error:
            return failed(error, cfg, note)
        finally:
            if claimed is not None:
                give_back(claimed, cfg, reported)
        sweeps.note(None)
        return value

    return job


def give_back(claimed: run_folder.Claim, cfg: DictConfig, reported: str) -> None:
    """Release a job's folder. If no run began in it, remove the files that this job wrote there.

    reported: the job's error message, "" where it had none. Two kinds of files stay in any case: bad_samples.jsonl if
    the message names it, and in a sweep the notes on a failed run and what the user typed.
    """
    if claimed.started and claimed.found:
        sweeps.keep_typed(cfg)  # of a run that went on: not before it did
    named = [name for name in ("bad_samples.jsonl",) if str(claimed.folder / name) in reported]
    noted = [*run_folder.NOTES, *run_folder.TYPED] if sweeps.in_sweep() else []
    run_folder.leave(claimed, keep=[*named, *noted])


@contextmanager
def _relaunchable(script: str) -> Iterator[None]:
    """Set this process's module and arguments, inside the block, as if `script` had been started for this job alone.

    Only in a job of a multirun. Lightning starts the other ranks with this process's module and arguments; else every
    rank would start the whole sweep again, or the launcher's own worker.
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


def message_of(error: Exception) -> str:
    """Return one line for a failure inside a job: a UserError's text, else the error's type, its first line and advice
    to run with debug=true.
    """
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {first_line(error)} (run again with debug=true for the traceback)"


def _wants_traceback(arguments: Sequence[str]) -> bool:
    given = [a.partition("=")[2].lower() for a in arguments if a.lstrip("+").startswith("debug=")]
    return bool(given) and given[-1] in ("true", "1", "yes", "on")


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with Hydra's flags, and their values, in front of the settings: argparse wants it so.

    Flags that Hydra does not know stay where they are.
    """
    known: dict[str, Any] = get_args_parser()._option_string_actions
    flags, others, rest = [], [], list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, _ = argument.partition("=")
        if name not in known:
            others.append(argument)
            continue
        flags.append(argument)
        if known[name].nargs is None and not equals and rest:
            flags.append(rest.pop(0))
    return [*flags, *others]


def _check_flags(arguments: Sequence[str], of_training: bool = False) -> Namespace:
    """Return Hydra's flags among the arguments. UserError for flags that Hydra does not know, where argparse would exit
    with its usage and code 2.

    of_training: whether the settings are those of train.py, whose names in other programs are known.
    """
    parser = get_args_parser()

    def fail(message: str) -> NoReturn:
        ways = undashed(arguments) if of_training else []
        here = f": write {' '.join(ways)}" if ways else ", --help lists them"
        raise UserError(f"{message}; settings are written key=value without dashes{here}")

    parser.error = fail  # type: ignore[method-assign]
    return parser.parse_args(arguments)
