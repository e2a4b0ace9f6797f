"""The rollout engine `native`: samples from the policy that is trained, in its process.

Each prompt is prefilled once, its cache shared by its G responses, then decoded. A uniform random number draws each
token through the inverse of the policy's cumulative distribution. The numbers depend on seed, uid of the prompt,
response and token alone, so that a prompt that occurs once in a step gets the same responses in any batch or rank.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ral.models.cast_once import cast_once, products_dtype
from ral.models.cpu_linear import packed_weights
from ral.models.mllm import MLLM
from ral.models.states import Openings
from ral.rollout.decoding import Responses, Slots, length_buckets
from ral.rollout.engine import Sampling
from ral.rollout.noise import Exploration, Noise
from ral.rollout.seeds import hash_seed, prompt_seeds, uniforms
from ral.rollout.single_answers import joined_buckets, make_rollout
from ral.rollout.stepping import Capture, called, captured, drawn, steps_of, why_not_fixed
from ral.types import Prepared, Rollout, UserError

log = logging.getLogger(__name__)
stage = logging.getLogger("ral.stage")
"""Logger of the progress of a step, which the training loop shows."""

FIXED = "rollout.engine.fixed_shapes"
EXPLORING = 2
"""Part of the seeds of noise on attention that makes them differ from those of the tokens."""


class NativeEngine:
    """Engine (`ral.rollout.engine.Engine`) that samples from the policy itself, by its weights when a session begins.

    gather_weights: makes the context that gathers a sharded policy's weights for a session; None where they are whole.
    cast_once: whether weights wider than the arithmetic (fp32 under bf16) are cast once a session, not at every token:
    the results are the same, and the copies take memory (2 bytes a weight) until the session ends. fixed_shapes:
    whether decoding steps have fixed shapes, which on a GPU are captured once as a CUDA graph and replayed; "auto": on
    a GPU, where the model allows it. UserError for other values of fixed_shapes.
    """

    max_lag: float = 0

    def __init__(
        self,
        policy: MLLM,
        *,
        gather_weights: Callable[[MLLM], AbstractContextManager[Any]] | None = None,
        cast_once: bool = True,
        fixed_shapes: bool | Literal["auto"] = "auto",
    ) -> None:
        if fixed_shapes not in (True, False, "auto"):
            raise UserError(f"{FIXED}={fixed_shapes}: write auto, true or false")
        self.policy, self.gather_weights, self.cast_once = policy, gather_weights, cast_once
        self.fixed_shapes = fixed_shapes
        self.version, self._open = 0, False
        self._told: set[str] = set()

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Note policy and version; `generate` reads the policy's own weights."""
        self.policy, self.version = policy, version

    def close(self) -> None:
        """Do nothing: between sessions the engine holds no memory of its own."""

    @contextmanager
    def session(self) -> Iterator[None]:
        """Gather sharded weights and cast wide ones, once for the block; a block inside another one does nothing."""
        if self._open:
            yield
            return
        self._open = True
        gathered = nullcontext() if self.gather_weights is None else self.gather_weights(self.policy)
        try:
            with gathered, self._copies():
                yield
        finally:
            self._open = False

    def _capture(self, sampling: Sampling) -> Capture | None:
        """Return the function that captures decoding steps of fixed shapes; None for ordinary steps.

        With fixed_shapes=true UserError where the model cannot have them; with "auto" one warning for each reason.
        """
        on_gpu = self.policy.device.type == "cuda"
        if not (on_gpu if self.fixed_shapes == "auto" else self.fixed_shapes):
            return None
        reason = why_not_fixed(self.policy, sampling, self.gather_weights is not None)
        if reason is None:
            return captured if on_gpu else called
        if self.fixed_shapes != "auto":
            raise UserError(f"{FIXED}=true: {reason}; write {FIXED}=auto")
        if reason not in self._told:
            log.warning("%s=auto: %s: each step of decoding is called kernel by kernel, which is slower", FIXED, reason)
            self._told.add(reason)
        return None

    def _copies(self) -> AbstractContextManager[None]:
        """Return the context in which linear layers read cast copies of their weights, if cast_once is set."""
        with self.policy.arithmetic():
            dtype = products_dtype(self.policy.device) if self.cast_once else None
        return cast_once(read_by_decoding(self.policy), dtype)

    @torch.no_grad()
    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses. Banned tokens (Processor.banned) are never drawn.

        UserError where the network's logits are not finite, and with fixed_shapes=true where the model cannot have
        fixed shapes.
        """
        buckets = length_buckets(prompts.valid.sum(1).tolist())
        with self.session():
            if len(buckets) == 1:
                whole = self._respond(prompts, count, sampling, seed)
            else:
                parts = [self._respond(prompts.take(bucket), count, sampling, seed) for bucket in buckets]
                whole = joined_buckets(self.policy.processor, prompts, parts, buckets)
        return replace(whole, policy_version=self.version)

    @torch.no_grad()
    def continue_prefixes(
        self, prefixes: Prepared, openings: Openings, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        """Return one response to each opening; the openings of a prefix share its prefill.

        Parameters and result as in `ral.rollout.engine.ContinuesPrefixes`. AssertionError for sampling with noise;
        UserError as in `generate`.
        """
        assert sampling.noise is None, "noise on attention is for whole prompts"
        group = len(openings.asked) // len(prefixes)
        uniform = None if sampling.greedy else uniforms(seeds, 1, sampling.max_new_tokens)
        with self.session():
            given, capture = openings.to(self.policy.device), self._capture(sampling)
            responses = decode(self.policy, prefixes, group, sampling, uniform, given, capture=capture)
        return replace(self._rollout(prefixes, responses, group), policy_version=self.version)

    def _respond(self, prepared: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return the rollout of prompts of similar length, decoded in one batch."""
        uids = [example.uid for example in prepared.prompts.examples]
        uniform = None if sampling.greedy else uniforms(prompt_seeds(uids, seed), count, sampling.max_new_tokens)
        noise = prompt_seeds(uids, hash_seed(seed, EXPLORING))
        explored = explore(self.policy, prepared, sampling.noise, noise, count) if sampling.noise else None
        capture = self._capture(sampling)
        responses = decode(self.policy, prepared, count, sampling, uniform, explored=explored, capture=capture)
        rollout = self._rollout(prepared, responses, count)
        return rollout if explored is None else replace(rollout, attention_rows=explored.rows(rollout.valid))

    def _rollout(self, prepared: Prepared, responses: Responses, count: int) -> Rollout:
        """Return decoded responses as a rollout, C cut to the longest of them."""
        length = int(responses.mask.sum(1).max())
        ids, mask = responses.ids[:, :length], responses.mask[:, :length]
        rollout = make_rollout(self.policy.processor, prepared, ids, mask, responses.finished, count)
        return replace(rollout, log_probs=responses.log_probs[:, :length])


def read_by_decoding(policy: MLLM) -> tuple[nn.Module, ...]:
    """Return the modules whose weights every decoding step reads: decoder and head."""
    return policy.network.model.language_model, policy.network.lm_head


def explore(policy: MLLM, prepared: Prepared, noise: Noise, seeds: Sequence[int], count: int) -> Exploration:
    """Return the noise on attention of a decoding batch. noise: its settings. prepared: the prompts of the batch.

    seeds: one for each prompt. count: number of responses to each prompt.
    """
    layers = noise.attention.resolve_layers(policy.depth)
    return Exploration(noise, layers, seeds, prepared.valid, prepared.visual, count, prepared.prompts.grids)


def decode(
    policy: MLLM,
    prepared: Prepared,
    count: int,
    sampling: Sampling,
    uniform: Tensor | None,
    openings: Openings | None = None,
    explored: Exploration | None = None,
    capture: Capture | None = None,
) -> Responses:
    """Decode `count` responses to each prompt, in one batch that finished responses leave.

    prepared: the prompts. uniform [N C]: random numbers in [0, 1) by which tokens are drawn; None for the likeliest
    tokens. openings: response prefixes; None where responses begin without one. explored: noise on the attention, and
    its record, which is filled here; None for no noise. capture: captures steps of fixed shapes; None for ordinary
    steps. UserError where the first logits are not finite.
    """
    processor, device, total = policy.processor, policy.device, count * len(prepared)
    uniform = None if uniform is None else uniform.to(device)
    banned, ends = processor.banned.to(device), torch.tensor(processor.end_ids, device=device)
    asked = openings.asked if openings else torch.ones(total, dtype=torch.bool, device=device)
    responses = Responses.empty(asked, sampling.max_new_tokens, processor.pad_id)
    slots = Slots(torch.arange(total, device=device).view(-1, count))
    hidden, state = policy.prefill(prepared, count, openings)
    state.explored = explored
    pick = partial(drawn, policy, sampling, banned)
    steps = steps_of(policy, state, pick, capture, sampling.max_new_tokens)
    with policy.arithmetic(), packed_weights(read_by_decoding(policy), total, sampling.max_new_tokens):
        found = pick(hidden, None if uniform is None else uniform[:, 0])
        check_numbers(found[1], processor.name)
        for step in range(sampling.max_new_tokens):
            responses.add(step, slots.grid.flatten(), *found, ends)
            kept = slots.leave(responses.running)
            stage.debug("token %d of at most %d, %d answers run", step + 1, sampling.max_new_tokens, slots.left)
            if step + 1 == sampling.max_new_tokens or slots.left == 0:
                break
            if kept is not None:
                steps.keep(*kept)
            rows = slots.grid.flatten()
            found = steps(responses.ids[rows, step], None if uniform is None else uniform[rows, step + 1])
    return responses


def check_numbers(log_probs: Tensor, name: str) -> None:
    """Raise UserError, naming the model, where the log-probs [N] of the first tokens are not finite."""
    if not bool(log_probs.isfinite().all()):
        raise UserError(
            f"model.pretrained={name}: the network's logits are not finite (NaN or infinity), so nothing can be "
            "sampled: its weights make numbers that overflow; take an earlier checkpoint, or a smaller learning rate "
            "where this run made them"
        )
