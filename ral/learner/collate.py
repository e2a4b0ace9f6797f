"""From samples to the batch of a step or an evaluation: prompts as text and tokens, and the bad entries."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ral.data.bad import Bad, BadSample, any_use
from ral.data.evidence import evidence_mask
from ral.data.prompts import check_places, render, target
from ral.data.samples import Drawn, Sample
from ral.models.processor import Processor
from ral.types import IMAGE_MARK, VIDEO_MARK, Example, PromptBatch, UserError

CHECKSUMS = 2**32
"""Number of values of a CRC-32."""


def fraction(uid: str) -> float:
    """Return a number in [0, 1) that depends on the uid alone; over all entries the numbers are spread evenly."""
    return zlib.crc32(uid.encode()) / CHECKSUMS


@dataclass(frozen=True)
class Batch:
    """Batch of a data worker. prompts: those of the usable entries; None where no entry was usable.

    drawn: number of entries tried. bad: the bad ones among them. empty: number of places of the batch for which no
    entry was usable. error: message of a UserError in the worker, which the main process raises; None without error.
    """

    prompts: PromptBatch | None = None
    drawn: int = 0
    bad: tuple[Bad, ...] = ()
    empty: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Collate:
    """Collate function of a data worker: samples -> Batch. processor: makes tokens and tensors of prompts.

    templates: prompt templates of the user's turn, with and without thinking. thinking: whether prompts ask for a think
    block. targets: whether gold responses are added, for supervised fine-tuning. answer_only_share: share of the
    targets without thinking. preferences: whether the run trains on pairs of responses instead of gold answers.
    scorable: function of an example that raises BadSample for a gold answer against which no response could be scored.
    max_new_tokens: length limit of a sampled response.
    """

    processor: Processor
    templates: tuple[str, str]
    thinking: bool
    answer_only_share: float = 0.0
    targets: bool = False
    preferences: bool = False
    scorable: Callable[[Example], object] = any_use
    max_new_tokens: int = 0

    def __call__(self, drawn: Sequence[Drawn]) -> Batch:
        """Return the batch of the places that gave a sample; a UserError becomes `Batch.error`."""
        samples = [d.sample for d in drawn if d.sample is not None]
        bad = tuple(b for d in drawn for b in d.bad)
        for problem in (d.error for d in drawn if d.error):
            return Batch(error=problem)
        try:
            prompts = self.prompts(samples) if samples else None
        except UserError as error:
            return Batch(error=str(error))
        return Batch(prompts, len(samples) + len(bad), bad, len(drawn) - len(samples))

    def check(self, example: Example) -> None:
        """Raise BadSample for an example that this run cannot use.

        Its answer or pair is missing or cannot be scored, its texts hold special tokens, or the marks of media in them
        do not fit its media.
        """
        place = example.source or example.uid
        if self.preferences and example.chosen is None:
            problem = "field 'chosen': missing, and this run trains on preferences"
            raise BadSample(place, problem, "write chosen and rejected (scripts/make_preferences.py makes pairs)")
        if not self.preferences and not example.answer:
            raise BadSample(place, "field 'answer': missing, and this run needs it", "write the gold answer")
        texts = [("question", "\n".join((example.question, *example.options)), False)]
        texts += [(f"{turn.role} turn", turn.text, turn.role != "user") for turn in example.turns]
        if self.preferences:
            texts += [("chosen", example.chosen or "", True), ("rejected", example.rejected or "", True)]
        elif self.targets:
            texts.append(("response", target(example, self.thinks(example)), True))
        else:
            self.scorable(example)
            texts.append((f"answer in field '{example.answer_field}'", example.answer, True))
        for name, text, response in texts:
            if found := self.processor.intruder(text, response=response):
                marks = f" ({IMAGE_MARK} and {VIDEO_MARK} say where media stand)" if "placeholder" in found else ""
                raise BadSample(place, f"the {name} holds the {found}", f"take it out{marks}")
        check_places(example, self.word(example))

    def fits(self, sample: Sample) -> None:
        """Raise BadSample for a prompt that, with its longest response, takes more positions than the network has."""
        example = sample.example
        self.processor.check_length(example, self.word(example), sample.media, self.response_tokens(example))

    def response_tokens(self, example: Example) -> int:
        """Return the tokens of the longest response to an example: that of the data, or max_new_tokens if sampled."""
        if self.preferences:
            given = [example.chosen or "", example.rejected or ""]
        elif self.targets:
            given = [target(example, self.thinks(example))]
        else:
            return self.max_new_tokens
        return max(len(self.processor.response_ids(text)) for text in given)

    def word(self, example: Example) -> str:
        """Return the text of the user's last turn."""
        return render(example, self.templates[0 if self.thinks(example) else 1])

    def thinks(self, example: Example) -> bool:
        """Tell whether the prompt of an example asks for a think block."""
        return self.thinking and not (self.targets and fraction(example.uid) < self.answer_only_share)

    def prompts(self, samples: Sequence[Sample]) -> PromptBatch:
        """Return the samples as a batch of prompts; with `targets`, sorted by length of target, to save padding."""
        if not self.targets:
            return self.batch(samples)
        samples = sorted(samples, key=lambda s: self.response_tokens(s.example))
        batch, targets = self.batch(samples), [target(s.example, self.thinks(s.example)) for s in samples]
        worded = zip(batch.wordings, targets, strict=True)
        return replace(batch, wordings=tuple(replace(wording, target=text) for wording, text in worded))

    def batch(self, samples: Sequence[Sample]) -> PromptBatch:
        """Return the batch of prompts in the order of the samples, with their evidence, without targets."""
        examples, media = [s.example for s in samples], [s.media for s in samples]
        texts = [self.word(example) for example in examples]
        prompts = self.processor.batch(examples, texts, media)
        frames_per_slot = self.processor.patches.temporal_patch_size
        return replace(prompts, evidence=evidence_mask(prompts, media, frames_per_slot))
