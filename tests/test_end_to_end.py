"""Whole runs through the command line, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ENVIRONMENT, ROOT, finish
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from ral.data.media import MediaReader, MediaSettings
from ral.data.prompts import render
from ral.learner.checkpoints import newest
from ral.models.mllm import MLLM
from ral.types import Example, Media


def test_last_line_names_the_run_folder(command: list[str], tmp_path: Path) -> None:
    done = finish(command, tmp_path)
    assert done.returncode == 0, done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("run: ") and (Path(last.removeprefix("run: ")) / "report.html").is_file()


def test_interrupt_saves_reports_and_exits_with_130_and_resumes(command: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    long = [*command, "max_steps=10000", f"hydra.run.dir={folder}"]
    process = subprocess.Popen(long, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    metrics = folder / "metrics.jsonl"
    while time.monotonic() < deadline and not (metrics.exists() and len(metrics.read_text().splitlines()) >= 3):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors.decode()
    assert output.decode().strip().splitlines()[-1] == f"run: {folder}"
    assert (folder / "report.html").is_file() and (folder / "eval" / "after.jsonl").is_file()
    (checkpoint,) = (folder / "checkpoints").glob("step_*")
    step = int(checkpoint.name.removeprefix("step_"))
    done = finish(
        [*command, f"max_steps={step + 2}", f"hydra.run.dir={folder}", "resume=auto", "resume_changed=[max_steps]"],
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(step + 3))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_scheduler_gets_a_checkpoint_at_once(command: list[str], tmp_path: Path, number: int, code: int) -> None:
    """The whole process group is signalled, as schedulers do: loader workers live on. No evaluation, no export."""
    folder = tmp_path / "stopped"
    long = [*command, "max_steps=10000", "eval.every=1", "hardware.num_workers=1", f"hydra.run.dir={folder}"]
    process = subprocess.Popen(
        long, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    metrics, deadline = folder / "metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < deadline and not (metrics.exists() and metrics.read_text().count("\n") >= 3):
        time.sleep(0.1)
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors.decode()
    assert output.decode().strip().splitlines()[-1] == f"run: {folder}"
    step = len(metrics.read_text().splitlines()) - 1
    assert newest(folder / "checkpoints") == folder / "checkpoints" / f"step_{step:06d}"
    assert not (folder / "hf").exists() and not (folder / "eval" / "after.jsonl").exists()
    rest = [
        *command,
        "eval.every=1",
        f"max_steps={step + 1}",
        f"hydra.run.dir={folder}",
        "resume=auto",
        "resume_changed=[max_steps]",
    ]
    assert finish(rest, tmp_path).returncode == 0
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(step + 2)) and all("eval/reward" in line for line in lines)


@pytest.mark.slow
def test_multirun_gives_a_run_for_each_combination(command: list[str], tmp_path: Path) -> None:
    sweep = [*command[:2], "-m", *command[2:], "algo=grpo,ral", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    done = finish(sweep, tmp_path)
    assert done.returncode == 0, done.stderr
    runs = sorted((tmp_path / "sweep").glob("*/report.html"))
    assert len(runs) == 2
    assert len([line for line in done.stdout.splitlines() if line.startswith("run: ")]) == 2


@pytest.mark.parametrize("hardware", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_two_processes_equal_one_in_supervised_training(hardware: str, command: list[str], tmp_path: Path) -> None:
    """The same 4 entries on one rank, and 2 and 2 on two ranks: the same weights after two SGD updates."""
    sgd = [
        "optim.optimizer._target_=torch.optim.SGD",
        "~optim.optimizer.betas",
        "~optim.optimizer.eps",
        "~optim.optimizer.fused",
    ]
    common = [*command, "algo=sft", *sgd, "algo.learning_rate=0.1", "max_steps=2", "diagnostics.every=0"]
    two = ["hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0", f"hardware={hardware}"]
    for name, extra in (("one", []), ("two", two)):
        done = finish([*common, *extra, f"hydra.run.dir={tmp_path / name}"], tmp_path)
        assert done.returncode == 0, done.stderr
    one, other = (MLLM.load(str(tmp_path / name / "hf")).network.state_dict() for name in ("one", "two"))
    start = MLLM.load(command[2].removeprefix("model.pretrained=")).network.state_dict()
    assert any(not torch.equal(start[name], one[name]) for name in one)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, atol=1e-6, rtol=1e-5)
    losses = [
        [json.loads(line).get("train/loss") for line in (tmp_path / n / "metrics.jsonl").read_text().splitlines()]
        for n in ("one", "two")
    ]
    assert losses[1][1:] == pytest.approx(losses[0][1:], rel=1e-5)


def test_exported_model_answers_as_recorded_in_plain_transformers(command: list[str], tmp_path: Path) -> None:
    """hf/ with Transformers alone: its tokenizer, image processor and generate give the recorded greedy answer."""
    run = tmp_path / "run"
    done = finish(
        [*command, "algo=sft", "max_steps=2", f"hydra.run.dir={run}", "dataset.source.clip_share=0"], tmp_path
    )
    assert done.returncode == 0, done.stderr
    model = AutoModelForImageTextToText.from_pretrained(run / "hf")
    tokenizer = AutoTokenizer.from_pretrained(run / "hf")
    pictures = AutoImageProcessor.from_pretrained(run / "hf", use_fast=False)
    for line in (run / "eval" / "after.jsonl").read_text().splitlines()[:2]:
        record = json.loads(line)
        example = Example(
            record["uid"], record["question"], record["gold"], record["problem_type"], options=tuple(record["options"])
        )
        content = [{"type": "image"}, {"type": "text", "text": render(example, "mini")}]
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        reader = MediaReader(MediaSettings(image_min_pixels=784))
        picture = reader.read(Media("image", Path(record["media"][0]))).frames[0].numpy()
        vision = pictures(images=[picture], return_tensors="pt")
        count = int(vision["image_grid_thw"].prod()) // 4
        ids = tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")
        types = (ids["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
        banned = [[i] for i, t in tokenizer.added_tokens_decoder.items() if t.special and i != tokenizer.eos_token_id]
        banned = [b for b in banned if b != [tokenizer.pad_token_id]]
        out = model.generate(
            **ids, **vision, mm_token_type_ids=types, max_new_tokens=6, do_sample=False, bad_words_ids=banned
        )
        answer = out[0, ids["input_ids"].shape[1] :].tolist()
        ends = (tokenizer.eos_token_id, tokenizer.pad_token_id)
        assert tokenizer.decode([i for i in answer if i not in ends]) == record["response"]


@pytest.mark.parametrize("family", ["qwen2_vl", pytest.param("qwen2_5_vl", marks=pytest.mark.slow)])
def test_your_own_folder_and_json_file(family: str, tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    """The command of the README: a checkpoint folder, and a file that mixes a picture, two pictures and plain text."""
    for i in range(3):
        Image.new("RGB", (56, 84), (80 * i, 100, 50)).save(tmp_path / f"{i}.png")
    entries = [
        {"question": "What color?", "answer": "red", "image": "0.png"},
        {
            "question": "Which differs?",
            "answer": "A",
            "options": ["A. first", "B. second"],
            "images": ["1.png", "2.png"],
        },
        {"question": "2 + 2?", "answer": "4", "problem_type": "numerical", "images": []},
    ] * 3
    (tmp_path / "data.json").write_text(json.dumps(entries))
    done = finish(
        [
            sys.executable,
            str(ROOT / "train.py"),
            "algo=ral",
            f"model={'qwen2vl' if family == 'qwen2_vl' else 'qwen2_5_vl'}",
            f"model.pretrained={model_folder(family)}",
            "dataset=jsonl",
            f"dataset.path={tmp_path / 'data.json'}",
            "dataset.templates.think=short",
            "dataset.media.image_min_pixels=784",
            "dataset.max_new_tokens=5",
            "max_steps=1",
            "algo.prompts_per_step=6",
            "hardware.micro_batch_prompts=2",
            f"hydra.run.dir={tmp_path / 'run'}",
        ],
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    kinds = {json.loads(line)["data_type"] for line in (tmp_path / "run/eval/after.jsonl").read_text().splitlines()}
    assert kinds <= {"image", "text"}
    assert any((tmp_path / "run" / "wandb").glob("offline-run-*")), "an offline W&B run beside metrics.jsonl"
