"""Memory of a rank's device by phase of a step. `networks` is the networks and the work of a run, in every function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ral.planning import activations as act
from ral.planning.architecture import Architecture
from ral.planning.networks import Networks
from ral.planning.workload import Batch

PARTS = (
    *("weights", "other networks", "gradients", "optimizer", "gathered", "cache", "activations", "logits", "rows"),
    "inputs",
)
"""Columns of the table of memory: the uses of memory that a phase has."""
GB = 1e9


@dataclass(frozen=True)
class Phase:
    """A phase of a step, and the bytes that it holds at its peak. parts: {one of PARTS: bytes}."""

    name: str
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        """Return the sum of the bytes."""
        return sum(self.parts.values())


def phases(networks: Networks) -> list[Phase]:
    """Return the phases of a step and of an evaluation, each at its peak."""
    sampled = networks.work.frozen.sampled
    found = [
        vision(networks),
        *([rollout(networks)] if sampled else []),
        *([frozen_passes(networks)] if set(networks.work.frozen.signals) - {LATER} else []),
        update(networks),
        gradients(networks),
        optimizer_step(networks),
        *([evaluation(networks)] if networks.work.upkeep.evaluations else []),
    ]
    return found


def resident(networks: Networks, gradients: float | None = None) -> dict[str, float]:
    """Return {part: bytes} of networks, gradients and optimizer, which stay in memory between phases.

    gradients: bytes of the gradients; None for those that stay between updates.
    """
    return {
        "weights": networks.weights,
        "other networks": networks.others,
        "gradients": networks.buckets + (networks.gradients if gradients is None else gradients),
        "optimizer": networks.optimizer,
    }


def kept(networks: Networks) -> dict[str, float]:
    """Return {part: bytes} of the frozen signals and visual embeddings of a rank's batch, kept during the updates.

    Where the vision tower is trained and an update has several passes, the embeddings' gradients are kept too.
    """
    batch = networks.work.batch
    found = inputs(networks, batch.prompts)
    if networks.work.training.vision and batch.passes > 1:
        found += act.embeddings(networks.policy, batch.prompts * batch.prompt)
    return {"rows": signals(networks, "rows", "hidden"), "inputs": found}


def signals(networks: Networks, *kinds: str, old: bool = True) -> float:
    """Return the bytes of the frozen signals of a rank's batch.

    kinds: kinds of signals that count, "rows" or "hidden". old: whether those of the old policy count.
    """
    work, batch = networks.work, networks.work.batch
    answers = batch.prompts * batch.group * batch.response
    width = (networks.teacher or networks.policy).decoder.width
    one = {"rows": act.rows(batch, work.frozen.layers), "hidden": 4.0 * answers * width}
    models = [found for name, found in work.frozen.signals.items() if old or name != LATER]
    return sum(one[kind] for kind in kinds for found in models if kind in found)


def inputs(networks: Networks, prompts: int) -> float:
    """Return the bytes of the visual embeddings of `prompts` prompts, those of a teacher's own tower included."""
    tokens = prompts * networks.work.batch.prompt
    own = act.embeddings(networks.policy, tokens)
    return own + (act.embeddings(networks.teacher, tokens) if networks.teacher is not None else 0.0)


def tower_graph(networks: Networks) -> float:
    """Return the bytes that a trained vision tower's pass leaves for its backward pass, the end of an update's last.

    0 for a frozen one.
    """
    work = networks.work
    visual = work.batch.prompts * work.batch.visual
    return act.tower(networks.policy, visual, work.numbers, trained=True) if work.training.vision else 0.0


def vision(networks: Networks) -> Phase:
    """Return the phase of the vision tower's pass over all prompts of a step.

    With sharding the weights outside of the decoder layers are there twice: gathered, and as they were received.
    """
    work = networks.work
    tower = act.tower(networks.policy, work.batch.prompts * work.batch.visual, work.numbers, work.training.vision)
    whole = 2 * networks.outside(networks.policy, networks.weight_bytes)
    more = {"activations": tower, "gathered": whole, "inputs": inputs(networks, work.batch.prompts)}
    return Phase("vision", resident(networks) | more)


def gathered(networks: Networks) -> float:
    """Return the bytes of sharded weights that a pass of the policy holds whole; 0 without sharding."""
    return networks.gathered(networks.policy, networks.weight_bytes)


def rollout(networks: Networks) -> Phase:
    """Return the phase in which responses to all prompts of a step are sampled."""
    found = sampling(networks, networks.work.batch)
    return Phase("rollout", resident(networks) | found | {"activations": found["activations"] + tower_graph(networks)})


def sampling(networks: Networks, batch: Batch) -> dict[str, float]:
    """Return {part: bytes} that sampling adds: those of prefill or decoding, whichever takes more, on whole weights."""
    decoder, numbers = networks.policy.decoder, networks.work.numbers
    prefill = act.without_gradient(decoder, batch.prompts * batch.prompt, numbers)
    drawing = act.drawing(decoder, batch.prompts * batch.group)
    return {
        "gathered": networks.for_rollout,
        "cache": act.cache(decoder, batch.prompts, batch, numbers),
        "activations": max(prefill - drawing, 0.0),
        "logits": drawing,
        "inputs": inputs(networks, batch.prompts),
    }


LATER = "old"
"""The frozen model whose signals come from the first update's own pass."""


def frozen_passes(networks: Networks) -> Phase:
    """Return the phase of the frozen networks' passes, at the pass over one micro-batch that takes most.

    The passes of the teacher and of networks of the policy's size (reference, EMA) come one after another; the frozen
    signals of the whole batch are kept meanwhile. With sharding the policy's weights outside of its layers are still
    there from the passes before: gathered, and once more as they were received, as in `vision`.
    """
    asked = {name: kinds for name, kinds in networks.work.frozen.signals.items() if name != LATER}
    models = {name: networks.teacher if name == "teacher" else None for name in asked}
    passes = [frozen_pass(networks, models[name] or networks.policy, kinds) for name, kinds in asked.items()]
    return Phase("frozen passes", resident(networks) | max(passes, key=lambda parts: sum(parts.values())))


def frozen_pass(networks: Networks, model: Architecture, kinds: Sequence[str]) -> dict[str, float]:
    """Return {part: bytes} that the pass of a frozen network over one micro-batch adds; see `frozen_passes`.

    model: the network. kinds: kinds of its signals, such as "log_probs". Logits begin when a layer's activations are
    gone, so the larger of both counts.
    """
    work = networks.work
    own = signals(networks, "rows", "hidden", old=False)
    scores = act.scores(model.decoder, work.batch, work.ranks.on_gpu) if "rows" in kinds else 0.0
    logits = act.logits(model.decoder, work.batch.answers, distilled=False) if "log_probs" in kinds else 0.0
    layer = act.without_gradient(model.decoder, work.batch.tokens, work.numbers)
    left = networks.left_gathered if model is networks.teacher else 0.0  # is already among those of this pass
    gathered = networks.gathered(model, work.numbers.frozen) - left + networks.largest_other
    return {
        "activations": max(layer - logits, 0.0) + tower_graph(networks),
        "gathered": gathered + 2 * networks.outside(networks.policy, networks.weight_bytes),
        "logits": logits,
        "rows": own + scores,
        "inputs": inputs(networks, work.batch.prompts),
    }


def update(networks: Networks) -> Phase:
    """Return the phase of an update at the peak of its activations, between forward and backward pass."""
    work = networks.work
    earlier = networks.earlier_gradients if work.batch.passes > 1 else head_gradient(networks)
    own = work.training.gradients * networks.trained * work.numbers.trained
    return Phase("update, forward", resident(networks, earlier + own) | during(networks, whole=True))


def head_gradient(networks: Networks) -> float:
    """Return the bytes of the output head's gradient, the first of a backward pass; 0 with adapters.

    The gradient of a sharded head is in the type in which the head was gathered, until ranks sum it.
    """
    numbers = networks.in_passes
    return 0.0 if networks.work.training.rank else float(networks.head * numbers.trained)


def gradients(networks: Networks) -> Phase:
    """Return the phase of an update at the peak of its gradients, near the end of a backward pass.

    The peak is either in the last layer that the backward pass reaches, or at the gradients of weights outside of the
    layers, which come after it; whichever takes more.
    """
    work, numbers = networks.work, networks.in_passes
    own = work.training.gradients * networks.trained * work.numbers.trained
    layer = resident(networks, networks.held_gradients + own) | during(networks, whole=False)
    embeddings = act.weight_gradient(networks.policy.counts.embeddings, numbers, work.training)
    last, graph = resident(networks, networks.last_gradients + own) | kept(networks), tower_graph(networks)
    last |= {"gathered": gathered(networks), "activations": graph + (0.0 if work.ranks.sharded else embeddings)}
    return Phase("update, backward", max((layer, last), key=lambda parts: sum(parts.values())))


def during(networks: Networks, whole: bool) -> dict[str, float]:
    """Return {part: bytes} that an update adds. whole: True for activations of all layers, False for those of one.

    With all layers the backward pass is at its beginning, at one of three places, whichever takes more: at the head,
    with logits; at attention rows, with scores; at the last layer, which checkpointing has recomputed.
    """
    work, policy = networks.work, networks.policy
    numbers, training, tokens = networks.in_passes, work.training, work.batch.tokens
    decoder = policy.decoder
    at_rows = act.scores(decoder, work.batch, work.ranks.on_gpu) if training.captured else 0.0
    one = act.one_layer(policy, tokens, numbers, training)
    layers = act.saved(policy, tokens, numbers, training, work.ranks.on_gpu) if whole else one
    layers += act.captured(decoder, tokens, training, numbers) + tower_graph(networks)
    over = act.logits(decoder, work.batch.answers, "teacher" in work.frozen.signals) if whole else 0.0
    at_head = over + (act.weight_gradient(networks.head, numbers, training) if whole else 0.0)
    at_layer = act.backward(policy, tokens, numbers) + act.written_out(decoder, numbers, training)
    at_layer += act.weight_gradient(decoder.mlp * decoder.width, numbers, training)
    at_layer += one if whole and training.checkpointing else 0.0
    return kept(networks) | {
        "gathered": gathered(networks),
        "activations": layers + max(at_head, at_rows, at_layer) - over,
        "logits": over,
    }


def optimizer_step(networks: Networks) -> Phase:
    """Return the phase of the optimizer's step, with all gradients and the bytes that the step allocates."""
    ranks = networks.work.ranks
    scratch = networks.trained * networks.work.numbers.scratch / ranks.parts
    return Phase("optimizer step", resident(networks) | kept(networks) | {"activations": scratch})


def evaluation(networks: Networks) -> Phase:
    """Return the phase of an evaluation, at the vision tower or the sampling of one batch, whichever takes more."""
    work = networks.work
    share = -(-work.upkeep.held_out // work.ranks.count)
    batch = replace(work.batch, prompts=min(work.upkeep.batch, share), group=1)
    tower = act.tower(networks.policy, batch.prompts * batch.visual, work.numbers, trained=False)
    answers = sampling(networks, batch)
    whole = 2 * networks.outside(networks.policy, networks.weight_bytes)
    looks = {"gathered": whole, "activations": tower, "inputs": inputs(networks, batch.prompts)}
    most = max((answers, looks), key=lambda parts: sum(parts.values()))
    return Phase("evaluation", resident(networks) | most)


def peak(networks: Networks) -> Phase:
    """Return the phase that holds most memory."""
    return max(phases(networks), key=lambda phase: phase.total)
