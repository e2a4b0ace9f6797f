"""scripts/paper.py: the graph, keys, what is missing, runs by stand-ins, the table of recorded folders."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CONF, ENVIRONMENT, ROOT, load_script

from ral.api import paper
from ral.errors import UserError
from ral.evaluation.benchmarks import choice, mme
from ral.evaluation.benchmarks.items import ScoredItem
from ral.study.paper import made, made_clips, made_pictures
from ral.study.paper.command import Settings, parse
from ral.study.paper.graph import BASE, BENCHMARKS, EVALUATE, TRAIN, Asked, Graph, choose, read_graph
from ral.study.paper.make import Ways, run_stages
from ral.study.paper.missing import missing
from ral.study.paper.page import report
from ral.study.paper.records import record_of, stale, state_of, write_record
from ral.study.paper.results import ends, lines_of, published

RAW = yaml.safe_load((CONF / "paper.yaml").read_text())
MAKERS = {**made_clips.MAKERS, **made_pictures.MAKERS}
FAKE = """
import json, os, sys, time
from pathlib import Path
given = dict(a.partition("=")[::2] for a in sys.argv[1:])
folder = Path(given.get("hydra.run.dir") or given["output"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "given").write_text(" ".join(sys.argv[1:]))
(folder / "began").write_text(str(time.monotonic()))
times = folder / "starts"
times.write_text(str(int(times.read_text() if times.exists() else 0) + 1))
if given.get("fail") == times.read_text():
    print("error: made to fail", file=sys.stderr)
    sys.exit(1)
if given.get("slow") == times.read_text():
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(100)
for part in ("checkpoints", "hf"):
    (folder / part).mkdir(exist_ok=True)
time.sleep(0.3 if "pause" in given else 0)
(folder / "ended").write_text(str(time.monotonic()))
"""


def graph_in(output: Path, scale: str = "tiny", **asked: Any) -> Graph:
    return read_graph(RAW, Asked(scale, output, **asked))


@pytest.fixture(autouse=True)
def no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is not asked for at every record: that takes two processes."""
    monkeypatch.setattr("ral.study.paper.records.git_commit", lambda: "c" * 40)


@pytest.fixture
def fake(tmp_path: Path) -> Mapping[str, str]:
    """A program that stands for train.py and evaluate.py."""
    (tmp_path / "fake.py").write_text(FAKE)
    return dict.fromkeys((TRAIN, EVALUATE), str(tmp_path / "fake.py"))


# ------------------------------------------------------------------------------------------------ the graph


@pytest.mark.parametrize("scale", list(RAW["scales"]))
def test_every_stage_follows_what_it_begins_with_and_every_row_is_evaluated(scale: str, tmp_path: Path) -> None:
    graph = graph_in(tmp_path, scale)
    seen = {BASE}
    for stage in graph.stages:
        assert stage.begins in seen
        seen.add(stage.name)
        model = stage.names[0].partition("=")[2]
        begins = graph.places.base if stage.begins == BASE else str(tmp_path / stage.begins / "hf")
        assert model.endswith(begins)
    begins_with = {stage.name: stage.begins for stage in graph.stages if stage.program == TRAIN}
    assert begins_with == {
        **{"sft": BASE, "sft_zero": BASE, "ral_zero": "sft_zero"},
        **dict.fromkeys(("grpo", "t_grpo", "ral", "distill", "ral_distill"), "sft"),
    }
    evaluated = [stage.begins for stage in graph.stages if stage.program == EVALUATE]
    assert evaluated == [row.name for row in graph.rows] and set(evaluated) == {BASE, *begins_with} - {"sft_zero"}
    assert [s.name for s in graph.stages if s.teacher] == ["distill", "ral_distill"]


def test_a_stage_is_its_recipe_and_only_evaluations_without_thinking_are_asked_without(tmp_path: Path) -> None:
    graph = graph_in(tmp_path, "7b", more={"train": ("seed=3",), "ral": ("algo.attention.coef=5",)})
    ral, zero = graph.stage("ral"), graph.stage("sft_zero")
    assert ral.settings == ("experiment=paper/ral", "seed=0", "seed=3", "algo.attention.coef=5")
    assert ral.names[-2:] == (f"hydra.run.dir={tmp_path / 'ral'}", "resume=auto")
    assert "algo.thinking=false" in zero.settings and zero.file == "Video-R1-COT-165k.json"
    wordings = {s.begins: s.settings[1] for s in graph.stages if s.program == EVALUATE}
    assert wordings.pop(BASE) == "template=as_asked" and wordings.pop("ral_zero") == "template=zero"
    assert set(wordings.values()) == {"template=think"}


def test_stages_are_chosen_in_the_graphs_order(tmp_path: Path) -> None:
    graph = graph_in(tmp_path)
    assert [s.name for s in choose(graph, ["evaluate_ral", "sft", "ral"])] == ["sft", "ral", "evaluate_ral"]
    assert {s.program for s in choose(graph, ["evaluate"])} == {EVALUATE}
    assert choose(graph, []) == list(graph.stages)
    with pytest.raises(UserError, match=r"^stages=rla: no such stage; write some of train, evaluate, sft, sft_zero"):
        choose(graph, ["rla"])
    with pytest.raises(UserError, match=r"^scale=70b: no such scale; write one of 7b, 3b, tiny$"):
        graph_in(tmp_path, "70b")
    with pytest.raises(UserError, match=r"^rla.KEY=VALUE: no such stage"):
        graph_in(tmp_path, more={"rla": ("seed=1",)})


def test_every_training_stage_composes_and_is_planned() -> None:
    found = paper.plan(Settings(scale="tiny", stages=("sft", "ral_distill", "evaluate_ral"), plan=True))
    last = json.loads(found.splitlines()[-1])
    assert list(last["stages"]) == ["sft", "ral_distill"] and last["fits"]
    assert last["hours"] == pytest.approx(sum(s["hours"] for s in last["stages"].values()), rel=1e-3)
    assert "evaluations are not planned: evaluate_ral" in found


@pytest.mark.slow
@pytest.mark.parametrize(("scale", "large"), [("7b", set()), ("3b", {"distill", "ral_distill"})])
def test_stages_fit_their_cards_but_those_that_the_documents_name(scale: str, large: set[str]) -> None:
    last = json.loads(paper.plan(Settings(scale=scale, plan=True)).splitlines()[-1])
    assert {name for name, found in last["stages"].items() if not found["fits"]} == large


# ------------------------------------------------------------------------------------------------ the command line


def test_keys_are_read() -> None:
    found = parse(["scale=7b", "stages=[sft,ral]", "data=/d", "train.max_steps=5", "+ral.a.b=[1,2]", "seed=2"])
    assert found.stages == ("sft", "ral") and found.places == {"data": "/d"} and found.seed == 2
    assert found.more == {"train": ("max_steps=5",), "ral": ("+a.b=[1,2]",)}
    assert found.folder == Path("outputs/paper/7b") and not found.plan and found.ways.cards == 1
    assert parse(["cards=8", "keep_checkpoints=true"]).ways == Ways(keep_checkpoints=True, cards=8)


@pytest.mark.parametrize("argument", ["--scale", "scales=7b", "scale", "plan=yes", "seed=x"])
def test_what_is_no_key_is_one_line(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_script("paper").main([argument]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {argument}") and said.count("\n") == 1


# ------------------------------------------------------------------------------------------------ what is missing


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    graph = graph_in(
        tmp_path / "out", "7b", data=tmp_path / "d", benchmarks=tmp_path / "b", teacher=str(tmp_path / "t")
    )
    lines = missing(graph, graph.stages, disk_gb=1e6)
    keys = [line.partition("=")[0] for line in lines]
    assert keys == [*("write base", "teacher", "data", "data"), *["benchmarks"] * len(BENCHMARKS), "output"]
    assert [re.search(r": (\w+): ", line)[1] for line in lines[4:-1]] == list(BENCHMARKS)  # type: ignore[index]
    assert "Video-R1-COT-165k.json" in lines[2] and "Video-R1-260k.json" in lines[3]
    assert not (tmp_path / "out").exists()
    only = missing(graph, choose(graph, ["sft"]), disk_gb=0)
    assert [line.partition("=")[0] for line in only] == ["write base", "data"]


def test_nothing_is_begun_where_something_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert load_script("paper").main(["scale=7b", "stages=evaluate_base", "benchmarks=b"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "error: nothing was run: the lines above say what is in the way (16)" and len(said) == 17
    assert all(line.startswith("missing: ") for line in said[:-1]) and not list(tmp_path.iterdir())
    assert said[1].startswith("missing: benchmarks=b: longvideobench: ") and "write benchmarks=" in said[1]


def test_a_file_whose_media_are_elsewhere_and_a_stage_without_the_one_before(tmp_path: Path) -> None:
    graph = graph_in(tmp_path / "out", data=tmp_path)
    (tmp_path / "Video-R1-260k.json").write_text('[{"path": "./a/1.png"}, {"path": "./a/2.png"}]')
    lines = missing(graph, choose(graph, ["ral"]), 0)
    assert lines[0] == "stages: ral begins with sft, which is not done; add sft to stages"
    assert "none of the first media that Video-R1-260k.json names is below it, such as ./a/1.png" in lines[1]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "2.png").touch()
    assert len(missing(graph, choose(graph, ["ral"]), 0)) == 1


def test_a_stage_made_of_something_else_is_told(tmp_path: Path) -> None:
    graph = graph_in(tmp_path)
    for name in ("sft", "ral"):
        graph.stage(name).folder.mkdir()
        write_record(graph.stage(name), graph, 1.0)
    assert stale(graph.stages, graph) == []
    other = graph_in(tmp_path, more={"ral": ("seed=5",)})
    (line,) = stale(other.stages, other)
    assert line.startswith(f"ral is done, but was made without seed=5; remove the folder {tmp_path / 'ral'} to make it")
    write_record(graph.stage("sft"), graph, 1.0)  # made again: what began with the first one is not of this one
    (line,) = stale(graph.stages, graph)
    assert line.startswith("ral is done, but was made of another start ({'sft': ")


# ------------------------------------------------------------------------------------------------ runs


def test_finished_stages_stay_and_what_follows_a_failed_one_does_not_run(
    fake: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"sft_zero": ("fail=1",)}
    graph = graph_in(tmp_path / "out", more=asked)
    chosen = choose(graph, ["sft", "sft_zero", "grpo", "ral_zero", "evaluate_grpo"])
    failed = run_stages(graph, chosen, Ways(programs=fake))
    assert list(failed) == ["sft_zero", "ral_zero"] and failed["sft_zero"].startswith("error: made to fail")
    assert failed["ral_zero"] == "not run: it begins with sft_zero, which is not done"
    assert [state_of(s) for s in chosen] == ["done", "begun", "done", "not begun", "done"]
    assert not (tmp_path / "out/sft/checkpoints").exists() and (tmp_path / "out/sft/hf").exists()
    assert run_stages(graph, chosen, Ways(keep_checkpoints=True, programs=fake)) == {}
    starts = [int((stage.folder / "starts").read_text()) for stage in chosen]
    assert starts == [1, 2, 1, 1, 1] and (tmp_path / "out/ral_zero/checkpoints").exists()
    assert "1/5 sft: done before" in capsys.readouterr().err


def test_an_interruption_stops_the_stage_and_the_next_start_goes_on(fake: Mapping[str, str], tmp_path: Path) -> None:
    graph = graph_in(tmp_path / "out", more={"grpo": ("slow=1",)})
    chosen, pid = choose(graph, ["sft", "grpo"]), tmp_path / "out/grpo/pid"

    def interrupt() -> None:
        while not (pid.is_file() and pid.read_text()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_stages(graph, chosen, Ways(programs=fake))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert [state_of(s) for s in chosen] == ["done", "begun"]
    assert run_stages(graph, chosen, Ways(programs=fake)) == {}


def test_evaluations_run_side_by_side_on_cards_of_their_own_and_training_runs_alone(
    fake: Mapping[str, str], tmp_path: Path
) -> None:
    graph = graph_in(tmp_path / "out", "7b", more={"evaluate": ("pause=1",), "train": ("pause=1",)})
    chosen = choose(graph, ["sft", "evaluate_base", "evaluate_sft"])
    assert run_stages(graph, chosen, Ways(cards=2, programs=fake)) == {}
    began, ended = ([float((s.folder / name).read_text()) for s in chosen] for name in ("began", "ended"))
    assert began[1] > ended[0] and max(began[1:]) < min(ended[1:])
    given = [(stage.folder / "given").read_text().split()[-1] for stage in chosen]
    assert given == ["resume=auto", "device=cuda:0", "device=cuda:1"]


# ------------------------------------------------------------------------------------------------ the table


def evaluated(folder: Path, figure: float, scores: list[float], groups: str = "ab") -> None:
    """What evaluate.py leaves of a benchmark."""
    folder.mkdir(parents=True)
    summary = {"reported": figure, "ci_low": 0.4, "ci_high": 0.6, "n": len(scores), "errors": 1, "unfinished": 2}
    (folder / "summary.json").write_text(json.dumps(summary))
    texts = dict.fromkeys(("uid", "prompt", "response", "answer", "gold"), "")
    rest: dict[str, Any] = {"seconds": 0, "finished": True, "error": None, "facts": {}}
    lines = [
        {**texts, **rest, "index": n, "uid": str(n), "group": groups[n % len(groups)], "score": score}
        for n, score in enumerate(scores)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_the_table_is_what_the_folders_hold_beside_the_papers(tmp_path: Path) -> None:
    graph = graph_in(tmp_path)
    ral = graph.stage("evaluate_ral").folder
    evaluated(ral / "vstar", 50.0, [1.0, 0.0])
    evaluated(ral / "mvbench", 75.0, [1.0, 0.5, 1.0, 0.5])
    (line,) = [line for line in lines_of(graph) if line.name == "ral"]
    assert (line.measured["vstar"].low, line.measured["vstar"].high) == (40.0, 60.0)
    assert (line.measured["mvbench"].low, line.measured["mvbench"].high) == (75.0, 75.0)  # each task has one score
    assert line.published["vstar"] == 73.3 and set(line.published) == set(BENCHMARKS)
    write_record(graph.stage("evaluate_ral"), graph, 90.0)
    assert report(graph, {"sft": "error: made to fail"}) == tmp_path
    text, html = (tmp_path / "paper.md").read_text(), (tmp_path / "paper.html").read_text()
    assert "| [RAL](evaluate/ral/) | 50.0 (40.0 to 60.0) | not run |" in text
    assert "| *RAL, paper* | *73.3* | *37.8* | *2352.8* |" in text and "*None" not in text
    assert "| [evaluate_ral](evaluate/ral/) | ral | done | 1.5 |" in text and "1 of 16 stages are done" in text
    assert "| sft | base | error: made to fail |" in text and "| SFT | not run" in text
    assert '<a href="evaluate/ral/">RAL</a>' in html and 'class="paper">73.3<' in html
    assert json.loads((tmp_path / "paper.json").read_text())[4]["measured"]["vstar"]["value"] == 50.0
    assert (tmp_path / "paper.png").is_file() and "](paper.png)" in text


def test_the_papers_seven_rows_are_there_for_every_benchmark() -> None:
    names = {row["paper"] for row in RAW["rows"].values()} - {None}
    assert len(names) == 7 and all(set(published(name)) == names for name in BENCHMARKS)
    assert [published("mme")[n] for n in ("Video-R1", "RAL-zero", "attention distillation")] == [2266.2, 2306.2, 2345.1]
    assert published("longvideobench")["token distillation"] == 59.7 and published("lvbench")["RAL-zero"] == 45.9


def test_intervals_of_points_keep_pairs_and_tasks() -> None:
    """A task with all right has 200 points in every resample; one picture of two right: 100 ... 0 to 200."""
    rows = [("count", s, p) for s, p in ((1.0, "a"), (1.0, "a"), (0.0, "b"), (0.0, "b"))]
    rows += [("scene", 1.0, p) for p in "ccdd"]
    records = [ScoredItem(str(n), task, score, {"picture": p}) for n, (task, score, p) in enumerate(rows)]
    assert mme.summary(records)["score"] == 300.0
    assert ends(records, mme.summary) == (200.0, 400.0)
    sure = [replace(record, score=1.0) for record in records]
    assert ends(sure, mme.summary) == (400.0, 400.0)


# ------------------------------------------------------------------------------------------------ what tiny is made of


def check_made(name: str, folder: Path) -> None:
    """The gold answers are right by the benchmark's own judge, and all of its media are there."""
    MAKERS[name](folder)
    layout = import_module(f"ral.evaluation.benchmarks.{name}")
    judge, items = getattr(layout, "judge", choice.judge), layout.load(folder)
    assert len(items) >= 6 and all(m.path.is_file() for item in items for m in item.example.media)
    answers = [item.example.answer.strip("()") for item in items]
    scores = [judge(item, f"<answer>{answer}</answer>").score for item, answer in zip(items, answers, strict=True)]
    assert set(scores) == {1.0} and len(set(answers)) > 1


@pytest.mark.parametrize("name", ["vstar", "tempcompass"])
def test_a_made_benchmark_is_read_as_the_published_one(name: str, tmp_path: Path) -> None:
    check_made(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_made_benchmark_is_read_as_the_published_one(name: str, tmp_path: Path) -> None:
    check_made(name, tmp_path)


def test_made_entries_have_video_r1s_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "SIZES", {"sft": 8, "train": 8})
    monkeypatch.setattr(made, "MAKERS", {}, raising=False)
    monkeypatch.setattr(made_clips, "MAKERS", {})
    monkeypatch.setattr(made_pictures, "MAKERS", {})
    places = graph_in(tmp_path).places
    made.make_inputs(places)
    fields = {"problem_id", "problem", "data_type", "problem_type", "options", "solution", "path", "data_source"}
    for file, more in (("Video-R1-COT-165k.json", {"process"}), ("Video-R1-260k.json", set())):
        entries = json.loads((places.data / file).read_text())
        assert all(set(entry) == fields | more for entry in entries) and len(entries) == 8
        assert all((places.data / entry["path"]).is_file() for entry in entries)


# ------------------------------------------------------------------------------------------------ the whole


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_in_three_stages_the_table_is_that_of_the_undisturbed(tmp_path: Path) -> None:
    """Training of two stages and an evaluation, each killed with its start (SIGKILL to all), then resumed."""
    small = ["stages=[sft,grpo,evaluate_grpo]", "train.max_steps=3", "train.checkpoint.every=1", "evaluate.limit=2"]
    whole = [sys.executable, str(ROOT / "scripts/paper.py"), *small]
    subprocess.run([*whole, f"output={tmp_path / 'whole'}"], env=ENVIRONMENT, check=True, capture_output=True)
    folder = tmp_path / "killed"
    begun = {
        "sft": lambda: any(folder.glob("sft/checkpoints/step_*/state.pt")),
        "grpo": lambda: any(folder.glob("grpo/checkpoints/step_*/state.pt")),
        "evaluate": lambda: any(path.stat().st_size for path in folder.glob("evaluate/grpo/*/items.jsonl")),
    }
    for is_begun in begun.values():
        kill_once(is_begun, [*whole, f"output={folder}"])
    subprocess.run([*whole, f"output={folder}"], env=ENVIRONMENT, check=True, capture_output=True)
    tables = [(tmp_path / name / "paper.json").read_bytes() for name in ("whole", "killed")]
    assert tables[0] == tables[1]
    assert record_of(graph_in(folder).stage("sft")) is not None


def kill_once(is_begun: Any, command: list[str]) -> None:
    """Start a command and kill it, and the stage that it runs, once that has begun."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not is_begun():
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it was killed"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
