"""The shape of the code: functions stay short, and what docs/architecture.md adds from outside trains."""

from __future__ import annotations

import ast
import csv
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
import torch
from conftest import CONF, make_pixels
from PIL import Image

from ral.models.mllm import MLLM

ROOT = CONF.parent
PAGE = ROOT / "docs" / "architecture.md"
MEDIAN_LINES, MOST_LINES_OF_90_PERCENT, MOST_LINES, MOST_LINES_OF_A_FILE = 15, 50, 80, 400


def function_lengths(path: Path) -> dict[str, int]:
    """{file:name: lines} of every function, signature and docstring included."""
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{path.relative_to(ROOT)}:{n.name}:{n.lineno}": (n.end_lineno or 0) - n.lineno + 1 for n in functions}


def test_functions_and_files_stay_short() -> None:
    files = sorted((ROOT / "ral").rglob("*.py"))
    lengths = {name: lines for path in files for name, lines in function_lengths(path).items()}
    assert len(lengths) > 300
    assert statistics.median(lengths.values()) <= MEDIAN_LINES
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= MOST_LINES_OF_90_PERCENT
    assert [name for name, lines in lengths.items() if lines > MOST_LINES] == []
    assert [str(p) for p in files if len(p.read_text().splitlines()) > MOST_LINES_OF_A_FILE] == []


def blocks(language: str) -> list[tuple[str, str]]:
    """(first line, rest) of the page's fenced blocks of a language."""
    found = re.findall(rf"^```{language}\n# ([^\n]*)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [(str(first), str(rest)) for first, rest in found]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with mine.py and my_conf/ from docs/architecture.md; mine.py can be imported."""
    (tmp_path / "mine.py").write_text("\n\n".join(rest for first, rest in blocks("python") if first == "mine.py"))
    for name, rest in blocks("yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rest)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("mine", None)


def write_pictures(folder: Path, count: int) -> Path:
    """A CSV file of pictures of noise, as the page's dataset reads it."""
    path = folder / "pictures.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["picture", "question", "answer"])
        for number in range(count):
            Image.fromarray(make_pixels("image", number, (56, 56)).frames[0].numpy()).save(folder / f"{number}.png")
            rows.writerow([f"{number}.png", "What color is the star?", "red"])
    return path


def write_answers(folder: Path, count: int) -> Path:
    """Eight recorded answers to each picture, as the page's rollout engine reads them."""
    path = folder / "answers.jsonl"
    lines = [{"uid": f"row-{n}", "answers": [k * "no " + f"answer {n}" for k in range(8)]} for n in range(1, count + 1)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_an_algorithm_a_dataset_a_reward_hardware_and_an_engine_are_added_from_outside(
    outside: Path, run: Callable[..., Path], model_folder: Callable[..., Path]
) -> None:
    """One function and one yaml each (hardware: the yaml alone), none of them in ral/ or conf/, train one step."""
    assert {p.relative_to(outside).as_posix() for p in outside.rglob("*.yaml")} == {
        "my_conf/algo/sequence.yaml",
        "my_conf/dataset/csv.yaml",
        "my_conf/reward/brief.yaml",
        "my_conf/hardware/low_memory.yaml",
        "my_conf/rollout/replay.yaml",
    }
    folder = run(
        f"hydra.searchpath=[file://{outside / 'my_conf'}]",
        *("algo=sequence", "dataset=csv", "reward=brief", "hardware=low_memory", "rollout=replay"),
        f"rollout.engine.path={write_answers(outside, 8)}",
        f"dataset.path={write_pictures(outside, 8)}",
        *("dataset.source.held_out=2", "dataset.media.image_min_pixels=784", "dataset.max_new_tokens=6"),
        *("algo.prompts_per_step=4", "max_steps=1", "eval.every=0"),
        f"model.pretrained={model_folder()}",
    )
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"train/loss_sequence", "train/sequence_ratio", "train/brevity"} <= set(line)
    assert "train/loss_token" not in line and 0 < line["train/brevity"] <= 1
    records = [json.loads(text) for text in (folder / "eval" / "after.jsonl").read_text().splitlines()]
    assert [(r["uid"], r["response"]) for r in records] == [("row-7", "answer 7"), ("row-8", "answer 8")]
    assert line["train/policy_version"] == 0 and "train/log_prob_gap" not in line
    before = MLLM.load(str(model_folder())).network.state_dict()
    after = MLLM.load(str(folder / "hf")).network.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_no_script_hides_a_package() -> None:
    """Python puts scripts/ first on the path of a script: a tabulate.py there would be what torch imports."""
    names = [path.stem for path in (ROOT / "scripts").iterdir() if path.suffix == ".py" or path.is_dir()]
    outside = [entry for entry in sys.path if Path(entry).name != "scripts"]
    assert len(names) > 10
    assert [name for name in names if PathFinder.find_spec(name, outside) is not None] == []
