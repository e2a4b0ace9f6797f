"""The figure of the README: a board of visual_path, and the teacher's attention at each step of its response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ral.data.media import MediaReader, MediaSettings
from ral.data.prompts import render, target
from ral.evaluation.steps import spans
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.rollout.given import written
from ral.types import Example
from ral.worlds.visual_path import source

PANEL = 2.0  # inches a side
FRAME = "#d02050"  # of the cell that the response names
DOTS = 180  # pixels an inch
BOARDS = 8  # entries


@dataclass(frozen=True)
class Looks:
    """The attention of a model at each step of the right response to one board.

    picture: the board, pixels [height, width, 3]. maps: for each step, the attention on the visual tokens [h, w] from
    the position that produces the step's deciding word. h, w: rows and columns of the board's visual tokens.
    """

    picture: np.ndarray
    maps: list[np.ndarray]


def boards(folder: Path, seed: int) -> Sequence[Example]:
    """Return boards of arrows that no model was trained on, drawn into `folder` unless they are there already.

    seed: seed of the boards.
    """
    return source("validation", root=folder, sizes={"validation": BOARDS}, seed=seed, kinds=["arrows"])


@torch.no_grad()
def looks(policy: MLLM, example: Example) -> Looks:
    """Return the attention at each step of the right response, from one forward pass.

    A step's row is that of the position that produces the first token of the step's last word: last decoder layer, mean
    over heads, normalised over the visual tokens alone.
    """
    factor = policy.processor.patches.factor
    reader = MediaReader(MediaSettings(image_min_pixels=factor**2, factor=factor))
    media = [reader.read(medium) for medium in example.media]
    prompts = policy.processor.batch([example], [render(example, "mini")], [media])
    prepared = policy.prepare(prompts)
    rollout = written(policy.processor, prepared, [target(example, thinking=True)])
    spec = AttentionSpec(layers=(-1,), query="previous", keys="visual")
    states = Forward(1.0, spec).states(View(policy, prepared), rollout, attention=True)
    _, h, w = prompts.grids[0][0]
    visual = prompts.visual[0].nonzero().squeeze(-1)
    rows = states.attention.rows()[0][0][rollout.trainable[0]][:, visual]  # type: ignore[union-attr]
    ids = rollout.token_ids[0][rollout.trainable[0]].tolist()
    starts, text = policy.processor.char_starts(ids), policy.processor.decode(ids)
    deciding = [
        low + step.text.rindex(" ") + 1
        for step, (low, _) in zip(example.steps, spans(text, example.steps, example.uid), strict=True)
    ]
    tokens = [max(n for n, start in enumerate(starts) if start <= place) for place in deciding]
    return Looks(np.asarray(media[0].frames[0]), [rows[token].reshape(h, w).numpy() for token in tokens])


def draw(found: Looks, example: Example, path: Path) -> None:
    """Draw the board, and beside it a panel for each step, into `path`.

    A panel shows the attention as colour over the board and frames the cell that the step names.
    """
    figure = Figure(figsize=(PANEL * (len(found.maps) + 1), PANEL * 1.2), layout="constrained")
    board, *panels = figure.subplots(1, len(found.maps) + 1)
    board.imshow(found.picture)
    board.set_title(example.question.replace(" and ", "\nand "), fontsize=8)
    height, width = found.picture.shape[:2]
    for panel, step, weights in zip(panels, example.steps, found.maps, strict=True):
        panel.imshow(found.picture)
        panel.imshow(
            weights, cmap="Oranges", alpha=0.65, extent=(-0.5, width - 0.5, height - 0.5, -0.5), vmin=0, vmax=1
        )
        for left, top, right, bottom in step.boxes:
            corner, size = (left * width, top * height), ((right - left) * width, (bottom - top) * height)
            panel.add_patch(Rectangle(corner, *size, fill=False, edgecolor=FRAME, linewidth=2))
        panel.set_title(f'step "{step.text}"', fontsize=8)
    for axes in (board, *panels):
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS)
