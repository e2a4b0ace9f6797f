"""The two bonuses of T-GRPO, Video-R1 (arXiv 2503.21776): they compare the responses to a prompt with each other.

B prompts, G responses to each, M of the prompts with a clip, H responses to each of these from shuffled frames.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ral.types import UserError

ROUNDING = 1e-6  # means of fp32 accuracies that are equal on paper differ by less


@dataclass(frozen=True)
class OrderBonus:
    """Bonus for right responses to a clip whose frames' order helps: a >= ratio * s, mean accuracies ordered, shuffled.

    Video-R1 (arXiv 2503.21776), section 3.2, Eq. 1 and 2: alpha = 0.3, there with a >= s; the ratio 0.8 and the bound
    0.1 are those of its published code. bonus: added to the accuracy; least_accuracy: above which a response counts as
    right. Where nothing is right in either order the prompt passes and nobody earns the bonus, as published.
    """

    ratio: float = 0.8
    bonus: float = 0.3
    least_accuracy: float = 0.1

    def passes(self, ordered: Tensor, shuffled: Tensor) -> Tensor:
        """Tell which prompts pass: accuracy [M G] and [M H] -> [M] bool.

        Video-R1 (arXiv 2503.21776), section 3.2, Eq. 1.
        """
        return ordered.double().mean(1) + ROUNDING >= self.ratio * shuffled.double().mean(1)

    def earners(self, ordered: Tensor, shuffled: Tensor) -> Tensor:
        """Tell which ordered responses earn the bonus: accuracy [M G] and [M H] -> [M G] bool.

        Video-R1 (arXiv 2503.21776), section 3.2, Eq. 2.
        """
        return self.passes(ordered, shuffled)[:, None] & (ordered > self.least_accuracy)


@dataclass(frozen=True)
class LengthBonus:
    """Bonus for right responses of `shortest` to `longest` tokens, where at least `least_right` of a group are right.

    Video-R1 (arXiv 2503.21776), section 3.3, Eq. 5: omega = 0.2, 320 to 512; that two must be right is of its published
    code. bonus: added to the reward; least_accuracy: above which a response counts as right.
    """

    bonus: float = 0.2
    shortest: int = 320
    longest: int = 512
    least_right: int = 2
    least_accuracy: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.shortest <= self.longest:
            raise UserError(
                f"algo.temporal.length: shortest={self.shortest} to longest={self.longest} is no range; "
                "write 0 <= shortest <= longest"
            )

    def earners(self, accuracy: Tensor, tokens: Tensor) -> Tensor:
        """Tell who earns the bonus: accuracy [B G] without any bonus and response tokens [B G] -> [B G] bool.

        Video-R1 (arXiv 2503.21776), section 3.3, Eq. 5.
        """
        right = accuracy > self.least_accuracy
        enough = right.sum(1, keepdim=True) >= self.least_right
        return right & enough & (tokens >= self.shortest) & (tokens <= self.longest)
