"""plan=true: shapes counted on the meta device, memory against the GPU figures of docs/benchmarks.md, the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import call
from conftest import CONF
from hydra import compose, initialize_config_dir
from transformers import AutoConfig

import ral
from ral.benches.attention import SIZES, VOCABULARY
from ral.benches.step import SIZES as STEP_SIZES
from ral.config.check import check, plain
from ral.errors import UserError
from ral.models.adapters.lora import Adapters, adapted, add_adapters
from ral.models.mllm import MLLM
from ral.models.recipe import Sizes
from ral.models.registry import FAMILIES
from ral.planning import activations as act
from ral.planning.afterwards import missed, off, tell_missed
from ral.planning.architecture import Architecture, architecture_of, described, known
from ral.planning.calibration import calibrated, numbers
from ral.planning.device import device_of, read_device
from ral.planning.networks import Networks
from ral.planning.page import header, page
from ral.planning.plan import Plan, changed, plan_of, planned
from ral.planning.savings import candidates, savings
from ral.planning.workload import Batch, Frozen, Numbers, Ranks, Training, Upkeep, Workload

RECIPES = sorted(path.stem for path in (CONF / "experiment" / "paper").glob("*.yaml"))
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def tree_of(*overrides: str) -> dict[str, Any]:
    """A configuration of training, resolved."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return plain(compose("train", list(overrides)))


def made_plan(*overrides: str) -> Plan:
    tree = tree_of(*overrides)
    return plan_of(tree, device_of(tree))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_count_on_the_meta_device_is_that_of_the_weights(family: str, model_folder: Callable[[str], Path]) -> None:
    folder = str(model_folder(family))
    counts, model = architecture_of(folder).counts, MLLM.load(folder)
    assert counts.total == sum(p.numel() for p in model.network.parameters())
    assert counts.decoder == sum(p.numel() for _, p in model.trained_parameters())
    add_adapters(model, Adapters(4, 8, TARGETS))
    assert adapted(model.network) and counts.adapters(4, TARGETS) == sum(
        p.numel() for _, p in model.trained_parameters()
    )


@pytest.mark.parametrize("name", [name for name in known() if "3B" in name or "-2B" in name or "-8B" in name])
def test_a_known_checkpoint_has_as_many_weights_as_its_files(name: str) -> None:
    assert architecture_of(name).counts.total == known()[name]["parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(known()))
def test_every_known_checkpoint_has_as_many_weights_as_its_files(name: str) -> None:
    assert architecture_of(name).counts.total == known()[name]["parameters"]


def test_a_name_that_is_no_folder_and_not_known_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^model.pretrained=some/model: no folder, and no checkpoint whose shape"):
        architecture_of("some/model")
    with pytest.raises(UserError, match=r"^model.teacher=some/model: no folder"):
        made_plan("algo=distill", "model.teacher=some/model")


def random_shape(sizes: Sizes) -> Architecture:
    """The architecture of a random Qwen2.5-VL of the benchmarks."""
    parts = FAMILIES["qwen2_5_vl"].recipe.parts(sizes)
    text = {"hidden_size": sizes.hidden, "intermediate_size": sizes.mlp, "num_hidden_layers": sizes.layers}
    text |= {"num_attention_heads": sizes.heads, "num_key_value_heads": sizes.kv_heads, "vocab_size": VOCABULARY}
    config = AutoConfig.for_model(
        "qwen2_5_vl", text_config={**text, **parts["text"]}, vision_config=parts["vision"], tie_word_embeddings=True
    )
    return described("3b shape", config, half=True)


HALF = Numbers(product=2, stream=2, trained=2, frozen=2, state=4, scratch=2)
"""The numbers of the benchmarked commit: bf16 weights and moments, torch's foreach AdamW."""


def benchmarked(architecture: Architecture, batch: Batch, training: Training, numbers: Numbers, signals: Any) -> Plan:
    work = Workload(1, batch, numbers, Ranks(), training, Frozen(signals, graphs=True), Upkeep(evaluations=0))
    return planned(Networks(architecture, None, work), read_device("h200"))


OLD = {"old": ("log_probs", "rows")}


@pytest.mark.parametrize(("visual", "checkpointing", "measured"), [(4096, False, 47), (16384, True, 28)])
def test_full_updates_at_3b_shape_take_what_was_measured(visual: int, checkpointing: bool, measured: float) -> None:
    """docs/benchmarks.md, "On a GPU": one update of RAL on eight responses of 256 tokens; measured in whole GB."""
    batch = Batch(prompts=1, micro=1, group=8, text=20, visual=visual, response=256)
    training = Training(updates=1, checkpointing=checkpointing, captured=1)
    plan = benchmarked(random_shape(SIZES["3b"]), batch, training, HALF, OLD)
    updates = [phase.total / 1e9 for phase in plan.phases if "update" in phase.name or "optimizer" in phase.name]
    assert max(updates) == pytest.approx(measured, rel=0.15)


def test_a_step_with_adapters_at_3b_shape_takes_what_was_measured() -> None:
    """docs/benchmarks.md, "On a GPU": 8.57 GB, a whole step with the vision tower of 3B, responses of 64 tokens."""
    batch = Batch(prompts=1, micro=1, group=8, text=30, visual=4096, response=64)
    training = Training(updates=2, rank=16, targets=TARGETS, checkpointing=True, captured=1)
    numbers = replace(HALF, scratch=0)
    signals = {**OLD, "reference": ("log_probs",)}
    plan = benchmarked(random_shape(STEP_SIZES["3b"]), batch, training, numbers, signals)
    assert plan.gpu_gb == pytest.approx(8.57, rel=0.15)


def test_sharding_divides_what_rests_and_gathers_for_a_rollout() -> None:
    alone = made_plan("experiment=paper/ral", "hardware.devices=1")
    eight = made_plan("experiment=paper/ral")
    whole, shard = (plan.phases[0].parts["weights"] for plan in (alone, eight))
    assert whole == pytest.approx(8 * shard)
    rollout = next(phase for phase in eight.phases if phase.name == "rollout")
    assert rollout.parts["gathered"] == eight.networks.policy.counts.total * 2  # bf16, over shards in fp32
    assert rollout.parts["gathered"] < 8 * rollout.parts["weights"]
    assert eight.host.load * 1e9 < eight.networks.policy_bytes / 2  # a rank reads its parts, onto the GPU
    assert eight.fits and not alone.fits


ON_GPUS = (
    "model=qwen2_5_vl",
    "model.pretrained=Qwen/Qwen2.5-VL-3B-Instruct",
    "machine=h200",
    "dataset=jsonl",
    "dataset.path=x",
)


def parts_of(plan: Plan, phase: str) -> Mapping[str, float]:
    """Return the bytes of a phase by use."""
    return next(each.parts for each in plan.phases if each.name == phase)


def test_ddp_on_gpus_holds_buckets_of_gradients_beside_them() -> None:
    alone, four = (made_plan(*ON_GPUS, f"hardware={name}", "algo.prompts_per_step=4") for name in ("single_gpu", "ddp"))
    more = parts_of(four, "optimizer step")["gradients"] - parts_of(alone, "optimizer step")["gradients"]
    assert more == 4 * four.networks.trained and four.networks.work.ranks.count == 2
    on_cpu = made_plan("hardware=ddp", "hardware.accelerator=cpu")
    assert parts_of(on_cpu, "optimizer step")["gradients"] == 4 * on_cpu.networks.trained
    assert on_cpu.host.load > made_plan().host.load  # what the first rank sends


def test_logits_and_a_recomputed_layer_are_not_held_at_once() -> None:
    plan = made_plan("experiment=paper/ral")
    networks, found = plan.networks, parts_of(plan, "update, forward")
    decoder, tokens = networks.policy.decoder, networks.work.batch.tokens
    numbers, training = networks.in_passes, networks.work.training
    kept = act.saved(networks.policy, tokens, numbers, training) + act.captured(decoder, tokens, training, numbers)
    head = found["logits"] + networks.head * 2  # the head's gradient is in bf16 until ranks sum it
    layer = act.one_layer(networks.policy, tokens, numbers, training) + act.backward(networks.policy, tokens, numbers)
    layer += decoder.mlp * decoder.width * 2
    assert found["activations"] + found["logits"] == pytest.approx(kept + max(head, layer))
    assert found["gradients"] == networks.head * 2


def test_several_passes_of_sharded_weights_hold_whole_gradients_until_the_last() -> None:
    plan = made_plan("experiment=paper/sft")
    whole = 4 * plan.networks.trained
    assert parts_of(plan, "update, forward")["gradients"] == whole
    backward = parts_of(plan, "update, backward")["gradients"]
    assert backward == pytest.approx(whole + 4 * plan.networks.policy.counts.layers / 28)
    each = made_plan("experiment=paper/sft", "hardware.strategy.sum_once=false")
    assert parts_of(each, "update, forward")["gradients"] == whole / 8


def test_weights_outside_of_layers_stay_gathered_where_a_head_is_read_and_come_twice() -> None:
    plain_row, distilled = (made_plan(f"experiment=paper/{name}") for name in ("ral", "ral_distill"))
    of_policy = plain_row.networks.outside(plain_row.networks.policy, 4)
    counts = plain_row.networks.policy.counts
    assert of_policy == 2 * (counts.total - counts.layers)
    assert parts_of(plain_row, "vision")["gathered"] == 2 * of_policy
    teacher = distilled.networks.teacher
    assert teacher is not None and distilled.networks.left_gathered == 2 * (
        teacher.counts.total - teacher.counts.layers
    )
    assert parts_of(distilled, "vision")["other networks"] > sum(distilled.networks.frozen_bytes.values()) / 8
    assert plain_row.networks.left_gathered == 0


def test_frozen_passes_hold_no_rows_of_the_old_policy_which_come_later() -> None:
    plan = made_plan("experiment=paper/ral")
    assert parts_of(plan, "frozen passes")["rows"] == 0 < parts_of(plan, "update, forward")["rows"]
    assert parts_of(made_plan("experiment=paper/ral_distill"), "frozen passes")["rows"] > 0


def test_frozen_passes_hold_what_the_pass_that_takes_most_needs() -> None:
    small = ("experiment=paper/ral_distill", "model.teacher=Qwen/Qwen2.5-VL-3B-Instruct")
    of_two, of_teacher = made_plan(*small), made_plan(*small, "algo.kl.coef=0")
    assert set(of_two.networks.work.frozen.signals) - {"old"} == {"reference", "teacher"}
    alone = parts_of(made_plan("experiment=paper/ral"), "frozen passes")
    found, less = (parts_of(plan, "frozen passes") for plan in (of_two, of_teacher))
    assert found["gathered"] == alone["gathered"] > less["gathered"]
    assert found["logits"] == alone["logits"] > less["logits"] == 0


def test_processes_on_a_cpu_exchange_nothing_while_they_compute() -> None:
    two = ("hardware=ddp", "hardware.precision=32-true", "algo.prompts_per_step=4")
    for overrides, over_all in (((*two, "hardware.accelerator=cpu"), sum), (two, max)):
        updates = made_plan(*overrides).step[-1]
        assert updates.bounds["network"] > 0
        slowest = max(value for name, value in updates.bounds.items() if name != "network")
        assert updates.seconds == pytest.approx(over_all((slowest, updates.bounds["network"])))


KEYS = {"vision": "vision_s", "rollout": "rollout_s", "frozen passes": "freeze_s", "updates": "update_s"}


@pytest.mark.parametrize(
    ("pretrained", "number"),
    [("assets/tiny", {"launch_us": 40.0}), ("Qwen/Qwen2.5-VL-3B-Instruct", {"decoding_share": 0.07})],
)
def test_a_device_is_calibrated_by_the_seconds_of_a_run(pretrained: str, number: dict[str, float]) -> None:
    plan = made_plan("dataset.max_new_tokens=48", f"model.pretrained={pretrained}")
    compute = replace(plan.device.compute, training_share=0.9, **number)
    other = planned(plan.networks, replace(plan.device, compute=compute))
    found = calibrated(plan, {KEYS[part.name]: part.seconds for part in other.step})
    assert numbers(found) == numbers(other.device) != numbers(plan.device)
    assert planned(plan.networks, found).step_s == pytest.approx(other.step_s)


def test_the_rate_between_processes_is_calibrated_by_a_run_of_two() -> None:
    plan = made_plan("hardware=ddp", "hardware.accelerator=cpu", "hardware.precision=32-true")
    slower = planned(plan.networks, replace(plan.device, traffic=replace(plan.device.traffic, peer_gb_s=0.25)))
    taken = {KEYS[part.name]: part.seconds for part in slower.step}
    found = calibrated(plan, taken, only=("network",))
    assert found.traffic.peer_gb_s == pytest.approx(0.25) and found.compute == plan.device.compute
    assert calibrated(plan, dict.fromkeys(taken, 1e-9), only=("network",)).traffic.peer_gb_s == pytest.approx(2000)


def test_memory_grows_with_what_takes_it() -> None:
    plain_row = made_plan("experiment=paper/3b_24gb")
    for override in ("dataset.max_new_tokens=1536", "algo.group_size=16", "planning.visual_tokens=16000"):
        assert made_plan("experiment=paper/3b_24gb", override).gpu_gb > plain_row.gpu_gb, override
    assert made_plan("experiment=paper/3b_24gb", "hardware.gradient_checkpointing=false").gpu_gb > plain_row.gpu_gb


def test_what_saves_most_is_found_by_planning_again() -> None:
    tree = tree_of("experiment=paper/3b_24gb", "hardware.gradient_checkpointing=false", "machine=h200")
    plan = plan_of(tree, device_of(tree))
    found = savings(tree, plan)
    assert len(found) == 3 and [s.gb for s in found] == sorted((s.gb for s in found), reverse=True)
    assert found[0].setting == "hardware.gradient_checkpointing=true"
    for each in found:
        changes = dict(candidates(tree))[each.setting]
        other = plan_of(changed(tree, changes), plan.device)
        assert plan.gpu_gb - other.gpu_gb == pytest.approx(each.gb)


def test_settings_that_have_nothing_to_give_are_not_named() -> None:
    tree = tree_of("experiment=paper/3b_24gb")
    names = [setting for setting, _ in candidates(tree)]
    assert not [
        n for n in names if n.startswith(("lora.rank", "hardware.gradient", "hardware.dtype", "hardware.strategy"))
    ]
    assert "lora.base=nf4" in names and not any(
        "lora.base" in n for n, _ in candidates(tree_of("experiment=paper/ral"))
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_of_the_paper_is_valid_and_its_header_is_its_plan(recipe: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"experiment=paper/{recipe}"])
    check(cfg)
    text = (CONF / "experiment" / "paper" / f"{recipe}.yaml").read_text()
    tree = plain(cfg)
    plan = plan_of(tree, device_of(tree))
    assert f"# {header(plan, recipe)}\n" in text and f"experiment=paper/{recipe} " in text and "# Expect" in text
    assert plan.fits


def test_the_paper_s_numbers_are_in_its_recipes() -> None:
    """../shared/paper.md, section 4, as far as it names numbers."""
    rl = tree_of("experiment=paper/ral")
    algo, media = rl["algo"], rl["dataset"]["media"]
    assert (algo["group_size"], algo["prompts_per_step"], algo["learning_rate"], algo["temperature"]) == (
        8,
        8,
        1e-5,
        0.9,
    )
    assert (algo["kl"]["coef"], algo["attention"]["coef"], algo["updates_per_rollout"]) == (0.04, 1.0, 4)
    assert rl["dataset"]["limit"] == 51200 == rl["max_steps"] * algo["prompts_per_step"]
    assert (media["fps"], media["max_frames"]) == (1.0, 128)
    assert [media[f"{n}_pixels"] // 784 for n in ("image_min", "image_max", "video_max")] == [128, 5120, 128]
    assert rl["model"]["freeze_vision"] and tree_of("experiment=paper/sft")["algo"]["learning_rate"] == 5e-6
    teacher = tree_of("experiment=paper/ral_distill")["algo"]
    assert "32B" in teacher["teacher"] and teacher["attention_distillation"]["coef"] == 0.5
    assert not tree_of("experiment=paper/ral_zero")["algo"]["thinking"]


def test_the_page_has_memory_ranks_time_and_savings() -> None:
    tree = tree_of("experiment=paper/ral_distill")
    plan = plan_of(tree, device_of(tree))
    text = page(plan, savings(tree, plan))
    for word in ("rollout", "frozen passes", "update, forward", "1 to 7, each", "launches", "hours", "these save most"):
        assert word in text
    assert set(plan.summary()) == {"gpu_gb", "host_gb", "disk_gb", "step_s", "hours", "fits"}
    assert {part.bound for part in plan.step} <= {"flops", "memory", "network", "launches"}


def test_a_device_without_a_number_or_unknown_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^machine.gpu_gb is not set"):
        numbers = ("tflops_bf16", "tflops_fp32", "training_share", "decoding_share", "launch_us", "memory_gb_s")
        device_of({"machine": {"name": "x", **dict.fromkeys((*numbers, "peer_gb_s", "network_gb_s"), 1)}})
    with pytest.raises(UserError, match=r"^machine=b300: write one of a100_80, cpu, h100, h200, rtx4090$"):
        read_device("b300")


@pytest.mark.parametrize(
    ("overrides", "present", "name"),
    [
        ([], None, "two CPU cores"),
        (["hardware=single_gpu"], None, "NVIDIA H100 80 GB"),
        (["hardware=single_gpu"], "NVIDIA H200", "NVIDIA H200 141 GB"),
        (["hardware=single_gpu"], "Some Card", "NVIDIA H100 80 GB"),
        (["hardware=single_gpu", "machine=rtx4090"], "NVIDIA H200", "NVIDIA RTX 4090 24 GB"),
    ],
)
def test_the_device_is_the_named_one_the_present_one_or_the_default(
    overrides: list[str], present: str | None, name: str
) -> None:
    assert device_of(tree_of(*overrides), present).name == name


def fake(gb: float, used: bool = True) -> Any:
    """torch.cuda as it is on a machine with an H100, with so much allocated at most."""
    return SimpleNamespace(
        is_available=lambda: used,
        is_initialized=lambda: used,
        max_memory_allocated=lambda: int(gb * 1e9),
        get_device_name=lambda: "NVIDIA H100 80GB HBM3",
    )


def test_a_run_on_a_gpu_says_how_far_its_plan_was_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = {**tree_of("experiment=paper/3b_24gb"), "machine": None}
    plan = plan_of(tree, read_device("h100"))
    lines: list[Mapping[str, Any]] = [{"step": 1, "time/step_s": 2.0}, {"step": 2, "time/step_s": 4.0}, {"step": 2}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tell_missed(tree, tmp_path, fake(plan.gpu_gb / 1.25))
    said = capsys.readouterr().out
    assert said == missed(plan, plan.gpu_gb / 1.25, [2.0, 4.0]) + "\n"
    assert re.fullmatch(r"plan: [\d.]+ GB planned, [\d.]+ allocated \(\+25%\); .* planned, 3 taken \(.*%\)\n", said)


def test_a_run_without_a_gpu_or_with_a_broken_plan_ends_as_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tree_of()
    tell_missed(tree, tmp_path, fake(1.0, used=False))
    assert capsys.readouterr() == ("", "")
    tell_missed({**tree, "model": {"pretrained": "none/such"}}, tmp_path, fake(1.0))
    assert capsys.readouterr().err.startswith("warning: the plan of this run cannot be compared (UserError: ")
    assert off(1.0, 0.0) == "not measured"


def test_the_command_prints_its_json_last_and_leaves_no_folder(tmp_path: Path) -> None:
    done = call("train.py", "experiment=paper/ral", "plan=true", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["fits"] is True and summary["gpu_gb"] == round(made_plan("experiment=paper/ral").gpu_gb, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_run_that_is_there_changes_nothing_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("")
    done = call("train.py", "plan=true", f"hydra.run.dir={folder}", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["run", "run/metrics.jsonl"]


def test_from_python_a_plan_is_refused_and_not_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^plan=true: ral.train makes runs: write python train.py"):
        ral.train(ral.compose("plan=true", f"hydra.run.dir={tmp_path / 'run'}"))
    assert list(tmp_path.iterdir()) == []


def test_a_plan_without_a_shape_is_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    done = call("train.py", "plan=true", "model.pretrained=some/model", folder=tmp_path)
    assert done.returncode == 1 and done.stdout == "" and list(tmp_path.iterdir()) == []
    assert done.stderr.splitlines()[-1].startswith("error: model.pretrained=some/model: no folder, and no checkpoint")
