"""Parts of a reward for tests of scoring in other processes, which import this file and nothing heavy with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def length(example: object, text: str, **_: object) -> float:
    """The characters of a text."""
    return float(len(text))


def share(example: object, text: str) -> float:
    """The share of the letter a, after a word on stdout, which is nobody's answer."""
    print("scored")
    return text.count("a") / max(len(text), 1)


def fails_on(example: object, text: str, *, words: Sequence[str]) -> float:
    """1, but an error for some texts."""
    if text in words:
        raise RuntimeError(f"no score for {text}")
    return 1.0


def waits_for(example: object, text: str, *, file: str) -> float:
    """1 once there is a file, after writing another that says so; an error where there is none for 30 seconds."""
    Path(f"{file}.awaited").touch()
    for _ in range(300):
        if Path(file).exists():
            return 1.0
        time.sleep(0.1)
    raise RuntimeError("nobody wrote the file")


def is_killed(example: object, text: str) -> float:
    """End as a process does that has taken too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def raises_in_a_run(example: object, text: str, *, rules: str) -> float:
    """An error for every response."""
    raise RuntimeError("no score")


class Many:
    """A part that is asked once for all responses: their places."""

    def score_many(self, examples: Sequence[object], texts: Sequence[str]) -> list[float]:
        """Return the place of each text."""
        return [float(n) for n in range(len(texts))]


class OfRollouts:
    """A part that reads rollouts, in the run's own process."""

    def __init__(self) -> None:
        self.processes: list[int] = []

    def score_rollout(self, rollout: object) -> list[float]:
        """Return the length of each text, doubled."""
        self.processes.append(os.getpid())
        return [2.0 * len(text) for text in rollout.texts]  # type: ignore[attr-defined]


def main() -> None:
    """Start two processes that score, begin, tell their ids, and wait: whoever reads them ends this process."""
    from functools import partial
    from types import SimpleNamespace

    from ral.rewards.combine import Part, Reward
    from ral.rewards.workers import RewardBeside
    from ral.types import Example

    reward = Reward({"waits": Part(partial(waits_for, file=sys.argv[1]), 1.0)})
    beside = RewardBeside(reward, 2)
    examples = (Example("0", "q", "a", "free-form"),)
    beside.begin(SimpleNamespace(prompts=SimpleNamespace(examples=examples), texts=("a", "b"), group_size=2))  # type: ignore[arg-type]
    print(*[worker.process.pid for worker in beside.workers], flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main()
