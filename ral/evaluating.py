"""Evaluations from a checked configuration: load the model, answer and score each benchmark, write the results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers.utils.logging import disable_progress_bar

from ral.config.as_trained import AS_ASKED, as_trained
from ral.config.build import instantiate
from ral.config.check import overridden
from ral.config.evaluation import renamed
from ral.data.media import MediaSettings, media_reader
from ral.data.prompts import load_template, render
from ral.evaluation.answering import Answering, Asking
from ral.evaluation.benchmarks import items_file
from ral.evaluation.benchmarks.changed import data_hash, drop_changed, tell_changed
from ral.evaluation.benchmarks.items import Item
from ral.evaluation.benchmarks.own import bare_words
from ral.evaluation.benchmarks.table import Result, measured, reported, table
from ral.evaluation.token_rows import checked_layer
from ral.files.first_answer import SETTINGS, occupied_once_answered
from ral.files.hashed import fingerprint
from ral.files.repository import find
from ral.files.trained_as import trained_as
from ral.models.loading import named
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.models.registry import register_named
from ral.report.environment import PACKAGES, git_commit
from ral.report.summary import bootstrap
from ral.rollout.engine import Engine, Sampling, open_engine
from ral.types import Example, UserError

RESAMPLES = 10_000  # of the bootstrap
ITEMS = "items.jsonl"


def evaluate(cfg: DictConfig) -> None:
    """Score every benchmark of a checked configuration; write and print the results. UserError for bad input."""
    disable_progress_bar()  # of loading weights
    cfg, lines = as_trained(cfg, overridden(), {str(name): path_of(cfg, name) for name in cfg.benchmark.tasks})
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    tasks = cfg.benchmark.tasks
    sources = {name: open_source(cfg, name) for name in tasks}  # their errors come before weights are read
    for template in {template_of(cfg, task) for task in tasks.values()} - {AS_ASKED}:
        load_template(template)
    policy, folder = load_policy(cfg), Path(cfg.output)
    results = []
    with closing(make_engine(cfg, policy)) as engine:
        for name, items in sources.items():
            where = folder / name if len(tasks) > 1 else folder
            with occupied_once_answered(where, ITEMS, folder):
                results.append(run(cfg, policy, engine, name, items, where, lines.get(name)))
    (folder / "results.md").write_text(table(results, str(cfg.checkpoint)), encoding="utf-8")
    print(f"results: {folder / 'results.md'}")
    for result in results:
        if len(results) > 1:
            print(f"benchmark: {result.name} reported: {result.reported:.1f}")
        for look, found in result.looks.items():
            print(f"{look}: {measured(found)} n: {found['n']:.0f}")
        print(f"accuracy: {100 * result.accuracy:.1f} n: {result.n}", flush=True)


def make_engine(cfg: DictConfig, policy: MLLM) -> Engine:
    """Return the rollout engine that cfg.rollout names, with the policy's weights. UserError where it is unusable."""
    engine = open_engine(instantiate(cfg.rollout.engine), policy)
    engine.update_weights(policy, version=0)
    return engine


def run(
    cfg: DictConfig, policy: MLLM, engine: Engine, name: str, items: Sequence[Item], folder: Path, line: str | None
) -> Result:
    """Evaluate the benchmark `name` and write its files to `folder`; answers already there are kept.

    items: the questions of the benchmark. line: printed first; None for no line. UserError where the folder holds other
    settings or no evaluation, the benchmark is empty, the layer of `looks` has no attention rows, GPU memory is too
    small, or no item could be asked.
    """
    task, trained = cfg.benchmark.tasks[name], trained_as(str(cfg.checkpoint))
    root = None if trained is None else trained.data.get("media_root")
    settings = settings_of(cfg, name)
    items_file.check_settings(folder / SETTINGS, settings)
    count = min(len(items), cfg.limit or len(items))
    if not count:
        raise UserError(f"benchmark {name}: no items below {path_of(cfg, name)}")
    if line:
        print(line, file=sys.stderr, flush=True)
    tell_changed(settings, partial(drop_changed, items, count, folder / ITEMS, not cfg.greedy), folder)
    media = MediaSettings(**settings["media"], factor=policy.processor.patches.factor)
    answering = Answering(
        items=items,
        name=name,
        asking=Asking(policy, engine, Sampling(cfg.temperature, settings["max_new_tokens"], cfg.greedy), cfg.seed),
        reader=media_reader(media, cache_gb=cfg.cache_gb, disk_cache=cfg.disk_cache, disk_cache_gb=cfg.disk_cache_gb),
        word=wording(settings["template"], bool(task.get("bare", False))),
        judge=instantiate(task.judge),
        looks=layer_of(policy, name, task),
        in_words=partial(renamed, name=name, source=task.source, root=root),
    )
    answered = answer_all(answering, count, cfg.batch, folder / ITEMS)
    result, summary = summarise(answered, name, instantiate(task.summary), settings, len(items), dict(task.paper))
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(table([result], str(cfg.checkpoint)), encoding="utf-8")
    return result


def answer_all(answering: Answering, count: int, batch: int, path: Path) -> list[items_file.Answered]:
    """Return the answers to the first `count` items, asked `batch` at a time: those in the file `path`, and new ones.

    An interrupted batch is asked again, with the same responses as without the interruption. Raises as `run` does.
    """
    done = {item.index: item for item in items_file.read(path)}
    items_file.rewrite(path, done.values())
    batches = [range(start, min(start + batch, count)) for start in range(0, count, batch)]
    left = [b for b in batches if not done.keys() >= set(b)]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(answering.name, total=count, completed=count - sum(map(len, left)))
        for answers in answering(left):
            new = [item for item in answers if item.index not in done]
            items_file.append(path, new)
            done |= {item.index: item for item in new}
            bar.advance(task, len(answers))
    answered = [done[index] for index in range(count)]
    told(answering.name, [item for item in answered if item.error], count, path)
    return answered


def told(name: str, failed: Sequence[items_file.Answered], count: int, path: Path) -> None:
    """Print how many of `count` items could not be asked (`failed`, listed in `path`); UserError where none could."""
    if not failed:
        return
    if len(failed) == count:
        raise UserError(f"benchmark {name}: none of {count} items could be asked; the first: {failed[0].error}")
    print(f"{name}: {len(failed)} of {count} items could not be asked and score 0 ({path} says why): {failed[0].error}")


def summarise(
    answered: Sequence[items_file.Answered],
    name: str,
    summary: Callable[..., dict[str, float]],
    settings: Mapping[str, Any],
    whole: int,
    paper: Mapping[str, float],
) -> tuple[Result, dict[str, Any]]:
    """Return a benchmark's result for the table, and the content of summary.json (docs/outputs.md).

    summary: records of answers -> metrics; whole: items of the whole benchmark; paper: {model: published figure}.
    """
    (estimate,) = bootstrap(np.array([[item.score] for item in answered]), RESAMPLES)
    metrics = summary([item.record() for item in answered])
    figure = reported(metrics)
    content = {
        "benchmark": name,
        "accuracy": estimate.mean,
        "n": len(answered),
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "errors": sum(item.error is not None for item in answered),
        "unfinished": sum(item.error is None and not item.finished for item in answered),
        "reported": figure,
        "by_type": items_file.by_group(answered),
        "metrics": metrics,
        "paper": dict(paper),
        "settings": dict(settings),
    }
    looks = looks_of([item.looks for item in answered if item.looks])
    content |= {"looks": looks} if looks else {}
    n, ends = len(answered), (estimate.mean, estimate.low, estimate.high)
    return Result(name, figure, *ends, n=n, whole=whole, paper=paper, looks=looks), content


def looks_of(measures: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return {measure: {mean, ci_low, ci_high, n}} with 95% intervals, of n items' {measure: value}; {} if n = 0."""
    if not measures:
        return {}
    names = list(measures[0])
    estimates = bootstrap(np.array([[one[name] for name in names] for one in measures]), RESAMPLES)
    return {
        name: {"mean": found.mean, "ci_low": found.low, "ci_high": found.high, "n": float(len(measures))}
        for name, found in zip(names, estimates, strict=True)
    }


def path_of(cfg: DictConfig, name: str) -> str:
    """Return the path of a benchmark: its own, its folder below benchmark.path, or its default. UserError for none."""
    task = cfg.benchmark.tasks[name]
    inherited = OmegaConf.is_interpolation(task, "path")
    if task.path is None:
        if task.get("default_path") is None:
            raise UserError(f"benchmark.path is not set: write benchmark.path=<its folder or file> for {name}")
        return str(task.default_path)
    several = inherited and len(cfg.benchmark.tasks) > 1
    return str(Path(task.path) / name if several else task.path)


def open_source(cfg: DictConfig, name: str) -> Sequence[Item]:
    """Return a benchmark's items. UserError where it has no path, or its path does not hold the published layout."""
    source = cfg.benchmark.tasks[name].source
    try:
        items: Sequence[Item] = instantiate(source)(path_of(cfg, name))
    except UserError as error:
        raise UserError(renamed(str(error), name, source)) from error
    return items


def layer_of(policy: MLLM, name: str, task: DictConfig) -> int | None:
    """Return the decoder layer in the benchmark's `looks`, None if unset. UserError where it has no attention rows."""
    layer = task.get("looks")
    return None if layer is None else checked_layer(policy, layer, f"benchmark.tasks.{name}.looks")


def template_of(cfg: DictConfig, task: DictConfig) -> str:
    """Return the name of a benchmark's prompt template: `cfg.template`, else the task's own, else AS_ASKED."""
    return str(cfg.template or task.get("template") or AS_ASKED)


def wording(template: str, bare: bool) -> Callable[[Example], str]:
    """Return a function, example -> text of the user's turn.

    template: name of the prompt template. bare: True where questions do not hold their options, which are then added.
    """
    if template == AS_ASKED:
        return lambda example: (bare_words(example) if bare else example).question
    return lambda example: render(example if bare else replace(example, options=()), template)


def load_policy(cfg: DictConfig) -> MLLM:
    """Return the frozen model to evaluate, on its device. UserError where checkpoint, family or device do not fit."""
    name, device = find(cfg.checkpoint), device_of(cfg)
    register_named(cfg.family, "family")
    with named("checkpoint"):
        return load(name, share_prompt=cfg.share_prompt, dtype=dtype_of(cfg), trained=False).to(device)


def device_of(cfg: DictConfig) -> torch.device:
    """Return the device of cfg.device; auto: a GPU if there is one. UserError if it is no device or is not there."""
    there = torch.cuda.device_count()
    try:
        device = torch.device(cfg.device if cfg.device != "auto" else "cuda" if there else "cpu")
    except RuntimeError as error:
        raise UserError(f"device={cfg.device} is no device: write cpu, cuda, cuda:1 or auto") from error
    if device.type == "cuda" and (device.index or 0) >= there:
        raise UserError(f"device={cfg.device} is not there: PyTorch sees {there} GPUs; write device=cpu or auto")
    return device


def dtype_of(cfg: DictConfig) -> str:
    """Return the dtype of the weights that cfg.dtype names; auto is bfloat16 on a GPU, else float32."""
    return str(cfg.dtype) if cfg.dtype != "auto" else "bfloat16" if device_of(cfg).type == "cuda" else "float32"


def settings_of(cfg: DictConfig, name: str) -> dict[str, Any]:
    """Return all settings that a benchmark's scores depend on, as plain values."""
    task: Any = OmegaConf.to_container(cfg.benchmark.tasks[name], resolve=True)
    media: Any = OmegaConf.to_container(cfg.media, resolve=True)
    own = {key: value for key, value in task["source"].items() if not key.startswith("_")}
    return {
        "benchmark": name,
        "path": str(Path(path_of(cfg, name)).expanduser().absolute()),
        "source": own,
        "data": data_hash(path_of(cfg, name)),
        "checkpoint": str(cfg.checkpoint),
        "weights": fingerprint(find(cfg.checkpoint)),
        "template": template_of(cfg, cfg.benchmark.tasks[name]),
        "scorer": f"{task['judge']['_target_']} version {items_file.SCORER_VERSION}",
        "rollout": OmegaConf.to_container(cfg.rollout.engine, resolve=True),
        "media": media | task.get("media", {}),
        "max_new_tokens": cfg.max_new_tokens or task["max_new_tokens"],
        "greedy": cfg.greedy,
        "temperature": None if cfg.greedy else cfg.temperature,
        "seed": None if cfg.greedy else cfg.seed,
        "limit": cfg.limit,
        "batch": cfg.batch,
        **({} if task.get("looks") is None else {"looks": task["looks"]}),
        "dtype": dtype_of(cfg),
        "versions": {"commit": git_commit(), **{p: version(p) for p in PACKAGES}},
    }
