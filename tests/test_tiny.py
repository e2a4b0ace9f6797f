"""The recipes of the small models: every stage is a valid run on the data that docs/tiny.md says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from ral.config.check import check
from ral.files import repository
from ral.models import tiny

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
    assert tiny.initial("path_arrows_student") == tmp_path / "path_arrows_run" / "hf"
