"""The interface of a rollout engine, which may sample from the policy itself, ask another process, or read a file.

An engine is made with the policy (`engine(policy)`, the rest of its keywords from conf/rollout), is told of every
change of the weights (`update_weights`), and returns responses with the version of the weights that sampled them.
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
    """Settings of sampling.

    temperature: divisor of the logits, > 0; training log-probs use the same. max_new_tokens: length limit C; a response
    that the limit ends is not `finished`. greedy: whether the likeliest token is always taken. noise: noise on the
    attention of response tokens, which the rollout then records (Rollout.attention_rows); None for no noise.
    """

    temperature: float = 0.9
    max_new_tokens: int = 768
    greedy: bool = False
    noise: Noise | None = None


@dataclass(frozen=True)
class AnswerKey:
    """Key of the responses to one prompt: an engine gives equal responses to equal keys.

    version: version of the weights. seed, sampling: as in `Engine.generate`. count: number of responses to the prompt.
    uid: uid of the prompt's example. occurrence: number of prompts with the same uid before this one in the batch, so
    that such prompts get different random numbers. Evaluations before and after training differ in version alone.
    """

    version: int
    seed: int
    sampling: Sampling
    count: int
    uid: str
    occurrence: int


def answer_keys(prompts: Prepared, count: int, sampling: Sampling, seed: int, version: int) -> list[AnswerKey]:
    """Return the key of each of the B prompts of one call of Engine.generate. version: version of the engine's weights.

    count, sampling, seed: as in Engine.generate.
    """
    uids = [example.uid for example in prompts.prompts.examples]
    return [AnswerKey(version, seed, sampling, count, u, n) for u, n in zip(uids, occurrences(uids), strict=True)]


class Engine(Protocol):
    """Interface of a rollout engine: it samples responses with the weights of the last `update_weights`.

    version: version of these weights, noted in every rollout. max_lag: number of versions by which a rollout's weights
    may be behind the policy's; 0 for an engine that always samples with the newest weights, math.inf for responses of
    unknown origin.
    """

    version: int
    max_lag: float

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses, those to one prompt next to each other.

        prompts: B prompts with their visual embeddings. `prompts.prompts` holds the pixels, except for prompts that
        continue trajectories (ral.rollout.turns.continued). count: G, number of responses to each prompt. sampling: how
        tokens are drawn. seed: fixes the draw. In the result ids are exactly as sampled, and log_probs [N C] fp32 are
        the engine's, None where it has none. The responses to a prompt are a function of its `AnswerKey`, not of the
        rest of the batch. UserError where the engine cannot sample as asked, such as with noise.

        An engine in another process sends `ral.rollout.requests.requests(prompts)`: for each prompt ids with one
        placeholder for each image or video, and the embeddings of these.
        """
        ...

    def session(self) -> AbstractContextManager[None]:
        """Keep whole weights ready inside the block.

        All ranks enter the block at the same time; inside, each may call `generate` any number of times. A call of
        `generate` outside any block opens its own block, so that all ranks have to make this call.
        """
        ...

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Take over the policy's current weights and note their version. All ranks call it at the same time.

        The first call comes before the first `generate`, with version 0, or in a resumed run with the version of the
        checkpoint, since each process makes a new engine.
        """
        ...

    def close(self) -> None:
        """Release the engine's memory, processes and files. Called once, after the last `generate`."""
        ...


@runtime_checkable
class ContinuesPrefixes(Protocol):
    """Interface of an engine that can prefill a shared prefix of several prompts once; optional beside `Engine`."""

    def continue_prefixes(
        self, prefixes: Prepared, openings: Openings, sampling: Sampling, seeds: Sequence[int]
    ) -> Rollout:
        """Return one response to each of N prompts, each made of a prefix and an opening.

        prefixes: B shared beginnings of prompts. openings: the rest of each prompt, N / B to each prefix. seeds [N]:
        one for each response. Responses where openings.asked is False are empty and not finished.
        """
        ...


MEMBERS = ("generate", "session", "update_weights", "close", "version", "max_lag")
"""Names of the methods and attributes of an `Engine`."""


def open_engine(make: Callable[[MLLM], Any], policy: MLLM) -> Engine:
    """Make an engine for a policy by `make`, the callable of rollout.engine.

    UserError where the engine lacks a method or attribute of `Engine`.
    """
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
    """Raise UserError where responses are of weights more than max_lag versions old, or of a later version.

    version: version of the policy's weights. max_lag: as in `Engine`. Responses without a version, such as those of the
    dataset, pass.
    """
    sampled = rollout.policy_version
    if sampled is None or 0 <= version - sampled <= max_lag:
        return
    raise UserError(
        f"rollout.engine: responses are of policy version {sampled} while the policy is at version {version}, and the"
        f" engine may lag behind by {max_lag:g}: it missed an update of the weights; write rollout=native, which cannot"
    )
