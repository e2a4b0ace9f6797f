"""`import ral`: what it offers to notebooks and programs, quick to import, the same as the command lines."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import subprocess
import sys
import threading
import typing
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, ROOT
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from PIL import Image

import ral
from ral.checks import api_page

NOTEBOOK = ROOT / "notebooks" / "first_look.ipynb"
PICTURE = ROOT / "notebooks" / "shapes.png"
QUESTION = "What does the circle look like?"
FUNCTIONS = [name for name in ral.__all__ if name != "UserError"]


def fresh(code: str, *arguments: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.process_time(); import ral; took = time.process_time() - start\n"
        "heavy = [m for m in ('torch', 'hydra', 'transformers', 'lightning', 'numpy') if m in sys.modules]\n"
        "ral.compose('max_steps=3'); print(took, heavy, 'torch' in sys.modules, dir(ral).count('train'))"
    )
    took, rest = fresh(code).split(maxsplit=1)
    assert float(took) < 0.3 and rest.strip() == "[] False 1"


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'trian': it has .*train"):
        ral.trian  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_typed_and_say_what_they_take_and_return(name: str) -> None:
    function = getattr(ral, name)
    given = inspect.signature(function)
    kinds = given.parameters.values()
    assert all(p.annotation is not p.empty for p in kinds) and given.return_annotation is not given.empty
    text = inspect.getdoc(function) or ""
    documented = text.split("Args:\n")[1].split("\n\nReturns:\n")[0]
    said = re.findall(r"^    (\w+): ", documented, re.MULTILINE)
    assert said == [p.name for p in kinds] and "Raises:\n    UserError: " in text


def test_the_page_is_made_from_the_docstrings() -> None:
    assert api_page.PAGE.read_text() == api_page.written(), "write: python scripts/api_page.py"
    assert all(f"### ral.{name}\n" in api_page.PAGE.read_text() for name in FUNCTIONS)


def test_compose_gives_what_the_command_line_composes() -> None:
    settings = ["algo=ral", "max_steps=3", "algo.attention.coef=2", "dataset.max_new_tokens=9"]
    command = [sys.executable, str(ROOT / "train.py"), "--cfg", "job", *settings]
    theirs = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    config = ral.compose(*settings)
    assert OmegaConf.create(theirs) == config.settings and OmegaConf.to_yaml(config.settings).strip() == theirs.strip()
    assert "name: ral\n" in str(config) and list(config.hydra.overrides.task) == settings


def test_runs_follow_one_another_in_a_notebook(
    tmp_path: Path, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a running event loop and a kernel's arguments, or in a thread, with folders and results of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kernel", "-f", "kernel.json", "--profile"])
    config = ral.compose("algo=ral", *small, "logger=jsonl", "eval.every=0")

    config.settings.max_steps = 1
    config.settings.algo.updates_per_rollout = 2

    async def cell() -> Any:
        return ral.train(config)

    first, found = asyncio.run(cell()), list[Any]()
    work = threading.Thread(target=lambda: found.append(ral.train(config)))
    work.start()
    work.join()
    (second,) = found
    assert first.folder != second.folder and first.folder.is_relative_to(tmp_path / "outputs")
    for run in (first, second):
        assert run.best == 0.0 and run.metrics[-1]["step"] == 1
        assert run.checkpoint == run.folder / "checkpoints" / "step_000001" and run.report.is_file()
        assert "algo=ral" in (run.folder / ".hydra" / "overrides.yaml").read_text()
    rewards = [[x["train/reward"] for x in run.metrics if "train/reward" in x] for run in (first, second)]
    assert rewards[0] == rewards[1] and len(rewards[0]) == 1
    assert ral.load(second.model).depth == 3 and not HydraConfig.initialized()
    with pytest.raises(ral.UserError, match=r"holds a run already .* write resume=auto"):
        ral.train(ral.compose("algo=ral", *small, f"hydra.run.dir={first.folder}"))


def test_an_interrupt_is_one(small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(cfg: Any) -> None:
        raise SystemExit(130)

    monkeypatch.setattr("ral.run.train", stopped)
    with pytest.raises(KeyboardInterrupt):
        ral.train(ral.compose(*small, f"hydra.run.dir={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists() and not HydraConfig.initialized()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["algo=rall"], r"algo=rall: conf/algo has no 'rall'; did you mean ral"),
        (["max_stepz=3"], "unknown key max_stepz; did you mean max_steps"),
        (["max_steps=0"], "max_steps=0 is too small"),
        (["resume=true"], "^resume=true has the wrong type: a folder, auto or null expected"),
        (["name=1"], "as text it is typed 'name="),
        (["hardware.devices=2", "hardware.strategy=ddp"], "ral.train is one process"),
        (["algo=grpo", "algo.attention.coef=1"], "algo=grpo has no attention term"),
        (
            ["algo=dapo", "algo.kl.coef=0.1"],
            r"^algo.kl.coef=0.1 is without effect: .*; write 'algo.objective",
        ),
    ],
)
def test_mistakes_are_one_line(settings: list[str], says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["kernel", "-f", "kernel.json", "--no-such-flag"])
    with pytest.raises(ral.UserError, match=says) as caught:
        ral.train(ral.compose(*settings))
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_configuration_of_another_program_is_named() -> None:
    with pytest.raises(ral.UserError, match=r"one of train.py: write ral.compose\(..., task='evaluate'\)"):
        ral.evaluate(ral.compose())
    with pytest.raises(ral.UserError, match="'evaluate'"):
        ral.compose(task=typing.cast(Any, "evaluation"))
    with pytest.raises(ral.UserError, match=r"write ral.train\(ral.compose"):
        ral.train(typing.cast(Any, "algo=ral"))


def test_evaluations_and_knock_outs_give_their_results(tmp_path: Path, data_folder: Path) -> None:
    found = ral.evaluate(ral.compose("limit=4", f"output={tmp_path / 'eval'}", task="evaluate"))
    (summary,) = found.content.values()
    assert found.folder == tmp_path / "eval" and summary["n"] == 4 and 0 <= summary["accuracy"] <= 1
    asked = ["checkpoint=assets/tiny_teacher", f"dataset.path={data_folder / 'asked'}", "limit=4", "cut=[evidence]"]
    small = "dataset.source.sizes={sft: 8, train: 8, validation: 24, test: 8}"
    cut = ral.knockout(ral.compose(*asked, small, f"output={tmp_path / 'cut'}", task="knockout"))
    assert cut.content == json.loads((tmp_path / "cut" / "results.json").read_text()) and cut.content["n"] == 4


def test_answers_have_rows_and_a_picture() -> None:
    model = ral.load()
    answers = ral.sample(model, QUESTION, image=PICTURE, count=4, evidence=(0, 0.5, 0.25, 0.75))
    assert len(answers.texts) == 4 and all("<answer>" in text for text in answers.texts)
    assert ral.sample(model, QUESTION, image=str(PICTURE), count=4, seed=0).texts == answers.texts
    assert ral.sample(model, QUESTION, image=PICTURE, count=4, seed=1).texts != answers.texts
    rows, counted = ral.attention_rows(answers), answers.rollout.trainable
    assert rows.shape == (*counted.shape, answers.prepared.valid.shape[1] + counted.shape[1])
    assert torch.allclose(rows.sum(-1), counted.float(), atol=1e-5)
    visual = ral.attention_rows(answers, layer=1, keys="visual", heads=[0], query="previous")
    elsewhere = torch.cat([~answers.prepared.visual[0], torch.ones(counted.shape[1], dtype=torch.bool)])
    assert not bool(visual[..., elsewhere].any()) and torch.allclose(visual.sum(-1), counted.float(), atol=1e-5)
    last, second = ral.overlay(answers, 1), ral.overlay(answers, 1, layer=1)
    assert isinstance(last, Image.Image) and last.tobytes() != second.tobytes()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m, a: ral.sample(m, QUESTION), "write image=<file> or video=<file>"),
        (lambda m, a: ral.sample(m, QUESTION, image="none.png"), "none.png: no such file"),
        (lambda m, a: ral.sample(m, QUESTION, image=PICTURE, count=0), "count=0 is too small"),
        (lambda m, a: ral.attention_rows(a, layer=9), "layer 9, but the model has 4 layers"),
        (lambda m, a: ral.attention_rows(a, heads=[99]), "^heads names head 99"),
        (lambda m, a: ral.overlay(a, number=3), "number=3: there are 1 answers"),
    ],
)
def test_what_cannot_be_asked_is_one_line(call: Any, says: str) -> None:
    model = ral.load()
    answers = ral.sample(model, QUESTION, image=PICTURE, count=1)
    with pytest.raises(ral.UserError, match=says):
        call(model, answers)


def cells() -> list[str]:
    """The notebook's code."""
    found = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell.get("outputs") for cell in found)
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_folder: Path) -> None:
    """Its cells one after another, where a notebook runs them, with a picture as the value of those that draw."""
    code = cells()
    assert sum(len(text.splitlines()) for text in code) <= 25
    (tmp_path / "shapes.png").write_bytes(PICTURE.read_bytes())
    monkeypatch.chdir(tmp_path)
    made = 'ral.compose("algo=ral", "max_steps=3", '
    assert any(made in text for text in code)
    sizes = '"dataset.source.sizes={sft: 8, train: 64, validation: 16, test: 8}", '
    names: dict[str, Any] = {}
    values = []
    for text in code:
        tree = ast.parse(text.replace(made, f'{made}"dataset.path={data_folder / "notebook"}", {sizes}'))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        values.append(last and eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    assert sum(isinstance(value, Image.Image) for value in values) == 2
    assert names["rows"].shape[0] == 8 and len(names["again"].texts) == 8
    assert [line["step"] for line in names["run"].metrics if "train/reward" in line] == [1, 2, 3]


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    (tmp_path / "shapes.png").write_bytes(PICTURE.read_bytes())
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert sum("image/png" in out.get("data", {}) for out in outputs) == 2
