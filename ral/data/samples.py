"""The samples of a split: entries with their decoded media, and the bad entries that were replaced by others."""

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
    """A usable entry with its decoded images and videos, in their order."""

    example: Example
    media: tuple[Pixels, ...]


def any_length(sample: Sample) -> None:
    """Accept every sample. It is the check where a run has no limit of length."""


@dataclass(frozen=True)
class Drawn:
    """The result of drawing for a position.

    sample: None where no candidate was usable. bad: the bad candidates before it. error: message of a fault that is not
    of one entry alone, and ends the run; None where there was none.
    """

    sample: Sample | None
    bad: tuple[Bad, ...]
    error: str | None = None


class Samples(Dataset[Drawn]):
    """Samples by position, read where they are asked for: in a worker process of the data loader.

    check: raises BadSample for an example that this run cannot use. candidates: a function from a position to the
    indices in `examples` to try in turn. fits: raises BadSample for a sample that is too long once its media are read.
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
        """Return the first usable candidate for a position, and the bad ones before it.

        UserError or OSError for a fault that is not of one entry alone.
        """
        bad: list[Bad] = []
        for at in self.candidates(position):
            try:
                return Drawn(self.read(at), tuple(bad))
            except BadSample as error:
                bad.append(bad_of(self.examples, at, error))
        return Drawn(None, tuple(bad))

    def read(self, at: int) -> Sample:
        """Return the entry at an index of `examples` with its media. BadSample where it cannot be used."""
        example = self.examples[at]
        self.check(example)
        sample = Sample(example, tuple(self.reader.read(m) for m in example.media))
        self.fits(sample)
        return sample
