"""Inputs of benchmarks: random models of a shape, and images with an exact number of visual tokens."""

from __future__ import annotations

import gc
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ral.errors import UserError
from ral.models.fresh import write_model
from ral.models.mllm import DTYPES
from ral.models.recipe import Sizes

SIZES = Sizes(hidden=512, layers=8, heads=8, kv_heads=2, mlp=1408, vision_hidden=256, vision_depth=4, vision_heads=8)
VOCABULARY = 6144
"""Number of tokens in the vocabulary.

With SIZES the model has about 30 million parameters, in shares like those of Qwen2.5-VL-3B.
"""
TOKEN_SIDE = 28
"""Side of a visual token of Qwen2.5-VL, in pixels."""
FAMILY = "qwen2_5_vl"
SIDES = {"qwen3_5": 32}
"""{family: side of its visual token in pixels}, where this is not TOKEN_SIDE."""
LARGEST_PROMPT = 16384
"""Visual tokens of the largest image that the model's processor does not shrink."""
QUESTION = "What do you see in the picture? Describe every shape, its color and its place."


def sizes_of(text: str) -> list[int]:
    """Return the numbers of visual tokens in a comma-separated text.

    UserError unless it holds whole numbers from 1 to LARGEST_PROMPT.
    """
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(1 <= size <= LARGEST_PROMPT for size in sizes):
        raise UserError(f"--prompt-tokens {text}: write numbers from 1 to {LARGEST_PROMPT} such as 64,256,1024")
    return sizes


def write_bench_model(
    folder: Path,
    sizes: Sizes = SIZES,
    vocabulary: int = VOCABULARY,
    device: str = "cpu",
    dtype: str = "float32",
    family: str = FAMILY,
) -> Path:
    """Return the folder of a random model, which is written unless it is there already.

    vocabulary: number of tokens. device: where the weights are drawn. dtype: name of the dtype in the files.
    """
    if not (folder / "video_preprocessor_config.json").is_file():
        letters = random.Random(0)
        words = ["".join(letters.choices("etaoinshrdlu", k=letters.randint(2, 8))) for _ in range(8 * vocabulary)]
        texts = [*[f"user assistant {QUESTION}"] * 1000, " ".join(words)]
        area = token_side(family) ** 2
        write_model(
            folder,
            texts,
            family=family,
            sizes=sizes,
            vocab_size=vocabulary,
            pixels=(area, LARGEST_PROMPT * area),
            device=device,
            dtype=DTYPES[dtype],
        )
        if device != "cpu":
            gc.collect()
            torch.cuda.empty_cache()  # what is measured next is another process's
    return folder


def token_side(family: str) -> int:
    """Return the side of a visual token of a family, in pixels."""
    return SIDES.get(family, TOKEN_SIDE)


def drawn(on_gpu: bool) -> tuple[str, str]:
    """Return (device, dtype) for write_bench_model. on_gpu: True for a GPU, which draws weights much faster."""
    return ("cuda", "bfloat16") if on_gpu else ("cpu", "float32")


def write_data(folder: Path, visual_tokens: int, entries: int, pixels: int = TOKEN_SIDE) -> Path:
    """Write `entries` questions with PNG images of exactly `visual_tokens` visual tokens; return the folder.

    The files are data.jsonl, question.j2 and the images. pixels: side of a visual token.
    """
    rows = next(n for n in range(math.isqrt(visual_tokens), 0, -1) if visual_tokens % n == 0)
    side = (visual_tokens // rows * pixels, rows * pixels)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(entries):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(side, Image.Resampling.NEAREST).save(folder / f"{number}.png")
        entry = {"question": QUESTION, "answer": "?", "problem_type": "free-form", "image": f"{number}.png"}
        lines.append(json.dumps(entry) + "\n")
    (folder / "data.jsonl").write_text("".join(lines))
    (folder / "question.j2").write_text("{{ question }}")
    return folder
