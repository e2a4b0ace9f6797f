"""Client of vLLM servers: spreads prompts over them, sends weights to each, waits for those that do not answer."""

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


class OtherWeights(Exception):
    """Error of a request to a server that does not have the weights asked for."""


def request(url: str, path: str, data: Any, seconds: float) -> dict[str, Any]:
    """Send `data` (bytes, a file's path, or None for a GET) to /ral/`path`; return the JSON of the answer.

    seconds: time limit. OtherWeights where the server has other weights; UserError where it refuses; OSError where it
    cannot be reached.
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
    """Return a message of one line on why a server refused a request. code: HTTP status; said: body of the answer."""
    try:
        return f"rollout.urls: {url}: vLLM refused: {json.loads(said)['error']}"
    except (ValueError, KeyError, TypeError):
        return (
            f"rollout.urls: {url}: answers {code}, as no server started by scripts/serve_vllm.py does: start it by that"
        )


@dataclass(frozen=True)
class Pushed:
    """Weights for servers. tag: theirs; files: of all weights, or with adapters of the frozen ones, whose tag is base.

    adapters: files of adapters that are sent alone; () where they are in the weights.
    """

    tag: str = ""
    files: Sequence[Path] = ()
    adapters: Sequence[Path] = ()
    base: str = ""


class Servers:
    """Servers that have the policy's weights. timeout: seconds for an answer; patience: seconds to wait for a server.

    rank: of this process, which decides the server it asks first. pushed: the weights sent last; their tag is sent with
    each question, and a server started anew, which has another one, gets the weights again.
    """

    def __init__(self, urls: Sequence[str], rank: int, timeout: float, patience: float) -> None:
        first = rank % len(urls)
        self.urls = [*urls[first:], *urls[:first]]
        self.timeout, self.patience = timeout, patience
        self.pushed = Pushed()

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return the facts (ral.rollout.vllm.facts) of each server, by url."""
        return dict(zip(self.urls, self.each(lambda url: request(url, "facts", None, self.timeout)), strict=True))

    def push(self, pushed: Pushed, sends: bool) -> None:
        """Note new weights; where `sends` is True, send them to every server, which loads them.

        A server that has the frozen weights gets the adapters alone.
        """
        self.pushed = pushed
        if sends:
            self.each(self.renew)

    def renew(self, url: str) -> None:
        """Send one server the noted adapters, or the noted weights where there are none or it has other ones."""
        if not self.pushed.adapters:
            self.give(url)
            return
        try:
            self.send(url, ())
        except OtherWeights:
            self.give(url)

    def give(self, url: str) -> None:
        """Send the noted weights to one server and let it load them."""
        self.send(url, self.pushed.files)

    def send(self, url: str, files: Sequence[Path]) -> None:
        """Send files of weights, and the noted adapters, and let the server load them.

        OtherWeights where it lacks the frozen weights of these adapters and `files` is empty.
        """
        for file in (*files, *self.pushed.adapters):
            request(url, f"bucket/{file.name}", file, self.timeout)
        kinds = {"files": files, "adapters": self.pushed.adapters}
        head = {kind: [file.name for file in own] for kind, own in kinds.items()}
        head |= {"weights": self.pushed.tag, "base": self.pushed.base}  # type: ignore[dict-item]
        request(url, "push", packed(Message(head)), self.timeout)

    def ask(self, message: Message) -> list[Any]:
        """Return the answers to a question's prompts, in their order; each server gets a share of the prompts."""
        count, urls = len(message.head["prompts"]), self.urls[: max(len(message.head["prompts"]), 1)]
        shares = {url: list(range(n, count, len(urls))) for n, url in enumerate(urls)}
        found: dict[int, Any] = {}
        for url, answers in zip(urls, self.each(lambda url: self.share(url, message, shares[url]), urls), strict=True):
            found |= dict(zip(shares[url], answers, strict=True))
        return [found[n] for n in range(count)]

    def share(self, url: str, message: Message, chosen: Sequence[int]) -> list[Any]:
        """Return one server's answers to the prompts `chosen`; sends it the weights first if it was started anew."""
        data = packed(part(message, chosen, self.pushed.tag))
        try:
            return list(request(url, "ask", data, self.timeout)["answers"])
        except OtherWeights:
            self.give(url)
            return list(request(url, "ask", data, self.timeout)["answers"])

    def each(self, call: Callable[[str], T], urls: Sequence[str] = ()) -> list[T]:
        """Call a function of an url for several servers in parallel; return its results. urls: () for all servers."""
        chosen = urls or self.urls
        with ThreadPoolExecutor(len(chosen)) as pool:
            return list(pool.map(lambda url: self.patiently(call, url), chosen))

    def patiently(self, call: Callable[[str], T], url: str) -> T:
        """Call until a server answers, with one warning that it does not. UserError after `patience` seconds."""
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
        """Do nothing: the servers go on."""


def part(message: Message, chosen: Sequence[int], tag: str) -> Message:
    """Return a question about the prompts `chosen` of a message, for the weights of a tag."""
    prompts = [message.head["prompts"][n] for n in chosen]
    tensors: Mapping[str, Any] = {
        f"{new}.{name}": message.tensors[f"{old}.{name}"]
        for new, (old, prompt) in enumerate(zip(chosen, prompts, strict=True))
        for name in prompt["media"]
    }
    return Message({**message.head, "prompts": prompts, "weights": tag}, dict(tensors))
