"""Reward models: the loss, the scores, training on preferences, and the learned part of a reward."""

from __future__ import annotations

import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, MIXED, load_script, make_prompts
from PIL import Image
from safetensors.torch import load_file

from ral.data.bad import BadSample
from ral.data.sources import jsonl
from ral.learner.collate import Collate
from ral.models.mllm import MLLM
from ral.models.opening import load as load_plain
from ral.models.registry import FAMILIES
from ral.models.reward import HEAD, LearnedReward, add_head, read_facts, response_scores
from ral.ops.aggregate import Counts, sequence_mean
from ral.ops.preferences import bradley_terry
from ral.rewards.combine import Part, Reward
from ral.rollout.given import Pairs, written
from ral.types import Example, PromptBatch, Rollout, UserError
from ral.worlds.preferences import other_option

LONG, SHORT = "<think>red</think><answer>A. red</answer>", "<answer>blue</answer>"


# --- the loss ---------------------------------------------------------------------------------------------------------


def loss_of(scores: torch.Tensor, lengths: list[int], **keywords: float) -> Any:
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    weights = sequence_mean(mask, Counts(float(len(lengths)), float(mask.sum()))).to(scores.dtype)
    return bradley_terry(scores, mask, weights, **keywords)


def test_loss_of_two_pairs_by_hand() -> None:
    """Margins ln 3 and -1: -ln(3/4) and ln(1 + e); sums 0 and 3; whatever the lengths."""
    scores = torch.tensor([math.log(3) / 2, -math.log(3) / 2, 1.0, 2.0])
    plain = (math.log(4 / 3) + math.log(1 + math.e)) / 2
    for lengths in ([1, 1, 1, 1], [4, 1, 2, 3]):
        loss = loss_of(scores, lengths)
        assert float(loss.value) == pytest.approx(plain, rel=1e-6)
        centred = loss_of(scores, lengths, coef=2.0, centring=0.1)
        assert float(centred.value) == pytest.approx(2 * (plain + 0.1 * 9 / 2), rel=1e-6)
    assert [float(x) for x in loss.metrics["pair_accuracy"]] == [1.0, 2.0]
    assert float(loss.metrics["margin"][0]) == pytest.approx(math.log(3) - 1, rel=1e-6)
    assert float(loss_of(torch.ones(2), [1, 1]).metrics["pair_accuracy"][0]) == 0.5


def test_gradient_equals_finite_differences_and_large_margins_stay_finite() -> None:
    scores = torch.tensor([0.3, -0.7, 1.1, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: loss_of(s, [2, 1, 3, 3], centring=0.05).value, scores)
    far = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss_of(far, [1, 1]).value.backward()
    assert far.grad is not None and far.grad.tolist() == [-1.0, 1.0]


# --- the scores -------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(load: Callable[..., MLLM]) -> MLLM:
    """A random network with a head that tells states apart."""
    model = load()
    add_head(model)
    with torch.no_grad():
        model.network.reward_head.weight.mul_(100)
    return model


def scored(model: MLLM, prompts: PromptBatch, texts: list[str]) -> torch.Tensor:
    prepared = model.prepare(prompts)
    rollout = written(model.processor, prepared, texts)
    return response_scores(model, prepared, rollout.token_ids, rollout.valid)


@torch.no_grad()
def test_the_score_is_the_head_on_the_state_of_the_last_token_in_plain_transformers(
    model: MLLM, model_folder: Callable[..., Path]
) -> None:
    """One text prompt: Transformers' own forward over prompt and response, its last state times the head."""
    from transformers import AutoModelForImageTextToText

    prompts = make_prompts(model, ((),))
    plain = AutoModelForImageTextToText.from_pretrained(model_folder())
    for text in (LONG, SHORT):
        ids = torch.cat([prompts.token_ids[0], torch.tensor(model.processor.response_ids(text))])[None]
        state = plain.model(input_ids=ids).last_hidden_state[0, -1]
        found = scored(model, prompts, [text])[0]
        torch.testing.assert_close(found, model.network.reward_head(state)[0], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_batch_group_or_padding(
    family: str, shared: bool, model_folder: Callable[..., Path]
) -> None:
    """Mixed media: all prompts with two responses = responses swapped = more padding = one by one."""
    model = load_plain(str(model_folder(family)), share_prompt=shared)
    add_head(model)
    model.network.reward_head.weight.mul_(100)
    prompts = make_prompts(model, MIXED)
    texts = [LONG, SHORT, SHORT, LONG, LONG + LONG, SHORT, "a", "b"]
    prepared = model.prepare(prompts)
    rollout = written(model.processor, prepared, texts)
    ids, mask = rollout.token_ids, rollout.valid
    found = response_scores(model, prepared, ids, mask)
    assert found.std() > 0.1 and found.dtype == torch.float32

    swapped = scored(model, prompts, [texts[n ^ 1] for n in range(8)])
    torch.testing.assert_close(swapped, found[[n ^ 1 for n in range(8)]], atol=1e-5, rtol=1e-5)
    wide, noise = torch.nn.functional.pad(mask, (0, 5)), torch.nn.functional.pad(ids, (0, 5), value=7)
    torch.testing.assert_close(response_scores(model, prepared, noise, wide), found, atol=1e-5, rtol=1e-5)
    for n in range(4):
        part = prepared.take([n])
        for g in range(2):
            row = rollout.valid[2 * n + g].sum()
            alone = response_scores(
                model, part, ids[2 * n + g : 2 * n + g + 1, :row], mask[2 * n + g : 2 * n + g + 1, :row]
            )
            torch.testing.assert_close(alone[0], found[2 * n + g], atol=1e-5, rtol=1e-5)


def test_padding_gets_no_gradient_and_the_head_is_trained(model: MLLM) -> None:
    trained = dict(model.trained_parameters())
    assert HEAD in trained and not any("visual" in name for name in trained)
    scored(model, make_prompts(model, (("image",), ())), [LONG, SHORT, "a", "b"]).sum().backward()
    assert all(p.grad is not None for p in trained.values())
    assert trained[HEAD].grad.abs().sum() > 0  # type: ignore[union-attr]


# --- the data ---------------------------------------------------------------------------------------------------------


def write_pairs(folder: Path, count: int = 40) -> Path:
    """Pairs of a picture, two pictures or text alone in which the answer in tags is preferred."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(3):
        Image.new("RGB", (56, 56), (80 * i, 100, 50)).save(folder / f"{i}.png")
    media = [["0.png"], ["1.png", "2.png"], []]
    colours = ["red", "blue", "What", "star"]
    entries = [
        {
            "question": "What color is the star?",
            "problem_type": "free-form",
            "images": media[n % 3],
            "chosen": f"<think>{colours[n % 4]}</think><answer>{colours[n % 4]}</answer>",
            "rejected": f"{colours[n % 4]} <answer> Think",
        }
        for n in range(count)
    ]
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(e) + "\n" for e in entries))
    return path


def collate(model: MLLM, preferences: bool) -> Collate:
    return Collate(model.processor, ("short", "short_zero"), True, targets=False, preferences=preferences)


def parsed(folder: Path, **fields: Any) -> Any:
    """The example of an entry of text alone with these fields."""
    path = folder / "one.jsonl"
    line = json.dumps({"question": "2 + 2?", "images": [], **fields}) + "\n"
    path.write_text(line * 2)
    return jsonl("train", path=path)[0]


def test_preferences_need_no_gold_answer_and_runs_without_them_do(tmp_path: Path, model: MLLM) -> None:
    example = parsed(tmp_path, chosen=LONG, rejected=SHORT, options=["red", "blue"])
    assert (example.chosen, example.rejected, example.answer) == (LONG, SHORT, "")
    assert example.options == ("A. red", "B. blue") and example.problem_type == "multiple choice"
    collate(model, True).check(example)
    with pytest.raises(BadSample, match=r"one.jsonl: entry 1: field 'answer': missing, and this run needs it"):
        collate(model, False).check(example)
    with pytest.raises(BadSample, match="field 'chosen': missing, and this run trains on preferences; write chosen"):
        collate(model, True).check(parsed(tmp_path, answer="4"))
    placeholder = replace(example, rejected="<|image_pad|>")
    with pytest.raises(BadSample, match=r"the rejected holds the placeholder <\|image_pad\|>"):
        collate(model, True).check(placeholder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"chosen": "a"}, "field 'rejected': missing or empty"),
        ({"rejected": "a", "answer": "4"}, "field 'chosen': missing or empty"),
        ({"chosen": "a", "rejected": "a"}, "field 'rejected': the same as chosen"),
        ({"chosen": 3, "rejected": "a"}, "field 'chosen': 3 is not text"),
        ({}, "field 'answer': missing or empty"),
    ],
)
def test_half_a_preference_is_a_bad_entry(fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadSample, match=says):
        parsed(tmp_path, **fields)


def test_pairs_are_made_of_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (56, 56)).save(tmp_path / "0.png")
    choice = {"question": "Color?", "options": ["red", "blue"], "answer": "A", "thought": "it is red", "images": []}
    free = [{"question": "Which?", "answer": a, "thought": f"it is {a}", "image": "0.png"} for a in ("x", "y")]
    lonely = {"question": "How many?", "answer": "3", "problem_type": "numerical", "images": []}
    bad = {"question": "Where?", "answer": "x", "image": "gone.png"}
    data, output = tmp_path / "data.json", tmp_path / "out" / "pairs.jsonl"
    data.write_text(json.dumps([bad, choice, *free, lonely]))
    assert load_script("make_preferences").main(["--data", str(data), "--output", str(output)]) == 0
    assert re.search(r"pairs: 3 left out: 1 bad: 1 \(.*entry 1: .*no such file.*gone.png", capsys.readouterr().out)
    found = list(jsonl("train", path=output, validation_path=output))
    assert [(e.chosen, e.rejected) for e in found] == [
        ("<think>it is red</think><answer>A</answer>", "<think>it is blue</think><answer>B</answer>"),
        ("<think>it is x</think><answer>x</answer>", "<think>it is y</think><answer>y</answer>"),
        ("<think>it is y</think><answer>y</answer>", "<think>it is x</think><answer>x</answer>"),
    ]
    assert found[1].media[0].path == tmp_path / "0.png"
    assert load_script("make_preferences").main(["--data", str(tmp_path / "none.json"), "--output", str(output)]) == 1
    assert load_script("make_preferences").main(["--data", str(data), "--output", str(data / "pairs.jsonl")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    ("options", "thought", "rejected"),
    [
        (
            ("A. red", "B. blue"),
            "a hundred; Red, so red.",
            "<think>a hundred; blue, so blue.</think><answer>B</answer>",
        ),
        (("A. red", "B. blue"), "one of a hundred", None),  # it would argue for the right one
        (("A.", "B. blue"), "so it is", None),
        (("A. red", "B."), "it is red", None),
        (("A. red", "B. \\1"), "it is red", "<think>it is \\1</think><answer>B</answer>"),
        (("A. red", "B. blue"), None, "<answer>B</answer>"),
    ],
)
def test_a_rejected_response_argues_for_its_own_option(
    options: tuple[str, ...], thought: str | None, rejected: str | None
) -> None:
    example = Example("a", "Color?", "A", "multiple choice", options=options, thought=thought)
    assert other_option(example, random.Random(0)) == rejected


# --- runs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def preferences(tmp_path: Path, model_folder: Callable[..., Path]) -> list[str]:
    """Overrides for training on made pairs with a small random model."""
    return [
        "algo=reward_model",
        f"model.pretrained={model_folder()}",
        "dataset=jsonl",
        f"dataset.path={write_pairs(tmp_path / 'pairs')}",
        "dataset.templates.think=mini",
        "dataset.media.image_min_pixels=784",
        "algo.prompts_per_step=8",
        "hardware.micro_batch_prompts=3",
        "algo.warmup=0",
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_training_ranks_pairs_and_its_model_is_a_reward(
    preferences: list[str], run: Callable[..., Path], small: list[str]
) -> None:
    """Pairs are ranked right after a few steps; the folder is a plain model and a reward; a GRPO step uses it."""
    trained = run(*preferences, "max_steps=10", "eval.every=5", "algo.learning_rate=1e-3", folder="rm", report=True)
    metrics = lines(trained / "metrics.jsonl")
    assert [line["step"] for line in metrics] == list(range(11))
    assert {"train/loss", "train/loss_preference", "train/pair_accuracy", "train/margin", "train/grad_norm"} <= set(
        metrics[1]
    )
    assert metrics[1]["train/loss"] == pytest.approx(math.log(2), abs=0.1)
    assert metrics[-1]["train/pair_accuracy"] == 1 and metrics[-1]["train/margin"] > 1
    assert metrics[5]["eval/accuracy"] >= 0 and metrics[-1]["eval/accuracy"] == 1

    records = lines(trained / "eval" / "after.jsonl")
    assert all(r["reward"] > r["rejected_reward"] and r["accuracy"] == 1 for r in records)
    assert "rejected, score" in (trained / "report.html").read_text()

    facts = read_facts(trained / "hf")
    scores = torch.tensor([r[k] for r in records for k in ("reward", "rejected_reward")])
    assert facts["pairs"] == len(records) == 8 and facts["pair_accuracy"] == 1
    assert (facts["mean"], facts["std"]) == pytest.approx((float(scores.mean()), float(scores.std(correction=0))))
    assert not any(HEAD in name for name in MLLM.load(str(trained / "hf")).network.state_dict())

    rl = run(
        "algo=grpo",
        "reward=learned",
        f"reward.checkpoint={trained / 'hf'}",
        *small,
        "max_steps=1",
        "algo.group_size=2",
        folder="rl",
    )
    step = lines(rl / "metrics.jsonl")[-1]
    whole = 0.4 * step["train/accuracy"] + 0.1 * step["train/format"] + 0.5 * step["train/learned"]
    assert step["train/reward"] == pytest.approx(whole, abs=1e-5) and step["train/learned"] != 0
    assert all(math.isfinite(r["learned"]) for r in lines(rl / "eval" / "after.jsonl"))


def test_resume_equals_the_uninterrupted_run(preferences: list[str], run: Callable[..., Path]) -> None:
    common = [*preferences, "eval.every=0", "eval.before=false"]
    whole = run(*common, "max_steps=3", "checkpoint.every=2", folder="whole")
    rest = run(*common, "max_steps=3", f"resume={whole / 'checkpoints' / 'step_000002'}", folder="rest")
    for file in ("model.safetensors", "reward_head.safetensors"):
        assert (whole / "hf" / file).read_bytes() == (rest / "hf" / file).read_bytes()


def test_micro_batches_do_not_change_the_update(preferences: list[str], run: Callable[..., Path]) -> None:
    common = [*preferences, "eval.every=0", "eval.before=false", "max_steps=1"]
    values = [
        lines(run(*common, f"hardware.micro_batch_prompts={m}", folder=f"m{m}") / "metrics.jsonl")[-1] for m in (8, 1)
    ]
    for key in ("train/loss", "train/grad_norm", "train/margin", "train/pair_accuracy"):
        assert values[0][key] == pytest.approx(values[1][key], rel=1e-4), key


@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_two_processes_equal_one(hardware: str, preferences: list[str], tmp_path: Path) -> None:
    """The same 8 pairs on one rank, and 4 and 4 on two: the same metrics, weights and head after two SGD updates."""
    sgd = ["optim.optimizer._target_=torch.optim.SGD", *(f"~optim.optimizer.{k}" for k in ("betas", "eps", "fused"))]
    common = [*preferences, *sgd, "algo.learning_rate=0.1", "max_steps=2", "eval.every=0", "logger=jsonl"]
    two = ["hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0", f"hardware={hardware}"]
    environment = {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"} | {"OMP_NUM_THREADS": "1"}
    for name, extra in (("one", []), ("two", two)):
        command = [sys.executable, str(CONF.parent / "train.py"), *common, *extra, f"hydra.run.dir={tmp_path / name}"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
    one, other = (lines(tmp_path / name / "metrics.jsonl")[-1] for name in ("one", "two"))
    for key in ("train/loss", "train/margin", "train/pair_accuracy", "train/grad_norm", "eval/reward", "eval/accuracy"):
        assert other[key] == pytest.approx(one[key], rel=1e-4, abs=1e-6), key
    for file in ("model.safetensors", "reward_head.safetensors"):
        ours, theirs = (load_file(tmp_path / name / "hf" / file) for name in ("one", "two"))
        for key, value in ours.items():
            torch.testing.assert_close(theirs[key], value, atol=1e-6, rtol=1e-5)


# --- the learned part -------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(model: MLLM, tmp_path: Path) -> Path:
    """A folder with a reward model that nothing was trained on."""
    from ral.models.reward import save_reward_model

    save_reward_model(model, dict(model.network.state_dict()), tmp_path / "hf", {"mean": 0.5, "std": 2.0})
    return tmp_path / "hf"


@torch.no_grad()
def test_the_learned_part_scores_what_was_sampled(checkpoint: Path, model: MLLM, load: Callable[..., MLLM]) -> None:
    """A policy of other weights samples; the part sees the pixels and the ids, in whatever batches, and normalises."""
    policy = load()
    prompts = make_prompts(policy, MIXED)
    rollout = Pairs(policy.processor)(policy.prepare(with_pairs(prompts)))
    expected = response_scores(model, model.prepare(prompts), rollout.token_ids, rollout.valid)
    for batch in (1, 3, 8):
        part = LearnedReward(checkpoint=str(checkpoint), batch=batch, normalise=False)
        part.check(policy)
        scores = Reward({"learned": Part(part, 1.0)})(rollout)
        torch.testing.assert_close(scores.parts["learned"], expected, atol=1e-5, rtol=1e-5)
    assert not any(p.requires_grad for p in part.model.parameters())
    normal = Reward({"learned": Part(LearnedReward(checkpoint=str(checkpoint)), 2.0)})(rollout)
    torch.testing.assert_close(normal.reward, 2 * (expected - 0.5) / 2.0, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="learned scores rollouts, and was given texts alone"):
        Reward({"learned": Part(part, 1.0)}).score(prompts.examples, ["a"] * 4)


def with_pairs(prompts: PromptBatch) -> PromptBatch:
    pairs = [replace(e, chosen=LONG, rejected=SHORT) for e in prompts.examples]
    return replace(prompts, examples=tuple(pairs))


def test_pictures_change_the_score(checkpoint: Path, model: MLLM) -> None:
    """Only the pixels differ, and so does the score: the part looks."""
    prompts = with_pairs(make_prompts(model, (("image",),)))
    other = replace(prompts, media=prompts.media | {"pixel_values": -prompts.media["pixel_values"]})
    part = LearnedReward(checkpoint=str(checkpoint))
    rollouts: list[Rollout] = [Pairs(model.processor)(model.prepare(p)) for p in (prompts, other)]
    first, second = (part.score_rollout(r) for r in rollouts)
    assert abs(first[0] - second[0]) > 1e-4


def test_what_is_no_reward_model_is_named(checkpoint: Path, load: Callable[..., MLLM], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reward.checkpoint=.*none: no reward model: it has no reward_head"):
        LearnedReward(checkpoint=str(tmp_path / "none"))
    facts = json.loads((checkpoint / "reward_model.json").read_text())
    (checkpoint / "reward_model.json").write_text(json.dumps(facts | {"std": 0.0}))
    with pytest.raises(UserError, match="all its scores are equal"):
        LearnedReward(checkpoint=str(checkpoint))
    (checkpoint / "reward_model.json").write_text("{}")
    with pytest.raises(UserError, match=r"reward_model.json: needs the numbers mean and std"):
        LearnedReward(checkpoint=str(checkpoint))
    (checkpoint / "reward_model.json").write_text(json.dumps(facts))
    policy, part = load("qwen2_5_vl"), LearnedReward(checkpoint=str(checkpoint))
    policy.processor.tokenizer.add_tokens(["newword"])
    with pytest.raises(
        UserError, match=r"reward model .* and policy .* have different tokenizers: reward=learned hands"
    ):
        part.check(policy)


def test_pairs_have_two_responses(run: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"write algo.group_size=2 algo.rollouts=false"):
        run("algo=reward_model", "algo.group_size=8")


def test_the_checkpoint_has_to_be_named(run: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"reward.checkpoint is not set: write reward.checkpoint=<value>"):
        run("reward=learned")
