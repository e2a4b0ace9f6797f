"""From a resolved configuration, `tree`, to the work of a run.

Lengths are the longest that the configuration lets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.config.build import precision_of
from ral.config.terms import found_terms
from ral.ops.signals import frozen_needs, resolved
from ral.planning.architecture import Architecture, Vision
from ral.planning.workload import Batch, Frozen, Numbers, Ranks, Training, Upkeep, Workload

Tree = Mapping[str, Any]
STATE = {"ral.learner.eightbit.adamw_8bit": 2, "torch.optim.AdamW": 8, "torch.optim.Adam": 8, "torch.optim.SGD": 0}
"""Bytes of an optimizer's state for each weight; 8 for optimizers that are not named here."""

FOUR_BIT = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in NF4: four bits, a byte for each block of 64, four for each 256 of these (QLoRA, 2305.14314)."""


def workload(tree: Tree, architecture: Architecture) -> Workload:
    """Return the work of a run. tree: its configuration, resolved. architecture: that of the policy."""
    numbers = numbers_of(tree, architecture)
    return Workload(
        steps=tree["max_steps"],
        batch=batch_of(tree, architecture.vision),
        numbers=numbers,
        ranks=ranks_of(tree),
        training=training_of(tree, architecture),
        frozen=frozen_of(tree),
        upkeep=upkeep_of(tree),
    )


def batch_of(tree: Tree, vision: Vision) -> Batch:
    """Return the sizes of a batch on one rank; lengths are the longest that the configuration lets through."""
    algo, planning = tree["algo"], tree["planning"]
    prompts = -(-algo["prompts_per_step"] // ranks_of(tree).count)
    given = planning["visual_tokens"]
    return Batch(
        prompts=prompts,
        micro=min(tree["hardware"]["micro_batch_prompts"], prompts),
        group=algo["group_size"],
        text=planning["text_tokens"],
        visual=most_visual(tree["dataset"], vision) if given is None else given,
        response=planning["response_tokens"] or tree["dataset"]["max_new_tokens"],
        part=tree["hardware"]["micro_batch_responses"],
    )


def most_visual(dataset: Tree, vision: Vision) -> int:
    """Return the visual tokens of the largest single image or video that the configuration lets through."""
    made = made_tokens(dataset.get("source") or {}, vision)
    if made is not None:
        return made
    media = dataset["media"]
    frames = media.get("max_frames", 128)
    if vision.tile is not None:
        return int(vision.tile * frames)
    picture, frame = (int(media[name]) // vision.side**2 for name in ("image_max_pixels", "video_max_pixels"))
    return max(picture, -(-frames // vision.frames) * frame)


def made_tokens(source: Tree, vision: Vision) -> int | None:
    """Return the visual tokens of the largest image or video of synthetic data, whose images are grids.

    source: the settings of the data, dataset.source. None for data that are not made of grids.
    """
    if "grid" not in source or "clip_grid" not in source:
        return None
    zoom = source.get("zoom", 1)
    picture = source["grid"] ** 2 * (zoom if isinstance(zoom, int) else max(zoom)) ** 2
    return max(picture, source["clip_grid"] ** 2 * -(-source.get("frames", 8) // vision.frames))


def numbers_of(tree: Tree, architecture: Architecture) -> Numbers:
    """Return the bytes of each kind of number: trained weights fp32, frozen ones by hardware.dtype and lora.base."""
    half = "bf16" in precision_of(tree["hardware"])
    frozen = 2 if tree["hardware"]["dtype"] == "bfloat16" else 4
    target = str(tree["optim"]["optimizer"]["_target_"])
    product = 2 if half else 4
    base = FOUR_BIT if tree["lora"].get("base") == "nf4" else 0.0
    return Numbers(product=product, frozen=frozen, base=base, state=STATE.get(target, 8), mixed=half)


def ranks_of(tree: Tree) -> Ranks:
    """Return the number of processes, and how the networks lie on them."""
    hardware = tree["hardware"]
    strategy = hardware["strategy"] if isinstance(hardware["strategy"], Mapping) else {}
    return Ranks(
        devices=hardware["devices"],
        nodes=hardware["num_nodes"],
        sharded=hardware["shard"] is not None,
        sum_once=bool(strategy.get("sum_once", True)),
        offload=bool(strategy.get("offload", False)),
        aside=bool(hardware["frozen_in_memory"]),
        on_gpu=hardware["accelerator"] != "cpu",
    )


def signals_of(tree: Tree) -> frozenset[str]:
    """Return the names of the signals that terms of the objective with coef other than 0 ask for."""
    return frozenset(
        name for term in found_terms(tree) for name in resolved(term.asked, term.against).values() if term.counts
    )


def measured(tree: Tree) -> bool:
    """Tell whether diagnostics measure attention in some steps."""
    return bool(tree["diagnostics"].get("every", 0)) and tree["algo"]["attention_policy"] is not None


def training_of(tree: Tree, architecture: Architecture) -> Training:
    """Return the settings of the policy's training. architecture is not used."""
    lora, algo = tree["lora"], tree["algo"]
    reads = measured(tree) or "attention" in signals_of(tree)
    own = bool(tree["diagnostics"].get("gradients")) and bool(tree["diagnostics"].get("every", 0))
    return Training(
        updates=algo["updates_per_rollout"],
        rank=lora["rank"],
        targets=tuple(lora["targets"]),
        checkpointing=bool(tree["hardware"]["gradient_checkpointing"]),
        vision=not tree["model"]["freeze_vision"],
        gradients=len(algo["objective"]) if own and len(algo["objective"]) > 1 else 0,
        captured=layers_of(tree) if reads else 0,
        aside=bool(tree["hardware"]["offload_activations"]),
    )


def layers_of(tree: Tree) -> int:
    """Return the number of decoder layers whose attention rows are computed."""
    return len((tree["algo"]["attention_policy"] or {}).get("layers", [-1]))


def frozen_of(tree: Tree) -> Frozen:
    """Return the frozen signals that terms with a coef other than 0 ask for, and how responses are sampled.

    Where diagnostics measure several updates, the old policy's rows are among the signals.
    """
    algo = tree["algo"]
    needs = set(signals_of(tree))
    if measured(tree) and algo["updates_per_rollout"] > 1:
        needs.add("old_rows")
    engine = str(tree["rollout"]["engine"]["_target_"])
    native = engine.startswith("ral.rollout.native")
    return Frozen(
        signals=frozen_needs(needs),
        layers=layers_of(tree),
        sampled=bool(algo["rollouts"]) and native,
        graphs=tree["hardware"]["shard"] is None and tree["hardware"]["accelerator"] != "cpu",
        others=(algo["temporal"] or {}).get("share", 0.0),
    )


def upkeep_of(tree: Tree) -> Upkeep:
    """Return the work beside the steps: evaluations, checkpoints, reading of media."""
    every, steps, checkpoint = tree["eval"]["every"], tree["max_steps"], tree["checkpoint"]
    between = (steps - 1) // every if every else 0
    return Upkeep(
        evaluations=between + 1 + int(tree["eval"]["before"]),
        held_out=tree["eval"]["prompts"],
        batch=tree["eval"]["batch"],
        checkpoints=checkpoint["keep"] + int(checkpoint["best"] is not None) + 1,
        workers=tree["hardware"]["num_workers"],
        ahead=tree["hardware"]["read_ahead"],
        cache_gb=tree["dataset"]["cache_gb"],
    )
