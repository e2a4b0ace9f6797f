"""What a run says of the time it takes: the forecast of a large model on a CPU, and how far a long step is."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console

from ral.assembly.forecast import Speed, Work, forecast, measured, on_cpu, spelled
from ral.lit.callbacks.progress import SECONDS, STAGE, Inside, ProgressBar

SPEED = Speed(operations=1e11, decoding=2e9, moved=1e10)


def test_seconds_by_hand() -> None:
    work = Work(weights=10**9, prompts=2, group=4, prompt_tokens=100, new_tokens=10, updates=3, frozen=1)
    # prefill 2e9 * 200 / 1e11 = 4; a step of decoding 1e9 / 2e9 = 0.5
    assert work.sampling(SPEED) == pytest.approx(4 + 10 * 0.5)
    # 2 * (100 + 40) tokens; 2 operations a weight for the frozen pass, 6 for each of 3 updates; 64 bytes an update
    assert work.training(SPEED) == pytest.approx((2 + 18) * 1e9 * 280 / 1e11 + 3 * 6.4)
    assert work.seeing(SPEED) == 0.0
    # 200 visual tokens are 800 patches; 2 operations a weight, and 4 in each of 3 updates that train the tower
    assert replace(work, vision=10**8).seeing(SPEED) == pytest.approx(2 * 1e8 * 800 / 1e11)
    assert replace(work, vision=10**8).seeing(SPEED, True) == pytest.approx((2 + 12) * 1e8 * 800 / 1e11)


@pytest.mark.parametrize(
    ("seconds", "text"), [(9000, "2.5 hours"), (90, "1.5 minutes"), (3, "3 seconds"), (0.5, "0.5 s")]
)
def test_times_are_spelled(seconds: float, text: str) -> None:
    assert spelled(seconds).startswith(text)


def test_this_machine_has_a_speed() -> None:
    speed = measured(8)
    assert speed.operations > 1e8 and speed.decoding > 1e6 and speed.moved > 1e7


@pytest.mark.parametrize(
    ("accelerator", "gpu", "cpu"),
    [("cpu", True, True), ("auto", False, True), ("auto", True, False), ("gpu", True, False)],
)
def test_where_a_run_will_be(accelerator: str, gpu: bool, cpu: bool) -> None:
    assert on_cpu(accelerator, gpu) is cpu


def policy(weights: int) -> Any:
    decoder = torch.nn.Linear(weights, 1, bias=False, device="meta")
    parts = {"language_model": decoder, "visual": torch.nn.Linear(9, 1)}
    return SimpleNamespace(network=SimpleNamespace(model=torch.nn.ModuleDict(parts)))


def settings(**changes: Any) -> Any:
    algo = {"rollouts": True, "prompts_per_step": 8, "group_size": 8, "updates_per_rollout": 4}
    media = {"image_max_pixels": 784_000}
    node = {"algo": algo, "dataset": {"max_new_tokens": 768, "media": media}, "eval": {"before": True, "prompts": 256}}
    return OmegaConf.create({**node, "hardware": {"accelerator": "cpu"}, "model": {"freeze_vision": True}, **changes})


def test_a_large_model_on_a_cpu_is_told_how_long_and_what_to_lower() -> None:
    line = forecast(settings(), policy(2_000_000_000), 1, lambda rows: {64: SPEED}[rows])
    assert (
        line is not None
        and line.startswith("cpu: about ")
        and " hours a step on this machine (2 billion weights, pictures of 1000 tokens" in line
    )
    for key in (
        "algo.prompts_per_step (now 8)",
        "dataset.max_new_tokens (768)",
        "algo.group_size (8)",
        "eval.before=false",
    ):
        assert key in line
    assert forecast(settings(), policy(1_000_000), 1, lambda rows: SPEED) is None
    assert forecast(settings(hardware={"accelerator": "gpu"}), policy(2_000_000_000), 1, lambda rows: SPEED) is None


def test_a_long_step_shows_how_far_it_is_and_a_short_one_says_nothing() -> None:
    clock, said = [0.0], list[str]()
    inside = Inside(said.append, every=30.0, now=lambda: clock[0])
    inside.listen()
    try:
        for second in (1, 29, 31, 40, 62):
            clock[0] = second
            STAGE.debug("token %d of at most %d", second, 100)
    finally:
        inside.leave()
    STAGE.debug("token %d of at most %d", 99, 100)
    assert said == ["token 31 of at most 100", "token 62 of at most 100"]
    assert inside not in STAGE.handlers and not STAGE.isEnabledFor(logging.DEBUG)


def test_a_run_tells_tokens_and_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal they are lines; where none is waited for, each is one."""
    monkeypatch.setitem(SECONDS, False, 0.0)
    out = io.StringIO()
    bar = ProgressBar(3, console=Console(file=out, width=100))
    module: Any = SimpleNamespace(state=SimpleNamespace(progress=SimpleNamespace(step=0)))
    bar.on_train_start(SimpleNamespace(is_global_zero=True), module)  # type: ignore[arg-type]
    STAGE.debug("update %d of %d, pass %d of %d", 1, 4, 2, 2)
    bar.on_train_end(SimpleNamespace(is_global_zero=True), module)  # type: ignore[arg-type]
    STAGE.debug("update %d of %d, pass %d of %d", 2, 4, 2, 2)
    assert out.getvalue() == "  update 1 of 4, pass 2 of 2\n"
