"""A scan of whole splits by several processes: what can be used, what a run would skip and why, as tables and lines."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from rich.table import Table

from ral.data.bad import Bad, BadSample
from ral.data.entries import bad_of
from ral.data.samples import Samples
from ral.data.sizes import TOKEN_PIXELS

AT_ONCE = 32  # entries that a worker is given
SPLITS: dict[str, Samples] = {}
"""In a worker: the splits that it reads from."""


@dataclass(frozen=True)
class Usable:
    """Facts of one usable entry for the tables: lengths in characters, and visual tokens of 28 x 28 pixels."""

    problem_type: str
    medium: str
    characters: int
    tokens: int


def start_worker(splits: Mapping[str, Samples]) -> None:
    """Hold the splits, with a reader of this process's own."""
    SPLITS.update(splits)


def scan_part(split: str, positions: range) -> list[Usable | Bad]:
    """Read the entries at some positions."""
    return [read_entry(SPLITS[split], at) for at in positions]


def read_entry(samples: Samples, at: int) -> Usable | Bad:
    """Read one entry and its media."""
    try:
        sample = samples.read(at)
    except BadSample as error:
        return bad_of(samples.examples, at, error)
    example = sample.example
    areas = [p.frames.shape[1:3].numel() * (len(p.frames) / 2 if p.kind == "video" else 1) for p in sample.media]
    characters = len(example.question) + sum(map(len, example.options))
    medium = example.media[0].kind if example.media else "text"
    return Usable(example.problem_type, medium, characters, round(sum(areas) / TOKEN_PIXELS))


def scan(splits: Mapping[str, Samples], workers: int) -> Iterator[list[Usable | Bad]]:
    """Yield what became of the entries, some at a time, in order."""
    jobs = [
        (split, range(start, min(start + AT_ONCE, len(samples.examples))))
        for split, samples in splits.items()
        for start in range(0, len(samples.examples), AT_ONCE)
    ]
    if workers == 1:
        start_worker(splits)
        yield from (scan_part(*job) for job in jobs)
        return
    context = get_context("spawn")  # decoders do not survive a fork
    with ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=(splits,)) as pool:
        yield from pool.map(scan_part, *zip(*jobs, strict=True))


def kind_of(reason: str) -> str:
    """Return a reason without what is peculiar to one entry."""
    return re.sub(r"field ('\w+'): .* (is not|is none)", r"field \1: \2", re.split(r" \(|: /|: [^:]*/", reason)[0])[:80]


def usable_table(good: Sequence[Usable]) -> Table:
    """Count usable entries by problem type and medium, with their lengths."""
    groups: dict[tuple[str, str], list[Usable]] = defaultdict(list)
    for item in good:
        groups[item.problem_type, item.medium].append(item)
    table = Table(title="usable entries", title_justify="left")
    names = ("problem type", "medium", "entries", "characters, mean", "most", "visual tokens, mean", "most")
    for number, name in enumerate(names):
        table.add_column(name, justify="left" if number < 2 else "right")
    for group, items in sorted(groups.items()):
        figures = [[i.characters for i in items], [i.tokens for i in items]]
        numbers = [text for values in figures for text in (f"{sum(values) / len(values):.0f}", str(max(values)))]
        table.add_row(*group, str(len(items)), *numbers)
    return table


def skipped_table(bad: Sequence[Bad]) -> Table:
    """Count bad entries by reason, with the first of each."""
    table = Table("reason", "entries", "the first one", title="would be skipped", title_justify="left")
    counts = Counter(kind_of(b.reason) for b in bad)
    first = {kind_of(b.reason): b for b in reversed(bad)}
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), f"index {first[kind].index}  {first[kind].path or ''}")
    return table
