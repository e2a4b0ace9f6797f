"""The start-up check: what the terminal shows of a run's first rollout, and that nothing of it is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import MIXED, make_prompts
from rich.console import Console

from ral.learner.start_check import StartCheck, as_seen, joined
from ral.models.mllm import MLLM
from ral.rewards.start import start_warnings
from ral.types import FinishReason, PromptBatch, Rollout, Scores

TINY = ["algo=grpo", "max_steps=2", "eval.every=0", "algo.updates_per_rollout=1", "algo.group_size=2"]


def constant(example: object, response: str, rules: str) -> float:
    """A reward that teaches nothing."""
    return 0.25


def rollout_of(prompts: PromptBatch, texts: list[str]) -> Rollout:
    ids = torch.zeros(len(texts), 1, dtype=torch.int64)
    reasons: tuple[FinishReason, ...] = ("stop",) * len(texts)
    return Rollout(prompts, ids, ids == 0, ids == 0, tuple(texts), reasons, len(texts) // len(prompts))


def scores_of(rewards: list[float]) -> Scores:
    values = torch.tensor(rewards)
    return Scores(values, {"accuracy": values, "format": torch.ones(len(rewards))})


def test_a_run_shows_prompt_answers_breakdown_and_a_warning(
    run: Callable[..., Path], small: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(*small, *TINY, "reward.parts.accuracy.function._target_=test_start_check.constant")
    shown = capfd.readouterr().err
    assert len(re.findall(r"^--- answer \d+ to ", shown, re.MULTILINE)) == 3  # of the first of two steps alone
    assert (
        len(re.findall(r"^prompt:   <\|im_start\|>user\s+<\|vision_start\|><\|\w+_pad\|> x \d+", shown, re.MULTILINE))
        == 3
    )
    assert len(re.findall(r"^reward:   0\.225  \(accuracy 0\.25, format 0\)$", shown, re.MULTILINE)) == 3
    warnings = re.findall(
        r"^warning: (?!model.teacher without effect|eval.prompts=|eval.every=1 is without effect).*$",
        shown,
        re.MULTILINE,
    )
    assert len(warnings) == 2 and warnings[0].startswith("warning: all 8 rewards are 0.225: check the reward's parts")
    assert warnings[1].startswith("warning: no answer has the format asked for: ")


@pytest.mark.parametrize("change", [["start_check=false"], ["algo=sft"]], ids=["switched off", "no rollouts"])
def test_no_check(
    run: Callable[..., Path], small: list[str], capfd: pytest.CaptureFixture[str], change: list[str]
) -> None:
    run(*small, *([] if "algo=sft" in change else TINY), "max_steps=1", "eval.before=false", *change)
    assert "--- answer" not in capfd.readouterr().err


def test_it_shows_once_and_a_warning_is_one_loud_line(load: Callable[..., MLLM]) -> None:
    model, terminal = load(), StringIO()
    console = Console(file=terminal, width=40, force_terminal=True, color_system="standard")
    check = StartCheck(model.processor, first_rank=True, console=console)
    rollout = rollout_of(make_prompts(model, MIXED), ["[bold]a[/bold]"] * 8)
    check(rollout, scores_of([0.0] * 8))
    check(rollout, scores_of([0.0] * 8))
    (warning,) = [line for line in terminal.getvalue().splitlines() if "warning:" in line]
    assert warning.startswith("\x1b[1;31mwarning: all 8 rewards are 0") and len(warning) > 100
    assert "[bold]a[/bold]" in terminal.getvalue()  # a response is no markup


def test_the_prompt_is_what_the_model_reads(load: Callable[..., MLLM]) -> None:
    model = load()
    prompts = make_prompts(model, MIXED)
    seen = as_seen(prompts, model.processor)
    assert [text.count("_pad|>") for text in seen.texts] == prompts.visual.sum(1).tolist()
    assert "What" in seen.texts[2] and "<|im_start|>" in seen.texts[2]


def test_warnings_look_at_all_ranks(load: Callable[..., MLLM]) -> None:
    model = load()
    own = rollout_of(make_prompts(model, ((),)), ["a", "b"])

    def warnings(*ranks: list[float]) -> list[str]:
        return start_warnings(*joined(own, [(own.texts, own.finish_reasons, scores_of(r)) for r in ranks]))

    assert warnings([0.0, 1.0], [0.0, 0.0]) == warnings([0.0, 0.0], [0.0, 1.0]) == []
    assert warnings([0.0, 0.0], [0.0, 0.0])[0].startswith("all 4 rewards are 0")
    assert "every advantage is 0" in warnings([1.0, 1.0], [0.0, 0.0])[0]


def test_a_run_without_rewards_is_not_warned() -> None:
    rollout: Any = SimpleNamespace(texts=("a", "b"), group_size=2)
    assert start_warnings(rollout, Scores(torch.zeros(2), {})) == []
