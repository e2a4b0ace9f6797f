"""What goes to vLLM and comes back, without vLLM: messages, pixels, weights, processes that end, one-line errors."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, MIXED, make_pixels, make_prompts
from hydra import compose, initialize_config_dir

from ral.config.check import check
from ral.errors import UserWarned
from ral.models.adapters.lora import Adapters, add_adapters, merged
from ral.models.mllm import MLLM
from ral.models.patches import patch_media
from ral.ops.attention import AttentionSpec
from ral.rollout.engine import Sampling
from ral.rollout.noise import Noise
from ral.rollout.requests import requests
from ral.rollout.seeds import prompt_seeds
from ral.rollout.vllm import process
from ral.rollout.vllm.answers import rollout_of
from ral.rollout.vllm.arguments import engine_arguments
from ral.rollout.vllm.engine import VLLMEngine, engine_dtype, vllm_engine
from ral.rollout.vllm.pixels import frames_of
from ral.rollout.vllm.process import environment
from ral.rollout.vllm.questions import MOST_SEED, ask, check_family, media_of, numbers, prompt_ids
from ral.rollout.vllm.weights import buckets, named_weights, on_all_ranks, write_weights
from ral.rollout.vllm.wire import Message, packed, unpacked
from ral.types import Prepared, UserError

CPU = torch.device("cpu")


@pytest.fixture
def policy(load: Callable[..., MLLM]) -> MLLM:
    return load()


# ------------------------------------------------------------------------------------------------------ messages


def test_a_message_comes_back_as_it_was_sent() -> None:
    sent = Message(
        {"do": "ask", "words": ["ü", 1, None]}, {"a": torch.arange(6).view(2, 3).T, "b": torch.ones(2).bfloat16()}
    )
    came = unpacked(packed(sent))
    assert came.head == sent.head and came.tensors.keys() == sent.tensors.keys()
    assert all(torch.equal(came.tensors[name], sent.tensors[name]) for name in sent.tensors)
    assert unpacked(packed(Message({}))) == Message({})


def test_a_question_holds_each_medium_once_and_its_own_embeddings(policy: MLLM) -> None:
    prepared = policy.prepare(make_prompts(policy, MIXED))
    seeds = [3, 2**63 - 1, 5, 6]
    message = ask(policy.processor, prepared, numbers(policy.processor, 2, Sampling(0.7, 9)), seeds, "embeddings")
    prompts = message.head["prompts"]
    assert [p["seed"] for p in prompts] == [3, MOST_SEED, 5, 6]
    images = [p["ids"].count(policy.processor.image_id) for p in prompts]
    clips = [p["ids"].count(policy.processor.video_id) for p in prompts]
    assert images == [1, 0, 0, 2] and clips == [0, 1, 0, 1]
    pads = (policy.processor.image_id, policy.processor.video_id)
    for b, prompt in enumerate(prompts):  # each run of placeholders as one, and nothing else
        ids = prompt_ids(prepared, b)
        assert prompt["ids"] == [i for n, i in enumerate(ids) if i not in pads or ids[n - 1] != i]
    own = media_of(policy.processor, prepared, requests(prepared))
    assert [sorted(media) for media in own] == [p["media"] for p in prompts]
    for b, kind, placeholder in ((0, "image", policy.processor.image_id), (3, "video", policy.processor.video_id)):
        places = (prepared.token_ids[b] == placeholder) & prepared.valid[b]
        assert torch.equal(message.tensors[f"{b}.{kind}.embeds"], prepared.seen.states[b][places])
    assert own[3]["image.grid"].prod(1).sum() // 4 == (prepared.token_ids[3] == policy.processor.image_id).sum()
    assert own[1]["video.seconds"].tolist() == [1.0] and own[3]["video.seconds"].tolist() == [1.0]


def test_sampling_parameters_are_those_of_the_sampling(policy: MLLM) -> None:
    found = numbers(policy.processor, 4, Sampling(0.7, 9))
    assert (found["n"], found["temperature"], found["max_tokens"]) == (4, 0.7, 9)
    assert (found["top_p"], found["top_k"], found["ignore_eos"]) == (1.0, -1, True)
    assert found["stop_token_ids"] == list(policy.processor.end_ids)
    greedy = numbers(policy.processor, 4, Sampling(0.7, 9, greedy=True))
    assert (greedy["n"], greedy["temperature"]) == (1, 0.0)
    with pytest.raises(UserError, match=r"^algo.sampling.noise: vLLM has no noise on attention: write rollout=native$"):
        numbers(policy.processor, 4, Sampling(0.7, 9, noise=Noise(2.0, AttentionSpec())))


@pytest.mark.parametrize("count", [4, 5])
def test_pixels_come_back_from_patches_to_the_last_bit(policy: MLLM, count: int) -> None:
    """Also those of a clip with an odd number of frames, whose last one was repeated."""
    sides = ((56, 84), (112, 56))
    given = [
        make_pixels("image", 1, sides[0]),
        make_pixels("video", 2, sides[1], count),
        make_pixels("image", 3, sides[1]),
    ]
    media, _ = patch_media(given, policy.processor.patches)
    images, clips = (frames_of(media, kind, policy.processor.patches) for kind in ("image", "video"))
    assert torch.equal(images[0], given[0].frames) and torch.equal(images[1], given[2].frames)
    assert len(clips) == 1 and torch.equal(clips[0], given[1].frames)


def test_pixels_of_later_turns_and_times_of_a_part_are_told_to_be_missing(policy: MLLM) -> None:
    prepared = policy.prepare(make_prompts(policy, MIXED))
    parameters = numbers(policy.processor, 1, Sampling())
    message = ask(policy.processor, prepared, parameters, [0] * 4, "pixels")
    assert message.head["prompts"][3]["media"] == [
        "image.frames.0000",
        "image.frames.0002",
        "video.every.0001",
        "video.frames.0001",
    ]
    with pytest.raises(
        UserError, match=r"^rollout.engine.media=pixels: later turns have no pixels: write .*=embeddings$"
    ):
        ask(policy.processor, prepared.take([0]), parameters, [0], "pixels")
    with pytest.raises(UserError, match=r"^rollout: the times of clips are known of whole batches"):
        ask(policy.processor, prepared.take([1]), parameters, [0], "embeddings")
    ask(policy.processor, prepared.take([0]), parameters, [0], "embeddings")


def test_families_that_vllm_reads_otherwise_are_refused(load: Callable[..., MLLM]) -> None:
    with pytest.raises(UserError, match=r"^rollout: vLLM is known .* not for internvl: write rollout=native$"):
        check_family(load("internvl").processor)
    model = load("qwen3_vl")
    check_family(model.processor)
    prepared = model.prepare(make_prompts(model, (("video",),)))
    with pytest.raises(
        UserError, match=r"^rollout: vLLM reads a video of qwen3_vl as other tokens: write rollout=native"
    ):
        ask(model.processor, prepared, numbers(model.processor, 1, Sampling()), [0], "embeddings")


# ------------------------------------------------------------------------------------------------------- answers


def answers(prepared: Prepared, ids: list[int], count: int = 1, **other: Any) -> list[dict[str, Any]]:
    """An answer of the same ids to every prompt."""
    one = {"ids": ids, "log_probs": [-1.5] * len(ids), "stopped": True, **other}
    return [{"read": prompt_ids(prepared, b), "responses": [one] * count} for b in range(len(prepared))]


def test_answers_become_a_rollout_with_their_ids_and_log_probs(policy: MLLM) -> None:
    prepared = policy.prepare(make_prompts(policy, ((), ("image",))))
    given = answers(prepared, [5, 6, policy.processor.end_id], count=2)
    given[1]["responses"][1] = {"ids": [7], "log_probs": [-0.5], "stopped": False}
    rollout = rollout_of(policy.processor, prepared, given, 2, Sampling(0.9, 5), version=4)
    assert rollout.valid.sum(1).tolist() == [3, 3, 3, 1] and rollout.finish_reasons[3] == "length"
    assert rollout.token_ids[3].tolist() == [7, policy.processor.pad_id, policy.processor.pad_id]
    assert rollout.log_probs is not None and rollout.log_probs[3].tolist() == [-0.5, 0.0, 0.0]
    assert rollout.log_probs.dtype == torch.float32 and rollout.policy_version == 4 and rollout.group_size == 2


def test_the_likeliest_answer_stands_for_all_and_has_log_probs_at_temperature_1_alone(policy: MLLM) -> None:
    prepared = policy.prepare(make_prompts(policy, ((), ("image",))))
    made = [
        rollout_of(policy.processor, prepared, answers(prepared, [5]), 3, Sampling(t, 5, greedy=True), 0)
        for t in (1.0, 0.9)
    ]
    assert [len(rollout.texts) for rollout in made] == [6, 6]
    assert made[0].log_probs is not None and made[1].log_probs is None


def test_another_prompt_a_banned_token_and_a_missing_answer_are_named(policy: MLLM) -> None:
    prepared, sampling = policy.prepare(make_prompts(policy, ((), ("image",)))), Sampling(0.9, 5)
    other = answers(prepared, [5])
    other[1]["read"] = other[1]["read"][:-1]
    with pytest.raises(UserError, match=r"^1: vLLM read another prompt \((\d+) tokens, and it has (\d+)\)"):
        rollout_of(policy.processor, prepared, other, 1, sampling, 0)
    for index in (policy.processor.image_id, policy.processor.vocab_size):
        with pytest.raises(UserError, match=rf"^rollout: vLLM sampled token {index}, which no response may hold"):
            rollout_of(policy.processor, prepared, answers(prepared, [5, index]), 1, sampling, 0)
    with pytest.raises(UserError, match=r"^rollout: vLLM gave 1 responses to a prompt, and 2 were asked for"):
        rollout_of(policy.processor, prepared, answers(prepared, [5]), 2, sampling, 0)
    with pytest.raises(UserError, match=r"^rollout: vLLM answered 1 of 2 prompts"):
        rollout_of(policy.processor, prepared, answers(prepared, [5])[:1], 1, sampling, 0)


# ------------------------------------------------------------------------------------------------------- weights


def test_weights_are_written_whole_once_each_and_in_the_engine_s_numbers(policy: MLLM, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "weights-00099.safetensors").write_text("of an earlier push")
    files = write_weights(policy, torch.bfloat16, folder, writes=True)
    assert sorted(folder.iterdir()) == sorted(files)
    found = {name: value for bucket in buckets(policy, torch.bfloat16) for name, value in bucket.items()}
    assert found.keys() == dict(policy.network.named_parameters()).keys()
    assert {value.dtype for value in found.values()} == {torch.bfloat16}
    assert write_weights(policy, torch.float32, tmp_path / "none", writes=False) and not (tmp_path / "none").exists()


def test_buckets_hold_little_more_than_their_size(policy: MLLM) -> None:
    sizes = [[value.nbytes for value in bucket.values()] for bucket in buckets(policy, torch.float32, 50_000)]
    assert len(sizes) > 3 and all(sum(held[:-1]) < 50_000 for held in sizes)
    assert all(sum(held) >= 50_000 for held in sizes[:-1])


def test_adapters_are_added_into_the_weights(policy: MLLM) -> None:
    before = dict(named_weights(policy, torch.float32))
    add_adapters(policy, Adapters(4, 8, ("q_proj", "down_proj")))
    with torch.no_grad():
        for name, parameter in policy.trained_parameters():
            parameter.add_(0.1 if "lora_B" in name else 0)
    found, wanted = dict(named_weights(policy, torch.float32)), merged(policy.network.state_dict(), policy.network)
    assert found.keys() == before.keys()
    changed = {name for name, value in found.items() if not torch.equal(value, before[name])}
    assert changed and all(name.endswith(("q_proj.weight", "down_proj.weight")) for name in changed)
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6) for name in found)


def test_a_folder_that_cannot_be_written_is_named(policy: MLLM, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^rollout.engine.folder: .*file/w cannot hold the weights .*more room$"):
        write_weights(policy, torch.float32, tmp_path / "file" / "w", writes=True)
    on_all_ranks(None)


# ----------------------------------------------------------------------------------------------------- processes


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Set what the fake process does, and take the package for installed."""
    monkeypatch.setattr(process, "MODULE", "fake_vllm_worker")
    monkeypatch.setattr(process, "check_package", lambda: None)
    monkeypatch.setattr("ral.rollout.vllm.engine.check_package", lambda: None)
    path, seen = tmp_path / "plan.json", tmp_path / "seen"
    monkeypatch.setenv("FAKE_VLLM", str(path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(CONF.parent)]))

    def write(**words: Any) -> Path:
        path.write_text(json.dumps({"seen": str(seen), **words}))
        return seen

    return write


def reads(prepared: Prepared) -> list[list[int]]:
    """The ids of each prompt."""
    return [prompt_ids(prepared, b) for b in range(len(prepared))]


@pytest.fixture
def engine(policy: MLLM, tmp_path: Path) -> Iterator[Callable[[], VLLMEngine]]:
    """Make engines with weights in this test's folder; they are closed after it."""
    made: list[VLLMEngine] = []

    def make() -> VLLMEngine:
        made.append(vllm_engine(policy, folder=str(tmp_path / "pushed")))
        made[-1].update_weights(policy, 3)
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert not list((tmp_path / "pushed").glob("*"))


def test_an_engine_is_given_weights_and_asked(
    policy: MLLM, plan: Callable[..., Path], engine: Callable[[], VLLMEngine]
) -> None:
    prepared = policy.prepare(make_prompts(policy, MIXED))
    seen = plan(read=reads(prepared))
    one = engine()
    with one.session():
        rollout = one.generate(prepared, 2, Sampling(0.9, 5), seed=7)
    assert rollout.policy_version == 3 and rollout.valid.sum(1).tolist() == [3] * 8
    push, question = (json.loads(line) for line in seen.read_text().splitlines())
    assert push["do"] == "push" and question["do"] == "ask"
    uids = [example.uid for example in prepared.prompts.examples]
    assert [prompt["seed"] for prompt in question["prompts"]] == [s & MOST_SEED for s in prompt_seeds(uids, 7)]
    one.update_weights(policy, 4)
    assert one.version == 4 and len(seen.read_text().splitlines()) == 3


def test_a_killed_process_is_named_and_started_again_with_the_weights(
    policy: MLLM, plan: Callable[..., Path], engine: Callable[[], VLLMEngine]
) -> None:
    prepared = policy.prepare(make_prompts(policy, ((),)))
    seen = plan(read=reads(prepared), deaths=1)
    one = engine()
    with pytest.warns(UserWarned, match=r"^rollout=vllm: process \d+ of vLLM ended \(signal SIGKILL\): started again$"):
        assert len(one.generate(prepared, 2, Sampling(0.9, 5), 7).texts) == 2
    assert [json.loads(line)["do"] for line in seen.read_text().splitlines()] == ["push", "ask", "push", "ask"]


@pytest.mark.filterwarnings("ignore:rollout=vllm")
def test_a_process_that_ends_twice_on_one_question_ends_the_run(
    policy: MLLM, plan: Callable[..., Path], engine: Callable[[], VLLMEngine]
) -> None:
    prepared = policy.prepare(make_prompts(policy, ((),)))
    plan(read=reads(prepared), deaths=2)
    with pytest.raises(
        UserError, match=r"^rollout=vllm: vLLM's process ended twice on one question \(signal SIGKILL\)"
    ):
        engine().generate(prepared, 2, Sampling(0.9, 5), 7)


def test_what_vllm_refuses_and_why_it_did_not_start_are_one_line(
    policy: MLLM, plan: Callable[..., Path], engine: Callable[[], VLLMEngine]
) -> None:
    prepared = policy.prepare(make_prompts(policy, ((),)))
    plan(read=reads(prepared), refuse="ValueError: the prompt is too long")
    with pytest.raises(UserError, match=r"^rollout: vLLM refused: ValueError: the prompt is too long$"):
        engine().generate(prepared, 2, Sampling(0.9, 5), 7)
    plan(never="RuntimeError: operator torchvision::nms does not exist")
    with pytest.raises(UserError, match=r"^rollout=vllm: the engine did not start: RuntimeError: .* make vllm"):
        engine()


def test_a_missing_package_is_one_line_that_says_how_to_get_it(policy: MLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "vllm" else find(name, *more))
    with pytest.raises(
        UserError, match=r"^rollout=vllm: the package vllm is not installed .*\[vllm\]'.* make vllm, then"
    ):
        vllm_engine(policy)


def test_the_process_is_none_of_the_run_s_ranks_and_sees_one_gpu() -> None:
    ranks = {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "MASTER_PORT": "1",
        "TORCHELASTIC_RUN_ID": "x",
        "A": "b",
    }
    found = environment(CPU, ranks)
    assert found["A"] == "b" and not ranks.keys() & found.keys() - {"A"} and found["CUDA_VISIBLE_DEVICES"] == ""
    visible = lambda index, **given: environment(torch.device("cuda", index), given)["CUDA_VISIBLE_DEVICES"]  # noqa: E731
    assert [visible(1), visible(1, CUDA_VISIBLE_DEVICES="4,6")] == ["1", "6"]


def test_an_engine_computes_in_the_numbers_of_the_trainer_s_arithmetic(policy: MLLM) -> None:
    found = [engine_dtype(policy, name) for name in ("auto", "32-true", "bf16-mixed")]
    assert found == [torch.float32, torch.float32, torch.bfloat16]
    with pytest.raises(UserError, match=r"^rollout.engine.precision=fp8: write 32-true, bf16-mixed or auto$"):
        engine_dtype(policy, "fp8")


def test_arguments_ban_placeholders_control_tokens_and_rows_without_a_token(policy: MLLM) -> None:
    processor = policy.processor
    found = engine_arguments(processor, processor.vocab_size + 3, "float32", options={"seed": 5}, cpu=True)
    banned = found["additional_config"]["banned"]
    assert {processor.image_id, processor.video_id} <= set(banned) and not set(processor.end_ids) & set(banned)
    assert banned[-3:] == list(range(processor.vocab_size, processor.vocab_size + 3))
    assert found["seed"] == 5 and found["enable_chunked_prefill"] is False
    assert "enforce_eager" not in engine_arguments(processor, 1, "float32")


def test_the_yaml_is_valid_and_takes_the_precision_of_the_hardware() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["rollout=vllm", "hardware.precision=bf16-mixed"])
        assert compose("evaluate", ["rollout=vllm"]).rollout.engine.precision == "auto"
    check(cfg)
    assert cfg.rollout.engine.precision == "bf16-mixed"
