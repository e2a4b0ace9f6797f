"""The command line: one line an error, exit codes, help, sweeps; on a small conf/ of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from ral.config import cli, listing
from ral.config.check import Node, check
from ral.config.explain import VERSION_BASE, quoted
from ral.config.groups import PROGRAMS, of_another_program, own_groups
from ral.errors import UserError
from ral.files import run_folder

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = {
    "train.yaml": """
        defaults: [algo: grpo, model: tiny, dataset: toy, hardware: cpu, reward: exact, logger: jsonl,
                   optional experiment: null, _self_, override hydra/help: ral]
        seed: 0
        max_steps: 3
        name: ${hydra:runtime.choices.algo}
        resume: null
        debug: false
        hydra: {run: {dir: out/run}, sweep: {dir: out/sweep, subdir: "${hydra:job.num}"}}
        """,
    "algo/grpo.yaml": """
        objective: [token]
        rollouts: true
        group_size: 8
        updates_per_rollout: 4
        token: {_target_: light_terms.token, _partial_: true}
        advantage: {_target_: light_terms.relative, _partial_: true}
        sampling: {_target_: builtins.dict}
        """,
    "algo/ral.yaml": """
        objective: [token, attention]
        rollouts: true
        group_size: 8
        updates_per_rollout: 4
        token: {_target_: light_terms.token, _partial_: true}
        advantage: {_target_: light_terms.relative, _partial_: true}
        sampling: {_target_: builtins.dict}
        attention: {_target_: light_terms.look, _partial_: true, coef: 1.0, against: old}
        """,
    "model/tiny.yaml": "pretrained: models/tiny",
    "dataset/toy.yaml": "{path: toy.json, limit: null}",
    "dataset/jsonl.yaml": 'path: ???\nlimit: null\nmedia_root: "${oc.env:RAL_NO_SUCH_VARIABLE}"',
    "hardware/cpu.yaml": "{devices: 1, precision: 32-true}",
    "reward/exact.yaml": "accuracy: 0.9",
    "logger/jsonl.yaml": "every: 1",
    "experiment/long.yaml": "# @package _global_\nmax_steps: 500",
}


def write_conf(folder: Path) -> Path:
    """A conf/ of the project's shape, small and without any heavy target."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        path.write_text("\n".join(line[indent:] for line in lines).rstrip() + "\n")
    shutil.copytree(REPOSITORY / "conf" / "hydra", folder / "hydra")
    return folder


@dataclass
class Algo:
    """The part of conf/algo that the rules read."""

    objective: list[str]
    rollouts: bool
    group_size: int
    updates_per_rollout: int


@dataclass
class Toy:
    """The schema of the small conf/."""

    seed: int
    max_steps: int
    name: str
    resume: str | None
    debug: bool
    algo: Algo
    model: Node
    dataset: Node
    hardware: Node
    reward: Node
    logger: Node


Start = Callable[..., tuple[int, str, str]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Start:
    """start("seed=1", main=...) -> exit code, stdout, stderr; in this process, in an empty folder."""
    conf = write_conf(tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # so that what cli sets is undone after the test
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)  # Hydra leaves it set after --help

    def nothing(cfg: DictConfig) -> None:
        """A run that ends at once."""

    def start(*arguments: str, main: Callable[[DictConfig], Any] = nothing, claim: Any = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        code = 0
        try:
            cli.run(main, "train", conf, partial(check, schema=Toy), claim)
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return start


def test_a_group_of_another_program_is_answered_with_what_this_one_takes(tmp_path: Path) -> None:
    """Whatever form it is typed in; --help lists the groups that a program takes, and no others."""
    listing.register()
    told = partial(of_another_program, config_dir=REPOSITORY / "conf")
    typed = ["dataset=jsonl", "+dataset.path=held.json"]
    line = "evaluate.py has no group dataset, its groups are benchmark, rollout: write benchmark=jsonl benchmark.path="
    for key in ("dataset", "dataset.path"):
        found = told(key, config_name="evaluate", typed=typed)
        assert found == f"{line}held.json, or another of conf/benchmark"
    assert (told("model", config_name="explore", typed=[]) or "").endswith("write checkpoint=<folder or hub id>")
    assert (told("optim", config_name="knockout", typed=[]) or "").endswith("--help lists what it takes")
    for known in ("benchmark", "benchmark.path", "hydra.run.dir", "nothing", "", "limit"):
        assert told(known, config_name="evaluate", typed=[]) is None
    for config in (path.stem for path in (REPOSITORY / "conf").glob("*.yaml") if path.stem in PROGRAMS):
        page = listing.help_page(cli._check_flags(["--help"]), REPOSITORY / "conf", config, VERSION_BASE) or ""
        listed = re.findall(r"(?m)^([a-z]+): ", page.partition("EXAMPLES")[0])
        assert listed == sorted(own_groups(REPOSITORY / "conf", config)), config


@pytest.mark.parametrize(
    "argument", ["dataset=jsonl", "+dataset=jsonl", "dataset.path=x", "+dataset.path=x", "+dataset=hf"]
)
def test_evaluate_py_says_how_it_takes_data(argument: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from evaluate import check as check_evaluation

    def said(typed: str) -> str:
        monkeypatch.setattr(sys, "argv", ["evaluate.py", typed])
        with pytest.raises(SystemExit):
            cli.run(lambda cfg: None, "evaluate", check=check_evaluation)
        return only_line(capsys.readouterr().err)

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # so that what cli sets is undone after the test
    assert "write benchmark=jsonl benchmark.path=" in said(argument)
    assert all(name in said("benchmark=zzzz") for name in ("jsonl", "vstar_evidence", "paper_image"))


def only_line(stderr: str) -> str:
    """The one line of an error's output."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["seed=1", "--config-dir=D", "experiment=mine"], ["--config-dir=D", "seed=1", "experiment=mine"]),
        (["seed=1", "--config-dir", "D", "name=x"], ["--config-dir", "D", "seed=1", "name=x"]),
        (["algo=grpo", "-m", "seed=1,2"], ["-m", "algo=grpo", "seed=1,2"]),
        (["a=1", "--multirun", "b=2", "--cfg", "job", "c=3"], ["--multirun", "--cfg", "job", "a=1", "b=2", "c=3"]),
        (["a=1", "--lr", "3", "~b"], ["a=1", "--lr", "3", "~b"]),
        (["a=1", "-c"], ["-c", "a=1"]),
    ],
)
def test_flags_stand_anywhere(typed: list[str], wanted: list[str]) -> None:
    assert cli.flags_first(typed) == wanted and cli.flags_first(wanted) == wanted


@pytest.mark.parametrize("package", [True, False])
def test_an_experiment_of_ones_own_behind_the_settings(start: Start, tmp_path: Path, package: bool) -> None:
    (tmp_path / "experiment").mkdir()
    first = "# @package _global_\n" if package else ""
    (tmp_path / "experiment" / "mine.yaml").write_text(f"{first}algo:\n  group_size: 6\n")
    called: list[DictConfig] = []
    code, _, stderr = start("algo=grpo", f"--config-dir={tmp_path}", "experiment=mine", main=called.append)
    if package:
        assert code == 0 and called[0].algo.group_size == 6
    else:
        assert code == 1 and not called
        assert "experiment=mine: its yaml sets keys below experiment" in stderr and "# @package _global_" in stderr


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("algo.grup_size=4", "unknown key algo.grup_size; did you mean algo.group_size?"),
        ("group_size=4", "did you mean algo.group_size?"),
        ("max_step=4", "did you mean max_steps?"),
        ("algoo=ral", "unknown key algoo; did you mean algo?"),
        ("algorithm=ral", "unknown key algorithm: write algo=ral"),
        ("+models=TINY", "unknown key models: write model=tiny"),
        ("epochs=3", "unknown key epochs: write max_steps=<value>"),
        ("algo=RAL", "algo=RAL: conf/algo has no 'RAL'; did you mean ral? (options: grpo, ral)"),
        ("experimnt=long", "did you mean experiment?"),
        ("hydra.run.dri=x", "did you mean hydra.run.dir?"),
        ("zzz=1", "unknown key zzz; --cfg job prints every key"),
        ("~algo.grup_size", "did you mean algo.group_size?"),
        ("algo=rall", "algo=rall: conf/algo has no 'rall'; did you mean ral? (options: grpo, ral)"),
        ("algo=zzzz", "algo=zzzz: conf/algo has no 'zzzz'; known: grpo, ral"),
        ("dataset=none", "dataset=none: conf/dataset has no 'none'; known: jsonl, toy"),
        ("+unheard=1", "unknown key unheard"),
        ("+algo.grup_size=4", "unknown key algo.grup_size; did you mean group_size?"),
        ("+seed=1", "seed is already set: write seed=<value> without +"),
        ("algo=grpo,ral", "add -m to run once for each value"),
        ("seed=[1", "cannot read 'seed=[1'"),
        ("model.pretrained=/a/epoch=3", """as text it is typed 'model.pretrained="/a/epoch=3"'"""),
        ("model.pretrained=/数据/模型", """as text it is typed 'model.pretrained="/数据/模型"'"""),
        ("model.pretrained=/a,b", """or 'model.pretrained="/a,b"' for a text with a comma"""),
        ("name=12", "as text it is typed 'name=\"12\"'"),
        ("name=${nothing}", "as text it is typed 'name=\"\\${nothing}\"'"),
        ("algo.attention.coef=2", "algo=grpo has no attention term; attention is in algo=ral"),
        ("+algo.attention.coef=2", "algo=grpo has no attention term; attention is in algo=ral"),
        ("dataset.media_root=/x", "dataset=toy has no media_root; media_root is in dataset=jsonl"),
        ("=", "cannot read '='"),
        ("--algo", "unrecognized arguments: --algo; settings are written key=value"),
        (
            "model=Some/Model-3B",
            "model=Some/Model-3B: model takes an option of conf/model: write model.pretrained=Some/",
        ),
        ("dataset=/no/held.jsonl", "write dataset=jsonl dataset.path=/no/held.jsonl, or another option (jsonl, toy)"),
        ("dataset=rows.parquet", "write dataset=hf dataset.path=rows.parquet"),
        ("dataset.path=/no/*.json", "dataset.path=/no/*.json: one file is read, and that names several; files of JSON"),
        ("dataset.path=/no/a.jsonl,/no/b.jsonl", "one file is read, and that names several"),
        ("dataset.path=[/no/a.jsonl,/no/b.jsonl]", "`cat a.jsonl b.jsonl > all.jsonl`"),
        ("algo=1", "algo=1: conf/algo has no '1'; known: "),
        ("+model=true", "model=true: conf/model has no 'true'; known: "),
        ("algo=null", "algo=null: conf/algo has no 'null'; known: grpo, ral; leave algo out for grpo"),
        ("--learning_rate=1e-6", "settings are written key=value without dashes: write algo.learning_rate=1e-6"),
        ("output_dir=out", "unknown key output_dir: write hydra.run.dir=out"),
        ("seed=abc", "seed='abc' has the wrong type: int expected"),
        ("max_steps=0", "max_steps=0 is too small"),
        ("dataset=jsonl", "dataset.path is not set: write dataset.path=<value>"),
        ("algo.group_size=1", "algo.group_size=1: the advantage compares"),
        (
            "hydra.run.dir=conf/train.yaml/run",
            "conf/train.yaml is a file, and a folder is needed there; write hydra.run.dir=",
        ),
        ("hydra.run.dir=conf/train.yaml", "hydra.run.dir=conf/train.yaml: is a file, and a folder is needed"),
    ],
)
def test_a_mistake_is_answered_by_one_line(start: Start, argument: str, expected: str) -> None:
    called: list[DictConfig] = []
    code, _, stderr = start(argument, main=called.append)
    assert code == 1
    assert expected in only_line(stderr)
    assert not called


LETTERS = (
    *("/a=b", "/a,b", "/a b", "/a(b)/c", "中文/é", "a#b", "{a}", "[1", "a&b", "it's", 'say "x"', "${x}", "$x", "a\\"),
    *("\\${x}", "'\"", "~/x", "a\\'b", " ", "null", "1e3", "true", "*?", "a;b|c", "<x>", "`x`", "!x"),
)


@pytest.mark.parametrize("value", LETTERS)
def test_what_to_type_is_read_back_letter_by_letter(value: str) -> None:
    """Through a shell, Hydra and OmegaConf."""
    way = quoted(f"model.pretrained={value}")
    assert way is not None
    (argument,) = shlex.split(way)
    key, found = argument.split("=", 1)[0], OverridesParser.create().parse_override(argument).value()
    assert key == "model.pretrained" and OmegaConf.create({"value": found})["value"] == value


def test_sigterm_before_the_run_takes_over_ends_in_order(start: Start) -> None:
    """The folder that Hydra made for the run goes with it."""

    def claim(cfg: DictConfig) -> run_folder.Claim:
        return run_folder.claim_for_run(Path(HydraConfig.get().runtime.output_dir), None, False)

    def main(cfg: DictConfig) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    run_folder.remember(Path("out/run"))
    code, _, stderr = start("hydra.output_subdir=null", "hydra/job_logging=none", main=main, claim=claim)
    assert (code, stderr) == (143, "") and not Path("out").exists()
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_mistake_does_not_hide_the_answer_to_another(start: Start) -> None:
    code, _, stderr = start("algo=ral", "algo.atention.coef=0.5", "max_step=4")
    assert code == 1
    assert only_line(stderr) == "error: unknown key algo.atention.coef; did you mean algo.attention.coef?"


def test_interpolation_that_leads_nowhere_names_its_key(start: Start) -> None:
    code, _, stderr = start("dataset=jsonl", "dataset.path=a.json")
    assert code == 1
    assert "dataset.media_root" in only_line(stderr)
    assert "RAL_NO_SUCH_VARIABLE" in stderr


def test_ral_with_one_update_against_the_old_policy_is_rejected(start: Start) -> None:
    code, _, stderr = start("algo=ral", "algo.updates_per_rollout=1")
    assert code == 1
    message = only_line(stderr)
    assert "algo.updates_per_rollout=2" in message
    assert "algo.attention.against=reference or ema" in message
    assert start("algo=ral", "algo.updates_per_rollout=1", "algo.attention.against=ema")[0] == 0


def test_broken_yaml_names_file_and_line(start: Start) -> None:
    Path("conf/reward/exact.yaml").write_text("accuracy: 0.9\nformat: [0.1\n")
    code, _, stderr = start()
    assert code == 1
    assert "not valid yaml" in only_line(stderr)
    assert "exact.yaml line" in stderr


def test_main_gets_the_configuration_and_the_exit_code_is_0(start: Start) -> None:
    seen: list[Any] = []
    code, _, stderr = start("seed=7", main=lambda cfg: seen.append((cfg.seed, cfg.name, HydraConfig.get().job.name)))
    assert (code, stderr) == (0, "")
    assert seen == [(7, "grpo", "test_cli")]


def fail(error: BaseException) -> Callable[[DictConfig], None]:
    """A main that raises."""

    def main(cfg: DictConfig) -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, "20000"), ({"OMP_WAIT_POLICY": "active"}, None), ({"GOMP_SPINCOUNT": "7"}, "7")],
    ids=["default", "policy-of-the-user", "count-of-the-user"],
)
def test_threads_spin_briefly_unless_told(
    start: Start, monkeypatch: pytest.MonkeyPatch, own: dict[str, str], expected: str | None
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "undone after the test")
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    start(main=lambda _: None)
    assert os.environ.get("GOMP_SPINCOUNT") == expected


def test_user_error_is_one_line_even_if_its_text_is_not(start: Start) -> None:
    code, _, stderr = start(main=fail(UserError("data.json entry 3:\n field 'path' is empty")))
    assert code == 1
    assert only_line(stderr) == "error: data.json entry 3: field 'path' is empty"


def test_other_exceptions_are_named_and_point_to_debug(start: Start) -> None:
    code, _, stderr = start(main=fail(ZeroDivisionError("by zero\nsecond line")))
    assert code == 1
    assert only_line(stderr) == "error: ZeroDivisionError: by zero (run again with debug=true for the traceback)"


@pytest.mark.parametrize("arguments", [("debug=true",), ("debug=true", "seed=abc"), ("debug=true", "sed=1")])
def test_debug_adds_the_traceback_before_the_line(start: Start, arguments: tuple[str, ...]) -> None:
    code, _, stderr = start(*arguments, main=fail(ZeroDivisionError("by zero")))
    assert code == 1
    assert "Traceback (most recent call last)" in stderr
    assert stderr.splitlines()[-1].startswith("error: ")


def test_interrupt_leaves_with_130_and_system_exit_with_its_own_code(start: Start) -> None:
    assert start(main=fail(KeyboardInterrupt()))[0] == 130
    assert start(main=fail(SystemExit(130)))[0] == 130


def test_help_lists_groups_examples_and_keys(start: Start) -> None:
    code, stdout, _ = start("--help")
    assert code == 0
    assert "dataset: jsonl, toy" in stdout
    assert stdout.count("\n  python train.py") == 5
    keys = ["seed", "max_steps", "name", "resume", "debug", "algo.group_size", "algo.updates_per_rollout"]
    keys += ["algo.attention.coef", "model.pretrained", "dataset.path", "dataset.media_root", "dataset.limit"]
    for key in [*keys, "hydra.run.dir"]:
        assert f"\n  {key} " in stdout, key
    assert "$" not in stdout


def test_the_help_of_training_names_what_conf_holds() -> None:
    """Every group and every algorithm, with what its yaml says first; the paper's experiments by their whole names."""
    listing.register()
    conf = REPOSITORY / "conf"
    page = listing.help_page(cli._check_flags(["--help"]), conf, "train", VERSION_BASE) or ""
    groups, _, rest = page.partition("Options:")
    assert set(own_groups(conf, "train")) <= set(re.findall(r"(?m)^  ([a-z]+) ", groups))
    for path in (conf / "algo").glob("*.yaml"):
        first = path.read_text().partition("\n")[0].removeprefix("# ")
        assert re.search(rf"(?m)^      {path.stem} +{re.escape(first[:30])}", groups), path.stem
    for path in (conf / "experiment" / "paper").glob("*.yaml"):
        assert re.search(rf"(?m)^experiment: .*\bpaper/{path.stem}\b", rest)
    assert "shared" not in rest.partition("EXAMPLES")[0] and all(kind in rest for kind in ("CSV", "parquet"))


def test_multirun_runs_every_combination_in_one_folder(start: Start) -> None:
    seen: list[Any] = []
    code, _, stderr = start("-m", "algo=grpo,ral", "seed=0,1", main=lambda cfg: seen.append((cfg.name, cfg.seed)))
    assert (code, stderr) == (0, "")
    assert seen == [("grpo", 0), ("grpo", 1), ("ral", 0), ("ral", 1)]
    assert sorted(p.name for p in Path("out/sweep").iterdir() if p.is_dir()) == ["0", "1", "2", "3"]


def test_multirun_goes_on_after_a_failing_job_and_says_so_at_the_end(start: Start) -> None:
    seen: list[int] = []

    def main(cfg: DictConfig) -> None:
        seen.append(cfg.seed)
        if cfg.seed == 0:
            raise UserError("nothing to train on")

    code, _, stderr = start("--multirun", "seed=0,1", main=main)
    assert code == 1
    assert seen == [0, 1]
    assert only_line(stderr) == "error: nothing to train on"


def test_multirun_finds_a_mistake_before_the_first_job(start: Start) -> None:
    seen: list[DictConfig] = []
    code, _, stderr = start("-m", "algo=grpo,rall", main=seen.append)
    assert code == 1
    assert "did you mean ral?" in only_line(stderr)
    assert not seen


def test_a_rank_started_from_a_sweep_runs_that_job_alone(start: Start) -> None:
    """Lightning starts other ranks with sys.argv and the run folder of HydraConfig; both must mean this job."""
    ranks: list[tuple[list[str], str]] = []
    start("-m", "seed=0,1", "hydra.verbose=true", main=lambda _: ranks.append((sys.argv, HydraConfig.get().run.dir)))
    folders = [str(Path("out/sweep", job).absolute()) for job in ("0", "1")]
    script = str(Path("train.py").absolute())
    assert ranks == [([script, f"seed={n}", "hydra.verbose=true"], folders[n]) for n in (0, 1)]
    assert "-m" in sys.argv

    seen: list[Any] = []
    argv, folder = ranks[1]
    rank = [f'hydra.run.dir="{folder}"', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"]
    code, _, _ = start(*argv[1:], *rank, main=lambda cfg: seen.append((cfg.seed, HydraConfig.get().runtime.output_dir)))
    assert (code, seen) == (0, [(1, folder)])


PROBE = """
import atexit, runpy, sys
heavy = {"torch", "transformers", "lightning", "numpy"}
atexit.register(lambda: print("heavy:", sorted(heavy & set(sys.modules))))
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv.pop(0))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_showing_the_configuration_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    program = [sys.executable, "-c", PROBE, str(REPOSITORY), str(REPOSITORY / "train.py")]
    before = os.times()
    done = subprocess.run(
        [*program, "--cfg", "job", "seed=5"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "seed: 5" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"
    after = os.times()  # processor time, which other processes on a busy machine do not lengthen
    assert after.children_user + after.children_system - before.children_user - before.children_system < 3


def test_train_py_answers_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "train.py"), "algo.group_size=true"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert only_line(done.stderr) == (
        "error: algo.group_size=True has the wrong type: int expected; write 1 or more, such as algo.group_size=8"
    )


def test_help_whose_reader_has_gone_ends_without_a_word() -> None:
    command = [sys.executable, str(REPOSITORY / "train.py"), "--help"]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=REPOSITORY, timeout=60)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (cli.READER_GONE, b"")
