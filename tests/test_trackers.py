"""Other trackers of metrics, offline; the W&B dashboard as code."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from conftest import CONF, ROOT, load_script
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ral.lit import trackers
from ral.report import dashboard
from ral.types import UserError

STEPS = ({"train/reward": 0.25}, {"train/reward": 0.5, "eval/accuracy": 0.75})


def logged(choice: str, folder: Path, first_step: int = 0, seed: int = 1) -> None:
    """Log two steps by the logger of a yaml, as a run does that goes on behind first_step."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        node = compose("train", [f"logger={choice}"]).logger
    assert list(node) == ["jsonl", choice]
    logger = instantiate(node[choice])(folder, "my run", first_step)
    logger.log_hyperparams({"seed": seed, "algo": {"coef": 2.0}})
    for step, metrics in enumerate(STEPS, start=first_step + 1):
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


def test_mlflow_is_read_back_and_a_run_goes_on(tmp_path: Path) -> None:
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
    logged("mlflow", tmp_path)
    logged("mlflow", tmp_path, first_step=2, seed=2)
    experiment = client.get_experiment_by_name("ral")
    assert experiment.artifact_location == str(tmp_path / "mlruns" / "artifacts")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"seed": "1", "algo/coef": "2.0"} and run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "train/reward")
    assert [(found.step, found.value) for found in history] == [(1, 0.25), (2, 0.5), (3, 0.25), (4, 0.5)]
    logged("mlflow", tmp_path)
    assert len(client.search_runs([experiment.experiment_id])) == 2, "a new run in the folder of another"


def test_mlflow_goes_on_in_the_run_that_its_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for Lightning's logger, where MLflow is not installed."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(trackers.MLFlowLogger, "__init__", lambda self, **settings: made.append(settings))
    monkeypatch.setattr(trackers, "import_module", lambda name: None)
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "run_id.txt").write_text("abc\n")
    for first_step in (0, 2):
        trackers.mlflow(tmp_path, "my run", first_step)
    trackers.mlflow(tmp_path, "my run", 0, tracking_uri="http://there")
    assert [settings["run_id"] for settings in made] == [None, "abc", None]
    places = [(settings["tracking_uri"], settings["artifact_location"]) for settings in made]
    here = (f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}", str(tmp_path / "mlruns" / "artifacts"))
    assert places == [here, here, ("http://there", None)]


def test_trackio_is_called_as_its_functions_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in with the functions of the package: what is called, in which order."""
    called: list[Any] = []
    names = ("init", "log", "finish")
    stand_in = SimpleNamespace(**{n: lambda *a, n=n, **k: called.append((n, a, k)) for n in names})
    monkeypatch.setitem(sys.modules, "trackio", stand_in)
    logged("trackio", tmp_path)
    logged("trackio", tmp_path, first_step=2)
    logged("trackio", tmp_path / "other")
    assert [name for name, _, _ in called] == ["init", "log", "log", "finish"] * 3
    first, resumed, other = (k for n, _, k in called if n == "init")
    assert first["config"]["seed"] == 1 and first["name"].startswith("my run ")
    assert [k["resume"] for k in (first, resumed, other)] == ["never", "allow", "never"]
    assert first["name"] == resumed["name"] != other["name"], "two runs of one command are not one"
    steps = [(a[0], k["step"]) for n, a, k in called if n == "log"]
    assert steps[:4] == [(STEPS[0], 1), (STEPS[1], 2), (STEPS[0], 3), (STEPS[1], 4)]


def test_trackio_is_read_back(tmp_path: Path) -> None:
    """In a process of its own: the package reads its folder from the environment when it is imported."""
    pytest.importorskip("trackio")
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        + """
import pathlib, trackio
from test_trackers import logged
folder = pathlib.Path(sys.argv[1])
logged("trackio", folder)
logged("trackio", folder, first_step=2)
logged("trackio", folder / "other")
runs = trackio.Api().runs("ral")
logs = [trackio.SQLiteStorage.get_logs("ral", run.name, run_id=run.id) for run in runs]
seeds = [run.config["seed"] for run in runs]
print(sorted((seed, [(one["step"], one["train/reward"]) for one in log]) for seed, log in zip(seeds, logs)))
"""
    )
    there = {**os.environ, "TRACKIO_DIR": str(tmp_path / "kept"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, tmp_path], env=there, capture_output=True, text=True)
    first = [(1, 0.25), (2, 0.5)]
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == [(1, first), (1, [*first, (3, 0.25), (4, 0.5)])]


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


class Stand(BaseHTTPRequestHandler):
    """Answers as W&B's server does when a dashboard is saved, and keeps what was sent."""

    sent: ClassVar[list[dict[str, Any]]] = []

    def log_message(self, *_: Any) -> None:
        """Write nothing."""

    def do_POST(self) -> None:
        """Answer who is there, and a view that is saved."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        viewer = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
        data: dict[str, Any] = {"viewer": viewer}
        if "mutation UpsertView" in asked["query"]:
            self.sent.append(asked["variables"])
            saved = {"id": "v", "name": asked["variables"]["name"], "spec": asked["variables"]["spec"]}
            data = {"upsertView": {"view": saved, "inserted": True}}
        text = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def test_the_dashboard_is_uploaded(tmp_path: Path) -> None:
    """To a server of this machine that stands in for W&B's."""
    pytest.importorskip("wandb_workspaces")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stand)
    Thread(target=server.serve_forever, daemon=True).start()
    own = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": "a" * 40}
    there = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
    command = (sys.executable, ROOT / "scripts" / "dashboard.py", "--entity", "me", "--output", tmp_path / "d.json")
    try:
        done = subprocess.run(command, env=there, capture_output=True, text=True, timeout=120)
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0 and f"dashboard: {own['WANDB_BASE_URL']}/me/ral?nw=" in done.stdout
    (view,) = Stand.sent
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("me", "ral", "ral")
    sections = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    assert {section["name"]: len(section["panels"]) for section in sections} == {
        title: len(plots) for title, plots in dashboard.SECTIONS.items()
    }


def test_without_the_package_its_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install '\.\[dashboard\]'"):
        dashboard.workspace("", "ral")
