"""Other trackers of metrics, by Lightning: TensorBoard, CSV, MLflow, Trackio. A yaml of conf/logger chooses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ral.types import UserError

OWN = 6
"""Characters of its own at the end of a run's name in Trackio."""
LONGEST_CAUSE = 80
"""Characters of a cause that a message shows."""


def installed(make: Callable[[], Any], choice: str) -> Any:
    """Return what make() does. UserError where the package of this choice of `logger` is not installed."""
    try:
        return make()
    except ImportError as error:
        raise UserError(
            f"logger={choice}: its package is not installed ({str(error).splitlines()[0][:LONGEST_CAUSE]}): write "
            f"pip install '.[{choice}]', or logger=jsonl"
        ) from error


def tensorboard(folder: Path, run_name: str, first_step: int = 0) -> Logger:
    """Return a logger to <folder>/tensorboard. A run that goes on adds to what is there."""
    return installed(lambda: TensorBoardLogger(str(folder), name="tensorboard", version=""), "tensorboard")


def csv(folder: Path, run_name: str, first_step: int = 0) -> Logger:
    """Return a logger to <folder>/csv/metrics.csv."""
    return CSVLogger(str(folder), name="csv", version="")


def mlflow(
    folder: Path, run_name: str, first_step: int = 0, *, experiment: str = "ral", tracking_uri: str | None = None
) -> Logger:
    """Return a logger to an MLflow server, or to <folder>/mlruns where none is named."""
    own = (folder / "mlruns").resolve()
    note = own / "run_id.txt"
    own.mkdir(parents=True, exist_ok=True)

    def make() -> Logger:
        if tracking_uri is None:
            import_module("alembic")  # of a database, which mlflow-skinny comes without
            import_module("sqlalchemy")
        return MLflow(
            note,
            experiment_name=experiment,
            run_name=run_name,
            run_id=note.read_text().strip() if first_step and note.is_file() else None,
            tracking_uri=tracking_uri or f"sqlite:///{own / 'mlflow.db'}",
            artifact_location=None if tracking_uri else str(own / "artifacts"),
        )

    return installed(make, "mlflow")


class MLflow(MLFlowLogger):
    """Logger to MLflow that goes on in the run which `note`, a file, names once the run has begun."""

    def __init__(self, note: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self.note, self.goes_on = note, settings["run_id"] is not None

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send the configuration; of a run that goes on the one it began with stays, as MLflow demands."""
        if self.goes_on:
            self.experiment.update_run(self.run_id, status="RUNNING")
            return
        super().log_hyperparams(params, *args, **kwargs)
        self.note.write_text(f"{self.run_id}\n")


class Trackio(Logger):
    """Logger to Trackio, whose functions are those of wandb: `init` at the first value, `log`, `finish`.

    Trackio knows a run that goes on by its name alone, so no two runs have the same; `note`, a file, keeps it.
    """

    def __init__(self, project: str, run_name: str, package: Any, note: Path, first_step: int = 0) -> None:
        super().__init__()
        self.goes_on = first_step > 0 and note.is_file()
        self.run_name = note.read_text().strip() if self.goes_on else f"{run_name} {uuid4().hex[:OWN]}"
        self.project, self.package, self.note = project, package, note
        self.settings: dict[str, Any] = {}
        self.begun = False

    @property
    def name(self) -> str:
        return self.project

    @property
    def version(self) -> str:
        return self.run_name

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Keep the run's configuration, which Trackio takes when it begins."""
        self.settings = dict(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the values of a step."""
        if not self.begun:
            resume = "allow" if self.goes_on else "never"
            self.package.init(project=self.project, name=self.run_name, config=self.settings, resume=resume)
            self.note.parent.mkdir(parents=True, exist_ok=True)
            self.note.write_text(f"{self.run_name}\n")
            self.begun = True
        self.package.log(dict(metrics), step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End Trackio's run, once."""
        if self.begun:
            self.package.finish()
            self.begun = False


def trackio(folder: Path, run_name: str, first_step: int = 0, *, project: str = "ral") -> Logger:
    """Return a logger to Trackio, which keeps all its runs in one place of this machine (TRACKIO_DIR)."""
    package = installed(_trackio, "trackio")
    return Trackio(project, run_name, package, folder / "trackio" / "name.txt", first_step)


def _trackio() -> Any:
    import trackio as package

    return package
