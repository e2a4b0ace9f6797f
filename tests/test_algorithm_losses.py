"""The loss that each algorithm's yaml makes of one small batch, beside the papers' equations written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from conftest import CONF
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from ops_reference import ragged

from ral.ops.aggregate import counts

REWARDS = torch.tensor([[1.0, 0.0], [1.0, 0.5]])
LENGTHS = (3, 1, 2, 3)
LONGEST = 10  # dataset.max_new_tokens
RATIOS = ((1.25, 0.5, 6.0), (0.7,), (1.1, 1.3), (1.25, 0.8, 1.0003))
"""Of the policy to the one at the rollout: within and beyond all bounds; the last response's mean log-ratio is 1e-4."""
OLD, REFERENCE = -1.5, -1.2
"""Log-probs of every token at the rollout, and of the reference."""

S, T = math.sqrt(0.5) + 1e-4, math.sqrt(0.125) + 1e-4  # of each group, unbiased
GROUP = (0.5 / S, -0.5 / S, 0.25 / T, -0.25 / T)
CENTRED = (0.5, -0.5, 0.25, -0.25)
OTHERS = (1.0, -1.0, 0.5, -0.5)
BATCH = tuple(a / (math.sqrt(0.625 / 3) + 1e-4) for a in CENTRED)
SEQUENCES, TOKENS, CONSTANT = ("1 / 4 / length", "1 / 9", "1 / 4 / 10")


@dataclass(frozen=True)
class Rule:
    """An algorithm in numbers: advantages of the four responses, weight of a token, bounds, estimate of KL."""

    advantages: tuple[float, ...]
    weight: str
    low: float = 0.8
    high: float = 1.2
    ratio: str = "token"
    clip: str = "surrogate"
    kl: str | None = None


RULES = {
    "grpo": Rule(GROUP, SEQUENCES, kl="k3"),
    "dr_grpo": Rule(CENTRED, CONSTANT),
    "dapo": Rule(GROUP, TOKENS, high=1.28),
    "gspo": Rule(GROUP, SEQUENCES, 1 - 3e-4, 1 + 4e-4, ratio="sequence"),
    "cispo": Rule(GROUP, TOKENS, 0.0, 5.0, clip="weight"),
    "rloo": Rule(OTHERS, CONSTANT, kl="k2"),
    "reinforce_pp": Rule(BATCH, TOKENS, kl="k2"),
}


def by_hand(rule: Rule) -> float:
    """The loss, token by token."""
    total = 0.0
    for ratios, advantage, length in zip(RATIOS, rule.advantages, LENGTHS, strict=True):
        weight = {SEQUENCES: 1 / 4 / length, TOKENS: 1 / 9, CONSTANT: 1 / 4 / LONGEST}[rule.weight]
        whole = math.prod(ratios) ** (1 / length)
        for own in ratios:
            r = whole if rule.ratio == "sequence" else own
            bounded, log_prob = max(rule.low, min(rule.high, r)), OLD + math.log(own)
            gain = bounded * advantage * log_prob if rule.clip == "weight" else min(r * advantage, bounded * advantage)
            d = REFERENCE - log_prob
            distance = {"k3": math.exp(d) - d - 1, "k2": d * d / 2, None: 0.0}[rule.kl]
            total += weight * (0.04 * distance - gain)
    return total


def composed(name: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [f"algo={name}", f"dataset.max_new_tokens={LONGEST}"]).algo


def padded(rows: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    return torch.tensor([[*row, *[math.nan] * (3 - len(row))] for row in rows], dtype=torch.float64)


@pytest.mark.parametrize("name", RULES)
def test_the_loss_of_a_yaml_is_the_papers(name: str) -> None:
    algo, mask = composed(name), ragged(LENGTHS, 3)
    advantages = instantiate(algo.advantage)(REWARDS)
    torch.testing.assert_close(advantages.flatten(), torch.tensor(RULES[name].advantages), rtol=1e-5, atol=1e-6)
    weights = instantiate(algo.aggregate)(mask, counts(mask)).double()
    log_probs = (OLD + padded(RATIOS).log()).requires_grad_()
    old, reference = (torch.full_like(padded(RATIOS), value) for value in (OLD, REFERENCE))
    terms: dict[str, Callable[[], Any]] = {
        "token": lambda: instantiate(algo.token)(log_probs, old, advantages.double().flatten(), mask, weights),
        "kl": lambda: instantiate(algo.kl)(log_probs, reference, mask, weights),
    }
    assert list(algo.objective) == (["token"] if RULES[name].kl is None else ["token", "kl"])
    found = sum(terms[term]().value for term in algo.objective)
    assert found.item() == pytest.approx(by_hand(RULES[name]), rel=1e-5)


NUMBERS: dict[str, dict[str, Any]] = {
    "dapo": {
        "redraw._target_": "ral.learner.redraw.Redraw",
        "redraw.rounds": 3,
        "shaping._target_": "ral.ops.overlong.Overlong",
        "shaping.limit": LONGEST,
        "shaping.buffer": 0.2,
        "shaping.penalty": 0.5,
    },
    "papo": {
        "objective": ["token", "kl", "perception", "double_entropy"],
        "view._target_": "ral.algorithms.views.masked_patches",
        "view.share": 0.6,
        "kl.coef": 0.01,
        "perception._target_": "ral.ops.perception.implicit_perception",
        "perception.coef": 0.02,
        "perception.against": "masked",
        "double_entropy._target_": "ral.ops.perception.double_entropy",
        "double_entropy.coef": 0.03,
    },
    "vppo": {
        "objective": ["token"],
        "view._target_": "ral.algorithms.views.masked_patches",
        "view.share": 0.5,
        "token._target_": "ral.ops.perception.perceptive_token",
        "token.share": 0.4,
        "token.least": 0.9,
        "token.clip_low": 0.2,
        "token.clip_high": 0.28,
        "aggregate._target_": "ral.ops.aggregate.token_mean",
    },
    "ease": {
        "objective": ["token", "kl", "evidence_attention"],
        "evidence": "true",
        "evidence_attention._target_": "ral.ops.perception.evidence_attention",
        "evidence_attention.coef": 0.1,
        "evidence_attention.smooth": 0.1,
        "evidence_attention.divergence": "forward_kl",
    },
    "evidence_distill": {
        "objective": ["token", "kl", "evidence_distillation"],
        "evidence": "true",
        "view._target_": "ral.algorithms.views.evidence_alone",
        "evidence_distillation._target_": "ral.ops.perception.evidence_distillation",
        "evidence_distillation.coef": 1.0,
        "evidence_distillation.direction": "reverse_kl",
    },
    "attention_advantage": {
        "objective": ["token", "kl"],
        "evidence": "true",
        "token._target_": "ral.ops.perception.looking_token",
        "token.most": 5.0,
    },
}
"""What a yaml sets beside its loss, and the numbers of the methods of perception (docs/algorithms.md)."""


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_of_a_yaml_are_the_papers(name: str) -> None:
    algo = composed(name)
    found = {key: OmegaConf.select(algo, key) for key in NUMBERS[name]}
    plain = {key: list(value) if OmegaConf.is_list(value) else value for key, value in found.items()}
    assert {**plain, **({"evidence": str(plain["evidence"]).lower()} if "evidence" in plain else {})} == NUMBERS[name]
