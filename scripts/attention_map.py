"""Where a model's answer to one question looks: a PNG of the picture (or of frames of a clip) under its attention.

python scripts/attention_map.py checkpoint=outputs/my_run/hf image=cat.png question="What color is the cat?"

Settings are written key=value:
  checkpoint   folder of a model, such as a run's hf/, or a hub id (default: the shipped model)
  checkpoint2  another one, drawn below on the same scale of heat
  image, video the picture or the clip: one of the two
  question     the question, options included
  template     how it is worded: as_asked, think, zero, mini, ... or a .j2 file (default: mini for the shipped model,
               else as_asked)
  evidence     x0,y0,x1,y1 as fractions: drawn, and the share of the attention inside it (grounding) is printed
  layer        decoder layer, negative from the last (default: -1, the paper's)
  output       file to write (default: outputs/attention.png)
  max_new_tokens, max_frames, min_pixels, max_pixels, device
               length limit of the answer (256); frames of a clip (128); area of a picture or frame in pixels
               (784 and 4014080; 100352 for a clip); cpu or cuda (cpu)

The map is the mean over the tokens in the answer block (over the whole response where there is none) of the attention
on the visual tokens, mean over heads, renormalised: what evaluation during training measures.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ral.config.signature import did_you_mean
from ral.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ral.models.mllm import MLLM
    from ral.types import Example, Pixels

DEFAULTS = {
    "checkpoint": "assets/tiny",
    "checkpoint2": "",
    "image": "",
    "video": "",
    "question": "",
    "template": "",
    "evidence": "",
    "layer": "-1",
    "output": "outputs/attention.png",
    "max_new_tokens": "256",
    "max_frames": "128",
    "min_pixels": "784",
    "max_pixels": "",
    "device": "cpu",
}
ROOT = Path(__file__).resolve().parents[1]
SIDES = (320, 640)  # pixels of a picture's longer side, at least and at most
FRAME_SIDES = (160, 240)  # of a frame of a clip
GAP, LINE, LETTER = 8, 16, 7  # pixels between pictures, of a line of text, and of a letter at most
NARROWEST, MOST_LINES = 640, 6  # pixels of the page, and lines of a caption


@dataclass(frozen=True)
class Look:
    """What a model answered, and the attention map: grid (T, H, W), weights of sum 1, seconds of a slot."""

    name: str
    text: str
    block: bool
    map: Mapping[str, Any]
    grounding: float | None


def settings_of(arguments: Sequence[str]) -> dict[str, str]:
    """The settings with their defaults. UserError for what is no setting."""
    found = dict(DEFAULTS)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in DEFAULTS:
            raise UserError(f"{argument!r} is no setting: write key=value{did_you_mean(key, DEFAULTS)}")
        found[key] = value
    if bool(found["image"]) == bool(found["video"]):
        raise UserError("write image=<file> or video=<file>, one of the two")
    if not found["question"]:
        raise UserError('question is not set: write question="What color is the star?"')
    found["template"] = found["template"] or ("mini" if found["checkpoint"] == DEFAULTS["checkpoint"] else "as_asked")
    found["max_pixels"] = found["max_pixels"] or ("100352" if found["video"] else "4014080")
    return found


def number(settings: Mapping[str, str], key: str) -> int:
    """A whole number. UserError for anything else."""
    try:
        return int(settings[key])
    except ValueError as error:
        raise UserError(f"{key}={settings[key]} is no whole number") from error


def example_of(settings: Mapping[str, str]) -> Example:
    """The question as an Example. UserError for evidence that is no box."""
    from ral.types import Evidence, Example, Media

    kind = "image" if settings["image"] else "video"
    evidence: tuple[Evidence, ...] = ()
    if settings["evidence"]:
        try:
            x0, y0, x1, y1 = (float(x) for x in settings["evidence"].strip("[]() ").split(","))
        except ValueError:
            x0, y0, x1, y1 = 1.0, 1.0, 0.0, 0.0
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise UserError(f"evidence={settings['evidence']} is no box: write left,top,right,bottom as fractions")
        evidence = (Evidence((x0, y0, x1, y1)),)
    media = (Media(kind, Path(settings[kind]).expanduser()),)  # type: ignore[arg-type]
    return Example("question", settings["question"], "", "free-form", media, evidence=evidence)


def read(settings: Mapping[str, str], example: Example, factor: int) -> Pixels:
    """The medium's pixels, as a model with patches of that factor sees them."""
    from ral.data.media import MediaReader, MediaSettings

    low, high = number(settings, "min_pixels"), number(settings, "max_pixels")
    media = MediaSettings(1.0, max(number(settings, "max_frames"), 2), low, high, low, high, factor=factor)
    return MediaReader(media).read(example.media[0])


def look(policy: MLLM, name: str, example: Example, pixels: Pixels, settings: Mapping[str, str]) -> Look:
    """The model's greedy answer and where its tokens look."""
    import torch

    from ral.data.prompts import render
    from ral.evaluation.held_out import answer_tokens, attention_of_tokens, grounding
    from ral.learner.experience import Forward, View
    from ral.ops.attention import AttentionSpec
    from ral.rollout.engine import Sampling
    from ral.rollout.native import NativeEngine

    layer, template = number(settings, "layer"), settings["template"]
    if not -policy.depth <= layer < policy.depth:
        raise UserError(f"layer={layer}: {name} has {policy.depth} decoder layers, 0 to {policy.depth - 1}")
    text = example.question if template == "as_asked" else render(example, template)
    with torch.no_grad():
        prepared = policy.prepare(policy.processor.batch([example], [text], [[pixels]]))
        greedy = Sampling(1.0, number(settings, "max_new_tokens"), greedy=True)
        rollout = NativeEngine(policy).generate(prepared, 1, greedy, seed=0)
        states = Forward(1.0, AttentionSpec(layers=(layer,))).states(View(policy, prepared), rollout, attention=True)
        rows = states.attention.rows().mean(0)[0, :, : prepared.valid.shape[1]].cpu()  # type: ignore[union-attr]
    ids = rollout.token_ids[0][rollout.trainable[0]].tolist()
    inside = answer_tokens(policy.processor, ids, rollout.texts[0])
    found = attention_of_tokens(rollout, rows, 0, inside if any(inside) else [True] * len(ids))
    assert found is not None  # there is a medium and at least one token
    return Look(name, rollout.texts[0], any(inside), found, grounding(example, found))


def strip(seen: Look, example: Example, pixels: Pixels, peak: float) -> list[Image]:
    """The picture, or frames evenly over the clip, under the attention; `peak` is full heat."""
    import numpy as np

    from ral.report.overlay import overlay
    from ral.report.records import Attention
    from ral.report.samples import slots

    frames = np.asarray(pixels.frames)
    grid = tuple(seen.map["grid"])
    attention = Attention(grid, tuple(seen.map["weights"]), seen.map["seconds_per_slot"])  # type: ignore[arg-type]
    maps = np.asarray(seen.map["weights"]).reshape(grid)
    smallest, largest = FRAME_SIDES if pixels.kind == "video" else SIDES
    box = example.evidence[0].box if example.evidence else None
    return [
        overlay(frames[frame], maps[slot], box, peak=peak, smallest=smallest, largest=largest)
        for slot, frame, *_ in slots(attention, len(frames), pixels.seconds_per_frame)
    ]


def sheet(strips: Sequence[tuple[str, Sequence[Image]]]) -> Image:
    """The strips below each other, each under its caption."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    width = max(NARROWEST, *(sum(i.width + GAP for i in images) + GAP for _, images in strips))
    captions = ["\n".join(textwrap.wrap(text, width // LETTER)[:MOST_LINES]) for text, _ in strips]
    heights = [LINE * (text.count("\n") + 1) + 2 * GAP for text in captions]
    page = Pictures.new("RGB", (width, sum(heights) + sum(images[0].height for _, images in strips)), "white")
    draw, top = ImageDraw.Draw(page), 0
    for text, height, (_, images) in zip(captions, heights, strips, strict=True):
        draw.text((GAP, top + GAP), text.encode("latin-1", "replace").decode("latin-1"), fill="black")
        for place, image in enumerate(images):
            page.paste(image, (GAP + place * (image.width + GAP), top + height))
        top += height + images[0].height
    return page


def load_model(checkpoint: str, device: str) -> MLLM:
    """A folder, one of this repository's, or a hub id; on a device."""
    from transformers.utils.logging import disable_progress_bar

    from ral.models.plain import load

    disable_progress_bar()  # of loading weights
    shipped = ROOT / checkpoint
    path = str(shipped) if not Path(checkpoint).exists() and shipped.exists() else checkpoint
    try:
        return load(path).to(device)
    except UserError as error:
        raise UserError(str(error).replace("model.pretrained=", "checkpoint=")) from error


def draw(settings: Mapping[str, str]) -> Path:
    """Answer, print, write the picture."""
    example = example_of(settings)
    looks, pixels = [], None
    for name in filter(None, (settings["checkpoint"], settings["checkpoint2"])):
        policy = load_model(name, settings["device"])
        pixels = pixels or read(settings, example, policy.processor.patches.factor)
        looks.append(look(policy, name, example, pixels, settings))
    assert pixels is not None
    peak = max(max(seen.map["weights"]) for seen in looks)
    strips = []
    for seen in looks:
        share = "" if seen.grounding is None else f"  grounding {100 * seen.grounding:.1f}%"
        of = "answer block" if seen.block else "whole response (it has no answer block)"
        strips.append((f"{seen.name}{share}: {' '.join(seen.text.split())}", strip(seen, example, pixels, peak)))
        print(f"{seen.name}: {' '.join(seen.text.split())}\nattention of: {of}")
        if seen.grounding is not None:
            print(f"grounding: {seen.grounding:.4f}")
    output = Path(settings["output"])
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet(strips).save(output)
    return output


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 with the file as the last line, or 1 with one line on stderr."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        output = draw(settings_of(arguments))
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"output: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
