"""A file of one's own as a benchmark, and models that are asked as they were trained, whatever program asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch
import yaml
from commands import Done, evaluate_here
from conftest import CONF, train_in
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image

from ral.config.as_trained import as_trained, asked_otherwise, dataset_as_trained
from ral.config.exploring import beside
from ral.ending import held_out_line
from ral.evaluating import settings_of
from ral.evaluation.attention_map import complete, said_of
from ral.evaluation.benchmarks.own import jsonl
from ral.files.trained_as import MEDIA, SIZE, trained_as
from ral.learner.start_check import StartCheck
from ral.study.side_by_side import OWN
from ral.types import Rollout, Scores
from ral.viewing.questions import own_settings

TINY = CONF.parent / "assets/tiny"
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 255, 0)}


def own_file(folder: Path, count: int = 10) -> Path:
    """Entries in two formats: a question with options, and a conversation of LLaVA's."""
    rows: list[dict[str, Any]] = []
    for n in range(count):
        colour = list(COLOURS)[n % 3]
        Image.new("RGB", (56, 56), COLOURS[colour]).save(folder / f"{n}.png")
        turns = [{"from": "human", "value": "<image>\nWhat color is it?"}, {"from": "gpt", "value": colour}]
        asked = {"question": "What color is it?", "options": list(COLOURS), "answer": colour}
        rows.append({"id": n, "image": f"{n}.png", **({"conversations": turns} if n % 2 else asked)})
    path = folder / "held.json"
    path.write_text(json.dumps(rows))
    return path


def run_folder(folder: Path, *, thinking: bool = True, template: str = "think", pixels: int = 3136) -> Path:
    """A run's folder with the shipped model as its hf/."""
    folder.mkdir()
    (folder / "hf").symlink_to(TINY)
    media = dict(zip(MEDIA, (1.0, 4, pixels, 4 * pixels, pixels, 2 * pixels), strict=True))
    dataset = {"templates": {"think": template, "zero": "zero"}, "media": media, "max_new_tokens": 9}
    (folder / "config.yaml").write_text(yaml.safe_dump({"algo": {"thinking": thinking}, "dataset": dataset}))
    return folder


Call = Callable[..., Done]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """evaluate.py in this process, in the test's own folder."""
    return evaluate_here(monkeypatch, capsys, tmp_path)


def test_every_entry_of_an_own_file_is_an_item(tmp_path: Path) -> None:
    path = own_file(tmp_path)
    whole, held = jsonl(path, unpacked=tmp_path / "u"), jsonl(path, split="validation", unpacked=tmp_path / "u")
    assert [whole[n].example.answer for n in range(3)] == ["A", "blue", "C"] and len(whole) == 10
    assert [whole[n].group for n in range(2)] == ["multiple choice", "free-form"]
    assert [item.example.uid for item in held[:]] == ["held-8", "held-9"]
    assert [item.example.uid for item in jsonl(path, split="validation", validation_size=1)[:]] == ["held-9"]


def test_a_runs_model_scores_on_its_own_file_as_in_training(call: Call, tmp_path: Path) -> None:
    """The wording, pixels and length limit of the run, none of them the defaults, without a word."""
    own_file(tmp_path)
    data = ("dataset=jsonl", f"dataset.path={tmp_path / 'held.json'}", "dataset.source.unpacked=u")
    look = ("dataset.templates.think=mini", "dataset.media.image_min_pixels=3136", "dataset.max_new_tokens=20")
    steps = ("algo=sft", "algo.thinking=false", "max_steps=1", "algo.prompts_per_step=2", "eval.before=false")
    zero = "dataset.templates.zero=mini"
    folder = train_in(tmp_path / "run", *data, *look, *steps, zero, "viewer=false", report=False)
    trained = [json.loads(line) for line in (folder / "eval/after.jsonl").read_text().splitlines()]
    done = call(
        f"checkpoint={folder / 'hf'}",
        "benchmark=jsonl",
        "benchmark.path=held.json",
        "benchmark.tasks.jsonl.source.split=validation",
        "output=o",
    )
    assert done.returncode == 0, done.stderr
    items = [json.loads(line) for line in Path("o/items.jsonl").read_text().splitlines()]
    assert [(i["uid"], i["response"], i["score"]) for i in items] == [
        (line["uid"], line["response"], line["accuracy"]) for line in trained
    ]
    assert "jsonl: asked with template=mini, pictures of 3,136 to 4,014,080 pixels" in done.stderr
    assert done.stdout.splitlines()[-1].endswith("n: 2")


def evaluation(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("evaluate", [*overrides, "benchmark.path=x"])


def test_what_a_run_was_trained_with_is_used_but_for_what_is_typed(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", template="short")
    cfg, said = as_trained(evaluation(f"checkpoint={folder / 'hf'}", "benchmark=jsonl"), [])
    line = said["jsonl"]
    task = cfg.benchmark.tasks.jsonl
    assert (task.template, task.max_new_tokens, task.media.image_min_pixels, task.media.max_frames) == (
        "short",
        9,
        3136,
        4,
    )
    assert line.endswith(f"frames of 3,136 to 6,272 pixels: as trained by {folder / 'config.yaml'}")
    typed = ("template=mini", "media.image_min_pixels=784", "max_new_tokens=5")
    own = evaluation(f"checkpoint={folder / 'hf'}", "benchmark=jsonl", *typed)
    cfg, said = as_trained(own, [o.partition("=")[0] for o in typed])
    line = said["jsonl"]
    assert (
        cfg.template == "mini" and cfg.max_new_tokens == 5 and "image_min_pixels" not in cfg.benchmark.tasks.jsonl.media
    )
    assert line.endswith(f"{folder / 'config.yaml'}, but for template, image_min_pixels")


def test_a_runs_own_file_is_read_as_the_run_read_it(tmp_path: Path) -> None:
    """Its media_root and what it holds out, here and in the viewer; other files and what is typed stay as given."""
    folder = run_folder(tmp_path / "run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["dataset"] |= {"path": "x", "validation_path": "~/held", "media_root": "/pictures"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"dataset": config["dataset"] | {"source": {SIZE: 7}}}))
    own = evaluation(f"checkpoint={folder / 'hf'}", "benchmark=jsonl")
    key = "benchmark.tasks.jsonl.source"
    for path in ("x", str(Path.cwd() / "x"), str(Path.home() / "held")):
        cfg, said = as_trained(own, [], {"jsonl": path})
        assert cfg.benchmark.tasks.jsonl.source.media_root == "/pictures"
        assert said["jsonl"].endswith(f"; its file is read as there: {key}.media_root=/pictures {key}.{SIZE}=7")
    cfg, said = as_trained(own, [f"{key}.media_root"], {"jsonl": "x"})
    assert cfg.benchmark.tasks.jsonl.source.media_root is None and said["jsonl"].endswith(f"as there: {key}.{SIZE}=7")
    for paths in ({"jsonl": "other"}, None):
        cfg, said = as_trained(own, [], paths)
        assert cfg.benchmark.tasks.jsonl.source == own.benchmark.tasks.jsonl.source and "read as" not in said["jsonl"]
    for path, held in (("x", str(Path.home() / "held")), (str(Path.home() / "held"), None)):
        seen, line = dataset_as_trained(
            explored(f"checkpoint={folder / 'hf'}", "dataset=jsonl", f"dataset.path={path}"), []
        )
        assert (seen.dataset.source.media_root, seen.dataset.source[SIZE]) == ("/pictures", 7)
        assert seen.dataset.source.validation_path == held and "read as there: dataset.media_root=/pictures" in line
    assert dataset_as_trained(explored(f"checkpoint={folder / 'hf'}"), [])[0].dataset.media_root is None
    assert trained_as("assets/tiny").read_by("outputs/data/visual_search") == {}


def test_a_file_that_is_not_the_runs_is_offered_its_media_root(call: Call, tmp_path: Path) -> None:
    """Nothing is taken in silence: the line has the whole of what to type."""
    folder = run_folder(tmp_path / "run")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["dataset"] |= {"path": "x", "media_root": str(tmp_path / "pictures")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    own_file(tmp_path, 1)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "0.png").rename(tmp_path / "pictures" / "0.png")
    settings = (f"checkpoint={folder / 'hf'}", "benchmark=jsonl", "benchmark.path=held.json", "output=o")
    line = call(*settings).stderr.splitlines()[-1]
    *_, way = line.removesuffix(", as in training").split()
    assert way == f"benchmark.tasks.jsonl.source.media_root={tmp_path / 'pictures'}"
    assert call(*settings, way).stdout.splitlines()[-1].endswith("n: 1")


def test_before_and_after_a_run_on_a_file_of_ones_own_are_asked_alike(tmp_path: Path) -> None:
    """A model that nothing is known of, and a run from it with the settings of dataset=jsonl."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        trained = compose("train", ["dataset=jsonl", "dataset.path=/data.json", "algo=ral"])
    (tmp_path / "run" / "hf").mkdir(parents=True)
    (tmp_path / "model").mkdir()
    OmegaConf.save(trained, tmp_path / "run" / "config.yaml")
    asked = {}
    for name in ("model", "run/hf"):
        cfg, _ = as_trained(evaluation(f"checkpoint={tmp_path / name}", "benchmark=jsonl"), [], {"jsonl": "/held.json"})
        settings = settings_of(cfg, "jsonl")
        asked[name] = {key: value for key, value in settings.items() if key not in OWN}
    assert asked["model"] == asked["run/hf"] and asked["model"]["max_new_tokens"] == 768


def test_a_published_benchmark_keeps_its_settings_and_says_what_training_had(tmp_path: Path) -> None:
    cfg = evaluation(f"checkpoint={run_folder(tmp_path / 'run') / 'hf'}", "benchmark=vstar")
    found, said = as_trained(cfg, [])
    line = said["vstar"]
    assert OmegaConf.to_container(found) == OmegaConf.to_container(cfg)
    assert line.startswith("warning: vstar: the model was trained with template think (here as_asked)")
    assert "image_min_pixels 3136 (here 100352)" in line
    assert "to ask as in training: template=think media.max_frames=4 media.image_min_pixels=3136" in line


def test_nothing_is_made_up_where_nothing_is_known(tmp_path: Path) -> None:
    """A hub id, a folder without a run, a config.yaml of something else; the shipped models are known."""
    (tmp_path / "hf").mkdir()
    assert trained_as("Qwen/Qwen2.5-VL-7B-Instruct") is None and trained_as(str(tmp_path / "hf")) is None
    (tmp_path / "config.yaml").write_text("a: [1\n")
    assert trained_as(str(tmp_path / "hf")) is None
    cfg, said = as_trained(evaluation(f"checkpoint={tmp_path / 'hf'}", "benchmark=jsonl"), [])
    line = said["jsonl"]
    assert cfg.benchmark.tasks.jsonl.template == "think"
    assert line.endswith("nothing beside the checkpoint says how it was trained")
    shipped = trained_as("assets/tiny")
    assert shipped is not None and shipped.template == "mini" and shipped.media["image_min_pixels"] == 784
    path = trained_as("assets/path_student")
    assert path is not None and path.max_new_tokens == 64
    zero = trained_as(str(run_folder(tmp_path / "zero", thinking=False) / "hf"))
    assert zero is not None and zero.template == "zero"


# --- the programs that ask about single questions


def test_one_s_own_question_is_asked_as_the_checkpoint_was_trained(tmp_path: Path) -> None:
    checkpoint = str(run_folder(tmp_path / "run", template="short") / "hf")
    asked = {"checkpoint": checkpoint, "question": "x"}
    picture = complete({**asked, "image": "a.png"})
    assert said_of(picture) == "template=short, a picture of 3,136 to 12,544 pixels" and picture["max_frames"] == "4"
    typed = complete({**asked, "video": "a.mp4", "template": "zero", "min_pixels": "784"})
    assert said_of(typed) == "template=zero, a frame of 784 to 6,272 pixels"
    unknown = complete({**asked, "checkpoint": "a/b", "image": "a.png"})
    assert said_of(unknown) == "template=as_asked, a picture of 784 to 4,014,080 pixels"
    assert unknown["max_frames"] == "128"


def test_two_models_are_asked_as_the_one_after_was_trained(tmp_path: Path) -> None:
    """In the viewer as in the attention map; as the other one, where nothing is known of that."""
    run, other = (str(run_folder(tmp_path / t, template=t) / "hf") for t in ("short", "mini"))
    for after, before, template in ((run, "a/b", "short"), ("a/b", run, "short"), (run, other, "short")):
        own = ("question=x", "image=a.png", f"checkpoint={after}", f"before={before}")
        asked = complete({"checkpoint": before, "checkpoint2": after, "question": "x", "image": "a.png"})
        assert asked["template"] == own_settings(explored(*own))["template"] == template
        cfg, line = dataset_as_trained(explored(f"checkpoint={after}", f"before={before}"), [])
        assert cfg.dataset.templates.think == template and f"asked with template={template}" in line
    assert own_settings(explored("question=x", "image=a.png", f"checkpoint={run}"))["template"] == "short"


def explored(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("explore", list(overrides))


def test_a_datasets_questions_are_asked_as_the_checkpoint_was_trained(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", template="short", thinking=False)
    own = explored(f"checkpoint={folder / 'hf'}", "dataset.media.image_min_pixels=784")
    cfg, line = dataset_as_trained(own, ["dataset.media.image_min_pixels"])
    assert (cfg.dataset.templates.think, cfg.thinking, cfg.dataset.media.image_max_pixels) == ("short", False, 12544)
    assert "template=zero, pictures of 784 to 12,544 pixels" in line
    assert line.endswith(f"as trained by {folder / 'config.yaml'}, but for image_min_pixels")
    assert dataset_as_trained(own, ["thinking"])[0].thinking and not OmegaConf.is_missing(own, "dataset")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["image=a.png", "dataset.media.image_min_pixels=784"], "write min_pixels=<value>"),
        (["video=a.mp4", "split=train"], "split is not read where video=a.mp4 asks: leave out split"),
        (["run=outputs/x", "question=x"], "question is not read where run=outputs/x asks"),
        (["min_pixels=784"], "write dataset.media.image_min_pixels=<value>, or add image=<file>"),
        (["image=a.png", "question=x", "min_pixels=784", "max_frames=4"], None),
        (["dataset.media.image_min_pixels=784", "limit=3", "dataset=visual_path"], None),
    ],
)
def test_settings_that_the_viewer_would_not_read_are_refused(typed: list[str], said: str | None) -> None:
    found = beside(dict(explored(*typed)), [one.partition("=")[0] for one in typed])
    assert (found is None) if said is None else said in found


# --- a run


def training(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", ["dataset=jsonl", "dataset.path=x", *overrides])


def test_a_run_is_told_of_wording_and_pixels_that_its_model_does_not_know(tmp_path: Path) -> None:
    line = asked_otherwise(training())
    assert line.startswith("model.pretrained=assets/tiny was trained with template mini (here think)")
    assert "image_min_pixels 784 (here 100352)" in line
    write = line.partition("to ask as then: ")[2].split()
    assert write == [
        "dataset.templates.think=mini",
        "dataset.media.image_min_pixels=784",
        "dataset.media.video_min_pixels=784",
    ]
    assert asked_otherwise(training(*write)) == ""
    assert asked_otherwise(training(*write, "algo=ral_zero", "dataset.templates.zero=mini_zero")) == ""
    assert asked_otherwise(training("model.pretrained=Qwen/Qwen2.5-VL-7B-Instruct")) == ""


def test_the_check_at_the_start_says_so_beside_other_warnings_alone() -> None:
    shown: list[list[str]] = []
    check = StartCheck(SimpleNamespace(), first_rank=True, asked="asked otherwise")  # type: ignore[arg-type]
    with (
        patch.object(check, "show", lambda rollout, scores, warnings: shown.append(warnings)),
        patch("ral.learner.start_check.as_seen", lambda prompts, processor: prompts),
    ):
        for rewards in ([0.1, 0.1], [0.0, 1.0]):
            check.shown = False
            values = torch.tensor(rewards)
            prompts = SimpleNamespace(examples=())
            ids = torch.zeros(2, 1, dtype=torch.int64)
            reasons: Any = ("stop", "stop")
            texts = ("<think>a</think><answer>b</answer>",) * 2
            rollout = Rollout(prompts, ids, ids == 0, ids == 0, texts, reasons, 2)  # type: ignore[arg-type]
            check(rollout, Scores(values, {"accuracy": values - 0.1, "format": torch.ones(2)}))
    first, second = shown
    assert first[0].startswith("all 2 rewards are 0.1: no answer is right") and first[-1] == "asked otherwise"
    assert second == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            [{"accuracy": 0.0}, {"accuracy": 1.0}],
            [{"accuracy": 1.0}, {"accuracy": 1.0}],
            "accuracy, %: 50.0 -> 100.0 (n=2)",
        ),
        (None, [{"accuracy": 0.5}], "accuracy, %: 50.0 (n=1)"),
        ([{"accuracy": 0.0}, {"accuracy": 0.0}], [{"accuracy": 0.25}], "accuracy, %: 0.0 -> 25.0 (n=2, 1)"),
        ([{"reward": 0.1}], [{"reward": 0.25}], "reward: 0.100 -> 0.250 (n=1)"),
        ([{"accuracy": 0.0}], None, None),
    ],
)
def test_a_finished_run_says_what_it_gained(before: Any, after: Any, said: str | None, tmp_path: Path) -> None:
    (tmp_path / "eval").mkdir()
    for name, lines in (("before", before), ("after", after)):
        if lines is not None:
            (tmp_path / f"eval/{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert held_out_line(tmp_path) == (None if said is None else f"held-out {said}")
