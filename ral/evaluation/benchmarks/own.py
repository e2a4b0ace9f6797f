"""Benchmarks in this project's own data formats: `visual_search`, Video-R1's evaluation files, a user's own file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import overload

from ral.data import sources
from ral.data.bad import Checked
from ral.data.files import UNPACKED, located
from ral.data.sources import parse_own, read_file
from ral.evaluation.benchmarks.items import Item, Judged
from ral.rewards.accuracy import accuracy, check_gold
from ral.rewards.answers import extract_answer
from ral.types import Example, UserError
from ral.worlds import visual_search as made

VIDEO_R1 = "eval_*.json"
usable = Checked(check_gold)


class OwnItems(Sequence[Item]):
    """The examples of one or more files as items, one file after another. parts: {name: examples}.

    by_file: whether the names are the groups of items; else problem types are. Reading an item raises BadSample where
    its entry cannot be used, or the rules cannot read its gold answer.
    """

    def __init__(self, parts: Mapping[str, Sequence[Example]], by_file: bool = False) -> None:
        self.parts, self.by_file = parts, by_file
        self.ends = list(accumulate(len(part) for part in parts.values()))

    def __len__(self) -> int:
        return self.ends[-1]

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        if isinstance(at, slice):
            return [self[n] for n in range(len(self))[at]]
        return self.item(range(len(self))[at])

    def item(self, at: int) -> Item:
        """Return the item at a position, from 0.

        BadSample where its entry cannot be used, or the rules cannot read its gold answer.
        """
        number = bisect_right(self.ends, at)
        name, part = list(self.parts.items())[number]
        example = part[at - self.ends[number] + len(part)]
        usable(example)
        return Item(example, group=name if self.by_file else example.problem_type)


def visual_search(
    path: str | Path,
    *,
    split: str,
    sizes: Mapping[str, int],
    seed: int,
    grid: int,
    clip_grid: int,
    frames: int,
    distractors: int,
    clip_share: float,
    free_form_share: float,
) -> OwnItems:
    """Return a split of the default data below `path`, which is made first where it does not exist.

    The parameters are those of `ral.worlds.visual_search.source`.
    """
    examples = made.source(
        split,
        root=path,
        sizes=sizes,
        seed=seed,
        grid=grid,
        clip_grid=clip_grid,
        frames=frames,
        distractors=distractors,
        clip_share=clip_share,
        free_form_share=free_form_share,
    )
    return OwnItems({"visual_search": examples})


def video_r1(path: str | Path, *, media_root: str | Path | None = None) -> OwnItems:
    """Return the items of one of Video-R1's evaluation files, or of all `eval_*.json` in a folder.

    A group is a file's name without "eval_". media_root: folder that paths of media start from; None: the file's own
    folder. UserError where there is no such file, or one cannot be read.
    """
    path = Path(path).expanduser()
    files = [path] if path.is_file() else sorted(path.glob(VIDEO_R1))
    if not files:
        expected = "Video-R1's eval_mvbench.json, eval_tempcompass.json, ..., with the media below it or media_root"
        raise UserError(f"{path}: no {VIDEO_R1}; expected {expected}; write benchmark.path=<that folder, or one file>")
    root = None if media_root is None else Path(media_root).expanduser()
    return OwnItems({f.stem.removeprefix("eval_"): read_file(f, media_root=root) for f in files}, by_file=True)


def jsonl(
    path: str | Path,
    *,
    split: str | None = None,
    validation_size: int = 256,
    media_root: str | Path | None = None,
    unpacked: str | Path = UNPACKED,
) -> OwnItems:
    """Return the items of a user's own file, one for each entry, in any format that dataset=jsonl reads.

    split: "validation" for the entries that training on the file holds out, as many as validation_size says; None for
    all entries. media_root, unpacked: as in `ral.data.sources.jsonl`. Groups are problem types. UserError where the
    file cannot be read.
    """
    root, copies = None if media_root is None else located(media_root), Path(unpacked)
    if split is None:
        examples = read_file(located(path), media_root=root, parse=parse_own, unpacked=copies)
    else:
        examples = sources.jsonl(split, path=path, media_root=root, validation_size=validation_size, unpacked=copies)
    return OwnItems({located(path).stem: examples})


def judge(item: Item, response: str) -> Judged:
    """Return the accuracy of the response's answer block, as the reward with rules "fixed" scores it."""
    return Judged(extract_answer(response) or "", accuracy(item.example, response))


def bare_words(example: Example) -> Example:
    """Return the example with its options moved into the question, one a line."""
    return replace(example, question="\n".join((example.question, *example.options)), options=())
