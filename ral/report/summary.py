"""Numbers of the report: means before and after training with bootstrap intervals, rows of the table, chosen items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ral.report.records import Item
from ral.types import PROBLEM_TYPES

BOOTSTRAP_SEED = 20260204  # any fixed number: the same files give the same interval
BOOTSTRAP_RESAMPLES = 2000  # an interval end moves by some tenths of a point from seed to seed at 60 items
BLOCK = 200_000  # items resampled at once: bounds the memory for large evaluations
RIGHT = 0.5  # an accuracy at least this high counts as right when answers are sorted into fixed, broken, ...
KIND_NAMES = {"image": "pictures", "video": "clips", "text": "text alone"}
ORDER = ("fixed", "broken", "wrong", "right")  # questions of the page are chosen in turns from these


@dataclass(frozen=True)
class Pair:
    """One question as evaluated before and after training; None for a side that is missing, never for both."""

    before: Item | None
    after: Item | None

    @property
    def item(self) -> Item:
        """Return the item after training, or that before where the first is missing.

        Question, media and gold answer are the same on both sides.
        """
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95% percentile bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """Accuracy before and after training, and its change, paired by question; None where a side is missing."""

    before: Estimate | None
    after: Estimate | None
    change: Estimate | None


@dataclass(frozen=True)
class Means:
    """Means in [0, 1] before and after training; None for a side on which no item has the value."""

    before: float | None
    after: float | None


@dataclass(frozen=True)
class Row:
    """One line of the table, on a subset of n items: accuracy, grounding and format before and after training."""

    name: str
    n: int
    accuracy: Compared
    grounding: Means
    format: Means


def match(before: Sequence[Item] | None, after: Sequence[Item] | None) -> tuple[tuple[Pair, ...], str | None]:
    """Return the pairs of items with the same uid, sorted by uid, and a note on items that only one side has.

    Such items are left out; the note is None where there are none. before, after: None for a missing side; then each
    item of the other side is a pair with one side.
    """
    if before is None or after is None:
        items = sorted(before or after or (), key=lambda item: item.uid)
        return tuple(Pair(item, None) if after is None else Pair(None, item) for item in items), None
    left, right = {item.uid: item for item in before}, {item.uid: item for item in after}
    shared = sorted(left.keys() & right.keys())
    lost = len(left) + len(right) - 2 * len(shared)
    note = f"{lost} evaluated items occur on one side alone (before or after) and are left out of all comparisons."
    return tuple(Pair(left[uid], right[uid]) for uid in shared), note if lost else None


def bootstrap(values: np.ndarray, resamples: int = BOOTSTRAP_RESAMPLES) -> list[Estimate]:
    """Return the means of the columns of `values` [n, columns], with 95% percentile bootstrap intervals.

    Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7(1), 1979; the percentile interval:
    Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.

    The n items are resampled with replacement, whole rows at a time, so that a column of differences is a paired
    comparison.
    """
    random = np.random.default_rng(BOOTSTRAP_SEED)
    n = len(values)
    at_once = max(1, BLOCK // n)
    blocks = [min(at_once, resamples - done) for done in range(0, resamples, at_once)]
    means = np.concatenate([values[random.integers(0, n, (count, n))].mean(axis=1) for count in blocks])
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return [Estimate(*(float(x) for x in ends)) for ends in zip(values.mean(axis=0), low, high, strict=True)]


def table(pairs: Sequence[Pair]) -> list[Row]:
    """Return the rows: all items, then each problem type, then images, videos and text where several of these occur.

    Without pairs there are no rows.
    """
    if not pairs:
        return []
    types = _occurring(pairs, lambda item: item.asked.problem_type, PROBLEM_TYPES)
    kinds = _occurring(pairs, lambda item: item.asked.data_type, tuple(KIND_NAMES))
    rows = [_row("all items", pairs)]
    rows += [_row(name, [p for p in pairs if p.item.asked.problem_type == name]) for name in types]
    if len(kinds) > 1:
        rows += [_row(KIND_NAMES[kind], [p for p in pairs if p.item.asked.data_type == kind]) for kind in kinds]
    return rows


def category(pair: Pair) -> str:
    """Return the pair's category: "fixed", "broken", "right" or "wrong".

    Training fixed a response that was wrong before and right after, and broke one that was right before and wrong
    after; "right" and "wrong" are those that did not change. A response is right from accuracy RIGHT on. A pair with
    one side has that side's category.
    """
    before, after = ((side or pair.item).scores.accuracy >= RIGHT for side in (pair.before, pair.after))
    if before == after:
        return "right" if after else "wrong"
    return "fixed" if after else "broken"


def select(pairs: Sequence[Pair], count: int = 8) -> list[Pair]:
    """Return the `count` most informative pairs, or all where there are fewer; chosen by rule, not at random.

    Categories take turns (fixed, broken, wrong, right). Within a category, the pair is taken whose problem type was
    chosen least often, then whose medium was; then a pair with an attention map; then the first uid.
    """
    rest, chosen = sorted(pairs, key=lambda pair: pair.item.uid), list[Pair]()
    while rest and len(chosen) < count:
        turn = len(chosen) % len(ORDER)
        wanted = next(name for name in ORDER[turn:] + ORDER[:turn] if any(category(pair) == name for pair in rest))
        best = min((pair for pair in rest if category(pair) == wanted), key=_novelty(chosen))
        rest.remove(best)
        chosen.append(best)
    return sorted(chosen, key=lambda pair: ORDER.index(category(pair)))


def _novelty(chosen: Sequence[Pair]) -> Callable[[Pair], tuple[int, int, bool]]:
    types = Counter(pair.item.asked.problem_type for pair in chosen)
    kinds = Counter(pair.item.asked.data_type for pair in chosen)

    def chosen_before(pair: Pair) -> tuple[int, int, bool]:
        asked = pair.item.asked
        return types[asked.problem_type], kinds[asked.data_type], pair.item.attention is None

    return chosen_before


def _occurring(pairs: Sequence[Pair], field: Callable[[Item], str], known: Sequence[str]) -> list[str]:
    """Return the values of a field that occur: known values in their usual order, then the others by name."""
    found = {field(pair.item) for pair in pairs}
    return [name for name in known if name in found] + sorted(found - set(known))


def _row(name: str, pairs: Sequence[Pair]) -> Row:
    sides = [p.before for p in pairs if p.before], [p.after for p in pairs if p.after]
    return Row(
        name=name,
        n=len(pairs),
        accuracy=_compared(pairs),
        grounding=Means(*(_mean(item.scores.grounding for item in side) for side in sides)),
        format=Means(*(_mean(item.scores.format for item in side) for side in sides)),
    )


def _compared(pairs: Sequence[Pair]) -> Compared:
    """Compare the accuracy of pairs that have both sides, or of the one side that there is."""
    sides = [(p.before.scores, p.after.scores) for p in pairs if p.before is not None and p.after is not None]
    both = [(before.accuracy, after.accuracy) for before, after in sides]
    if both:
        values = np.array(both)
        return Compared(*bootstrap(np.column_stack([values, values[:, 1] - values[:, 0]])))
    (alone,) = bootstrap(np.array([[pair.item.scores.accuracy] for pair in pairs]))
    return Compared(alone, None, None) if pairs[0].after is None else Compared(None, alone, None)


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None; None where there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
