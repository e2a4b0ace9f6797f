"""Settings that would save memory: each is tried by a plan with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ral.config.terms import found_terms, of_whole_groups
from ral.planning.plan import Plan, Tree, changed, plan_of

LEAST_GB = 0.001
"""Savings below this many GB are left out."""
HALVED = (
    *("algo.group_size", "dataset.max_new_tokens", "dataset.media.max_frames", "dataset.media.image_max_pixels"),
    *("eval.batch", "planning.visual_tokens"),
)
"""Settings that are tried at half of their value. The first four change what is learned."""
SMALLEST: Mapping[str, int] = {"algo.group_size": 2}
"""Smallest value that a halved setting may have; 1 for the others."""


@dataclass(frozen=True)
class Saving:
    """A setting that saves memory. setting: the override to type. seconds: seconds that it adds to a step.

    gb: GB that it saves on a device; without a GPU, on the machine.
    """

    setting: str
    gb: float
    seconds: float


def savings(tree: Tree, plan: Plan, count: int = 3) -> list[Saving]:
    """Return the `count` settings that save most memory, the greatest saving first; none below LEAST_GB.

    tree: the configuration of `plan`, resolved.
    """
    found = [saving(tree, plan, setting, changes) for setting, changes in candidates(tree)]
    useful = [each for each in found if each.gb > LEAST_GB]
    return sorted(useful, key=lambda each: -each.gb)[:count]


def saving(tree: Tree, plan: Plan, setting: str, changes: Mapping[str, Any]) -> Saving:
    """Return the saving of one setting, from a plan of the changed configuration.

    tree: the configuration of `plan`. setting: the override to type. changes: {key: value} that it changes.
    """
    other = plan_of(changed(tree, changes), plan.device)
    return Saving(setting, plan.most_gb - other.most_gb, other.step_s - plan.step_s)


def candidates(tree: Tree) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (override to type, {key: value}) of the settings that may save memory.

    These are switches that are not set yet, and sizes that can be halved.
    """
    yield from switches(tree)
    for key in HALVED:
        value = at(tree, key)
        if isinstance(value, int) and value // 2 >= SMALLEST.get(key, 1):
            yield f"{key}={value // 2}", {key: value // 2, **followers(tree, key, value // 2)}


def followers(tree: Tree, key: str, value: int) -> dict[str, Any]:
    """Return {key: value} of further keys that change when `key` gets the value `value`.

    Such keys are interpolations of `key`; `tree`, a resolved configuration, holds them as plain values.
    """
    decided = {"dataset.max_new_tokens": "algo.sampling.max_new_tokens"}
    name = decided.get(key)
    return {name: value} if name and tree["algo"]["sampling"] is not None else {}


def switches(tree: Tree) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (override to type, {key: value}) of settings, other than HALVED, that may save memory and are not set yet.

    Those of lora, hardware.dtype and the optimizer also change what is learned.
    """
    hardware, sharded = tree["hardware"], tree["hardware"]["shard"] is not None
    strategy = hardware["strategy"] if isinstance(hardware["strategy"], Mapping) else {}
    recomputed = hardware["gradient_checkpointing"] and hardware["accelerator"] != "cpu"
    may_be_cut = hardware["micro_batch_prompts"] == 1 and not list(of_whole_groups(found_terms(tree)))
    part = hardware["micro_batch_responses"] or tree["algo"]["group_size"]
    tried = {
        "hardware.gradient_checkpointing": (not hardware["gradient_checkpointing"], True),
        "hardware.offload_activations": (recomputed and not hardware["offload_activations"], True),
        "hardware.micro_batch_prompts": (hardware["micro_batch_prompts"] > 1, 1),
        "hardware.micro_batch_responses": (may_be_cut and part > 1, -(-part // 2)),
        "hardware.frozen_in_memory": (not sharded and not hardware["frozen_in_memory"], True),
        "hardware.strategy.offload": (sharded and not strategy.get("offload"), True),
        "hardware.strategy.sum_once": (sharded and strategy.get("sum_once", True), False),
        "diagnostics.gradients": (bool(tree["diagnostics"].get("gradients")), False),
        "lora.rank": (not tree["lora"]["rank"] and tree["model"]["freeze_vision"], 16),
        "lora.base": (four_bit_possible(tree), "nf4"),
    }
    for key, (possible, value) in tried.items():
        if possible:
            yield f"{key}={str(value).lower()}", {key: value}
    if hardware["dtype"] == "float32" and hardware["accelerator"] != "cpu":
        yield "hardware.dtype=bfloat16", {"hardware.dtype": "bfloat16", "hardware.precision": "bf16-mixed"}
    if str(tree["optim"]["optimizer"]["_target_"]).startswith("torch.optim.Adam") and not sharded:
        yield "optim=adamw_8bit", {"optim.optimizer._target_": "ral.learner.eightbit.adamw_8bit"}


def four_bit_possible(tree: Tree) -> bool:
    """Tell whether the frozen weights under adapters could be kept in 4 bits, and are not yet."""
    on_gpu = tree["hardware"]["accelerator"] != "cpu" and tree["hardware"]["shard"] is None
    return bool(tree["lora"]["rank"]) and tree["lora"].get("base") != "nf4" and on_gpu


def at(tree: Tree, key: str) -> Any:
    """Return the value at a dotted key; None where there is none."""
    place: Any = tree
    for name in key.split("."):
        place = place.get(name) if isinstance(place, Mapping) else None
    return place
