"""scripts/reproduce.py on made-up runs: keys, cells, resumption, statistics, verdicts, pages; one slow test trains."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from conftest import CONF, ROOT, load_script
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ral.config.check import check
from ral.errors import UserError
from ral.study import command
from ral.study import resolution as resolutions
from ral.study import runs as runs_of_cells
from ral.study.block import BEGIN, END, replace_block
from ral.study.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    MARGIN,
    NOT_APPLICABLE,
    SUPPORTED,
    Claim,
    Comparison,
    corrected,
    family,
    grows,
    judge,
    not_below,
    verdict,
)
from ral.study.facts import commits, data_of, grounded_share
from ral.study.figures import draw, resolution, save, start_of
from ral.study.page import Page, write
from ral.study.path_again import AGAIN
from ral.study.path_claims import PATH, STUDENT
from ral.study.plan import (
    Cell,
    Row,
    Table,
    cell_name,
    cells,
    command_line,
    is_done,
    overlay,
    read_tables,
    run_folder,
    select,
)
from ral.study.processes import alone
from ral.study.reproduce import MAIN_PAGE, PATH_PAGE
from ral.study.results import Compared, TableResult, along, analyse, base_run, compared, read_run, with_holm
from ral.study.statistics import Interval, least_p, sign_flip_p
from ral.study.words import ANSWER_GROUNDING, attainable, grounding_words
from ral.worlds import visual_search

PLAN = yaml.safe_load((CONF / "reproduce.yaml").read_text())
TABLES = read_tables(PLAN)
EXPERIMENTS = CONF / "experiment"
FAKE = """
import json, os, sys, time
from pathlib import Path
given = dict(a.partition("=")[::2] for a in sys.argv[1:])
folder = Path(given["hydra.run.dir"])
folder.mkdir(parents=True)
(folder / "pid").write_text(str(os.getpid()))
for part in ("checkpoints", "hf"):
    (folder / part).mkdir()
if given.get("kind") == "slow":
    time.sleep(100)
if given.get("kind") == "bad":
    print("a line before")
    print("error: made to fail", file=sys.stderr)
    sys.exit(1)
(folder / "config.yaml").write_text("max_steps: 3")
(folder / "environment.json").write_text(json.dumps({"commit": "abc"}))
last = 2 if given.get("kind") == "short" else 3
lines = [{"step": n, "eval/accuracy": 0.1 * n} for n in range(1, last + 1)]
(folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/reproduce.py."""
    return load_script("reproduce")


@pytest.fixture
def fake(tmp_path: Path) -> tuple[str, str]:
    """A command that stands for `python train.py`."""
    (tmp_path / "fake.py").write_text(FAKE)
    return sys.executable, str(tmp_path / "fake.py")


def analysed(output: Path, seeds: int, *labels: str) -> TableResult:
    """The table `main`, or rows of it, of what lies in a folder."""
    table = select(TABLES, ["main"], labels or None)[0]
    return analyse(table, range(seeds), output, EXPERIMENTS, base_run(output, EXPERIMENTS))


def made(output: Path, overrides: str, seed: int, values: Mapping[int, float], **metrics: float) -> Path:
    """A done run by its experiment's yaml, {step: accuracy}; the last step is the experiment's, whatever it says."""
    folder, config = run_folder(output, overrides.split(), seed), OmegaConf.create()
    for key, value in overlay(overrides.split(), EXPERIMENTS).items():
        OmegaConf.update(config, key, value)
    (folder / "eval").mkdir(parents=True)
    OmegaConf.save(config, folder / "config.yaml")
    at = dict(zip(values, [*sorted(values)[:-1], config.max_steps], strict=True))
    lines = [{"step": at[step], "train/kl": 0.1, "eval/accuracy": value, **metrics} for step, value in values.items()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    facts = {"seconds": 60.0, "commit": "c" * 40, "command": f"python train.py {overrides} seed={seed}"}
    (folder / "done.json").write_text(json.dumps(facts))
    return folder


# ------------------------------------------------------------------------------------------------ the command line


def test_keys_are_read() -> None:
    found = command.parse(["tables=main,lambda", "rows=grpo,ral", "seeds=0,3", "processes=1", "docs=true"])
    assert found.tables == ("main", "lambda") and found.rows == ("grpo", "ral") and found.seeds == (0, 3)
    assert found.processes == 1 and found.docs and not found.resolution
    assert command.parse(["seeds=10"]).seeds == tuple(range(10))
    assert command.parse(["seeds=2-4"]).seeds == (2, 3, 4)
    assert command.parse(["rows=grpo, 2;ral, 2"]).rows == ("grpo, 2", "ral, 2")
    assert command.parse([]).tables == ("main",) and command.parse([]).seeds is None


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("row=grpo", "error: row=grpo: unknown; write key=value with one of tables, rows, seeds"),
        ("--docs", "error: --docs: unknown"),
        ("seeds=x", "error: seeds=x: write a whole number"),
        ("seeds=0", "error: seeds=0: names no seed"),
        ("docs=yes", "error: docs=yes: write docs=true or docs=false"),
        ("tables=none", "error: tables=none: no such table; write some of main, rate, lambda"),
        ("rows=gpro", "error: rows=gpro: no such row in main; write some of base; base_zero; sft; grpo"),
    ],
)
def test_what_is_wrong_is_one_line(
    argument: str, said: str, script: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert script.main([argument, f"output={tmp_path}"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(said) and len(errors.strip().splitlines()) == 1


def test_help_names_every_key(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"{key}=" in text for key in command.READ)


# ------------------------------------------------------------------------------------------------ cells


def test_a_cell_does_not_depend_on_the_order_of_overrides() -> None:
    assert cell_name(["a=1", "experiment=ral"]) == cell_name(["experiment=ral", "a=1"]) != cell_name(["experiment=ral"])
    assert cell_name(["experiment=ral"]) == "ral"
    names = {cell_name(row.overrides) for table in TABLES.values() for row in table.rows}
    assert len(names) == len({row.overrides for table in TABLES.values() for row in table.rows})
    assert all(name.replace("_", "").replace(".", "").replace("-", "").isalnum() for name in names)


def test_tables_share_cells_and_low_seeds_come_first() -> None:
    chosen = select(TABLES, ["main", "lambda"], None)
    found = cells(chosen, None, Path("out"), PLAN["keep_weights"])
    assert len({c.folder for c in found}) == len(found) == 2 + 9 * 10 + 6 * 5
    assert [c.seed for c in found] == sorted(c.seed for c in found)
    assert {c.overrides for c in found if c.keep_weights} == {("experiment=grpo",), ("experiment=ral",)}
    assert len(cells(select(TABLES, ["main"], ["grpo", "base"]), [3, 5], Path("out"), [])) == 3  # base has its own seed


def test_rows_with_an_axis_have_what_their_labels_say_and_data_that_can_be_made(tmp_path: Path) -> None:
    """Visual tokens are cells; one folder of data for each kind of data."""
    folders: dict[str, tuple[int, int]] = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for table in (TABLES["grid"], TABLES["frames"]):
            for row in table.rows:
                cfg, (method, value) = compose("train", list(row.overrides)), row.place
                source = cfg.dataset.source
                assert value == (source.grid**2 if table.axis == "tokens" else source.frames)
                assert cfg.name == method and row.baseline == (f"grpo, {value}" if method == "ral" else None)
                assert cfg.algo.learning_rate == 2e-4
                knobs = (source.grid, source.frames)
                if folders.setdefault(cfg.dataset.path, knobs) != knobs:
                    pytest.fail(f"{cfg.dataset.path} would hold two kinds of data")
    assert len(set(folders.values())) == len(folders) == 5
    for n, (grid, frames) in enumerate(folders.values()):
        made = visual_search.source(
            "train", root=tmp_path / str(n), sizes={"train": 4}, seed=3, grid=grid, frames=frames, distractors=4
        )
        assert len(made) == 4


@pytest.mark.parametrize(("axis", "label"), [("rate", "ral, 4"), ("tokens", "ral at 4")])
def test_a_table_with_an_axis_needs_values_in_its_labels(axis: str, label: str) -> None:
    raw = {"tables": {"t": {"title": "T", "seeds": 2, "axis": axis, "rows": {label: "experiment=ral"}}}}
    with pytest.raises(
        UserError, match=rf"table t: axis={axis}: write tokens, frames, steps, and labels such as `ral, 16`"
    ):
        read_tables(raw)


def test_a_baseline_must_be_a_row() -> None:
    raw = {"tables": {"t": {"title": "T", "seeds": 2, "baseline": "b", "rows": {"a": "experiment=a"}}}}
    with pytest.raises(UserError, match="table t: row 'a' is compared with 'b', which is no row"):
        read_tables(raw)


QUICK = ("main", PATH, AGAIN)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in TABLES])
def test_every_row_composes_and_passes_the_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for row in TABLES[name].rows:
            cfg = compose("train", list(row.overrides))
            check(cfg)
            if "experiment=path" in row.overrides:
                untrained = row.label in (STUDENT, "base", "base_zero")
                assert cfg.dataset.path == "outputs/data/reproduce_path" and cfg.dataset.source.seed == 21, row.label
                assert cfg.eval.prompts == cfg.dataset.source.sizes.validation == 256, row.label
                assert (cfg.max_steps, cfg.algo.learning_rate) == ((1, 0) if untrained else (12, 5e-5))
                assert cfg.model.pretrained == "assets/path_student", row.label
                continue
            if "experiment=path_wide" in row.overrides:
                assert cfg.dataset.source.seed == 31 and cfg.model.pretrained == "assets/path_wide_student", row.label
                assert cfg.eval.prompts == cfg.dataset.source.sizes.validation == 128, row.label
                assert (cfg.max_steps, cfg.algo.learning_rate, cfg.dataset.max_new_tokens) == (12, 5e-5, 96), row.label
                continue
            own = {"grid_8", "grid_16", "frames_16", "frames_32"} if TABLES[name].axis else set()
            assert cfg.dataset.path.removeprefix("outputs/data/reproduce").lstrip("_") in {"", *own}, row.label
            knobs = (cfg.dataset.source.grid, cfg.dataset.source.frames)
            assert (cfg.dataset.path == "outputs/data/reproduce") == (knobs == (4, 8)) != row.own_data, row.label
            assert cfg.dataset.source.seed == 3, row.label
            assert cfg.eval.prompts == cfg.dataset.source.sizes.validation == 512, row.label
            assert cfg.dataset.source.salient_share == 0 and 1 <= cfg.max_steps <= 60, row.label


def test_the_resolution_step_asks_the_runs_own_questions(tmp_path: Path) -> None:
    """The source of evaluate.py and that of the run make the same validation split, so that neither makes it anew."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        run = compose("train", ["experiment=ral"])
        OmegaConf.save(OmegaConf.create({"dataset": run.dataset, "eval": run.eval}), tmp_path / "config.yaml")
        cfg = compose("evaluate", resolutions.questions(tmp_path))
    own, source = cfg.benchmark.tasks.visual_search.source, run.dataset.source
    assert own.split == "validation" and own.sizes.validation == source.sizes.validation == cfg.limit
    assert cfg.benchmark.path == run.dataset.path
    known = {*resolutions.KNOBS, "sizes", "root", "limit", "salient_share", "list_share"}
    assert {k for k in source if not k.startswith("_")} == known
    assert all(own[key] == source[key] for key in resolutions.KNOBS)


# ------------------------------------------------------------------------------------------------ runs


def cell(output: Path, *overrides: str, seed: int = 0, keep: bool = False) -> Cell:
    return Cell(overrides, seed, run_folder(output, overrides, seed), keep)


def test_a_failed_cell_is_told_and_the_others_go_on(
    fake: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    todo = [
        cell(tmp_path, "kind=bad"),
        cell(tmp_path, "kind=short"),
        cell(tmp_path, "kind=good"),
        cell(tmp_path, keep=True),
    ]
    failed = runs_of_cells.run_cells(todo, 2, fake)
    assert failed == {
        "kind=bad seed=0": "error: made to fail",
        "kind=short seed=0": "it left with 0 but has no evaluation at its last step",
    }
    assert [is_done(c.folder, c.overrides, EXPERIMENTS) for c in todo] == [False, False, True, True]
    assert [sorted(p.name for p in c.folder.iterdir() if p.is_dir()) for c in todo[2:]] == [[], ["hf"]]
    assert "made to fail" in capsys.readouterr().err and runs_of_cells.log_of(todo[0]).is_file()
    facts = json.loads((todo[2].folder / "done.json").read_text())
    assert facts["commit"] == "abc" and facts["command"] == command_line(("kind=good",), 0, todo[2].folder)


def test_an_unfinished_folder_is_made_anew(fake: tuple[str, str], tmp_path: Path) -> None:
    one = cell(tmp_path, "kind=good")
    one.folder.mkdir(parents=True)
    (one.folder / "left over").touch()
    assert not is_done(one.folder, one.overrides, EXPERIMENTS)
    assert runs_of_cells.run_cells([one], 1, fake) == {}
    assert is_done(one.folder, one.overrides, EXPERIMENTS) and not (one.folder / "left over").exists()
    (one.folder / "metrics.jsonl").write_text('{"step": 2, "eval/accuracy": 0.5}\n{"step": 3, "eval/acc')
    assert not is_done(one.folder, one.overrides, EXPERIMENTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stops_the_runs(number: int, fake: tuple[str, str], tmp_path: Path) -> None:
    todo = [cell(tmp_path, "kind=slow", seed=seed) for seed in range(2)]

    def interrupt() -> None:
        while not all((one.folder / "pid").is_file() and (one.folder / "pid").read_text() for one in todo):
            time.sleep(0.1)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            runs_of_cells.run_cells(todo, 2, fake)
    finally:
        signal.signal(signal.SIGINT, before)
    for one in todo:
        with pytest.raises(ProcessLookupError):
            os.kill(int((one.folder / "pid").read_text()), 0)
        assert not is_done(one.folder, one.overrides, EXPERIMENTS)


def test_one_process_makes_runs_in_a_folder(tmp_path: Path) -> None:
    with (
        alone(tmp_path),
        pytest.raises(UserError, match="another process makes runs there"),
        alone(tmp_path),
    ):
        pass
    with alone(tmp_path):
        pass


def test_a_run_of_an_experiment_that_has_changed_is_not_done(tmp_path: Path) -> None:
    """Every value of the yaml counts, but those that the cell sets itself."""
    rate = ["experiment=sft", "algo.learning_rate=1e-3"]
    folder = made(tmp_path, " ".join(rate), 0, {60: 0.5})
    assert is_done(folder, rate, EXPERIMENTS) and not is_done(folder, rate[:1], EXPERIMENTS)
    config = OmegaConf.load(folder / "config.yaml")
    config.dataset.source.seed += 1
    OmegaConf.save(config, folder / "config.yaml")
    assert not is_done(folder, rate, EXPERIMENTS)


# ------------------------------------------------------------------------------------------------ statistics


def test_pairs_intervals_and_corrections_by_hand(tmp_path: Path) -> None:
    """Pairs 0.1 0.2 0.1: mean 0.4 / 3, half a t interval 4.302653 / 30; all signs agree, so p = 2 / 8."""
    for seed, (grpo, ral) in enumerate(((0.5, 0.6), (0.6, 0.8), (0.7, 0.8))):
        made(tmp_path, "experiment=grpo", seed, {2: 0.3, 60: grpo})
        made(tmp_path, "experiment=ral", seed, {2: 0.3, 60: ral})
    made(tmp_path, "experiment=sft", 0, {60: 0.9})
    made(tmp_path, "experiment=base", 0, {1: 0.2})
    found = analysed(tmp_path, 4, "base", "sft", "grpo", "ral")
    rows = {row.row.label: row for row in found.rows}
    assert {k: (len(r.runs), r.asked) for k, r in rows.items()} == {
        "base": (1, 1),
        "sft": (1, 4),
        "grpo": (3, 4),
        "ral": (3, 4),
    }
    pair = rows["ral"].paired
    assert pair is not None and pair.mean.mean == pytest.approx(0.4 / 3) and pair.p == pair.corrected == 0.25
    assert pair.mean.high == pytest.approx(0.4 / 3 + 4.302653 / 30, rel=1e-5)
    assert rows["grpo"].paired is None and rows["sft"].paired is None and rows["base"].to_base is None
    assert rows["ral"].to_base is not None and rows["ral"].to_base.mean.mean == pytest.approx(2.2 / 3 - 0.2)
    text = write(Page([found], judge(found, base_run(tmp_path, EXPERIMENTS), {}, {}), {}, None, {}))
    assert "| ral | 3 of 4 | 73.3 (" in text and "| +13.3 (-1.0 to +27.7) | 0.250 | 0.250 |" in text
    assert (
        "main: sft: 1 of 4 runs are done" in text
        and "OMP_NUM_THREADS=1 python train.py experiment=ral seed=0\n" in text
    )
    names = save(draw([found], base_run(tmp_path, EXPERIMENTS), {}), tmp_path)
    assert all((tmp_path / name).stat().st_size > 5000 for name in names.values()) and "finals" in names


def test_runs_of_another_commit_are_named(tmp_path: Path) -> None:
    for seed in range(3):
        folder = made(tmp_path, "experiment=grpo", seed, {60: 0.5})
    facts = json.loads((folder / "done.json").read_text()) | {"commit": "d" * 40 + "+changes"}
    (folder / "done.json").write_text(json.dumps(facts))
    found = analysed(tmp_path, 3, "grpo")
    assert [len(runs) for runs in commits([found]).values()] == [2, 1]
    text = write(Page([found], [], {}, None, {}))
    assert (
        "1 runs were made at commit `ddddddd+changes`, not at that of most; the first: `OMP_NUM_THREADS=1 python"
        in text
    )
    assert "1 runs were made at another commit than this analysis, `ccccccc`" in write(
        Page([found], [], {"commit": "c" * 40}, None, {})
    )
    assert "3 runs were made at another commit than this analysis, `eeeeeee`" in write(
        Page([found], [], {"commit": "e" * 40}, None, {})
    )


def tell(folder: Path, environment: Mapping[str, str], **config: Any) -> None:
    """Let a made run say what it ran on, and more of its config."""
    (folder / "environment.json").write_text(json.dumps(environment))
    own = OmegaConf.merge(OmegaConf.load(folder / "config.yaml"), config)
    OmegaConf.save(own, folder / "config.yaml")


def test_data_machine_and_days_are_those_of_the_runs(tmp_path: Path) -> None:
    ran = {"cpu": "A chip, 2 cores, 1 threads", "torch": "1.0", "date": "2026-01-02T03:04:05", "commit": "c" * 40}
    source = {"_target_": "ral.data.other_search.source", "distractors": 4}
    tell(made(tmp_path, "experiment=grpo", 0, {60: 0.5}), ran, dataset={"source": source})
    (run,) = analysed(tmp_path, 1, "grpo").rows[0].runs.values()
    assert data_of(run) == "`other_search`, seed 3, distractors 4"
    same = write(Page([analysed(tmp_path, 1, "grpo")], [], ran | {"cpu": "A chip, 2 cores, 2 threads"}, None, {}))
    assert "(`other_search`, seed 3, distractors 4)" in same
    assert "Machine: A chip, 2 cores; torch 1.0; 2026-01-02. Commit:" in same
    other = write(Page([analysed(tmp_path, 1, "grpo")], [], {"cpu": "B", "torch": "1.0"}, None, {}, choice="Chosen."))
    assert "2026-01-02. Analysed on: B; torch 1.0. Commit" in other and "**Difficulty.** Chosen.\n" in other


def test_the_share_of_grounded_questions_is_told_where_it_is_known(tmp_path: Path) -> None:
    folder = made(tmp_path, "experiment=grpo", 0, {60: 0.5}, **{"eval/grounding": 0.25})
    made(tmp_path, "experiment=ral", 0, {60: 0.5}, **{"eval/grounding": 0.25})
    lines = [{"problem_type": "OCR", "grounding": value} for value in (0.2, 0.3, None, 0.1)]
    (folder / "eval" / "after.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = analysed(tmp_path, 1, "grpo", "ral")
    assert [grounded_share(row.runs.values()) for row in found.rows] == [0.75, None]
    claims = judge(found, None, {}, {})
    assert "ral not known, grpo 75.0%, base not known" in claims[-1].note
    text = write(Page([found], claims, {}, None, {}))
    assert "| 25.0 | 75.0 |" in text and "| 25.0 | not known |" in text


def test_a_curve_without_thinking_starts_where_the_shipped_model_does(tmp_path: Path) -> None:
    made(tmp_path, "experiment=base", 0, {1: 0.2})
    made(tmp_path, "experiment=ral", 0, {60: 0.5})
    folder = made(tmp_path, "experiment=ral_zero", 0, {60: 0.5})
    tell(folder, {}, algo={"thinking": False})
    base = base_run(tmp_path, EXPERIMENTS)
    thinking, zero = (row for row in analysed(tmp_path, 1).full if row.row.label in ("ral", "ral_zero"))
    assert (
        start_of(thinking, analysed(tmp_path, 1), base) == base and start_of(zero, analysed(tmp_path, 1), base) is None
    )
    made(tmp_path, "experiment=base algo.thinking=false", 0, {1: 0.6})
    start = start_of(zero, analysed(tmp_path, 1), base)
    assert start is not None and start.last["eval/accuracy"] == 0.6


# ------------------------------------------------------------------------------------------------ claims


def comparison(*values: float) -> Compared | None:
    return compared(dict(enumerate(values)))


def claim(*found: Compared | None) -> Claim:
    return Claim("x", "a claim", tuple(Comparison("d", f) for f in found))


SURE = (0.1, 0.12, 0.11, 0.1, 0.12, 0.13, 0.1)  # seven of one sign: p = 2 / 128
UNSURE = (0.1, -0.1, 0.2, -0.2, 0.1, 0.05, -0.1)
LOST = tuple(-v for v in SURE)


@pytest.mark.parametrize(
    ("values", "said"), [(SURE, SUPPORTED), (LOST, CONTRADICTED), (UNSURE, INCONCLUSIVE), ((0.1,), INCONCLUSIVE)]
)
def test_the_rule_has_three_outcomes(values: tuple[float, ...], said: str) -> None:
    (found,) = corrected([claim(comparison(*values))])
    assert found.verdict == said


def test_the_rule_needs_interval_and_p() -> None:
    """Corrected p decides too: 2 / 128 times four tests is 0.0625."""
    assert [c.verdict for c in corrected([claim(comparison(*SURE))] * 3)] == [SUPPORTED] * 3
    assert [c.verdict for c in corrected([claim(comparison(*SURE))] * 4)] == [INCONCLUSIVE] * 4
    assert verdict(Compared({}, Interval(0.1, -0.01, 0.2, 7), 0.01, 0.01)) == INCONCLUSIVE
    assert verdict(Compared({}, Interval(0.1, 0.01, 0.2, 7), 0.01, math.nan)) == INCONCLUSIVE


def test_a_claim_of_several_comparisons_needs_all() -> None:
    sure, lost, unsure = comparison(*SURE), comparison(*LOST), comparison(*UNSURE)
    assert [c.verdict for c in corrected([claim(sure, sure)])] == [SUPPORTED]
    assert [c.verdict for c in corrected([claim(sure, unsure)])] == [INCONCLUSIVE]
    assert [c.verdict for c in corrected([claim(sure, lost)])] == [CONTRADICTED]
    assert claim().verdict == INCONCLUSIVE and claim(None).verdict == INCONCLUSIVE


def test_holm_leaves_out_what_could_not_be_compared() -> None:
    found = with_holm([None, comparison(*SURE), comparison(*SURE)])
    assert found[0] is None and [f.corrected for f in found[1:] if f] == [pytest.approx(4 / 128)] * 2


def test_a_lead_that_grows_is_the_difference_of_differences(tmp_path: Path) -> None:
    """(0.6 - 0.5) - (0.3 - 0.3) = 0.1 and (0.7 - 0.5) - (0.2 - 0.3) = 0.3; seeds without both ends are left out."""
    grpo = {seed: {4: 0.3, 9: 0.4, 16: 0.5} for seed in range(4)}
    ral = {0: {4: 0.3, 9: 0.9, 16: 0.6}, 1: {4: 0.2, 9: 0.0, 16: 0.7}, 3: {4: 0.0, 9: 1.0}, 5: {4: 0.0, 16: 1.0}}
    shown = grows({"grpo": grpo, "ral": ral}, "visual tokens")
    assert shown.found is not None and shown.found.values == pytest.approx({0: 0.1, 1: 0.3})
    assert shown.name == "(ral - grpo) at 16 less that at 4 visual tokens (3 seeds without both left out)"
    assert grows({"grpo": {0: {4: 0.3}}, "ral": {0: {4: 0.3}}}, "frames").found is None
    assert save({"resolution": resolution({"tokens": {"grpo": grpo, "ral": ral}, "frames": {}})}, tmp_path)


def frames_claim(tmp_path: Path, at_16: bool, seeds: int = 10) -> tuple[Claim, TableResult]:
    """Claim (c') where RAL's lead on clips is 0 at 8 frames, 0.3 at 16 and 0.1 to 0.11 at 32, if it has runs there."""
    made(tmp_path, "experiment=base", 0, {1: 0.2})
    for row in TABLES["frames"].rows:
        method, frames = row.place
        for seed in range(seeds if frames != 32 or at_16 else 0):
            lead = {8: 0.0, 16: 0.3, 32: 0.1 + 0.01 * (seed % 2)}[frames] if method == "ral" else 0.0
            made(tmp_path, " ".join(row.overrides), seed, {1: 0.4}, **{"eval/accuracy_video": 0.4 + lead})
    base = base_run(tmp_path, EXPERIMENTS)
    found = analyse(TABLES["frames"], range(seeds), tmp_path, EXPERIMENTS, base)
    reduced = {"frames": {"grpo": {0: {2: 0.1, 8: 0.1}}, "ral": {0: {2: 0.1, 8: 0.2}}}}
    claims = judge(analysed(tmp_path, seeds), base, reduced, {"frames": along(found)})
    assert len(family(claims)) == 7  # a, c, c', two of d, e, f
    return next(c for c in claims if c.letter == "c'"), found


def test_runs_at_each_number_decide_whether_a_lead_grows(tmp_path: Path) -> None:
    """By clips alone; rows on other data are not compared with the shipped model."""
    claim, found = frames_claim(tmp_path, True)
    assert {row.row.place[1] for row in found.rows if row.to_base is not None} == {8}
    assert along(found).found["ral"][1] == pytest.approx({8: 0.4, 16: 0.7, 32: 0.51})
    grown, reduced = claim.comparisons
    assert grown.name == "(ral - grpo) at 32 less that at 8 frames of a clip, trained on them, questions on clips"
    assert grown.found is not None and grown.found.mean.mean == pytest.approx(0.105)
    assert grown.found.p == pytest.approx(2 / 2**10) and grown.found.corrected == pytest.approx(7 * 2 / 2**10)
    assert not reduced.decides and claim.verdict == SUPPORTED
    figures = draw([found], None, {})
    assert save(figures, tmp_path) == {"frames_lead": "frames_lead.png"}
    text = write(Page([found], [claim], {}, None, {"frames_lead": "x.png"}))
    assert "![RAL less GRPO, runs of their own at each number](x.png)" in text
    assert "A claim rests on its first and last rows" in text and "Indicative" not in text


@pytest.mark.parametrize("rows", ["grpo", "grpo, 16;ral, 16"])
def test_a_part_of_the_tables_is_analysed_without_a_verdict_on_growth(
    rows: str, script: ModuleType, tmp_path: Path
) -> None:
    """No row of `grid` and `frames`, or those of one number alone."""
    made(tmp_path, "experiment=grpo", 0, {1: 0.5})
    for name in ("grpo", "ral"):
        for seed in range(2):
            own = {"eval/accuracy_image": 0.5, "eval/accuracy_video": 0.5}
            made(tmp_path, f"experiment={name} algo.learning_rate=2e-4 eval.every=0", seed, {1: 0.5}, **own)
    arguments = ["tables=main,grid,frames", f"rows={rows}", "processes=0", f"output={tmp_path}"]
    assert script.main(arguments) == 0
    claims = {c["letter"]: c for c in json.loads((tmp_path / "results.json").read_text())["claims"]}
    assert [claims[letter]["comparisons"][0]["found"] for letter in ("c", "c'")] == [None, None]


def test_a_lead_is_not_judged_between_other_ends_while_runs_are_missing(tmp_path: Path) -> None:
    claim, found = frames_claim(tmp_path, False)
    assert along(found).ends == (8, 32) and claim.comparisons[0].found is None and claim.verdict == INCONCLUSIVE


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-0.01, 0.02, SUPPORTED), (-0.03, 0.02, INCONCLUSIVE), (-0.01, -0.001, CONTRADICTED), (0.1, 0.2, SUPPORTED)],
)
def test_not_below_is_decided_by_the_interval(low: float, high: float, said: str) -> None:
    assert not_below(Compared({}, Interval((low + high) / 2, low, high, 7), 0.9), MARGIN) == said
    assert not_below(None, MARGIN) == INCONCLUSIVE


def never_below_of(tmp_path: Path, grpo: float, ral: float, seeds: int = 8) -> Claim:
    """Claim (b) where base has 0.3 in OCR: GRPO and RAL there; pictures as a whole, where GRPO loses, do not count."""
    made(tmp_path, "experiment=base", 0, {1: 0.2}, **{"eval/accuracy_ocr": 0.3, "eval/accuracy_numerical": 0.3})
    for seed in range(seeds):
        for name, value in {"grpo": grpo, "ral": ral}.items():
            own = {
                "eval/accuracy_ocr": value + 0.01 * (seed % 2),
                "eval/accuracy_numerical": 0.29 + 0.1 * (seed % 2),
                "eval/accuracy_image": 0.0,
            }
            made(tmp_path, f"experiment={name}", seed, {60: 0.5}, **own)
    claims = judge(analysed(tmp_path, seeds), base_run(tmp_path, EXPERIMENTS), {}, {})
    assert len(family(claims)) == 7  # a, c, c', two of d, e, f; (b) has no part in it
    return next(c for c in claims if c.letter == "b")


def test_never_below_looks_at_the_types_where_grpo_is_below(tmp_path: Path) -> None:
    """GRPO's interval is below base in OCR alone; RAL's mean there is 0.5 points below it, within the margin."""
    never = never_below_of(tmp_path, 0.2, 0.29)
    assert [(c.name, c.decides, c.tested) for c in never.comparisons] == [
        ("ral - base, ocr", True, False),
        ("grpo - base, ocr", False, False),
    ]
    assert "in ocr (0 questions)" in never.note
    assert never.verdict == CONTRADICTED  # -0.5 points, interval -0.95 to -0.05


@pytest.mark.parametrize(
    ("grpo", "ral", "seeds", "said"),
    [
        (0.2, 0.4, 8, SUPPORTED),
        (0.2, 0.295, 8, SUPPORTED),
        (0.2, 0.1, 8, CONTRADICTED),
        (0.4, 0.1, 8, NOT_APPLICABLE),
        (0.2, 0.4, 1, INCONCLUSIVE),
    ],
)
def test_never_below_has_four_outcomes(tmp_path: Path, grpo: float, ral: float, seeds: int, said: str) -> None:
    assert never_below_of(tmp_path, grpo, ral, seeds).verdict == said


def test_a_missing_comparison_keeps_its_place_in_the_family() -> None:
    """Two of 2 / 128 each, in a family of four: the first is multiplied by 4."""
    found = [c.comparisons[0].found for c in corrected([claim(comparison(*SURE)), claim(None, None, None)])]
    assert found[0] is not None and found[0].corrected == pytest.approx(4 * 2 / 128)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 17])
def test_the_least_p_is_reached_where_all_signs_agree(n: int) -> None:
    """All 2^n signs are tried up to 16 pairs; above that chance may find such signs once more."""
    found = sign_flip_p([1 + 0.01 * k for k in range(n)])
    assert found == pytest.approx(least_p(n)) if n <= 16 else least_p(n) <= found < 0.001


def test_the_page_says_where_nothing_can_be_significant() -> None:
    """5 pairs: 2 / 32 each. 10 pairs: 2 / 1024 times 7 is 0.0137."""
    five, ten = comparison(*[0.1] * 5), comparison(*[0.1] * 10)
    assert "2 x 0.0625 = 0.1250; no comparison here can be significant" in attainable([five, five])
    assert attainable([five, ten, *[None] * 5]).endswith("7 x 0.0020 = 0.0137.\n")
    assert "Too few" in attainable([None])


def test_a_gain_that_comes_from_not_thinking_is_not_rals(tmp_path: Path) -> None:
    """RAL-zero is above base in every run, and below the base that is asked not to think."""
    made(tmp_path, "experiment=base", 0, {1: 0.2})
    made(tmp_path, "experiment=base algo.thinking=false", 0, {1: 0.6})
    for seed in range(10):
        made(tmp_path, "experiment=ral_zero", seed, {60: 0.5 + 0.001 * seed})
    main = analysed(tmp_path, 10)
    zero = next(c for c in judge(main, base_run(tmp_path, EXPERIMENTS), {}, {}) if c.letter == "d")
    assert [verdict(c.found) for c in zero.comparisons] == [SUPPORTED, CONTRADICTED, INCONCLUSIVE]
    assert zero.verdict == CONTRADICTED


# ------------------------------------------------------------------------------------------------ pages


def test_only_the_block_between_the_marks_is_replaced() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\n## Below\n"
    assert replace_block(page, "new\n", "x.md") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\n## Below\n"
    assert replace_block(replace_block(page, "x", "x.md"), "new", "x.md") == replace_block(page, "new", "x.md")
    for wrong in ("# Title", f"{END}\n{BEGIN}"):
        with pytest.raises(UserError, match=r"docs/x\.md: has no"):
            replace_block(wrong, "new", "x.md")


@pytest.mark.parametrize("name", [PATH_PAGE, MAIN_PAGE])
def test_the_pages_of_results_have_their_marks(name: str) -> None:
    assert replace_block((ROOT / "docs" / name).read_text(), "a new block", name).count("a new block") == 1


def test_the_command_reads_what_is_there_and_writes_everything(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        made(tmp_path / "out", "experiment=grpo", seed, {2: 0.3, 60: 0.5}, **{"eval/accuracy_ocr": 0.1})
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / MAIN_PAGE).write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(script, "DOCS", docs)
    arguments = ["rows=grpo,ral", "seeds=2", "processes=0", f"output={tmp_path / 'out'}", "docs=true"]
    assert script.main(arguments) == 0
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["mean"]["n"] for row in facts["tables"][0]["rows"] if row["mean"]] == [2]
    assert [c["verdict"] for c in facts["claims"]] == [INCONCLUSIVE] * 7
    text = (docs / MAIN_PAGE).read_text()
    assert "(figures/reproduce_curves.png)" in text and (docs / "figures" / "reproduce_curves.png").is_file()
    assert "(curves.png)" in (tmp_path / "out" / "results.md").read_text()


def test_docs_are_never_made_of_less_than_there_is(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row, one seed of `gamma` is asked for; main, lambda and seed 11 of main's rows are there."""
    output, docs = tmp_path / "out", tmp_path / "docs"
    for seed in (*range(10), 11):
        made(output, "experiment=grpo", seed, {60: 0.5})
        made(output, "experiment=ral", seed, {60: 0.6})
    made(output, "experiment=ral algo.attention.coef=5 algo.learning_rate=2e-4 eval.every=0", 0, {60: 0.5})
    docs.mkdir()
    (docs / MAIN_PAGE).write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(script, "DOCS", docs)
    arguments = ["tables=gamma", "rows=distill", "seeds=1", "processes=0", f"output={output}"]
    assert script.main([*arguments, "docs=true"]) == 0
    text = (docs / MAIN_PAGE).read_text()
    assert "| grpo | 11 |" in text and "| lambda 5 | 1 of 10 |" not in text and "| lambda 5 | 1 of 5 |" in text
    assert text.count("Indicative, runs a row: 0; no claim") == 1 and "Indicative, runs a row: 1; no claim" in text
    assert "lambda_attn" in text and "gamma_attn" in text and "updates" not in text.split("### Commands")[0]
    assert script.main(arguments) == 0
    tables = json.loads((output / "results.json").read_text())["tables"]
    assert [table["name"] for table in tables] == ["gamma"]


def test_points_without_weights_are_problems(script: ModuleType, tmp_path: Path) -> None:
    """Seed 0 has no hf/; seed 1 has one, and one of its evaluations is done."""
    folders = [made(tmp_path, "experiment=grpo", seed, {60: 0.5}) for seed in range(2)]
    (folders[1] / "hf").mkdir()
    runs = {seed: read_run(folder, ("experiment=grpo",), seed) for seed, folder in enumerate(folders)}
    points = resolutions.points({"grpo": runs}, tmp_path)
    done = next(p for p in points if p.run.seed == 1 and (p.axis, p.value) == ("tokens", 4))
    done.folder.mkdir(parents=True)
    (done.folder / "summary.json").write_text('{"accuracy": 0.5}')
    every = "tokens 4, tokens 9, tokens 16, frames 2, frames 4, frames 8"
    assert resolutions.missing(points) == [
        f"resolution: grpo, seed 0: not evaluated at {every}: its hf/ is missing",
        f"resolution: grpo, seed 1: not evaluated at {every.removeprefix('tokens 4, ')}",
    ]
    assert script.main([f"output={tmp_path}", "processes=0", "resolution=true"]) == 0
    assert "its hf/ is missing" in (tmp_path / "results.md").read_text()


def test_a_table_without_runs_is_no_error(script: ModuleType, tmp_path: Path) -> None:
    assert script.main(["tables=rate", "processes=0", f"output={tmp_path}"]) == 0


# ------------------------------------------------------------------------------------------------ training


@pytest.mark.slow
def test_real_cells_give_the_same_numbers_again(model_folder: Any, data_folder: Path, tmp_path: Path) -> None:
    """Two cells side by side, and one of them again by its printed command, in a shell, with the threads of this."""
    small = (
        f"model.pretrained={model_folder()}",
        f"dataset.path={data_folder}",
        "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
        "dataset.max_new_tokens=6",
        "algo.attention_policy.layers=[0]",
        "eval.prompts=4",
        "eval.every=1",
        "algo.prompts_per_step=4",
        "max_steps=2",
    )
    pair = [cell(tmp_path / "one", f"experiment={name}", *small) for name in ("grpo", "ral")]
    assert runs_of_cells.run_cells(pair, 2) == {}
    first = pair[1].folder.rename(tmp_path / "first")
    command = json.loads((first / "done.json").read_text())["command"]
    assert "'algo.attention_policy.layers=[0]'" in command and command.startswith("OMP_NUM_THREADS=1 python train.py ")
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    subprocess.run(command, shell=True, cwd=ROOT, env=environment, check=True, capture_output=True)

    def numbers(folder: Path) -> list[dict[str, float]]:
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]

    assert numbers(pair[1].folder) == numbers(first) != numbers(pair[0].folder)
    (pair[1].folder / "done.json").write_text((first / "done.json").read_text())
    table = Table("t", "T", 1, (Row("ral", pair[1].overrides, None),))
    found = analyse(table, None, tmp_path / "one", EXPERIMENTS, None)
    assert found.rows[0].mean is not None and found.rows[0].mean.n == 1


def test_the_makefile_runs_it() -> None:
    done = subprocess.run(["make", "-n", "reproduce", "ARGS=seeds=1"], cwd=ROOT, capture_output=True, text=True)
    assert "scripts/reproduce.py tables=main,grid,frames docs=true resolution=true seeds=1" in done.stdout


@pytest.mark.parametrize(
    ("metric", "said"), [("eval/grounding", "answer tokens'"), ("eval/grounding_answer", "look hardest")]
)
def test_the_page_says_whose_attention_grounding_is_of(metric: str, said: str) -> None:
    sentence, whose = grounding_words([metric] if metric == ANSWER_GROUNDING else [])
    assert said in whose and ("hardest" in sentence) is ("hardest" in said) and "`questions grounded`" in sentence
