"""What passes between the stages of a step: frozen dataclasses, and the one legend of axes and masks.

Axes
    B  prompts on this rank            G  responses to one prompt ("group size")
    N  responses, N = B * G; response n answers prompt n // G
    P  prompt length (left-padded)     C  response length (right-padded)
    K  attention keys, K = P + C: first the prompt's P positions, then the response's own C
Masks
    True = counts, everywhere. A value under False may be anything and must change nothing.
Units
    Losses, log-probs, attention rows and rewards are fp32; divergences, entropies, log-probs in nats; times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ral.errors import UserError as UserError

PROBLEM_TYPES = ("multiple choice", "numerical", "OCR", "free-form", "regression")


@dataclass(frozen=True)
class Evidence:
    """Where the answer to a question can be seen.

    box:  (left, top, right, bottom) as fractions of the picture's width and height, each in [0, 1].
    span: (start, end) in seconds for a clip; None for a picture, or where the whole clip counts.
    """

    box: tuple[float, float, float, float]
    span: tuple[float, float] | None = None


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

    kind: Literal["image", "video"]
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
    chosen, rejected: whole responses, the first preferred to the second; None where the dataset has no preferences.
    source:   "file entry 12": how messages about this entry name it.
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


@dataclass(frozen=True)
class Pixels:
    """One picture or clip, decoded and resized, not yet cut into patches.

    frames: uint8 array-like tensor [T, height, width, 3]; T = 1 for a picture.
    seconds_per_frame: time between two sampled frames; 0 for a picture.
    start: time of the first sampled frame in the clip, in seconds, where only a part of it is read.
    """

    kind: Literal["image", "video"]
    frames: Tensor
    seconds_per_frame: float = 0.0
    start: float = 0.0


@dataclass(frozen=True)
class PromptBatch:
    """B prompts as the model reads them.

    token_ids  [B P] int64, left-padded            valid [B P] bool
    visual     [B P] bool, True on image and video placeholders
    media      keyword tensors of the vision tower (pixel_values, image_grid_thw, ...), patches of all prompts one
               after another in the order of the placeholders; {} when no prompt has media. Of the clips in their order
               also second_per_grid_ts (seconds of a temporal slot) and frame_counts (frames sampled)
    examples   the B examples;  texts: the B rendered prompts
    grids      per prompt, per medium: (T, H, W) of visual tokens after merging
    """

    token_ids: Tensor
    valid: Tensor
    visual: Tensor
    media: dict[str, Tensor]
    examples: tuple[Example, ...]
    texts: tuple[str, ...]
    grids: tuple[tuple[tuple[int, int, int], ...], ...]
    position_ids: Tensor | None = None  # [3 B P] int64, from the one function that makes positions
    next_position: Tensor | None = None  # [B] int64, position of the first response token
    evidence: Tensor | None = None  # [B P] bool, True on visual tokens inside the evidence of the first medium
    targets: tuple[str, ...] | None = None  # the B responses to learn, for supervised fine-tuning
    original: PromptBatch | None = None  # of a prepared batch: the same before that, with its pixels

    def __len__(self) -> int:
        return len(self.examples)

    def to(self, device: torch.device | str) -> PromptBatch:
        """The same batch with every tensor on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, media={k: v.to(device) for k, v in self.media.items()}, **moved)


@dataclass(frozen=True)
class Rollout:
    """N responses sampled (or, for SFT, given) for a PromptBatch.

    response_ids [N C] int64, exactly as sampled; response_mask [N C] bool, True up to and including the end token.
    finished [N] bool: False where the length limit cut the response.
    log_probs [N C] fp32: of the sampled tokens as the sampler saw them; None where nothing was sampled.
    attention_rows [L N C K] fp32: the attention policy under the sampler's noise, zero rows for tokens that it never
    fed; None where there was no noise.
    policy_version: of the weights that sampled them; None for given responses.
    """

    prompts: PromptBatch
    response_ids: Tensor
    response_mask: Tensor
    texts: tuple[str, ...]
    finished: Tensor
    group_size: int
    log_probs: Tensor | None = None
    attention_rows: Tensor | None = None
    policy_version: int | None = None

    def take(self, prompts: PromptBatch, chosen: Sequence[int]) -> Rollout:
        """The responses to the chosen prompts without shared padding; `prompts` is that part of the PromptBatch."""
        group = self.group_size
        rows = [n * group + g for n in chosen for g in range(group)]
        length = max(int(self.response_mask[rows].sum(1).max()), 1)
        ids, mask = self.response_ids[rows, :length], self.response_mask[rows, :length]
        log_probs = None if self.log_probs is None else self.log_probs[rows, :length]
        trimmed = self.prompts.token_ids.shape[1] - prompts.token_ids.shape[1]
        keys = slice(trimmed, self.prompts.token_ids.shape[1] + length)
        looks = None if self.attention_rows is None else self.attention_rows[:, rows, :length, keys]
        texts = tuple(self.texts[n] for n in rows)
        return Rollout(prompts, ids, mask, texts, self.finished[rows], group, log_probs, looks, self.policy_version)


@dataclass(frozen=True)
class Scores:
    """Rewards of N responses. reward [N] fp32 is the weighted sum; parts holds each unweighted part, [N] fp32."""

    reward: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Loss:
    """value: fp32 scalar to minimise. metrics: {name: (total, count)}, summed over ranks before division."""

    value: Tensor
    metrics: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


Metrics = dict[str, tuple[Any, Any]]
