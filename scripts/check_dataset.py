"""Reads every entry of a dataset as a run would, and lists what a run would skip: `--help` says more.

python scripts/check_dataset.py dataset=video_r1 dataset.path=FILE dataset.media_root=FOLDER
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ral.config.check import bind_targets, check_schema, plain
from ral.config.cli import run
from ral.config.schema import Dataset, Model

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ral.data.bad import Bad
    from ral.data.order import Sample, Samples
    from ral.learner.collate import Collate
    from ral.types import Example

ROOT = Path(__file__).resolve().parents[1]
AT_ONCE = 32  # entries that a worker is given
TRIED = 20  # first entries of which one is shown
FOR_SFT = "video_r1_cot"  # the choice of dataset whose training split is for SFT


@dataclass
class Settings:
    """conf/check.yaml."""

    dataset: Dataset
    model: Model
    splits: list[str] | None
    workers: int | None
    strict: bool
    debug: bool


@dataclass(frozen=True)
class Seen:
    """What the tables need of one usable entry: lengths in characters, and visual tokens of 28 x 28 pixels."""

    problem_type: str
    medium: str
    characters: int
    tokens: int


def check(cfg: DictConfig) -> None:
    """UserError for a configuration that does not fit together."""
    check_schema(plain(cfg), Settings)
    bind_targets(cfg)


# --- in a worker

SPLITS: dict[str, Samples] = {}


def start_worker(splits: dict[str, Samples]) -> None:
    """Hold the splits, with a reader of this process's own."""
    SPLITS.update(splits)


def usable(collate: Collate, example: Example) -> None:
    """BadSample for an example that a run would skip; one with chosen and rejected is for a reward model."""
    replace(collate, preferences=example.chosen is not None).check(example)


def short_enough(collate: Collate, sample: Sample) -> None:
    """BadSample for a sample that is too long for the model."""
    replace(collate, preferences=sample.example.chosen is not None).fits(sample)


def look(split: str, places: range) -> list[Seen | Bad]:
    """What becomes of the entries at some places."""
    return [seen(SPLITS[split], at) for at in places]


def seen(samples: Samples, at: int) -> Seen | Bad:
    """Read one entry and its media."""
    from ral.data.bad import BadSample
    from ral.data.clips import TOKEN_PIXELS
    from ral.data.entries import bad_of

    try:
        sample = samples.read(at)
    except BadSample as error:
        return bad_of(samples.examples, at, error)
    example = sample.example
    areas = [p.frames.shape[1:3].numel() * (len(p.frames) / 2 if p.kind == "video" else 1) for p in sample.media]
    characters = len(example.question) + sum(map(len, example.options))
    medium = example.media[0].kind if example.media else "text"
    return Seen(example.problem_type, medium, characters, round(sum(areas) / TOKEN_PIXELS))


# --- in the main process


def open_splits(cfg: DictConfig) -> dict[str, Samples]:
    """The splits as a run opens them. strict: "sft" needs reasoning, others a gold answer that the rules can read."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.utils import instantiate

    from ral.data.bad import Checked, any_use
    from ral.data.media import media_reader
    from ral.data.order import Samples
    from ral.learner.collate import Collate
    from ral.models.family import read_config
    from ral.models.processor import Processor
    from ral.rewards.accuracy import check_gold

    dataset, model, shipped = cfg.dataset, cfg.model.pretrained, ROOT / cfg.model.pretrained
    model = str(shipped) if not Path(model).exists() and shipped.exists() else model
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
    training = "sft" if HydraConfig.get().runtime.choices.dataset == FOR_SFT else "train"
    found = {}
    for split in cfg.splits or (training, "validation"):
        mine = replace(collate, targets=split == "sft")
        found[split] = Samples(source(split=split), reader, partial(usable, mine), range, partial(short_enough, mine))
    return found


def scan(splits: dict[str, Samples], workers: int) -> Iterator[list[Seen | Bad]]:
    """What was seen, some entries at a time, in order."""
    jobs = [
        (split, range(start, min(start + AT_ONCE, len(samples.examples))))
        for split, samples in splits.items()
        for start in range(0, len(samples.examples), AT_ONCE)
    ]
    if workers == 1:
        start_worker(splits)
        yield from (look(*job) for job in jobs)
        return
    context = get_context("spawn")  # decoders do not survive a fork
    with ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=(splits,)) as pool:
        yield from pool.map(look, *zip(*jobs, strict=True))


def kind_of(reason: str) -> str:
    """A reason without what is peculiar to one entry."""
    return re.sub(r"field ('\w+'): .* (is not|is none)", r"field \1: \2", re.split(r" \(|: /|: [^:]*/", reason)[0])[:80]


def tables(good: Sequence[Seen], bad: Sequence[Bad]) -> Iterator[Any]:
    """What is there by problem type and medium, and what is bad by reason."""
    from rich.table import Table

    groups: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for item in good:
        groups[item.problem_type, item.medium].append(item)
    usable = Table(title="usable entries", title_justify="left")
    names = ("problem type", "medium", "entries", "characters, mean", "most", "visual tokens, mean", "most")
    for number, name in enumerate(names):
        usable.add_column(name, justify="left" if number < 2 else "right")
    for group, items in sorted(groups.items()):
        figures = [[i.characters for i in items], [i.tokens for i in items]]
        numbers = [text for values in figures for text in (f"{sum(values) / len(values):.0f}", str(max(values)))]
        usable.add_row(*group, str(len(items)), *numbers)
    yield usable
    if bad:
        skipped = Table("reason", "entries", "the first one", title="would be skipped", title_justify="left")
        counts = Counter(kind_of(b.reason) for b in bad)
        first = {kind_of(b.reason): b for b in reversed(bad)}
        for kind, count in counts.most_common():
            skipped.add_row(kind, str(count), f"index {first[kind].index}  {first[kind].path or ''}")
        yield skipped


def first_prompt(samples: Samples) -> str | None:
    """The first usable entry as the model reads it, a placeholder for each run of them; None where there is none."""
    from ral.data.bad import BadSample

    collate: Collate = samples.check.args[0]  # type: ignore[attr-defined]  # that `usable` is bound to
    for at in range(min(TRIED, len(samples.examples))):
        try:
            text = collate.batch([samples.read(at)]).texts[0]
        except BadSample:
            continue
        return re.sub(r"(<[^<>]+>)\1+", r"\1", text)
    return None


def describe(splits: dict[str, Samples]) -> None:
    """Print what was made of the files, and the first entry in full."""
    from ral.data.overview import overview

    for name, samples in splits.items():
        print("\n".join(overview(name, samples.examples)))
    prompt = next((prompt for samples in splits.values() if (prompt := first_prompt(samples)) is not None), None)
    if prompt is not None:
        print("first entry, as the model reads it:")
        print("\n".join(f"  | {line}" for line in prompt.splitlines()), flush=True)


def write(bad: Sequence[Bad]) -> Path:
    """bad_samples.jsonl in the output folder."""
    from hydra.core.hydra_config import HydraConfig

    from ral.data.bad import write_bad

    path = Path(HydraConfig.get().runtime.output_dir) / "bad_samples.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bad(path, bad)
    return path


def main(cfg: DictConfig) -> None:
    """Scan, print the tables, write the list."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    splits = open_splits(cfg)
    describe(splits)
    total = sum(len(samples.examples) for samples in splits.values())
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    found: list[Seen | Bad] = []
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("checking", total=total)
        for part in scan(splits, cfg.workers or os.cpu_count() or 1):
            found += part
            bar.advance(task, len(part))
    good = [item for item in found if isinstance(item, Seen)]
    bad = [item for item in found if not isinstance(item, Seen)]
    for table in tables(good, bad):
        Console().print(table)
    print(f"bad_samples: {write(bad)}")
    print(f"checked: {len(found)} ok: {len(good)} bad: {len(bad)}", flush=True)


if __name__ == "__main__":
    run(main, "check", check=check)
