"""Client of vLLM servers: it spreads prompts over servers, sends weights to each, and waits for servers that are away.

A server is away while it does not answer, as during a restart.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ral.errors import UserWarned
from ral.rollout.vllm.wire import Message, packed
from ral.types import UserError

T = TypeVar("T")
OTHER_WEIGHTS = 409
"""HTTP status of a server that does not have the weights asked for, since it was started anew."""
PAUSE = 1.0
"""Seconds between two attempts to reach a server."""
ATTEMPTS = 4
"""Times that a question is asked of a server that holds other weights, which gets the newest ones after each."""


class OtherWeights(Exception):
    """Error of a request to a server that holds other weights than those that the request names."""


def request(url: str, path: str, data: Any, seconds: float) -> dict[str, Any]:
    """Send `data` to /ral/`path` of a server; return the JSON object of its reply.

    data: bytes, or the path of a file whose content is sent; None for a GET. seconds: time limit for a reply.
    OtherWeights where the server holds other weights; UserError where it refuses; OSError where it cannot be reached,
    or its reply is no JSON.
    """
    key = os.environ.get("VLLM_API_KEY")
    headers = {"Content-Type": "application/octet-stream"} | ({"Authorization": f"Bearer {key}"} if key else {})
    if isinstance(data, Path):
        headers["Content-Length"] = str(data.stat().st_size)
    asked = Request(f"{url.rstrip('/')}/ral/{path}", data.open("rb") if isinstance(data, Path) else data, headers)
    try:
        with urlopen(asked, timeout=seconds) as answer:
            return dict(json.loads(answer.read()))
    except HTTPError as error:
        with error:
            said = error.read().decode(errors="replace")
        if error.code == OTHER_WEIGHTS:
            raise OtherWeights from None
        raise UserError(refusal(url, error.code, said)) from None
    except (HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    finally:
        if isinstance(data, Path):
            asked.data.close()  # type: ignore[union-attr]


def refusal(url: str, code: int, said: str) -> str:
    """Return one line on why the server at `url` refused a request. code: HTTP status; said: body of the reply."""
    try:
        return f"rollout.urls: {url}: vLLM refused: {json.loads(said)['error']}"
    except (ValueError, KeyError, TypeError):
        return (
            f"rollout.urls: {url}: answers {code}, as no server started by scripts/serve_vllm.py does: start it by that"
        )


@dataclass(frozen=True)
class Pushed:
    """Files of one state of the weights, which servers are to load. tag: name of this state, sent with each question.

    files: safetensors files of all weights, or of the frozen weights alone where `adapters` are sent. adapters: files
    of the adapters; () where the files hold the adapters merged in. base: tag of the frozen weights, which do not
    change.
    """

    tag: str = ""
    files: Sequence[Path] = ()
    adapters: Sequence[Path] = ()
    base: str = ""


class Servers:
    """The servers that answer the prompts of one rank.

    rank: rank of this process, which decides the server that it asks first. timeout: seconds for one reply. patience:
    seconds to wait for a server that is away. pushed: the newest weights. A question names their tag: a server that
    holds other weights, since it was started again, gets these weights first.
    """

    def __init__(self, urls: Sequence[str], rank: int, timeout: float, patience: float) -> None:
        first = rank % len(urls)
        self.urls = [*urls[first:], *urls[:first]]
        self.timeout, self.patience = timeout, patience
        self.pushed = Pushed()

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return {url: facts about the server's model (ral.rollout.vllm.facts)}."""
        return dict(zip(self.urls, self.each(lambda url: request(url, "facts", None, self.timeout)), strict=True))

    def push(self, pushed: Pushed, sends: bool) -> None:
        """Keep `pushed` as the newest weights, and, where `sends` is True, send them to all servers.

        Frozen weights are not sent to a server that holds them already, only the adapters. UserError where a server
        refuses, or stays away for `patience` seconds.
        """
        self.pushed = pushed
        if sends:
            self.each(self.renew)

    def renew(self, url: str) -> None:
        """Send the newest weights to one server, the adapters alone where it holds the frozen weights."""
        if not self.pushed.adapters:
            self.give(url)
            return
        try:
            self.send(url, ())
        except OtherWeights:
            self.give(url)

    def give(self, url: str) -> None:
        """Send all of the newest weights to one server."""
        self.send(url, self.pushed.files)

    def send(self, url: str, files: Sequence[Path]) -> None:
        """Send `files` of weights, and the newest adapters, to one server, and have it load them.

        OtherWeights where `files` is empty and the server lacks the frozen weights that the adapters belong to.
        """
        for file in (*files, *self.pushed.adapters):
            request(url, f"bucket/{file.name}", file, self.timeout)
        kinds = {"files": files, "adapters": self.pushed.adapters}
        head = {kind: [file.name for file in own] for kind, own in kinds.items()}
        head |= {"weights": self.pushed.tag, "base": self.pushed.base}  # type: ignore[dict-item]
        request(url, "push", packed(Message(head)), self.timeout)

    def ask(self, message: Message) -> list[Any]:
        """Return the responses to the prompts of a question, in the order of the prompts.

        The prompts are spread over the servers. UserError where a server refuses, or stays away for `patience` seconds.
        """
        count, urls = len(message.head["prompts"]), self.urls[: max(len(message.head["prompts"]), 1)]
        shares = {url: list(range(n, count, len(urls))) for n, url in enumerate(urls)}
        found: dict[int, Any] = {}
        for url, answers in zip(urls, self.each(lambda url: self.share(url, message, shares[url]), urls), strict=True):
            found |= dict(zip(shares[url], answers, strict=True))
        return [found[n] for n in range(count)]

    def share(self, url: str, message: Message, chosen: Sequence[int]) -> list[Any]:
        """Return one server's responses to the prompts with the indices `chosen`.

        A server that holds other weights gets the newest weights and is asked again. UserError where it holds other
        weights at ATTEMPTS attempts.
        """
        data = packed(part(message, chosen, self.pushed.tag))
        for _ in range(ATTEMPTS):
            try:
                return list(request(url, "ask", data, self.timeout)["answers"])
            except OtherWeights:
                self.give(url)
        raise UserError(
            f"rollout.urls: {url} held other weights {ATTEMPTS} times, each time after it had got this run's: another"
            " training sends weights to it; give each its own servers"
        )

    def each(self, call: Callable[[str], T], urls: Sequence[str] = ()) -> list[T]:
        """Call a function for each of several urls, in parallel; return the results in the order of the urls.

        urls: () for all servers. UserError where a server stays away for `patience` seconds.
        """
        chosen = urls or self.urls
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(lambda url: self.patiently(call, url), chosen))

    def patiently(self, call: Callable[[str], T], url: str) -> T:
        """Call a function of one url again until the server replies; warn once that the server is away.

        UserError after `patience` seconds.
        """
        began, told = time.monotonic(), False
        while True:
            try:
                return call(url)
            except OSError as error:
                reason = getattr(error, "reason", None) or error
            if time.monotonic() - began >= self.patience:
                raise UserError(
                    f"rollout.urls: {url} does not answer ({reason}) and did not come back within {self.patience:g} s:"
                    " start it again, then write resume=auto"
                )
            if not told:
                warnings.warn(
                    f"rollout.urls: {url} does not answer ({reason}): waiting for it", UserWarned, stacklevel=2
                )
            told = True
            time.sleep(min(PAUSE, self.patience))

    def close(self) -> None:
        """Do nothing: servers keep running after the trainer."""


def part(message: Message, chosen: Sequence[int], tag: str) -> Message:
    """Return the question with only the prompts whose indices are in `chosen`, for the weights called `tag`."""
    prompts = [message.head["prompts"][n] for n in chosen]
    tensors: Mapping[str, Any] = {
        f"{new}.{name}": message.tensors[f"{old}.{name}"]
        for new, (old, prompt) in enumerate(zip(chosen, prompts, strict=True))
        for name in prompt["media"]
    }
    return Message({**message.head, "prompts": prompts, "weights": tag}, dict(tensors))
