"""One request to an OpenAI-compatible chat endpoint, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

LONGEST_REPLY = 4_000_000  # bytes
LONGEST_SHOWN = 200  # characters of a server's own words in a message
WORTH_ANOTHER_TRY = frozenset({408, 425, 429, *range(500, 600)})
"""HTTP statuses that may pass by themselves: timeouts, too many requests, errors of the server."""


class ChatError(Exception):
    """Error of a request without a usable reply.

    again: whether another try may help. retry_after_s: seconds to wait before it at least.
    """

    def __init__(self, message: str, *, again: bool = True, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.again, self.retry_after_s = again, retry_after_s


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: following one would hand the key to whatever host it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def ask(url: str, body: Mapping[str, Any], *, key: str | None, timeout_s: float) -> str:
    """Return the text of the first choice of a chat completion. Raises ChatError, whose message never holds the key.

    url: address of the endpoint, http or https. body: the request, sent as JSON. key: sent as bearer token; with None
    no token is sent. timeout_s: seconds in which the whole reply has to arrive.
    """
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    deadline = time.monotonic() + timeout_s
    try:
        with _OPENER.open(request, timeout=timeout_s) as response:
            return _content(_read(response, deadline))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, key) from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise ChatError(f"no reply within {timeout_s:g} s") from None
        raise ChatError(_clean(f"no connection ({type(reason).__name__}: {reason})", key)) from None


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """Return the body, up to LONGEST_REPLY bytes; TimeoutError past the deadline, however the server trickles."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < LONGEST_REPLY and (part := response.read1(65536)):
        parts.append(part)
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(parts)


def _content(body: bytes) -> str:
    """Return choices[0].message.content of a completion."""
    try:
        choice = json.loads(body)["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, LookupError, TypeError):
        raise ChatError("its reply is no chat completion (JSON with choices[0].message.content)") from None
    if not isinstance(content, str) or not content.strip():
        raise ChatError(f"its reply holds no text (finish_reason {str(choice.get('finish_reason'))[:40]!r})")
    return content


def _refusal(error: urllib.error.HTTPError, key: str | None) -> ChatError:
    """Return the error for an HTTP status outside of 200 to 299, with the start of the server's own words."""
    try:
        words = error.read(4 * LONGEST_SHOWN).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        words = ""
    after = str(error.headers.get("Retry-After", ""))
    return ChatError(
        _clean(f"HTTP status {error.code}: {words}", key),
        again=error.code in WORTH_ANOTHER_TRY,
        retry_after_s=float(after) if after.isdigit() else 0.0,
    )


def _clean(text: str, key: str | None) -> str:
    """Return one line of at most LONGEST_SHOWN characters, in which a key that the server echoes is hidden."""
    line = " ".join((text.replace(key, "***") if key else text).split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]}..."
