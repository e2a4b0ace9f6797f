"""Training, evaluations and knockouts from a notebook or a program: the command lines as functions with a result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig

from ral.api import job
from ral.api.job import PROGRAMS, Composed, Task
from ral.config import evaluation
from ral.config import knockout as knockouts
from ral.config.check import check
from ral.config.claims import claim_run
from ral.config.model_files import check_model_files
from ral.errors import UserError
from ral.files import jsonl, run_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True)
class Run:
    """A run of training that has ended. docs/outputs.md says what its folder holds.

    folder: the run's folder. best: the last evaluation's value of `checkpoint.best` (by default the accuracy, 0 to 1);
    None where no evaluation gave one.
    """

    folder: Path
    best: float | None

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, one a step: {"step": 1, "train/reward": 0.4, ...} (docs/metrics.md)."""
        return jsonl.read(self.folder / "metrics.jsonl")

    @property
    def checkpoint(self) -> Path | None:
        """Return the folder of the newest checkpoint, for `resume=<folder>`; None where the run has no checkpoint."""
        from ral.learner.checkpoints import newest

        return newest(self.folder / "checkpoints")

    @property
    def model(self) -> Path:
        """Return the folder of the trained model, which `ral.load` and plain Transformers read."""
        return self.folder / "hf"

    @property
    def report(self) -> Path:
        """Return the path of report.html, the page with curves, samples and overlays."""
        return self.folder / "report.html"


@dataclass(frozen=True)
class Results:
    """Findings of an evaluation or a knockout.

    folder: the folder with its files. content: for an evaluation {benchmark: content of its summary.json}; for a
    knockout the content of its results.json (docs/outputs.md).
    """

    folder: Path
    content: dict[str, Any]


def compose(*settings: str, task: Task = "train") -> Composed:
    """Compose a configuration: the one that the command line makes of the same settings.

    Args:
        settings: `key=value` as they are typed behind train.py, such as "algo=ral", "max_steps=3",
            "model.pretrained=/my/folder". docs and `python train.py --help` list the keys.
        task: program that the configuration is for: "train", "evaluate" (evaluate.py) or "knockout"
            (scripts/knockout.py).

    Returns:
        The configuration. `print` shows it as yaml; values in `.settings` may still be changed.

    Raises:
        UserError: one line on the setting or task that does not fit, with what to type instead.
    """
    if task not in PROGRAMS:
        raise UserError(f"task={task!r} is not known: write one of {', '.join(map(repr, PROGRAMS))}")
    return job.compose(settings, task)


def train(config: Composed) -> Run:
    """Train as a configuration says, like `python train.py`. May be called several times in a process.

    Args:
        config: a configuration from `ral.compose(...)`.

    Returns:
        The run: its folder, metrics, newest checkpoint, trained model and report.

    Raises:
        UserError: one line on a problem that other settings can fix, such as a folder that holds a run already, or
            more than one process (hardware.devices).
        KeyboardInterrupt: after Ctrl-C, or a notebook's interrupt; the step was finished and everything saved.
        SystemExit: with code 128 + signal after SIGTERM or SIGUSR1; the step was finished and its checkpoint saved, but
            no model was exported.
    """
    from ral.run import train as training  # imports torch and Lightning, so only now

    best, folder = job.run(_of("train", config), training, _check_run, _claim_run)
    return Run(folder, best)


def evaluate(config: Composed) -> Results:
    """Score a model on benchmarks, as `python evaluate.py` does.

    Args:
        config: a configuration from `ral.compose("checkpoint=outputs/my_run/hf", "benchmark=vstar", ...,
            task="evaluate")`.

    Returns:
        `Results` with `.content` {benchmark: summary} and `.folder`. A summary holds the accuracy (0 to 1), its
        bootstrap interval, scores by type, settings and more (summary.json of docs/outputs.md).

    Raises:
        UserError: one line on a problem that other settings can fix.
    """
    from ral.evaluating import evaluate as scoring

    def score(cfg: DictConfig) -> list[str]:
        scoring(cfg)
        return [str(name) for name in cfg.benchmark.tasks]

    names, folder = job.run(_of("evaluate", config), score, evaluation.check, evaluation.claim)
    folders = {name: folder / name if len(names) > 1 else folder for name in names}
    return Results(folder, {name: _read(own / "summary.json") for name, own in folders.items()})


def knockout(config: Composed) -> Results:
    """Measure accuracy with attention to the evidence cut, as `python scripts/knockout.py` does (docs/knockout.md).

    Args:
        config: a configuration from `ral.compose("checkpoint=assets/tiny_teacher", "limit=64", ..., task="knockout")`.

    Returns:
        `Results` with `.folder` and `.content`, the content of results.json: the accuracy, in percent, under every cut,
        its interval, and a sentence that says which tokens read the evidence.

    Raises:
        UserError: one line on a problem that other settings can fix.
    """
    from ral.checks.knockout import knock_out

    _, folder = job.run(_of("knockout", config), knock_out, knockouts.check, knockouts.claim)
    return Results(folder, _read(folder / "results.json"))


def _of(task: Task, config: Composed) -> Composed:
    """Return `config`. UserError where it is no configuration, or one of another program than `task`."""
    if not isinstance(config, Composed):
        raise UserError(f"ral.{task}: a configuration is wanted: write ral.{task}(ral.compose(...))")
    if config.task != task:
        raise UserError(
            f"ral.{task}: the configuration is one of {PROGRAMS[config.task]}: write ral.compose(..., task={task!r})"
        )
    return config


def _claim_run(cfg: DictConfig) -> run_folder.Claim:
    """Lock the run's folder. UserError where it cannot be used, or holds a run that may not be removed or resumed."""
    return claim_run(cfg, Path(HydraConfig.get().runtime.output_dir))


def _check_run(cfg: DictConfig) -> None:
    """Raise UserError for a configuration that train.py refuses, that asks for several processes, or for a plan."""
    if cfg.plan:
        raise UserError("plan=true: ral.train makes runs: write python train.py with the same settings for a plan")
    check(cfg, files=check_model_files)
    hardware = cfg.hardware
    if hardware.devices * hardware.num_nodes > 1:
        raise UserError(
            f"hardware.devices={hardware.devices}, hardware.num_nodes={hardware.num_nodes}: ral.train is one process: "
            "write 1 for both, or python train.py for several"
        )


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
