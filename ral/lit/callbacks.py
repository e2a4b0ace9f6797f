"""Callbacks: the progress bar, the evaluation's files, and a gentle stop."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ral.lit.data import Abandoned, gather
from ral.lit.handover import end_workers


class Begin(L.Callback):
    """Marks where a run begins: `write` is called before its first evaluation, `begun` before its first step.

    Both are called on rank 0, `begun` once; a run with no step left to make begins at its end.
    """

    def __init__(self, write: Callable[[], None], begun: Callable[[], None]) -> None:
        self.write, self.begun = write, begun

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The checkpoint is restored by now, so what is written is of a run that can go on."""
        if trainer.is_global_zero:
            self.write()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """The first step has its data."""
        if trainer.is_global_zero:
            self.begun()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """There was no step to make."""
        if trainer.is_global_zero:
            self.begun()


class ProgressBar(L.Callback):
    """One bar with reward, accuracy, seconds a step and time left; plain lines where the output is no terminal."""

    def __init__(self, total: int, console: Console | None = None, lines: int = 20) -> None:
        self.total, self.console = total, console or Console(stderr=True)
        self.every = max(total // lines, 1)
        self.bar: Progress | None = None
        self.first = 0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start where the run starts (a resumed one is part done)."""
        self.started, self.first = time.perf_counter(), int(module.rollout_step)
        if trainer.is_global_zero and self.console.is_terminal:
            text = TextColumn("{task.description}")
            self.bar = Progress(
                text,
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self.bar.start()
            self.task = self.bar.add_task("training", total=self.total, completed=self.first)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Show the step's figures."""
        if not trainer.is_global_zero:
            return
        step, text = int(module.rollout_step), describe(module.latest)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, description=text)
        elif step % self.every == 0 or step == self.total:
            left = (time.perf_counter() - self.started) / (step - self.first) * (self.total - step)
            self.console.print(f"step {step}/{self.total}  {text}  {left:.0f}s left", highlight=False)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.stop()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        """Give the terminal back."""
        if self.bar is not None:
            self.bar.stop()


def describe(values: Mapping[str, float]) -> str:
    """The figures that a bar shows, those that the run has."""
    shown = {"train/reward": "reward", "train/accuracy": "accuracy", "train/nll": "nll"}
    shown |= {"train/pair_accuracy": "pairs right", "time/step_s": "s/step"}
    return "  ".join(f"{label} {values[key]:.3f}" for key, label in shown.items() if key in values)


class Evaluations(L.Callback):
    """Evaluates before training (step 0), every `every` steps and at the end, whatever step a run resumed from.

    Means go to the loggers; the records of the first and the last evaluation to <folder>/before.jsonl and after.jsonl.
    """

    def __init__(self, folder: Path, stop: GentleStop, *, every: int, before: bool) -> None:
        self.folder, self.stop, self.every, self.before = folder, stop, every, before
        self.latest: tuple[int, dict[str, float]] = (-1, {})  # step and means of the last evaluation, on every rank

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The untrained policy, or what the run that is resumed had no time for."""
        step = module.rollout_step
        if self.latest[0] == step:
            return
        if step == 0 and self.before:
            self.evaluate(trainer, module, "before")
        elif step and self.due(trainer, step):
            self.evaluate(trainer, module, None)

    def due(self, trainer: L.Trainer, step: int) -> bool:
        """Whether a step has an evaluation; the end has its own."""
        return bool(self.every) and step % self.every == 0 and step < trainer.datamodule.max_steps

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Evaluate when due; a scheduler's signal leaves no time, and the resumed run makes up for it."""
        if self.due(trainer, module.rollout_step) and not self.stop.hurried:
            self.evaluate(trainer, module, None)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The trained policy. After an interruption the means are not logged: the resumed run would not have them."""
        if not self.stop.hurried:
            self.evaluate(trainer, module, "after", log=not trainer.should_stop)

    def evaluate(self, trainer: L.Trainer, module: Any, label: str | None, log: bool = True) -> None:
        """Records of this rank's held-out prompts, gathered in the order of the dataset."""
        mine: list[dict[str, Any]] = []
        try:
            with trainer.precision_plugin.val_step_context():  # the arithmetic of the training steps
                for prompts, own in trainer.datamodule.held_out(self.stop.hurrying if label != "before" else never):
                    found = module.evaluate(prompts)
                    mine += found if own else []
        except Abandoned as given_up:
            self.stop.agreed, trainer.should_stop = given_up.args[0], True
            return
        records = gather_records(mine)
        if log:
            self.latest = module.rollout_step, evaluation_means(records)
        if not trainer.is_global_zero:
            return
        if log:
            module.write(self.latest[1])
            for logger in trainer.loggers:
                if hasattr(logger, "log_records"):
                    logger.log_records(records, module.rollout_step, trainer.datamodule.reader.read)
        if label:
            write_records(self.folder / f"{label}.jsonl", records)


def never() -> None:
    """No signal: before the first step there is nothing to save."""


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """JSON lines, under their name once they are whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))
    aside.replace(path)


def gather_records(mine: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records of all ranks, interleaved as they were dealt out."""
    everyone = gather(mine)
    longest = max(len(records) for records in everyone)
    return [records[i] for i in range(longest) for records in everyone if i < len(records)]


def evaluation_means(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """eval/* values: means over records, of accuracy also by problem type and by medium."""

    def mean(key: str, chosen: Sequence[Mapping[str, Any]]) -> float | None:
        values = [float(r[key]) for r in chosen if r.get(key) is not None]
        return sum(values) / len(values) if values else None

    means = {f"eval/{k}": mean(k, records) for k in ("reward", "accuracy", "format", "grounding", "tokens", "finished")}
    for field in ("problem_type", "data_type"):
        for value in sorted({r[field] for r in records}):
            chosen = [r for r in records if r[field] == value]
            means[f"eval/accuracy_{value.replace(' ', '_').replace('-', '_').lower()}"] = mean("accuracy", chosen)
    return {k: v for k, v in means.items() if v is not None} | layer_means(records)


def layer_means(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """eval/grounding_layer_<k> of records that hold `grounding_by_layer` (eval.layers=all), k from 0."""
    columns = zip(*(found for r in records if (found := r.get("grounding_by_layer"))), strict=True)
    return {f"eval/grounding_layer_{k}": sum(values) / len(values) for k, values in enumerate(columns)}


EXIT = 128
"""Exit code of a process that a signal ended, less the signal's number."""


class GentleStop(L.Callback):
    """Ctrl-C, SIGTERM or SIGUSR1: finish the step, save and leave. A second Ctrl-C stops at once.

    Before the first step there is nothing to finish: SystemExit at once. left: the signal of such an end.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, console: Console | None = None) -> None:
        self.requested: int | None = None  # of this process
        self.agreed: int | None = None  # of all ranks
        self.console = console or Console(stderr=True)
        self.previous: dict[int, Any] = {}
        self.stepped, self.left = False, 0

    def install(self) -> None:
        """Catch the signals (main thread only)."""
        for number in self.SIGNALS:
            self.previous[number] = signal.signal(number, self._receive)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Take SIGTERM back from Lightning, which would end the run within the step."""
        for number in self.previous:
            signal.signal(number, self._receive)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self.previous.items():
            signal.signal(number, handler)
        self.previous = {}

    @property
    def hurried(self) -> bool:
        """Whether a scheduler asked, which gives little time: nothing but the checkpoint is written."""
        return self.agreed is not None and self.agreed != signal.SIGINT

    def hurrying(self) -> int | None:
        """The scheduler's signal to this process, if there was one."""
        return None if self.requested == signal.SIGINT else self.requested

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return  # schedulers may ask more than once
        self.requested = number
        if not self.stepped:
            self.left = number
            self.console.print("stopped before the first step: nothing is left to save", highlight=False)
            end_workers()
            raise SystemExit(EXIT + number)
        again = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
        self.console.print(f"stopping after this step{again}", highlight=False)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """From here on there is a step to finish."""
        self.stepped = True

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Stop here if any rank was asked to; all agree on the signal, since one that is alone would hang."""
        mine = torch.tensor([float(number == self.requested) for number in self.SIGNALS])
        asked = [n for n, ranks in zip(self.SIGNALS, module.sum_over_ranks(mine).tolist(), strict=True) if ranks > 0]
        if asked:
            self.agreed = asked[-1]
            trainer.should_stop = True


class Profile(L.Callback):
    """Writes <folder>/trace.json (Chrome's and Perfetto's format) and top_costs.txt of two steps, after one to warm up.

    Rank 0 alone. The profiled steps are slower than others.
    """

    WAIT, WARM_UP, STEPS = 1, 1, 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.profiler: Any = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start; nothing is recorded before the warm-up is over."""
        if not trainer.is_global_zero:
            return
        from torch.profiler import profile, schedule

        self.profiler = profile(
            schedule=schedule(wait=self.WAIT, warmup=self.WARM_UP, active=self.STEPS, repeat=1),
            on_trace_ready=self.write,
            profile_memory=True,
        )
        self.profiler.start()

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        """Count a step."""
        if self.profiler is not None:
            self.profiler.step()

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Stop; a run too short for the schedule leaves what was recorded."""
        if self.profiler is not None:
            self.profiler.stop()

    def write(self, profiler: Any) -> None:
        """The two files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        profiler.export_chrome_trace(str(self.folder / "trace.json"))
        column = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        (self.folder / "top_costs.txt").write_text(profiler.key_averages().table(sort_by=column, row_limit=30) + "\n")
