"""Addresses of servers: whole ones pass, all others are told at once, with what to type."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from commands import call

from ral.errors import UserError
from ral.files.addresses import check_addresses

WHOLE = ["http://127.0.0.1:8000", "http://second:8001/", "HTTP://gpu-1.cluster:80", "https://proxy.example.org"]
WHOLE += ["http://[::1]:8000", "https://proxy.example.org/gpu0", "http://user:word@second:8000"]
WRONG = {
    "127.0.0.1:8000": r"has no http:// in front; write http://127.0.0.1:8000",
    "localhost:8123": r"has no http:// in front; write http://localhost:8123",
    "second": r"has no http:// in front; write http://second:8000",
    "second/v1": r"has no http:// in front; write http://second:8000",
    "http:/second:8000": r"has no http:// in front; write http://second:8000",
    "tcp://second:8000": r"begins with tcp://, and not with http://; write http://second:8000",
    "": r"has no http:// in front; write http://127.0.0.1:8000",
    "http://second": r"has no port; write http://second:8000 \(:80 where it listens there\)",
    "http://second/": r"has no port; write http://second:8000",
    "http://second:8000/v1": r"ends with /v1, which is asked for by itself; write http://second:8000",
    "http://second:8000/v1/chat/completions": r"write http://second:8000$",
    "http://second:8000/ral": r"ends with /ral",
    "http://second:80000": r"has a port that is no number from 1 to 65535",
    "http://second:port": r"has a port that is no number",
    "http://second:0": r"has no port",
    "http://:8000": r"has no host",
    "http://second:8000 ": r"holds a blank; write http://second:8000",
    "http://second:8000?key=1": r"write http://second:8000",
}


def test_whole_addresses_pass() -> None:
    check_addresses(WHOLE, "rollout.urls")


@pytest.mark.parametrize("url", WRONG)
def test_other_addresses_are_told_with_what_to_write(url: str) -> None:
    with pytest.raises(UserError, match=f"rollout.urls: .*{WRONG[url]}"):
        check_addresses(["http://first:8000", url], "rollout.urls")


def test_none_and_one_twice_are_refused() -> None:
    with pytest.raises(UserError, match=r"rollout.urls is empty: write rollout.urls=\[http"):
        check_addresses([], "rollout.urls")
    with pytest.raises(UserError, match="names http://a:8000/ twice"):
        check_addresses(["http://a:8000", "http://a:8000/"], "rollout.urls")


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_a_command_tells_of_it_before_it_waits_for_a_server(tmp_path: Path, script: str) -> None:
    folder = f"{'hydra.run.dir' if script == 'train.py' else 'output'}={tmp_path / 'run'}"
    began = time.monotonic()
    done = call(script, "rollout=vllm_server", "rollout.urls=[localhost:8000]", folder, folder=tmp_path)
    assert done.returncode == 1 and time.monotonic() - began < 30
    assert done.stderr.strip().splitlines() == [
        "error: rollout.urls: 'localhost:8000' has no http:// in front; write http://localhost:8000"
    ]
    assert not (tmp_path / "run").exists()
