"""scripts/attention_map.py and scripts/ablation.py: what they draw, print and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import load_script
from PIL import Image

from ral.evaluation import attention_map
from ral.files import repository
from ral.report.sheet import attention_of, strip
from ral.study import ablation
from ral.types import UserError
from ral.worlds.visual_search import make


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Four entries of the default data, `path` absolute; the last is a clip."""
    root = tmp_path_factory.mktemp("data")
    path = make(root, "validation", size=4, seed=1, distractors=3, free_form_share=0.4)
    return [entry | {"path": str(root / entry["path"])} for entry in json.loads(path.read_text())]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def words(entry: dict[str, object]) -> str:
    options = [str(o).replace(". ", " ") for o in entry["options"]]  # type: ignore[attr-defined]
    return " ".join([str(entry["problem"]), *options])


def test_a_picture_with_evidence_for_two_checkpoints(
    data: list[dict[str, object]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model_folder: Callable[..., Path],
) -> None:
    """The halves of a picture share the attention out, and the heat lies where the numbers are."""
    module, entry, output = load_script("attention_map"), data[0], tmp_path / "map.png"
    asked = (f"image={entry['path']}", f"question={words(entry)}", f"output={output}")
    shares = []
    for box, told in (("0,0,0.5,1", "false"), ("0.5,0,1,1", "true")):
        assert module.main([*asked, f"evidence={box}", f"overwrite={told}"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "<answer>" in lines[0] and lines[1] == "attention of: answer block" and lines[-1] == f"output: {output}"
        shares.append(float(lines[2].removeprefix("grounding: ")))
    assert sum(shares) == pytest.approx(1, abs=1e-3) and all(0 < s < 1 for s in shares)
    one = size_of(output)
    assert (
        module.main([*asked, f"checkpoint2={model_folder()}", "template=mini", "max_new_tokens=4", "overwrite=true"])
        == 0
    )
    assert "whole response" in capsys.readouterr().out and size_of(output)[1] > 1.3 * one[1]


def test_the_hottest_cell_is_drawn_hottest(data: list[dict[str, object]], tmp_path: Path) -> None:
    entry = data[0]
    settings = load_script("attention_map").settings_of([f"image={entry['path']}", f"question={words(entry)}"])
    example = attention_map.example_of(settings)
    policy = attention_map.load_model("assets/tiny", "cpu")
    pixels = attention_map.read(settings, example, policy.processor.patches.factor)
    seen = attention_map.map_answer(policy, "tiny", example, pixels, settings)
    t, h, w = seen.map["grid"]
    weights = np.array(seen.map["weights"]).reshape(h, w)
    assert t == 1 and weights.sum() == pytest.approx(1, abs=1e-5)
    (image,) = strip(attention_of(seen.map), example.evidence, pixels, weights.max()).images
    y, x = np.unravel_index(weights.argmax(), weights.shape)
    green = np.asarray(image, dtype=float)[..., 1]  # falls from no heat to full
    cells = green.reshape(h, green.shape[0] // h, w, green.shape[1] // w)
    corners = cells[:, 2:6, :, 2:6].mean((1, 3))  # the ground, beside the shapes
    assert np.unravel_index(corners.argmin(), corners.shape) == (y, x)


def test_a_clip_becomes_a_sheet(
    data: list[dict[str, object]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    entry, output = data[3], tmp_path / "clip.png"
    assert entry["data_type"] == "video"
    given = (f"video={entry['path']}", f"question={words(entry)}", "layer=1", f"output={output}")
    assert load_script("attention_map").main(given) == 0, capsys.readouterr().err
    width, height = size_of(output)
    assert width > height  # frames beside each other, the clip above its map


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["imag=x.png"], "did you mean image?"),
        (["image=x.png"], "question is not set"),
        (["question=x"], "image=<file> or video=<file>"),
        (["image=x.png", "question=x", "evidence=0,0,2,1"], "is no box"),
        (["image=x.png", "question=x"], "x.png: no such file"),
        (["image=x.png", "question=x", "checkpoint=nowhere"], "checkpoint=nowhere: no such folder"),
        (["image={0}", "question=x", "layer=99"], "layer=99"),
    ],
)
def test_mistakes_get_one_line(
    settings: list[str],
    says: str,
    data: list[dict[str, object]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    known = [s.format(data[0]["path"]) for s in settings]
    assert load_script("attention_map").main(known) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and error.startswith("error: ") and says in error


def test_an_ablation_compares_on_the_same_items(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """b is right on every item that a is wrong on: its lead is 1 - 2 * a's accuracy."""
    module = load_script("ablation")
    asked: list[tuple[str, str, tuple[str, ...]]] = []

    def scores(checkpoint: str, output: Path, settings: list[str]) -> np.ndarray:
        asked.append((checkpoint, output.name, tuple(settings)))
        output.parent.mkdir(parents=True, exist_ok=True)
        own = np.array([1.0, 0.0, 0.0, 0.0] * 25)
        return own if checkpoint == "a" else 1 - own

    monkeypatch.setattr(ablation, "evaluate", scores)
    given = ["--checkpoints", "A=a", "B=b", "--axis", "tokens", "--output", str(tmp_path / "out")]
    assert module.main([*given, "--values", "64", "512", "--", "benchmark=vstar"]) == 0
    most = "media.image_max_pixels={}", "media.image_min_pixels={}"
    assert asked[0] == ("a", "A-64", (most[0].format(64 * 784), most[1].format(64 * 784), "benchmark=vstar"))
    assert asked[3] == ("b", "B-512", (most[0].format(512 * 784), most[1].format(100352), "benchmark=vstar"))
    rows = (tmp_path / "out" / "ablation.md").read_text().splitlines()
    assert (
        rows[0] == "| tokens | 64 | 512 |" and rows[2].startswith("| A | 25.0 (") and rows[3].startswith("| B | 75.0 (")
    )
    assert rows[4].startswith("| B - A | 50.0 (")
    assert size_of(tmp_path / "out" / "ablation.png")[0] > 500
    assert module.main(["--checkpoints", "a", "--axis", "frames", "--output", "x"]) == 1
    assert "NAME=FOLDER" in capsys.readouterr().err


def test_an_evaluation_that_fails_ends_the_ablation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "EVALUATE", tmp_path / "evaluate.py")
    (tmp_path / "evaluate.py").write_text("import sys\nsys.exit(1)\n")
    with pytest.raises(UserError, match="exit code 1"):
        ablation.evaluate("a", tmp_path / "out", [])
