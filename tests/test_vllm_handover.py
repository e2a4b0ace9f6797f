"""Weights on their way to vLLM, and its sleep: real processes and messages around a stand-in for the package."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, ENVIRONMENT, make_prompts
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file
from stub_vllm_worker import digest

from ral.config.check import check
from ral.config.engines import VLLM
from ral.config.former import of_today
from ral.errors import UserWarned
from ral.machine import LARGEST_ADAPTER, BesideTrainer
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.vllm import handles, process, transports
from ral.rollout.vllm.adapters import RANKS, room_for, write_adapters
from ral.rollout.vllm.engine import VLLMEngine, vllm_engine
from ral.rollout.vllm.packing import packed_bucket, unpacked_bucket
from ral.rollout.vllm.questions import prompt_ids
from ral.rollout.vllm.transports import Broadcasts, Files, Streams, by_handle, transport_of
from ral.rollout.vllm.weights import named_weights
from ral.rollout.vllm.wire import Message
from ral.types import Prepared, UserError

TRANSPORTS = ("file", "ipc", "broadcast")


@pytest.fixture
def policy(load: Callable[..., MLLM]) -> MLLM:
    return load()


@pytest.fixture
def prompts(policy: MLLM) -> Prepared:
    return policy.prepare(make_prompts(policy, ((), ())))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompts: Prepared) -> Callable[..., None]:
    """Let the stand-in be started, take vLLM for installed, and set where it ends."""
    monkeypatch.setattr(process, "MODULE", "stub_vllm_worker")
    monkeypatch.setattr("ral.rollout.vllm.engine.check_package", lambda: None)
    monkeypatch.setattr(transports, "STREAMED", 30_000)
    path = tmp_path / "plan.json"
    monkeypatch.setenv("FAKE_VLLM", str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(CONF.parent)]))
    read = [prompt_ids(prompts, b) for b in range(len(prompts))]

    def write(**words: Any) -> None:
        path.write_text(json.dumps({"seen": str(tmp_path / "seen"), "read": read, **words}))

    write()
    return write


@pytest.fixture
def engine(policy: MLLM, plan: Callable[..., None], tmp_path: Path) -> Iterator[Callable[..., VLLMEngine]]:
    """Make engines; they are closed after the test, and leave no file."""
    made: list[VLLMEngine] = []

    def make(gpu: bool = False, **settings: Any) -> VLLMEngine:
        made.append(vllm_engine(policy, folder=str(tmp_path / "pushed"), **settings))
        if gpu:  # the stand-in sleeps on a CPU too
            made[-1].beside = lambda **known: BesideTrainer()  # type: ignore[method-assign]
        made[-1].update_weights(policy, 0)
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert not list((tmp_path / "pushed").glob("*"))


def seen(tmp_path: Path, *left_out: str) -> list[dict[str, Any]]:
    """The calls so far."""
    calls = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    return [call for call in calls if call["call"] not in left_out]


def names(tmp_path: Path, *left_out: str) -> list[str]:
    """The names of the calls so far, "wake" with what wakes."""
    return [" ".join([call["call"], *call.get("tags", ())]) for call in seen(tmp_path, *left_out)]


def ask(engine: VLLMEngine, prompts: Prepared) -> None:
    engine.generate(prompts, 2, Sampling(0.9, 5), seed=7)


@torch.no_grad()
def move(policy: MLLM) -> None:
    """Change all weights."""
    for parameter in policy.network.parameters():
        parameter.add_(0.1)


def sent(policy: MLLM) -> str:
    """The digest of what an engine has to have."""
    return digest(dict(named_weights(policy, policy.dtype)))


def frozen(policy: MLLM) -> str:
    """The digest of the weights beside the adapters."""
    parameters = policy.network.named_parameters()
    return digest({name.replace(".base_layer.", "."): own for name, own in parameters if ".lora_" not in name})


# ---------------------------------------------------------------------------------------------------- transports


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_engine_gets_exactly_the_weights_in_many_buckets(
    transport: str, policy: MLLM, prompts: Prepared, engine: Callable[..., VLLMEngine], tmp_path: Path
) -> None:
    """Every name, shape and bit, the first time and later; caches are dropped before the next answer."""
    one = engine(transport=transport)
    ask(one, prompts)
    first = sent(policy)
    move(policy)
    one.update_weights(policy, 1)
    ask(one, prompts)
    assert [call["digest"] for call in seen(tmp_path) if call["call"] == "generate"] == [first, sent(policy)]
    assert first != sent(policy)
    found = names(tmp_path, "weights")
    if transport == "file":
        assert found == ["start", *["take_weights", "reset", "generate"] * 2]
        return
    pieces = found.count("take_bucket")
    assert pieces > 6 and pieces % 2 == 0
    once = ["begin_weights", *["take_bucket"] * (pieces // 2), "finish_weights", "reset", "generate"]
    again = list(once)
    if transport == "broadcast":  # the two meet once
        once.insert(1, "join")
    assert found == ["start", *once, *again]


@pytest.mark.parametrize(
    ("transport", "at"),
    [
        ("file", "take_weights"),
        ("ipc", "take_bucket"),
        ("broadcast", "take_bucket"),
        ("ipc", "generate"),
        ("broadcast", "generate"),
    ],
)
def test_a_process_that_is_killed_has_a_successor_with_the_weights(
    transport: str,
    at: str,
    policy: MLLM,
    prompts: Prepared,
    plan: Callable[..., None],
    engine: Callable[..., VLLMEngine],
    tmp_path: Path,
) -> None:
    plan(at=at, deaths=1)
    with pytest.warns(UserWarned, match=r"^rollout=vllm: process \d+ of vLLM ended \(signal SIGKILL\): started again$"):
        one = engine(transport=transport)
        ask(one, prompts)
    assert seen(tmp_path)[-1]["call"] == "generate" and seen(tmp_path)[-1]["digest"] == sent(policy)
    assert names(tmp_path).count("start") == 2


@pytest.mark.filterwarnings("ignore:rollout=vllm")
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_process_that_ends_twice_on_its_weights_ends_the_run(
    transport: str, plan: Callable[..., None], engine: Callable[..., VLLMEngine]
) -> None:
    plan(at="take_weights" if transport == "file" else "take_bucket", deaths=3)
    with pytest.raises(
        UserError, match=r"^rollout=vllm: vLLM's process ended twice .*SIGKILL\): write rollout=native$"
    ):
        engine(transport=transport)


def test_one_rank_cannot_give_sharded_weights_to_a_new_process(policy: MLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "is_sharded", lambda policy: True)
    stream, none = Streams(by_handle, torch.device("cpu")), pytest.fail
    with pytest.raises(UserError, match=r"^rollout=vllm: weights are sharded, .* rollout.engine.transport=file"):
        stream.again(policy, none, torch.float32, True)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["-", "2"])
def test_sharded_weights_are_gathered_a_bucket_at_a_time_on_all_ranks_together(
    ends: str, policy: MLLM, model_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Also where the process of one rank ends in the middle: both ranks hand over again."""
    command = [sys.executable, str(Path(__file__).parent / "sharded_streams.py")]
    rest = [str(tmp_path), str(model_folder("qwen2_5_vl")), ends]
    env = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([str(CONF.parent), str(Path(__file__).parent)])}
    ranks = [subprocess.Popen([*command, str(rank), *rest], env=env) for rank in (0, 1)]
    assert [rank.wait(200) for rank in ranks] == [0, 0]
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert all(one["digest"] == sent(policy) and one["sharded"] for one in found)
    largest = max(value.nbytes for _, value in named_weights(policy, torch.float32))
    assert all(len(one["sizes"]) > 3 and max(one["sizes"]) < 30_000 + largest for one in found)
    assert [one["restarts"] for one in found] == [0, int(ends != "-")]
    assert all(one["done"][-1] == "finish" for one in found)


def test_auto_is_files_on_a_cpu_handles_in_one_gpu_and_a_broadcast_between_two(tmp_path: Path) -> None:
    cpu, one, two = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)
    chosen = [transport_of("auto", tmp_path, *pair) for pair in ((cpu, cpu), (one, one), (one, two))]
    assert isinstance(chosen[0], Files)
    assert isinstance(chosen[1], Streams) and chosen[1].send is by_handle and chosen[1].device == one
    assert isinstance(chosen[2], Streams) and isinstance(chosen[2].send, Broadcasts) and chosen[2].device == one
    assert isinstance(transport_of("file", tmp_path, one, one), Files)


def test_a_bucket_is_one_piece_and_comes_apart_again() -> None:
    bucket = {"a": torch.randn(2, 3).T, "b": torch.tensor(5.0), "c": torch.randn(4)}
    head, flat = packed_bucket(bucket)
    assert flat.shape == (11,) and json.loads(json.dumps(head)) == head
    found = dict(unpacked_bucket(head, flat))
    assert found.keys() == bucket.keys() and all(torch.equal(found[name], bucket[name]) for name in bucket)


def rebuilt(*arguments: Any) -> tuple[Any, ...]:
    """In place of PyTorch's rebuild_cuda_tensor."""
    return arguments


def test_a_handle_of_gpu_memory_is_opened_by_the_number_that_its_gpu_has_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "rebuild_cuda_tensor", rebuilt)
    handle = b64encode(pickle.dumps((rebuilt, (*"abcdef", 3, *"ghij")))).decode()
    found: Any = handles.opened(handle, torch.device("cuda", 0))
    assert found == (*"abcdef", 0, *"ghij")


# -------------------------------------------------------------------------------------------------------- sleep

SLEEP = {"sleep": True}


def test_an_engine_sleeps_between_rollouts_and_wakes_in_order(
    policy: MLLM, prompts: Prepared, engine: Callable[..., VLLMEngine], tmp_path: Path
) -> None:
    """Weights wake, are handed over, and only then the caches wake; what is awake is not woken."""
    one = engine(gpu=True, **SLEEP)
    with one.session():
        ask(one, prompts)
        ask(one, prompts)
    one.update_weights(policy, 1)
    ask(one, prompts)
    ask(one, prompts)
    push = ["take_weights", "reset"]
    assert names(tmp_path, "weights") == [
        *("start", *push, "generate", "generate", "sleep"),
        *("wake weights", *push, "wake kv_cache", "generate", "sleep"),
        *("wake weights", "wake kv_cache", "generate", "sleep"),
    ]
    assert seen(tmp_path)[0]["enable_sleep_mode"] is True
    assert {call["level"] for call in seen(tmp_path) if call["call"] == "sleep"} == {1}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_weights_that_the_sleep_dropped_are_handed_over_before_the_next_answer(
    transport: str, policy: MLLM, prompts: Prepared, engine: Callable[..., VLLMEngine], tmp_path: Path
) -> None:
    one = engine(gpu=True, **SLEEP, sleep_level=2, transport=transport)
    for version in (1, 2):
        ask(one, prompts)
        ask(one, prompts)
        move(policy)
        one.update_weights(policy, version)
    ask(one, prompts)
    assert seen(tmp_path, "sleep")[-1]["digest"] == sent(policy)
    shown = ("weights", "reset", "begin_weights", "take_bucket", "join")
    load = "take_weights" if transport == "file" else "finish_weights"
    slept = ["generate", "sleep", "wake weights", load, "wake kv_cache"]
    assert names(tmp_path, *shown) == ["start", load, *slept * 4, "generate", "sleep"]


def test_an_engine_that_is_asleep_is_not_asked(
    policy: MLLM, prompts: Prepared, engine: Callable[..., VLLMEngine]
) -> None:
    """Check that the stand-in would tell: without the wake-up there is an error, and no answer."""
    one = engine(gpu=True, **SLEEP)
    ask(one, prompts)
    one.wake = lambda process: None  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"^rollout: vLLM refused: RuntimeError: vLLM is asleep$"):
        ask(one, prompts)  # vLLM itself would wait for ever
    assert one.process is not None
    with pytest.raises(UserError, match=r"used while asleep: \['weights'\]"):
        one.process.exchange(Message({"do": "push", "files": []}))


@pytest.mark.parametrize(("at", "level"), [("sleep", 1), ("wake", 2), ("generate", 2)])
def test_a_process_that_is_killed_as_it_sleeps_or_wakes_answers_all_the_same(
    at: str,
    level: Any,
    policy: MLLM,
    prompts: Prepared,
    plan: Callable[..., None],
    engine: Callable[..., VLLMEngine],
    tmp_path: Path,
) -> None:
    plan(at=at, deaths=1)
    one = engine(gpu=True, **SLEEP, sleep_level=level)
    with pytest.warns(UserWarned, match="started again"):
        ask(one, prompts)
        ask(one, prompts)
    assert [call["digest"] for call in seen(tmp_path) if call["call"] == "generate"][-1] == sent(policy)
    calls = names(tmp_path)
    assert calls[-1] == "sleep"
    rest = calls[len(calls) - calls[::-1].index("start") :]  # of the new process, which is awake
    assert "wake kv_cache" not in rest[: rest.index("sleep")]


def test_an_error_inside_a_session_is_not_hidden_by_the_sleep(
    prompts: Prepared, engine: Callable[..., VLLMEngine], tmp_path: Path
) -> None:
    one = engine(gpu=True, **SLEEP)
    with pytest.raises(ZeroDivisionError), one.session():
        raise ZeroDivisionError
    assert "sleep" not in names(tmp_path)
    ask(one, prompts)
    assert names(tmp_path)[-2:] == ["generate", "sleep"]


# ----------------------------------------------------------------------------------------------------- adapters


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_adapters_go_alone_after_the_frozen_weights_went_once(
    transport: str, policy: MLLM, prompts: Prepared, engine: Callable[..., VLLMEngine], tmp_path: Path
) -> None:
    add_adapters(policy, Adapters(4, 8, ("q_proj", "down_proj")))
    move(policy)  # else B is zero, and merged weights are the frozen ones
    base, found = frozen(policy), []
    assert base != sent(policy)
    one = engine(adapters="alone", transport=transport)
    for version in (1, 2):
        ask(one, prompts)
        found.append(digest(load_file(write_adapters(policy, tmp_path / "own", True) / "adapter_model.safetensors")))
        with torch.no_grad():
            for name, parameter in policy.trained_parameters():
                assert ".lora_" in name
                parameter.add_(0.1)
        one.update_weights(policy, version)
    answers = [call for call in seen(tmp_path) if call["call"] == "generate"]
    assert [call["digest"] for call in answers] == [base, base] and [call["adapter"] for call in answers] == found
    assert found[0] != found[1]
    start, *rest = seen(tmp_path, "weights", "begin_weights", "take_bucket", "join")
    assert {k: v for k, v in start.items() if k != "call"} == {"enable_lora": True, "max_loras": 1, "max_lora_rank": 8}
    load = "take_weights" if transport == "file" else "finish_weights"
    assert [c["call"] for c in rest] == [load, "reset", "adapter", "reset", *["generate", "adapter", "reset"] * 2]


def test_a_new_process_gets_frozen_weights_and_adapters(
    policy: MLLM, prompts: Prepared, plan: Callable[..., None], engine: Callable[..., VLLMEngine], tmp_path: Path
) -> None:
    add_adapters(policy, Adapters(4, 8, ("q_proj",)))
    plan(at="generate", deaths=1)
    one = engine(adapters="alone")
    one.update_weights(policy, 1)
    with pytest.warns(UserWarned, match="started again"):
        ask(one, prompts)
    found = seen(tmp_path)[-1]
    assert found["digest"] == frozen(policy) and found["adapter"] is not None


def test_adapters_are_those_of_the_policy_by_name_and_rank(policy: MLLM, tmp_path: Path) -> None:
    add_adapters(policy, Adapters(4, 8, ("q_proj",)))
    folder = write_adapters(policy, tmp_path, writes=True)
    facts = json.loads((folder / "adapter_config.json").read_text())
    assert (facts["r"], facts["lora_alpha"], facts["use_dora"], facts["bias"]) == (4, 8, False, "none")
    state = load_file(folder / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.model.language_model.layers.") for name in state)
    own = {name: value for name, value in policy.network.named_parameters() if ".lora_" in name}
    assert len(state) == len(own) > 0
    for name, value in own.items():
        assert torch.equal(state[f"base_model.model.{name.replace('.default', '')}"], value)
    assert write_adapters(policy, tmp_path / "none", writes=False) and not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^rollout.engine.folder: .*file cannot hold the adapters .*more room$"):
        write_adapters(policy, tmp_path / "file", writes=True)


def test_vllm_makes_room_for_the_next_larger_rank() -> None:
    assert [room_for(rank) for rank in (1, 2, 8, 9, 300, 512)] == [1, 8, 8, 16, 320, 512]
    assert max(RANKS) == LARGEST_ADAPTER


# ------------------------------------------------------------------------------------------------------ refusals

ALONE = {"adapters": "alone"}
FAULTS = [
    ({"sleep": 1, "cpu": True}, r"^rollout.engine.sleep=true: vLLM does not sleep on a CPU"),
    ({"sleep": 2, "own_gpu": True}, r"^rollout.engine.sleep=true makes room on the trainer's GPU"),
    ({"transport": "ipc", "own_gpu": True}, r"^rollout.engine.transport=ipc is within one GPU"),
    ({"transport": "broadcast", "cpu": False, "own_gpu": False}, r"^rollout.engine.transport=broadcast: NCCL"),
    ({**ALONE, "rank": 0}, r"^rollout.engine.adapters=alone: there are no adapters"),
    (
        {**ALONE, "rank": 513},
        r"^rollout.engine.adapters=alone: vLLM loads no adapters above rank 512, and these have 513",
    ),
    ({**ALONE, "rank": 4, "cpu": False, "half": False}, r"^rollout.engine.adapters=alone: on a GPU .* 16 bits"),
    ({**ALONE, "rank": 4, "sleep": 2}, r"^rollout.engine.adapters=alone: rollout.engine.sleep_level=2 drops"),
]
POSSIBLE = [
    {"sleep": 1, "cpu": False, "own_gpu": False},
    {"transport": "ipc", "cpu": True, "own_gpu": False},
    {"transport": "broadcast", "cpu": True, "own_gpu": False},
    {**ALONE, "rank": 512, "cpu": True, "half": False},
    {**ALONE, "rank": 4, "sleep": 1, "cpu": False, "own_gpu": False, "half": True},
    {**ALONE},
]


@pytest.mark.parametrize(("asked", "line"), FAULTS)
def test_what_an_engine_cannot_do_is_one_line(asked: dict[str, Any], line: str) -> None:
    fault = BesideTrainer(**asked).fault()
    assert fault is not None and "\n" not in fault and "write " in fault
    with pytest.raises(UserError, match=line):
        raise UserError(fault)


@pytest.mark.parametrize("asked", POSSIBLE)
def test_what_an_engine_can_do_is_no_fault(asked: dict[str, Any]) -> None:
    assert BesideTrainer(**asked).fault() is None


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["rollout.engine.sleep=true"], "does not sleep on a CPU"),
        (
            ["hardware=single_gpu", "rollout.engine.sleep=true", "rollout.engine.device=1"],
            "makes room on the trainer's",
        ),
        (["rollout.engine.adapters=alone"], "there are no adapters"),
        (["rollout.engine.adapters=alone", "lora.rank=600"], "no adapters above rank 512"),
        (
            ["hardware=single_gpu", "rollout.engine.adapters=alone", "lora.rank=8", "hardware.precision=32-true"],
            "computes adapters in 16 bits",
        ),
        (["hardware=single_gpu", "rollout.engine.transport=ipc", "rollout.engine.device=1"], "is within one GPU"),
        (["hardware=single_gpu", "rollout.engine.transport=broadcast"], "NCCL is between two GPUs"),
        (
            [
                *("hardware=single_gpu", "rollout.engine.adapters=alone", "lora.rank=8"),
                *("rollout.engine.sleep=true", "rollout.engine.sleep_level=2"),
            ],
            "drops frozen weights",
        ),
        (["rollout.engine.transport=nccl"], "rollout.engine.transport"),
        (["rollout.engine.sleep_level=3"], "rollout.engine.sleep_level"),
    ],
)
def test_it_is_refused_before_weights_are_loaded(overrides: list[str], line: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["rollout=vllm", "hardware=cpu", *overrides])
    with pytest.raises(UserError, match=line):
        check(cfg)


@pytest.mark.parametrize(
    "overrides",
    [
        ["hardware=single_gpu", "rollout.engine.sleep=true", "rollout.engine.sleep_level=2"],
        ["hardware=single_gpu", "rollout.engine.device=1", "rollout.engine.transport=broadcast"],
        ["hardware=single_gpu", "rollout.engine.adapters=alone", "lora.rank=8", "rollout.engine.sleep=true"],
        ["hardware=cpu", "rollout.engine.adapters=alone", "lora.rank=8", "rollout.engine.transport=ipc"],
    ],
)
def test_the_yaml_takes_what_is_possible(overrides: list[str]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        check(compose("train", ["rollout=vllm", *overrides]))


def test_a_run_that_began_by_the_engine_s_former_name_goes_on() -> None:
    before = {"algo": {}, "rollout": {"engine": {"_target_": "ral.rollout.vllm.engine.VLLMEngine", "cache_gb": 1.0}}}
    assert of_today(before)["rollout"]["engine"] == {"_target_": VLLM, "cache_gb": 1.0}


def test_a_cpu_and_adapters_too_large_are_refused_at_the_start_too(policy: MLLM, plan: Callable[..., None]) -> None:
    with pytest.raises(UserError, match="does not sleep on a CPU"):
        vllm_engine(policy, sleep=True).update_weights(policy, 0)
    with pytest.raises(UserError, match="there are no adapters"):
        vllm_engine(policy, adapters="alone")
