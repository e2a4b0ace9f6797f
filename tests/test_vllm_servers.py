"""Servers as whoever answers, without vLLM: prompts spread, weights sent, servers gone, new, or of another model."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT, MIXED, make_prompts
from hydra import compose, initialize_config_dir

from ral.config.check import check
from ral.errors import UserWarned
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.requests import requests
from ral.rollout.vllm.adapters import FILES
from ral.rollout.vllm.arguments import banned_tokens, head_rows
from ral.rollout.vllm.facts import difference, facts_of
from ral.rollout.vllm.questions import prompt_ids
from ral.rollout.vllm.server_engine import VLLMServers
from ral.rollout.vllm.wire import unpacked
from ral.types import Prepared, Rollout, UserError


class FakeServer:
    """Answers as a server of scripts/serve_vllm.py does: of each prompt the number of its own media, and an end."""

    def __init__(self, policy: MLLM, port: int = 0) -> None:
        self.facts = facts_of(
            policy.network.config, "float32", banned_tokens(policy.processor, head_rows(policy.network.config))
        )
        self.pushed: str | None = None
        self.base: str | None = None
        self.files: dict[str, int] = {}
        self.asked: list[int] = []
        self.events: list[str] = []
        self.full: dict[tuple[int, ...], list[int]] = {}
        self.failing = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                self.reply(*server.answer(self.path, b""))

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if server.failing:
                    server.failing -= 1
                    self.connection.close()
                    return
                self.reply(*server.answer(self.path, data))

            def reply(self, code: int, said: Any) -> None:
                content = json.dumps(said).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self.http.server_address[1])
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, data: bytes) -> tuple[int, Any]:
        """Do what a request asks for."""
        self.events.append(path.split("/")[2])
        if path == "/ral/facts":
            return 200, self.facts
        if path.startswith("/ral/bucket/"):
            self.files[path.rpartition("/")[2]] = len(data)
            return 200, {}
        message = unpacked(data)
        if path == "/ral/push":
            assert {*message.head["files"], *message.head["adapters"]} <= self.files.keys()
            if not message.head["files"] and message.head["base"] != self.base:
                return 409, {"error": "other weights"}
            self.pushed, self.base = message.head["weights"], message.head["base"]
            return 200, {}
        if message.head["weights"] != self.pushed:
            return 409, {"error": "other weights"}
        if message.head["parameters"]["max_tokens"] > 99:
            return 400, {"error": "ValueError: too long"}
        prompts = message.head["prompts"]
        self.asked.append(len(prompts))
        said = [{"ids": [len(p["media"]) + 5, message.head["parameters"]["stop_token_ids"][0]]} for p in prompts]
        for one in said:
            one |= {"log_probs": [-1.0, -1.0], "stopped": True}
        return 200, {"answers": [self.of(p["ids"], one, message) for p, one in zip(prompts, said, strict=True)]}

    def of(self, ids: list[int], one: dict[str, Any], message: Any) -> dict[str, Any]:
        """An answer to one prompt, whose placeholders are as many as in `full`."""
        return {"read": self.full[tuple(ids)], "responses": [one] * message.head["parameters"]["n"]}

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def policy(load: Callable[..., MLLM]) -> MLLM:
    return load()


@pytest.fixture
def servers(policy: MLLM) -> Iterator[Callable[..., FakeServer]]:
    """Start servers that know the prompts of MIXED."""
    made: list[FakeServer] = []

    def start(port: int = 0) -> FakeServer:
        made.append(FakeServer(policy, port))
        prepared = asked(policy)
        for b, request in enumerate(requests(prepared)):
            made[-1].full[request.token_ids] = prompt_ids(prepared, b)
        return made[-1]

    yield start
    for each in made:
        each.close()


def asked(policy: MLLM) -> Prepared:
    """Four prompts."""
    return policy.prepare(make_prompts(policy, MIXED))


def ask(engine: VLLMServers, policy: MLLM, limit: int = 8) -> Rollout:
    """Two answers to each."""
    return engine.generate(asked(policy), 2, Sampling(0.9, limit), seed=5)


def opened(policy: MLLM, *urls: str, **settings: Any) -> VLLMServers:
    """An engine of these servers, with weights."""
    engine = VLLMServers(policy, urls=urls, **{"patience_s": 0.0, **settings})
    try:
        engine.update_weights(policy, 0)
    except BaseException:
        engine.close()
        raise
    return engine


def test_prompts_are_spread_and_their_answers_come_in_order(policy: MLLM, servers: Callable[..., FakeServer]) -> None:
    one, two = servers(), servers()
    engine = opened(policy, one.url, two.url)
    rollout = ask(engine, policy)
    assert one.asked == [2] and two.asked == [2] and rollout.policy_version == 0
    assert rollout.token_ids[::2, 0].tolist() == [7, 8, 5, 10]  # two tensors a kind, three for clips: all their own
    engine.update_weights(policy, 1)
    assert one.events == two.events == ["facts", "bucket", "push", "ask", "bucket", "push"]
    assert one.pushed == two.pushed and one.pushed is not None and one.pushed.endswith(":1")
    engine.close()
    assert engine.folder is not None and not engine.folder.exists()


def test_a_server_started_anew_gets_the_weights_before_it_answers(
    policy: MLLM, servers: Callable[..., FakeServer]
) -> None:
    one = servers()
    engine = opened(policy, one.url)
    one.pushed = None
    assert len(ask(engine, policy).texts) == 8
    assert one.events == ["facts", "bucket", "push", "ask", "bucket", "push", "ask"]
    engine.close()


def test_a_server_that_others_send_weights_to_is_one_line(policy: MLLM, servers: Callable[..., FakeServer]) -> None:
    one = servers()
    engine, answer = opened(policy, one.url), one.answer

    def taken(path: str, data: bytes) -> tuple[int, Any]:
        """Answer, and lose the weights at once to somebody else's."""
        found = answer(path, data)
        one.pushed = "of another run:9"
        return found

    one.answer = taken  # type: ignore[method-assign]
    one.pushed = None
    with pytest.raises(UserError, match=rf"^rollout.urls: {one.url} held other weights 4 times, .* its own servers$"):
        ask(engine, policy)
    assert one.events.count("ask") == 4
    engine.close()


def test_a_server_gets_frozen_weights_once_and_then_adapters_alone(
    policy: MLLM, servers: Callable[..., FakeServer]
) -> None:
    """A server that is new at its address, and lacks the frozen weights, gets them too."""
    add_adapters(policy, Adapters(4, 8, ("q_proj",)))
    one = servers()
    one.facts["adapters"] = 8
    engine = opened(policy, one.url, adapters="alone")
    two, three = ["bucket"] * 2, ["bucket"] * 3
    first = ["facts", *two, "push", *three, "push"]
    assert one.events == first and sorted(one.files) == [*FILES, "weights-00000.safetensors"]
    engine.update_weights(policy, 1)
    assert one.events == [*first, *two, "push"]
    one.base = one.pushed = None
    engine.update_weights(policy, 2)
    assert one.events == [*first, *two, "push", *two, "push", *three, "push"]
    assert one.pushed is not None and one.pushed.endswith(":2") and len(ask(engine, policy).texts) == 8
    one.pushed = None
    assert len(ask(engine, policy).texts) == 8 and one.events[-5:] == [*three, "push", "ask"]
    engine.close()


def test_a_server_without_room_for_the_adapters_is_one_line(policy: MLLM, servers: Callable[..., FakeServer]) -> None:
    one = servers()
    with pytest.raises(UserError, match=r"^rollout.engine.adapters=alone: there are no adapters"):
        opened(policy, one.url, adapters="alone")
    add_adapters(policy, Adapters(4, 8, ("q_proj",)))
    with pytest.raises(UserError, match=r"has no room for adapters of rank 4: start it .* --adapter-rank 4, or write"):
        opened(policy, one.url, adapters="alone")


def test_a_server_that_comes_back_costs_a_line_and_no_step(policy: MLLM, servers: Callable[..., FakeServer]) -> None:
    one = servers()
    engine = opened(policy, one.url, patience_s=60.0)
    port = one.port
    one.close()
    threading.Timer(1.5, lambda: servers(port)).start()
    with pytest.warns(
        UserWarned, match=rf"^rollout.urls: http://127.0.0.1:{port} does not answer \(.*\): waiting for it$"
    ):
        rollout = ask(engine, policy)
    assert rollout.token_ids[::2, 0].tolist() == [7, 8, 5, 10]
    engine.close()


@pytest.mark.filterwarnings("ignore:rollout.urls")
def test_a_server_that_stays_away_or_is_too_slow_ends_the_run_in_one_line(
    policy: MLLM, servers: Callable[..., FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = servers()
    engine = opened(policy, one.url, timeout_s=0.3)
    slow = FakeServer.answer

    def wait(server: FakeServer, path: str, data: bytes) -> tuple[int, Any]:
        time.sleep(1.0)
        return slow(server, path, data)

    monkeypatch.setattr(FakeServer, "answer", wait)
    with pytest.raises(
        UserError, match=r"^rollout.urls: \S+ does not answer \(.*timed out.*\) and did not come back within 0 s"
    ):
        ask(engine, policy)
    monkeypatch.setattr(FakeServer, "answer", slow)
    one.close()
    with pytest.raises(UserError, match=r"does not answer \(.*refused\) .*: start it again, then write resume=auto$"):
        ask(engine, policy)
    engine.close()


def test_what_a_server_refuses_and_one_that_is_none_of_ours_are_one_line(
    policy: MLLM, servers: Callable[..., FakeServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = servers()
    engine = opened(policy, one.url)
    with pytest.raises(UserError, match=r"^rollout.urls: \S+: vLLM refused: ValueError: too long$"):
        ask(engine, policy, limit=100)
    monkeypatch.setattr(FakeServer, "answer", lambda *_: (404, {"detail": "Not Found"}))
    with pytest.raises(
        UserError, match=r"^rollout.urls: \S+: answers 404, as no server started by scripts/serve_vllm.py does"
    ):
        opened(policy, one.url)
    engine.close()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"hidden_size": 8}, r"hidden_size is 8 there and 64 here"),
        ({"dtype": "bfloat16"}, r"dtype is bfloat16 there and float32 here"),
        ({"banned": [1]}, r"it bans other tokens"),
        ({"banned": None}, r"it bans no tokens: start it by scripts/serve_vllm.py"),
    ],
)
def test_a_server_of_another_model_is_one_line(
    facts: dict[str, Any], said: str, policy: MLLM, servers: Callable[..., FakeServer]
) -> None:
    one = servers()
    assert difference(one.facts, dict(one.facts)) is None
    one.facts |= facts
    with pytest.raises(UserError, match=rf"^rollout.urls: \S+ is of another model than model.pretrained=.*: {said}$"):
        opened(policy, one.url)


def test_the_key_of_the_server_goes_with_each_request(
    policy: MLLM, servers: Callable[..., FakeServer], monkeypatch
) -> None:
    one, seen = servers(), []
    monkeypatch.setenv("VLLM_API_KEY", "secret")
    monkeypatch.setattr("ral.rollout.vllm.http.urlopen", lambda asked, timeout: seen.append(asked.headers) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(policy, one.url)
    assert seen[0]["Authorization"] == "Bearer secret"


def test_servers_have_to_be_named_and_the_yaml_is_valid(policy: MLLM) -> None:
    with pytest.raises(UserError, match=r"^rollout.urls is empty: write rollout.urls=\[http://127.0.0.1:8000\]"):
        VLLMServers(policy, urls=())
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["rollout=vllm_server", "rollout.urls=[http://127.0.0.1:1]"])
    check(cfg)
    assert cfg.rollout.engine.urls == ["http://127.0.0.1:1"]


# --------------------------------------------------------------------------------------------------- with vLLM


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def serve(port: int, log: Path, *more: str) -> subprocess.Popen[bytes]:
    """Start a server of the shipped model."""
    command = [
        sys.executable,
        str(CONF.parent / "scripts" / "serve_vllm.py"),
        "--model",
        "assets/tiny",
        "--port",
        str(port),
    ]
    env = ENVIRONMENT | {"PYTHONPATH": str(CONF.parent)}
    with log.open("ab") as file:
        return subprocess.Popen(
            [*command, "--cache-gb", "0.25", *more],
            cwd=CONF.parent,
            env=env,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


@pytest.mark.vllm
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="no vllm here: make vllm, then make test-vllm")
@pytest.mark.parametrize("adapters", ["merged", "alone"])
def test_a_real_server_is_exact_before_and_after_pushes_and_a_kill(adapters: str, tmp_path: Path) -> None:
    """A SIGKILL between two rollouts costs a line: the next server at its address gets the weights and goes on."""
    from test_vllm import BOUND, TINY, gap, move

    policy, port = MLLM.load(TINY), free_port()
    more = ["--adapter-rank", "4"] if adapters == "alone" else []
    if more:
        add_adapters(policy, Adapters(4, 8, ("q_proj", "down_proj")))
    server = serve(port, tmp_path / "log", *more)
    try:
        with pytest.warns(UserWarned, match=r"waiting for it"):
            engine = opened(policy, f"http://127.0.0.1:{port}", patience_s=240.0, adapters=adapters)
        for step in range(3):
            assert gap(policy, engine, count=4)[0] < BOUND
            move(policy, step, only="lora_" if more else "")
            engine.update_weights(policy, step + 1)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        server = serve(port, tmp_path / "log", *more)
        with pytest.warns(UserWarned, match=r"waiting for it"):
            assert gap(policy, engine, count=4)[0] < BOUND
        engine.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # a SIGKILL leaves vLLM's shared memory behind
        server.wait()
    assert torch.get_num_threads() == 1
