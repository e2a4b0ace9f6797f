"""One process, several, and accumulation compute the same update; several machines; ranks that differ in their work."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SMALL, TEXTS
from test_t_grpo import own_data, write_entries

from ral.models.fresh import write_model
from ral.models.mllm import MLLM

ROOT = Path(__file__).parent.parent
UPDATES = 5
EIGHT = ("text", "picture", "clip", "pictures", "clips", "picture", "text", "clip")
GROUPS = ["algo.group_size=4", "algo.prompts_per_step=8", "dataset.max_new_tokens=8", "start_check=false"]
MADE_REWARD = [
    "reward.parts.accuracy.function._target_=scaling_parts.letters",
    "~reward.parts.accuracy.function.rules",
    "reward.parts.format.weight=0",
]
PLAIN = ["~optim.optimizer.betas", "~optim.optimizer.eps", "~optim.optimizer.fused", "algo.learning_rate=0.05"]
SGD = ["optim.optimizer._target_=scaling_parts.NotingSGD", *PLAIN]
ADAMW = ["optim.optimizer._target_=scaling_parts.NotingAdamW", "algo.learning_rate=1e-3"]
CPU = ["hardware.accelerator=cpu", "hardware.precision=32-true", "hardware.num_workers=0"]
LAYOUTS = {
    "one process": ["hardware=cpu", "hardware.micro_batch_prompts=8"],
    "accumulation": ["hardware=cpu", "hardware.micro_batch_prompts=1"],
    "ddp": ["hardware=ddp", *CPU, "hardware.micro_batch_prompts=2"],
    "fsdp": ["hardware=fsdp", *CPU, "hardware.micro_batch_prompts=2"],
}
ALGORITHMS = {
    "grpo": ["algo=grpo"],
    "ral": ["algo=ral"],
    "ral_distill": ["algo=ral_distill"],
    "lora": ["algo=ral", "lora.rank=4"],
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another random model with the same tokens."""
    folder = tmp_path_factory.mktemp("teacher")
    return write_model(folder, TEXTS, family="qwen2_5_vl", sizes=SMALL, seed=4, vocab_size=300)


def environment(folder: Path) -> dict[str, str]:
    """For a process that trains in `folder`."""
    paths = os.pathsep.join((str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")))
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "GRADIENTS": str(folder / "gradients")}
    return {k: v for k, v in os.environ.items() if k != "RAL_RUN_FOLDER"} | own


def train(folder: Path, *overrides: str) -> Path:
    """A run through the command line; the run's folder."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *overrides, f"hydra.run.dir={folder}"],
        cwd=folder.parent,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return folder


def distance(folder: Path, other: Path, update: int) -> float:
    """Norm of the difference of two runs' gradients of an update, relative to the gradient's norm."""
    ours, theirs = (torch.load(f / "gradients" / f"{update}.pt") for f in (folder, other))
    assert len(ours) == len(theirs)
    difference = sum(float((a.double() - b.double()).square().sum()) for a, b in zip(ours, theirs, strict=True))
    return (difference / sum(float(a.double().square().sum()) for a in ours)) ** 0.5


def weights_apart(folder: Path, other: Path) -> float:
    """Largest difference of a weight of two runs' exported models."""
    ours, theirs = (MLLM.load(str(f / "hf")).network.state_dict() for f in (folder, other))
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def made(tmp_path: Path, model: Path, *entries: str) -> list[str]:
    """Eight prompts a step: text, pictures and clips, unevenly dealt to the ranks; a reward that answers differ in."""
    own = own_data(write_entries(tmp_path, *(entries or EIGHT)), model)
    own = [o for o in own if not o.startswith(("reward.", "dataset.max_new_tokens"))]
    return [*own, *GROUPS, *MADE_REWARD, "eval.prompts=2"]


slow = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [pytest.param(SGD, id="sgd"), pytest.param(ADAMW, id="adamw")])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_layouts_of_one_batch_make_the_same_updates(
    algorithm: str, optimizer: list[str], tmp_path: Path, model_folder: Callable[..., Path], teacher: Path
) -> None:
    """8 prompts at once = 8 after one another = 4 and 4 on two ranks, whole or sharded."""
    common = [*ALGORITHMS[algorithm], *made(tmp_path, model_folder()), *optimizer, f"model.teacher={teacher}"]
    common += ["max_steps=1", f"algo.updates_per_rollout={UPDATES}"]
    folders = {name: train(tmp_path / name.replace(" ", "_"), *common, *own) for name, own in LAYOUTS.items()}
    first = folders["one process"]
    others = [folder for name, folder in folders.items() if name != "one process"]
    gradients = [[distance(first, other, n) for n in range(1, UPDATES + 1)] for other in others]
    weights = [weights_apart(first, other) for other in others]
    print(f"gradient {[g[0] for g in gradients]} to {[max(g) for g in gradients]}, weights {weights}")
    assert all(g[0] <= 1e-6 for g in gradients), gradients
    later, weight = (3e-6, 1e-6) if optimizer is SGD else (1e-3, 1e-4)  # AdamW divides by small numbers
    assert all(max(g) <= later for g in gradients) and all(w <= weight for w in weights), (gradients, weights)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose numbers are those of bf16, as in most published checkpoints."""
    folder = tmp_path_factory.mktemp("half")
    return write_model(folder, TEXTS, family="qwen2_5_vl", sizes=SMALL, seed=3, vocab_size=300, dtype=torch.bfloat16)


BF16_FIRST, BF16_LATER, BF16_WEIGHT = 5e-3, 5e-2, 2e-4
"""Bounds of bf16 arithmetic: of the first update's gradient, of later ones', and of a weight after five updates."""


@slow
@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(["algo=grpo", "hardware.precision=bf16-mixed"], id="grpo"),
        pytest.param(["algo=ral", "lora.rank=4", "hardware.precision=auto", "hardware.dtype=bfloat16"], id="lora"),
    ],
)
def test_sharded_weights_make_the_updates_of_whole_ones_in_bf16(chosen: list[str], tmp_path: Path, half: Path) -> None:
    """Gathered in bf16, their gradients summed in fp32: within its rounding of weights that are whole on each rank.

    Both layouts sample the same answers, which one process, with other batches, need not: a token turns at a rounding.
    """
    common = [*made(tmp_path, half), *SGD, "max_steps=1", f"algo.updates_per_rollout={UPDATES}"]
    common += [*chosen, "algo.learning_rate=1e-3"]
    whole, sharded = (train(tmp_path / name, *LAYOUTS[name], *common) for name in ("ddp", "fsdp"))
    gradients = [distance(whole, sharded, n) for n in range(1, UPDATES + 1)]
    weight = weights_apart(whole, sharded)
    print(f"{chosen[0]} in bf16: gradients {gradients}, weights {weight}")
    assert gradients[0] <= BF16_FIRST and max(gradients) <= BF16_LATER and weight <= BF16_WEIGHT, gradients


def dealt(first: str, second: str) -> tuple[str, ...]:
    """Eight entries of which seed 0 deals four of one kind to the first rank, four of the other to the second."""
    return tuple(first if entry in (1, 2, 4, 7) else second for entry in range(8))


MIXES = {
    "text on one": dealt("text", "picture"),
    "clips on one": dealt("picture", "clip"),
    "no picture": dealt("text", "text"),
    "both on each": EIGHT,
}
ONE_UPDATE = ["algo=grpo", "algo.updates_per_rollout=1"]
LOOKS = ["algo=ral_distill", "algo.objective=[attention_distillation]", "algo.updates_per_rollout=1"]
OTHERWISE_CUT = "hardware.micro_batch_prompts='${oc.decode:${oc.env:MICRO_${oc.env:LOCAL_RANK,0}}}'"
"""Micro-batches of as many prompts as the variable MICRO_<rank> says."""


@pytest.mark.parametrize(
    ("mix", "hardware", "objective"),
    [
        pytest.param("text on one", "ddp", LOOKS, marks=slow),
        *(pytest.param("text on one", hardware, ONE_UPDATE, marks=slow) for hardware in ("ddp", "fsdp")),
        *(pytest.param(mix, "ddp", ONE_UPDATE, marks=slow) for mix in ("clips on one", "no picture", "both on each")),
        *(pytest.param(mix, "fsdp", LOOKS, marks=slow) for mix in ("clips on one", "no picture", "both on each")),
    ],
)
def test_a_trained_vision_tower_moves_alike_whichever_ranks_have_pictures(
    mix: str, hardware: str, objective: list[str], tmp_path: Path, model_folder: Callable[..., Path], teacher: Path
) -> None:
    """Also where the terms use but a part of the weights (LOOKS). Gradients, so that zero is seen to be zero."""
    made_of = [*made(tmp_path, model_folder(), *MIXES[mix]), *objective, f"model.teacher={teacher}", *SGD]
    common = [*made_of, "model.freeze_vision=false", "max_steps=1", "eval.prompts=1"]
    alone = train(tmp_path / "alone", *common, *LAYOUTS["one process"])
    ranks = train(tmp_path / "ranks", *common, *LAYOUTS[hardware], "hardware.micro_batch_prompts=3")
    assert distance(alone, ranks, 1) <= 3e-6 and weights_apart(alone, ranks) <= 1e-6
    before = MLLM.load(str(model_folder())).network.state_dict()
    after = MLLM.load(str(ranks / "hf")).network.state_dict()
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert moved and any("visual" in name for name in moved) == (mix != "no picture")


@slow
@pytest.mark.parametrize("sizes", [("1", "4"), ("4", "1")])
def test_ranks_may_cut_their_prompts_differently(
    sizes: tuple[str, str], tmp_path: Path, model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four micro-batches on one rank and one on the other, layers recomputed: the update of one process."""
    common = ["algo=ral", *made(tmp_path, model_folder()), *SGD, "max_steps=1"]
    alone = train(tmp_path / "alone", *common, *LAYOUTS["one process"])
    for rank, size in enumerate(sizes):
        monkeypatch.setenv(f"MICRO_{rank}", size)
    ranks = train(
        tmp_path / "ranks", *common, *LAYOUTS["ddp"][:-1], OTHERWISE_CUT, "hardware.gradient_checkpointing=true"
    )
    assert all(distance(alone, ranks, n) <= 3e-6 for n in (1, 2, 3, 4)) and weights_apart(alone, ranks) <= 1e-6


PARTS = [
    *("hardware.micro_batch_prompts=1", "hardware.micro_batch_responses=3", "hardware.reward_workers=1"),
    *("hardware.gradient_checkpointing=true", "hardware.offload_activations=true"),
]


@slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_parts_of_groups_make_the_same_updates_on_ranks(
    hardware: str, tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """Three of four answers and then the fourth, what layers keep offloaded, rewards scored by other processes."""
    common = ["algo=ral", *made(tmp_path, model_folder()), *SGD, "max_steps=1"]
    alone = train(tmp_path / "alone", *common, *LAYOUTS["one process"])
    ranks = train(tmp_path / "ranks", *common, *LAYOUTS[hardware][:-1], *PARTS)
    assert all(distance(alone, ranks, n) <= 3e-6 for n in (1, 2, 3, 4)) and weights_apart(alone, ranks) <= 1e-6


@slow
@pytest.mark.parametrize(
    ("objective", "updates"),
    [(["algo=ral"], 4), pytest.param([*ONE_UPDATE, "model.freeze_vision=false"], 1, id="trained vision")],
)
def test_sharded_gradients_are_the_same_summed_once_or_for_each_micro_batch(
    objective: list[str], updates: int, tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    common = [*objective, *made(tmp_path, model_folder()), *SGD, "max_steps=1", *LAYOUTS["fsdp"]]
    common += ["hardware.micro_batch_prompts=1", "hardware.gradient_checkpointing=true"]
    often = train(tmp_path / "often", *common, "hardware.strategy.sum_once=false")
    once = train(tmp_path / "once", *common)
    apart = [distance(often, once, n + 1) for n in range(updates)]
    assert apart[0] <= 1e-6 and max(apart) <= 3e-6, apart


@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
@slow
def test_ranks_with_answers_of_very_different_length_finish(
    hardware: str, tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    ragged = ["algo=ral", "max_steps=2", "rollout.engine._target_=scaling_parts.RaggedEngine", *LAYOUTS[hardware]]
    folder = train(tmp_path / "run", *made(tmp_path, model_folder()), *ragged)
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [s["step"] for s in steps if "train/loss" in s] == [1, 2]
    assert all(s["train/grad_norm"] > 0 and s["train/response_length"] > 12 for s in steps if "train/loss" in s)


@slow
def test_gathered_weights_cast_once_are_those_cast_at_every_token(
    tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """Two ranks with sharded fp32 weights under bf16 arithmetic: the same answers, so the same gradient, bit by bit."""
    common = [*made(tmp_path, model_folder()), *SGD, *LAYOUTS["fsdp"], "hardware.precision=bf16-mixed", "max_steps=2"]
    once, casts = (
        train(tmp_path / str(on), "algo=grpo", *common, f"rollout.engine.cast_once={on}") for on in ("true", "false")
    )
    assert distance(once, casts, 1) == 0 and distance(once, casts, 2) == 0


@slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_evaluation_of_fewer_prompts_than_ranks_have_places(
    hardware: str, tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """3 held-out prompts one at a time on two ranks: the second rank has one less, and nobody waits forever."""
    common = [o for o in made(tmp_path, model_folder()) if not o.startswith("eval.")]
    few = ["eval.prompts=3", "eval.batch=1", "eval.before=true", "eval.every=0", "max_steps=1"]
    folders = [train(tmp_path / n, *common, *few, *LAYOUTS[n]) for n in ("accumulation", hardware)]
    answers = [
        [json.loads(line)["response"] for line in (f / "eval" / "before.jsonl").read_text().splitlines()]
        for f in folders
    ]
    assert len(answers[0]) == 3 and answers[0] == answers[1]


@slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
def test_two_machines_equal_two_processes(hardware: str, tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    """torchrun with one agent for each of two nodes, both on this machine."""
    common = [*made(tmp_path, model_folder()), "algo=ral", "max_steps=2", *LAYOUTS[hardware]]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder, alone = tmp_path / "nodes", train(tmp_path / "alone", *common)
    agents = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node)),
                *("--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)),
                *(str(ROOT / "train.py"), *common, "hardware.devices=1", "hardware.num_nodes=2"),
                f"hydra.run.dir={folder}",
            ],
            cwd=tmp_path,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in (0, 1)
    ]
    outputs = [agent.communicate(timeout=280)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], outputs
    losses = [
        [json.loads(line)["train/loss"] for line in (f / "metrics.jsonl").read_text().splitlines() if "train/l" in line]
        for f in (alone, folder)
    ]
    assert len(losses[0]) == 2 and losses[1] == pytest.approx(losses[0], rel=1e-4, abs=1e-7)
    assert weights_apart(alone, folder) < 1e-5


@slow
@pytest.mark.parametrize("after", ["fsdp", "cpu"])
def test_a_checkpoint_in_shards_goes_on(after: str, tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    """Two ranks write a part each; two ranks, or one, go on from it to the weights of the run that was not stopped."""
    ema = ["algo=ral", "algo.attention.against=ema", "algo.final_learning_rate=1"]
    common = [*made(tmp_path, model_folder()), *ema]
    whole = train(tmp_path / "whole", *common, "max_steps=3", *LAYOUTS["fsdp"])
    part = train(tmp_path / "part", *common, "max_steps=1", *LAYOUTS["fsdp"])
    names = {p.name for p in (part / "checkpoints" / "step_000001" / "shards").iterdir()}
    assert {"__0_0.distcp", "__1_0.distcp", ".metadata"} <= names
    beside = len((part / "config.yaml").read_bytes())  # the configuration, which a checkpoint holds
    assert (part / "checkpoints" / "step_000001" / "state.pt").stat().st_size < 10_000 + beside
    layout = LAYOUTS["fsdp"] if after == "fsdp" else [*LAYOUTS["one process"], "hardware.precision=32-true"]
    train(part, *common, "max_steps=3", *layout, "resume=auto")
    steps = [json.loads(line)["step"] for line in (part / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 3
    assert weights_apart(whole, part) < (1e-6 if after == "fsdp" else 1e-4)
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/export.py"), str(part / "checkpoints" / "step_000003")],
        **{"capture_output": True, "text": True, "timeout": 100},
    )
    assert done.returncode == 0, done.stderr
    assert weights_apart(part, part / "exported_step_000003") == 0


@slow
def test_weights_may_rest_in_main_memory(tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    common = [*made(tmp_path, model_folder()), "algo=ral", "max_steps=2", *LAYOUTS["fsdp"]]
    plain = train(tmp_path / "plain", *common)
    offloaded = train(tmp_path / "offloaded", *common, "hardware.strategy.offload=true")
    assert weights_apart(plain, offloaded) == 0
