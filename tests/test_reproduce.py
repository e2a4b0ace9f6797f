"""scripts/reproduce.py on made-up runs: keys, cells, resumption, statistics, verdicts, pages; one slow test trains."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import CONF, ROOT
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from ral.config import check
from ral.errors import UserError
from ral.report.claims import CONTRADICTED, INCONCLUSIVE, SUPPORTED, Claim, Comparison, corrected, grows, judge, verdict
from ral.report.plan import Cell, Row, Table, cell_name, cells, is_done, overlay, read_tables, run_folder, select
from ral.report.reproduction import Compared, analyse, base_run, commits, compared, with_holm
from ral.report.reproduction_figures import draw, resolution, save
from ral.report.reproduction_page import BEGIN, END, Page, replace_block, write
from ral.report.statistics import Interval

PLAN = yaml.safe_load((CONF / "reproduce.yaml").read_text())
TABLES = read_tables(PLAN)
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
def scripts() -> Iterator[SimpleNamespace]:
    """The scripts as modules, imported the way Python runs them: with their own folder on the path."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import reproduce
        import reproduce_resolution
        import reproduce_runs

        modules: Mapping[str, ModuleType] = {"main": reproduce, "runs": reproduce_runs, "points": reproduce_resolution}
        yield SimpleNamespace(**modules)
    finally:
        sys.path.pop(0)


@pytest.fixture
def fake(tmp_path: Path) -> tuple[str, str]:
    """A command that stands for `python train.py`."""
    (tmp_path / "fake.py").write_text(FAKE)
    return sys.executable, str(tmp_path / "fake.py")


def made(output: Path, overrides: str, seed: int, values: Mapping[int, float], **metrics: float) -> Path:
    """A done run by its experiment's yaml, {step: accuracy}; the last step is the experiment's, whatever it says."""
    folder, config = run_folder(output, overrides.split(), seed), OmegaConf.create()
    for key, value in overlay(overrides.split()).items():
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


def test_keys_are_read(scripts: SimpleNamespace) -> None:
    found = scripts.main.parse(["tables=main,lambda", "rows=grpo,ral", "seeds=0,3", "processes=1", "docs=true"])
    assert found.tables == ("main", "lambda") and found.rows == ("grpo", "ral") and found.seeds == (0, 3)
    assert found.processes == 1 and found.docs and not found.resolution
    assert scripts.main.parse(["seeds=10"]).seeds == tuple(range(10))
    assert scripts.main.parse(["seeds=2-4"]).seeds == (2, 3, 4)
    assert scripts.main.parse(["rows=grpo, 2;ral, 2"]).rows == ("grpo, 2", "ral, 2")
    assert scripts.main.parse([]).tables == ("main",) and scripts.main.parse([]).seeds is None


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("row=grpo", "error: row=grpo: unknown; write key=value with one of tables, rows, seeds"),
        ("--docs", "error: --docs: unknown"),
        ("seeds=x", "error: seeds=x: write a whole number"),
        ("seeds=0", "error: seeds=0: names no seed"),
        ("docs=yes", "error: docs=yes: write docs=true or docs=false"),
        ("tables=none", "error: tables=none: no such table; write some of main, lambda, gamma"),
        ("rows=gpro", "error: rows=gpro: no such row in main; write some of base; base_zero; sft; grpo"),
    ],
)
def test_what_is_wrong_is_one_line(
    argument: str, said: str, scripts: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert scripts.main.main([argument, f"output={tmp_path}"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(said) and len(errors.strip().splitlines()) == 1


def test_help_names_every_key(scripts: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert scripts.main.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"{key}=" in text for key in scripts.main.READ)


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
    assert len({c.folder for c in found}) == len(found) == 2 + 9 * 10 + 3 * 5
    assert [c.seed for c in found] == sorted(c.seed for c in found)
    assert {c.overrides for c in found if c.keep_weights} == {("experiment=grpo",), ("experiment=ral",)}
    assert len(cells(select(TABLES, ["main"], ["grpo", "base"]), [3, 5], Path("out"), [])) == 3  # base has its own seed


def test_a_baseline_must_be_a_row() -> None:
    raw = {"tables": {"t": {"title": "T", "seeds": 2, "baseline": "b", "rows": {"a": "experiment=a"}}}}
    with pytest.raises(UserError, match="table t: row 'a' is compared with 'b', which is no row"):
        read_tables(raw)


@pytest.mark.parametrize("name", TABLES)
def test_every_row_composes_and_passes_the_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for row in TABLES[name].rows:
            cfg = compose("train", list(row.overrides))
            check(cfg)
            assert cfg.dataset.path == "outputs/data/reproduce" and cfg.dataset.source.seed == 3, row.label
            assert cfg.eval.prompts == cfg.dataset.source.sizes.validation == 512, row.label
            assert cfg.dataset.source.salient_share == 0 and 1 <= cfg.max_steps <= 60, row.label


def test_the_resolution_step_asks_the_runs_own_questions(scripts: SimpleNamespace, tmp_path: Path) -> None:
    """The source of evaluate.py and that of the run make the same validation split, so that neither makes it anew."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        run = compose("train", ["experiment=ral"])
        OmegaConf.save(OmegaConf.create({"dataset": run.dataset, "eval": run.eval}), tmp_path / "config.yaml")
        cfg = compose("evaluate", scripts.points.questions(tmp_path))
    own, source = cfg.benchmark.tasks.visual_search.source, run.dataset.source
    assert own.split == "validation" and own.sizes.validation == source.sizes.validation == cfg.limit
    assert cfg.benchmark.path == run.dataset.path
    known = {*scripts.points.KNOBS, "sizes", "root", "limit", "salient_share", "list_share"}
    assert {k for k in source if not k.startswith("_")} == known
    assert all(own[key] == source[key] for key in scripts.points.KNOBS)


# ------------------------------------------------------------------------------------------------ runs


def cell(output: Path, *overrides: str, seed: int = 0, keep: bool = False) -> Cell:
    return Cell(overrides, seed, run_folder(output, overrides, seed), keep)


def test_a_failed_cell_is_told_and_the_others_go_on(
    scripts: SimpleNamespace, fake: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    todo = [
        cell(tmp_path, "kind=bad"),
        cell(tmp_path, "kind=short"),
        cell(tmp_path, "kind=good"),
        cell(tmp_path, keep=True),
    ]
    failed = scripts.runs.run_cells(todo, 2, fake)
    assert failed == {
        "kind=bad seed=0": "error: made to fail",
        "kind=short seed=0": "it left with 0 but has no evaluation at its last step",
    }
    assert [is_done(c.folder, c.overrides) for c in todo] == [False, False, True, True]
    assert [sorted(p.name for p in c.folder.iterdir() if p.is_dir()) for c in todo[2:]] == [[], ["hf"]]
    assert "made to fail" in capsys.readouterr().err and scripts.runs.log_of(todo[0]).is_file()
    facts = json.loads((todo[2].folder / "done.json").read_text())
    assert facts["commit"] == "abc" and facts["command"].startswith("python train.py kind=good seed=0 hydra.run.dir=")


def test_an_unfinished_folder_is_made_anew(scripts: SimpleNamespace, fake: tuple[str, str], tmp_path: Path) -> None:
    one = cell(tmp_path, "kind=good")
    one.folder.mkdir(parents=True)
    (one.folder / "left over").touch()
    assert not is_done(one.folder, one.overrides)
    assert scripts.runs.run_cells([one], 1, fake) == {}
    assert is_done(one.folder, one.overrides) and not (one.folder / "left over").exists()
    (one.folder / "metrics.jsonl").write_text('{"step": 2, "eval/accuracy": 0.5}\n{"step": 3, "eval/acc')
    assert not is_done(one.folder, one.overrides)


def test_an_interruption_stops_the_runs(scripts: SimpleNamespace, fake: tuple[str, str], tmp_path: Path) -> None:
    todo = [cell(tmp_path, "kind=slow", seed=seed) for seed in range(2)]
    timer = threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        scripts.runs.run_cells(todo, 2, fake)
    for one in todo:
        with pytest.raises(ProcessLookupError):
            os.kill(int((one.folder / "pid").read_text()), 0)
        assert not is_done(one.folder, one.overrides)


def test_one_process_makes_runs_in_a_folder(scripts: SimpleNamespace, tmp_path: Path) -> None:
    with (
        scripts.runs.alone(tmp_path),
        pytest.raises(UserError, match="another reproduce"),
        scripts.runs.alone(tmp_path),
    ):
        pass
    with scripts.runs.alone(tmp_path):
        pass


def test_a_run_of_an_experiment_that_has_changed_is_not_done(tmp_path: Path) -> None:
    """Every value of the yaml counts, but those that the cell sets itself."""
    rate = ["experiment=sft", "algo.learning_rate=1e-3"]
    folder = made(tmp_path, " ".join(rate), 0, {60: 0.5})
    assert is_done(folder, rate) and not is_done(folder, rate[:1])
    config = OmegaConf.load(folder / "config.yaml")
    config.dataset.source.seed += 1
    OmegaConf.save(config, folder / "config.yaml")
    assert not is_done(folder, rate)


# ------------------------------------------------------------------------------------------------ statistics


def test_pairs_intervals_and_corrections_by_hand(tmp_path: Path) -> None:
    """Pairs 0.1 0.2 0.1: mean 0.4 / 3, half a t interval 4.302653 / 30; all signs agree, so p = 2 / 8."""
    for seed, (grpo, ral) in enumerate(((0.5, 0.6), (0.6, 0.8), (0.7, 0.8))):
        made(tmp_path, "experiment=grpo", seed, {2: 0.3, 60: grpo})
        made(tmp_path, "experiment=ral", seed, {2: 0.3, 60: ral})
    made(tmp_path, "experiment=sft", 0, {60: 0.9})
    made(tmp_path, "experiment=base", 0, {1: 0.2})
    table = select(TABLES, ["main"], ["base", "sft", "grpo", "ral"])[0]
    found = analyse(table, range(4), tmp_path, base_run(tmp_path))
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
    text = write(Page([found], judge(found, base_run(tmp_path), {}, {}), {}, None, {}))
    assert "| ral | 3 of 4 | 73.3 (" in text and "| +13.3 (-1.0 to +27.7) | 0.250 | 0.250 |" in text
    assert "main: sft: 1 of 4 runs are done" in text and "python train.py experiment=ral seed=0\n" in text
    names = save(draw([found], base_run(tmp_path), {}), tmp_path)
    assert all((tmp_path / name).stat().st_size > 5000 for name in names.values()) and "finals" in names


def test_runs_of_another_commit_are_named(tmp_path: Path) -> None:
    for seed in range(3):
        folder = made(tmp_path, "experiment=grpo", seed, {60: 0.5})
    facts = json.loads((folder / "done.json").read_text()) | {"commit": "d" * 40 + "+changes"}
    (folder / "done.json").write_text(json.dumps(facts))
    found = analyse(select(TABLES, ["main"], ["grpo"])[0], range(3), tmp_path, None)
    assert [len(runs) for runs in commits([found]).values()] == [2, 1]
    text = write(Page([found], [], {}, None, {}))
    assert "1 runs were made at commit `ddddddd+changes`, not at that of most; the first: `python train.py" in text


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
    """(0.6 - 0.5) - (0.3 - 0.3) = 0.1 and (0.7 - 0.5) - (0.2 - 0.3) = 0.3."""
    grpo = {seed: {4: 0.3, 9: 0.4, 16: 0.5} for seed in range(3)}
    ral = {0: {4: 0.3, 9: 0.9, 16: 0.6}, 1: {4: 0.2, 9: 0.0, 16: 0.7}, 5: {4: 0.0, 16: 1.0}}
    found = grows({"grpo": grpo, "ral": ral}, "visual tokens").found
    assert found is not None and found.values == pytest.approx({0: 0.1, 1: 0.3})
    assert save({"resolution": resolution({"tokens": {"grpo": grpo, "ral": ral}, "frames": {}})}, tmp_path)


def test_never_below_looks_at_the_types_where_grpo_is_below(tmp_path: Path) -> None:
    """GRPO's mean is below base in OCR alone; RAL's is above it there, in every run."""
    made(tmp_path, "experiment=base", 0, {1: 0.2}, **{"eval/accuracy_ocr": 0.3, "eval/accuracy_numerical": 0.3})
    for seed in range(8):
        ocr = {"grpo": 0.2, "ral": 0.4 + 0.01 * seed}
        for name, value in ocr.items():
            own = {"eval/accuracy_ocr": value, "eval/accuracy_numerical": 0.5, "eval/accuracy_image": 0.0}
            made(tmp_path, f"experiment={name}", seed, {60: 0.5}, **own)
    main = analyse(select(TABLES, ["main"], None)[0], range(8), tmp_path, base_run(tmp_path))
    never = next(c for c in judge(main, base_run(tmp_path), {}, {}) if c.letter == "b")
    assert [(c.name, c.decides) for c in never.comparisons] == [("ral - base, ocr", True), ("grpo - base, ocr", False)]
    assert never.verdict == SUPPORTED and "below base in ocr (0 questions)" in never.note


def test_a_gain_that_comes_from_not_thinking_is_not_rals(tmp_path: Path) -> None:
    """RAL-zero is above base in every run, and below the base that is asked not to think."""
    made(tmp_path, "experiment=base", 0, {1: 0.2})
    made(tmp_path, "experiment=base algo.thinking=false", 0, {1: 0.6})
    for seed in range(10):
        made(tmp_path, "experiment=ral_zero", seed, {60: 0.5 + 0.001 * seed})
    main = analyse(select(TABLES, ["main"], None)[0], range(10), tmp_path, base_run(tmp_path))
    zero = next(c for c in judge(main, base_run(tmp_path), {}, {}) if c.letter == "d")
    assert [verdict(c.found) for c in zero.comparisons] == [SUPPORTED, CONTRADICTED, INCONCLUSIVE]
    assert zero.verdict == CONTRADICTED


# ------------------------------------------------------------------------------------------------ pages


def test_only_the_block_between_the_marks_is_replaced() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\n## Below\n"
    assert replace_block(page, "new\n") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\n## Below\n"
    assert replace_block(replace_block(page, "x"), "new") == replace_block(page, "new")
    for wrong in ("# Title", f"{END}\n{BEGIN}"):
        with pytest.raises(UserError, match="has no"):
            replace_block(wrong, "new")


def test_the_page_of_results_has_its_marks() -> None:
    assert replace_block((ROOT / "docs" / "results.md").read_text(), "new").count("new") >= 1


def test_the_command_reads_what_is_there_and_writes_everything(
    scripts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        made(tmp_path / "out", "experiment=grpo", seed, {2: 0.3, 60: 0.5}, **{"eval/accuracy_ocr": 0.1})
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "results.md").write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(scripts.main, "DOCS", docs)
    arguments = ["rows=grpo,ral", "seeds=2", "processes=0", f"output={tmp_path / 'out'}", "docs=true"]
    assert scripts.main.main(arguments) == 0
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["mean"]["n"] for row in facts["tables"][0]["rows"] if row["mean"]] == [2]
    assert [c["verdict"] for c in facts["claims"]] == [INCONCLUSIVE] * 7
    text = (docs / "results.md").read_text()
    assert "(figures/reproduce_curves.png)" in text and (docs / "figures" / "reproduce_curves.png").is_file()
    assert "(curves.png)" in (tmp_path / "out" / "results.md").read_text()


def test_a_table_without_runs_is_no_error(scripts: SimpleNamespace, tmp_path: Path) -> None:
    assert scripts.main.main(["tables=rate", "processes=0", f"output={tmp_path}"]) == 0


# ------------------------------------------------------------------------------------------------ training


@pytest.mark.slow
def test_real_cells_give_the_same_numbers_again(
    scripts: SimpleNamespace, model_folder: Any, data_folder: Path, tmp_path: Path
) -> None:
    """Two cells side by side, and one of them again alone."""
    small = (
        f"model.pretrained={model_folder()}",
        f"dataset.path={data_folder}",
        "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
        "dataset.max_new_tokens=6",
        "eval.prompts=4",
        "eval.every=1",
        "algo.prompts_per_step=4",
        "max_steps=2",
    )
    pair = [cell(tmp_path / "one", f"experiment={name}", *small) for name in ("grpo", "ral")]
    again = cell(tmp_path / "two", "experiment=ral", *small)
    assert scripts.runs.run_cells(pair, 2) == {} and scripts.runs.run_cells([again], 1) == {}

    def numbers(folder: Path) -> list[dict[str, float]]:
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]

    assert numbers(pair[1].folder) == numbers(again.folder) != numbers(pair[0].folder)
    table = Table("t", "T", 1, (Row("ral", again.overrides, None),))
    found = analyse(table, None, tmp_path / "two", None)
    assert found.rows[0].mean is not None and found.rows[0].mean.n == 1


def test_the_makefile_runs_it() -> None:
    done = subprocess.run(["make", "-n", "reproduce", "ARGS=seeds=1"], cwd=ROOT, capture_output=True, text=True)
    assert "scripts/reproduce.py docs=true resolution=true seeds=1" in done.stdout
