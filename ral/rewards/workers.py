"""Reward workers: processes that score responses while the run computes what needs no rewards.

Threads would not do: most rules are Python code that holds the interpreter's lock, and each operation of a forward pass
would wait for it. The processes are started by their command line, ignore Ctrl-C, and end when their input closes,
however the run ended.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from ral.files import piped
from ral.rewards.combine import Reward, pairs_of, values_of
from ral.types import Example, Rollout, Scores, UserError

COMMAND = piped.calling("ral.rewards.workers.main")
KEY = "hardware.reward_workers"


@dataclass(frozen=True)
class Job:
    """Responses for one part of the reward to score: texts[n] is a response to examples[n]."""

    part: str
    examples: Sequence[Example]
    texts: Sequence[str]


Answer = list[float] | str
"""Values of a job, one a response, or the message of its UserError."""


class Worker:
    """A process, started here, that scores the jobs it is sent, in order.

    functions: {part of the reward: its function}, sent first. UserError where the process has ended.
    """

    def __init__(self, functions: Mapping[str, Callable[..., float]]) -> None:
        self.process = piped.start(COMMAND)
        self.end = weakref.finalize(self, piped.kill, self.process)
        self.send(functions)

    def send(self, value: object) -> None:
        """Send a picklable value: the functions first, then lists of jobs. UserError where the process has ended."""
        assert self.process.stdin is not None
        try:
            pickle.dump(value, self.process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self.process.stdin.flush()
        except OSError:
            raise self.gone() from None

    def receive(self) -> list[Answer]:
        """Wait for the answers to the jobs that were sent last. UserError where the process has ended."""
        assert self.process.stdout is not None
        try:
            answers: list[Answer] = pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self.gone() from None
        return answers

    def gone(self) -> UserError:
        """Return the error for a process that has ended by itself."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(piped.END_S)
        code = self.process.poll()
        why = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        return UserError(
            f"{KEY}: a process that scores responses ended {why} (its last words are above); where memory was short, "
            f"write fewer; {KEY}=0 scores them in the run's own process"
        )


class RewardBeside:
    """A reward whose parts are scored by `count` worker processes, with the values and errors of the reward itself.

    Parts that read texts are scored by the workers: responses to be scored one by one are dealt out over all workers, a
    part that is called once for all responses (score_many) is scored by the last one. Parts that read rollouts
    (score_rollout) are scored in the run's own process, when the scores are asked for. A function that keeps state has
    its own state in each process.
    """

    def __init__(self, reward: Reward, count: int) -> None:
        """Start the processes. UserError for a part that cannot be sent to one."""
        self.reward = reward
        self.away = {n: p.function for n, p in reward.parts.items() if not hasattr(p.function, "score_rollout")}
        for name, function in self.away.items():
            check_sent(name, function)
        self.workers = [Worker(self.away) for _ in range(count)] if self.away else []

    def __call__(self, rollout: Rollout) -> Scores:
        """Return the scores of the N responses of a rollout, as `Reward.__call__` does."""
        return self.begin(rollout)()

    def begin(self, rollout: Rollout) -> Callable[[], Scores]:
        """Send the responses to the workers; return a function that waits for their scores.

        A UserError on the way is raised by the returned function.
        """
        try:
            examples = pairs_of(rollout)
            dealt = [self.jobs(examples, rollout.texts, n) for n in range(len(self.workers))]
            for worker, jobs in zip(self.workers, dealt, strict=True):
                worker.send(jobs)
        except UserError as error:  # told where all ranks hear of it
            return partial(failed, error)
        return partial(self.scores, dealt, examples, rollout)

    def jobs(self, examples: Sequence[Example], texts: Sequence[str], number: int) -> list[Job]:
        """Return the jobs of worker `number`: its share of the responses; for the last also all of score_many parts."""
        size = -(-len(texts) // len(self.workers))
        own, last = slice(number * size, (number + 1) * size), number == len(self.workers) - 1
        many = [name for name, function in self.away.items() if hasattr(function, "score_many")]
        one_by_one = [Job(n, examples[own], texts[own]) for n in self.away if n not in many]
        return one_by_one + [Job(n, examples, texts) for n in many if last]

    def scores(self, dealt: Sequence[Sequence[Job]], examples: Sequence[Example], rollout: Rollout) -> Scores:
        """Wait for the workers; return the scores. UserError: the first that the reward itself would have raised.

        dealt: the jobs that each worker was sent. examples: the example of each response.
        """
        answers = [worker.receive() for worker in self.workers]
        values: dict[str, list[float]] = {}
        for name, part in self.reward.parts.items():
            if name not in self.away:
                values[name] = values_of(name, part.function, examples, rollout.texts, rollout)
                continue
            pairs = zip(dealt, answers, strict=True)
            found = [a for jobs, each in pairs for job, a in zip(jobs, each, strict=True) if job.part == name]
            values[name] = [value for answer in found for value in checked(answer)]
        return self.reward.weighted(values)

    def close(self) -> None:
        """End the worker processes."""
        for worker in self.workers:
            worker.end()


def check_sent(name: str, function: Callable[..., float]) -> None:
    """Raise UserError for a function that cannot be sent to another process."""
    try:
        pickle.dumps(function)
    except Exception as error:  # whatever pickle meets inside it
        raise UserError(
            f"{KEY}: reward.parts.{name} cannot be sent to another process ({type(error).__name__}: {error}): write "
            f"{KEY}=0"
        ) from error


def failed(error: UserError) -> Scores:
    """Raise `error`. `begin` returns this function in place of scores, so that all ranks get the error when asking."""
    raise error


def checked(answer: Answer) -> list[float]:
    """Return the values of an answer. UserError where it is an error message."""
    if isinstance(answer, str):
        raise UserError(answer)
    return answer


def answer_to(job: Job, functions: Mapping[str, Callable[..., float]]) -> Answer:
    """Return the values of a job, or the message of its UserError."""
    try:
        return values_of(job.part, functions[job.part], job.examples, job.texts, None)
    except UserError as error:
        return str(error)


def main() -> None:
    """Run a worker: read the functions of the parts, then lists of jobs, from stdin until it closes; write answers."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # the run decides when to end, and closes stdin
        signal.signal(ignored, signal.SIG_IGN)
    answers, requests = os.fdopen(os.dup(1), "wb"), sys.stdin.buffer
    os.dup2(2, 1)  # what a function prints must not get between the answers
    with suppress(EOFError, BrokenPipeError):  # the run has ended
        functions: Mapping[str, Any] = pickle.load(requests)
        while True:
            jobs: list[Job] = pickle.load(requests)
            pickle.dump([answer_to(job, functions) for job in jobs], answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()
