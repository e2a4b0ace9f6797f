"""A check of a dataset from a composed configuration: every entry is read as a run would read it.

In this module `cfg` is that configuration (conf/check.yaml).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ral.data.bad import Bad, BadSample, Checked, any_use, write_bad
from ral.data.media import media_reader
from ral.data.overview import overview
from ral.data.samples import Sample, Samples
from ral.data.scan import Usable, remedies, scan, skipped_table, usable_table
from ral.data.sources import TRAINING
from ral.errors import UserError
from ral.files.removal import is_run
from ral.files.repository import find
from ral.learner.collate import Collate
from ral.models.network_config import read_config
from ral.models.processor import Processor
from ral.models.registry import register_named
from ral.rewards.accuracy import check_gold
from ral.types import Example

TRIED = 20  # first entries of which one is shown
FOR_SFT = "video_r1_cot"  # the choice of dataset whose training split is for SFT


def check_example(collate: Collate, example: Example) -> None:
    """Raise BadSample for an example that a run would skip.

    An example with `chosen` is checked as a preference pair.
    """
    replace(collate, preferences=example.chosen is not None).check(example)


def check_length(collate: Collate, sample: Sample) -> None:
    """Raise BadSample for a sample that is too long for the model."""
    replace(collate, preferences=sample.example.chosen is not None).fits(sample)


def check_splits(splits: Sequence[str], source: Mapping[str, Any], choice: str) -> None:
    """Raise UserError for a split that the dataset does not have.

    Loaders from outside ral.data without `sizes` are not checked, since they check their splits themselves. source: the
    loader's node of the configuration. choice: the option of dataset=.
    """
    sizes = source.get("sizes")
    if sizes is None and not str(source.get("_target_")).startswith("ral.data."):
        return
    known = list(sizes) if sizes is not None else [*TRAINING, "validation"]
    for split in splits:
        if split not in known:
            own = " (or dataset.source.validation_split=<the name> splits=[validation])" if choice == "hf" else ""
            raise UserError(f"splits: dataset={choice} has no split {split!r}; write {', '.join(known)}{own}")


def open_splits(cfg: DictConfig) -> dict[str, Samples]:
    """Open the chosen splits as a run does; return {split: its samples}. UserError for an unknown split.

    With cfg.strict an entry of split "sft" needs reasoning, one of another split a gold answer that the rules can read.
    """
    dataset, model = cfg.dataset, find(cfg.model.pretrained)
    choice = HydraConfig.get().runtime.choices["dataset"]
    splits = cfg.splits or ("sft" if choice == FOR_SFT else "train", "validation")
    check_splits(splits, dataset.source, choice)
    register_named(cfg.model.get("family"))
    read_config(model)
    collate = Collate(
        Processor.from_folder(model),
        templates=(dataset.templates.think, dataset.templates.zero),
        thinking=cfg.strict,
        answer_only_share=dataset.answer_only_share,
        scorable=Checked(check_gold) if cfg.strict else any_use,
        max_new_tokens=dataset.max_new_tokens,
    )
    source, media = instantiate(dataset.source), instantiate(dataset.media)
    reader = media_reader(media, disk_cache=dataset.disk_cache, disk_cache_gb=dataset.disk_cache_gb)
    found = {}
    for split in splits:
        own = replace(collate, targets=split == "sft")
        checks = partial(check_example, own), range, partial(check_length, own)
        found[split] = Samples(source(split=split), reader, *checks)
    return found


def first_prompt(samples: Samples) -> str | None:
    """Return the first prompt of the usable entries among the first TRIED; None where none of these is usable.

    Several equal placeholders in a row are shortened to one.
    """
    collate: Collate = samples.check.args[0]  # type: ignore[attr-defined]  # that `check_example` is bound to
    for at in range(min(TRIED, len(samples.examples))):
        try:
            text = collate.batch([samples.read(at)]).texts[0]
        except BadSample:
            continue
        return re.sub(r"(<[^<>]+>)\1+", r"\1", text)
    return None


def describe(splits: Mapping[str, Samples]) -> None:
    """Print an overview of each split, then the whole prompt of the first usable entry."""
    for name, samples in splits.items():
        print("\n".join(overview(name, samples.examples)))
    prompt = next((prompt for samples in splits.values() if (prompt := first_prompt(samples)) is not None), None)
    if prompt is not None:
        print("first entry, as the model reads it:")
        print("\n".join(f"  | {line}" for line in prompt.splitlines()), flush=True)


def check_no_run(folder: Path) -> None:
    """Raise UserError where the folder is that of a run, whose bad_samples.jsonl would be written over."""
    if is_run(folder):
        raise UserError(f"{folder} is a run's folder, with a bad_samples.jsonl of its own: write another hydra.run.dir")


def write(bad: Sequence[Bad]) -> Path:
    """Write bad_samples.jsonl into the output folder of the command; return its path."""
    path = Path(HydraConfig.get().runtime.output_dir) / "bad_samples.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bad(path, bad)
    return path


def scan_all(splits: Mapping[str, Samples], workers: int) -> list[Usable | Bad]:
    """Check every entry of the splits in `workers` processes, under a progress bar; return a result for each."""
    total = sum(len(samples.examples) for samples in splits.values())
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    found: list[Usable | Bad] = []
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("checking", total=total)
        for part in scan(splits, workers):
            found += part
            bar.advance(task, len(part))
    return found


def scan_dataset(cfg: DictConfig) -> None:
    """Check every entry, print the tables of usable and skipped entries, write the list of bad ones.

    UserError as `open_splits`, where no entry can be used, and where the list would replace that of a run.
    """
    check_no_run(Path(HydraConfig.get().runtime.output_dir))
    splits = open_splits(cfg)
    describe(splits)
    found = scan_all(splits, cfg.workers or os.cpu_count() or 1)
    good = [item for item in found if isinstance(item, Usable)]
    bad = [item for item in found if isinstance(item, Bad)]
    for table in (usable_table(good), *([skipped_table(bad)] if bad else [])):
        Console().print(table)
    print("".join(f"  {line}\n" for line in remedies(bad)), end="")
    print(f"bad_samples: {write(bad)}")
    print(f"checked: {len(found)} ok: {len(good)} bad: {len(bad)}", flush=True)
    if not good:
        raise UserError(f"dataset: none of the {len(found)} entries can be used; the first: {bad[0].message}")
