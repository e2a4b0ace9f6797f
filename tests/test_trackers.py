"""Other trackers of metrics, offline; the W&B dashboard as code."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import CONF, load_script
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ral.lit import trackers
from ral.report import dashboard
from ral.types import UserError

STEPS = ({"train/reward": 0.25}, {"train/reward": 0.5, "eval/accuracy": 0.75})


def logged(choice: str, folder: Path) -> None:
    """Log two steps by the logger of a yaml, as a run does."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose("train", [f"logger={choice}"]).logger
    assert list(node) == ["jsonl", choice]
    logger = instantiate(node[choice])(folder, "my run", 0)
    logger.log_hyperparams({"seed": 1, "algo": {"coef": 2.0}})
    for step, metrics in enumerate(STEPS, start=1):
        logger.log_metrics(metrics, step=step)
    logger.finalize("success")


def test_a_table(tmp_path: Path) -> None:
    logged("csv", tmp_path)
    rows = list(csv.DictReader((tmp_path / "csv" / "metrics.csv").read_text().splitlines()))
    assert [(row["step"], row["train/reward"], row["eval/accuracy"]) for row in rows] == [
        ("1", "0.25", ""),
        ("2", "0.5", "0.75"),
    ]


def test_tensorboard(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logged("tensorboard", tmp_path)
    found = reader.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/reward")] == [(1, 0.25), (2, 0.5)]


def test_mlflow(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    logged("mlflow", tmp_path)
    assert any((tmp_path / "mlruns").iterdir())


def test_trackio_is_called_as_its_functions_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in with the functions of the package: what is called, in which order."""
    called: list[Any] = []
    names = ("init", "log", "finish")
    stand_in = SimpleNamespace(**{n: lambda *a, n=n, **k: called.append((n, a, k)) for n in names})
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    logged("trackio", tmp_path)
    assert [name for name, _, _ in called] == ["init", "log", "log", "finish"]
    assert called[0][2]["config"]["seed"] == 1 and called[0][2]["name"] == "my run"
    assert [(a[0], k["step"]) for n, a, k in called if n == "log"] == [(STEPS[0], 1), (STEPS[1], 2)]


@pytest.mark.parametrize("choice", ["trackio", "tensorboard", "mlflow"])
def test_a_package_that_is_missing_is_named_with_its_command(choice: str) -> None:
    def missing() -> None:
        raise ModuleNotFoundError(f"No module named {choice!r}")

    with pytest.raises(UserError, match=rf"^logger={choice}: .* write pip install '\.\[{choice}\]'"):
        trackers.installed(missing, choice)


# ----------------------------------------------------------------------------------------------------- the dashboard


def test_every_chart_is_of_documented_metrics() -> None:
    page = (CONF.parent / "docs" / "metrics.md").read_text()
    names = [metric for plots in dashboard.SECTIONS.values() for metrics in plots.values() for metric in metrics]
    general = [name.rpartition("_")[0] + "_<k>" if name[-1].isdigit() else name for name in names]
    assert [name for name in general if f"| `{name}` |" not in page] == []
    assert [title.partition(":")[0] for title in dashboard.SECTIONS] == ["Reward", "Attention", "Grounding", "Cost"]


@pytest.mark.filterwarnings("ignore:Pydantic V1 style")  # of wandb_workspaces
def test_the_dashboard_is_written_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb_workspaces")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setattr("ral.lit.loggers.has_key", lambda: False)
    monkeypatch.setattr(sys, "argv", ["dashboard.py", "--output", str(tmp_path / "d" / "board.json")])
    assert load_script("dashboard").main() == 0
    text = (tmp_path / "d" / "board.json").read_text()
    assert json.loads(text) and all(title in text for title in dashboard.SECTIONS) and "train/attention_jsd" in text
    assert "nothing was uploaded" in capsys.readouterr().out


def test_without_the_package_its_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install '\.\[dashboard\]'"):
        dashboard.workspace("", "ral")
