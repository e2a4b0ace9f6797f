"""Training steps: every algorithm runs, what is frozen stays, and how a batch is cut never changes the update."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ral.learner.experience import Forward, cut
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.states import States
from ral.types import Rollout

RL = (
    "grpo",
    "dr_grpo",
    "dapo",
    "gspo",
    "cispo",
    "rloo",
    "reinforce_pp",
    "t_grpo",
    "ral",
    "ral_zero",
    "distill",
    "ral_distill",
    "ral_explore",
    "ral_group",
    "vppo",
    "ease",
    "evidence_distill",
    "attention_advantage",
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of a run's exported model."""
    return dict(MLLM.load(str(folder / "hf")).network.state_dict())


@pytest.mark.parametrize("algo", ["sft", *RL])
def test_two_steps_of_every_algorithm(algo: str, run: Callable[..., Path], small: list[str]) -> None:
    reported = ["report.html"] if algo in ("sft", "ral") else []  # the same page for all, and costly
    folder = run(f"algo={algo}", *small, report=bool(reported))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert all("eval/accuracy" in line for line in lines)
    assert all(v == v and abs(v) != float("inf") for line in lines for v in line.values())
    for name in ("config.yaml", "environment.json", *reported, "eval/before.jsonl", "eval/after.jsonl"):
        assert (folder / name).is_file(), name
    assert (folder / "checkpoints" / "step_000002" / "state.pt").is_file()
    if algo != "sft":
        assert {"train/clip_fraction", "train/entropy"} <= set(lines[-1])
        assert ("train/kl" in lines[-1]) == (algo not in ("dr_grpo", "dapo", "gspo", "cispo", "vppo"))
        assert "train/attention_jsd" in lines[1]


@pytest.mark.parametrize(("algo", "captured"), [("grpo", [1, 4]), ("ral", [1, 2, 3, 4])])
def test_attention_is_captured_where_a_measurement_is_due_or_a_term_wants_it(
    algo: str, captured: list[int], run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A measurement every third step: the passes of the others capture nothing, and log nothing of attention."""
    asked: list[bool] = []
    real = Forward.states

    def states(self: Forward, view: View, rollout: Rollout, attention: bool) -> States:
        asked.append(attention)
        return real(self, view, rollout, attention)

    monkeypatch.setattr(Forward, "states", states)
    quick = ["algo.objective=[token]"] if algo == "grpo" else ["algo.objective=[token,attention]"]
    quick += ["max_steps=4", "algo.updates_per_rollout=2", "diagnostics.every=3", "eval.every=0", "eval.before=false"]
    folder = run(f"algo={algo}", *small, *quick)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    of_steps = [line for line in lines if "train/loss" in line]
    assert [line["step"] for line in of_steps if "train/attention_jsd" in line] == captured
    assert asked[:8] == [step in captured for step in (1, 2, 3, 4) for _ in range(2)]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=2, max_size=2)), min_size=1),
    st.integers(1, 4),
)
def test_micro_batches_hold_every_prompt_once_and_go_by_what_a_prompt_takes(
    lengths: list[tuple[int, list[int]]], size: int
) -> None:
    """With one response each (SFT) that is prompt and response: a short prompt with a long response comes last."""
    valid = torch.tensor([[n <= prompt for n in range(1, 10)] for prompt, _ in lengths]).flip(1)
    mask = torch.tensor([[n <= length for n in range(1, 10)] for _, both in lengths for length in both])
    taken = [prompt + 2 * max(both) for prompt, both in lengths]
    parts = cut(valid, mask, size)
    assert sorted(n for part in parts for n in part) == list(range(len(lengths)))
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    for one, after in itertools.pairwise(parts):
        assert max(taken[n] for n in one) <= min(taken[n] for n in after)
    assert cut(torch.ones(3, 4).bool(), torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]]).bool(), 1) == [[1], [2], [0]]


REWARD_FOR_LENGTH = "reward.parts.accuracy.function._target_=test_training.short_is_good"


def short_is_good(example: object, response: str, *, rules: str) -> float:
    """A reward that differs between random answers, so that there are advantages."""
    return 1.0 / (1 + len(response))


def test_vision_and_embedding_of_pictures_stay_frozen(
    run: Callable[..., Path], small: list[str], model_folder: Callable[..., Path]
) -> None:
    before = dict(MLLM.load(str(model_folder())).network.state_dict())
    after = weights(run("algo=ral", *small, REWARD_FOR_LENGTH))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and all("visual" not in name for name in moved)
    state = torch.load(
        Path(run("algo=ral", *small, folder="b")) / "checkpoints/step_000002/state.pt", weights_only=True
    )
    assert not any("visual" in name for name in [*state["weights"]["policy"], *state["optimizer"]["state"]])


@pytest.mark.parametrize(
    "algo", [pytest.param("grpo", marks=pytest.mark.slow), "ral", pytest.param("ral_distill", marks=pytest.mark.slow)]
)
def test_micro_batches_do_not_change_the_update(algo: str, run: Callable[..., Path], small: list[str]) -> None:
    """4 prompts at once, 2 and 1 at a time give the same weights, whatever the padding."""
    sgd = [
        "optim.optimizer._target_=torch.optim.SGD",
        "~optim.optimizer.betas",
        "~optim.optimizer.eps",
        "~optim.optimizer.fused",
    ]
    sgd += ["algo.learning_rate=0.1", "eval.every=0", "eval.before=false"]
    results = [
        weights(
            run(f"algo={algo}", *small, REWARD_FOR_LENGTH, *sgd, f"hardware.micro_batch_prompts={m}", folder=f"m{m}")
        )
        for m in (4, 2, 1)
    ]
    for other in results[1:]:
        for name, value in results[0].items():
            torch.testing.assert_close(other[name], value, atol=2e-6, rtol=1e-5)


def test_same_seed_same_losses_and_another_seed_differs(run: Callable[..., Path], small: list[str]) -> None:
    def values(seed: int, folder: str) -> list[dict[str, float]]:
        path = run("algo=ral", *small, REWARD_FOR_LENGTH, f"seed={seed}", folder=folder) / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]

    first = values(0, "a")
    assert first == values(0, "b")
    assert first != values(1, "c")


def test_ral_without_coefficient_is_grpo(run: Callable[..., Path], small: list[str]) -> None:
    """lambda_attn = 0 reproduces GRPO digit for digit; lambda_attn = 1 does not."""
    common = [*small, REWARD_FOR_LENGTH, "diagnostics.gradients=false"]
    grpo = weights(run("algo=grpo", *common, folder="g"))
    off = weights(run("algo=ral", "algo.attention.coef=0.0", *common, folder="z"))
    on = weights(run("algo=ral", "algo.attention.coef=50.0", *common, folder="o"))
    assert all(torch.equal(grpo[name], off[name]) for name in grpo)
    assert any(not torch.equal(grpo[name], on[name]) for name in grpo)


def test_resume_equals_the_uninterrupted_run(run: Callable[..., Path], small: list[str]) -> None:
    """Two steps, a checkpoint after the first: resumed from it, the second step and the metrics are the same."""
    base = ["algo=ral", *small, REWARD_FOR_LENGTH, "checkpoint.every=1"]
    whole = run(*base, folder="whole")
    resumed = run(*base, f"resume={whole / 'checkpoints/step_000001'}", "eval.every=1", folder="resumed")
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_first_update_has_no_attention_gradient_and_the_second_has(run: Callable[..., Path], small: list[str]) -> None:
    """Paper section 3: D(p || q) and its gradient are zero at p = q."""
    path = run("algo=ral", *small, REWARD_FOR_LENGTH, "diagnostics.every=1") / "metrics.jsonl"
    line = json.loads(path.read_text().splitlines()[1])
    assert line["train/grad_norm_attention_update_1"] < 1e-6 * line["train/grad_norm_token_update_1"]
    assert line["train/grad_norm_attention_update_4"] > 1e2 * line["train/grad_norm_attention_update_1"] > -1


def lowercase_share(example: object, response: str, *, rules: str) -> float:
    """A dense reward: share of lower-case letters, about one character in five of a random model's answers."""
    return sum("a" <= c <= "z" for c in response) / max(len(response), 1)


@pytest.mark.parametrize("algo", [pytest.param("grpo", marks=pytest.mark.slow), "ral"])
def test_it_learns(algo: str, run: Callable[..., Path], small: list[str]) -> None:
    """From a random model and a reward for lower-case letters: the reward of the rollouts rises from 0.4 above 0.7."""
    folder = run(
        f"algo={algo}",
        *small,
        "reward.parts.accuracy.function._target_=test_training.lowercase_share",
        "max_steps=20",
        "algo.learning_rate=5.0e-3",
        "eval.every=0",
        "algo.kl.coef=0.0",
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rewards = [line["train/accuracy"] for line in lines if "train/accuracy" in line]
    assert rewards[0] < 0.45
    assert sum(rewards[-3:]) / 3 > 0.7
