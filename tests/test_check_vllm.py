"""The check of vLLM beside the trainer: which combinations there are, what it finds wrong, how it ends."""

from __future__ import annotations

import importlib.util
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT

from ral.checks import gpu
from ral.checks.handover import ADAPTERS, LEVELS, TRANSPORTS, Case, cases, chosen, wrong
from ral.errors import UserError

SCRIPTS = CONF.parent / "scripts"


def script(name: str) -> dict[str, Any]:
    """The functions of a script."""
    return runpy.run_path(str(SCRIPTS / name))


def test_combinations_are_those_that_the_machine_can_do() -> None:
    def names(gpus: int, half: bool) -> list[str]:
        return [case.name() for case in cases(TRANSPORTS, LEVELS, ADAPTERS, gpus, half)]

    assert names(0, False) == [f"{way}, awake, {how}" for way in TRANSPORTS for how in ADAPTERS]
    one = [
        f"{s}, {how}" for s in ("awake", "sleep 1", "sleep 2") for how in ADAPTERS if (s, how) != ("sleep 2", "alone")
    ]
    assert names(1, True) == [f"{way}, {rest}" for way in ("file", "ipc") for rest in one]
    assert not any("alone" in name for name in names(1, False)) and names(1, False)
    two = list(cases(["broadcast"], LEVELS, ["merged"], 2, True))
    assert two == [Case("broadcast", 0, "merged", second=True)]


def test_a_word_that_is_none_is_one_line() -> None:
    assert chosen("0,2", LEVELS, "--sleep") == [0, 2]
    with pytest.raises(UserError, match=r"^--transports file,nccl: nccl is none: write some of file,ipc,broadcast$"):
        chosen("file,nccl", TRANSPORTS, "--transports")


def push(**figures: float) -> dict[str, float]:
    return {"gap": 1e-5, "far": 0.1, **figures}


@pytest.mark.parametrize(
    ("pushes", "memory", "said"),
    [
        ([push(), push(gap=2e-4)], {}, "push 1: sampler and trainer are 0.0002 nats apart"),
        ([push(gap=float("nan"))], {}, "push 0: sampler and trainer are nan nats apart"),
        ([push(far=1e-5)], {}, "push 0: a stale engine would not be seen"),
        ([push()], {"awake": 9000.0, "asleep": 7500.0}, "asleep the engine freed 1500 MB"),
        ([push()], {"awake": 9000.0, "asleep": 7000.0}, None),
        ([push()], {"awake": None, "asleep": None}, None),
    ],
)
def test_what_is_wrong_is_said(pushes: Any, memory: dict[str, Any], said: str | None) -> None:
    found = {"pushes": pushes, "memory_mb": {"awake": 5.0, "asleep": 5.0} | memory}
    told = wrong(found, 1e-4, Case("ipc", 1 if memory else 0, "merged"), cache_gb=2.0)
    assert (told is None) if said is None else (told is not None and told.startswith(said))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sleep", "3"], "error: --sleep 3: 3 is none: write some of 0,1,2"),
        (["--adapters", "both"], "error: --adapters both: both is none: write some of merged,alone"),
        pytest.param(
            ["--device", "cuda"],
            "error: --device cuda: this torch sees no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        pytest.param(
            [],
            "error: rollout=vllm: the package vllm is not installed",
            marks=pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is here"),
        ),
    ],
)
def test_the_command_ends_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["check_vllm.py", "--output", str(tmp_path), *arguments])
    with pytest.raises(SystemExit) as ended:
        script("check_vllm.py")["main"]()
    assert str(ended.value).startswith(said) and "\n" not in str(ended.value)


def test_arithmetic_is_in_16_bits_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for more in ([], ["--device", "cuda"], ["--device", "cuda", "--dtype", "float32"]):
        monkeypatch.setattr(sys, "argv", ["check_vllm.py", *more])
        found.append(script("check_vllm.py")["arguments"]().dtype)
    assert found == ["float32", "bfloat16", "float32"]


def test_the_part_of_gpu_check_is_the_check_in_both_dtypes_and_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it hands to the two scripts is what these take."""
    ran: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(gpu, "bench", lambda given, name, *command: ran.update({name: command}) or {"exit_code": 0})
    assert list(gpu.vllm(SimpleNamespace())) == ["fp32", "3b", "speed"]
    given = {}
    for name, (file, *arguments) in ran.items():
        monkeypatch.setattr(sys, "argv", [file, *arguments])
        given[name] = script(file)["arguments"]()
    assert {name: one.device for name, one in given.items()} == dict.fromkeys(ran, "cuda")
    assert {name: one.dtype for name, one in given.items()} == {
        "vllm_fp32": "float32",
        "vllm_3b": "bfloat16",
        "vllm_speed": "bfloat16",
    }
    assert given["vllm_speed"].engines == "native,vllm" and given["vllm_3b"].model == "3b"
    assert "vllm" in gpu.PARTS and "vllm" not in gpu.BY_ITSELF and "rollout" in gpu.BY_ITSELF


@pytest.mark.vllm
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="no vllm here: make vllm, then make test-vllm")
def test_the_shipped_model_passes_on_a_cpu(tmp_path: Path) -> None:
    small = ["--pushes", "2", "--prompts", "2", "--transports", "broadcast", "--folder", str(tmp_path / "weights")]
    command = [sys.executable, str(SCRIPTS / "check_vllm.py"), "--output", str(tmp_path), *small]
    env = ENVIRONMENT | {"PYTHONPATH": str(CONF.parent)}
    done = subprocess.run(command, env=env, cwd=CONF.parent, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["cases"]) == 2 and not any(case["wrong"] for case in found["cases"].values())
    assert all(push["gap"] < 2e-5 for case in found["cases"].values() for push in case["pushes"])
    assert found == json.loads((tmp_path / "check_vllm.json").read_text())
