"""Writes a small model of a family with random weights and a tokenizer trained on a dataset's text, to start SFT from.

    python scripts/new_model.py --data my/sft.json --output outputs/my_model

The folder loads by `from_pretrained` like any checkpoint:

    python train.py algo=sft model.pretrained=outputs/my_model model.freeze_vision=false ...
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import sys
from pathlib import Path

from ral.data.bad import ROOT_KEY
from ral.data.prompts import render
from ral.data.sources import jsonl
from ral.files.targets import HELP, OVERWRITE, check_free
from ral.models.fresh import write_model
from ral.models.recipe import Sizes
from ral.models.registry import FAMILIES, model_type_of
from ral.types import UserError


def texts(data: Path, media_root: Path | None) -> list[str]:
    """All text of a dataset: prompts, thoughts and answers."""
    examples = jsonl("sft", path=data, media_root=media_root, validation_size=1)
    return [text for e in examples for text in (render(e, "short"), e.thought or "", e.answer, "user", "assistant")]


def main() -> None:
    """Write the model; one line and exit code 1 on bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON file whose text trains the tokenizer")
    parser.add_argument("--media-root", type=Path, help="folder that media paths are relative to (default: its own)")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    parser.add_argument("--family", default="qwen2_5_vl", help=f"{', '.join(FAMILIES)}, or module.NAME of your own")
    parser.add_argument("--hidden", type=int, default=128, help="width, a multiple of 32 (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=4, help="decoder layers (default: %(default)s)")
    parser.add_argument("--vocabulary", type=int, default=640, help="text tokens at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.hidden % 32 or arguments.hidden < 32:
        sys.exit(f"error: --hidden {arguments.hidden} is no multiple of 32: write 64, 128, 192, ...")
    heads, mlp = arguments.hidden // 32, arguments.hidden * 11 // 4
    sizes = Sizes(hidden=arguments.hidden, layers=arguments.layers, heads=heads, kv_heads=heads, mlp=mlp)
    try:
        check_free([arguments.output], arguments.overwrite)
        write_model(
            arguments.output,
            texts(arguments.data, arguments.media_root),
            family=model_type_of(arguments.family, "--family"),
            sizes=sizes,
            seed=arguments.seed,
            vocab_size=arguments.vocabulary,
        )
    except UserError as error:
        sys.exit(f"error: {str(error).replace(ROOT_KEY, '--media-root')}")
    print(f"model: {arguments.output}")


if __name__ == "__main__":
    main()
