"""Rebuilds the shipped models from nothing: `make tiny`, over an hour on two cores (recipe and scores: docs/tiny.md).

Two steps for each: random weights and a tokenizer trained on the default data's text; then this project's own
`algo=sft`. The student's targets speak, at `salient_share`, of the most salient object instead of the asked one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = Path("outputs/tiny")


@dataclass(frozen=True)
class Recipe:
    """How one model is made. steps: updates of 48 entries; salient: share of targets about the salient object.

    start: the model whose trained weights it continues from; None = random weights of these sizes.
    """

    sizes: dict[str, int]
    steps: int
    salient: float
    seed: int
    learning_rate: float
    start: str | None = None


RECIPES = {
    "tiny": Recipe(
        {"hidden": 128, "layers": 4, "heads": 4, "kv_heads": 2, "mlp": 352, "vision_hidden": 64, "vision_depth": 2},
        steps=3200,
        salient=0.6,
        seed=0,
        learning_rate=2e-3,
    ),
    "tiny_teacher": Recipe(
        {},
        steps=1200,
        salient=0.0,
        seed=1,
        learning_rate=1e-3,
        start="tiny",
    ),
}
SFT_ENTRIES = 24000
LIST_SHARE = 0.3
ANSWER_ONLY_SHARE = 0.2


def data_overrides(name: str) -> list[str]:
    """The data a model learns from; both students of it share pictures, not corrupted targets."""
    recipe = RECIPES[name]
    return [
        f"dataset.path={WORK / f'data_{name}'}",
        f"dataset.source.sizes.sft={SFT_ENTRIES}",
        f"dataset.source.salient_share={recipe.salient}",
        f"dataset.source.list_share={LIST_SHARE}",
        f"dataset.answer_only_share={ANSWER_ONLY_SHARE}",
    ]


def corpus() -> list[str]:
    """Text of the default data: prompts and targets, for the tokenizer."""
    from ral.data.prompts import render, target
    from ral.data.visual_search import source

    examples = source("sft", root=WORK / "data_corpus", sizes={"sft": 4000}, seed=7, list_share=LIST_SHARE)
    return [text for e in examples for text in (render(e, "short"), target(e, thinking=True), "user", "assistant")]


def initial(name: str) -> Path:
    """The folder that training starts from: random weights and a new tokenizer, or another recipe's result."""
    from ral.models.fresh import Sizes, write_model

    recipe = RECIPES[name]
    if recipe.start is not None:
        return WORK / f"{recipe.start}_run" / "hf"
    return write_model(WORK / f"{name}_init", corpus(), sizes=Sizes(**recipe.sizes), seed=recipe.seed, vocab_size=640)


def train(name: str, start: Path) -> Path:
    """Supervised fine-tuning through the project's own command line; the run's hf folder."""
    recipe, run = RECIPES[name], WORK / f"{name}_run"
    command = [
        sys.executable,
        str(ROOT / "train.py"),
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


def main() -> None:
    """Build the named models and put them where the configuration finds them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", default=list(RECIPES), help=f"which ones: {', '.join(RECIPES)} (default: all)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "assets", help="where they go (default: assets)")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in arguments.models:
        if name not in RECIPES:
            sys.exit(f"error: no recipe for '{name}': write {', '.join(RECIPES)}")
        folder = train(name, initial(name))
        shutil.rmtree(arguments.output / name, ignore_errors=True)
        shutil.copytree(folder, arguments.output / name)
        print(f"{name}: {arguments.output / name}")


if __name__ == "__main__":
    main()
