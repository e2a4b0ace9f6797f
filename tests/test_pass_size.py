"""Passes of parts of a group: the update is the whole group's; sizes by the plan; activations in main memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from conftest import make_prompts
from test_models_compute import objective_of
from test_planning import tree_of
from test_training import REWARD_FOR_LENGTH, weights

from ral.config.check import check
from ral.config.rules import rules
from ral.config.without_effect import settings_without_effect
from ral.errors import UserError
from ral.learner.experience import Experience, Forward, PassSize, freeze, portions, remember
from ral.models import recomputation
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import evaluate, needed
from ral.planning.device import device_of, present, read_device
from ral.planning.fitting import SHARE, fitted, fitted_here, most_gb
from ral.planning.plan import changed, plan_of
from ral.rollout.single_answers import make_rollout

KINDS = (("image",), (), ("video",))
GROUP, LENGTH = 5, 7
AUTO = ("hardware.micro_batch_prompts=auto", "hardware.micro_batch_responses=auto")


def batch_of(model: MLLM) -> Experience:
    """Three prompts with five responses each, of one to seven tokens, and advantages of all signs."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(5, 250, (len(KINDS) * GROUP, LENGTH), generator=generator)
    mask = torch.arange(LENGTH) < torch.randint(1, LENGTH + 1, (len(ids), 1), generator=generator)
    prepared = model.prepare(make_prompts(model, KINDS))
    rollout = make_rollout(model.processor, prepared, ids, mask, mask.any(1), GROUP)
    return Experience(prepared, rollout, torch.randn(len(ids), generator=generator), sequence_mean(mask, counts(mask)))


def gradient(model: MLLM, teacher: MLLM, algo: str, size: PassSize) -> dict[str, torch.Tensor]:
    """The gradient of an update whose weights have moved since the rollout, summed over passes of a size."""
    objective, passes, batch = objective_of(algo), Forward(0.9, AttentionSpec()), batch_of(model)
    needs = needed(objective.values())
    others = dict.fromkeys(("teacher", "reference"), View(teacher, teacher.prepare(batch.prepared.prompts)))
    others = {name: view for name, view in others.items() if any(n.startswith(name) for n in needs)}
    model.zero_grad()
    for part in freeze(passes, others, batch, needs, portions(batch.prepared, batch.rollout, size)):
        live = passes.live(model, part, needs)
        old = remember(part, live, needs).signals
        old |= {"old_log_probs": old["old_log_probs"] * 0.9 + 0.01} if "old_log_probs" in old else {}
        old |= {"old_rows": old["old_rows"].sqrt()} if "old_rows" in old else {}
        signals = {**old, **live, "teacher_head": teacher.head}
        torch.stack([evaluate(term, signals).value for term in objective.values()]).sum().backward()
    return {name: p.grad.clone() for name, p in model.trained_parameters() if p.grad is not None}


@pytest.mark.parametrize("algo", ["grpo", "ral", "ral_distill"])
def test_passes_over_parts_of_a_group_add_up_to_the_whole(algo: str, model_folder: Callable[..., Path]) -> None:
    """Relative to the largest entry of each gradient: 1e-5, in fp32, with parts that do not divide the group."""
    model, teacher = MLLM.load(str(model_folder())), MLLM.load(str(model_folder())).requires_grad_(False)
    whole = gradient(model, teacher, algo, PassSize(3))
    assert max(float(g.abs().max()) for g in whole.values()) > 1e-3
    for size in (PassSize(1, 2), PassSize(1, 1), PassSize(3, 4), PassSize(2, 3)):
        found = gradient(model, teacher, algo, size)
        assert found.keys() == whole.keys()
        for name, grad in whole.items():
            assert float((found[name] - grad).abs().max()) <= 1e-5 * float(grad.abs().max()) + 1e-9, (size, name)


@pytest.mark.parametrize(("prompts", "responses"), [(1, 1), (1, 2), (2, 3), (3, None), (8, 8)])
def test_every_response_is_in_one_pass(prompts: int, responses: int | None, load: Callable[..., MLLM]) -> None:
    """Passes hold no more than asked, and as many passes are made whatever the lengths."""
    batch = batch_of(load())
    places = portions(batch.prepared, batch.rollout, PassSize(prompts, responses))
    rows = [row for place in places for row in batch.rollout.rows(*place)]
    assert sorted(rows) == list(range(len(KINDS) * GROUP))
    some = min(responses or GROUP, GROUP)
    assert all(len(p.prompts) <= prompts and len(p.responses) <= some for p in places)
    assert len(places) == -(-len(KINDS) // prompts) * -(-GROUP // some)
    part = batch.take(*places[-1])
    assert part.rollout.group_size == len(places[-1].responses)
    assert part.rollout.texts == tuple(batch.rollout.texts[row] for row in batch.rollout.rows(*places[-1]))
    torch.testing.assert_close(part.advantages, batch.advantages[batch.rollout.rows(*places[-1])], rtol=0, atol=0)


SGD = (
    *("optim.optimizer._target_=torch.optim.SGD", "~optim.optimizer.betas", "~optim.optimizer.eps"),
    *("~optim.optimizer.fused", "algo.learning_rate=0.1", "eval.every=0", "eval.before=false"),
)


@pytest.mark.parametrize(
    "algo", [pytest.param("grpo", marks=pytest.mark.slow), "ral", pytest.param("ral_distill", marks=pytest.mark.slow)]
)
def test_a_run_in_parts_of_groups_has_the_same_weights(algo: str, run: Callable[..., Path], small: list[str]) -> None:
    """Two steps: rewards find the responses that they are of, whatever pass these are in."""
    common = [f"algo={algo}", *small, REWARD_FOR_LENGTH, *SGD]
    whole = weights(run(*common, folder="whole"))
    cut = ("hardware.micro_batch_prompts=2", "hardware.micro_batch_responses=3")
    found = weights(run(*common, *cut, folder="parts"))
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(("algo", "term"), [("ral_group", "group_attention"), ("vppo", "token")])
def test_a_term_that_compares_a_group_refuses_parts_of_it(algo: str, term: str) -> None:
    from conftest import CONF
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cut = compose("train", [f"algo={algo}", "hardware.micro_batch_responses=2"])
        whole = compose("train", [f"algo={algo}", "hardware.micro_batch_responses=8"])
    with pytest.raises(UserError, match=rf"^hardware\.micro_batch_responses=2: algo\.{term} compares .*=null$"):
        check(cut)
    check(whole)


# -------------------------------------------------------------------------------------------------- sizes by the plan


def test_the_largest_pass_that_fits_is_chosen() -> None:
    tree = tree_of("experiment=paper/3b_24gb", "algo.prompts_per_step=8", "machine=h100", *AUTO)
    device, sizes = device_of(tree), []
    for gb in (85, 60, 40, 27, 25.5, 24, 23, 1):
        machine = {**tree["machine"], "gpu_gb": gb}
        found = fitted({**tree, "machine": machine}, device_of({**tree, "machine": machine}))
        assert found is not None
        sizes.append(tuple(found.sizes.values()))
        fits = found.gb <= SHARE * (gb - 3)
        assert fits == ("nothing smaller fits" not in str(found)) and (fits or sizes[-1] == (1, 1))
    order = [(8, None), (4, None), (2, None), (1, None), (1, 4), (1, 2), (1, 1)]
    at = [order.index(size) for size in sizes]
    assert at == sorted(at) and len(set(at)) >= 4 and sizes[-1] == (1, 1)
    chosen = fitted(tree, device)
    assert chosen is not None
    larger = order[at[0] - 1]
    keys = ("hardware.micro_batch_prompts", "hardware.micro_batch_responses")
    plans = [plan_of(changed(tree, dict(zip(keys, size, strict=True))), device) for size in (larger, sizes[0])]
    updates = [max(p.total for p in plan.phases if "update" in p.name or "frozen" in p.name) / 1e9 for plan in plans]
    assert updates[0] > chosen.room >= updates[1] == pytest.approx(chosen.gb)


def test_numbers_that_are_given_stay() -> None:
    tree = tree_of("experiment=paper/3b_24gb", "algo.prompts_per_step=8", "machine=h100", AUTO[0])
    found = fitted(tree, device_of(tree))
    assert found is not None and list(found.sizes) == ["hardware.micro_batch_prompts"]
    tree = tree_of("experiment=paper/3b_24gb", "hardware.micro_batch_prompts=1", AUTO[1])
    found = fitted(tree, device_of(tree))
    assert found is not None and list(found.sizes) == ["hardware.micro_batch_responses"]
    tree = tree_of("experiment=paper/3b_24gb")
    assert fitted(tree, device_of(tree)) is None


def test_groups_that_are_compared_are_never_cut() -> None:
    tree = tree_of("algo=ral_group", "model=qwen2_5_vl", "hardware=single_gpu", "machine=rtx4090", *AUTO)
    found = fitted(tree, device_of(tree))
    assert found is not None and found.gb > found.room and set(found.sizes.values()) == {1, None}


def gpu(memory: float, name: str = "NVIDIA GeForce RTX 3090", available: bool = True) -> Any:
    """A stand-in for torch.cuda."""
    return SimpleNamespace(
        is_available=lambda: available,
        get_device_name=lambda: name,
        get_device_properties=lambda device: SimpleNamespace(total_memory=int(memory * 1e9)),
    )


def test_a_run_is_fitted_to_the_memory_that_is_there() -> None:
    tree = tree_of("algo=ral", "model=qwen2_5_vl", "lora.rank=16", "hardware=single_gpu", *AUTO)
    assert present(tree, gpu(24)).room.gpu_gb == 24
    assert present({**tree, "machine": tree_of("machine=h200")["machine"]}, gpu(24)).room == read_device("h200").room
    small, large = (fitted_here(tree, gpu(memory)) for memory in (24, 80))
    assert small is not None and large is not None and small.room < large.room
    assert small.room == pytest.approx(SHARE * 21)
    without = fitted_here({**tree, "hardware": {**tree["hardware"], "accelerator": "auto"}}, gpu(24, available=False))
    assert without is not None and without.room == pytest.approx(SHARE * (16 - 0.7))


def test_auto_becomes_a_number_that_the_run_keeps(run: Callable[..., Path], small: list[str], capsys) -> None:
    """Said in a line on stderr, saved in config.yaml, and the weights are those of the numbers written out."""
    common = ["algo=ral", *small, REWARD_FOR_LENGTH, *SGD, "max_steps=1"]
    chosen = run(*common, *AUTO, folder="auto")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "auto:" in line]
    assert line.startswith("hardware.micro_batch_prompts=4 hardware.micro_batch_responses=null (auto: ")
    saved = yaml.safe_load((chosen / "config.yaml").read_text())["hardware"]
    assert (saved["micro_batch_prompts"], saved["micro_batch_responses"]) == (4, None)
    plain = weights(run(*common, "hardware.micro_batch_prompts=4", folder="given"))
    assert all(torch.equal(value, plain[name]) for name, value in weights(chosen).items())


def test_ranks_of_sharded_networks_make_the_same_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first step: a rank that made more would wait for the others for ever."""
    from ral.lit import module

    told: list[int] = []
    engine = SimpleNamespace(update_weights=lambda policy, version: told.append(version))
    step = SimpleNamespace(size=PassSize(2), responding=SimpleNamespace(engine=engine))
    state = SimpleNamespace(progress=SimpleNamespace(version=7))
    one: Any = SimpleNamespace(shard=print, step=step, checkpoint=None, policy=None, state=state)
    monkeypatch.setattr(module, "gather", lambda size: [size, PassSize(1, 4)])
    with pytest.raises(
        UserError, match=r"ranks .* differ \(1 prompts, 4 responses, 2 prompts, all responses\).*numbers$"
    ):
        module.PolicyModule.on_fit_start(one)
    monkeypatch.setattr(module, "gather", lambda size: [size, PassSize(2)])
    module.PolicyModule.on_fit_start(one)
    monkeypatch.setattr(module, "gather", lambda size: [size, PassSize(1)])
    one.shard = None
    module.PolicyModule.on_fit_start(one)
    assert told == [7, 7]


# ------------------------------------------------------------------------------------------- activations in main memory


def test_what_recomputation_keeps_goes_to_main_memory_and_back(
    load: Callable[..., MLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states that enter each of the three layers are moved, little else is, and no bit of the gradient changes."""
    moved: list[torch.Tensor] = []

    def save_on_cpu(pin_memory: bool) -> Any:
        def pack(tensor: torch.Tensor) -> torch.Tensor:
            moved.append(tensor)
            return tensor.clone()

        assert pin_memory is torch.cuda.is_available()
        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)

    monkeypatch.setattr(recomputation, "save_on_cpu", save_on_cpu)
    teacher, found = load().requires_grad_(False), []
    for kept in (False, True):
        model = load()
        model.checkpoint_layers()
        if kept:
            recomputation.keep_in_main_memory(model.network)
        assert not moved
        found.append(gradient(model, teacher, "ral", PassSize(3)))
    plain, offloaded = found
    assert plain.keys() == offloaded.keys() and all(torch.equal(plain[name], offloaded[name]) for name in plain)
    batch, width = batch_of(load()), 64
    tokens = batch.prepared.token_ids.numel() + batch.rollout.token_ids.numel()
    states = [t for t in moved if t.numel() == tokens * width]
    assert 3 <= len(states) <= 6  # of three layers, and of the last norm
    assert sum(t.numel() for t in moved) < 1.2 * sum(t.numel() for t in states)


def test_a_run_with_offloaded_activations_is_the_same_to_the_bit(
    run: Callable[..., Path], small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four updates move something with the setting, and nothing without."""
    used, real = [], recomputation.save_on_cpu
    monkeypatch.setattr(recomputation, "save_on_cpu", lambda **given: (used.append(given), real(**given))[1])
    common = ["algo=ral", *small, REWARD_FOR_LENGTH, "hardware.gradient_checkpointing=true", "max_steps=1"]
    folders = []
    for value in ("false", "true"):
        assert not used
        folders.append(run(*common, f"hardware.offload_activations={value}", folder=value))
    assert len(used) >= 4
    one, other = ([json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in folders)
    for a, b in zip(one, other, strict=True):
        assert {k: v for k, v in a.items() if "time/" not in k} == {k: v for k, v in b.items() if "time/" not in k}
    plain, offloaded = map(weights, folders)
    assert all(torch.equal(plain[name], value) for name, value in offloaded.items())


def test_offloading_without_recomputation_or_on_a_cpu_is_told() -> None:
    tree = tree_of("hardware.offload_activations=true")
    assert list(rules(tree)) == [
        "hardware.offload_activations=true moves what hardware.gradient_checkpointing=true keeps: write both"
    ]
    tree = tree_of("hardware.offload_activations=true", "hardware.gradient_checkpointing=true")
    (line,) = settings_without_effect(tree, {"hardware.offload_activations"})
    assert not list(rules(tree)) and line.startswith("hardware.offload_activations without effect on a CPU")
    assert not list(settings_without_effect({**tree, "hardware": {**tree["hardware"], "accelerator": "gpu"}}, {"seed"}))


def test_the_plan_moves_what_is_offloaded() -> None:
    """The states of all layers leave the GPU for main memory; on a CPU nothing changes."""
    common = ("experiment=paper/3b_24gb", "planning.visual_tokens=30000")
    plans = [
        plan_of(tree, device_of(tree))
        for tree in (tree_of(*common, f"hardware.offload_activations={v}") for v in ("false", "true"))
    ]
    decoder, tokens = plans[0].networks.policy.decoder, plans[0].networks.work.batch.tokens
    states = 4e-9 * decoder.layers * decoder.width * tokens
    forward = [next(p.total for p in plan.phases if p.name == "update, forward") / 1e9 for plan in plans]
    assert forward[0] - forward[1] == pytest.approx(states)
    assert plans[1].host.steady - plans[0].host.steady == pytest.approx(states)


def test_a_part_of_a_group_takes_less_memory_and_more_passes() -> None:
    common = ("experiment=paper/3b_24gb", "machine=h100")
    whole, part = (plan_of(t, device_of(t)) for t in (tree_of(*common), tree_of(*common, f"{AUTO[1][:-4]}3")))
    assert part.networks.work.batch.passes == 3 * whole.networks.work.batch.passes
    assert most_gb(part.networks) < most_gb(whole.networks) and part.step_s > whole.step_s
