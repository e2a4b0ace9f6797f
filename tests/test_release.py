"""What is handed on: one version everywhere, a wheel that works without a checkout, model cards, the hub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from conftest import ENVIRONMENT, ROOT, load_script, train_in
from huggingface_hub import ModelCard

import ral
from ral.errors import UserError
from ral.report import hub
from ral.report.card import CARD, FIGURE, MARK, command, render, write_card
from ral.report.reading import read_run


def test_one_version_stands_everywhere() -> None:
    """The package's own, which pyproject.toml takes over, that of the citation, and the newest of the changelog."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "ral.__version__"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## (\d+\.\d+\.\d+)(?: - (\S+))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert (citation["version"], str(citation["date-released"])) == released[0]
    assert ral.__version__ == released[0][0]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, small: list[str]) -> Path:
    """A run of one step of the tests' model."""
    return train_in(tmp_path_factory.mktemp("release") / "run", "algo=grpo", *small, "max_steps=1", "eval.every=0")


def test_a_run_leaves_a_card_that_the_hub_reads(done: Path) -> None:
    card = ModelCard.load(done / "hf" / CARD)
    assert card.data.library_name == "transformers" and card.data.pipeline_tag == "image-text-to-text"
    assert card.data.tags == ["ral", "reinforcement-learning", "grpo"] and card.data.license is None
    assert (done / "hf" / FIGURE).read_bytes().startswith(b"\x89PNG") and f"]({FIGURE})" in card.text
    rows = re.findall(r"^\| all items \| 4 \| \d+\.\d% \(\d+\.\d% to .*$", card.text, re.MULTILINE)
    assert len(rows) == 1 and "\n| steps | 1 |\n" in card.text and "\n| objective | token, kl |\n" in card.text
    assert "That of the model it was trained from" in card.text and "UndefinedError" not in card.text


def test_the_command_is_what_was_typed_without_secrets(tmp_path: Path, done: Path) -> None:
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / "config.yaml").write_text("name: mine\nmodel: {pretrained: assets/tiny}\n")
    typed = [
        "algo=ral",
        f"dataset.path={Path.home()}/data/a b.json",
        "judge.api_key=sk-123",
        "algo.token.coef=2",
    ]
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(typed))
    found = command(read_run(run))
    assert found == "python train.py algo=ral 'dataset.path=~/data/a b.json' judge.api_key=... algo.token.coef=2"
    text = render(read_run(run), None)
    assert "license: apache-2.0" in text and "not evaluated" in text and "## Results" not in text
    assert "license: mit\n" in render(read_run(run), None, "mit")
    assert "pipeline_tag" not in render(read_run(run), None, scores=True)
    (run / "config.yaml").write_text("model: {pretrained: Qwen/Qwen2.5-VL-3B-Instruct}\n")
    assert "base_model: Qwen/Qwen2.5-VL-3B-Instruct\n" in render(read_run(run), None)


def test_a_card_of_a_person_stays(done: Path, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("# Mine\n")
    assert write_card(done, tmp_path).read_text() == "# Mine\n"
    (tmp_path / CARD).write_text(f"<!-- {MARK} -->")
    assert write_card(done, tmp_path, "mit").read_text().startswith("---\nlicense: mit\n")


class Hub:
    """A hub that notes what it is sent."""

    sent: ClassVar[list[Any]] = []

    def __init__(self, **_: Any) -> None: ...

    def create_repo(self, repo: str, private: bool, exist_ok: bool) -> str:
        self.sent.append((repo, private))
        return f"https://huggingface.co/{repo}"

    def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
        if repo_id.startswith("full"):
            raise OSError("no room\nat all")
        self.sent.append(sorted(path.name for path in folder_path.iterdir()))


def publish(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["publish.py", *arguments])
    load_script("publish").main()


def test_a_dry_run_sends_nothing_and_an_upload_all_that_it_lists(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    publish(str(done), "--repo", "me/mine", monkeypatch=monkeypatch)
    said = capsys.readouterr().out
    assert said.endswith("nothing was sent: add --upload\n") and Hub.sent == []
    listed = re.findall(r"^  (\S+)  [\d.]+ k?M?B$", said, re.MULTILINE)
    assert {"model.safetensors", CARD, FIGURE, "config.json"} <= set(listed)
    with pytest.raises(SystemExit, match=r"^error: no token for the hub: run `hf auth login`"):
        publish(str(done), "--repo", "me/mine", "--upload", monkeypatch=monkeypatch)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    publish(str(done), "--repo", "me/mine", "--upload", "--private", "--license", "mit", monkeypatch=monkeypatch)
    assert Hub.sent == [("me/mine", True), listed]
    assert "published: https://huggingface.co/me/mine" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"full/mine: not uploaded \(no room\)"):
        publish(str(done), "--repo", "full/mine", "--upload", monkeypatch=monkeypatch)


def test_what_cannot_be_published_is_one_line(done: Path, tmp_path: Path) -> None:
    for run, repo, says in (
        (done, "mine", "--repo mine: write <user or organisation>/<name>"),
        (tmp_path / "none", "me/mine", "no such folder"),
        (tmp_path, "me/mine", "no trained model"),
    ):
        with pytest.raises(UserError, match=says):
            hub.prepare(run, repo)


def called(*command: str | Path, cwd: Path) -> str:
    own = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=own, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sdist_and_wheel_work_without_a_checkout(tmp_path: Path) -> None:
    """Built from what git would commit, installed alone: data, configuration and model come from the package."""
    listed = called("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes((ROOT / name).read_bytes())
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    called(sys.executable, "-c", build, cwd=tmp_path / "source")
    sdist = f"ral-{ral.__version__}.tar.gz"
    with tarfile.open(tmp_path / sdist) as packed:
        assert not [name for name in packed.getnames() if "/tests/" in name], "a part of the tests, which would not run"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    called(*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index", tmp_path / sdist, cwd=tmp_path)
    called(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh", cwd=tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    wheel = f"ral-{ral.__version__}-py3-none-any.whl"
    called(*pip, "--python", python, "install", "-q", "--no-deps", "--no-index", tmp_path / wheel, cwd=tmp_path)
    site = next((tmp_path / "fresh").glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + os.linesep)  # those that ral needs
    code = (
        "import ral; sizes = 'dataset.source.sizes={sft: 8, train: 8, validation: 4, test: 4}'\n"
        "config = ral.compose('algo=ral', 'max_steps=1', 'eval.every=0', 'logger=jsonl', sizes)\n"
        "run = ral.train(config); print(ral.__file__, ral.__version__, run.model, ral.load(run.model).depth)"
    )
    where, version, model, depth = called(python, "-c", code, cwd=tmp_path).splitlines()[-1].split()
    assert Path(where).is_relative_to(site) and version == ral.__version__ and depth == "4"
    assert (Path(model) / CARD).is_file() and Path(model).is_relative_to(tmp_path / "outputs")
