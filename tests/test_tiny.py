"""The recipes of the small models: every stage is a valid run on the data that docs/tiny.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from safetensors.torch import load_file

from ral.config.check import check
from ral.evaluation.attention_map import load_model
from ral.evaluation.steps import step_figures
from ral.files import repository
from ral.models import tiny
from ral.study.path_gate import STUDENT, TEACHER, WRONG_LOOKS
from ral.worlds.visual_path import source

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", tiny.RECIPES)
def test_every_stage_is_a_valid_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    arguments = tiny.command(name, ROOT / "assets" / "tiny")[2:]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train", [one for one in arguments if not one.startswith("hydra.")])
    check(cfg)
    recipe = tiny.RECIPES[name]
    assert (cfg.max_steps, cfg.algo.prompts_per_step, cfg.seed) == (recipe.steps, recipe.entries, recipe.seed)
    kind = "visual_path" if name.startswith("path") else "visual_search"
    assert cfg.dataset.source._target_ == f"ral.worlds.{kind}.source" and cfg.dataset.path.endswith(f"data_{name}")


def test_the_page_says_what_the_recipes_do() -> None:
    page = (ROOT / "docs" / "tiny.md").read_text()
    for name, recipe in tiny.RECIPES.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[1].strip("`") == recipe.start or (recipe.start is None and cells[1].startswith("random weights"))
        assert int(cells[2].split()[0]) == recipe.steps and float(cells[3]) == recipe.learning_rate
        assert int(cells[-1]) == recipe.seed
        settings = dict(setting.split("=", 1) for setting in recipe.settings)
        wrong = settings.get("dataset.source.misread", settings.get("dataset.source.salient_share"))
        assert f"{float(wrong or 0):.0%}" in cells


def test_a_stage_begins_where_another_ended_or_at_a_shipped_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny, "WORK", tmp_path)
    assert tiny.initial("path_arrows") == repository.ROOT / "assets" / "tiny_teacher"
    (tmp_path / "tiny_teacher_run" / "hf").mkdir(parents=True)
    assert tiny.initial("path_arrows") == tmp_path / "tiny_teacher_run" / "hf"
    assert tiny.initial("path_arrows_student") == repository.ROOT / "assets" / "path_teacher"
    (tmp_path / "path_arrows_run" / "hf").mkdir(parents=True)
    assert tiny.initial("path_arrows_student") == tmp_path / "path_arrows_run" / "hf"


def test_a_model_for_visual_path_is_shipped_in_two_bytes_a_weight_and_the_others_as_they_are(tmp_path: Path) -> None:
    folder = ROOT / "assets" / "tiny"
    whole = load_file(folder / "model.safetensors")
    (tmp_path / "path_teacher").mkdir()
    (tmp_path / "path_teacher" / "left").touch()
    halves = load_file(tiny.ship("path_arrows", folder, tmp_path) / "model.safetensors")
    assert not (tmp_path / "path_teacher" / "left").exists() and halves.keys() == whole.keys()
    for name, value in halves.items():
        assert value.dtype == torch.float16
        torch.testing.assert_close(value.float(), whole[name], rtol=1 / 2000, atol=6e-8)
    same = load_file(tiny.ship("tiny", folder, tmp_path) / "model.safetensors")
    assert all(torch.equal(value, whole[name]) for name, value in same.items())
    counts = tiny.halve(torch.tensor([1, 70000]))
    assert counts.dtype == torch.int64 and counts.tolist() == [1, 70000]


@pytest.mark.parametrize("name", tiny.SHIPPED)
def test_every_shipped_model_has_the_files_of_the_default_one_and_is_loaded_in_fp32(name: str) -> None:
    folder, default = (ROOT / "assets" / one for one in (tiny.SHIPPED[name], "tiny"))
    assert {path.name for path in folder.iterdir()} == {path.name for path in default.iterdir()}
    stored = {value.dtype for value in load_file(folder / "model.safetensors").values()}
    assert stored == {torch.float16 if name in tiny.HALVES else torch.float32}
    assert {p.dtype for p in load_model(str(folder), "cpu").network.parameters()} == {torch.float32}


def test_shipped_models_of_visual_path_keep_the_gate_of_their_steps(tmp_path: Path) -> None:
    """On other boards than those of training, fewer than docs/tiny.md measures on."""
    examples = source("test", root=tmp_path, sizes={"test": 64}, seed=12, kinds=["arrows"])
    teacher, student = (step_figures(load_model(f"assets/path_{n}", "cpu"), examples) for n in ("teacher", "student"))
    assert TEACHER[0] <= teacher.right and STUDENT[0] <= student.right <= STUDENT[1]
    assert student.wrong_looks is not None and student.wrong_looks >= WRONG_LOOKS
