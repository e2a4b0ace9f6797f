"""The judge reward against a small local server: order, bounded concurrency, retries, timeouts, clear failures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ral.rewards.chat import ChatError
from ral.rewards.combine import Part, Reward
from ral.rewards.judge import Judge, Requests, read_score
from ral.types import Example, UserError

KEY = "sk-very-secret-0123456789"
Answer = tuple[int, str] | tuple[int, str, dict[str, str]]
"""What the server says: status, body, further headers."""


def completion(text: str | None) -> str:
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})


class Server(ThreadingHTTPServer):
    """Answers by `answer(request body, number of the request)`; remembers requests and how many there were at once."""

    daemon_threads = True

    def __init__(self, answer: Callable[[dict[str, Any], int], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.lock = answer, threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.busy = self.most = 0
        self.url = f"http://127.0.0.1:{self.server_port}/v1/chat/completions"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.times.append(time.perf_counter())
            number = len(self.server.bodies)
            self.server.busy += 1
            self.server.most = max(self.server.most, self.server.busy)
        status, text, *more = self.server.answer(body, number)
        with self.server.lock:
            self.server.busy -= 1
        try:
            self.send_response(status)
            for name, value in ((more[0] if more else {}) | {"Content-Length": str(len(text.encode()))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError:  # the client gave up
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Start a server; it is closed with the test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    servers: list[Server] = []

    def start(answer: Callable[[dict[str, Any], int], Answer]) -> Server:
        servers.append(Server(answer))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def judge(server: Server, **settings: Any) -> Judge:
    names = {field.name for field in fields(Requests)}
    asked = {"timeout_s": 5.0, "retries": 2, "backoff_s": 0.01} | {k: v for k, v in settings.items() if k in names}
    rest = {name: value for name, value in settings.items() if name not in names}
    return Judge(url=server.url, model="m", requests=Requests(**asked), **rest)


def example(number: int = 7) -> Example:
    options = ("A. one", "B. two")
    return Example(
        f"u{number}", "How many?", "B", "multiple choice", options=options, source=f"data.json entry {number}"
    )


def failure(call: Callable[[], object]) -> str:
    """The one line of a failure, without the key anywhere in it or in what caused it."""
    with pytest.raises(UserError) as caught:
        call()
    message, error = str(caught.value), caught.value
    while error is not None:
        assert KEY not in str(error) and "\n" not in str(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return message


# --- the score in a reply ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("score: 0.5", 0.5),
        ("It is right.\nScore: 1", 1.0),
        ("**Score:** 0.25", 0.25),
        ("**score: .75**.\n", 0.75),
        ("score: 0\nNo, on reflection:\nscore = 1.0", 1.0),
        (" 0.3\n", 0.3),
        ("1", 1.0),
    ],
)
def test_read_score(reply: str, score: float) -> None:
    assert read_score(reply) == score


@pytest.mark.parametrize(
    "reply", ["", "good", "score: 8/10", "score: 1/10", "score: 80%", "score: -1", "score: 1.5", "2", "a score: 1 b"]
)
def test_what_is_no_score(reply: str) -> None:
    with pytest.raises(ChatError, match="no line"):
        read_score(reply)


# --- right answers -------------------------------------------------------------------------------------------------


def test_scores_come_in_order_and_never_more_requests_at_once_than_allowed(serve: Callable[..., Server]) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        said = float(body["messages"][0]["content"].split("<answer>")[1].split("</answer>")[0])
        time.sleep(0.02 + 0.05 * (1 - said))  # later ones overtake earlier ones
        return 200, completion(f"because.\nscore: {said}")

    server = serve(answer)
    texts = [f"<answer>{n / 20}</answer>" for n in range(20)]
    parts = {"judge": Part(judge(server, max_concurrency=3, api_key_variable="JUDGE_KEY"), 0.5)}
    scores = Reward(parts).score([example()] * 20, texts)
    assert scores.parts["judge"].tolist() == pytest.approx([n / 20 for n in range(20)])
    assert scores.reward.tolist() == pytest.approx([n / 40 for n in range(20)])
    assert len(server.bodies) == 20 and server.most == 3
    assert all(h["Authorization"] == f"Bearer {KEY}" for h in server.headers)


def test_the_request(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(lambda body, number: (200, completion("score: 1")))
    settings = {"options": {"temperature": 0.0, "model": "other"}}
    assert judge(server, **settings)(example(), "<answer>two</answer>") == 1.0
    body, headers = server.bodies[0], server.headers[0]
    assert body["model"] == "m" and body["temperature"] == 0.0 and "Authorization" not in headers
    prompt = body["messages"][0]["content"]
    assert all(words in prompt for words in ("How many?", "A. one\nB. two", "Reference answer: B", "\n<answer>two</"))
    own = tmp_path / "own.j2"
    own.write_text("{{ problem_type }}|{{ gold }}|{{ answer }}|{{ options | length }}")
    judge(server, template=str(own))(example(), "so <answer> <b> </answer>")
    assert server.bodies[1]["messages"][0]["content"] == "multiple choice|B|<b>|2"


# --- what passes by itself is tried again --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [(500, "oops"), (503, ""), (429, "slow down"), (200, completion("hm")), (200, "{"), (200, completion(None))],
    ids=["500", "503", "429", "no score", "no json", "no text"],
)
def test_a_failure_and_then_success(serve: Callable[..., Server], first: Answer) -> None:
    server = serve(lambda body, number: first if number == 1 else (200, completion("score: 0.5")))
    assert judge(server)(example(), "x") == 0.5
    assert len(server.bodies) == 2


def test_pauses_double_and_the_server_may_ask_for_more(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, wait = [], threading.Event.wait
    others = set(threading.enumerate()) - {threading.current_thread()}  # which earlier tests' libraries left behind

    def recorded(event: threading.Event, timeout: float | None = None) -> bool:
        pauses.extend([] if timeout is None or threading.current_thread() in others else [timeout])
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", recorded)
    answers: list[Answer] = [(500, ""), (500, ""), (429, "", {"Retry-After": "1"}), (200, completion("score: 1"))]
    server = serve(lambda body, number: answers[number - 1])
    judge(server, retries=3, backoff_s=0.1, timeout_s=0.6)(example(), "x")
    assert pauses == [
        0.1,
        0.2,
        0.6,
    ]  # the last: 0.4 by its own count, 1 asked for, never longer than a request may take
    assert all(b - a >= pause for a, b, pause in zip(server.times, server.times[1:], pauses, strict=False))


def test_a_server_that_does_not_answer(serve: Callable[..., Server]) -> None:
    answered = threading.Event()
    server = serve(lambda body, number: (answered.wait(60), (200, completion("score: 1")))[1])
    message = failure(lambda: judge(server, timeout_s=0.1, retries=1)(example(), "x"))
    answered.set()  # only now: whoever waited for the answer would still wait
    assert "after 2 tries: no reply within 0.1 s" in message and "data.json entry 7" in message


# --- what does not pass is a clear failure -------------------------------------------------------------------------


def test_garbage_is_a_failure_and_never_zero(serve: Callable[..., Server]) -> None:
    server = serve(lambda body, number: (200, completion("I cannot\nsay.")))
    message = failure(lambda: judge(server)(example(), "x"))
    assert message.startswith(
        f"judge {server.url}: no score for data.json entry 7 after 3 tries: its reply has no line"
    )
    assert "'I cannot say.'" in message and len(server.bodies) == 3


@pytest.mark.parametrize("status", [401, 404, 302])
def test_a_refusal_is_final_and_an_echoed_key_is_not_shown(serve: Callable[..., Server], status: int) -> None:
    elsewhere = serve(lambda body, number: (200, completion("score: 1")))
    server = serve(lambda body, number: (status, f"bad key\n{KEY}", {"Location": elsewhere.url}))
    message = failure(lambda: judge(server, api_key_variable="JUDGE_KEY")(example(), "x"))
    assert f"after 1 tries: HTTP status {status}: bad key ***" in message
    assert len(server.bodies) == 1 and elsewhere.bodies == []


def test_the_first_failure_ends_the_others(serve: Callable[..., Server]) -> None:
    server = serve(lambda body, number: (401, "no"))
    failure(lambda: judge(server, max_concurrency=2).score_many([example(n) for n in range(200)], ["x"] * 200))
    assert len(server.bodies) < 50


def test_nobody_listens(serve: Callable[..., Server]) -> None:
    server = serve(lambda body, number: (200, ""))
    server.shutdown()
    server.server_close()
    message = failure(lambda: judge(server)(example(), "x"))
    assert "no connection (ConnectionRefusedError" in message


def test_settings_that_cannot_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make = partial(Judge, url="http://h/v1/chat/completions?key=hidden", model="m")
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    assert "environment variable JUDGE_KEY is not set" in failure(lambda: make(api_key_variable="JUDGE_KEY"))
    monkeypatch.setenv("JUDGE_KEY", f"{KEY}\n{KEY}")
    assert "JUDGE_KEY holds no usable key" in failure(lambda: make(api_key_variable="JUDGE_KEY"))
    for url in ("localhost:8000", "file:///etc/passwd", "http://"):
        assert "url is no address" in failure(lambda url=url: make(url=url))
    for wrong in ({"timeout_s": 0.0}, {"retries": -1}, {"max_concurrency": 0}, {"backoff_s": -1.0}):
        assert "timeout_s above 0" in failure(lambda wrong=wrong: Requests(**wrong))
    assert "no such file" in failure(lambda: make(template="nowhere.j2"))
    (tmp_path / "bad.j2").write_text("{{ question")
    assert "bad.j2" in failure(lambda: make(template=str(tmp_path / "bad.j2")))
    (tmp_path / "odd.j2").write_text("{{ qestion }}")
    message = failure(lambda: make(template=str(tmp_path / "odd.j2"))(example(), "x"))
    assert "'qestion' is undefined; it may use question, options" in message
