"""The viewer's page: models answer questions, and the attention rows of their responses are put on a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ral.data.bad import ROOT_KEY
from ral.errors import UserError
from ral.evaluation.token_rows import row_choices, token_rows
from ral.files.repository import find
from ral.files.trained_as import said
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.models.registry import register_named
from ral.report.token_maps import expected_bytes
from ral.report.viewer import ASKED_WITH, VIEWER_NAME, Answer, ViewedSample, size_note, write_viewer
from ral.report.words import verdict_of
from ral.rewards.accuracy import accuracy
from ral.rollout.engine import Sampling
from ral.rollout.given import written
from ral.rollout.native import NativeEngine
from ral.types import Example, Prepared, Query, Rollout, RowChoice
from ral.viewing.questions import Question, RecordedRun, recorded_run

ROOM = 0.75
"""Share of a page's size that rows may take; the rest is for images and texts."""
QUERIES: tuple[Query, ...] = ("previous", "self")
MOST_MB = 5.0
HALF = "\ufffd"
"""Character that stands in a text for bytes which are no whole character."""


@dataclass(frozen=True)
class Side:
    """A model whose responses are on the page. name: its name on the page.

    open: a function that loads the model. questions: a function from the model to its questions.
    """

    name: str
    open: Callable[[], MLLM]
    questions: Callable[[MLLM], Sequence[Question]]


@dataclass(frozen=True)
class Kept:
    """The attention rows that the page keeps.

    queries: kinds of rows: from the position that produces a token ("previous"), or from the token's own ("self").
    layers: None for as many as fit. max_mb: greatest size of the page, in 10^6 bytes.
    """

    queries: tuple[Query, ...] = QUERIES
    layers: tuple[int, ...] | None = None
    max_mb: float = MOST_MB


@dataclass(frozen=True)
class Asked:
    """A question, its prompt as the network reads it, and the rollout of its only response."""

    question: Question
    prepared: Prepared
    rollout: Rollout

    @property
    def tokens_and_cells(self) -> tuple[int, int]:
        """Return (tokens of the response, visual tokens of the first medium), both as numbers."""
        t, h, w = self.rollout.prompts.grids[0][0]
        return int(self.rollout.trainable.sum()), t * h * w


def make_page(
    path: Path, sides: Sequence[Side], kept: Kept, facts: Mapping[str, str], notes: Callable[[], Sequence[str]]
) -> str:
    """Write the page of one or two models' responses; return a line with its content and size.

    With two models it has the questions that both answered. notes: a function that returns lines on entries that were
    left out, called when all responses are there. UserError where there is nothing to show, the rows do not fit, the
    models read an image as other visual tokens, or the page cannot be written.
    """
    room = ROOM * kept.max_mb * 1e6 / len(sides)
    answers = [answers_of(side, kept, room) for side in sides]
    first, *others = answers
    shared = [key for key in first if all(key in other for other in others)]
    samples = [joined([own[key] for own in answers]) for key in shared]
    write_viewer(path, samples, facts, notes())
    return size_note(path, samples)


def joined(found: Sequence[ViewedSample]) -> ViewedSample:
    """Return one sample with the responses of all models. found: the same question for each model.

    UserError where the models' grids of visual tokens differ.
    """
    grids = [sample.answers[0].rows.grid for sample in found]
    if len(set(grids)) > 1:
        raise UserError(
            f"before: it reads {found[0].example.uid} as a grid of other visual tokens, {grids}: give a model alike"
        )
    return replace(found[0], answers=tuple(sample.answers[0] for sample in found))


@torch.no_grad()
def answers_of(side: Side, kept: Kept, room: float) -> dict[tuple[str, str], ViewedSample]:
    """Return {(uid, prompt text): a question with a model's response and its rows}.

    room: bytes that all rows may take on the page. UserError where they do not fit, for a layer without rows, and where
    the model or its questions cannot be loaded.
    """
    policy = side.open()
    asked = [ask(policy, question) for question in side.questions(policy)]
    choice = fitting(row_choices(policy, kept.queries, kept.layers), [one.tokens_and_cells for one in asked], room)
    found = {}
    for one in asked:
        (rows,) = token_rows(policy, one.prepared, one.rollout, choice)
        if rows is not None:
            example, text = one.question.example, one.rollout.texts[0]
            answer = Answer(side.name, text, judged(example, text), rows)
            found[example.uid, one.question.text] = ViewedSample(example, one.question.media[0], (answer,))
    return found


def fitting(choices: Sequence[RowChoice], sizes: Sequence[tuple[int, int]], room: float) -> RowChoice:
    """Return the first of the choices whose rows fit into `room` bytes on the page. UserError where none does.

    sizes: for each response its tokens, and the visual tokens of its medium.
    """
    for choice in choices:
        if expected_bytes(choice, sizes) <= room:
            return choice
    least = expected_bytes(choices[-1], sizes)
    raise UserError(
        f"max_mb: {least / 1e6:.1f} MB of rows do not fit into {room / 1e6:.1f} MB: write a larger max_mb, or a "
        "smaller limit, max_new_tokens or max_pixels"
    )


def ask(policy: MLLM, question: Question) -> Asked:
    """Return a model's greedy response to a question, or the recorded response.

    A recorded text with a broken character is sampled anew, since its tokens are not known.
    """
    prompts = policy.processor.batch([question.example], [question.text], [question.media])
    prepared = policy.prepare(prompts)
    if question.said is None or HALF in question.said[0]:
        greedy = Sampling(1.0, question.max_new_tokens, greedy=True)
        return Asked(question, prepared, NativeEngine(policy).generate(prepared, 1, greedy, seed=0))
    text, ended = question.said
    rollout = written(policy.processor, prepared, [text])
    return Asked(question, prepared, rollout if ended else without_end(rollout))


def without_end(rollout: Rollout) -> Rollout:
    """Return the rollout of one response without its last token, the end token, as a length limit would leave it."""
    mask: Tensor = rollout.valid.clone()
    mask[0, int(mask.sum()) - 1] = False
    return replace(rollout, valid=mask, trainable=mask)


def judged(example: Example, text: str) -> tuple[str, str] | None:
    """Return the verdict (sign, words) on a response; None where the example has no gold answer."""
    return verdict_of(accuracy(example, text)) if example.answer else None


def view_run(
    folder: Path, output: Path | None = None, opened: Callable[[str], MLLM] | None = None, kept: Kept | None = None
) -> tuple[Path, str]:
    """Write the page of a run's evaluated responses, before and after training; return its path and a line on it.

    The page has up to SAMPLES chosen questions about an image or video, with the responses that the evaluations
    recorded: greedy unless the task says otherwise.

    output: None: explore.html in the run's folder. opened: loads a checkpoint; None: in fp32 on the CPU. kept: the rows
    to keep; None: the defaults. UserError where the folder is no run's, has no hf/, or evaluated no such question;
    where a model cannot be loaded, both read an image as other tokens, the rows do not fit, or nothing can be written.
    """
    run = recorded_run(folder)
    if not (folder / "hf").is_dir():
        raise UserError(f"run={folder}: it has no hf/, the trained model; give a run that came to its end")
    register_named(run.config.model.get("family"))
    opened, skipped = opened or opened_here, list[str]()
    after = Side("after", lambda: opened(str(folder / "hf")), lambda p: run.questions(p, "after", skipped))
    start = str(run.config.model.pretrained)
    before = Side("before", lambda: opened(start), lambda p: run.questions(p, "before", skipped))
    path = output or folder / VIEWER_NAME
    facts, root = facts_of(run, folder, start), f"{ROOT_KEY} in {folder / 'config.yaml'}"
    return path, make_page(path, (before, after), kept or Kept(), facts, lambda: told(skipped, root))


def facts_of(run: RecordedRun, folder: Path, start: str) -> dict[str, str]:
    """Return {label: text} for the top of a run's page. folder: folder of the run. start: its pretrained model."""
    media, algo, templates = run.config.dataset.media, run.config.algo, run.config.dataset.templates
    asked = said(str(templates.think if algo.thinking else templates.zero), media)
    name = str(run.config.get("name") or folder.name)
    return {"run": name, "before": start, "after": str(folder / "hf"), ASKED_WITH: asked}


def told(skipped: Sequence[str], root_key: str = ROOT_KEY) -> list[str]:
    """Return a line on skipped entries, in a list; [] where none was skipped.

    skipped: a line for each skipped entry. root_key: name to write for the setting ROOT_KEY.
    """
    once = [line.replace(ROOT_KEY, root_key) for line in dict.fromkeys(skipped)]
    return [f"{len(once)} entries cannot be used; the first: {once[0]}"] if once else []


def opened_here(checkpoint: str) -> MLLM:
    """Load the model of a checkpoint, in fp32 on the CPU and without gradients."""
    return load(find(checkpoint), trained=False)
