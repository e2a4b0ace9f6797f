"""The samples of a split: entries with their decoded media, and the bad ones that another stands in for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch.utils.data import Dataset

from ral.data.bad import Bad, BadSample
from ral.data.entries import bad_of
from ral.data.media import MediaReader
from ral.types import Example, Pixels, UserError


@dataclass(frozen=True)
class Sample:
    """A usable entry with its decoded media."""

    example: Example
    media: tuple[Pixels, ...]


def any_length(sample: Sample) -> None:
    """Accept every sample."""


@dataclass(frozen=True)
class Drawn:
    """The result of drawing for a position: a sample, None where no candidate was usable, and the bad ones before it.

    error: what else was wrong, and ends the run.
    """

    sample: Sample | None
    bad: tuple[Bad, ...]
    error: str | None = None


class Samples(Dataset[Drawn]):
    """Samples by position, read where they are asked for: in a worker.

    check(example) raises BadSample for one that this run cannot use, fits(sample) for one that is too long once its
    media are read; candidates(position): positions in `examples`.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        reader: MediaReader,
        check: Callable[[Example], object],
        candidates: Callable[[int], Iterable[int]],
        fits: Callable[[Sample], object] = any_length,
    ) -> None:
        self.examples, self.reader, self.check, self.candidates = examples, reader, check, candidates
        self.fits = fits

    def __getitem__(self, position: int) -> Drawn:
        try:
            return self.draw(position)
        except UserError as error:
            return Drawn(None, (), str(error))
        except OSError as error:
            return Drawn(None, (), f"dataset: {error}; see to the disk that it names, then resume")

    def draw(self, position: int) -> Drawn:
        """Return the first usable candidate of a position.

        UserError, OSError: what is wrong with more than an entry.
        """
        bad: list[Bad] = []
        for at in self.candidates(position):
            try:
                return Drawn(self.read(at), tuple(bad))
            except BadSample as error:
                bad.append(bad_of(self.examples, at, error))
        return Drawn(None, tuple(bad))

    def read(self, at: int) -> Sample:
        """Return the entry at a position of the split. BadSample where it cannot be used."""
        example = self.examples[at]
        self.check(example)
        sample = Sample(example, tuple(self.reader.read(m) for m in example.media))
        self.fits(sample)
        return sample
