"""T-GRPO: the shuffled frames, the two bonuses on every mix of media, and what is trained on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import CONF, make_pixels
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import Tensor

from ral.algorithms.bonuses import LengthBonus, OrderBonus
from ral.algorithms.frame_shuffle import frame_order, shuffled_clips
from ral.algorithms.t_grpo import Temporal
from ral.config.check import check
from ral.learner.metrics import Meter
from ral.models.mllm import MLLM
from ral.models.registry import FAMILIES
from ral.rewards.combine import Part, Reward
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.seeds import hash_seed
from ral.types import Example, Media, Pixels, PromptBatch, Rollout, Scores, UserError
from ral.worlds.draw import write_frames

ROOT = CONF.parent
KINDS = (("image",), ("video", "image", "video"), (), ("image", "video"), ("image", "image"))
"""The first prompt has no clip, the last no clip either; clips stand before, between and after pictures."""


def mixed_media(model: MLLM, frames: int) -> list[list[Pixels]]:
    """Media of KINDS in several sizes; the clips of a prompt have `frames` frames, the next one more."""
    s = max(model.processor.patches.factor, 28)
    return [
        [make_pixels(k, 10 * i + j, (2 * s, (2 + j) * s), frames + j) for j, k in enumerate(kinds)]
        for i, kinds in enumerate(KINDS)
    ]


def mixed_batch(model: MLLM, media: list[list[Pixels]], chosen: tuple[int, ...] = (0, 1, 2, 3, 4)) -> PromptBatch:
    """The chosen prompts of KINDS, of different lengths."""
    examples = [
        Example(f"uid-{i}", "q", "red", "free-form", tuple(Media(k, Path(f"{i}.x")) for k in KINDS[i]))  # type: ignore[arg-type]
        for i in chosen
    ]
    return model.processor.batch(examples, ["What color?" + " Think" * i for i in chosen], [media[i] for i in chosen])


def same_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[k], other[k]) for k in one)


# ------------------------------------------------------------------------------------------------ shuffled frames


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_equals_shuffling_the_frames_before_they_are_cut(
    family: str, frames: int, load: Callable[..., MLLM]
) -> None:
    model = load(family)
    media = mixed_media(model, frames)
    batch = mixed_batch(model, media)
    shuffled = shuffled_clips(batch, model.processor.patches, seed=7)
    assert shuffled is not None
    by_hand = [list(group) for group in media]
    for n in (1, 3):
        generator = torch.Generator().manual_seed(hash_seed(7, zlib.crc32(f"uid-{n}".encode())))
        for j, pixels in enumerate(media[n]):
            if pixels.kind == "video":
                order = frame_order(len(pixels.frames), generator)
                by_hand[n][j] = replace(pixels, frames=pixels.frames[order])
    want = mixed_batch(model, by_hand, (1, 3))
    assert same_tensors(shuffled.media, want.media)
    assert torch.equal(shuffled.token_ids, want.token_ids) and torch.equal(shuffled.valid, want.valid)
    assert torch.equal(shuffled.visual, want.visual) and shuffled.grids == want.grids
    assert [e.uid for e in shuffled.examples] == ["uid-1", "uid-3"]
    plain, seen = model.prepare(mixed_batch(model, media, (1, 3))), model.prepare(shuffled)
    assert torch.equal(plain.positions, seen.positions)
    assert not torch.equal(plain.seen.states, seen.seen.states)


def test_orders_are_permutations_and_never_the_frames_own() -> None:
    for count in (2, 3, 8):
        orders = {tuple(frame_order(count, torch.Generator().manual_seed(seed))) for seed in range(60)}
        assert all(sorted(order) == list(range(count)) for order in orders)
        assert tuple(range(count)) not in orders
        assert len(orders) == {2: 1, 3: 5}.get(count, len(orders)) and (count < 8 or len(orders) > 50)
    assert frame_order(1, torch.Generator()) == [0]


def test_an_order_depends_on_seed_and_uid_alone(load: Callable[..., MLLM]) -> None:
    model = load()
    media, settings = mixed_media(model, 5), model.processor.patches

    def clips(chosen: tuple[int, ...], seed: int) -> dict[str, Tensor]:
        shuffled = shuffled_clips(mixed_batch(model, media, chosen), settings, seed)
        assert shuffled is not None
        return shuffled.media

    assert same_tensors(clips((0, 1, 2, 3, 4), 1), clips((0, 1, 2, 3, 4), 1))
    assert not same_tensors(clips((3,), 1), clips((3,), 2))
    alone, first = clips((3,), 1)["pixel_values_videos"], clips((3, 1), 1)["pixel_values_videos"]
    assert torch.equal(alone, clips((0, 1, 3), 1)["pixel_values_videos"][-len(alone) :])
    assert torch.equal(alone, first[: len(alone)])
    assert shuffled_clips(mixed_batch(model, media, (0, 2, 4)), settings, 1) is None


# ---------------------------------------------------------------------------------------------------- the bonuses


@pytest.mark.parametrize(
    "ordered, shuffled, earned",
    [
        ([1, 1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0, 0]),  # a = 0.6 = 0.8 * 0.75: passed
        ([1, 1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0, 0]),  # below
        ([1, 0.99, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0, 0]),  # a = 0.598, just below
        ([1, 0.1, 0.11, 0], [0, 0], [1, 0, 1, 0]),  # right means above 0.1
        ([0, 0], [0], [0, 0]),  # passed, and nobody is right
    ],
)
def test_order_bonus_by_hand(ordered: list[float], shuffled: list[float], earned: list[int]) -> None:
    found = OrderBonus().earners(torch.tensor([ordered], dtype=torch.float32), torch.tensor([shuffled]).float())
    assert found.int().tolist() == [earned]
    assert bool(OrderBonus().passes(torch.zeros(1, 4), torch.zeros(1, 2)))


@pytest.mark.parametrize(
    "accuracy, tokens, earned",
    [
        ([1, 1, 1, 1], [319, 320, 512, 513], [0, 1, 1, 0]),
        ([1, 0, 0, 0.1], [400, 400, 400, 400], [0, 0, 0, 0]),  # one right answer is too few
        ([1, 0, 0, 0.11], [400, 400, 400, 9], [1, 0, 0, 0]),  # two, one of them too short
    ],
)
def test_length_bonus_by_hand(accuracy: list[float], tokens: list[int], earned: list[int]) -> None:
    found = LengthBonus().earners(torch.tensor([accuracy], dtype=torch.float32), torch.tensor([tokens]))
    assert found.int().tolist() == [earned]


def says_red(example: Example, response: str) -> float:
    """Accuracy for made-up responses."""
    return float(response == "red")


def made(prompts: PromptBatch, texts: str, group: int, tokens: int = 1) -> Rollout:
    """A rollout of made-up responses, `r` for a right one, all of one length."""
    words = tuple("red" if letter == "r" else "no" for letter in texts if letter != " ")
    ids = torch.ones(len(words), tokens, dtype=torch.int64)
    return Rollout(prompts, ids, ids > 0, ids > 0, words, ("stop",) * len(words), group)


def temporal(**settings: object) -> Temporal:
    numbers = {"sampling": Sampling(), "group_size": 4, **settings}
    return Temporal(Part(says_red, 0.9), OrderBonus(), **numbers)  # type: ignore[arg-type]


def rewarded(collaborator: Temporal, rollout: Rollout, shuffled: Rollout | None) -> tuple[Scores, dict[str, float]]:
    """Scores with the bonuses, and what is logged."""
    plain = Reward({"accuracy": Part(says_red, 0.9), "format": Part(lambda e, r: 1.0, 0.1)})(rollout)
    scores, pairs = collaborator.add(plain, rollout, shuffled)
    assert torch.equal(scores.parts["accuracy"], plain.parts["accuracy"])
    meter = Meter()
    meter.add(pairs)
    return scores, meter.means(lambda x: x)


def test_a_batch_whose_first_prompt_is_a_picture(load: Callable[..., MLLM]) -> None:
    """Each prompt's own media decide, not the first one's: prompts 1 and 3 have clips, and only 1 passes."""
    model = load()
    media = mixed_media(model, 4)
    rollout = made(mixed_batch(model, media), "rrrr rrno rrrr rnon rnno", 4)
    shuffled = made(mixed_batch(model, media, (1, 3)), "no rr", 2)
    scores, means = rewarded(temporal(), rollout, shuffled)
    assert scores.parts["temporal"].view(5, 4).tolist() == [[0] * 4, [1, 1, 0, 0], [0] * 4, [0] * 4, [0] * 4]
    assert scores.reward.view(5, 4)[1].tolist() == pytest.approx([1.27, 1.27, 0.1, 0.1])
    assert scores.reward.view(5, 4)[0].tolist() == pytest.approx([1.0] * 4)
    assert means == pytest.approx(
        {"temporal_pass_rate": 0.5, "accuracy_clips": (0.5 + 0.25) / 2, "accuracy_shuffled": 0.5}
    )


def test_a_batch_without_clips_gets_the_length_bonus_alone(load: Callable[..., MLLM]) -> None:
    model = load()
    rollout = made(mixed_batch(model, mixed_media(model, 4), (0, 2)), "rrno rnno", 4, tokens=400)
    scores, means = rewarded(temporal(length=LengthBonus()), rollout, None)
    assert means == {}
    assert scores.parts["length"].tolist() == [1, 1, 0, 0, 0, 0, 0, 0] and not scores.parts["temporal"].any()
    assert scores.reward.tolist() == pytest.approx([1.2, 1.2, 0.1, 0.1, 1.0, 0.1, 0.1, 0.1])


def test_settings_that_cannot_work() -> None:
    assert temporal(share=0.4).count == 2
    with pytest.raises(
        UserError, match=r"^algo.temporal.share=0.1 of algo.group_size=4 is no response: write 0.25 or more$"
    ):
        temporal(share=0.1)
    with pytest.raises(UserError, match=r"^reward.parts.accuracy.weight=0 leaves the order bonus .* without effect"):
        Temporal(Part(says_red, 0.0), OrderBonus(), sampling=Sampling(), group_size=4)
    with pytest.raises(UserError, match="shortest=9 to longest=8 is no range"):
        LengthBonus(shortest=9, longest=8)

    def checked(*overrides: str) -> None:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            check(compose("train", ["algo=t_grpo", *overrides]))

    checked("reward=strict", "algo.temporal.length=null")
    checked("reward=strict", "~reward.parts.length")
    with pytest.raises(UserError, match=r"write ~reward\.parts\.length or algo\.temporal\.length=null$"):
        checked("reward=strict")


# ----------------------------------------------------------------------------------------------------------- runs


def test_answers_to_shuffled_clips_are_never_trained_on(
    run: Callable[..., Path], data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps of the shipped model: the clips are answered again, half as often, and the update sees the rest."""
    sampled: list[Rollout] = []
    trained: list[Rollout] = []
    draw, freeze = NativeEngine.generate, import_module("ral.learner.step").freeze
    monkeypatch.setattr(NativeEngine, "generate", lambda *a, **k: (sampled.append(draw(*a, **k)), sampled[-1])[1])
    monkeypatch.setattr("ral.learner.step.freeze", lambda *a: (trained.append(a[2].rollout), freeze(*a))[1])
    folder = run(
        "algo=t_grpo",
        "dataset=visual_search",
        f"dataset.path={data_folder}",
        "dataset.source.sizes={sft: 16, train: 16, validation: 4, test: 4}",
        "max_steps=2",
        "eval.every=0",
        "eval.before=false",
        "algo.updates_per_rollout=2",
        "dataset.max_new_tokens=16",
    )
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    answers = sampled[:-1]  # the last is the evaluation's
    ordered, again = [r for r in answers if r.group_size == 8], [r for r in answers if r.group_size == 4]
    assert [id(r) for r in trained] == [id(r) for r in ordered] and len(ordered) == 2 == len(again)
    for whole, part in zip(ordered, again, strict=True):
        clips = [e.uid for e in whole.prompts.examples if e.media[0].kind == "video"]
        assert [e.uid for e in part.prompts.examples] == clips and 0 < len(clips) < 8
    for line in lines[:2]:
        assert 0 <= line["train/temporal_pass_rate"] <= 1 and 0 <= line["train/accuracy_shuffled"] <= 1
        bonus = 0.9 * 0.3 * line["train/temporal"] + 0.2 * line["train/length"]
        assert line["train/reward"] == pytest.approx(
            0.9 * line["train/accuracy"] + 0.1 * line["train/format"] + bonus, abs=1e-6
        )


def write_entries(folder: Path, *names: str) -> Path:
    """A file of entries: text alone, one picture, three pictures, a clip, a clip between pictures."""
    for i in range(3):
        Image.new("RGB", (56, 84), (80 * i, 100, 50)).save(folder / f"{i}.png")
    for i in range(2):
        frames = [Image.new("RGB", (56, 56), (10 + 30 * n, 80 * i, 40)) for n in range(4 + 2 * i)]
        write_frames(frames, folder / f"{i}.mp4", 1)
    entries = {
        "text": {"question": "2 + 2?", "answer": "4", "problem_type": "numerical", "images": []},
        "picture": {"question": "What color?", "answer": "red", "image": "0.png"},
        "pictures": {"question": "Which differs?", "answer": "red", "images": ["0.png", "1.png", "2.png"]},
        "clip": {"question": "What moves?", "answer": "red", "video": "0.mp4"},
        "clips": {"question": "Which is longer?", "answer": "red", "videos": ["1.mp4", "0.mp4"], "image": "2.png"},
    }
    path = folder / "data.json"
    path.write_text(json.dumps([entries[name] for name in names or entries]))
    return path


def own_data(path: Path, model: Path) -> list[str]:
    return [
        f"model.pretrained={model}",
        "dataset=jsonl",
        f"dataset.path={path}",
        f"dataset.validation_path={path}",
        "dataset.templates.think=short",
        "dataset.media.image_min_pixels=784",
        "dataset.media.video_min_pixels=784",
        "dataset.max_new_tokens=6",
        "eval.every=0",
        "eval.before=false",
        "logger=jsonl",
        "reward.parts.accuracy.function._target_=test_training.short_is_good",
    ]


@pytest.mark.parametrize("algo", ["grpo", "ral", "t_grpo"])
@pytest.mark.parametrize(
    "family", ["qwen2_5_vl", *(pytest.param(name, marks=pytest.mark.slow) for name in ("qwen3_vl", "internvl"))]
)
def test_one_batch_mixes_text_pictures_and_clips(
    family: str, algo: str, run: Callable[..., Path], tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """All entries of a file in one step, in micro-batches that mix them too."""
    folder = run(
        f"algo={algo}",
        *own_data(write_entries(tmp_path), model_folder(family)),
        "max_steps=1",
        "algo.prompts_per_step=5",
        "algo.updates_per_rollout=2",
        "hardware.micro_batch_prompts=3",
    )
    (line,) = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(value == value for value in line.values()) and line["train/grad_norm"] > 0
    assert line["train/engine_log_prob_gap"] < 1e-4
    kinds = {json.loads(record)["data_type"] for record in (folder / "eval/after.jsonl").read_text().splitlines()}
    assert kinds == {"text", "image", "video"}
    assert ("train/temporal_pass_rate" in line) == (algo == "t_grpo")


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "hardware, other",
    [("ddp", "text"), ("fsdp", "text"), ("fsdp", "pictures")],
)
@slow
def test_a_rank_without_clips_beside_one_with_clips(
    hardware: str, other: str, run: Callable[..., Path], tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """Two processes, one prompt each, one of them with clips: no deadlock, and the figures of one process."""
    settings = ["algo=t_grpo", *own_data(write_entries(tmp_path, other, "clips"), model_folder())]
    settings += ["max_steps=2", "algo.prompts_per_step=2", "algo.group_size=4", "algo.updates_per_rollout=1"]
    two = [f"hardware={hardware}", "hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0"]
    paths = os.pathsep.join((str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))
    environment = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *settings, *two, f"hydra.run.dir={tmp_path / 'two'}"],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    texts = [(folder / "metrics.jsonl").read_text() for folder in (run(*settings, folder="one"), tmp_path / "two")]
    alone, both = ([json.loads(line) for line in text.splitlines()] for text in texts)
    assert len(alone) == len(both) == 2
    for one, figures in zip(alone, both, strict=True):
        assert {"train/temporal_pass_rate", "train/accuracy_shuffled", "train/temporal"} <= set(one)
        for key in (k for k in one if k.startswith("train/") and "update" not in k):
            assert figures[key] == pytest.approx(one[key], rel=1e-3, abs=1e-5), key
