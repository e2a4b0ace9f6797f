"""Loggers: metrics.jsonl, one object a step, and Weights & Biases, offline unless a key is configured."""

from __future__ import annotations

import json
import math
import netrc
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from ral.data.recorded import recorded
from ral.errors import UserWarned
from ral.files import jsonl
from ral.lit.artifacts import artifact, checked, keep_beside, unstage_own
from ral.report.overlay import overlay
from ral.types import Media, Pixels, UserError

ID_LENGTH = 8
"""Hexadecimal digits of a W&B run's id, as many as W&B's own have."""
LONGEST_CAUSE = 160
"""Characters of W&B's message that one line of ours quotes."""


class JsonLines(Logger):
    """Logger to <folder>/metrics.jsonl: all values of a step are one line {"step": ..., key: value, ...}.

    Every call has written its line when it returns; more values of the same step rewrite the last line. first_step:
    steps made before; above 0 a resumed run continues the file as if it had never stopped, without later lines.
    """

    def __init__(self, folder: Path, run_name: str = "", first_step: int = 0) -> None:
        super().__init__()
        self.path = folder / "metrics.jsonl"
        self.last: dict[str, Any] = {}
        self.offset, self.first_step = 0, first_step
        self.started = False

    def _start(self, first_step: int) -> None:
        """Keep the lines up to first_step, once there is something to log: a run may fail to start."""
        self.started = True
        lines = jsonl.readable(self.path) if first_step else []  # a killed run may have left half a line
        kept = [record for record in lines if record.get("step", math.inf) <= first_step]
        text = "".join(json.dumps(record) + "\n" for record in kept)
        aside = self.path.with_suffix(".partial")
        aside.write_text(text)
        aside.replace(self.path)
        self.last = kept[-1] if kept else {}
        self.offset = len(text) - (len(json.dumps(self.last)) + 1 if kept else 0)

    @property
    def name(self) -> str:
        """Return the name of this logger."""
        return "jsonl"

    @property
    def version(self) -> str:
        """Return the empty string: a folder has one file of metrics."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's config.yaml holds the configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write the values of a step, beside values of the same step that are written already."""
        if not self.started:
            self._start(self.first_step)
        same = self.last.get("step") == step
        self.last = (self.last if same else {"step": step}) | dict(metrics)
        with self.path.open("r+") as file:
            self.offset = file.seek(self.offset) if same else file.seek(0, 2)
            file.write(json.dumps(self.last) + "\n")
            file.truncate()


def has_key() -> bool:
    """Tell whether a W&B key is configured: in the environment or by `wandb login`."""
    import wandb

    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url).hostname
    try:
        return host is not None and netrc.netrc().authenticators(host) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False


ID_FILE = "id.txt"
"""File below a run's wandb/ with the id of its W&B run, so that a resumed run continues the same one."""
SWEEP = "multirun.yaml"
"""File in the folder of a sweep (ral.config.sweeps writes it); the runs below this folder are one W&B group."""
FORMER_NAMES = {"dryrun": "offline", "run": "online"}
"""{old value of WANDB_MODE, which wandb still takes: its value today}."""
UNTOLD = "the run's own files are whole; scripts/sync.py uploads what W&B has of it"
"""End of the warning when an upload to W&B fails."""
STEP_AXIS = "trainer/global_step"
"""Metric on the horizontal axis of every chart: steps of the run."""
SHOWN = 16
"""Most responses of an evaluation in the table of completions."""
SUMMARIES = {
    "eval/accuracy": "max,last",
    "eval/reward": "max,last",
    "train/reward": "mean,last",
    "train/kl": "max,last",
}
"""{metric: summaries over all steps in W&B's table of runs}; of other metrics the table shows the last value."""
COLUMNS = ("step", "uid", "question", "gold", "response", "answer", "accuracy", "reward", "grounding", "looks at")


def run_id(folder: Path, first_step: int) -> str:
    """Return the id of the folder's W&B run: the stored one for a resumed run (first_step > 0), else a new one."""
    file = folder / "wandb" / ID_FILE
    if first_step and file.is_file():
        return file.read_text().strip()
    chosen = uuid.uuid4().hex[:ID_LENGTH]
    if rank_zero_only.rank == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(chosen + "\n")
    return chosen


Read = Callable[[Media], Pixels]


class Wandb(WandbLogger):
    """Lightning's W&B logger, with a table of responses and their attention at each evaluation.

    artifacts: names of the artifacts that `send` uploads (ral.lit.artifacts.KINDS). A failure of W&B is a warning.
    """

    def __init__(self, *args: Any, artifacts: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.artifacts = tuple(artifacts)

    @rank_zero_only
    def log_records(self, records: Sequence[Mapping[str, Any]], step: int, read: Read) -> None:
        """Log the first SHOWN records of an evaluation (docs/outputs.md). read: gives a medium's pixels, for maps."""
        with told("the table of completions is left out"):
            self._log_records(records, step, read)

    def _log_records(self, records: Sequence[Mapping[str, Any]], step: int, read: Read) -> None:
        rows = [[step, *(r.get(key) for key in COLUMNS[1:-1]), looks(r, read)] for r in records[:SHOWN]]
        self.log_table("eval/completions", columns=list(COLUMNS), data=rows, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        """Send the run's configuration, by which W&B filters and groups runs; define summaries of metrics."""
        with told("config.yaml has the configuration"):
            super().log_hyperparams(dict(params))
            for name, summary in SUMMARIES.items():
                self.experiment.define_metric(name, step_metric=STEP_AXIS, summary=summary)

    @rank_zero_only
    def alert(self, title: str, text: str) -> None:
        """Send a warning as a W&B alert, to users who have subscribed to alerts."""
        with told("the warning was printed"):
            self.experiment.alert(title=title, text=text)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the W&B run, so that a sweep's next run gets its own; `send` ends a successful run with artifacts."""
        with told(UNTOLD):
            super().finalize(status)
        if status != "success" or not self.artifacts:
            self._end(status)

    @rank_zero_only
    def send(self, folder: Path) -> None:
        """Send the artifacts from the run's folder and end the W&B run; without artifacts, do nothing."""
        if self.artifacts and self._experiment is not None:
            for name in self.artifacts:
                with told(f"the artifact {name} is left out"):
                    self.experiment.log_artifact(artifact(name, self.experiment.id, folder))
            self._end("success")

    def _end(self, status: str) -> None:
        with told(UNTOLD):
            if self._experiment is not None:
                self._experiment.finish(exit_code=int(status != "success"))
                unstage_own()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics as Lightning does; a failure of W&B is a warning, and metrics.jsonl has the values."""
        with told("metrics.jsonl has what W&B lacks"):
            super().log_metrics(metrics, step)


@contextmanager
def told(consequence: str) -> Iterator[None]:
    """Turn any Exception within the block into a warning that ends with `consequence`; training continues."""
    try:
        yield
    except Exception as error:
        warnings.warn(
            f"W&B failed ({type(error).__name__}: {str(error)[:LONGEST_CAUSE]}): {consequence}",
            UserWarned,
            stacklevel=3,
        )


def looks(record: Mapping[str, Any], read: Read) -> Any:
    """Return a W&B image of a record's first medium, or a video's most attended frame, under the response's attention.

    read: gives a medium's pixels. None where the record has no attention, and where the file can no longer be read.
    """
    import wandb

    look = record.get("attention")
    if look is None:
        return None
    try:
        said = (record.get("reading") or [{}])[0]
        pixels = read(recorded(record["data_type"], Path(record["media"][0]), said))
    except (UserError, OSError):
        return None
    maps = np.reshape(look["weights"], look["grid"])
    slot = int(maps.sum((1, 2)).argmax())
    frame = min(int((slot + 0.5) * len(pixels.frames) / len(maps)), len(pixels.frames) - 1)
    boxes = [tuple(evidence["box"]) for evidence in record["evidence"]]
    return wandb.Image(overlay(np.asarray(pixels.frames[frame]), maps[slot], boxes[0] if boxes else None))


def wandb_logger(
    folder: Path,
    run_name: str,
    first_step: int = 0,
    *,
    project: str = "ral",
    mode: str = "auto",
    artifacts: Sequence[str] = (),
    **facts: Any,
) -> Wandb:
    """Return a W&B logger below the run's `folder`. first_step: steps made before, above 0 for a resumed run.

    mode: auto, online or offline; auto is online with a key, else offline; the variable WANDB_MODE takes precedence.
    artifacts: names of those to upload at the end: report, hf, best. facts: entity, tags, job_type and notes, as
    `wandb.init` takes them. ValueError for another mode, UserError for another artifact. The runs of a sweep are a
    group named after its folder; a resumed run continues its W&B run. Where the server cannot be reached the run is
    kept offline, with a warning.
    """
    import wandb

    if mode not in ("auto", "online", "offline"):
        raise ValueError(f"logger.wandb.mode is {mode!r}: write auto, online or offline")
    asked = checked(artifacts)
    chosen = os.environ.get("WANDB_MODE") or (mode if mode != "auto" else "online" if has_key() else "offline")
    chosen = FORMER_NAMES.get(chosen, chosen)
    os.environ.setdefault("WANDB_SILENT", "true")
    keep_beside(folder)
    wandb.finish()  # one that an error left open, before Lightning took care of it
    group = folder.parent.name if (folder.parent / SWEEP).is_file() else None
    make = partial(
        Wandb,
        name=run_name,
        project=project,
        save_dir=str(folder),
        id=run_id(folder, first_step),
        group=group,
        artifacts=asked,
        **{key: list(value) if key == "tags" else value for key, value in facts.items() if value},
        resume="allow",
    )
    online = connected(quiet(make(mode="online"))) if chosen == "online" else None
    rest = "offline" if chosen == "online" else chosen
    return online or quiet(make(mode=rest))


def quiet(logger: Wandb) -> Wandb:
    """Return the logger without the argument `anonymous` of Lightning, about which wandb warns."""
    logger._wandb_init.pop("anonymous", None)
    return logger


def connected(logger: Wandb) -> Wandb | None:
    """Return the logger with its run begun on the server; None, with a warning, where the server is unreachable."""
    import wandb

    try:
        logger.experiment  # noqa: B018  # begins the run
    except wandb.errors.CommError as error:
        wandb.teardown()  # else the id counts as taken
        reason = str(error).splitlines()[0][:LONGEST_CAUSE]
        message = f"W&B cannot be reached ({reason}): the run stays offline; scripts/sync.py uploads it"
        warnings.warn(message, UserWarned, stacklevel=2)
        return None
    return logger
