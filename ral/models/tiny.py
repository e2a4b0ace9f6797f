"""The recipes of the shipped models: three stages of this project's own `algo=sft` (scores: docs/tiny.md)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ral.data.prompts import render, target
from ral.files import repository
from ral.models.fresh import write_model
from ral.models.recipe import Sizes
from ral.worlds.visual_search import source

WORK = Path("outputs/tiny")


@dataclass(frozen=True)
class Recipe:
    """One stage of supervised fine-tuning on the default data.

    start: the stage whose weights it continues from; None = random weights. steps: updates of 48 entries.
    salient: share of targets about the most salient object instead of the asked one; listing: share of entries that
    list everything in the picture. template: wording of the prompts (ral/data/templates).
    """

    start: str | None
    template: str
    steps: int
    salient: float
    listing: float
    seed: int
    learning_rate: float


SIZES = Sizes(hidden=128, layers=4, heads=4, kv_heads=2, mlp=352, vision_hidden=64, vision_depth=2)
RECIPES = {
    "base": Recipe(start=None, template="short", steps=3200, salient=0.6, listing=0.3, seed=0, learning_rate=2e-3),
    "tiny_teacher": Recipe(
        start="base", template="mini", steps=1500, salient=0.0, listing=0.1, seed=1, learning_rate=1.5e-3
    ),
    "tiny": Recipe(
        start="tiny_teacher", template="mini", steps=240, salient=0.7, listing=0.1, seed=2, learning_rate=5e-4
    ),
}
SHIPPED = ("tiny_teacher", "tiny")
SFT_ENTRIES = 24000
ANSWER_ONLY_SHARE = 0.2


def data_overrides(name: str) -> list[str]:
    """The data of a stage: the same pictures each time, other targets."""
    recipe = RECIPES[name]
    return [
        f"dataset.path={WORK / f'data_{name}'}",
        f"dataset.source.sizes.sft={SFT_ENTRIES}",
        f"dataset.source.salient_share={recipe.salient}",
        f"dataset.source.list_share={recipe.listing}",
        "dataset.source.free_form_share=0",
        f"dataset.answer_only_share={ANSWER_ONLY_SHARE}",
        f"dataset.templates={{think: {recipe.template}, zero: {recipe.template}_zero}}",
    ]


def corpus() -> list[str]:
    """Text of the default data: prompts and targets, for the tokenizer."""
    examples = source("sft", root=WORK / "data_corpus", sizes={"sft": 4000}, seed=7, list_share=0.3)
    return [text for e in examples for text in (render(e, "short"), target(e, thinking=True), "user", "assistant")]


def initial(name: str) -> Path:
    """The folder that training starts from: random weights and a new tokenizer, or another recipe's result."""
    recipe = RECIPES[name]
    if recipe.start is not None:
        return WORK / f"{recipe.start}_run" / "hf"
    return write_model(WORK / f"{name}_init", corpus(), sizes=SIZES, seed=recipe.seed, vocab_size=640)


def train(name: str, start: Path) -> Path:
    """Supervised fine-tuning through the project's own command line; the run's hf folder."""
    recipe, run = RECIPES[name], WORK / f"{name}_run"
    command = [
        sys.executable,
        str(repository.TRAIN),
        "algo=sft",
        f"name={name}",
        f"model.pretrained={start}",
        "model.freeze_vision=false",
        f"algo.learning_rate={recipe.learning_rate}",
        f"max_steps={recipe.steps}",
        f"seed={recipe.seed}",
        "eval.every=400",
        "checkpoint.every=400",
        "hardware.micro_batch_prompts=24",
        f"hydra.run.dir={run}",
        "logger=jsonl",
        "diagnostics.every=0",
        *data_overrides(name),
    ]
    subprocess.run(command, check=True)
    return run / "hf"
