"""scripts/compare.py on sweeps written by hand, and its statistics against tables and hand-made counts."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import call
from conftest import ROOT

from ral.study.compare import compare as run_compare
from ral.study.statistics import holm, interval, sign_flip_p


@pytest.mark.parametrize(("n", "quantile"), [(2, 12.7062), (10, 2.262157), (31, 2.042272)])
def test_intervals_use_the_tables_quantiles(n: int, quantile: float) -> None:
    """Quantiles of Student's t at 97.5% for 1, 9 and 30 degrees of freedom, from printed tables."""
    values = [float(k % 2) for k in range(n)]
    mean = sum(values) / n
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n)
    found = interval(values)
    assert found.mean == pytest.approx(mean) and found.n == n
    assert found.high - found.mean == pytest.approx(quantile * spread, rel=1e-5)
    assert found.mean - found.low == pytest.approx(quantile * spread, rel=1e-5)


def test_one_value_has_no_interval() -> None:
    found = interval([0.25])
    assert found.mean == 0.25 and math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 1, 1], 2 / 8),  # only +++ and --- are as far from zero
        ([1, 2, 3], 2 / 8),
        ([3, -1], 1.0),  # |sums| 4 4 2 2, observed 2: all of them
        ([1, 2, -1, 0.5], 8 / 16),  # observed 2.5; |sums| >= 2.5: 4.5 3.5 2.5 2.5 and their negatives
        ([0, 0], 1.0),
        ([5], 1.0),
    ],
)
def test_sign_flips_counted_by_hand(differences: list[float], p: float) -> None:
    assert sign_flip_p(differences) == pytest.approx(p)


def test_many_pairs_are_flipped_at_random_and_reproducibly() -> None:
    values = [0.1 * (k % 5) - 0.05 for k in range(25)]
    assert sign_flip_p(values) == sign_flip_p(values)
    assert 1e-5 <= sign_flip_p([1.0] * 25) < 1e-4  # no random flip is as far; the observed one counts
    assert sign_flip_p([1.0, -1.0] * 12) > 0.9


def test_holm_by_hand() -> None:
    """Sorted 0.01 0.03 0.04 times 3, 2, 1, each no smaller than the one before."""
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


def write_run(folder: Path, overrides: list[str], values: dict[int, float], steps: int = 2) -> None:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    seed = next(int(o.partition("=")[2]) for o in overrides if o.startswith("seed="))
    (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "max_steps": steps}))
    lines = [{"step": step, "eval/accuracy": value} for step, value in values.items()]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """GRPO 0.5 0.6 0.7 and RAL 0.6 0.8 0.8 at seeds 0 1 2; one failed run, one unfinished one."""
    folder = tmp_path / "sweep"
    for algo, ends in (("grpo", (0.5, 0.6, 0.7)), ("ral", (0.6, 0.8, 0.8))):
        for seed, end in enumerate(ends):
            own = [f"algo={algo}", f"seed={seed}", "hydra.sweep.dir=x", "logger=jsonl"]
            write_run(folder / f"{algo}{seed}", own, {0: 0.2, 1: 0.3, 2: end})
    write_run(folder / "ral3", ["algo=ral", "seed=3", "logger=jsonl"], {0: 0.2, 1: 0.3})
    write_run(folder / "ral4", ["algo=ral", "seed=4", "logger=jsonl"], {0: 0.2, 2: 0.3})
    (folder / "ral4" / "error.txt").write_text("no such thing\n")
    return folder


def compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    return call("scripts/compare.py", *map(str, arguments), folder=ROOT)


def test_a_sweep_becomes_a_table_and_a_figure(sweep: Path) -> None:
    done = compare(sweep, "--baseline", "algo=grpo")
    assert done.returncode == 0, done.stderr
    facts = json.loads((sweep / "compare.json").read_text())
    grpo, ral = facts["groups"]
    assert (facts["metric"], facts["baseline"]) == ("eval/accuracy", "algo=grpo")
    assert grpo["values"] == {"0": 0.5, "1": 0.6, "2": 0.7} and grpo["difference"] is None
    assert ral["mean"]["mean"] == pytest.approx(2.2 / 3) and ral["mean"]["n"] == 3
    assert ral["difference"]["mean"] == pytest.approx(0.4 / 3)  # pairs 0.1 0.2 0.1
    half = 4.302653 * math.sqrt((2 * (1 / 30) ** 2 + (2 / 30) ** 2) / 2 / 3)
    assert ral["difference"]["high"] == pytest.approx(0.4 / 3 + half, rel=1e-5)
    assert ral["p"] == ral["p_holm"] == 0.25
    table = (sweep / "compare.md").read_text()
    assert (
        "| RAL | 0, 1, 2 | 73.3 | 44.6 to 100.0 |" in table
        and "| minus GRPO |" in table
        and "| +13.3 | -1.0 to +27.7 | 0.250 | 0.250 |" in table
    )
    assert (sweep / "compare.png").stat().st_size > 10_000
    assert done.stdout.splitlines()[-1] == f"compare: {sweep / 'compare.md'} {sweep / 'compare.png'}"


def test_short_names_stand_in_the_table(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.split() for line in compare(sweep, "--baseline", "algo=grpo").stdout.splitlines()]
    assert ["runs", "seeds", "mean", "minus", "GRPO", "p", "(Holm)"] in lines
    assert ["RAL", "3", "73.3", "+13.3", "0.250"] in lines and ["1", "GRPO"] not in lines


def test_a_terminal_of_80_columns_shows_whole_rows(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        long = ["algo.attention.coef=0.25", "algo.attention_policy.query=previous"]
        own = ["algo=ral", *long, f"seed={seed}", "logger=jsonl"]
        write_run(sweep / f"long{seed}", own, {2: 0.9 + 0.05 * seed})
    monkeypatch.setenv("COLUMNS", "80")
    done = compare(sweep, "--baseline", "algo=grpo")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["1  GRPO", "2  attention.coef=0.25 attention_policy.query=previous RAL", "3  RAL"]
    at = next(n for n, line in enumerate(lines) if line.split()[:2] == ["runs", "seeds"])
    assert lines[at].split() == ["runs", "seeds", "mean", "minus", "1", "p", "(Holm)"]
    rows = [line.split() for line in lines[at:] if line.strip()[:1].isdigit()]
    assert ["3", "3", "73.3", "+13.3", "0.500"] in rows
    assert all(len(line) <= 80 for line in lines[:-1]) and not any("…" in line for line in lines)
    assert "to 100.0" in done.stdout and not re.search(r"to 1[0-9]{2}\.[1-9]", done.stdout)


@pytest.fixture
def small_values(tmp_path: Path) -> Path:
    """Two coefficients, two seeds each; a metric of the size of 3e-5, the same accuracy in both rows."""
    for coefficient in ("0.5", "5"):
        for seed in range(2):
            own = ["algo=ral", f"algo.attention.coef={coefficient}", f"seed={seed}"]
            folder = tmp_path / f"{coefficient}-{seed}"
            write_run(folder, own, {2: 0.5 + 0.1 * seed})
            value = 3e-5 * (1 + seed) * float(coefficient)
            with (folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": 2, "train/attention_jsd": value, "reward/mean": value}) + "\n")
    return tmp_path


def test_small_values_keep_their_digits_and_each_metric_its_files(small_values: Path, capsys: Any) -> None:
    """Seeds 1.5e-5 and 3e-5: Student's interval would begin below 0, where a divergence cannot be, but a reward can."""
    run_compare(small_values, small_values, "train/attention_jsd", "attention.coef=0.5")
    out = capsys.readouterr().out
    assert "2.25e-05" in out and "0 to 0.000118" in out and "…" not in out and "0.0000" not in out
    run_compare(small_values, small_values, "reward/mean", "attention.coef=5")
    assert "-7.28e-05 to 0.000118" in (small_values / "compare_reward_mean.md").read_text()
    run_compare(small_values, small_values, "eval/accuracy", "algo.attention.coef=0.5")
    table = (small_values / "compare.md").read_text()
    assert "no value differs in any seed: too few steps or seeds to tell" in table
    assert "The least p that can come out: 0.5 with 2 pairs of seeds." in table
    names = {
        f"compare{name}.{end}" for name in ("", "_train_attention_jsd", "_reward_mean") for end in ("md", "json", "png")
    }
    assert {path.name for path in small_values.glob("compare*")} == names


def test_runs_that_cannot_be_compared_are_named(sweep: Path) -> None:
    left_out = json.loads((compare(sweep).returncode == 0) and (sweep / "compare.json").read_text())["left_out"]
    assert left_out == {
        "ral3": "it is not finished: its last evaluation is that of step 1 of 2",
        "ral4": "no such thing",
    }


def test_the_same_run_again_counts_once(sweep: Path) -> None:
    """A sweep extended in place runs seeds anew under other numbers; resumed by hand, with a torn last line."""
    again = sweep / "grpo0_again"
    write_run(again, ["algo=grpo", "seed=0", "resume=auto", "name=other", "logger=jsonl"], {0: 0.2, 1: 0.3, 2: 0.9})
    later = (sweep / "grpo0" / "metrics.jsonl").stat().st_mtime + 5
    os.utime(again / "metrics.jsonl", (later, later))
    with (sweep / "ral0" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "eval/acc')
    done = compare(sweep)
    assert done.returncode == 0, done.stderr
    facts = json.loads((sweep / "compare.json").read_text())
    assert facts["groups"][0]["values"] == {"0": 0.9, "1": 0.6, "2": 0.7}
    assert facts["left_out"]["grpo0"] == "grpo0_again is the same run again, and newer"


def test_overrides_may_look_like_markup(tmp_path: Path) -> None:
    kinds = (["dataset.path=[/data/a]"], ["dataset.path=[/data/b]", "dataset.source.sizes={a: 1, b: 2}"])
    for n, own in enumerate(kinds):
        write_run(tmp_path / str(n), [*own, "seed=0"], {2: 0.5})
    done = compare(tmp_path, "--baseline", "dataset.source.sizes={a: 1, b: 2}")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "compare.json").read_text())["baseline"] == " ".join(kinds[1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--baseline", "algo=none"],
            "--baseline algo=none: no such runs; write one of 'algo=grpo', 'algo=ral', 'algo=x lr=1'",
        ),
        (["--metric", "eval/nothing"], "no eval/nothing in metrics.jsonl"),
        (["--metric", "eval/acc"], "no eval/acc in metrics.jsonl; did you mean eval/accuracy?"),
        (["--baseline", "lr=1"], "--baseline lr=1: 2 kinds of runs have it; write the whole of one of 'algo=grpo'"),
    ],
)
def test_what_is_not_there_is_one_line(sweep: Path, arguments: list[str], said: str) -> None:
    for algo in ("x", "y"):
        write_run(sweep / algo, [f"algo={algo}", "lr=1", "seed=0", "logger=jsonl"], {2: 0.5})
    done = compare(sweep, *arguments)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_without_runs_is_one_line(tmp_path: Path) -> None:
    done = compare(tmp_path)
    assert done.returncode == 1 and done.stderr.startswith(f"error: {tmp_path}: holds no runs")


# --- scripts/side_by_side.py


def evaluation(folder: Path, scores: dict[str, list[float]], **settings: object) -> Path:
    """An evaluation of a checkpoint of its own; scores by group."""
    folder.mkdir()
    rest = {"prompt": "", "response": "", "answer": "", "gold": "", "seconds": 0.1, "finished": True, "error": None}
    rows = [(group, score) for group, values in scores.items() for score in values]
    items = [
        {"index": n, "uid": str(n), "group": group, "score": score, "facts": {}} | rest
        for n, (group, score) in enumerate(rows)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    own = {"checkpoint": str(folder), "template": "mini"} | settings
    (folder / "summary.json").write_text(json.dumps({"settings": own}))
    return folder


def side_by_side(*arguments: object) -> subprocess.CompletedProcess[str]:
    return call("scripts/side_by_side.py", *map(str, arguments), folder=ROOT)


def test_evaluations_stand_side_by_side(tmp_path: Path) -> None:
    """Runs with means 0.25, 0.5, 0.75: half a t interval of 4.302653 * 0.25 / sqrt(3) = 0.621."""
    one = evaluation(tmp_path / "one", {"b": [1, 1], "a": [0, 0]})
    several = [evaluation(tmp_path / f"s{n}", {"b": [1, 0], "a": [n > 0, n > 1]}) for n in range(3)]
    rows = [f"shipped={one}", f"RAL={','.join(map(str, several))}"]
    done = side_by_side(*rows, "--output", tmp_path / "t.md")
    assert done.returncode == 0, done.stderr
    lines = [[c.strip() for c in line.strip("|\n").split("|")] for line in done.stdout.splitlines()]
    assert lines[0] == ["", "runs", "all (n=4)", "a (n=2)", "b (n=2)"]
    assert lines[2] == ["shipped", "1", "50.0 (0.0 to 100.0)", "0.0 (0.0 to 0.0)", "100.0 (100.0 to 100.0)"]
    assert lines[3][1:4] == ["3", "50.0 (0.0 to 100.0)", "50.0 (0.0 to 100.0)"]
    assert (tmp_path / "t.md").read_text() == done.stdout


def test_evaluations_that_do_not_compare_are_refused(tmp_path: Path) -> None:
    one = evaluation(tmp_path / "one", {"a": [1, 0]})
    other = evaluation(tmp_path / "other", {"a": [1, 0]}, template="think")
    shorter = evaluation(tmp_path / "shorter", {"a": [1]})
    for wrong, said in ((other, "template is think, but mini"), (shorter, "items is {'all': 1, 'a': 1}"), ("no", "no")):
        done = side_by_side(f"A={one}", f"B={wrong}")
        assert done.returncode == 1 and done.stderr.startswith(f"error: {wrong}: ") and said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_settings_to_type_are_named(tmp_path: Path) -> None:
    """All that differ, each by the key that evaluate.py takes; what is null since answers are greedy is not typed."""
    shared = {"benchmark": "visual_search", "greedy": True, "seed": None, "temperature": None, "scorer": "a version 1"}
    media, source = {"fps": 1.0, "image_min_pixels": 784}, {"split": "test", "media_root": None}
    first = shared | {"max_new_tokens": 768, "media": media, "source": source, "path": "/held.json"}
    second = shared | {
        "max_new_tokens": 1024,
        "path": "/held.json",
        "greedy": False,
        "seed": 1,
        "scorer": "a version 2",
    }
    second |= {"media": {"fps": 2.0, "image_min_pixels": 3136}, "source": {"split": None, "media_root": "/pictures"}}
    one, other = (evaluation(tmp_path / n, {"a": [1]}, **s) for n, s in (("one", first), ("other", second)))
    done = side_by_side(f"A={one}", f"B={other}")
    own = "benchmark.tasks.visual_search"
    typed = f"max_new_tokens=768 greedy=true media.fps=1.0 {own}.media.image_min_pixels=784"
    typed += f" {own}.source.split=test {own}.source.media_root=null"
    assert done.stderr.endswith(f" in the first evaluation: evaluate again with {typed} and another output\n")
