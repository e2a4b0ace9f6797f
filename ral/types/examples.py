"""Entries of a dataset, their images and videos, and the decoded pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

MediaKind = Literal["image", "video"]

PROBLEM_TYPES = ("multiple choice", "numerical", "OCR", "free-form", "regression")
"""Kinds of questions, as in Video-R1's field `problem_type`. The kind decides how an answer is scored."""


Box = tuple[float, float, float, float]
"""(left, top, right, bottom) as fractions of an image's width and height, each in [0, 1]."""


@dataclass(frozen=True)
class Evidence:
    """A place in the first image or video of an example where the answer to the question can be seen.

    span: (start, end) in seconds of the video; None for an image, or where the whole video counts.
    cut:  True where the published box or span reached over an edge of the image or video and was clipped to it.
    """

    box: Box
    span: tuple[float, float] | None = None
    cut: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Step:
    """One step of the reasoning that leads to the answer, and the regions of the first image or video that it needs.

    text:  the words of a response in this step.
    boxes: the regions that the step has to look at, at least one; in a video they hold for all frames.
    """

    text: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Media:
    """One image or video of an entry, and the settings that the entry has for reading it.

    path:       the file; for a video given as images, the first of them. Where `data` is set, no such file exists and
    the path only names the image in messages.
    frames:     the images of a video given as images, in order; () otherwise.
    data:       the encoded bytes of an image that stands in the entry itself (a data URI); None for a file.
    start, end: the part of a video to read, in seconds from its first visible frame. None as start means the first
    frame; None as end means the last.
    fps, frame_count: frames to sample per second, or in all; None means the dataset's settings. For a video given as
    images, fps is the rate of these images.
    min_pixels, max_pixels: bounds of the area of an image or frame, in pixels; None means the dataset's settings.
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
"""Marks that stand in the text of a turn at the place of an image or video."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation before the question. Marks in its text show where its images and videos stand."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True)
class Example:
    """One entry of a dataset, whatever its format on disk.

    uid:      a name of the entry, unique within its file.
    question: the text of the last user turn, without options and without instruction.
    answer:   the gold answer, without tags; for multiple choice usually the letter of an option. It is "" only in
    entries that have `chosen` and `rejected` instead.
    problem_type: one of PROBLEM_TYPES.
    media:    images and videos in the order in which they are shown. `turns`, `question` and `options` hold one mark of
    its kind (IMAGE_MARK, VIDEO_MARK) at the place of each; where they hold no mark at all, all stand in front of the
    question.
    turns:    the turns before the question: a system turn, earlier user and assistant turns.
    options:  ("A. red", "B. blue", ...); () where the entry has none.
    thought:  reasoning of an SFT entry without tags; None where the dataset has none.
    evidence: boxes (and time spans) of the things that the question asks about; () where unknown.
    steps:    the steps of the reasoning, in order, each with the regions that it needs; () where unknown.
    chosen, rejected: whole responses, the first preferred to the second; None where the dataset has no preferences.
    source:   the name of this entry in messages, such as "train.json: entry 12".
    answer_field: the field of the entry that held the gold answer, as messages name it.
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
    """One image or video, decoded and resized, not yet cut into patches.

    frames: uint8 tensor [T, height, width, 3], T sampled frames in RGB; T = 1 for an image.
    seconds_per_frame: time between two sampled frames; 0 for an image.
    start: where the part that was read begins in the video, in seconds; 0 for a whole video and for an image.
    """

    kind: MediaKind
    frames: Tensor
    seconds_per_frame: float = 0.0
    start: float = 0.0
