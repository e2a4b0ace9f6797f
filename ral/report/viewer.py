"""The viewer of attention: `explore.html`, one self-contained file that shows the attention of any token.

Nothing on the page is fetched: images are data URLs, attention rows are compressed bytes in the page, and a content
security policy allows the page's own script alone. All text of models and data is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ral.errors import UserError
from ral.report.html import TEMPLATES, templates
from ral.report.overlay import GREY, PALE, RAMP, enlarge
from ral.report.page import VIEWER_NAME as VIEWER_NAME
from ral.report.records import Attention
from ral.report.samples import FRAME_SIDES, PICTURE_SIDES, Slot, boxes_at, data_address, slots
from ral.report.token_maps import FULL, LEVELS, SHARES, UNKNOWN, common, compressed, packed
from ral.report.words import seconds
from ral.types import Example, Pixels, RowChoice, TokenRows

MOST_FRAMES = 16  # of a clip
ASKED_WITH = "asked with"
"""Label of the fact that gives the prompt's template and pixels. It is no part of the page's title."""
SCRIPTS = ("explore_rows.js", "explore.js")  # one behind the other


@dataclass(frozen=True)
class Answer:
    """A model's response to a sample.

    name: name of the model on the page; rows: the attention of the response's tokens. verdict: (sign, words); None for
    a sample without gold answer.
    """

    name: str
    text: str
    verdict: tuple[str, str] | None
    rows: TokenRows


@dataclass(frozen=True)
class ViewedSample:
    """A question with the pixels of its first medium, and the responses of one or two models."""

    example: Example
    pixels: Pixels
    answers: tuple[Answer, ...]


def write_viewer(
    path: Path, samples: Sequence[ViewedSample], facts: Mapping[str, str], notes: Sequence[str] = ()
) -> Path:
    """Write the page of some samples to `path`; return the path.

    facts: {label: text} at the top of the page, which also make its title. notes: lines below them. UserError where
    there are no samples, with the first of the notes, or where the page cannot be written.
    """
    if not samples:
        why = next(iter(notes), "there is no answer to a question about a picture or a clip")
        raise UserError(f"nothing to show: {why}")
    content = render_viewer(samples, facts, notes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: the page cannot be written ({error.strerror}); name another output") from error
    return path


def render_viewer(samples: Sequence[ViewedSample], facts: Mapping[str, str], notes: Sequence[str] = ()) -> str:
    """Return the page's HTML. Arguments as in `write_viewer`."""
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    index, blob = content_of(samples)
    return (
        templates()
        .get_template("explore.html.j2")
        .render(
            facts=facts,
            title=" · ".join(text for name, text in facts.items() if name != ASKED_WITH),
            notes=notes,
            script=script,
            digest=digest,
            index=as_script_data(index),
            blob=compressed(blob),
            queries=index["queries"],
            layers=index["layers"],
            heads=index["heads"],
            several=len(samples) > 1,
            grey=GREY,
            pale=PALE,
        )
    )


def as_script_data(content: Any) -> str:
    """Return `content` as JSON that is safe inside a script element, whatever its texts."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def content_of(samples: Sequence[ViewedSample]) -> tuple[dict[str, Any], bytes]:
    """Return the data of the page's script: its index as JSON values, and the bytes of all attention rows."""
    choice = common([answer.rows.chosen for sample in samples for answer in sample.answers])
    blob, entries = bytearray(), []
    for sample in samples:
        entries.append(entry_of(sample, choice, blob))
    index = {
        "queries": choice.queries,
        "layers": choice.layers,
        "heads": choice.heads,
        "ramp": RAMP,
        "levels": LEVELS,
        "full": FULL,
        "unknown": UNKNOWN,
        "shares": SHARES,
        "samples": entries,
    }
    return index, bytes(blob)


def entry_of(sample: ViewedSample, choice: RowChoice, blob: bytearray) -> dict[str, Any]:
    """Return a sample's entry in the page's index, as JSON values; append its responses' attention rows to `blob`.

    choice: the queries, layers and heads of which rows are written. "at" of a response is the offset of its rows in
    `blob`, in bytes.
    """
    example, first = sample.example, sample.answers[0].rows
    times = slots_of(first, sample.pixels)
    shown = [slot for slot, *_ in times]
    answers = []
    for answer in sample.answers:
        at = len(blob)
        blob += packed(answer.rows, choice, shown)
        answers.append(
            {
                "name": answer.name,
                "verdict": answer.verdict,
                "tokens": answer.rows.tokens,
                "answer": [int(inside) for inside in answer.rows.in_answer],
                "at": at,
            }
        )
    return {
        "uid": example.uid,
        "type": example.problem_type,
        "kind": sample.pixels.kind,
        "question": example.question,
        "options": example.options,
        "gold": example.answer,
        "media": len(example.media),
        "grid": first.grid,
        "chance": None if first.inside is None else float(first.inside.float().mean()),
        "frames": frames_of(sample, times),
        "answers": answers,
    }


def slots_of(rows: TokenRows, pixels: Pixels) -> list[Slot]:
    """Return the time slots of a medium that the page shows, at most MOST_FRAMES; one for an image."""
    return slots(
        Attention(rows.grid, (), rows.seconds_per_slot), len(pixels.frames), pixels.seconds_per_frame, MOST_FRAMES
    )


def frames_of(sample: ViewedSample, times: Sequence[Slot]) -> list[dict[str, Any]]:
    """Return the frames that the page shows, as JSON values: image, size, time, and the evidence boxes at that time.

    times: result of `slots_of`.
    """
    clip, frames = sample.pixels.kind == "video", np.asarray(sample.pixels.frames)
    found = []
    for _, frame, start, end in times:
        image = enlarge(frames[frame], *(FRAME_SIDES if clip else PICTURE_SIDES))
        found.append(
            {
                "src": data_address(image),
                "size": image.size,
                "time": f"{seconds(start)}-{seconds(end)} s" if clip else "",
                "boxes": boxes_at(sample.example.evidence, start, end),
            }
        )
    return found


def size_note(path: Path, samples: Sequence[ViewedSample]) -> str:
    """Return a line with the page's number of samples, its layers, heads and size. path: the written page."""
    choice = common([answer.rows.chosen for sample in samples for answer in sample.answers])
    heads = f"{choice.heads} heads and their mean" if choice.heads else "the mean over heads"
    layers, n, megabytes = ", ".join(map(str, choice.layers)), len(choice.layers), path.stat().st_size / 1e6
    kept = f"of {n} layer{'s' * (n != 1)} ({layers}) with {heads}"
    return f"{len(samples)} sample{'s' * (len(samples) != 1)}: rows {kept}; {megabytes:.1f} MB"
