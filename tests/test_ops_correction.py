"""Corrections for engines that are not quite the policy: by hand, by loops, without bias, in runs of any engine."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF
from fake_engines import FakeEngine
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from ral.config.check import check
from ral.ops.correction import corrected, sampler_kl
from ral.ops.objectives import token
from ral.rollout.native import NativeEngine
from ral.types import Rollout, UserError

FAKE = [f"hydra.searchpath=[file://{Path(__file__).parent / 'conf'}]", "rollout=fake"]
MASK = torch.tensor([[True, True, True], [True, True, False]])
LOG2, LOG3 = math.log(2), math.log(3)
OLD = torch.tensor([[0.0, LOG2, LOG3], [LOG2, -LOG2, 50.0]]) - 5
SAMPLER = torch.full((2, 3), -5.0)


@pytest.fixture(autouse=True)
def no_run_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a command line in this process leaves with Hydra."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def test_tokens_are_truncated_at_the_cap() -> None:
    factor, cut = corrected(OLD, SAMPLER, MASK, "token_truncate", 2.5)
    torch.testing.assert_close(factor[MASK], torch.tensor([1.0, 2.0, 2.5, 2.0, 0.5]))
    assert cut.tolist() == [[False, False, True], [False, False, False]]


def test_responses_above_the_cap_are_left_out_and_the_others_weighted_as_a_whole() -> None:
    """The ratios of the tokens multiply to 6 and to 1; what is not of a response does not count."""
    factor, cut = corrected(OLD, SAMPLER, MASK, "sequence_mask", 5.0)
    torch.testing.assert_close(factor[MASK], torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0]))
    assert cut.tolist() == [[True, True, True], [False, False, False]]
    whole, none = corrected(OLD, SAMPLER, MASK, "sequence_mask", 7.0)
    torch.testing.assert_close(whole[MASK], torch.tensor([6.0, 6.0, 6.0, 1.0, 1.0]))
    assert not none.any()


@pytest.mark.parametrize("correction", ["token_truncate", "sequence_mask"])
def test_the_loss_is_the_sum_of_corrected_tokens_and_the_factor_has_no_gradient(correction: str) -> None:
    log_probs = OLD.double().clone().requires_grad_()
    advantages, weights = torch.tensor([1.0, -2.0]).double(), (MASK / MASK.sum()).double()
    args = (log_probs, OLD.double(), advantages, MASK, weights, SAMPLER.double())
    loss = token(*args, correction=correction, correction_cap=5.0)  # type: ignore[arg-type]
    factor, cut = corrected(OLD.double(), SAMPLER.double(), MASK, correction, 5.0)  # type: ignore[arg-type]
    expected = -sum(factor[n, t] * advantages[n] * weights[n, t] for n, t in MASK.nonzero().tolist())
    torch.testing.assert_close(loss.value.detach(), expected)
    (gradient,) = torch.autograd.grad(loss.value, log_probs)  # of exp(log_probs - old), 1 here
    torch.testing.assert_close(gradient, -factor * advantages[:, None] * weights)
    assert loss.metrics["engine_masked"] == (cut.sum(), MASK.sum())
    same = OLD.double().clone().requires_grad_()
    again = token(same, same, advantages, MASK, weights, SAMPLER.double(), correction=correction, correction_cap=5.0)  # type: ignore[arg-type]
    assert (
        torch.autograd.grad(again.value, same)[0].abs().max() == 0
    )  # anchor and policy cancel; the factor adds nothing


def test_off_is_the_loss_without_it_and_an_engine_that_agrees_changes_nothing() -> None:
    advantages, weights = torch.tensor([1.0, -2.0]), MASK / MASK.sum()
    args = (OLD + 0.1, OLD, advantages, MASK, weights)
    plain = token(*args)
    assert torch.equal(token(*args, SAMPLER).value, plain.value) and "engine_masked" not in plain.metrics
    for correction in ("token_truncate", "sequence_mask"):
        agreed = token(*args, OLD, correction=correction)  # type: ignore[arg-type]
        torch.testing.assert_close(agreed.value, plain.value)
        assert agreed.metrics["engine_masked"][0] == 0


def test_below_the_cap_the_corrected_mean_is_that_of_the_policy() -> None:
    """E_mu[pi / mu f] = E_pi[f] over a vocabulary of three, as a sum over all tokens."""
    pi, mu = torch.tensor([[0.5, 0.3, 0.2]]).double(), torch.tensor([[0.4, 0.4, 0.2]]).double()
    value = torch.tensor([[1.0, -3.0, 7.0]]).double()
    every = torch.ones_like(pi, dtype=torch.bool)
    factor, _ = corrected(pi.log(), mu.log(), every, "token_truncate", 2.0)
    torch.testing.assert_close((mu * factor * value).sum(), (pi * value).sum())


def test_gap_and_kl_by_hand() -> None:
    """k3 of ratios 1, 2, 3, 2 and 1/2: r - 1 - ln r; over all tokens of a vocabulary its mean is the KL itself."""
    gap, kl = sampler_kl(OLD, SAMPLER, MASK)
    assert float(gap) == pytest.approx(3 * LOG2 + LOG3)
    ratios = (1.0, 2.0, 3.0, 2.0, 0.5)
    assert float(kl) == pytest.approx(sum(r - 1 - math.log(r) for r in ratios), rel=1e-5)
    pi, mu = torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([[0.4, 0.4, 0.2]])
    each = [
        sampler_kl(pi.log()[:, [i]], mu.log()[:, [i]], torch.ones(1, 1, dtype=torch.bool))[1] * mu[0, i]
        for i in range(3)
    ]
    torch.testing.assert_close(sum(each), (mu * (mu / pi).log()).sum(), rtol=1e-4, atol=1e-6)


def test_an_engine_without_log_probs_and_an_unknown_correction_are_one_line() -> None:
    with pytest.raises(
        UserError, match=r"^algo.token.correction=token_truncate: the rollout engine tells no log-probs"
    ):
        corrected(OLD, None, MASK, "token_truncate", 2.0)
    with pytest.raises(ValueError, match=r"^unknown correction 'mask': write off, token_truncate or sequence_mask$"):
        getattr(corrected, "__wrapped__", corrected)(OLD, SAMPLER, MASK, "mask", 2.0)  # without the check of types


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["algo.token.correction=sequence_mask", "+algo.token.against=sampler"],
            r"not to sampler: write algo.token.against",
        ),
        (["algo.token.correction=token_truncate", "algo.token.correction_cap=0"], r"correction_cap=0 is too small"),
        (["algo.token.correction=mask"], r"algo.token.correction.*mask"),
        (
            ["algo=ral_explore", "rollout=vllm"],
            r"^algo.sampling.noise: ral.rollout.vllm.engine.vllm_engine has no noise",
        ),
    ],
)
def test_settings_that_contradict_each_other_fail_before_weights_load(overrides: list[str], said: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides)
    with pytest.raises(UserError, match=said):
        check(cfg)


class Shifted(NativeEngine):
    """The native engine with log-probs that are `shift` nats too low."""

    shift = 0.01

    def generate(self, *args: Any, **more: Any) -> Rollout:
        rollout = super().generate(*args, **more)
        assert rollout.log_probs is not None
        return replace(rollout, log_probs=rollout.log_probs - self.shift)


def logged(folder: Path) -> list[dict[str, float]]:
    """The steps that a run logged."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "train/loss" in line]


def test_a_run_of_an_engine_that_is_off_logs_how_far_and_what_was_cut(
    run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["algo=grpo", *small, "eval.every=0", "eval.before=false", "max_steps=1"]
    settings += ["rollout.engine._target_=test_ops_correction.Shifted", "diagnostics.max_log_prob_gap=0.1"]
    plain = logged(run(*settings))[0]
    assert plain["train/engine_log_prob_gap"] == pytest.approx(0.01, abs=1e-4) and "train/engine_masked" not in plain
    assert plain["train/engine_kl"] == pytest.approx(0.01**2 / 2, rel=0.05)
    weighted = logged(run(*settings, "algo.token.correction=token_truncate", folder="weighted"))[0]
    assert weighted["train/engine_masked"] == 0
    cut = ["algo.token.correction=sequence_mask", "algo.token.correction_cap=1.005"]
    assert logged(run(*settings, *cut, folder="cut"))[0]["train/engine_masked"] == 1
    with pytest.raises(
        UserError, match=r"^sampled and trained log-probs .* more than diagnostics.max_log_prob_gap=0.0001"
    ):
        run(*settings, "diagnostics.max_log_prob_gap=null", folder="null")
    wide = ["rollout.engine._target_=test_ops_correction.Shifted", "+rollout.gaps={32-true: 0.02, bf16-mixed: 0.1}"]
    assert logged(run(*settings, *wide, "diagnostics.max_log_prob_gap=null", folder="wide"))


def test_a_run_of_an_engine_without_log_probs_is_told_to_leave_the_correction(
    run: Callable[..., Path], small: list[str]
) -> None:
    settings = ["algo=grpo", *small, "eval.every=0", "eval.before=false", "max_steps=1", *FAKE]
    with pytest.raises(
        UserError, match=r"^algo.token.correction=token_truncate: the rollout engine tells no log-probs"
    ):
        run(*settings, "algo.token.correction=token_truncate")
    assert FakeEngine.made[-1].events[-1] == "close"
