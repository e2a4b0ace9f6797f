"""Whole splits scanned by several processes: tables of usable entries, and of skipped ones by reason."""

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
"""The splits that a worker process reads from."""


@dataclass(frozen=True)
class Usable:
    """Facts on one usable entry, for the tables.

    medium: "image" or "video" by the first medium; "text" where there is none. characters: length of question and
    options. tokens: visual tokens, each of 28 x 28 pixels, in videos of two frames.
    """

    problem_type: str
    medium: str
    characters: int
    tokens: int


def start_worker(splits: Mapping[str, Samples]) -> None:
    """Keep the splits in this process, for `scan_part`. Each worker process has readers of its own."""
    SPLITS.update(splits)


def scan_part(split: str, positions: range) -> list[Usable | Bad]:
    """Read the entries at some positions of a split; return a result for each. `start_worker` has to come before."""
    return [read_entry(SPLITS[split], at) for at in positions]


def read_entry(samples: Samples, at: int) -> Usable | Bad:
    """Read the entry at a position with its media; return its facts, or the record of why it is bad."""
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
    """Yield the results for all entries of all splits, in order, in lists of at most AT_ONCE.

    workers: number of processes.
    """
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
    """Return a reason without details of its entry, at most 80 characters long. Reasons are grouped by it."""
    return re.sub(r"field ('\w+'): .* (is not|is none)", r"field \1: \2", re.split(r" \(|: /|: [^:]*/", reason)[0])[:80]


def usable_table(good: Sequence[Usable]) -> Table:
    """Return a table of usable entries: counts by problem type and medium, mean and greatest lengths."""
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
    """Return a table of bad entries: counts by reason, with the first entry of each reason."""
    table = Table("reason", "entries", "the first one", title="would be skipped", title_justify="left")
    counts = Counter(kind_of(b.reason) for b in bad)
    first = {kind_of(b.reason): b for b in reversed(bad)}
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), f"entry {first[kind].index + 1}  {first[kind].path or ''}")
    return table


def remedies(bad: Sequence[Bad]) -> list[str]:
    """Return, for each reason, most frequent first, the message of its first bad entry, which says what to write."""
    counts, first = Counter(kind_of(b.reason) for b in bad), {kind_of(b.reason): b for b in reversed(bad)}
    return [first[kind].message for kind, _ in counts.most_common()]
