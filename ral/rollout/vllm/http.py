"""vLLM servers as whoever answers: prompts spread over several, weights sent to each, waits and errors in one line."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
"""HTTP's number for a server that has not the weights asked for: it was started anew."""
PAUSE = 1.0
"""Seconds between two attempts at a server that does not answer."""


class OtherWeights(Exception):
    """The server has not the weights asked for."""


def request(url: str, path: str, data: Any, seconds: float) -> dict[str, Any]:
    """Return a server's answer. OtherWeights; UserError for what it refuses; OSError where it cannot be reached."""
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
    """Return why a server refused a request, in one line."""
    try:
        return f"rollout.urls: {url}: vLLM refused: {json.loads(said)['error']}"
    except (ValueError, KeyError, TypeError):
        return (
            f"rollout.urls: {url}: answers {code}, as no server started by scripts/serve_vllm.py does: start it by that"
        )


class Servers:
    """Servers that have the policy's weights. timeout: seconds for one answer; patience: for a server to come back.

    tag: of the weights pushed last, sent with each question; a server started anew has others and gets these files.
    """

    def __init__(self, urls: Sequence[str], rank: int, timeout: float, patience: float) -> None:
        first = rank % len(urls)
        self.urls = [*urls[first:], *urls[:first]]
        self.timeout, self.patience = timeout, patience
        self.files: Sequence[Path] = ()
        self.tag = ""

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return the facts of each server."""
        return dict(zip(self.urls, self.each(lambda url: request(url, "facts", None, self.timeout)), strict=True))

    def push(self, files: Sequence[Path], tag: str, sends: bool) -> None:
        """Write weights to every server and make it load them. sends: whether this rank does."""
        self.files, self.tag = files, tag
        if sends:
            self.each(self.give)

    def give(self, url: str) -> None:
        """Write the weights to one server."""
        for file in self.files:
            request(url, f"bucket/{file.name}", file, self.timeout)
        head = {"weights": self.tag, "files": [file.name for file in self.files]}
        request(url, "push", packed(Message(head)), self.timeout)

    def ask(self, message: Message) -> list[Any]:
        """Return the answers to a question, each server asked for its share of the prompts."""
        count, urls = len(message.head["prompts"]), self.urls[: max(len(message.head["prompts"]), 1)]
        shares = {url: list(range(n, count, len(urls))) for n, url in enumerate(urls)}
        found: dict[int, Any] = {}
        for url, answers in zip(urls, self.each(lambda url: self.share(url, message, shares[url]), urls), strict=True):
            found |= dict(zip(shares[url], answers, strict=True))
        return [found[n] for n in range(count)]

    def share(self, url: str, message: Message, chosen: Sequence[int]) -> list[Any]:
        """Return one server's answers to some of the prompts; one that was started anew gets the weights first."""
        data = packed(part(message, chosen, self.tag))
        try:
            return list(request(url, "ask", data, self.timeout)["answers"])
        except OtherWeights:
            self.give(url)
            return list(request(url, "ask", data, self.timeout)["answers"])

    def each(self, call: Callable[[str], T], urls: Sequence[str] = ()) -> list[T]:
        """Call for several servers at a time, all of them unless some are named."""
        chosen = urls or self.urls
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(lambda url: self.patiently(call, url), chosen))

    def patiently(self, call: Callable[[str], T], url: str) -> T:
        """Call until a server answers, and say once that it does not. UserError where patience ends."""
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
        """Keep the servers as they are."""


def part(message: Message, chosen: Sequence[int], tag: str) -> Message:
    """Return a question about some of the prompts, to be answered by the weights of a tag."""
    prompts = [message.head["prompts"][n] for n in chosen]
    tensors: Mapping[str, Any] = {
        f"{new}.{name}": message.tensors[f"{old}.{name}"]
        for new, (old, prompt) in enumerate(zip(chosen, prompts, strict=True))
        for name in prompt["media"]
    }
    return Message({**message.head, "prompts": prompts, "weights": tag}, dict(tensors))
