"""Preference pairs for a reward model, from data with gold answers: a right and a wrong response of the same form."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ral.data.bad import BadSample
from ral.data.own_fields import fields_of
from ral.data.prompts import target
from ral.types import Example, UserError
from ral.worlds.visual_search import make

LETTER = re.compile(r"\(?([A-Z])[.):]\s*")
TRIES = 20  # entries drawn from a pool before the next pool is asked


def other_response(example: Example, pools: Sequence[Sequence[Example]], rng: random.Random) -> str | None:
    """Return the right response to another entry, as a wrong one to `example`; None where no entry is found.

    pools: entries to draw from, TRIES draws each, the first pool first. The other entry has another answer, and it has
    a thought if and only if `example` has one.
    """
    for pool in pools:
        for other in rng.choices(pool, k=TRIES):
            if other.answer.lower() != example.answer.lower() and bool(other.thought) == bool(example.thought):
                return target(other, bool(example.thought))
    return None


def other_option(example: Example, rng: random.Random) -> str | None:
    """Return a response with a wrong option in place of the right one, in the thought too.

    None where the right option, a wrong one, or the right one's text in the thought is not found.
    """
    letters = [(match[1], option[match.end() :]) for option in example.options if (match := LETTER.match(option))]
    answer = LETTER.match(f"{example.answer}.")
    right = next((text for letter, text in letters if answer and letter == answer[1]), None)
    wrong = [pair for pair in letters if pair[1] not in (right, "")]
    if not right or not wrong:
        return None
    letter, text = rng.choice(wrong)
    if not example.thought:
        return target(replace(example, answer=letter), False)
    thought, times = re.subn(rf"(?<!\w){re.escape(right)}(?!\w)", lambda _: text, example.thought, flags=re.IGNORECASE)
    return target(replace(example, answer=letter, thought=thought), True) if times else None


def pairs(examples: Sequence[Example], seed: int) -> Iterator[tuple[Example, str, str]]:
    """Yield (entry, chosen, rejected) for each entry for which a wrong response is found.

    The seed fixes all choices.
    """
    rng = random.Random(seed)
    same: dict[object, list[Example]] = defaultdict(list)
    for example in examples:
        same[example.problem_type, example.question].append(example)
        same[example.problem_type].append(example)
    for example in examples:
        pools = [same[example.problem_type, example.question], same[example.problem_type]]
        rejected = other_option(example, rng) if example.options else other_response(example, pools, rng)
        if rejected is not None:
            yield example, target(example, bool(example.thought)), rejected


def entry(example: Example, chosen: str, rejected: str) -> dict[str, Any]:
    """Return an entry of the output file: the example's fields, with media as absolute paths, and the two responses."""
    return {**fields_of(example), "chosen": chosen, "rejected": rejected}


def visual_search(size: int) -> Path:
    """Make a dataset of `size` entries with reasoning, like those of dataset=visual_search; return its JSON file."""
    root = Path("outputs/data/visual_search_pairs")
    return make(root, "sft", size=size, seed=1, distractors=3, free_form_share=0.4)


def usable(entries: Sequence[Example]) -> tuple[list[Example], list[BadSample]]:
    """Return the entries that can be used, and the errors of the others."""
    good, bad = [], []
    for at in range(len(entries)):
        try:
            good.append(entries[at])
        except BadSample as error:
            bad.append(error)
    return good, bad


def try_writing(path: Path) -> None:
    """Raise UserError where the file `path` cannot be written. Nothing new is left behind.

    It is called before the work for the file begins.
    """
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise UserError(f"--output {path}: cannot be written ({error.strerror}); write another --output") from error


def write(lines: Iterable[dict[str, Any]], path: Path) -> int:
    """Write objects as JSON lines to `path`; return their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [json.dumps(line, ensure_ascii=False) + "\n" for line in lines]
    path.write_text("".join(texts), encoding="utf-8")
    return len(texts)
