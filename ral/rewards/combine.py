"""The reward of a rollout: a weighted sum of named parts that keeps its breakdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from ral.types import Example, Rollout, Scores, UserError


@dataclass(frozen=True)
class Part:
    """One part of a reward. function: (example, response text) -> number. weight: its factor in the sum."""

    function: Callable[[Example, str], float]
    weight: float


class Reward:
    """r = sum over parts of weight * part (the paper: 0.9 * accuracy + 0.1 * format)."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        if not parts:
            raise UserError("reward.parts is empty; name at least one part, such as accuracy")
        for name, part in parts.items():
            if not math.isfinite(part.weight):
                raise UserError(f"reward.parts.{name}.weight is {part.weight}; write a finite number")
        self.parts = dict(parts)

    def __call__(self, rollout: Rollout) -> Scores:
        """Scores of the N responses of a rollout; response n belongs to example n // group_size."""
        examples = rollout.prompts.examples
        if len(rollout.texts) != len(examples) * rollout.group_size:
            raise ValueError(f"{len(rollout.texts)} responses for {len(examples)} prompts x {rollout.group_size}")
        return self.score([examples[n // rollout.group_size] for n in range(len(rollout.texts))], rollout.texts)

    def score(self, examples: Sequence[Example], texts: Sequence[str]) -> Scores:
        """Scores of texts[n] as a response to examples[n]; reward [N] and every part [N] in fp32, parts unweighted.

        Raises UserError, naming the part and the entry, where a part fails or returns no finite number.
        """
        parts = {
            name: torch.tensor(
                [_value(name, part, e, t) for e, t in zip(examples, texts, strict=True)], dtype=torch.float32
            )
            for name, part in self.parts.items()
        }
        reward = torch.zeros(len(texts), dtype=torch.float32)
        for name, part in self.parts.items():
            reward = reward + part.weight * parts[name]
        return Scores(reward=reward, parts=parts)


def _value(name: str, part: Part, example: Example, text: str) -> float:
    """One part's finite value for one response."""
    entry = f"{example.source or 'entry'} (uid {example.uid})"
    try:
        value = float(part.function(example, text))
    except UserError:
        raise  # already names the entry and what to change
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"reward part {name} failed on {entry}: {reason}; mend its function") from error
    if not abs(value) <= torch.finfo(torch.float32).max:
        raise UserError(f"reward part {name} gave {value} on {entry}; a reward must be a finite fp32 number")
    return value
