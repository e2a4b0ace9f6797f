"""Template, pixels and length limit of a checkpoint's training, put into the configuration of an evaluation, a knockout
or the viewer's page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ral.files.trained_as import TrainedAs, differences, said, trained_as, trained_as_first

AS_ASKED = "as_asked"


def as_trained(
    cfg: DictConfig, typed: Collection[str], paths: Mapping[str, str] | None = None
) -> tuple[DictConfig, dict[str, str]]:
    """Return a copy of the configuration with each benchmark of `as_trained: true` asked as in training, and
    {benchmark: a line for the user}.

    Such a benchmark gets the template, media settings and length limit of the checkpoint's run, and its line says so.
    Keys in `typed`, given on the command line, stay as typed. paths: {benchmark: its file}; None for no files. A file
    that is the run's own data is also read as in the run. A benchmark without `as_trained` keeps its settings; if they
    differ from the run's, its line warns and says what to type, else it has no line. Where the training is not known,
    no setting changes.
    """
    trained, lines, cfg = trained_as(str(cfg.checkpoint)), dict[str, str](), cfg.copy()
    OmegaConf.set_struct(cfg, False)  # a benchmark without media settings gets those of the run
    for name, task in cfg.benchmark.tasks.items():
        if task.get("as_trained"):
            if trained is not None:
                cfg.benchmark.tasks[name] = OmegaConf.merge(task, filled(trained, str(name), typed))
            source = f"benchmark.tasks.{name}.source"
            keys = {key: f"{source}.{key}" for key in ("media_root", "validation_size")}
            lines[name] = line_of(cfg, str(name), trained) + read_as(cfg, trained, (paths or {}).get(name), keys, typed)
        elif trained is not None and (line := warned(cfg, str(name), trained)):
            lines[name] = line
    return cfg, lines


def dataset_as_trained(cfg: DictConfig, typed: Collection[str]) -> tuple[DictConfig, str]:
    """Return a copy of the configuration with `dataset` and `thinking` as the checkpoint was trained, and a line that
    says so.

    Templates and media settings become those of the checkpoint's run, or of the run of the model `before` where the
    checkpoint's is not known. A dataset.path that is that run's own data is read as there. Keys in `typed`, given on
    the command line, stay as typed. The line names template, pixels and the file with the settings of the training.
    Where the training is not known, no setting changes.
    """
    trained, cfg = trained_as_first(str(cfg.checkpoint), cfg.get("before")), cfg.copy()
    if trained is not None:
        media = {k: v for k, v in trained.media.items() if f"dataset.media.{k}" not in typed}
        templates = {k: v for k, v in trained.templates.items() if f"dataset.templates.{k}" not in typed}
        cfg.dataset = OmegaConf.merge(cfg.dataset, {"media": media, "templates": templates})
        cfg.thinking = cfg.thinking if "thinking" in typed else trained.thinking
    template = cfg.dataset.templates.think if cfg.thinking else cfg.dataset.templates.zero
    keys = {key: f"dataset.{key}" for key in ("media_root", "validation_path")}
    keys |= {"validation_size": "dataset.source.validation_size"}
    path = OmegaConf.select(cfg, "dataset.path", throw_on_missing=False)
    return cfg, sentence(str(template), cfg.dataset.media, trained) + read_as(cfg, trained, path, keys, typed)


def read_as(
    cfg: DictConfig, trained: TrainedAs | None, path: str | None, keys: Mapping[str, str], typed: Collection[str]
) -> str:
    """Set in cfg how a checkpoint's training read the file `path`; return words on that to append to the user's line.

    Nothing is set, and "" returned, for a file that the training did not read. trained: settings of that training; None
    where unknown. path: None for no file. keys: {setting of the training's data: the same setting here}. typed: keys
    given on the command line, which stay.
    """
    found = {keys[name]: value for name, value in (trained.read_by(path) if trained else {}).items() if name in keys}
    new = {key: value for key, value in found.items() if key not in typed and _differs(cfg, key, value)}
    for key, value in new.items():
        OmegaConf.update(cfg, key, value)
    return f"; its file is read as there: {' '.join(f'{key}={value}' for key, value in new.items())}" if new else ""


def _differs(cfg: DictConfig, key: str, value: Any) -> bool:
    """Tell whether a configuration has the setting `key`, with another value than `value`."""
    node, _, last = key.rpartition(".")
    holder = OmegaConf.select(cfg, node)
    return last in holder and holder.get(last) != value


def asked_otherwise(cfg: DictConfig) -> str:
    """Return a line where an earlier training of model.pretrained had another template or other media settings.

    Returned is "" where they are the same, and where nothing is known of an earlier training.
    """
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
    """Return the keys of benchmark `name` with the values of training: template, length limit and media settings.

    typed: keys given on the command line, which are left out, for all benchmarks or for this one.
    """
    own = f"benchmark.tasks.{name}"
    media = {k: v for k, v in trained.media.items() if not {f"media.{k}", f"{own}.media.{k}"} & set(typed)}
    found: dict[str, Any] = {"media": media}
    for key, value in (("template", trained.template), ("max_new_tokens", trained.max_new_tokens)):
        found |= {} if {key, f"{own}.{key}"} & set(typed) else {key: value}
    return found


def asked(cfg: DictConfig, name: str) -> tuple[str, Mapping[str, Any]]:
    """Return the template with which benchmark `name` is asked, AS_ASKED where it has none, and its media settings."""
    task = cfg.benchmark.tasks[name]
    media: Any = OmegaConf.to_container(OmegaConf.merge(cfg.media, task.get("media") or {}), resolve=True)
    return str(cfg.template or task.get("template") or AS_ASKED), media


def line_of(cfg: DictConfig, name: str, trained: TrainedAs | None) -> str:
    """Return a line with benchmark `name`, its template and pixels, and how they compare to training (`sentence`).

    trained: settings of the checkpoint's training; None where they are not known.
    """
    return f"{name}: {sentence(*asked(cfg, name), trained)}"


def sentence(template: str, media: Any, trained: TrainedAs | None) -> str:
    """Return in words the template and pixels with which questions are asked, the file that has the settings of the
    training, and which settings differ from these.

    media: the media settings of the questions. trained: settings of the checkpoint's training; None where they are not
    known, which the words then say.
    """
    if trained is None:
        return f"asked with {said(template, media)}: nothing beside the checkpoint says how it was trained"
    others = [key for key, *_ in differences(trained, template, media)]
    less = f", but for {', '.join(others)}" if others else ""
    return f"asked with {said(template, media)}: as trained by {_near(trained.source)}{less}"


def _near(path: Path) -> Path:
    """Return a path relative to the working directory where it lies below that, else as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def warned(cfg: DictConfig, name: str, trained: TrainedAs) -> str | None:
    """Return a line where benchmark `name` is asked with other settings than those of training; None where all are the
    same.
    """
    found = differences(trained, *asked(cfg, name))
    if not found:
        return None
    both = ", ".join(f"{key} {there} (here {here})" for key, there, here in found)
    return f"warning: {name}: the model was trained with {both}; to ask as in training: {typing(cfg, name, found)}"


def typing(cfg: DictConfig, name: str, found: list[tuple[str, Any, Any]]) -> str:
    """Return the command-line settings that ask benchmark `name` with the values of training.

    found: (setting, value in training, value here). A media setting of the benchmark's own is set there, any other in
    `media`, which all benchmarks share.
    """
    own = cfg.benchmark.tasks[name].get("media") or {}
    keys = {
        key: key if key == "template" else f"benchmark.tasks.{name}.media.{key}" if key in own else f"media.{key}"
        for key, *_ in found
    }
    return " ".join(f"{keys[key]}={there}" for key, there, _ in found)
