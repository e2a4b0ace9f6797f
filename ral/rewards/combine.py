"""The reward of a rollout: a weighted sum of named parts, which are kept beside the sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from ral.types import Example, Rollout, Scores, UserError


@dataclass(frozen=True)
class Part:
    """One part of a reward. function: (example, response text) -> number. weight: its factor in the sum.

    A function with a method score_many(examples, texts) -> numbers is called once for all responses of a rollout; one
    with a method score_rollout(rollout) -> numbers gets the rollout itself: tokens, images and videos.
    """

    function: Callable[..., float]
    weight: float


class Reward:
    """The reward of a response: the sum over parts of weight * part (the paper: 0.9 * accuracy + 0.1 * format)."""

    def __init__(self, parts: Mapping[str, Part], *, checkpoint: str | None = None) -> None:
        """Keep the parts. UserError where there is none, or a weight is not finite.

        checkpoint: not used here; a yaml names it once for the parts that load it.
        """
        if not parts:
            raise UserError("reward.parts is empty; name at least one part, such as accuracy")
        for name, part in parts.items():
            if not math.isfinite(part.weight):
                raise UserError(f"reward.parts.{name}.weight is {part.weight}; write a finite number")
        self.parts = dict(parts)

    def __call__(self, rollout: Rollout) -> Scores:
        """Return the scores of the N responses of a rollout; response n belongs to example n // group_size."""
        return self.score(pairs_of(rollout), rollout.texts, rollout)

    def score(self, examples: Sequence[Example], texts: Sequence[str], rollout: Rollout | None = None) -> Scores:
        """Return the scores of texts[n] as a response to examples[n]: reward [N] and each part [N], unweighted, fp32.

        rollout: the one the texts are from; ValueError where it is None and a part scores rollouts. Raises UserError,
        naming the part and the entry, where a part fails or returns no finite number.
        """
        values = {n: values_of(n, part.function, examples, texts, rollout) for n, part in self.parts.items()}
        return self.weighted(values)

    def weighted(self, values: Mapping[str, Sequence[float]]) -> Scores:
        """Return the scores from {part: its N values}: reward [N] and parts [N], fp32."""
        parts = {name: torch.tensor(values[name], dtype=torch.float32) for name in self.parts}
        reward = torch.zeros(len(next(iter(parts.values()))), dtype=torch.float32)
        for name, part in self.parts.items():
            reward = reward + part.weight * parts[name]
        return Scores(reward=reward, parts=parts)


def pairs_of(rollout: Rollout) -> list[Example]:
    """Return the example of each of the N responses. ValueError where N is not prompts * group size."""
    examples = rollout.prompts.examples
    if len(rollout.texts) != len(examples) * rollout.group_size:
        raise ValueError(f"{len(rollout.texts)} responses for {len(examples)} prompts x {rollout.group_size}")
    return [examples[n // rollout.group_size] for n in range(len(rollout.texts))]


def values_of(
    name: str,
    function: Callable[..., float],
    examples: Sequence[Example],
    texts: Sequence[str],
    rollout: Rollout | None,
) -> list[float]:
    """Return the values of the part `name`, one finite number a response.

    A function with score_rollout or score_many is called once, any other once a response. UserError where the function
    raises, or returns anything but finite numbers. ValueError where it has score_rollout and `rollout` is None.
    """
    whole = getattr(function, "score_rollout", None)
    if whole is not None:
        if rollout is None:
            raise ValueError(f"reward part {name} scores rollouts, and was given texts alone")
        return _checked(name, lambda *_: whole(rollout), examples, texts)
    many = getattr(function, "score_many", None)
    if many is not None:
        return _checked(name, many, examples, texts)

    def one(examples: Sequence[Example], texts: Sequence[str]) -> list[float]:
        return [function(examples[0], texts[0])]

    return [_checked(name, one, [e], [t])[0] for e, t in zip(examples, texts, strict=True)]


def _checked(
    name: str, call: Callable[..., Sequence[float]], examples: Sequence[Example], texts: Sequence[str]
) -> list[float]:
    """Return the values of one call, one finite number a response; UserError otherwise."""
    where = _entry(examples[0])
    if len(examples) > 1:
        where = f"{len(examples)} responses, {where} to {_entry(examples[-1])}"
    try:
        values = [float(value) for value in call(examples, texts)]
        if len(values) != len(examples):
            raise ValueError(f"it returned {len(values)} values")
    except UserError:
        raise  # already names the entry and what to change
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"reward part {name} failed on {where}: {reason}; mend its function") from error
    for value, example in zip(values, examples, strict=True):
        if not abs(value) <= torch.finfo(torch.float32).max:
            entry = _entry(example)
            raise UserError(f"reward part {name} gave {value} on {entry}; a reward must be a finite fp32 number")
    return values


def _entry(example: Example) -> str:
    return f"{example.source or 'entry'} (uid {example.uid})"
