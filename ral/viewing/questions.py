"""Questions of the viewer: a user's own question about an image or video, those of a dataset, or those of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ral.config.build import instantiate
from ral.data.bad import BadSample, Checked
from ral.data.media import media_reader
from ral.data.prompts import render
from ral.data.samples import Samples
from ral.errors import UserError
from ral.evaluation.attention_map import complete, example_of, read
from ral.files import jsonl
from ral.learner.collate import Collate
from ral.models.mllm import MLLM
from ral.report.page import SAMPLES
from ral.report.reading import read_run
from ral.report.summary import match, select
from ral.rewards.accuracy import check_gold
from ral.types import Example, Pixels

OWN = ("image", "video", "question", "evidence", "template", "max_frames", "min_pixels", "max_pixels")
"""Settings of a user's own question."""
TOKENS = 256
"""Default length limit of the response to a user's own question."""


@dataclass(frozen=True)
class Question:
    """A question as a model gets it. text: the prompt. media: pixels of its images and videos.

    said: the recorded response, and whether it ended by itself; None where the model has to answer.
    """

    example: Example
    text: str
    media: tuple[Pixels, ...]
    max_new_tokens: int
    said: tuple[str, bool] | None = None


def own_settings(cfg: DictConfig) -> dict[str, str]:
    """Return the settings of a user's own question; those that are not set are as in the model's training.

    UserError unless the question and either an image or a video are given.
    """
    given = {key: str(cfg[key]) for key in OWN if cfg[key] is not None}
    models = [str(name) for name in (cfg.before, cfg.checkpoint) if name is not None]
    return complete({**dict(zip(("checkpoint", "checkpoint2"), models, strict=False)), **given})


def own_question(cfg: DictConfig, policy: MLLM) -> list[Question]:
    """Return the user's own question, in a list.

    UserError as `own_settings`, for an `evidence` that is no box, an unusable template, and a file that cannot be read.
    """
    settings = own_settings(cfg)
    example = replace(example_of(settings), uid=Path(settings["image"] or settings["video"]).name)
    pixels = read(settings, example, policy.processor.patches.factor)
    worded = example.question if settings["template"] == "as_asked" else render(example, settings["template"])
    return [Question(example, worded, (pixels,), cfg.max_new_tokens or TOKENS)]


def of_dataset(
    dataset: DictConfig,
    policy: MLLM,
    split: str,
    thinking: bool,
    skipped: list[str],
    wanted: Collection[str] | None = None,
) -> Iterator[Question]:
    """Yield the questions of a split that are about an image or video, with the prompts of training.

    wanted: uids; None for all. skipped: a list to which a line is appended for each entry that cannot be used.
    thinking: whether prompts ask for a think block.
    """
    collate = Collate(
        policy.processor,
        templates=(dataset.templates.think, dataset.templates.zero),
        thinking=thinking,
        scorable=Checked(check_gold),
        max_new_tokens=dataset.max_new_tokens,
    )
    examples = instantiate(dataset.source)(split=split)
    reader = media_reader(instantiate(dataset.media, factor=policy.processor.patches.factor))
    samples = Samples(examples, reader, collate.check, range, collate.fits)
    for at in range(len(examples)):
        try:
            if not examples[at].media or (wanted is not None and examples[at].uid not in wanted):
                continue
            sample = samples.read(at)
        except BadSample as error:
            skipped.append(str(error))
            continue
        yield Question(sample.example, collate.word(sample.example), sample.media, dataset.max_new_tokens)


def dataset_questions(cfg: DictConfig, policy: MLLM, skipped: list[str]) -> tuple[list[Question], int]:
    """Return the first cfg.limit usable questions of a split, and the split's number of entries.

    skipped: a list to which a line is appended for each entry that cannot be used.
    """
    found = list(islice(of_dataset(cfg.dataset, policy, cfg.split, cfg.thinking, skipped), cfg.limit))
    return found, len(instantiate(cfg.dataset.source)(split=cfg.split))


@dataclass(frozen=True)
class RecordedRun:
    """Content of a run's folder. uids: those of the questions that the report shows.

    said: {"before" or "after": {uid: (response, whether it ended by itself)}}.
    """

    config: DictConfig
    uids: tuple[str, ...]
    said: Mapping[str, Mapping[str, tuple[str, bool]]]

    def questions(self, policy: MLLM, side: str, skipped: list[str]) -> list[Question]:
        """Return the report's questions, in its order, with the recorded responses of `side` ("before" or "after").

        skipped: a list to which a line is appended for each entry that cannot be used.
        """
        algo, dataset = self.config.algo, self.config.dataset
        found: dict[str, Question] = {}
        for question in of_dataset(dataset, policy, "validation", algo.thinking, skipped, self.uids):
            found[question.example.uid] = replace(question, said=self.said[side].get(question.example.uid))
            if len(found) == len(self.uids):
                break
        return [found[uid] for uid in self.uids if uid in found]


def recorded_run(folder: Path) -> RecordedRun:
    """Return the content of a run's folder.

    UserError where it is no run's folder, or where no question about an image or video was evaluated.
    """
    run = read_run(folder)
    pairs, _ = match(run.before, run.after)
    uids = tuple(pair.item.uid for pair in select(pairs, SAMPLES) if pair.item.asked.media)
    if not uids:
        raise UserError(f"run={folder}: no question about a picture or clip was evaluated in it, so nothing to show")
    config = OmegaConf.create(dict(run.setup.config))
    return RecordedRun(config, uids, {side: answers(folder / "eval" / f"{side}.jsonl") for side in ("before", "after")})


def viewable(folder: Path) -> bool:
    """Tell whether a run can have the page: it has a policy, and evaluated questions with media on both sides."""
    policy = (folder / "hf" / "config.json").is_file() and not (folder / "hf" / "reward_model.json").is_file()
    evaluated = [folder / "eval" / f"{side}.jsonl" for side in ("before", "after")]
    return policy and all(any(line.get("media") for line in jsonl.readable(path)) for path in evaluated)


def answers(path: Path) -> dict[str, tuple[str, bool]]:
    """Return {uid: (recorded response, whether it ended by itself)} of an evaluation; {} where there is no file."""
    lines: list[dict[str, Any]] = jsonl.readable(path) if path.is_file() else []
    return {
        str(line["uid"]): (str(line["response"]), bool(line.get("finished", True))) for line in lines if "uid" in line
    }
