"""The two bonuses of T-GRPO, Video-R1 (arXiv 2503.21776): they compare the responses to a prompt with each other.

Shapes: B prompts, G responses to each; M of the prompts have a video, H responses to each of these were sampled with
its frames shuffled. A response is right where its accuracy is above `least_accuracy`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ral.types import UserError

ROUNDING = 1e-6  # means of fp32 accuracies that are equal on paper differ by less


@dataclass(frozen=True)
class OrderBonus:
    """Bonus for right responses to a video if the order of frames helps: a >= ratio * s.

    a and s: mean accuracy of the responses to ordered and to shuffled frames. bonus: added to the accuracy of a right
    response. least_accuracy: the accuracy above which a response is right. Video-R1 (arXiv 2503.21776), section 3.2,
    Eq. 1 and 2, has the bonus alpha = 0.3 and a >= s; the ratio 0.8 and the least accuracy 0.1 are those of its
    published code. Where nothing is right in either order the prompt passes, and no response earns the bonus.
    """

    ratio: float = 0.8
    bonus: float = 0.3
    least_accuracy: float = 0.1

    def passes(self, ordered: Tensor, shuffled: Tensor) -> Tensor:
        """Tell for which prompts the order of frames helps: accuracy [M G] and [M H] -> [M] bool.

        Video-R1 (arXiv 2503.21776), section 3.2, Eq. 1.
        """
        return ordered.double().mean(1) + ROUNDING >= self.ratio * shuffled.double().mean(1)

    def earners(self, ordered: Tensor, shuffled: Tensor) -> Tensor:
        """Tell which responses to ordered frames earn the bonus: accuracy [M G] and [M H] -> [M G] bool.

        Video-R1 (arXiv 2503.21776), section 3.2, Eq. 2.
        """
        return self.passes(ordered, shuffled)[:, None] & (ordered > self.least_accuracy)


@dataclass(frozen=True)
class LengthBonus:
    """Bonus for right responses of `shortest` to `longest` tokens, where at least `least_right` of a group are right.

    bonus: added to the reward. least_accuracy: the accuracy above which a response is right. Video-R1 (arXiv
    2503.21776), section 3.3, Eq. 5, has the bonus omega = 0.2 and 320 to 512 tokens; that two must be right is from its
    published code. UserError unless 0 <= shortest <= longest.
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
        """Tell which responses earn the bonus: accuracy [B G] without bonuses and response tokens [B G] -> [B G] bool.

        Video-R1 (arXiv 2503.21776), section 3.3, Eq. 5.
        """
        right = accuracy > self.least_accuracy
        enough = right.sum(1, keepdim=True) >= self.least_right
        return right & enough & (tokens >= self.shortest) & (tokens <= self.longest)
