"""The interface of a rollout engine, whoever computes the answer: the policy itself, another process, a file.

An engine is made with the policy (`engine(policy)`, the rest of its keywords from conf/rollout), is told of every
change of the weights (`update_weights`), and hands back responses with the version of the weights that sampled them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from ral.models.mllm import MLLM
from ral.models.states import Openings
from ral.rollout.noise import Noise
from ral.rollout.seeds import occurrences
from ral.types import Prepared, Rollout, UserError


@dataclass(frozen=True)
class Sampling:
    """The numbers of the sampling.

    temperature: of the sampling distribution, > 0; training log-probs use the same. max_new_tokens: length limit C; a
    response cut by it is not `finished`. greedy: the likeliest token every time. noise: on the attention of response
    tokens; the rollout then holds the attention that it led to.
    """

    temperature: float = 0.9
    max_new_tokens: int = 768
    greedy: bool = False
    noise: Noise | None = None


@dataclass(frozen=True)
class AnswerKey:
    """Key of the answers to one prompt: equal keys have equal answers.

    version: of the weights. occurrence: how many prompts before this one in the batch have its uid; they have other
    draws. A held-out prompt is asked before and after training with the same key but for the version.
    """

    version: int
    seed: int
    sampling: Sampling
    count: int
    uid: str
    occurrence: int


def answer_keys(prompts: Prepared, count: int, sampling: Sampling, seed: int, version: int) -> list[AnswerKey]:
    """Return the key of each prompt [B] of a question to an engine; version: the engine's."""
    uids = [example.uid for example in prompts.prompts.examples]
    return [AnswerKey(version, seed, sampling, count, u, n) for u, n in zip(uids, occurrences(uids), strict=True)]


class Engine(Protocol):
    """Sampler of responses with the weights of the last `update_weights`.

    version: of these weights, noted in every rollout. max_lag: how many versions a rollout's weights may be behind the
    policy's; 0 for an engine that always samples with the newest, math.inf for responses of unknown origin.
    """

    version: int
    max_lag: float

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses, the ones to each prompt next to each other.

        Ids are those that were sampled; log_probs [N C] in fp32 are the engine's, None where it has none. The answers
        to a prompt are a function of its `AnswerKey`, not of the rest of the batch. UserError where the engine cannot
        sample as asked (noise, say). `prompts` holds visual embeddings, `prompts.prompts` the pixels, but not those of
        prompts that continue trajectories (ral.rollout.turns.continued). An engine in another process asks
        `ral.rollout.requests.requests(prompts)`: ids with one placeholder a medium, and embeddings of each medium.
        """
        ...

    def session(self) -> AbstractContextManager[None]:
        """Keep the weights at hand inside the block.

        All ranks enter it together; inside, each may ask as often as it likes. A call outside any block opens its own,
        so that all ranks have to make it together.
        """
        ...

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Sample with the policy's weights of now from here on, and note their version. All ranks call it together.

        The first call comes before the first question: with version 0, or where a run is resumed with that of its
        checkpoint, for each process makes its engine anew.
        """
        ...

    def close(self) -> None:
        """Release what the engine holds: memory, processes, files. Called once, after the last question."""
        ...


@runtime_checkable
class ContinuesPrefixes(Protocol):
    """Engine that, beside `Engine`, makes one prefill for prompts that begin alike; an offer that it need not make."""

    def continue_prefixes(
        self, prefixes: Prepared, openings: Openings, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        """Return one response to each opening [N] of the B prefixes, equally many openings to each.

        seeds [N]: one a response. Rows of fillers (openings.asked False) are empty and not finished.
        """
        ...


MEMBERS = ("generate", "session", "update_weights", "close", "version", "max_lag")
"""Names that an `Engine` has."""


def open_engine(make: Callable[[MLLM], Any], policy: MLLM) -> Engine:
    """Return the engine that rollout.engine makes for a policy. UserError where it lacks a part of `Engine`."""
    engine = make(policy)
    lacking = [name for name in MEMBERS if not hasattr(engine, name)]
    if lacking:
        kind = type(engine)
        raise UserError(
            f"rollout.engine: {kind.__module__}.{kind.__qualname__} lacks {', '.join(lacking)}: write them as"
            " ral.rollout.engine.Engine has them (docs/architecture.md, A rollout engine)"
        )
    return cast(Engine, engine)


def check_version(rollout: Rollout, version: int, max_lag: float) -> None:
    """Raise UserError where responses are of older weights than the engine may lag behind, or of weights to come.

    version: of the policy; max_lag: the engine's. Given responses have no version and pass.
    """
    sampled = rollout.policy_version
    if sampled is None or 0 <= version - sampled <= max_lag:
        return
    raise UserError(
        f"rollout.engine: responses are of policy version {sampled} while the policy is at version {version}, and the"
        f" engine may lag behind by {max_lag:g}: it missed an update of the weights; write rollout=native, which cannot"
    )
