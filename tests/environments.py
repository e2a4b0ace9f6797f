"""An environment of two turns, named by configurations of tests: ask, give back a crop of the picture, ask again."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch

from ral.data.media import MediaReader, MediaSettings
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.turns import assemble, continued, sampled_segments
from ral.types import Example, Pixels, Prepared, Rollout, Trajectory

Ask = Callable[[Prepared, int, int], Rollout]
"""Asks an engine for `count` responses to each prompt: (prompts, count, seed)."""


def crop(example: Example, factor: int) -> Pixels:
    """The middle of a picture, or of a clip's first frame, as large as four visual tokens."""
    frame = MediaReader(MediaSettings(max_frames=2)).read(example.media[0]).frames[:1]
    height, width = frame.shape[1:3]
    middle = frame[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4].permute(0, 3, 1, 2).float()
    larger = torch.nn.functional.interpolate(middle, (2 * factor, 2 * factor)).byte()
    return Pixels("image", larger.permute(0, 2, 3, 1))


def look_again(policy: MLLM, ask: Ask, prepared: Prepared, count: int, seed: int) -> Rollout:
    """A first turn, a crop of the picture for every second trajectory and a word for the others, a second turn."""
    processor, factor = policy.processor, max(policy.processor.patches.factor, 28)
    first = ask(prepared, count, seed)
    begun = []
    for n, said in enumerate(sampled_segments(first)):
        example = prepared.prompts.examples[n // count]
        ended = said.token_ids[-1] == processor.end_id
        shown = (
            processor.turn("<image> Think", [crop(example, factor)], ended=ended)
            if n % 2
            else processor.turn("Think, then answer.", ended=ended)
        )
        begun.append(Trajectory((said, shown), "length", first.policy_version))
    second = ask(continued(policy, prepared, begun), 1, seed + 1)
    ways = zip(begun, sampled_segments(second), second.finish_reasons, strict=True)
    whole = [Trajectory((*way.segments, said), reason, way.policy_version) for way, said, reason in ways]
    return assemble(processor, prepared.prompts, whole, policy.device)


class LookAgain(NativeEngine):
    """A native engine behind the environment: two turns, in evaluations too. Notes its rollouts."""

    made: ClassVar[list[Rollout]] = []

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of two turns each."""
        native = super().generate
        rollout = look_again(self.policy, lambda p, n, s: native(p, n, sampling, s), prompts, count, seed)
        LookAgain.made.append(rollout)
        return rollout
