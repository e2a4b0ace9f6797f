"""An evaluation's benchmarks asked as the checkpoint was trained: wording, pixels and length limit of its run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ral.files.trained_as import TrainedAs, differences, said, trained_as

AS_ASKED = "as_asked"


def as_trained(cfg: DictConfig, typed: Collection[str]) -> tuple[DictConfig, dict[str, str]]:
    """Return the configuration with each benchmark of `as_trained: true` set as its run was, and {benchmark: a line}.

    typed: keys of the command line, which go before. A published benchmark keeps its settings; where the run's are
    others, a line has both and what to type.
    """
    trained, lines, cfg = trained_as(str(cfg.checkpoint)), dict[str, str](), cfg.copy()
    OmegaConf.set_struct(cfg, False)  # a benchmark without media settings gets those of the run
    for name, task in cfg.benchmark.tasks.items():
        if task.get("as_trained"):
            if trained is not None:
                cfg.benchmark.tasks[name] = OmegaConf.merge(task, filled(trained, str(name), typed))
            lines[name] = line_of(cfg, str(name), trained)
        elif trained is not None and (line := warned(cfg, str(name), trained)):
            lines[name] = line
    return cfg, lines


def dataset_as_trained(cfg: DictConfig, typed: Collection[str]) -> tuple[DictConfig, str]:
    """Return a configuration with `dataset` and `thinking` in which questions are asked as the checkpoint was trained.

    Wording and pixels are those of its run, but for what is typed; the line says which they are and where from.
    """
    trained, cfg = trained_as(str(cfg.checkpoint)), cfg.copy()
    if trained is not None:
        media = {k: v for k, v in trained.media.items() if f"dataset.media.{k}" not in typed}
        templates = {k: v for k, v in trained.templates.items() if f"dataset.templates.{k}" not in typed}
        cfg.dataset = OmegaConf.merge(cfg.dataset, {"media": media, "templates": templates})
        cfg.thinking = cfg.thinking if "thinking" in typed else trained.thinking
    template = cfg.dataset.templates.think if cfg.thinking else cfg.dataset.templates.zero
    return cfg, sentence(str(template), cfg.dataset.media, trained)


def asked_otherwise(cfg: DictConfig) -> str:
    """Return a line on what a run asks its model otherwise than that was trained before; "" where nothing is known."""
    known, mode = trained_as(str(cfg.model.pretrained)), "think" if cfg.algo.thinking else "zero"
    if known is None:
        return ""
    known = replace(known, template=known.templates.get(mode, known.template))
    found = differences(known, str(cfg.dataset.templates[mode]), cfg.dataset.media)
    if not found:
        return ""
    both = ", ".join(f"{key} {there} (here {here})" for key, there, here in found)
    keys = {key: f"dataset.media.{key}" for key in known.media} | {"template": f"dataset.templates.{mode}"}
    write = " ".join(f"{keys[key]}={there}" for key, there, _ in found)
    return f"model.pretrained={cfg.model.pretrained} was trained with {both}; to ask as then: {write}"


def filled(trained: TrainedAs, name: str, typed: Collection[str]) -> dict[str, Any]:
    """Return the settings of a benchmark that come from the run: those that nobody typed."""
    own = f"benchmark.tasks.{name}"
    media = {k: v for k, v in trained.media.items() if not {f"media.{k}", f"{own}.media.{k}"} & set(typed)}
    found: dict[str, Any] = {"media": media}
    for key, value in (("template", trained.template), ("max_new_tokens", trained.max_new_tokens)):
        found |= {} if {key, f"{own}.{key}"} & set(typed) else {key: value}
    return found


def asked(cfg: DictConfig, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the wording and the media settings that count for a benchmark."""
    task = cfg.benchmark.tasks[name]
    media: Any = OmegaConf.to_container(OmegaConf.merge(cfg.media, task.get("media") or {}), resolve=True)
    return str(cfg.template or task.get("template") or AS_ASKED), media


def line_of(cfg: DictConfig, name: str, trained: TrainedAs | None) -> str:
    """Return how a benchmark is asked, and where that is from."""
    return f"{name}: {sentence(*asked(cfg, name), trained)}"


def sentence(template: str, media: Any, trained: TrainedAs | None) -> str:
    """Return wording and pixels in words, with what in them is not as in training."""
    if trained is None:
        return f"asked with {said(template, media)}: nothing beside the checkpoint says how it was trained"
    others = [key for key, *_ in differences(trained, template, media)]
    less = f", but for {', '.join(others)}" if others else ""
    return f"asked with {said(template, media)}: as trained by {_near(trained.source)}{less}"


def _near(path: Path) -> Path:
    """Return the path from the working directory where it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def warned(cfg: DictConfig, name: str, trained: TrainedAs) -> str | None:
    """Return a line where a published benchmark is asked otherwise than the model was trained; else None."""
    found = differences(trained, *asked(cfg, name))
    if not found:
        return None
    both = ", ".join(f"{key} {there} (here {here})" for key, there, here in found)
    return f"warning: {name}: the model was trained with {both}; to ask as in training: {typing(cfg, name, found)}"


def typing(cfg: DictConfig, name: str, found: list[tuple[str, Any, Any]]) -> str:
    """Return what to type for the values of training; a benchmark's own media settings go before the common ones."""
    own = cfg.benchmark.tasks[name].get("media") or {}
    keys = {
        key: key if key == "template" else f"benchmark.tasks.{name}.media.{key}" if key in own else f"media.{key}"
        for key, *_ in found
    }
    return " ".join(f"{keys[key]}={there}" for key, there, _ in found)
