"""What the attention did in a step, measured for every algorithm alike, whether or not the objective uses attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ral.ops.aggregate import masked_sum
from ral.ops.attention import row_entropy, visual_share
from ral.ops.divergence import jsd
from ral.types import Loss

if TYPE_CHECKING:
    from ral.lit.experience import Experience
    from ral.lit.policy import PolicyModule


@dataclass
class Diagnostics:
    """every: steps between measurements of attention after the updates (one extra forward pass each; 0 = never).

    gradients_every: steps between measurements of each term's own gradient, per update index (one extra backward pass
    a term; 0 = never).
    """

    every: int = 1
    gradients_every: int = 10
    _gradients: dict[str, list[Tensor]] = field(default_factory=dict)

    def due(self, step: int) -> bool:
        """Whether attention is measured at this rollout step."""
        return self.every > 0 and step % self.every == 0

    def needs(self, step: int) -> frozenset[str]:
        """Frozen signals that the measurement wants beside the objective's."""
        return frozenset({"old_rows"}) if self.due(step) else frozenset()

    def during(self, module: PolicyModule, update: int, losses: Mapping[str, Loss]) -> None:
        """Add up each term's own gradient over the micro-batches of an update."""
        if self.gradients_every == 0 or module.rollout_step % self.gradients_every or len(losses) < 2:
            return
        parameters = [p for _, p in module.policy.trained_parameters()]
        for name, loss in losses.items():
            found = torch.autograd.grad(loss.value, parameters, retain_graph=True, allow_unused=True)
            dense = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            known = self._gradients.get(name)
            self._gradients[name] = [a + b for a, b in zip(known, dense, strict=True)] if known else dense

    def update_done(self, module: PolicyModule, update: int) -> None:
        """Norm of each term's gradient on this rank, and its ratio and cosine to the token term's, by update index."""
        if not self._gradients:
            return
        norms = {name: dot(g, g).sqrt() for name, g in self._gradients.items()}
        suffix = f"update_{update + 1}"
        module.meter.add({f"grad_norm_{name}_{suffix}": (norm, 1) for name, norm in norms.items()})
        if {"attention", "token"} <= set(norms):
            attention, token = norms["attention"], norms["token"]
            overlap = dot(self._gradients["attention"], self._gradients["token"])
            tiny = torch.finfo(token.dtype).tiny
            module.meter.add(
                {
                    f"attention_gradient_ratio_{suffix}": (attention / token.clamp_min(tiny), 1),
                    f"attention_gradient_cosine_{suffix}": (overlap / (attention * token).clamp_min(tiny), 1),
                }
            )
        self._gradients = {}

    @torch.no_grad()
    def after(self, module: PolicyModule, experience: list[Experience]) -> None:
        """Attention after the updates: JSD to the rollout's, entropy, share on visual keys; summed over tokens."""
        if not self.due(module.rollout_step):
            return
        for part in experience:
            mask = part.rollout.response_mask
            states = module.passes.states(module.policy, part.prepared, part.rollout, attention=True)
            assert states.attention is not None
            rows = states.attention.rows()
            measured = {
                "attention_jsd": jsd(rows, part.signals["old_rows"]).mean(0),
                "attention_entropy": row_entropy(rows).mean(0),
                "attention_visual_share": visual_share(
                    rows, part.prepared.prompts.visual.repeat_interleave(part.rollout.group_size, 0)
                ),
            }
            module.meter.add({name: (masked_sum(value, mask), mask.sum()) for name, value in measured.items()})


def dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Inner product of two gradients, fp32."""
    return torch.stack([(x.float() * y.float()).sum() for x, y in zip(a, b, strict=True)]).sum()
