"""Other trackers of metrics, by Lightning: TensorBoard, CSV, MLflow, Trackio. A yaml of conf/logger chooses one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ral.types import UserError

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
    where = tracking_uri or f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"
    if tracking_uri is None:
        (folder / "mlruns").mkdir(parents=True, exist_ok=True)
    make = lambda: MLFlowLogger(experiment_name=experiment, run_name=run_name, tracking_uri=where)  # noqa: E731
    return installed(make, "mlflow")


class Trackio(Logger):
    """Logger to Trackio, whose functions are those of wandb: `init` at the first value, `log`, `finish`."""

    def __init__(self, project: str, run_name: str, package: Any) -> None:
        super().__init__()
        self.project, self.run_name, self.package = project, run_name, package
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
            self.package.init(project=self.project, name=self.run_name, config=self.settings, resume="allow")
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
    return Trackio(project, run_name, installed(_trackio, "trackio"))


def _trackio() -> Any:
    import trackio as package

    return package
