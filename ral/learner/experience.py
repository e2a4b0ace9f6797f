"""From a rollout to the input of updates: advantages, weights over all ranks, and the objective's frozen signals.

Shapes: B prompts, G responses each, N = B * G responses, P prompt tokens, C response tokens, D numbers of a hidden
state, L layers whose attention is captured, K keys.
"""

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
    """Size of a forward pass of an update: at most `prompts` prompts and `responses` responses to each of them.

    responses: None for the whole group. The size bounds memory and does not change the result. Passes over parts of a
    group read the prompt again.
    """

    prompts: int = 1
    responses: int | None = None

    def __str__(self) -> str:
        """Return both numbers as text, such as "1 prompts, all responses"."""
        return f"{self.prompts} prompts, {'all' if self.responses is None else self.responses} responses"


class Portion(NamedTuple):
    """Place of a micro-batch in its batch. prompts: indices of its prompts in the batch.

    responses: indices of its responses within the group of each of these prompts.
    """

    prompts: list[int]
    responses: range


@dataclass(frozen=True)
class Experience:
    """Input of an update: prompts with responses, of a rank's whole batch or of one micro-batch.

    `freeze` makes the micro-batches, each trimmed to its own longest prompt and response. prepared, rollout: the
    prompts and the responses. advantages [N]: zero until the rewards are known. weights [N C]: weight of each token in
    the loss, normalised over the batch of all ranks. signals: {name: tensor without graph} of frozen models: log-probs
    [N C], attention rows [L N C K], hidden states [N C D]. shown: text and media that the environment put into the
    responses; None where each response is sampled as one. evidence [B P] bool: visual tokens that terms take for the
    evidence; None for those of the data. second: the second view of the prompts; None where no term reads one.
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
        """Return the chosen prompts with their responses, trimmed to the longest of these; without signals.

        chosen: indices of prompts. responses: indices within each group; None for all of them.
        """
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
    """Computation of signals by forward passes of a model."""

    @property
    def offers(self) -> frozenset[str]:
        """Return the names of the signals (ral.ops.signals) that terms may ask for."""
        ...

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return {name: signal} of the model being trained, with their graph; "hidden" and "attention" may be None.

        needs: names of the signals that the update needs; others may come along.
        """
        ...

    def frozen(self, view: View, rollout: Rollout, kinds: tuple[str, ...]) -> dict[str, Tensor]:
        """Return {kind: tensor without graph}: the signals of a frozen model on a rollout.

        view: the model, with the prompts as it reads them. kinds: those asked for among log_probs, rows and hidden.
        """
        ...


@dataclass(frozen=True)
class Forward:
    """Forward passes of a policy: log-probs, attention rows and hidden states.

    temperature: sampling temperature, by which logits are divided. spec: the attention that is captured. offers: names
    of the signals (ral.ops.signals.SIGNALS) that terms may ask for.
    """

    temperature: float
    spec: AttentionSpec
    offers: ClassVar[frozenset[str]] = OF_A_POLICY

    def states(self, view: View, rollout: Rollout, attention: bool) -> States:
        """Return the hidden states of one forward pass over a rollout, and the captured attention if `attention`."""
        spec = self.spec if attention else None
        return view.model.states(view.prepared, rollout.token_ids, rollout.valid, spec, view.shown)

    def log_probs(self, model: FrozenModel, states: States, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return the log-probs [N C] of the response tokens, and the entropy [N C] of their distributions, in nats."""
        banned = model.processor.banned.to(rollout.token_ids.device)
        ids, mask = rollout.token_ids, rollout.trainable
        return token_log_probs(
            states.hidden, ids, mask, model.head, temperature=self.temperature, banned=banned, scores=fused(model)
        )

    @torch.no_grad()
    def frozen(self, view: View, rollout: Rollout, kinds: tuple[str, ...]) -> dict[str, Tensor]:
        """Return {kind: tensor without graph}: the signals of a frozen model, as in `Passes.frozen`."""
        states = self.states(view, rollout, "rows" in kinds)
        return frozen_kinds(kinds, states, lambda: self.log_probs(view.model, states, rollout)[0])

    def live(self, model: MLLM, experience: Experience, needs: frozenset[str]) -> dict[str, Any]:
        """Return {name: signal} of the policy being trained, with graph, and of the signals that `experience` holds.

        "attention" is None unless `needs` asks for attention or old_rows.
        """
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
        """Return the signals of a forward pass over the second view, with their graph; {} where none is needed."""
        if not needs & MASKED:
            return {}
        assert experience.second is not None, "terms that read the second view come with one"
        states = self.states(View(model, experience.second, experience.shown), experience.rollout, False)
        log_probs, _ = self.log_probs(model, states, experience.rollout)
        return {"masked_log_probs": log_probs, "masked_hidden": states.hidden}


def of_responses(experience: Experience) -> Tensor:
    """Return the evidence of the prompt of each response, [N P] bool."""
    prepared = experience.prepared
    evidence = prepared.evidence if experience.evidence is None else experience.evidence.to(prepared.evidence.device)
    return evidence.repeat_interleave(experience.rollout.group_size, 0)


def cut(prompt: Tensor, valid: Tensor, prompts: int) -> list[list[int]]:
    """Return the prompt indices of micro-batches of at most `prompts` prompts of similar cost, to save padding.

    prompt [B P], valid [N C]: attention masks of prompts and responses. The cost of a prompt is its own length plus G
    times the length of its longest response. Within a micro-batch prompts are sorted by their own length.
    """
    own, responses = prompt.sum(1), valid.sum(1).view(len(prompt), -1)
    lengths, costs = own.tolist(), (own + responses.amax(1) * responses.shape[1]).tolist()
    order = sorted(range(len(costs)), key=lambda n: costs[n])
    parts = [order[start : start + prompts] for start in range(0, len(order), prompts)]
    return [sorted(part, key=lambda n: (lengths[n], n)) for part in parts]


def portions(prepared: Prepared, rollout: Rollout, size: PassSize) -> list[Portion]:
    """Return the micro-batches of a batch, each of at most this size; prompts of similar cost share a micro-batch."""
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
    """Return the micro-batches at `places` with the frozen signals that `needs` names, such as "teacher_rows".

    models: {name: the batch as that model reads it}. A model of which `needs` names no signal makes no forward pass.
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
    """Return a model's view of the micro-batch `part`. view: its view of the whole batch.

    place: the indices of the micro-batch in `batch`.
    """
    rows, length = batch.rollout.rows(*place), part.rollout.token_ids.shape[1]
    shown = None if view.shown is None else view.shown.take(rows, length)
    return View(view.model, view.prepared.take(place.prompts), shown)


@torch.no_grad()
def remember(part: Experience, live: Mapping[str, Any], needs: frozenset[str]) -> Experience:
    """Return a micro-batch with the old policy's signals that `needs` names ("old_...") added, without graph.

    live: the policy's signals from a forward pass before any weight has moved.
    """
    kinds = frozen_needs(needs).get("old", ())
    old = frozen_kinds(kinds, States(live["hidden"], live["attention"]), lambda: live["log_probs"])
    return replace(part, signals=part.signals | {f"old_{kind}": value for kind, value in old.items()})


def frozen_kinds(kinds: tuple[str, ...], states: States, log_probs: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Return {kind: tensor without graph} for `kinds`, some of log_probs, rows and hidden.

    states: result of one forward pass. log_probs: function that computes the log-probs; called only where they are
    asked for.
    """
    make: Mapping[str, Callable[[], Tensor]] = {
        "log_probs": log_probs,
        "rows": lambda: states.attention.rows(),  # type: ignore[union-attr]
        "hidden": lambda: states.hidden,
    }
    return {kind: make[kind]().detach() for kind in kinds}
