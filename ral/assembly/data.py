"""Construction of a run's data from its configuration, and checks of the data against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from ral.config.build import instantiate
from ral.data.bad import BadSample, Checked, EntryRecord, Ledger, any_use
from ral.data.media import MediaReader, media_reader
from ral.files.run_folder import first_rank
from ral.learner.collate import Collate
from ral.learner.objective import Objective
from ral.models.processor import Processor
from ral.ops.signals import needed
from ral.rewards.accuracy import check_gold
from ral.types import Example, UserError

RULES = "ral.rewards.accuracy.accuracy"
"""Function of the reward part that, unless rules=compat, needs gold answers it can parse."""


def build_reader(cfg: DictConfig, processor: Processor) -> MediaReader:
    """Return the reader of images and videos, with the caches that the configuration asks for."""
    dataset = cfg.dataset
    return media_reader(
        instantiate(dataset.media, factor=processor.patches.factor),
        cache_gb=dataset.cache_gb,
        disk_cache=dataset.disk_cache,
        disk_cache_gb=dataset.disk_cache_gb,
    )


def build_collate(cfg: DictConfig, processor: Processor) -> Collate:
    """Return the collate function of the training prompts."""
    algo, dataset = cfg.algo, cfg.dataset
    preferences = algo.preferences
    return Collate(
        processor,
        templates=(dataset.templates.think, dataset.templates.zero),
        thinking=algo.thinking,
        answer_only_share=dataset.answer_only_share,
        targets=not algo.rollouts and not preferences,
        preferences=preferences,
        scorable=scorable(cfg.reward),
        max_new_tokens=dataset.max_new_tokens,
    )


def build_ledger(cfg: DictConfig, folder: Path, record: EntryRecord) -> Ledger:
    """Return the counter of bad entries. record: the counts to begin from.

    Rank 0 lists bad entries, each once, in folder/bad_samples.jsonl.
    """
    return Ledger(folder / "bad_samples.jsonl" if first_rank() else None, cfg.dataset.max_bad_share, record)


def check_even(cfg: DictConfig) -> None:
    """Raise UserError where algo.prompts_per_step is no multiple of the number of processes."""
    prompts, processes = cfg.algo.prompts_per_step, cfg.hardware.devices * cfg.hardware.num_nodes
    if prompts % processes:
        raise UserError(
            f"algo.prompts_per_step={prompts} cannot be dealt out evenly to {processes} processes: write a multiple"
        )


def prompts_read(cfg: DictConfig) -> int:
    """Return the number of prompts read for a step: algo.prompts_per_step, times algo.redraw.rounds if that is set."""
    redraw = cfg.algo.redraw
    return int(cfg.algo.prompts_per_step * (1 if redraw is None else redraw.rounds))


def check_redraw(cfg: DictConfig, entries: int) -> None:
    """Raise UserError where the training split has fewer entries than algo.redraw reads prompts for one step."""
    if cfg.algo.redraw is not None and entries < prompts_read(cfg):
        raise UserError(
            f"algo.redraw.rounds={cfg.algo.redraw.rounds} of algo.prompts_per_step={cfg.algo.prompts_per_step} reads "
            f"{prompts_read(cfg)} prompts a step, and the training split has {entries}: write algo.redraw=null, or "
            "fewer rounds or prompts"
        )


def check_acting(objective: Objective, temporal: bool, examples: Sequence[Example]) -> None:
    """Raise UserError where no usable entry of the training split has the fields that the algorithm needs.

    Needed are: evidence, where a term or the second view reads it; images or videos, for a second view and for
    attention on visual keys alone; videos, where `temporal` (algo.temporal is set). Entries are read, without their
    media, until one has the needed field.
    """
    view = objective.view
    readers = [f"algo.{name}" for name, term in objective.terms.items() if "evidence" in needed([term])]
    if getattr(getattr(view, "func", view), "of_evidence", False):
        readers.append("algo.view")
    if readers and not any_usable(examples, lambda example: example.evidence):
        raise without("evidence (docs/data.md)", readers[0])
    if view is not None and not any_usable(examples, lambda example: example.media):
        raise without("a picture or clip", "algo.view")
    if temporal and not any_usable(examples, lambda example: any(m.kind == "video" for m in example.media)):
        raise without("a clip", "algo.temporal")
    spec = getattr(objective.passes, "spec", None)
    on_media = spec is not None and spec.keys == "visual" and "attention" in needed(objective.terms.values())
    if on_media and not any_usable(examples, lambda example: example.media):
        raise without("a picture or clip", "algo.attention_policy.keys=visual")


def without(what: str, reader: str) -> UserError:
    """Return the UserError for data without `what`, which the configuration key `reader` needs."""
    return UserError(
        f"dataset: no entry of its training split that can be used has {what}, which {reader} reads: "
        "name data that has it, or write algo=grpo"
    )


def any_usable(examples: Sequence[Example], has: Callable[[Example], object]) -> bool:
    """Tell whether has(entry) is true for one entry at least; an entry that raises BadSample does not count."""
    for at in range(len(examples)):
        try:
            if has(examples[at]):
                return True
        except BadSample:
            continue
    return False


def scorable(reward: DictConfig) -> Callable[[Example], object]:
    """Return a function of an example that raises BadSample where the reward cannot parse the gold answer.

    reward: cfg.reward. The function accepts every example unless a part of the reward is `accuracy` with rules=fixed.
    """
    functions = [part.function for part in reward.get("parts", {}).values()]
    strict = any(f.get("_target_") == RULES and f.get("rules", "fixed") == "fixed" for f in functions)
    return Checked(check_gold) if strict else any_use
