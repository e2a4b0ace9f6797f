"""Unsound updates are skipped and kept; signs of trouble are told once, with a remedy."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console

from ral.ending import check_finite, out_of_memory
from ral.learner.guard import Guard
from ral.learner.moved_share import Moved
from ral.learner.signs import (
    WINDOW,
    History,
    Signs,
    kl_explosion,
    length_explosion,
    no_attention,
    no_signal,
    reward_collapse,
)
from ral.learner.state import Progress, RunState
from ral.lit.callbacks.watch import Watch
from ral.types import UserError


def steps(key: str, *values: float) -> list[dict[str, float]]:
    """WINDOW steps of each value."""
    return [{f"train/{key}": value} for value in values for _ in range(WINDOW)]


@pytest.fixture
def norms(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Whether the k-th update's gradient is finite is what this list says; its last value goes on."""
    plan: list[float] = []
    real = torch.nn.utils.clip_grad_norm_

    def clip(*args: Any, **kwargs: Any) -> torch.Tensor:
        return real(*args, **kwargs) * (plan.pop(0) if len(plan) > 1 else plan[0])

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    return plan


def weights(folder: Path) -> bytes:
    return (folder / "hf" / "model.safetensors").read_bytes()


def test_an_unsound_update_is_skipped_counted_and_kept(
    run: Callable[..., Path], small: list[str], norms: list[float]
) -> None:
    """Two updates a step: the second of step 1 and the first of step 2 are unsound."""
    norms += [1.0, float("nan"), float("inf"), 1.0]
    quick = [*small, "algo=grpo", "algo.updates_per_rollout=2", "eval.every=0"]
    with pytest.warns(UserWarning, match="the gradient is not finite"):
        folder = run(*quick)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/skipped_updates"] for line in lines[1:]] == [0.5, 0.5]
    assert all(line["train/grad_norm"] < float("inf") for line in lines[1:])
    names = sorted(p.name for p in (folder / "skipped").iterdir())
    assert names == ["step_000001_update_2_rank_0.pt", "step_000002_update_1_rank_0.pt"]
    (part, *_) = torch.load(folder / "skipped" / names[0], weights_only=True)
    assert len(part["texts"]) == len(part["advantages"]) == len(part["token_ids"]) and "token" in part["losses"]
    assert set(part["uids"]) and bool(torch.isfinite(part["advantages"]).all())


def test_a_skipped_update_moves_nothing(run: Callable[..., Path], small: list[str], norms: list[float]) -> None:
    quick = [*small, "algo=sft", "max_steps=1", "eval.every=0"]
    norms += [1.0]
    still, moved = run(*quick, "algo.learning_rate=0", folder="still"), run(*quick, folder="moved")
    norms[:] = [float("nan")]
    with pytest.warns(UserWarning):
        skipped = run(*quick, folder="skipped")
    assert weights(skipped) == weights(still) != weights(moved)


def test_too_many_end_the_run(tmp_path: Path) -> None:
    guard = Guard(tmp_path / "skipped", max_skipped=1)
    assert guard.count(0, torch.tensor(2.0), "a", [], []) == 0
    with pytest.warns(UserWarning):
        assert guard.count(0, torch.tensor(float("nan")), "b", [], []) == 1
    with pytest.raises(UserError, match=r"in 2 updates, more than guard.max_skipped=1"), pytest.warns(UserWarning):
        guard.count(1, torch.tensor(float("inf")), "c", [], [])


@pytest.mark.parametrize(
    ("sign", "quiet", "loud", "said"),
    [
        (reward_collapse, steps("reward", 0.6, 0.35), steps("reward", 0.2, 0.6, 0.25), "fell from 0.60 to 0.25"),
        (reward_collapse, steps("reward", 0.06, 0.01), steps("reward", 0.9, 0.0), "fell from 0.90 to 0.00"),
        (no_signal, steps("groups_without_signal", 1.0, 0.9), steps("groups_without_signal", 0.2, 1.0), "100%"),
        (kl_explosion, steps("kl", 0.9), steps("kl", 0.1, 1.5), "1.50 nats"),
        (length_explosion, steps("truncated", 0.1, 0.4), steps("truncated", 0.1, 0.8), "80%"),
        (no_attention, steps("attention_divergence", 0.0, 1e-9), steps("attention_divergence", 0.1, 0.0), "exactly 0"),
        (length_explosion, steps("truncated", 0.9, 0.9), steps("truncated", 0.0, 0.5), "50%"),
    ],
)
def test_signs(sign: Any, quiet: list[dict[str, float]], loud: list[dict[str, float]], said: str) -> None:
    assert sign(History()) is None and sign(history(quiet)) is None
    assert said in (sign(history(loud)) or "")


def history(steps: list[dict[str, float]]) -> History:
    """A history of these steps."""
    made = History()
    for step in steps:
        made.add(step)
    return made


def test_what_is_remembered_has_bounds_and_survives_a_restart(tmp_path: Path) -> None:
    """10,000 steps: the first and the best window still count, and no more than 3 windows of a metric are held."""
    long = [*steps("reward", 0.2, 0.9), *([{"train/reward": 0.6, "train/loss": 1.0}] * 10_000), *steps("reward", 0.4)]
    state = RunState(Progress(10_020, 10_020, skipped=2), signs=Signs(history(long), {"no_signal"}))
    torch.save(state.facts(), tmp_path / "state.pt")
    facts = torch.load(tmp_path / "state.pt", weights_only=True)
    assert sum(len(t["first"]) + len(t["last"]) for t in facts["signs"]["history"].values()) == 3 * WINDOW
    again = RunState.of(facts, None)
    assert again == state and again.signs.told == {"no_signal"} and again.progress.skipped == 2
    assert "fell from 0.90 to 0.40" in (reward_collapse(again.signs.history) or "")


def test_each_sign_is_told_once() -> None:
    told = io.StringIO()
    watch = Watch(state := RunState(), Console(file=told))
    for number, values in enumerate(steps("kl", 2.0, 2.0)):
        state.progress, module = Progress(number + 1), SimpleNamespace(latest=values)
        watch.on_train_batch_end(SimpleNamespace(is_global_zero=True, loggers=[]), module)  # type: ignore[arg-type]
    assert told.getvalue().count("warning") == 1 and "step 3:" in told.getvalue()


def test_weights_that_never_moved_are_told_at_the_end_of_a_short_run() -> None:
    told = io.StringIO()
    watch = Watch(state := RunState(), Console(file=told))
    trainer: Any = SimpleNamespace(is_global_zero=True, loggers=[])
    for number in range(2):
        module: Any = SimpleNamespace(latest={"train/moved_share": 0.0, "train/learning_rate": 1e-13})
        state.progress = Progress(number + 1)
        watch.on_train_batch_end(trainer, module)
    assert told.getvalue() == ""
    watch.on_train_end(trainer, module)
    assert "warning: step 2: updates change 0.0% of the weights" in told.getvalue()


def test_out_of_memory_names_what_is_left_to_lower() -> None:
    cfg = OmegaConf.create(
        {
            "hardware": {
                **{"micro_batch_prompts": 4, "micro_batch_responses": None},
                **{"gradient_checkpointing": True, "offload_activations": False},
                **{"precision": "bf16-mixed", "dtype": "float32"},
            },
            "algo": {"group_size": 8},
            "dataset": {"media": {"max_frames": 128}},
        }
    )
    message = out_of_memory(cfg, "CUDA out of memory. Tried to allocate 2 GiB\nmore")
    assert "micro_batch_prompts=1 (now 4)" in message and "checkpointing" not in message and "\n" not in message
    cfg.hardware.micro_batch_prompts = 1
    assert "offload_activations=true" in message and "micro_batch_responses=4" in message
    cfg.hardware.micro_batch_responses, cfg.hardware.offload_activations = 1, True
    assert "micro_batch" not in out_of_memory(cfg, "x") and "offload" not in out_of_memory(cfg, "x")
    assert "algo.group_size below 8" in out_of_memory(cfg, "x")
    cfg.algo.group_size = 1
    assert "group_size" not in out_of_memory(cfg, "x")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_stop_the_run(value: float) -> None:
    sound, other = torch.nn.Parameter(torch.zeros(8)), torch.nn.Parameter(torch.zeros(8))
    sound.grad, other.grad = torch.ones(8), torch.ones(8)

    sample = Moved(0).sample([sound, other])
    sound.data.add_(1.0)
    assert sample.changed() == (8, 16)
    other.data.index_fill_(0, torch.tensor([3]), value)
    with pytest.raises(UserError, match=r"an update made weights that are not finite .*: lower algo.learning_rate"):
        sample.changed()


def test_weights_that_are_not_finite_are_not_exported(tmp_path: Path) -> None:
    state = {"a": torch.ones(3), "b": torch.ones(2, dtype=torch.bfloat16), "c": torch.arange(3), "d": torch.ones(0)}
    check_finite(state, tmp_path)
    for value in (float("nan"), float("-inf")):
        with pytest.raises(
            UserError, match=r"1 trained weight with numbers that are not finite .*, e: nothing is exported"
        ):
            check_finite(state | {"e": torch.tensor([1.0, value])}, tmp_path)


def test_a_run_whose_last_update_breaks_a_weight_exports_nothing(
    run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The broken weight has no gradient in the sample, so that the export alone sees it."""
    from ral.lit import module

    real = module.PolicyModule.on_train_end if hasattr(module.PolicyModule, "on_train_end") else None

    def breaks(self: Any, *args: Any) -> None:
        next(iter(self.policy.network.parameters())).data.view(-1)[0] = float("nan")
        if real is not None:
            real(self, *args)

    monkeypatch.setattr(module.PolicyModule, "on_train_end", breaks, raising=False)
    with pytest.raises(UserError, match="nothing is exported"):
        run(*small, "algo=sft", "max_steps=1", "eval.every=0", folder="broken")
    assert not list(tmp_path.rglob("hf/model.safetensors"))
