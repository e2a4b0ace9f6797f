"""Recipes of the small models in assets, made by stages of this project's own `algo=sft` (scores: docs/tiny.md)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ral.data.prompts import render, target
from ral.files import repository
from ral.files.pretrained import WEIGHTS
from ral.models.fresh import write_model
from ral.models.recipe import Sizes
from ral.worlds.visual_search import source

WORK = Path("outputs/tiny")
SFT_ENTRIES = 24000
ANSWER_ONLY_SHARE = 0.2


@dataclass(frozen=True)
class Recipe:
    """One stage of supervised fine-tuning.

    start: the stage with whose weights this one begins; None for random weights. steps: number of updates, each on
    `entries` entries of the dataset. seed: seed of the run. learning_rate: peak of the learning rate. settings:
    overrides of the configuration, mostly of the data. part: entries of a micro-batch; 0: half of `entries`.
    """

    start: str | None
    steps: int
    seed: int
    learning_rate: float
    settings: tuple[str, ...]
    entries: int = 48
    part: int = 0


def searching(template: str, salient: float, listing: float) -> tuple[str, ...]:
    """Return configuration overrides for the data of a stage on visual_search; stages differ in targets, not in images.

    template: name of the prompts' template (ral/data/templates). salient: share of targets about the most salient
    object instead of the one asked about. listing: share of entries whose target lists everything in the image.
    """
    return (
        f"dataset.source.sizes.sft={SFT_ENTRIES}",
        f"dataset.source.salient_share={salient}",
        f"dataset.source.list_share={listing}",
        "dataset.source.free_form_share=0",
        f"dataset.answer_only_share={ANSWER_ONLY_SHARE}",
        f"dataset.templates={{think: {template}, zero: {template}_zero}}",
    )


def following(kinds: str, misread: float = 0.0, sft: int = SFT_ENTRIES) -> tuple[str, ...]:
    """Return configuration overrides for a stage's data on visual_path.

    kinds: kinds of paths, comma-separated, such as "arrows". misread: share of steps, in the targets, that read the
    neighbouring cell. sft: number of entries.
    """
    return (
        "dataset=visual_path",
        f"dataset.source.sizes.sft={sft}",
        f"dataset.source.kinds=[{kinds}]",
        f"dataset.source.misread={misread}",
    )


def far(zooms: tuple[int, ...], sft: int, misread: float = 0.0) -> tuple[str, ...]:
    """Return configuration overrides for a stage's data on visual_path: arrows, routes of 2 to 8 steps.

    zooms: visual tokens a side of a cell; they take turns, entry by entry. sft: number of entries. misread: as in
    `following`.
    """
    return (
        *following("arrows", misread, sft),
        f"dataset.source.zoom=[{','.join(map(str, zooms))}]",
        "dataset.source.shortest=2",
        "dataset.source.longest=8",
        "dataset.max_new_tokens=96",
        "algo.warmup=10",
    )


SIZES = Sizes(hidden=128, layers=4, heads=4, kv_heads=2, mlp=352, vision_hidden=64, vision_depth=2)
RECIPES = {
    "base": Recipe(None, 3200, 0, 2e-3, searching("short", salient=0.6, listing=0.3)),
    "tiny_teacher": Recipe("base", 1500, 1, 1.5e-3, searching("mini", salient=0.0, listing=0.1)),
    "tiny": Recipe("tiny_teacher", 240, 2, 5e-4, searching("mini", salient=0.7, listing=0.1)),
    "path_arrows": Recipe("tiny_teacher", 900, 3, 1.5e-3, following("arrows"), 64),
    "path_arrows_student": Recipe("path_arrows", 80, 4, 5e-4, (*following("arrows", 0.7), "algo.warmup=10"), 64),
    "path_middle": Recipe("path_arrows", 300, 5, 1.5e-3, far((2, 4, 8, 1, 4, 2), 8000), 24, 6),
    "path_zooms": Recipe("path_middle", 400, 8, 1.5e-3, far((1, 2, 4, 2, 4), 17000), 24, 12),
    "path_zooms_student": Recipe("path_zooms", 60, 7, 5e-4, far((1, 2, 4, 2, 4), 1440, 0.7), 24, 12),
}
SHIPPED = {
    "tiny_teacher": "tiny_teacher",
    "tiny": "tiny",
    "path_arrows": "path_teacher",
    "path_arrows_student": "path_student",
    "path_zooms": "path_wide_teacher",
    "path_zooms_student": "path_wide_student",
}
"""Name of the folder in assets, by stage."""
HALVES = ("path_arrows", "path_arrows_student", "path_zooms", "path_zooms_student")
"""Stages whose weights are shipped in float16."""
STAGES = ("base", "tiny_teacher", "tiny")
"""Stages that run by default, in order."""


def corpus() -> list[str]:
    """Return prompts and targets of 4,000 examples of visual_search, to train the tokenizer on."""
    examples = source("sft", root=WORK / "data_corpus", sizes={"sft": 4000}, seed=7, list_share=0.3)
    return [text for e in examples for text in (render(e, "short"), target(e, thinking=True), "user", "assistant")]


def initial(name: str) -> Path:
    """Return the model folder with which a stage starts: random weights and a new tokenizer, or another stage's result.

    The result of a shipped stage that was not run on this machine is its folder in assets.
    """
    recipe = RECIPES[name]
    if recipe.start is None:
        return write_model(WORK / f"{name}_init", corpus(), sizes=SIZES, seed=recipe.seed, vocab_size=640)
    made = WORK / f"{recipe.start}_run" / "hf"
    return made if made.is_dir() or recipe.start not in SHIPPED else repository.ROOT / "assets" / SHIPPED[recipe.start]


def command(name: str, start: Path) -> list[str]:
    """Return the command line of a stage: supervised fine-tuning of all weights, resumed where it was interrupted.

    start: the model folder to start from.
    """
    recipe = RECIPES[name]
    return [
        sys.executable,
        str(repository.TRAIN),
        "algo=sft",
        f"name={name}",
        f"model.pretrained={start}",
        "model.freeze_vision=false",
        f"algo.learning_rate={recipe.learning_rate}",
        f"algo.prompts_per_step={recipe.entries}",
        f"max_steps={recipe.steps}",
        f"seed={recipe.seed}",
        "eval.every=400",
        "checkpoint.every=100",
        f"hardware.micro_batch_prompts={recipe.part or recipe.entries // 2}",
        f"hydra.run.dir={WORK / f'{name}_run'}",
        "resume=auto",
        "logger=jsonl",
        "diagnostics.every=0",
        *recipe.settings,
        f"dataset.path={WORK / f'data_{name}'}",
    ]


def train(name: str, start: Path) -> Path:
    """Run a stage (`command`); return the run's hf folder. CalledProcessError where it fails."""
    subprocess.run(command(name, start), check=True)
    return WORK / f"{name}_run" / "hf"


def ship(name: str, folder: Path, assets: Path) -> Path:
    """Copy a stage's result to its folder in `assets`, in float16 if it is one of HALVES; return the folder.

    float16 rounds a weight to 1 part in 2,000, and weights below 6e-5 more coarsely; readers load it into fp32.
    """
    place = assets / SHIPPED[name]
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder, place)
    if name in HALVES:
        halved = {key: halve(value) for key, value in load_file(place / WEIGHTS).items()}
        save_file(halved, place / WEIGHTS, metadata={"format": "pt"})
    return place


def halve(weight: torch.Tensor) -> torch.Tensor:
    """Round a floating-point tensor to float16; integers stay as they are."""
    return weight.half() if weight.is_floating_point() else weight
