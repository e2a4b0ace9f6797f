"""What attention and gradients do in a step, measured for every algorithm alike, whether or not it uses attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ral.ops.aggregate import masked_sum
from ral.ops.attention import CapturedAttention, row_entropy, share_on
from ral.ops.divergence import jsd
from ral.ops.objectives import attention_policy
from ral.ops.objectives import token as token_loss
from ral.ops.signals import Term
from ral.types import Loss, UserError

if TYPE_CHECKING:
    from ral.learner.experience import Experience
    from ral.lit.policy import PolicyModule


@dataclass
class Diagnostics:
    """What the attention does: at the last update of a step, and at times by update index.

    It is captured for this on the steps that are due, one in `every`; where the objective captures it anyway, the last
    update of every step is measured.
    Attention is that of an update's own pass, before the update moves the weights: at the first it is the rollout's.
    every: steps between measurements by update index (0 = measure nothing at all); with `gradients` one costs a
    backward pass for each term and update.
    max_log_prob_gap: nats; how far the sampler's and the first update's log-probs of the same tokens may differ in the
    mean. More means that rollouts come from another distribution than the one that is trained.
    """

    every: int = 10
    gradients: bool = True
    max_log_prob_gap: float | None = 0.1
    _gradients: dict[str, list[Tensor]] = field(default_factory=dict)

    def due(self, step: int) -> bool:
        """Whether a step, counted from 0, is measured by update index."""
        return self.every > 0 and step % self.every == 0

    def needs(self, asked: frozenset[str], updates: int, step: int) -> frozenset[str]:
        """Signals that the measurement of a step wants beside `asked`, the objective's.

        A single update differs from nothing, so that it wants no rows of before.
        """
        if not self.every or not (self.due(step) or "attention" in asked):
            return frozenset()
        return frozenset({"attention"} | ({"old_rows"} if updates > 1 else set()))

    def during(
        self, module: PolicyModule, update: int, part: Experience, live: Mapping[str, Any], losses: Mapping[str, Loss]
    ) -> None:
        """Attention before this update, and each term's own gradient, added up over the micro-batches."""
        sampled, mask = part.rollout.log_probs, part.rollout.trainable
        if update == 0 and sampled is not None and part.rollout.attention_rows is None:  # noise is meant to differ
            gap = (live["log_probs"].detach() - sampled).abs()
            module.meter.add({"log_prob_gap": (masked_sum(gap, mask), mask.sum())})
        last, due = update + 1 == module.settings.updates_per_rollout, self.due(module.rollout_step)
        if self.every and live["attention"] is not None and (last or due):
            pairs = attention_pairs(part, live["attention"])
            module.meter.add({f"{k}_update_{update + 1}": v for k, v in pairs.items()} if due else {})
            module.meter.add(pairs if last else {})
        if not due:
            return
        if not self.gradients or len(losses) < 2:
            return
        parameters = [p for _, p in module.policy.trained_parameters()]
        for name, loss in losses.items():
            found = torch.autograd.grad(loss.value, parameters, retain_graph=True, allow_unused=True)
            dense = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            if name in self._gradients:
                torch._foreach_add_(self._gradients[name], dense)
            else:
                self._gradients[name] = dense

    def update_done(self, module: PolicyModule, update: int) -> None:
        """Norm of each term's gradient on this rank, and its ratio and cosine to the token term's, by update index."""
        if not self._gradients:
            return
        norms = {name: dot(g, g).sqrt() for name, g in self._gradients.items()}
        suffix = f"update_{update + 1}"
        module.meter.add({f"grad_norm_{name}_{suffix}": (norm, 1) for name, norm in norms.items()})
        looks, says = (named(module.objective, function) for function in (attention_policy, token_loss))
        if looks in norms and says in norms:
            attention, token = norms[looks], norms[says]
            overlap = dot(self._gradients[looks], self._gradients[says])
            tiny = torch.finfo(token.dtype).tiny
            module.meter.add(
                {
                    f"attention_gradient_ratio_{suffix}": (attention / token.clamp_min(tiny), 1),
                    f"attention_gradient_cosine_{suffix}": (overlap / (attention * token).clamp_min(tiny), 1),
                }
            )
        self._gradients = {}

    def check(self, means: Mapping[str, float]) -> None:
        """UserError where sampler and training disagree on the policy."""
        gap = means.get("train/log_prob_gap", 0.0)
        if self.max_log_prob_gap is not None and not gap <= self.max_log_prob_gap:
            raise UserError(
                f"sampled and trained log-probs of the same tokens differ by {gap:.3g} nats in the mean, more than "
                f"diagnostics.max_log_prob_gap={self.max_log_prob_gap}: rollouts are not of the trained policy; try "
                "hardware.share_prompt=false or hardware.precision=32-true, or allow more"
            )


def named(objective: Mapping[str, Term], function: Term) -> str:
    """The name under which an objective sums a function; "" where it does not."""
    return next((name for name, term in objective.items() if getattr(term, "func", term) is function), "")


@torch.no_grad()
def attention_pairs(part: Experience, attention: CapturedAttention) -> dict[str, tuple[Tensor, Tensor]]:
    """(total, count) over response tokens: JSD to the rollout's attention if known, entropy, share on visual keys, and
    the part of that share which falls inside the evidence (over the responses to prompts that have evidence).
    """
    prompts, mask = part.prepared, part.rollout.trainable
    visual, evidence = (x.repeat_interleave(part.rollout.group_size, 0) for x in (prompts.visual, prompts.evidence))
    columns: dict[str, list[Tensor]] = {"entropy": [], "visual_share": [], "evidence_share": []}
    columns |= {"jsd": []} if "old_rows" in part.signals else {}
    for at, rows in attention.pieces():
        seen, found = (share_on(rows, keys) for keys in (visual, evidence))
        if "jsd" in columns:
            columns["jsd"].append(jsd(rows, part.signals["old_rows"][:, :, at]).mean(0))
        columns["entropy"].append(row_entropy(rows).mean(0))
        columns["visual_share"].append(seen)
        columns["evidence_share"].append(found / seen.clamp_min(torch.finfo(seen.dtype).tiny))
    over = dict.fromkeys(columns, mask) | {"evidence_share": mask & evidence.any(1, keepdim=True)}
    return {
        f"attention_{name}": (masked_sum(torch.cat(values, dim=1), over[name]), over[name].sum())
        for name, values in columns.items()
    }


def dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Inner product of two gradients, fp32."""
    return torch.stack([(x.float() * y.float()).sum() for x, y in zip(a, b, strict=True)]).sum()
