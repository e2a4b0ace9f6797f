"""Loggers to TensorBoard, CSV, MLflow and Trackio, each chosen by a yaml of conf/logger.

Arguments of each: folder and run_name: those of the run; first_step: steps made before, above 0 for a resumed run.
"""

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
"""Number of random characters at the end of a run's name in Trackio, which make the name unique."""
LONGEST_CAUSE = 80
"""Characters of a cause that a message shows."""


def installed(make: Callable[[], Any], choice: str) -> Any:
    """Return the result of make(). UserError where its import fails: the package of logger=`choice` is missing."""
    try:
        return make()
    except ImportError as error:
        raise UserError(
            f"logger={choice}: its package is not installed ({str(error).splitlines()[0][:LONGEST_CAUSE]}): write "
            f"pip install '.[{choice}]', or logger=jsonl"
        ) from error


def tensorboard(folder: Path, run_name: str, first_step: int = 0) -> Logger:
    """Return a logger to <folder>/tensorboard, to which a resumed run adds. UserError where TensorBoard is missing."""
    return installed(lambda: TensorBoardLogger(str(folder), name="tensorboard", version=""), "tensorboard")


def csv(folder: Path, run_name: str, first_step: int = 0) -> Logger:
    """Return a logger to <folder>/csv/metrics.csv."""
    return CSVLogger(str(folder), name="csv", version="")


def mlflow(
    folder: Path, run_name: str, first_step: int = 0, *, experiment: str = "ral", tracking_uri: str | None = None
) -> Logger:
    """Return a logger to the MLflow server at `tracking_uri`; None for a database in <folder>/mlruns.

    experiment: name of the MLflow experiment. A resumed run continues its MLflow run. UserError where mlflow, or a
    package that a database needs, is missing.
    """
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
    """Logger to MLflow that writes the id of its run to the file `note`.

    settings: keywords of MLFlowLogger; run_id is the id of the run that is resumed, None for a new run.
    """

    def __init__(self, note: Path, **settings: Any) -> None:
        super().__init__(**settings)
        self.note, self.goes_on = note, settings["run_id"] is not None

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Send the configuration; a resumed run keeps its first configuration, as MLflow demands."""
        if self.goes_on:
            self.experiment.update_run(self.run_id, status="RUNNING")
            return
        super().log_hyperparams(params, *args, **kwargs)
        self.note.write_text(f"{self.run_id}\n")


class Trackio(Logger):
    """Logger to Trackio, which has the functions of wandb: `init`, called at the first value, `log` and `finish`.

    Trackio finds a resumed run by its name alone. So each name is unique, and the file `note` keeps it. package: the
    module trackio. first_step: steps made before, above 0 for a resumed run.
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
        """Return the project in Trackio."""
        return self.project

    @property
    def version(self) -> str:
        """Return the name of the run in Trackio."""
        return self.run_name

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Keep the run's configuration, which `init` sends to Trackio."""
        self.settings = dict(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the values of a step; the first call begins the run in Trackio."""
        if not self.begun:
            resume = "allow" if self.goes_on else "never"
            self.package.init(project=self.project, name=self.run_name, config=self.settings, resume=resume)
            self.note.parent.mkdir(parents=True, exist_ok=True)
            self.note.write_text(f"{self.run_name}\n")
            self.begun = True
        self.package.log(dict(metrics), step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End Trackio's run, if it has begun."""
        if self.begun:
            self.package.finish()
            self.begun = False


def trackio(folder: Path, run_name: str, first_step: int = 0, *, project: str = "ral") -> Logger:
    """Return a logger to Trackio, which keeps all runs of this machine in one folder (TRACKIO_DIR).

    project: name of the project in Trackio. UserError where trackio is missing.
    """
    package = installed(_trackio, "trackio")
    return Trackio(project, run_name, package, folder / "trackio" / "name.txt", first_step)


def _trackio() -> Any:
    import trackio as package

    return package
