"""Rewards scored in other processes: the values and errors of the reward itself, and nothing that is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, ROOT
from rewards_elsewhere import Many, OfRollouts, fails_on, is_killed, length, share, waits_for

from ral.config.build import instantiate
from ral.errors import UserError
from ral.learner.step import begun
from ral.rewards import workers
from ral.rewards.accuracy import accuracy
from ral.rewards.combine import Part, Reward
from ral.rewards.judge import Judge
from ral.rewards.workers import RewardBeside
from ral.types import Example

EXAMPLES = tuple(Example(f"e{n}", "How many?", str(n), "numerical", source=f"file entry {n}") for n in range(3))
TEXTS = tuple(f"<answer>{n}</answer>" + "a" * n for n in range(9))


def rollout(texts: tuple[str, ...] = TEXTS) -> Any:
    """What a reward reads of a rollout: three prompts with three responses each."""
    return SimpleNamespace(prompts=SimpleNamespace(examples=EXAMPLES), texts=texts, group_size=3)


@pytest.fixture
def beside() -> Iterator[Callable[..., RewardBeside]]:
    """A maker of rewards that are scored in other processes, which end with the test."""
    made: list[RewardBeside] = []

    def make(count: int, **functions: Any) -> RewardBeside:
        made.append(RewardBeside(Reward({n: Part(f, 0.5 + len(n)) for n, f in functions.items()}), count))
        return made[-1]

    yield make
    for each in made:
        each.close()
        assert all(worker.process.poll() is not None for worker in each.workers)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_scores_are_those_of_the_reward_itself(count: int, beside: Callable[..., RewardBeside]) -> None:
    """Rules, what is printed, a part that takes all responses at once, and one that reads rollouts: twice."""
    own = OfRollouts()
    made = beside(count, right=partial(accuracy, rules="fixed"), share=share, many=Many(), own=own, length=length)
    for texts in (TEXTS, TEXTS[::-1]):
        found, plain = made(rollout(texts)), made.reward(rollout(texts))
        assert torch.equal(found.reward, plain.reward) and list(found.parts) == list(plain.parts)
        assert all(torch.equal(found.parts[name], plain.parts[name]) for name in plain.parts)
        assert len(set(plain.reward.tolist())) > 3 and plain.parts["many"].tolist() == list(range(9))
    assert set(own.processes) == {os.getpid()}


def test_the_run_goes_on_while_responses_are_scored(beside: Callable[..., RewardBeside], tmp_path: Path) -> None:
    """The scores need a file that this process writes once it has seen that they were begun."""
    made = beside(2, waits=partial(waits_for, file=str(tmp_path / "go")))
    waiting, deadline = begun(made, rollout()), time.monotonic() + 60
    while not (tmp_path / "go.awaited").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (tmp_path / "go").touch()
    assert waiting().parts["waits"].tolist() == [1.0] * 9


def test_a_reward_of_another_kind_is_scored_when_it_is_asked() -> None:
    asked: list[object] = []
    waiting = begun(asked.append, "rollout")  # type: ignore[arg-type]
    assert not asked
    waiting()
    assert asked == ["rollout"]


@pytest.mark.parametrize("words", [(TEXTS[1], TEXTS[7]), (TEXTS[8],)])
def test_errors_are_those_of_the_reward_itself(words: tuple[str, ...], beside: Callable[..., RewardBeside]) -> None:
    """The first part's first, whichever process met it; then the processes score on."""
    made = beside(3, length=length, first=partial(fails_on, words=words), then=partial(fails_on, words=TEXTS))
    with pytest.raises(UserError) as own:
        made.reward(rollout())
    waiting = made.begin(rollout())
    with pytest.raises(UserError) as found:
        waiting()
    assert str(found.value) == str(own.value) and "reward part first failed on file entry" in str(own.value)
    assert "\n" not in str(found.value)
    assert made(rollout(tuple("none" for _ in TEXTS))).parts["then"].tolist() == [1.0] * 9


def test_a_process_that_ends_is_one_line(beside: Callable[..., RewardBeside]) -> None:
    made = beside(2, dies=is_killed)
    for _ in range(2):  # found out while waiting, and then while sending
        waiting = made.begin(rollout())
        with pytest.raises(UserError, match=r"^hardware\.reward_workers: a process .* ended by SIGKILL .*=0 scores"):
            waiting()


def test_what_cannot_be_sent_is_named() -> None:
    reward = Reward({"own": Part(lambda example, text: 1.0, 1.0)})
    with pytest.raises(UserError, match=r"^hardware\.reward_workers: reward\.parts\.own cannot be sent .*write .*=0$"):
        RewardBeside(reward, 1)


def test_a_judge_can_be_sent(tmp_path: Path, beside: Callable[..., RewardBeside]) -> None:
    """Its template is read again where it arrives; nobody listens at the address, and the message is its own."""
    (tmp_path / "own.j2").write_text("Rate {{ response }}")
    node = {"_target_": "ral.rewards.judge.Judge", "url": "http://127.0.0.1:9/v1", "model": "m"}
    requests = {"_target_": "ral.rewards.judge.Requests", "retries": 0}
    judge: Judge = instantiate({**node, "template": str(tmp_path / "own.j2"), "requests": requests})
    made = beside(1, judge=judge)
    with pytest.raises(UserError, match=r"^judge http://127\.0\.0\.1:9/v1: no score for file entry \d after 1 tries"):
        made(rollout())


def test_ctrl_c_and_a_schedulers_signal_are_for_the_run(beside: Callable[..., RewardBeside]) -> None:
    made = beside(1, length=length)
    made(rollout())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        made.workers[0].process.send_signal(number)
    assert made(rollout()).parts["length"].tolist() == [len(text) for text in TEXTS]
    assert os.getsid(made.workers[0].process.pid) != os.getsid(0)


def test_nothing_runs_on_when_the_run_is_killed(tmp_path: Path) -> None:
    """Both processes are at work, on a file that comes only then, when the kernel ends the one that started them."""
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, str(ROOT / "tests" / "rewards_elsewhere.py"), str(tmp_path / "go")]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert run.stdout is not None
    numbers = [int(word) for word in run.stdout.readline().split()]
    run.kill()
    run.communicate()
    assert len(numbers) == 2
    (tmp_path / "go").touch()
    deadline = time.monotonic() + 30
    while alive(numbers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(numbers)


def alive(numbers: list[int]) -> list[int]:
    """Those processes that run; one that has ended and was not asked for is none."""
    found = []
    for number in numbers:
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [number] if state != "Z" else []
    return found


def test_a_run_is_the_same_with_rewards_elsewhere(run: Callable[..., Path], small: list[str]) -> None:
    """Metrics and held-out records to the last digit; the frozen passes come first either way."""
    own = "reward.parts.accuracy.function._target_=rewards_elsewhere.length"
    common = ["algo=ral", *small, own, "max_steps=2"]
    folders = [run(*common, f"hardware.reward_workers={count}", folder=str(count)) for count in (0, 2)]
    one, other = ([json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in folders)
    assert any("train/accuracy" in line for line in one)
    for a, b in zip(one, other, strict=True):
        assert {k: v for k, v in a.items() if "time/" not in k} == {k: v for k, v in b.items() if "time/" not in k}
    records = [(f / "eval" / "after.jsonl").read_text() for f in folders]
    assert records[0] == records[1]


def test_a_run_that_fails_leaves_no_process(
    run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[workers.Worker] = []
    start = workers.Worker.__init__
    monkeypatch.setattr(workers.Worker, "__init__", lambda self, *a: (start(self, *a), made.append(self))[0])
    own = "reward.parts.accuracy.function._target_=rewards_elsewhere.raises_in_a_run"
    with pytest.raises(UserError, match=r"^reward part accuracy failed on .*: RuntimeError: no score; mend its functi"):
        run("algo=grpo", *small, own, "eval.before=false", "eval.every=0", "hardware.reward_workers=2")
    assert len(made) == 2 and all(worker.process.poll() is not None for worker in made)


def test_the_steps_that_are_read_ahead_are_bounded(run: Callable[..., Path], small: list[str], monkeypatch) -> None:
    """hardware.read_ahead batches of each process, in training and evaluation; without processes none."""
    from ral.lit import datamodule

    asked: list[tuple[int, int | None]] = []
    real = datamodule.Loader

    def loader(samples: Any, **options: Any) -> Any:
        asked.append((options["num_workers"], options["prefetch_factor"]))
        return real(samples, **options)

    monkeypatch.setattr(datamodule, "Loader", loader)
    common = ["algo=grpo", *small, "max_steps=1", "eval.before=false", "eval.every=0"]
    run(*common, "hardware.num_workers=1", "hardware.read_ahead=3", folder="ahead")
    run(*common, "hardware.num_workers=0", "hardware.read_ahead=3", folder="none")
    assert set(asked) == {(1, 3), (0, None)} and len(asked) >= 4
