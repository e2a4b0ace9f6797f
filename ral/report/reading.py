"""The files of a run folder, read into records (ral.report.records). Nothing here draws or writes.

Required is `config.yaml`; optional are `metrics.jsonl`, `environment.json`, `eval/before.jsonl`, `eval/after.jsonl`. A
part of a file that is missing, cut off (an interrupted run) or damaged never stops the page: it is left out, with a
note that names file, line and field.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ral.files import jsonl
from ral.report.records import Asked, Attention, Item, RunFiles, Scores, Setup, is_number
from ral.types import Evidence, UserError

T = TypeVar("T")
KINDS = ("image", "video", "text")


def read_run(folder: Path) -> RunFiles:
    """Return the content of a run's folder. UserError where it has no config.yaml, and so is no run's folder."""
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: no config.yaml in it; give the folder that a run printed last")
    notes, faults = list[str](), list[str]()
    text = _or("", faults, lambda: _read_text(folder / "config.yaml"))
    metrics = _read_metrics(folder / "metrics.jsonl", notes, faults)
    setup = Setup(
        text=text,
        config=_or({}, faults, lambda: _parse_config(folder / "config.yaml", text)),
        choices=_or({}, faults, lambda: _read_choices(folder / ".hydra" / "hydra.yaml")),
        environment=_or({}, faults, lambda: _read_environment(folder / "environment.json", notes)),
        changed=_or((), faults, lambda: _read_changed(folder / ".hydra" / "overrides.yaml")),
    )
    return RunFiles(
        folder=folder,
        setup=setup,
        metrics=tuple(row for _, row in metrics),
        before=_read_items(folder / "eval" / "before.jsonl", notes, faults),
        after=_read_items(folder / "eval" / "after.jsonl", notes, faults),
        notes=tuple(notes),
        faults=tuple(faults),
    )


def _or(default: T, faults: list[str], read: Callable[[], T]) -> T:
    """Return the result of `read`; where it raises, return `default` and add the reason to `faults`."""
    try:
        return read()
    except UserError as error:
        faults.append(str(error))
    except Exception as error:  # content that nobody foresaw
        faults.append(f"a file of the run has an unknown shape ({type(error).__name__}: {error})")
    return default


def _read_metrics(path: Path, notes: list[str], faults: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return the lines of metrics.jsonl."""
    if not path.is_file():
        notes.append("metrics.jsonl is missing, so there are no curves.")
        return []
    metrics = _read_lines(path, notes, faults)
    if not metrics:
        notes.append("metrics.jsonl is empty: no step was logged, so there are no curves.")
    return metrics


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _parse_config(path: Path, text: str) -> Mapping[str, Any]:
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid yaml ({' '.join(str(error).split())})") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: must be a mapping of config keys, is {type(config).__name__}")
    return config


def _read_choices(path: Path) -> Mapping[str, str]:
    """Return the choice of each config group that Hydra recorded beside the run; {} without such a record."""
    if not path.is_file():
        return {}
    found = _parse_config(path, _read_text(path)).get("hydra") or {}
    choices = (found.get("runtime") or {}).get("choices") or {}
    return {str(group): str(choice) for group, choice in choices.items()}


def _read_changed(path: Path) -> tuple[str, ...]:
    """Return the overrides of the command line that Hydra recorded beside the run; () without such a record."""
    found = yaml.safe_load(_read_text(path)) if path.is_file() else None
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _read_environment(path: Path, notes: list[str]) -> Mapping[str, str]:
    if not path.is_file():
        notes.append("environment.json is missing: versions and machine are unknown.")
        return {}
    try:
        environment = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(environment, dict):
        raise UserError(f"{path}: must be one object of strings, is {type(environment).__name__}")
    return {str(key): str(value) for key, value in environment.items()}


def _read_lines(path: Path, notes: list[str], faults: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return (line number, object) of a JSON-lines file.

    A last line that was cut off is noted; other bad lines are faults.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    for line in jsonl.parse(_or(b"", faults, lambda: _read_bytes(path))):
        if line.value is not None:
            rows.append((line.number, line.value))
        elif not line.ended:  # the writer was stopped in the middle of it
            notes.append(f"The last line of {path.name} was cut off and is left out.")
        else:
            faults.append(f"{path} line {line.number}: {line.problem}")
    return rows


def _read_items(path: Path, notes: list[str], faults: list[str]) -> tuple[Item, ...] | None:
    """Return the records of an evaluation; those that share a uid are told apart by their order."""
    if not path.is_file():
        notes.append(f"eval/{path.name} is missing: the model was not evaluated {path.stem} training.")
        return None
    items: list[Item] = []
    times: Counter[str] = Counter()
    for number, row in _read_lines(path, notes, faults):
        item = _or(None, faults, lambda: _item(row, f"{path} line {number}", faults))  # noqa: B023
        if item is None:
            continue
        times[item.uid] += 1
        items.append(item if times[item.uid] == 1 else replace(item, uid=f"{item.uid} ({times[item.uid]})"))
    if shared := [uid for uid, count in times.items() if count > 1]:
        notes.append(
            f"In eval/{path.name} {len(shared)} uids occur more than once, such as {shared[0]}: told apart by order."
        )
    if not items:
        notes.append(f"eval/{path.name} is empty: no item was evaluated {path.stem} training.")
        return None
    return tuple(items)


def _item(row: Mapping[str, Any], where: str, faults: list[str]) -> Item:
    """Return one line of an evaluation file.

    UserError without uid or accuracy; other fields that do not fit are left out.
    """

    def text(field: str, default: str = "") -> str:
        return _or(default, faults, lambda: _text(row, field, where))

    def optional(field: str, read: Callable[[Any], T]) -> T | None:
        return None if row.get(field) is None else _or(None, faults, lambda: read(row[field]))

    answer, uid = row.get("answer"), _text(row, "uid", where)
    asked = Asked(
        problem_type=text("problem_type", "of no type"),
        data_type=_or("text", faults, lambda: _kind(row, where)),
        media=tuple(Path(str(path)) for path in _list(row, "media")),
        reading=tuple(dict(said) for said in _list(row, "reading") if isinstance(said, Mapping)),
        question=text("question"),
        options=tuple(str(option) for option in _list(row, "options")),
        gold=text("gold"),
    )
    response = _or(str(row.get("response") or ""), faults, lambda: _response(row, where))
    scores = Scores(
        accuracy=_number(row, "accuracy", where),
        format=optional("format", lambda _: _number(row, "format", where)),
        grounding=optional("grounding", lambda _: _number(row, "grounding", where)),
    )
    return Item(
        uid=uid,
        asked=asked,
        response=response,
        answer=None if answer is None else str(answer),
        scores=scores,
        evidence=_or((), faults, lambda: tuple(_evidence(entry, where) for entry in _list(row, "evidence"))),
        attention=optional("attention", lambda entry: _attention(entry, where)),
    )


def _kind(row: Mapping[str, Any], where: str) -> str:
    kind = _text(row, "data_type", where)
    if kind not in KINDS:
        raise UserError(f"{where}: field data_type is {kind!r}; write one of {', '.join(KINDS)}")
    return kind


def _list(row: Mapping[str, Any], field: str) -> Sequence[Any]:
    """Return a field as a list: a single value as a list of one, null as an empty list."""
    value = row.get(field)
    return value if isinstance(value, list) else [] if value is None else [value]


def _response(row: Mapping[str, Any], where: str) -> str:
    """Return the response; for a pair that a reward model ranked, both responses with their scores."""
    response = _text(row, "response", where)
    if "rejected" not in row:
        return response
    higher, lower = (_number(row, name, where) for name in ("reward", "rejected_reward"))
    rejected = _text(row, "rejected", where)
    return f"chosen, score {higher:.2f}:\n{response}\n\nrejected, score {lower:.2f}:\n{rejected}"


def _text(row: Mapping[str, Any], field: str, where: str) -> str:
    if row.get(field) is None:
        raise UserError(f"{where}: field {field} is missing; write a string")
    return str(row[field])


def _number(row: Mapping[str, Any], field: str, where: str) -> float:
    value = row.get(field)
    if isinstance(value, bool):
        return float(value)
    if not is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]
        raise UserError(f"{where}: field {field} is {value!r}; write a finite number")
    return float(value)  # type: ignore[arg-type]


def _evidence(entry: Any, where: str) -> Evidence:
    try:
        left, top, right, bottom = (float(edge) for edge in entry["box"])
        span = entry.get("span")
        return Evidence((left, top, right, bottom), None if span is None else (float(span[0]), float(span[1])))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        wanted = '{"box": [left, top, right, bottom], "span": [start, end] or null}'
        raise UserError(f"{where}: field evidence holds {entry!r}; write {wanted}") from error


def _attention(entry: Any, where: str) -> Attention:
    try:
        t, h, w = (int(size) for size in entry["grid"])
        weights = tuple(float(weight) for weight in entry["weights"])
        seconds = float(entry.get("seconds_per_slot") or 0.0)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{where}: field attention needs grid [T, H, W], weights and seconds_per_slot") from error
    if min(t, h, w) < 1 or len(weights) != t * h * w:
        raise UserError(f"{where}: field attention has {len(weights)} weights for grid {t}x{h}x{w}; write {t * h * w}")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise UserError(f"{where}: field attention.weights holds a negative or non-finite number; write weights >= 0")
    return Attention((t, h, w), weights, seconds)
