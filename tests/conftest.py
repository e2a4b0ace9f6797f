"""Fixtures for all tests: shapes in ral.ops are checked at run time, and small random Qwen-VL folders are made once."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import torch
from absl.logging import get_absl_handler
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from jaxtyping import install_import_hook
from omegaconf import open_dict
from safetensors.torch import load_file, save_file

install_import_hook("ral.ops", "beartype.beartype")

from ral.config.check import check  # noqa: E402
from ral.models.fresh import write_model  # noqa: E402
from ral.models.mllm import MLLM  # noqa: E402
from ral.models.recipe import Sizes  # noqa: E402
from ral.rollout.engine import Sampling  # noqa: E402
from ral.rollout.native import NativeEngine  # noqa: E402
from ral.types import Example, Media, Pixels, PromptBatch, Rollout  # noqa: E402

TEXTS = ("What color is the star? Think, then answer. <think>red</think><answer>A. red B. blue</answer>",) * 3
SMALL = Sizes(hidden=64, layers=3, heads=2, kv_heads=1, mlp=96, vision_hidden=32, vision_depth=2, vision_heads=2)

torch.set_num_threads(1)
# rouge-score imports absl, whose handler closes what stood at sys.stderr then, pytest's own, when Hydra sets up logs
get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(autouse=True)
def root_logger_as_it_was() -> Iterator[None]:
    """Take back what a test's own run set on the root logger (hydra.verbose adds a handler on a stream that closes)."""
    level, handlers = logging.root.level, list(logging.root.handlers)
    yield
    logging.root.setLevel(level)
    for handler in set(logging.root.handlers) - set(handlers):
        logging.root.removeHandler(handler)
        handler.close()


@pytest.fixture(autouse=True)
def no_run_s_configuration_is_left() -> Iterator[None]:
    """Forget the choices of a program that a test ran in this process: `${hydra:...}` of the next would be its."""
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with a random model of a family, written once a session."""
    made: dict[str, Path] = {}

    def folder(family: str = "qwen2_5_vl") -> Path:
        if family not in made:
            path = tmp_path_factory.mktemp(family)
            made[family] = write_model(path, TEXTS, family=family, sizes=SMALL, seed=3, vocab_size=300)
        return made[family]

    return folder


@pytest.fixture
def load(model_folder: Callable[[str], Path]) -> Callable[..., MLLM]:
    """A freshly loaded random model of a family."""
    return lambda family="qwen2_5_vl", **settings: MLLM.load(str(model_folder(family)), **settings)


@pytest.fixture
def copied(model_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of a random model's folder with other weights and other keys of config.json."""

    def folder(
        change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] | None = None,
        family: str = "qwen2_5_vl",
        **keys: Any,
    ) -> Path:
        path = shutil.copytree(model_folder(family), tmp_path / "model")
        if change is not None:
            weights = {n: w.contiguous() for n, w in change(load_file(path / "model.safetensors")).items()}
            save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | keys))
        return path

    return folder


def make_pixels(kind: str, seed: int, sides: tuple[int, int] = (56, 84), frames: int = 4) -> Pixels:
    """Noise as a picture or clip."""
    generator = torch.Generator().manual_seed(seed)
    count = frames if kind == "video" else 1
    values = torch.randint(0, 256, (count, *sides, 3), generator=generator, dtype=torch.uint8)
    return Pixels(kind, values, 0.5 if kind == "video" else 0.0)  # type: ignore[arg-type]


def make_prompts(model: MLLM, kinds: tuple[tuple[str, ...], ...], texts: tuple[str, ...] | None = None) -> PromptBatch:
    """Prompts with the given media each, such as (("image",), ("video", "image"), ()), of different lengths."""
    s = max(model.processor.patches.factor, 28)  # side of a visual token in pixels
    media = [[make_pixels(k, 10 * i + j, (2 * s, (2 + i) * s)) for j, k in enumerate(ks)] for i, ks in enumerate(kinds)]
    examples = [
        Example(str(i), "q", "red", "free-form", tuple(Media(k, Path(f"{i}.x")) for k in ks))  # type: ignore[arg-type]
        for i, ks in enumerate(kinds)
    ]
    words = texts or tuple("What color is the star?" + " Think" * i for i in range(len(kinds)))
    return model.processor.batch(examples, words, media)


def native(count: int, **numbers: Any) -> Callable[..., Rollout]:
    """(model, prepared, seed=0) -> the native engine's `count` responses to each prompt. numbers: of Sampling."""
    return lambda model, prepared, seed=0: NativeEngine(model).generate(prepared, count, Sampling(**numbers), seed)


MIXED = (("image",), ("video",), (), ("image", "video", "image"))
"""A batch that mixes a picture, a clip, plain text, and several media in one prompt."""

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"} | {"OMP_NUM_THREADS": "1"}


def load_script(name: str) -> ModuleType:
    """Import scripts/<name>.py as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train_in(folder: Path, *overrides: str, report: bool = True) -> Path:
    """Compose a configuration, check it, train in this process; the run's folder. report: draw its page, which costs
    as much as two steps."""
    from ral import ending
    from ral.run import train  # Lightning: only tests that train wait for it

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*overrides, "logger=jsonl"], return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(folder)
    HydraConfig.instance().set_config(cfg)
    try:
        with open_dict(cfg):
            del cfg["hydra"]
        check(cfg)
        with nullcontext() if report else patch.object(ending, "print_report"):
            train(cfg)
    finally:
        HydraConfig.instance().cfg = None
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Train with overrides below the test's own folder; the run's folder, without a report unless report=True."""
    return lambda *overrides, folder="run", report=False: train_in(tmp_path / folder, *overrides, report=report)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests' visual_search data lies, made once."""
    return tmp_path_factory.mktemp("visual_search")


@pytest.fixture(scope="session")
def small(model_folder: Callable[..., Path], data_folder: Path) -> list[str]:
    """Overrides for a run of seconds: random small model, few pictures, short answers."""
    return [
        f"model.pretrained={model_folder()}",
        f"model.teacher={model_folder()}",
        f"dataset.path={data_folder}",
        "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
        "dataset.max_new_tokens=6",
        "max_steps=2",
        "eval.batch=4",
        "eval.every=1",
        "algo.prompts_per_step=4",
        "viewer=false",
    ]


@pytest.fixture
def command(tmp_path: Path, model_folder: Callable[..., Path]) -> list[str]:
    """train.py on a small random model, seconds a run."""
    return [
        sys.executable,
        str(ROOT / "train.py"),
        f"model.pretrained={model_folder()}",
        f"dataset.path={tmp_path / 'data'}",
        "dataset.source.sizes={sft: 8, train: 8, validation: 4, test: 4}",
        "dataset.max_new_tokens=6",
        "algo.prompts_per_step=4",
        "eval.every=0",
        "max_steps=1",
        "viewer=false",
        "logger=jsonl",
    ]


def finish(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run to the end in `folder`."""
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
