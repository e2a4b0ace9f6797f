"""Measurements of attention and gradients in a step, the same for every algorithm, with or without attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ral.learner.experience import Experience
from ral.learner.vision_gradient import Copies, Received
from ral.ops.aggregate import masked_sum
from ral.ops.attention import CapturedAttention, row_entropy, share_on
from ral.ops.correction import sampler_kl
from ral.ops.divergence import jsd
from ral.ops.objectives import attention_policy
from ral.ops.objectives import token as token_loss
from ral.ops.signals import Term
from ral.types import Loss, Metrics, UserError


@dataclass(frozen=True)
class Diagnostics:
    """Settings of the measurements of a run.

    On one step in `every` attention is measured at each update (metrics `..._update_<n>`, n from 1) and once more, as
    the step's own metrics, at the last. On the other steps it is measured at the last update alone, where the objective
    captures attention anyway. Attention is that of an update's own forward pass, before the update moves the weights.
    every: steps between two measured ones; 0 to measure neither attention nor gradients. gradients: whether each
    term's gradient is measured on the same steps, which costs a backward pass for each term, micro-batch and update.
    max_log_prob_gap: bound, in nats a token, of the mean difference between the engine's and the first update's
    log-probs of the same tokens; None for no bound. A larger gap means that the rollouts are not of the trained policy.
    """

    every: int = 10
    gradients: bool = True
    max_log_prob_gap: float | None = 0.1

    def due(self, step: int) -> bool:
        """Tell whether a step, counted from 0, has measurements at each of its updates; never where `every` is 0."""
        return self.every > 0 and step % self.every == 0

    def needs(self, asked: frozenset[str], updates: int, step: int) -> frozenset[str]:
        """Return the names of the signals that the measurement of a step needs.

        asked: the signals that the objective needs. updates: number of updates on each rollout. The old policy's
        attention rows are needed only where a step makes several updates.
        """
        if not self.every or not (self.due(step) or "attention" in asked):
            return frozenset()
        return frozenset({"attention"} | ({"old_rows"} if updates > 1 else set()))

    def attention(
        self, part: Experience, attention: CapturedAttention | None, index: int, updates: int, step: int
    ) -> list[Metrics]:
        """Return the attention metrics of one micro-batch; [] where this update of this step is not measured.

        part: the micro-batch. attention: that of the update's forward pass; None where it was not captured. index:
        number of the update, from 0, of `updates`. step: number of the step, from 0.
        """
        last, due = index + 1 == updates, self.due(step)
        if not self.every or attention is None or not (last or due):
            return []
        found = attention_metrics(part, attention)
        by_index: Metrics = {f"{name}_update_{index + 1}": pair for name, pair in found.items()}
        return [*([by_index] if due else []), *([found] if last else [])]

    def term_gradients(self, terms: Mapping[str, Term], step: int) -> TermGradients:
        """Return the object that adds up each term's gradient in one update of a step.

        It measures nothing where `gradients` is False, the step is not `due`, or there is a single term.
        """
        return TermGradients(terms, wanted=self.gradients and self.due(step) and len(terms) > 1)

    def check(self, means: Mapping[str, float]) -> None:
        """Raise UserError where train/engine_log_prob_gap in {metric: mean} is not finite or above the bound."""
        gap = means.get("train/engine_log_prob_gap", 0.0)
        if not math.isfinite(gap):
            raise UserError(
                "log-probs of the policy are not finite (NaN or infinity): numbers of its network overflow, whoever "
                "samples; take an earlier checkpoint (model.pretrained, resume), or a smaller learning rate"
            )
        if self.max_log_prob_gap is not None and not gap <= self.max_log_prob_gap:
            raise UserError(
                f"sampled and trained log-probs of the same tokens differ by {gap:.3g} nats in the mean, more than "
                f"diagnostics.max_log_prob_gap={self.max_log_prob_gap}: rollouts are not of the trained policy; try "
                "hardware.share_prompt=false or hardware.precision=32-true, or allow more"
            )


class TermGradients:
    """The gradient of each term alone on this rank, added up over the micro-batches of one update.

    wanted: whether anything is measured. sums: {term: its gradient, a tensor for each parameter}. received: {term: its
    gradients of visual embeddings that are still to pass through a trained vision tower}.
    """

    def __init__(self, terms: Mapping[str, Term], wanted: bool) -> None:
        self.terms, self.wanted = terms, wanted
        self.sums: dict[str, list[Tensor]] = {}
        self.received: dict[str, Received] = {}

    def add(self, losses: Mapping[str, Loss], parameters: Sequence[Tensor], copies: Copies) -> None:
        """Add the gradients of a micro-batch's losses, and keep their graph. losses: {term: loss}.

        parameters: the trained ones, as they were in the forward pass. copies: the visual embeddings that the
        micro-batch read without the vision tower's graph. Their gradients pass through the tower, once a term, with
        those of the next micro-batch without copies, the last one.
        """
        for name, loss in losses.items() if self.wanted else ():
            held = self.received.get(name, Received())
            held, due = (held, Received()) if copies.leaves else (Received(), held)
            grads = torch.autograd.grad(
                *([loss.value, *due.seen], [*parameters, *copies.leaves], [None, *due.gradients]),
                retain_graph=True,
                allow_unused=True,
            )
            found, of_leaves = grads[: len(parameters)], grads[len(parameters) :]
            self.received[name] = held + copies.received(of_leaves)
            dense = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]
            if name in self.sums:
                torch._foreach_add_(self.sums[name], dense)
            else:
                self.sums[name] = dense

    def metrics(self, index: int) -> Metrics:
        """Return the gradient norm of each term at update `index` (from 0).

        With both an attention and a token term: also the ratio of the attention norm to the token norm, and the cosine.
        """
        norms = {name: dot(g, g).sqrt() for name, g in self.sums.items()}
        suffix = f"update_{index + 1}"
        found: Metrics = {f"grad_norm_{name}_{suffix}": (norm, 1) for name, norm in norms.items()}
        looks, says = (named(self.terms, function) for function in (attention_policy, token_loss))
        if looks not in norms or says not in norms:
            return found
        attention, token = norms[looks], norms[says]
        overlap, tiny = dot(self.sums[looks], self.sums[says]), torch.finfo(token.dtype).tiny
        return found | {
            f"attention_gradient_ratio_{suffix}": (attention / token.clamp_min(tiny), 1),
            f"attention_gradient_cosine_{suffix}": (overlap / (attention * token).clamp_min(tiny), 1),
        }


def named(terms: Mapping[str, Term], function: Term) -> str:
    """Return the name of the term that is `function` or a partial of it; "" where the objective has no such term."""
    return next((name for name, term in terms.items() if getattr(term, "func", term) is function), "")


def engine_gap(part: Experience, log_probs: Tensor) -> Metrics:
    """Return {name: (sum in nats, number of tokens)} of how the first update's log-probs differ from the engine's.

    engine_log_prob_gap: absolute difference; engine_kl: KL(engine || policy), estimated by k3; see `sampler_kl`. Both
    over trainable tokens; log_probs [N C]: the first update's. {} where the engine gave no log-probs, or added noise
    to attention.
    """
    sampled, mask = part.rollout.log_probs, part.rollout.trainable
    if sampled is None or part.rollout.attention_rows is not None:
        return {}
    gap, kl = sampler_kl(log_probs, sampled, mask)
    return {"engine_log_prob_gap": (gap, mask.sum()), "engine_kl": (kl, mask.sum())}


@torch.no_grad()
def attention_metrics(part: Experience, attention: CapturedAttention) -> Metrics:
    """Return attention metrics summed over response tokens, mean over captured layers: {name: (total, count)}.

    attention_entropy (nats); attention_visual_share: attention on visual keys; attention_evidence_share: the part of
    the attention on the prompt's visual keys that falls inside the evidence, over responses to prompts with evidence;
    attention_jsd to the old policy's rows, where `part` has them.
    """
    prompts, mask = part.prepared, part.rollout.trainable
    visual, evidence = (x.repeat_interleave(part.rollout.group_size, 0) for x in (prompts.visual, prompts.evidence))
    shown = part.rollout.shown
    everything = visual if shown is None else torch.cat([visual, shown.visual], dim=1)
    columns: dict[str, list[Tensor]] = {"entropy": [], "visual_share": [], "evidence_share": []}
    columns |= {"jsd": []} if "old_rows" in part.signals else {}
    for at, rows in attention.pieces():
        seen, found = (share_on(rows, keys) for keys in (visual, evidence))
        if "jsd" in columns:
            columns["jsd"].append(jsd(rows, part.signals["old_rows"][:, :, at]).mean(0))
        columns["entropy"].append(row_entropy(rows).mean(0))
        columns["visual_share"].append(seen if shown is None else share_on(rows, everything))
        columns["evidence_share"].append(found / seen.clamp_min(torch.finfo(seen.dtype).tiny))
    over = dict.fromkeys(columns, mask) | {"evidence_share": mask & evidence.any(1, keepdim=True)}
    return {
        f"attention_{name}": (masked_sum(torch.cat(values, dim=1), over[name]), over[name].sum())
        for name, values in columns.items()
    }


def dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Return the inner product of two gradients, fp32."""
    return torch.stack([(x.float() * y.float()).sum() for x, y in zip(a, b, strict=True)]).sum()
