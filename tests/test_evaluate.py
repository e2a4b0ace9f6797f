"""evaluate.py on the shipped model: results, resumption after a kill, errors in one line, unreadable items."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import Done, evaluate_here
from conftest import CONF, train_in
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.evaluating import path_of
from ral.evaluation.benchmarks.changed import drop_changed, item_hash, tell_changed
from ral.evaluation.benchmarks.items import Item, accuracy
from ral.evaluation.benchmarks.items_file import Answered, append, check_settings, read
from ral.evaluation.benchmarks.own import OwnItems, bare_words, judge, video_r1
from ral.evaluation.benchmarks.table import Result, reported, table
from ral.report.summary import bootstrap
from ral.types import Example, Media, UserError

ROOT = CONF.parent
KNOBS = "benchmark.tasks.visual_search.source"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def command(data: Path, output: Path, *settings: str) -> list[str]:
    """32 items of the shipped model's own data, made below `data`."""
    small = (f"{KNOBS}.sizes={{validation: 32, test: 4}}", "limit=32", "batch=4", "threads=1")
    given = (f"benchmark.path={data}", f"output={output}", *small, *settings)
    return [sys.executable, str(ROOT / "evaluate.py"), *given]


Call = Callable[..., Done]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """evaluate.py in this process, in the test's own folder."""
    return evaluate_here(monkeypatch, capsys, tmp_path)


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    done = subprocess.run(command(data, folder), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    summary = json.loads((folder / "summary.json").read_text())
    assert done.stdout.splitlines()[-1] == f"accuracy: {100 * summary['accuracy']:.1f} n: 32"
    return folder


def items_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def test_the_files_say_what_was_measured(whole: Path) -> None:
    summary, items = json.loads((whole / "summary.json").read_text()), items_of(whole)
    assert [item["index"] for item in items] == list(range(32))
    assert summary["accuracy"] == pytest.approx(np.mean([item["score"] for item in items])) and summary["accuracy"] > 0
    assert summary["ci_low"] < summary["accuracy"] < summary["ci_high"] and summary["n"] == 32
    groups = summary["by_type"]
    assert sum(g["n"] for g in groups.values()) == 32 and len(groups) == 5
    own = [item["score"] for item in items if item["group"] == "free-form"]
    assert groups["free-form"] == {"accuracy": pytest.approx(np.mean(own)), "n": len(own)}
    assert {"template": "mini", "greedy": True, "batch": 4}.items() <= summary["settings"].items()
    assert summary["settings"]["media"]["max_frames"] == 128 and summary["settings"]["media"]["image_min_pixels"] == 784
    assert all(item["answer"] in item["response"] and item["prompt"].startswith("<|im_start|>user") for item in items)
    assert f"| assets/tiny | {100 * summary['accuracy']:.1f} |" in (whole / "results.md").read_text()


def test_a_killed_evaluation_goes_on_to_the_same_summary(call: Call, data: Path, whole: Path, tmp_path: Path) -> None:
    """SIGKILL after a random number of lines, and a torn line on top."""
    output, wanted = tmp_path / "out", random.randint(1, 16)
    process = subprocess.Popen(command(data, output), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    path, deadline = output / "items.jsonl", time.monotonic() + 100
    while not path.exists() or path.read_bytes().count(b"\n") < wanted:
        assert process.poll() in (None, 0) and time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: max(1, len(lines) - 2)]) + lines[-1][:30])  # part of a batch, and a torn line
    kept = path.read_bytes().count(b"\n")
    (output / "summary.json").unlink(missing_ok=True)  # the kill came late, on a busy machine
    assert 0 < kept < 32
    done = call(*command(data, output)[2:])
    assert done.returncode == 0, done.stderr
    assert (output / "summary.json").read_text() == (whole / "summary.json").read_text()
    untimed = [[{k: v for k, v in i.items() if k != "seconds"} for i in items_of(f)] for f in (output, whole)]
    assert sorted(untimed[0], key=lambda i: i["index"]) == untimed[1]


def test_other_settings_are_refused_in_a_used_folder(call: Call, data: Path, whole: Path) -> None:
    before = (whole / "items.jsonl").read_bytes()
    done = call(*command(data, whole, "batch=8")[2:])
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert "batch=4, and now it is 8" in done.stderr and "another output=<folder>" in done.stderr
    assert (whole / "items.jsonl").read_bytes() == before


def write_video_r1(folder: Path, count: int, bad: int) -> Path:
    """eval_toy.json: `count` entries about made pictures, the first `bad` of them without a file."""
    from PIL import Image

    folder.mkdir()
    entries = []
    for n in range(count):
        entry = {"problem_id": n, "problem": "What color is the star?", "data_type": "image", "options": []}
        entries.append(entry | {"problem_type": "free-form", "solution": "<answer>red</answer>", "path": f"./{n}.png"})
        if n >= bad:
            Image.new("RGB", (112, 112), "red").save(folder / f"{n}.png")
    (folder / "eval_toy.json").write_text(json.dumps(entries))
    return folder


def test_items_that_cannot_be_read_count_as_wrong(call: Call, tmp_path: Path) -> None:
    folder = write_video_r1(tmp_path / "v", 6, bad=2)
    settings = (
        "benchmark=video_r1",
        f"benchmark.path={folder}",
        "batch=3",
        "max_new_tokens=4",
        "media.image_min_pixels=784",
    )
    done = call(*settings, "template=mini", f"output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    summary, items = json.loads((tmp_path / "out/summary.json").read_text()), items_of(tmp_path / "out")
    assert (
        summary["n"] == 6
        and summary["errors"] == 2
        and summary["by_type"].keys() == {"toy"} | ({""} & {i["group"] for i in items})
    )
    assert ["no such file" in (i["error"] or "") for i in items] == [True, True, False, False, False, False]
    assert all(i["score"] == 0 for i in items[:2]) and "2 of 6 items could not be asked" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" n: 6")
    # mended, they are asked again
    for n in range(2):
        (folder / f"{n}.png").write_bytes((folder / "5.png").read_bytes())
    again = call(*settings, "template=mini", f"output={tmp_path / 'out'}")
    assert again.returncode == 0 and json.loads((tmp_path / "out/summary.json").read_text())["errors"] == 0


def changed(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    file = folder / "eval_toy.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def test_answers_to_items_that_changed_are_asked_again(call: Call, tmp_path: Path) -> None:
    """A gold answer changed, an entry put in front, one taken away: the other answers stay, at their new places."""
    folder, output = write_video_r1(tmp_path / "v", 5, bad=0), tmp_path / "out"
    small = ("template=mini", "batch=2", "max_new_tokens=4", "media.image_min_pixels=784")
    settings = ("benchmark=video_r1", f"benchmark.path={folder}", f"output={output}", *small)
    assert call(*settings).returncode == 0
    first = {item["uid"]: item for item in items_of(output)}
    again = call(*settings)
    assert again.returncode == 0 and "changed" not in again.stderr
    mark = "as it was answered"
    lines = [item | {"response": mark} for item in first.values()]
    (output / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def change(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        new = {**entries[0], "problem_id": 9, "problem": "What color is the moon?"}
        return [new, entries[0], entries[2], {**entries[3], "solution": "<answer>blue</answer>"}, entries[4]]

    changed(folder, change)
    done = call(*settings)
    assert done.returncode == 0, done.stderr
    assert f"warning: the benchmark's files have changed since {output / 'items.jsonl'} was begun" in done.stderr
    assert "3 of 5 answers are to items that are as they were and stay, 2 items are asked" in done.stderr
    found = sorted(items_of(output), key=lambda item: item["index"])
    assert [item["response"] == mark for item in found] == [False, True, True, False, True]
    assert [item["index"] for item in found] == list(range(5)) and found[3]["gold"] == "blue"
    assert [item["uid"] for item in found[1:]] == [list(first)[n] for n in (0, 2, 3, 4)]
    assert "changed" not in call(*settings).stderr


def test_sampled_answers_stay_only_under_their_own_name(tmp_path: Path) -> None:
    items = [Item(Example(f"u{n}", f"q{n % 2}", "a", "free-form")) for n in range(4)]
    path = tmp_path / "items.jsonl"
    append(path, [replace(answered(n, 1.0), uid=f"u{n}", facts={"item_hash": item_hash(items[n])}) for n in (0, 1)])
    before = path.read_bytes()
    assert "1 of 2 answers" in drop_changed([items[0], items[3]], 2, path, by_uid=True)
    assert [item.uid for item in read(path)] == ["u0"]
    path.write_bytes(before)
    assert "2 of 2 answers" in drop_changed([items[0], items[3]], 2, path, by_uid=False)
    assert [item.uid for item in read(path)] == ["u0", "u3"]


def test_answers_of_an_earlier_version_stay_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "settings.json").write_text("{}")
    for _ in range(2):  # the second time, the hash is there
        tell_changed({"data": "5e"}, pytest.fail, tmp_path)
    assert capsys.readouterr().err.count("holds no hash of the data, being of an earlier version") == 1


def test_the_hash_of_an_item_is_of_what_its_score_follows_from(tmp_path: Path) -> None:
    one = Example("u", "q", "a", "free-form", (Media("image", tmp_path / "a.png"),))
    other = replace(one, media=(Media("image", tmp_path / "b.png"),))
    kinds = [one, other, replace(one, question="r"), replace(one, answer="b"), replace(one, options=("A. a", "B. b"))]
    hashes = [item_hash(Item(example)) for example in kinds] + [item_hash(Item(one, answers=("a", "b")))]
    (tmp_path / "a.png").write_bytes(b"1")
    hashes += [item_hash(Item(one, facts={"n": 1})), item_hash(Item(one))]
    assert len(set(hashes)) == len(hashes) and item_hash(Item(replace(one, uid="v"))) == hashes[-1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["benchmark=visual_serch"], "did you mean visual_search?"),
        (["benchmark=video_r1"], "benchmark.path is not set"),
        (["benchmark=video_r1", "benchmark.path=."], "no eval_*.json; expected Video-R1's eval_mvbench.json"),
        (["benchmark=[video_r1,visual_search]", "benchmark.path=."], "video_r1: no eval_*.json"),
        (["checkpoint=nowhere"], "checkpoint=nowhere: no such folder"),
        (["checkpont=nowhere"], "did you mean checkpoint?"),
        (["limit=0"], "limit=0 is too small"),
        (["device=gpu7"], "device=gpu7 is no device"),
        (["template=thinks"], "prompt template 'thinks': no such file"),
        (["benchmark.tasks.visual_search.source.sed=1"], "did you mean benchmark.tasks.visual_search.source.seed?"),
    ],
)
def test_mistakes_get_one_line(settings: list[str], says: str, data: Path, call: Call) -> None:
    if not any("path" in s or "video_r1" in s for s in settings):
        settings = [*settings, f"benchmark.path={data}", f"{KNOBS}.sizes={{validation: 32, test: 4}}"]
    done = call(*settings, "output=out")
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ") and says in done.stderr


# --------------------------------------------------------------------------------------------------------- parts of it


def test_a_runs_export_scores_as_the_run_did(call: Call, tmp_path: Path) -> None:
    """hf/ on the run's held-out prompts gives the run's last eval/accuracy."""
    sizes = "{sft: 16, train: 16, validation: 24, test: 4}"
    of_data = [f"dataset.path={tmp_path / 'data'}", f"dataset.source.sizes={sizes}"]
    folder = train_in(
        tmp_path / "run",
        "algo=sft",
        *of_data,
        "max_steps=1",
        "algo.prompts_per_step=4",
        "eval.batch=8",
        "eval.before=false",
    )
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    expected = [line["eval/accuracy"] for line in logged if "eval/accuracy" in line][-1]
    given = (
        f"benchmark.path={tmp_path / 'data'}",
        f"{KNOBS}.sizes={{validation: 24, test: 4}}",
        "batch=8",
        "output=out",
    )
    done = call(f"checkpoint={folder / 'hf'}", *given)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line)["response"] for line in (folder / "eval/after.jsonl").read_text().splitlines()]
    assert [item["response"] for item in items_of(tmp_path / "out")] == answers
    assert json.loads((tmp_path / "out/summary.json").read_text())["accuracy"] == pytest.approx(expected, abs=1e-6)


def test_the_default_benchmark_asks_about_the_default_data() -> None:
    """A difference would have the data made anew, or measure on others."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        made: Any = [compose("evaluate", ["benchmark=visual_search"]).benchmark.tasks, compose("train").dataset]
    (ours,), theirs = OmegaConf.to_container(made[0], resolve=False).values(), OmegaConf.to_container(made[1])
    assert ours["default_path"] == theirs["path"] and ours["template"] == theirs["templates"]["think"]
    assert ours["max_new_tokens"] == theirs["max_new_tokens"]
    defaults = yaml.safe_load((CONF / "evaluate.yaml").read_text())["media"] | ours["media"]
    assert defaults == {k: v for k, v in theirs["media"].items() if k != "_target_"}
    for key, value in ours["source"].items():
        if key not in ("_target_", "_partial_", "split"):
            known = theirs["source"][key]
            assert value == ({k: known[k] for k in value} if key == "sizes" else known), key


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "benchmark").glob("*.yaml")))
def test_every_benchmark_composes_and_binds(name: str) -> None:
    """Its paper rows are in the paper's unit: percent, or points of MME."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("evaluate", [f"benchmark={name}", "benchmark.path=x"])
    importlib.import_module("evaluate").check(cfg)
    count = {"paper_image": 8, "paper_video": 7}.get(name, 1)
    assert len(cfg.benchmark.tasks) == count
    for task, node in cfg.benchmark.tasks.items():
        known = ["visual_search", "video_r1", "nextgqa", "refcoco", "treebench", "viscot", "vstar_evidence"]
        known += ["multihop_spatial", "jsonl"]
        assert all(10 < value < (100 if task != "mme" else 2800) for value in node.paper.values())
        assert bool(node.paper) == (task not in known)
        assert path_of(cfg, task) == (f"x/{task}" if count > 1 else "x")


def test_the_bootstrap_gives_an_interval_that_can_be_worked_out() -> None:
    """Right in half of 400: the resampled mean is binomial, 0.5 +- 1.96 * sqrt(0.25 / 400)."""
    (estimate,) = bootstrap(np.array([[0.0], [1.0]] * 200), 10_000)
    assert estimate.mean == 0.5
    assert estimate.low == pytest.approx(0.451, abs=0.003) and estimate.high == pytest.approx(0.549, abs=0.003)
    (sure,) = bootstrap(np.ones((7, 1)), 10_000)
    assert (sure.low, sure.mean, sure.high) == (1.0, 1.0, 1.0)
    (two,) = bootstrap(np.array([[0.0], [1.0]]), 10_000)  # means 0, 1/2 and 1 with chances 1/4, 1/2, 1/4
    assert (two.low, two.high) == (0.0, 1.0)


def answered(index: int, score: float = 1.0, error: str | None = None) -> Answered:
    return Answered(index, f"u{index}", "g", "p", "r", "a", "a", score, 0.1, True, error, {})


def test_torn_lines_errors_and_order(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    append(path, [answered(2), answered(0), answered(1, error="gone")])
    with path.open("a") as file:
        file.write('{"index": 3, "uid"')
    assert [item.index for item in read(path)] == [0, 2]
    path.write_text('{"step": 1}\n')
    with pytest.raises(UserError, match="line 1 is no item of an evaluation"):
        read(path)


def test_settings_may_differ_in_versions_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    check_settings(path, {"batch": 1, "media": {"fps": 1.0}, "versions": {"torch": "1"}})
    check_settings(path, {"batch": 1, "media": {"fps": 1.0}, "versions": {"torch": "2"}})
    for other in ({"batch": 1, "media": {"fps": 2.0}}, {"batch": 1}, {"batch": 1, "media": {"fps": 1.0}, "seed": 1}):
        with pytest.raises(UserError, match="holds an evaluation with"):
            check_settings(path, other)


def test_the_table_sets_results_beside_the_papers() -> None:
    vstar = Result("vstar", 70.68, 0.7068, 0.64, 0.77, 191, 191, {"GRPO": 68.6, "RAL": 73.3})
    mme = Result("mme", 2301.24, 0.85, 0.8, 0.9, 10, 2374, {"RAL": 2352.8})
    rows = table([vstar, mme], "mine").splitlines()
    assert rows[0] == "| model | vstar | mme |" and rows[2] == "| mine | 70.7 | 2301.2 |"
    assert rows[3:5] == ["| GRPO (paper) | 68.6 |  |", "| RAL (paper) | 73.3 | 2352.8 |"]
    assert rows[5] == "| items | 191 | 10 of 2374 |" and rows[7] == "| its 95% interval | 64.0 to 77.0 | 80.0 to 90.0 |"
    assert reported({"accuracy": 0.5, "x": 3.0}) == 50 and reported({"score": 2000.0, "accuracy": 0.5}) == 2000


def test_video_r1_files_keep_their_names_as_groups(tmp_path: Path) -> None:
    folder = write_video_r1(tmp_path / "v", 3, bad=0)
    (folder / "eval_more.json").write_text((folder / "eval_toy.json").read_text())
    items = video_r1(folder)
    assert isinstance(items, OwnItems) and len(items) == 6
    assert [i.group for i in items] == ["more"] * 3 + ["toy"] * 3
    assert len({i.example.uid for i in items}) == 6 and items[-1].example.uid == "eval_toy-2"
    assert [i.example.uid for i in video_r1(folder / "eval_toy.json")] == [i.example.uid for i in items[3:]]
    assert judge(items[0], "<think>x</think><answer>red</answer>").score == 1
    assert judge(items[0], "red").score == 0 and accuracy([answered(0, 0.25).record()]) == {"accuracy": 0.25}


def test_as_asked_a_bare_question_gets_its_options() -> None:
    example = Example("u", "Which?", "A", "multiple choice", options=("A. red", "B. blue"))
    assert bare_words(example).question == "Which?\nA. red\nB. blue" and bare_words(example).options == ()
    assert Item(example).group == ""
