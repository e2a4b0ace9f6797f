"""From a rollout to what the updates read: advantages, global weights, and the frozen signals of an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from ral.models.frozen import FrozenModel, View
from ral.models.fused import fused
from ral.models.mllm import MLLM
from ral.models.states import States
from ral.ops.attention import AttentionSpec
from ral.ops.logprobs import token_log_probs
from ral.ops.signals import MASKED, OF_A_POLICY, frozen_needs
from ral.types import Prepared, Rollout, Shown


@dataclass(frozen=True)
class PassSize:
    """Most of what a forward pass of an update holds: prompts, and responses to each (None: all of a group).

    It bounds memory, never the result. Passes over parts of a group read the prompt again.
    """

    prompts: int = 1
    responses: int | None = None

    def __str__(self) -> str:
        """Return both numbers in words."""
        return f"{self.prompts} prompts, {'all' if self.responses is None else self.responses} responses"


class Portion(NamedTuple):
    """A micro-batch by its places: prompts of the batch, and which responses of each group."""

    prompts: list[int]
    responses: range


@dataclass(frozen=True)
class Experience:
    """Prompts with all their responses and what an update needs of them: a rank's whole batch, then its micro-batches.

    `freeze` makes the micro-batches, each trimmed to its own longest prompt and response.
    advantages [N], zero until rewards are there; weights [N C], shares of the whole batch over all ranks; signals:
    frozen tensors, [N C] or, for attention rows, [L N C K]. shown: what the continuations hold beside sampled text,
    None where each is one answer.
    evidence [B P]: visual tokens that terms take for the evidence; second: the second view of the prompts, where a term
    reads one.
    """

    prepared: Prepared
    rollout: Rollout
    advantages: Tensor
    weights: Tensor
    signals: dict[str, Tensor] = field(default_factory=dict)
    shown: Shown | None = None
    evidence: Tensor | None = None
    second: Prepared | None = None

    def take(self, chosen: Sequence[int], responses: range | None = None) -> Experience:
        """Return the chosen prompts with all their responses, or with those at the given places of each group."""
        prepared = self.prepared.take(chosen)
        part = self.rollout.take(prepared.prompts, chosen, responses)
        rows, length = self.rollout.rows(chosen, responses), part.token_ids.shape[1]
        shown = None if self.shown is None else self.shown.take(rows, length)
        evidence, width = self.evidence, prepared.token_ids.shape[1]
        return Experience(
            prepared,
            part,
            self.advantages[rows],
            self.weights[rows, :length],
            shown=shown,
            evidence=None if evidence is None else evidence[list(chosen), evidence.shape[1] - width :],
            second=None if self.second is None else self.second.take(chosen),
        )


class Passes(Protocol):
    """Computation of signals from a model. offers: names of the signals (ral.ops.signals) that terms may ask for."""

    @property
    def offers(self) -> frozenset[str]: ...

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return the signals of the model being trained, with their graph; "hidden" and "attention" may be None."""
        ...

    def frozen(self, view: View, rollout: Rollout, kinds: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the asked kinds of signals of a model that is not trained."""
        ...


@dataclass(frozen=True)
class Forward:
    """Passes of a model at the sampling temperature, which give log-probs, rows and states.

    offers: the signals (ral.ops.signals.SIGNALS) that terms may ask for.
    """

    temperature: float
    spec: AttentionSpec
    offers: ClassVar[frozenset[str]] = OF_A_POLICY

    def states(self, view: View, rollout: Rollout, attention: bool) -> States:
        """Make one pass of a model over a rollout."""
        spec = self.spec if attention else None
        return view.model.states(view.prepared, rollout.token_ids, rollout.valid, spec, view.shown)

    def log_probs(self, model: FrozenModel, states: States, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return log-probs and entropy [N C] of the sampled tokens."""
        banned = model.processor.banned.to(rollout.token_ids.device)
        ids, mask = rollout.token_ids, rollout.trainable
        return token_log_probs(
            states.hidden, ids, mask, model.head, temperature=self.temperature, banned=banned, scores=fused(model)
        )

    @torch.no_grad()
    def frozen(self, view: View, rollout: Rollout, kinds: tuple[str, ...]) -> dict[str, Tensor]:
        """Return the asked kinds of frozen signals of one model: log_probs, rows, hidden."""
        states = self.states(view, rollout, "rows" in kinds)
        return frozen_kinds(kinds, states, lambda: self.log_probs(view.model, states, rollout)[0])

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return the signals of the policy being trained, with their graph."""
        rollout = experience.rollout
        view = View(model, experience.prepared, experience.shown)
        states = self.states(view, rollout, bool(needs & {"attention", "old_rows"}))
        log_probs, entropy = self.log_probs(model, states, rollout)
        return self.masked(model, experience, needs) | {
            "log_probs": log_probs,
            "entropy": entropy,
            "attention": states.attention,
            "hidden": states.hidden,
            "head": model.head,
            "view_head": model.head,
            "banned": model.processor.banned.to(log_probs.device),
            "temperature": self.temperature,
            "advantages": experience.advantages,
            "mask": rollout.trainable,
            "weights": experience.weights,
            "group_size": rollout.group_size,
            "evidence": of_responses(experience),
            "sampler_log_probs": rollout.log_probs,
            "sampler_rows": rollout.attention_rows,
            "sampler_noise": rollout.attention_rows,
        }

    def masked(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return the signals of one more pass over the second view, with their graph; {} where no term asks for any."""
        if not needs & MASKED:
            return {}
        assert experience.second is not None, "terms that read the second view come with one"
        states = self.states(View(model, experience.second, experience.shown), experience.rollout, False)
        log_probs, _ = self.log_probs(model, states, experience.rollout)
        return {"masked_log_probs": log_probs, "masked_hidden": states.hidden}


def of_responses(experience: Experience) -> Tensor:
    """Return the evidence of each response's prompt, [N P] bool."""
    prepared = experience.prepared
    evidence = prepared.evidence if experience.evidence is None else experience.evidence.to(prepared.evidence.device)
    return evidence.repeat_interleave(experience.rollout.group_size, 0)


def cut(prompt: Tensor, valid: Tensor, prompts: int) -> list[list[int]]:
    """Cut a batch into micro-batches of at most `prompts` prompts of similar cost, so that they hold little padding.

    prompt [B P], valid [N C]: which tokens of prompts and of continuations count. A prompt takes its own length and,
    for each of its continuations, that of the longest. Within a micro-batch prompts stand by their own length.
    """
    own, responses = prompt.sum(1), valid.sum(1).view(len(prompt), -1)
    lengths, costs = own.tolist(), (own + responses.amax(1) * responses.shape[1]).tolist()
    order = sorted(range(len(costs)), key=lambda n: costs[n])
    parts = [order[start : start + prompts] for start in range(0, len(order), prompts)]
    return [sorted(part, key=lambda n: (lengths[n], n)) for part in parts]


def portions(prepared: Prepared, rollout: Rollout, size: PassSize) -> list[Portion]:
    """Cut a batch into micro-batches of at most this size; prompts of similar cost share one."""
    group = rollout.group_size
    some = min(size.responses or group, group)
    parts = [range(start, min(start + some, group)) for start in range(0, group, some)]
    return [Portion(chosen, part) for chosen in cut(prepared.valid, rollout.valid, size.prompts) for part in parts]


def freeze(
    passes: Passes,
    models: Mapping[str, View],
    batch: Experience,
    needs: frozenset[str],
    places: Sequence[Portion],
) -> list[Experience]:
    """Make the micro-batches at these places with the frozen signals of `needs`, such as "teacher_rows".

    models: {name: the network and how it reads the batch}; what is read in updates alone (the second view) makes no
    pass here.
    """
    wanted = frozen_needs(needs)
    batches = []
    for place in places:
        part = batch.take(*place)
        signals = {
            f"{name}_{kind}": value
            for name, view in models.items()
            if wanted.get(name)
            for kind, value in passes.frozen(view_of(view, part, place, batch), part.rollout, wanted[name]).items()
        }
        batches.append(replace(part, signals=signals))
    return batches


def view_of(view: View, part: Experience, place: Portion, batch: Experience) -> View:
    """Return how a network reads a micro-batch, `part`, at its place in the batch."""
    rows, length = batch.rollout.rows(*place), part.rollout.token_ids.shape[1]
    shown = None if view.shown is None else view.shown.take(rows, length)
    return View(view.model, view.prepared.take(place.prompts), shown)


@torch.no_grad()
def remember(part: Experience, live: Mapping[str, Any], needs: frozenset[str]) -> Experience:
    """Add the old policy's signals that `needs` names to a micro-batch, from a pass before any weight has moved."""
    kinds = frozen_needs(needs).get("old", ())
    old = frozen_kinds(kinds, States(live["hidden"], live["attention"]), lambda: live["log_probs"])
    return replace(part, signals=part.signals | {f"old_{kind}": value for kind, value in old.items()})


def frozen_kinds(kinds: tuple[str, ...], states: States, log_probs: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Return {kind: tensor without graph} of the asked kinds, from one pass."""
    make: Mapping[str, Callable[[], Tensor]] = {
        "log_probs": log_probs,
        "rows": lambda: states.attention.rows(),  # type: ignore[union-attr]
        "hidden": lambda: states.hidden,
    }
    return {kind: make[kind]().detach() for kind in kinds}
