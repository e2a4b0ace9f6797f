"""Decoding steps: ordinary ones, or ones with fixed shapes, which on a GPU are captured once and replayed.

A decoding step in Python launches some thousand kernels; on a GPU and for a small batch that takes longer than reading
the weights. A captured step is one launch. Shapes change only when responses leave the batch and when full buffers of
the responses double: a rollout captures a handful of steps, and drops them at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ral.models.adapters.four_bit import four_bit_layers
from ral.models.attention.fixed_layouts import FixedDecode
from ral.models.attention.rollout_layouts import Decode
from ral.models.mllm import MLLM
from ral.ops.logprobs import policy_logits
from ral.rollout.decoding import draw
from ral.rollout.engine import Sampling

Drawn = tuple[Tensor, Tensor]
"""Tokens [n] and their log-probs [n] fp32, nats."""
Pick = Callable[[Tensor, Tensor | None], Drawn]
"""Draws tokens: (hidden states [n D] that predict them, uniform numbers [n] or None for the likeliest) -> Drawn."""
Step = Callable[[], None]
"""A decoding step that reads and writes tensors at fixed addresses."""
Capture = Callable[[Step], Step]
"""Captures a Step; returns a function that runs it again."""

GROWING_ROPE = ("dynamic", "longrope")
"""Types of rotary embedding whose frequencies depend on the longest position so far, which is read on the CPU."""


class Steps(Protocol):
    """Interface of the decoding of a batch, token after token."""

    def __call__(self, ids: Tensor, uniform: Tensor | None) -> Drawn:
        """Feed the last tokens [n] and draw the next ones. uniform [n]: numbers in [0, 1); None for the likeliest."""
        ...

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep the prompts `prompts` [B'] and their responses `slots` [B' G'], drop the rest; see Decode.keep."""
        ...


def drawn(policy: MLLM, sampling: Sampling, banned: Tensor, hidden: Tensor, uniform: Tensor | None) -> Drawn:
    """Draw tokens [n] from the hidden states [n D] that predict them; return them with their log-probs.

    banned [V]: tokens that are never drawn. uniform [n]: numbers in [0, 1); None for the likeliest tokens.
    """
    logits = policy_logits(hidden, policy.head, temperature=sampling.temperature, banned=banned)
    token = draw(logits, uniform)
    return token, logits.gather(-1, token[:, None]).squeeze(-1) - logits.logsumexp(-1)


@dataclass
class OrdinarySteps:
    """Decoding steps without capture, each of the shapes that it needs. state: the decoding state, changed in place.

    pick: draws the next tokens from the hidden states that predict them.
    """

    policy: MLLM
    state: Decode
    pick: Pick

    def __call__(self, ids: Tensor, uniform: Tensor | None) -> Drawn:
        """Feed the last tokens [n] and draw the next ones, as `Steps`."""
        return self.pick(self.policy.decode(ids, self.state), uniform)

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep the prompts `prompts` [B'] and their responses `slots` [B' G'], drop the rest; see Decode.keep."""
        self.state.keep(prompts, slots)


@dataclass
class FixedSteps:
    """Decoding steps of fixed shapes, captured anew where a shape changes. state: the decoding state, changed in place.

    pick: draws the next tokens. capture: captures a step. most: length limit of a response, in tokens. count: number of
    tokens fed to each response so far. replay: the captured step; None where it has to be captured. buffers: inputs and
    outputs of the captured step.
    """

    policy: MLLM
    state: FixedDecode
    pick: Pick
    capture: Capture
    most: int
    count: int = 0
    replay: Step | None = None
    buffers: list[Tensor] = field(default_factory=list)

    def __call__(self, ids: Tensor, uniform: Tensor | None) -> Drawn:
        """Feed the last tokens [n] and draw the next ones; the tensors returned are overwritten by the next call."""
        if self.count == self.state.room:
            self.replay = None
            self.state.make_room(min(2 * self.count, self.most))
        given = [ids] if uniform is None else [ids, uniform]
        self.state.count.fill_(self.count)
        if self.replay is None:
            found = (torch.zeros_like(ids), torch.zeros(ids.shape, device=ids.device))
            self.buffers = [*found, *(x.clone() for x in given)]
            self.replay = self.capture(self._step)
        for place, value in zip(self.buffers[2:], given, strict=True):
            place.copy_(value)
        self.replay()
        self.count += 1
        return self.buffers[0], self.buffers[1]

    def _step(self) -> None:
        """Run one step that reads and writes `buffers`; a second run with the same tokens gives the same result."""
        token, log_prob, ids, *uniform = self.buffers
        found = self.pick(self.policy.decode(ids, self.state), uniform[0] if uniform else None)
        token.copy_(found[0])
        log_prob.copy_(found[1])

    def keep(self, prompts: Tensor, slots: Tensor) -> None:
        """Keep some prompts and responses, as `Steps.keep`; the next step is captured anew."""
        self.replay = None
        self.state.keep(prompts, slots)


def steps_of(policy: MLLM, state: Decode, pick: Pick, capture: Capture | None, most: int) -> Steps:
    """Return the Steps that continue from `state` with at most `most` tokens.

    capture: captures steps of fixed shapes; None for ordinary steps.
    """
    if capture is None:
        return OrdinarySteps(policy, state, pick)
    return FixedSteps(policy, FixedDecode.of(state, most), pick, capture, most)


def called(step: Step) -> Step:
    """Return the step itself: this is the Capture for devices without CUDA graphs."""
    return step


def captured(step: Step) -> Step:
    """Capture a step as a CUDA graph; return the function that replays it.

    The step runs once before, so that libraries allocate their workspaces outside the graph. Other threads, such as
    those that load data, may use the GPU meanwhile.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    replay: Step = graph.replay
    return replay


def why_not_fixed(policy: MLLM, sampling: Sampling, sharded: bool) -> str | None:
    """Return, in words, why decoding steps cannot have fixed shapes; None where they can.

    sharded: whether the policy's weights are sharded.
    """
    config = policy.network.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if sharded:
        return "sharded weights are gathered by hooks that a captured step would leave out"
    if not policy.shares:
        return "each response has a row of its own (the plain path), whose cache grows with every token"
    if policy.linear:
        return "its layers of linear attention put a new state in the place of the last at every token"
    if four_bit_layers(policy.network):
        return "products with weights in 4 bits (lora.base=nf4) were never captured on a GPU"
    if sampling.noise is not None:
        return "noise on attention is drawn and recorded on the CPU at every token"
    if any(getattr(config, name, None) for name in ("num_experts", "num_local_experts")):
        return "layers of experts have shapes that depend on the tokens"
    if rope.get("rope_type", rope.get("type")) in GROWING_ROPE:
        return "its rotary embedding depends on the longest position so far"
    return None
