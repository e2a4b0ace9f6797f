"""Rollout engines: native samples as recorded, a fake one drives training and evaluation, stale weights end a run."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import CONF, MIXED, make_prompts
from fake_engines import FakeEngine
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from test_rollout_shared import ASKED, questions

from ral.algorithms.bonuses import OrderBonus
from ral.algorithms.t_grpo import RESPONSES, Temporal
from ral.config import cli
from ral.config.check import check
from ral.evaluation.answering import Asking
from ral.evaluation.shared_questions import respond, share
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.rewards.combine import Part
from ral.rollout.engine import AnswerKey, ContinuesPrefixes, Engine, Sampling, answer_keys, check_version, open_engine
from ral.rollout.given import Targets
from ral.rollout.native import NativeEngine
from ral.rollout.noise import Noise
from ral.rollout.seeds import hash_seed
from ral.types import Rollout, UserError

RECORDED = json.loads((Path(__file__).parent / "recorded_rollouts.json").read_text())
ASKED_FOR = {
    "sampled": (3, Sampling(0.9, 12)),
    "greedy": (1, Sampling(1.0, 12, greedy=True)),
    "noise": (2, Sampling(0.9, 12, noise=Noise(2.0, AttentionSpec()))),
}


@pytest.fixture(autouse=True)
def no_run_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a command line in this process leaves with Hydra."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


FAKE = [f"hydra.searchpath=[file://{Path(__file__).parent / 'conf'}]", "rollout=fake"]


def ids_of(rollout: Rollout) -> list[list[int]]:
    """The sampled ids of each response."""
    return [ids[kept].tolist() for ids, kept in zip(rollout.token_ids, rollout.valid, strict=True)]


# ------------------------------------------------------------------------------------------------------- native


@pytest.mark.parametrize("name", ASKED_FOR)
@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl"])
def test_native_samples_the_tokens_that_were_recorded_before_there_were_engines(family: str, name: str, load) -> None:
    model, (count, sampling) = load(family), ASKED_FOR[name]
    engine = NativeEngine(model)
    engine.update_weights(model, 7)
    rollout = engine.generate(model.prepare(make_prompts(model, MIXED)), count, sampling, seed=5)
    assert ids_of(rollout) == RECORDED[f"{family} {name}"]
    assert rollout.policy_version == 7 and rollout.group_size == count and rollout.log_probs is not None


def test_native_gathers_sharded_weights_once_for_a_session(load: Callable[..., MLLM]) -> None:
    """Also where sessions are nested; a call outside of any gathers for itself, and an error gives the weights back."""
    model, open_now, gathered = load(), [0], [0]

    @contextmanager
    def gather(policy: MLLM) -> Iterator[None]:
        assert policy is model and open_now[0] == 0
        gathered[0], open_now[0] = gathered[0] + 1, 1
        try:
            yield
        finally:
            open_now[0] = 0

    engine, prepared = NativeEngine(model, gather_weights=gather), model.prepare(make_prompts(model, MIXED))
    ask = lambda: engine.generate(prepared, 1, Sampling(1.0, 2), 0)  # noqa: E731
    with engine.session():
        ask(), ask()
        with engine.session():
            ask()
        assert gathered == [1] and open_now == [1]
    ask()
    assert gathered == [2] and open_now == [0]
    with pytest.raises(RuntimeError), engine.session():
        raise RuntimeError
    with engine.session():
        assert gathered == [4] and open_now == [1]


# ------------------------------------------------------------------------------------------------------- the seam


def test_the_protocol_is_what_both_engines_offer(load: Callable[..., MLLM]) -> None:
    model = load()
    engines: list[Engine] = [NativeEngine(model), FakeEngine(model)]
    assert [isinstance(engine, ContinuesPrefixes) for engine in engines] == [True, False]


class Three:
    """An engine without session, version and max_lag."""

    def __init__(self, policy: MLLM) -> None: ...
    def generate(self) -> None: ...
    def update_weights(self) -> None: ...
    def close(self) -> None: ...


def test_an_engine_that_lacks_a_part_is_told_which(load: Callable[..., MLLM]) -> None:
    with pytest.raises(UserError, match=r"^rollout.engine: test_engine.Three lacks session, version, max_lag: write"):
        open_engine(Three, load())
    assert isinstance(open_engine(NativeEngine, load()), NativeEngine)


def test_equal_keys_have_equal_answers_and_a_repeated_prompt_has_a_key_of_its_own(load: Callable[..., MLLM]) -> None:
    model, sampling = load(), Sampling(1.2, 9)
    engine, prepared = NativeEngine(model), model.prepare(make_prompts(model, ((), ("image",))))
    found: dict[AnswerKey, list[int]] = {}
    for chosen in ([0, 0, 1], [1, 0]):
        prompts = prepared.take(chosen)
        keys = answer_keys(prompts, 1, sampling, 3, engine.version)
        assert len(set(keys)) == len(keys) and {key.count for key in keys} == {1}
        for key, ids in zip(keys, ids_of(engine.generate(prompts, 1, sampling, 3)), strict=True):
            assert found.setdefault(key, ids) == ids
    assert len(found) == 3 and [key.occurrence for key in found] == [0, 1, 0]
    assert len({tuple(ids) for ids in found.values()}) == 3


def test_a_fake_engine_drives_training_and_its_evaluations(
    run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy decodes nothing; the engine hears of every change of the weights, and is closed once."""
    monkeypatch.setattr(MLLM, "decode", lambda *_: pytest.fail("the policy was asked to decode"))
    FakeEngine.made.clear()
    folder = run("algo=grpo", *small, "eval.every=0", *FAKE)
    (engine,) = FakeEngine.made
    step = ["generate 8", "update {}"]
    before, after = ["update 0", "generate 1 greedy"], ["generate 1 greedy", "close"]
    assert engine.events == [*before, step[0], "update 1", step[0], "update 2", *after]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/policy_version"] for line in lines if "train/loss" in line] == [0, 1]
    assert all("train/engine_log_prob_gap" not in line for line in lines)  # it tells no log-probs
    records = [json.loads(line) for line in (folder / "eval" / "after.jsonl").read_text().splitlines()]
    assert {record["response"] for record in records} == set(engine.texts)


def test_a_resumed_run_tells_the_engine_its_version(run: Callable[..., Path], small: list[str]) -> None:
    short = ["algo=grpo", *small, "eval.every=0", "eval.before=false", "checkpoint.every=1", *FAKE]
    run(*short, "max_steps=1")
    FakeEngine.made.clear()
    run(*short, "max_steps=2", "resume=auto")
    assert FakeEngine.made[0].events[:3] == ["update 1", "generate 8", "update 2"]


def test_an_engine_that_cannot_be_closed_costs_the_run_nothing(
    run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(engine: FakeEngine) -> None:
        raise RuntimeError("no such process")

    monkeypatch.setattr(FakeEngine, "close", broken)
    folder = run("algo=grpo", *small, "max_steps=1", "eval.every=0", "eval.before=false", *FAKE)
    assert (folder / "hf" / "config.json").is_file()
    assert "warning: rollout.engine: close failed: RuntimeError: no such process" in capfd.readouterr().err
    with pytest.raises(UserError, match=r"rollout.engine: responses are of policy version 0"):  # not close's error
        run("algo=grpo", *small, "eval.before=false", *FAKE, "rollout.engine.deaf=true", "overwrite=true")


def test_an_engine_is_closed_where_the_rest_of_the_run_cannot_be_built(
    run: Callable[..., Path], small: list[str]
) -> None:
    FakeEngine.made.clear()
    with pytest.raises(UserError, match=r"model.teacher is not set"):
        run("algo=distill", *small, "model.teacher=null", *FAKE)
    assert [engine.events for engine in FakeEngine.made] == [["close"]]


@pytest.mark.parametrize(("max_lag", "steps"), [(0, 1), (1, 2)])
def test_stale_weights_end_the_run_in_one_line(
    max_lag: int, steps: int, run: Callable[..., Path], small: list[str], tmp_path: Path
) -> None:
    settings = ["algo=grpo", *small, "eval.every=0", "eval.before=false", "max_steps=3", *FAKE]
    with pytest.raises(UserError, match=rf"policy version 0 while the policy is at version {steps}, .* by {max_lag}:"):
        run(*settings, "rollout.engine.deaf=true", f"rollout.engine.max_lag={max_lag}")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == steps and FakeEngine.made[-1].events[-1] == "close"


def test_versions_that_fit_pass_and_those_to_come_do_not(load: Callable[..., MLLM]) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, ((),)))
    engine = FakeEngine(model)
    engine.update_weights(model, 3)
    rollout = engine.generate(prepared, 1, Sampling(), 0)
    check_version(rollout, 3, 0)
    check_version(rollout, 5, 2)
    check_version(rollout, 10**6, float("inf"))
    for version, lag in ((4, 0), (6, 2), (2, float("inf"))):
        with pytest.raises(UserError, match=rf"^rollout.engine: .* version 3 while the policy is at version {version}"):
            check_version(rollout, version, lag)


# ------------------------------------------------------------------------------------------------------- who asks


def test_evaluate_py_asks_the_engine_that_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data_folder: Path
) -> None:
    module, sizes = importlib.import_module("evaluate"), "{validation: 8, test: 4}"
    task = f"benchmark.tasks.visual_search.source.sizes={sizes}"
    given = [task, "limit=8", "batch=4", "threads=1", f"benchmark.path={data_folder}", f"output={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *given, *FAKE])
    monkeypatch.setattr(MLLM, "decode", lambda *_: pytest.fail("the model was asked to decode"))
    FakeEngine.made.clear()
    cli.run(module.main, "evaluate", check=module.check)
    items = [json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().splitlines()]
    assert [item["response"] for item in items] == [*FakeEngine.made[0].texts * 2] * 2
    assert FakeEngine.made[0].events == ["update 0", *["generate 1 greedy"] * 2, "close"]
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["rollout"]["_target_"] == "fake_engines.FakeEngine"
    assert "accuracy:" in capsys.readouterr().out


def test_an_engine_that_continues_no_prefixes_is_asked_whole_prompts(load: Callable[..., MLLM]) -> None:
    """With the same answers; questions that were joined for another engine are not asked in pieces."""
    model, sampling = load(), Sampling(1.2, 9)

    class Whole:
        generate = NativeEngine(model).generate

    whole, native = Asking(model, Whole(), sampling, 3), Asking(model, NativeEngine(model), sampling, 3)  # type: ignore[arg-type]
    assert native.joins and not whole.joins
    joint, apart = (share(model.processor, *questions(model), asking.joins) for asking in (native, whole))
    assert len(joint.heads) < len(apart.heads) == len(ASKED)
    assert native(joint) == whole(apart)
    with pytest.raises(AssertionError, match="joined for an engine that continues no prefixes"):
        respond(Whole(), model, joint, sampling, 3)  # type: ignore[arg-type]


def test_t_grpo_asks_the_engine_again_about_shuffled_clips(load: Callable[..., MLLM]) -> None:
    model = load()
    engine, sampling = FakeEngine(model), Sampling()
    part = Part(lambda example, text: float(text == "B"), 0.9)
    temporal = Temporal(part, OrderBonus(), sampling=sampling, group_size=8, share=0.5)
    rollout = temporal.roll_out(model, engine, make_prompts(model, MIXED), seed=3)
    assert rollout is not None and [e.uid for e in rollout.prompts.examples] == ["1", "3"]
    assert engine.events == ["generate 4"] and engine.seeds == [hash_seed(3, RESPONSES)]
    assert temporal.roll_out(model, engine, make_prompts(model, (("image",), ())), seed=3) is None


def test_given_responses_have_no_version(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts = make_prompts(model, ((), ("image",)))
    targets = ("red", "A. red B. blue")
    wordings = tuple(replace(w, target=target) for w, target in zip(prompts.wordings, targets, strict=True))
    prompts = replace(prompts, wordings=wordings)
    rollout = Targets(model.processor)(model.prepare(prompts), seed=1)
    assert rollout.policy_version is None and rollout.texts == targets and bool(rollout.finished.all())
    check_version(rollout, 9, 0)
    assert torch.equal(rollout.valid.sum(1), torch.tensor([len(ids) for ids in ids_of(rollout)]))


# ------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+rollout.engine.gather_wieghts=null"], r"rollout.engine.gather_wieghts: .* did you mean gather_weights\?"),
        (["rollout.engine._target_=ral.rollout.native.NativeEngin"], r"no 'NativeEngin'; did you mean NativeEngine"),
        (["+rollout.engin=1"], r"unknown key rollout.engin; did you mean engine\?"),
        (["~rollout.engine"], r"rollout.engine is not set"),
        (
            ["rollout.engine._target_=tape.Replay"],
            r"no package 'tape' is installed, .* folder that holds it on PYTHONPATH",
        ),
        (["algo.sampling=null"], r"algo.sampling is not set, and algo.rollouts=true samples responses"),
        (["algo=sft", "algo.given=null"], r"algo.given is not set, and algo.rollouts=false samples none"),
        (["algo.given={_target_: ral.rollout.given.Targets, _partial_: true}"], r"write algo.given=null$"),
        (["+algo.sampler={_target_: mine.Sampler}"], r"^algo.sampler has moved: write algo.sampling; .* rollout=NAME"),
        (["+algo.module=1"], r"^algo.module has moved: write algo.task "),
        (["+algo.temporal={sampler: {group_size: 3}}"], r"^algo.temporal.sampler has moved: write algo.temporal.samp"),
        (["+algo.temporal={sampler: 1}"], r"^algo.temporal.sampler has moved: write algo.temporal.sampling "),
    ],
)
def test_settings_that_cannot_work_fail_before_weights_load(overrides: list[str], said: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides)
    with pytest.raises(UserError, match=said):
        check(cfg)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("algo.sampler.noise.sigma=0.5", "error: algo.sampler.noise.sigma has moved: write algo.sampling.noise.sigma;"),
        (
            "algo.sampler.max_new_tokens=9",
            "error: algo.sampler.max_new_tokens has moved: write dataset.max_new_tokens ",
        ),
        ("rollout=nativ", "error: rollout=nativ: conf/rollout has no 'nativ'; did you mean native?"),
    ],
)
def test_the_command_line_says_what_to_type_instead(
    override: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "algo=ral_explore", override])
    with pytest.raises(SystemExit):
        cli.run(lambda cfg: None, "train")
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)


@pytest.mark.parametrize(("folder", "said"), [("none", "no such folder"), ("there", "no file rollout/tape.yaml there")])
def test_an_option_that_is_nowhere_names_the_folders_of_the_search_path(
    folder: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    given = f"hydra.searchpath=[file://{tmp_path / folder}]"
    monkeypatch.setattr(sys, "argv", ["train.py", given, "rollout=tape"])
    with warnings.catch_warnings(), pytest.raises(SystemExit):
        warnings.simplefilter("ignore", UserWarning)  # Hydra's own, which a user sees above the line
        cli.run(lambda cfg: None, "train")
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: rollout=tape: conf/rollout has no 'tape'")
    assert line.endswith(f"; hydra.searchpath={tmp_path / folder}: {said}")


def test_the_help_lists_the_group(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    cli.run(lambda cfg: None, "train")
    shown = capsys.readouterr().out
    assert "rollout: native" in shown and "rollout     who samples the answers" in shown
