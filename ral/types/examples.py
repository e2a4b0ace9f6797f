"""Entries of a dataset, their media, and the decoded pixels of these."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

MediaKind = Literal["image", "video"]

PROBLEM_TYPES = ("multiple choice", "numerical", "OCR", "free-form", "regression")


Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions of a picture's width and height, each in [0, 1]."""


@dataclass(frozen=True)
class Evidence:
    """The place where the answer to a question can be seen.

    span: (start, end) in seconds for a clip; None for a picture, or where the whole clip counts.
    cut:  whether the published box or span reached over an edge of the picture or clip, where it was cut.
    """

    box: Box
    span: tuple[float, float] | None = None
    cut: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Step:
    """One step of the reasoning that leads to the answer, and where in the first medium it has to look.

    text:  what a response says in this step, as it would stand there.
    boxes: where the step looks; of a clip, in all its frames.
    """

    text: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Media:
    """One picture or clip, and what its entry says about reading it.

    path:       the file; for a clip given as pictures, the first of them; for `data`, a name for messages.
    frames:     the pictures of a clip given as pictures, in order; () for a file.
    data:       the encoded bytes of a picture that stands in the entry itself (a data URI); None for a file.
    start, end: the part of a clip to read, in seconds from its first visible frame; None means its own bound.
    fps, frame_count: frames to sample a second, or in all; None means the dataset's settings.
    min_pixels, max_pixels: bounds of the area of a picture or frame; None means the dataset's settings.
    """

    kind: MediaKind
    path: Path
    frames: tuple[Path, ...] = ()
    data: bytes | None = None
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    frame_count: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None


IMAGE_MARK, VIDEO_MARK = "<image>", "<video>"
"""Where a medium stands inside the text of a turn."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation before the question. The text may hold marks where its media stand."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True)
class Example:
    """One entry of a dataset, whatever its format on disk.

    question: the text of the last user turn, without options and without instruction.
    media:    in the order in which they are shown. Marks (IMAGE_MARK, VIDEO_MARK) in `turns` and `question` say where
              each stands, one mark a medium, kinds alike; without any mark all stand in front of the question.
    turns:    what was said before the question: a system turn, earlier user and assistant turns.
    options:  ("A. red", "B. blue", ...) for multiple choice, else ().
    answer:   the gold answer, without tags; "" only beside preferences.
    thought:  reasoning of an SFT entry without tags; None where the dataset has none.
    evidence: boxes (and time spans) of what the question asks about; () where unknown.
    steps:    where each step of the reasoning has to look, in their order; () where unknown.
    chosen, rejected: whole responses, the first preferred to the second; None where the dataset has no preferences.
    source:   "file entry 12": how messages about this entry name it; answer_field: how they name the gold answer.
    """

    uid: str
    question: str
    answer: str
    problem_type: str
    media: tuple[Media, ...] = ()
    options: tuple[str, ...] = ()
    thought: str | None = None
    evidence: tuple[Evidence, ...] = ()
    source: str = ""
    chosen: str | None = None
    rejected: str | None = None
    turns: tuple[Turn, ...] = ()
    answer_field: str = field(default="solution", compare=False)
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Pixels:
    """One picture or clip, decoded and resized, not yet cut into patches.

    frames: uint8 array-like tensor [T, height, width, 3]; T = 1 for a picture.
    seconds_per_frame: time between two sampled frames; 0 for a picture.
    start: time of the first sampled frame in the clip, in seconds, where only a part of it is read.
    """

    kind: MediaKind
    frames: Tensor
    seconds_per_frame: float = 0.0
    start: float = 0.0
