"""A reward from a judge: a language model behind an OpenAI-compatible chat endpoint reads question, gold and response.

The endpoint's interface: https://platform.openai.com/docs/api-reference/chat (vLLM, SGLang, llama.cpp offer the same).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, StrictUndefined, Template, TemplateError

from ral.rewards.answers import extract_answer
from ral.rewards.chat import ChatError, ask
from ral.types import Example, UserError

TEMPLATE = Path(__file__).parent / "templates" / "judge.j2"
LONGEST_SHOWN = 120  # characters of a reply in a message

_SCORE = re.compile(r"^[ \t*]*score[ \t*]*[:：=][ \t*]*(\d+(?:\.\d*)?|\.\d+)[ \t*.]*$", re.IGNORECASE | re.MULTILINE)
_BARE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*")


def read_score(reply: str) -> float:
    """Return the score in [0, 1] of a judge's reply: its last line "score: 0.5", or a reply that is a mere number.

    Raise ChatError where there is none: "8/10", "80%" and "-1" are no scores.
    """
    found = _SCORE.findall(reply) or [match[1] for match in [_BARE.fullmatch(reply)] if match]
    if not found or not 0 <= float(found[-1]) <= 1:
        raise ChatError(f'its reply has no line "score: X" with X from 0 to 1 but says {_short(reply)}')
    return float(found[-1])


@dataclass(frozen=True)
class Requests:
    """Timeouts, retries and concurrency of the requests to an endpoint. UserError for a value out of range.

    timeout_s: seconds for one request. retries: further requests after one that failed, the first after backoff_s
    seconds, then twice as long each time. max_concurrency: requests at once, in each process of the run.
    """

    timeout_s: float = 60.0
    retries: int = 4
    backoff_s: float = 1.0
    max_concurrency: int = 8

    def __post_init__(self) -> None:
        if self.timeout_s <= 0 or self.backoff_s < 0 or self.retries < 0 or self.max_concurrency < 1:
            raise UserError(
                "judge: write timeout_s above 0, backoff_s and retries at least 0, max_concurrency at least 1"
            )


class Judge:
    """A part of a reward: the score in [0, 1] that a chat endpoint gives to a response.

    url, model: the endpoint ("http://host:8000/v1/chat/completions") and the name it knows the model by.
    api_key_variable: environment variable that holds the key; None where the endpoint wants none.
    template: a .j2 file that may use question, options, problem_type, gold, response, and answer, the text in the
    response's answer tags or ""; None for templates/judge.j2. requests: timeouts, retries and how many at once.
    options: further fields of the request, such as temperature and max_tokens; None for none.
    UserError where the url is no http address, the template cannot be read, or the key is not set.
    Retried are: no connection, timeouts, statuses 408, 425, 429 and 5xx, replies without a score. After the last retry,
    and at once for any other status, UserError names the entry and the cause. The key is in no message.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        api_key_variable: str | None = None,
        template: str | None = None,
        requests: Requests = Requests(),  # frozen
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise UserError("judge: url is no address; write one such as http://localhost:8000/v1/chat/completions")
        self.url, self.model, self.options = url, model, dict(options or {})
        self.key_variable = api_key_variable
        self.file = Path(template) if template else TEMPLATE
        self.template = _load(self.file)
        self.requests = requests
        self._key()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the template out, which another process reads from its file."""
        return {name: value for name, value in vars(self).items() if name != "template"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read the template again."""
        vars(self).update(state)
        self.template = _load(self.file)

    def __call__(self, example: Example, response: str) -> float:
        """Return the score of one response."""
        return self.score_many([example], [response])[0]

    def score_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[float]:
        """Return the scores of texts[n] as a response to examples[n]. The first failure ends all of them: UserError."""
        stop = threading.Event()
        with ThreadPoolExecutor(self.requests.max_concurrency) as pool:
            asked = [pool.submit(self._score, e, t, stop) for e, t in zip(examples, texts, strict=True)]
            try:
                failed = [f for f in wait(asked, return_when=FIRST_EXCEPTION).done if f.exception() is not None]
                return [future.result() for future in failed[:1] or asked]
            finally:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _score(self, example: Example, response: str, stop: threading.Event) -> float:
        """Return one score, with retries; `stop` ends the waiting between them."""
        body = {"model": self.model, "messages": [{"role": "user", "content": self._prompt(example, response)}]}
        for number in range(self.requests.retries + 1):
            try:
                return read_score(
                    ask(self.url, self.options | body, key=self._key(), timeout_s=self.requests.timeout_s)
                )
            except ChatError as error:
                last = error
            pause = max(self.requests.backoff_s * 2**number, min(last.retry_after_s, self.requests.timeout_s))
            if not last.again or number == self.requests.retries or stop.wait(pause):
                break
        raise UserError(
            f"judge {_place(self.url)}: no score for {example.source or f'entry {example.uid}'} after {number + 1} "
            f"tries: {last}; check url, model and timeout_s of the judge in the reward's yaml"
        ) from None

    def _prompt(self, example: Example, response: str) -> str:
        try:
            return self.template.render(
                question=example.question,
                options=list(example.options),
                problem_type=example.problem_type,
                gold=example.answer,
                response=response,
                answer=extract_answer(response) or "",
            )
        except TemplateError as error:
            known = "question, options, problem_type, gold, response and answer"
            raise UserError(f"judge: template: {error}; it may use {known}") from error

    def _key(self) -> str | None:
        """Return the key, read when needed and kept nowhere."""
        if self.key_variable is None:
            return None
        key = os.environ.get(self.key_variable, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            problem = "holds no usable key" if key else "is not set"
            raise UserError(f"judge: the environment variable {self.key_variable} {problem}; export it, or write null")
        return key


def _load(path: Path) -> Template:
    """Return a template from its file; UserError where there is none or it is not Jinja."""
    if not path.is_file():
        raise UserError(f"judge: template {path}: no such file; write the path of a .j2 file, or null")
    try:
        text = path.read_text(encoding="utf-8")
        return Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(text)
    except (TemplateError, UnicodeError) as error:
        raise UserError(f"judge: template {path}: {error}; mend it") from error


def _place(url: str) -> str:
    """Return an address without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}...")
