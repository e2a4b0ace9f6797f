"""Records of a run's files: configuration, metrics and evaluated questions. Nothing here reads files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.types import Evidence


@dataclass(frozen=True)
class Attention:
    """Attention on the visual tokens (Eq. 2 restricted to visual keys), averaged over some tokens of a response.

    In records of evaluations these tokens are the ones that look hardest (ral.evaluation.looks). grid: (T, H, W),
    times, rows and columns of visual tokens; weights: T*H*W floats in that order, sum 1; seconds_per_slot: duration of
    one of the T time slots, 0 for an image.
    """

    grid: tuple[int, int, int]
    weights: tuple[float, ...]
    seconds_per_slot: float


@dataclass(frozen=True)
class Asked:
    """A question of an evaluation, with its gold answer.

    data_type: "image", "video" or "text". reading: for each of `media`, settings by which it was read, such as a time
    span; () where all of them are whole files.
    """

    problem_type: str
    data_type: str
    media: tuple[Path, ...]
    question: str
    options: tuple[str, ...]
    gold: str
    reading: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Scores:
    """Scores of a response, in [0, 1]; None for a score that was not measured.

    For a preference pair that a reward model ranked, accuracy is 1 where the chosen response has the higher reward, and
    format is None.
    """

    accuracy: float
    format: float | None
    grounding: float | None


@dataclass(frozen=True)
class Item:
    """One evaluated question with the model's response.

    answer: the text extracted from the response, None where there is none. evidence: boxes and time spans that the
    question is about. attention: None where no map was recorded.
    """

    uid: str
    asked: Asked
    response: str
    answer: str | None
    scores: Scores
    evidence: tuple[Evidence, ...]
    attention: Attention | None


@dataclass(frozen=True)
class Setup:
    """Configuration and environment of a run. text: content of config.yaml; config: the same, parsed.

    choices: {config group: its option}, such as {"algo": "ral"}; changed: overrides of the command line, such as
    "seed=1". Both are empty where Hydra recorded none.
    """

    text: str
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    environment: Mapping[str, str]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFiles:
    """The content of a run's folder, from which the page is made.

    before, after: evaluated questions; None where the file is missing or empty. metrics: lines of metrics.jsonl, in
    their order on disk. notes: sentences on missing files. faults: sentences on damaged parts, which are left out.
    """

    folder: Path
    setup: Setup
    metrics: tuple[Mapping[str, Any], ...]
    before: tuple[Item, ...] | None
    after: tuple[Item, ...] | None
    notes: tuple[str, ...]
    faults: tuple[str, ...] = ()


def series(metrics: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Return the steps and values of one metric, sorted by step. metrics: lines of metrics.jsonl.

    A step that was logged twice (after a resume) has its last value. Values that are not finite numbers are left out.
    """
    found = {
        int(row["step"]): float(row[key])
        for row in metrics
        if is_number(row.get(key)) and is_number(row.get("step")) and math.isfinite(row[key])
    }
    steps = sorted(found)
    return steps, [found[step] for step in steps]


def is_number(value: Any) -> bool:
    """Tell whether a value is an int or a float, also NaN or infinite; a bool is no number here."""
    return isinstance(value, int | float) and not isinstance(value, bool)
