"""The attention of models' answers to one question about a file: from settings as text to answers and their maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils.logging import disable_progress_bar

from ral.data.media import MediaReader, MediaSettings
from ral.errors import UserError
from ral.evaluation.asking import ask
from ral.evaluation.looks import grounding
from ral.files.repository import SHIPPED, find
from ral.files.targets import check_apart, check_free
from ral.files.trained_as import trained_as_first
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.ops.attention import AttentionSpec
from ral.rollout.engine import Sampling
from ral.types import Evidence, Example, Media, Pixels

DEFAULTS = {
    "checkpoint": SHIPPED,
    "checkpoint2": "",
    "image": "",
    "video": "",
    "question": "",
    "template": "",
    "evidence": "",
    "layer": "-1",
    "output": "outputs/attention.png",
    "overwrite": "false",
    "max_new_tokens": "256",
    "max_frames": "",
    "min_pixels": "",
    "max_pixels": "",
    "device": "cpu",
}
UNKNOWN = {"template": "as_asked", "max_frames": 128, "min_pixels": 784}
"""Settings for a checkpoint without a config.yaml beside it that says how it was trained; max_pixels is in MOST_PIXELS.
"""
MOST_PIXELS = {"image": 4014080, "video": 100352}


@dataclass(frozen=True)
class MappedAnswer:
    """A model's answer with its attention map: grid (T, H, W) of visual tokens, weights of sum 1, slot seconds.

    name: the checkpoint. block: whether the map is that of the answer block, else of the whole response. grounding:
    share of the map inside the evidence, in [0, 1]; None where the question has no evidence.
    """

    name: str
    text: str
    block: bool
    map: Mapping[str, Any]
    grounding: float | None

    @property
    def caption(self) -> str:
        """Return the line above the answer's image on the sheet."""
        share = "" if self.grounding is None else f"  grounding {100 * self.grounding:.1f}%"
        return f"{self.name}{share}: {' '.join(self.text.split())}"

    @property
    def lines(self) -> list[str]:
        """Return the lines on the answer for the terminal."""
        of = "answer block" if self.block else "whole response (it has no answer block)"
        found = [f"{self.name}: {' '.join(self.text.split())}", f"attention of: {of}"]
        return found if self.grounding is None else [*found, f"grounding: {self.grounding:.4f}"]


def complete(given: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with defaults; template, frames and pixels are those of the checkpoint's training, if known.

    Of two checkpoints the second's training counts, where it is known.

    UserError unless the question and either an image or a video are given.
    """
    found = DEFAULTS | dict(given)
    if bool(found["image"]) == bool(found["video"]):
        raise UserError("write image=<file> or video=<file>, one of the two")
    if not found["question"]:
        raise UserError('question is not set: write question="What color is the star?"')
    known = trained_as_first(found["checkpoint2"], found["checkpoint"])
    kind = "video" if found["video"] else "image"
    if known is not None:
        sizes = {f"{end}_pixels": known.media.get(f"{kind}_{end}_pixels", "") for end in ("min", "max")}
        found = filled(found, {"template": known.template, "max_frames": known.media.get("max_frames", ""), **sizes})
    return filled(found, UNKNOWN | {"max_pixels": MOST_PIXELS[kind]})


def filled(settings: Mapping[str, str], otherwise: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings, with the empty ones taken from `otherwise`."""
    return {**settings, **{key: settings[key] or str(value) for key, value in otherwise.items()}}


def said_of(settings: Mapping[str, str]) -> str:
    """Return the template and the pixel bounds in words. settings: complete ones (`complete`)."""
    kind = "frame" if settings["video"] else "picture"
    fewest, most = (number(settings, key) for key in ("min_pixels", "max_pixels"))
    return f"template={settings['template']}, a {kind} of {fewest:,} to {most:,} pixels"


def output_of(settings: Mapping[str, str]) -> Path:
    """Return the file to write. UserError where it is the picture or clip, or is there and not to be written over."""
    output, told = Path(settings["output"]), settings["overwrite"] == "true"
    check_apart(output, [Path(settings[key]) for key in ("image", "video") if settings[key]], "output=")
    check_free([output], told or output == Path(DEFAULTS["output"]), "output=", "overwrite=true")
    return output


def number(settings: Mapping[str, str], key: str) -> int:
    """Return the setting `key` as a whole number. UserError where it is no whole number."""
    try:
        return int(settings[key])
    except ValueError as error:
        raise UserError(f"{key}={settings[key]} is no whole number") from error


def example_of(settings: Mapping[str, str]) -> Example:
    """Return the settings' question as an Example. UserError where `evidence` is no box."""
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
    """Return the pixels of the example's only image or video. factor: both sides become multiples of it.

    UserError where the file does not exist or cannot be read, and for min_pixels, max_pixels or max_frames that are no
    whole numbers or fit no file.
    """
    (file,) = example.media
    if not file.path.is_file():
        raise UserError(f"{file.kind}={file.path}: no such file; write the path of a file on this machine")
    low, high = number(settings, "min_pixels"), number(settings, "max_pixels")
    media = MediaSettings(1.0, max(number(settings, "max_frames"), 2), low, high, low, high, factor=factor)
    return MediaReader(media).read(file)


def map_answer(policy: MLLM, name: str, example: Example, pixels: Pixels, settings: Mapping[str, str]) -> MappedAnswer:
    """Return a model's greedy answer with its attention map. name: how messages name the model.

    UserError for a layer that does not exist.
    """
    layer, template = number(settings, "layer"), settings["template"]
    if not -policy.depth <= layer < policy.depth:
        raise UserError(
            f"layer={layer}: {name} has {policy.depth} layers of softmax attention, 0 to {policy.depth - 1}"
        )
    asked = ask(policy, example, pixels, template, Sampling(1.0, number(settings, "max_new_tokens"), greedy=True))
    found, inside = asked.map(asked.rows(AttentionSpec(layers=(layer,))))
    return MappedAnswer(name, asked.rollout.texts[0], inside, found, grounding(example, found))


def load_model(checkpoint: str, device: str) -> MLLM:
    """Return a checkpoint's model on `device`. checkpoint: a folder, one of this repository's models, or a hub id.

    UserError where the model is missing, unreadable or unfit.
    """
    disable_progress_bar()  # of loading weights
    try:
        return load(find(checkpoint)).to(device)
    except UserError as error:
        raise UserError(str(error).replace("model.pretrained=", "checkpoint=")) from error


def map_answers(settings: Mapping[str, str]) -> tuple[Example, Pixels, list[MappedAnswer]]:
    """Return (example, pixels, answers): the settings' question, answered by each of their checkpoints.

    The pixels are those that the first checkpoint reads. Errors are those of the other functions of this module.
    """
    example, pixels, answers = example_of(settings), None, list[MappedAnswer]()
    for name in filter(None, (settings["checkpoint"], settings["checkpoint2"])):
        policy = load_model(name, settings["device"])
        pixels = pixels or read(settings, example, policy.processor.patches.factor)
        answers.append(map_answer(policy, name, example, pixels, settings))
    assert pixels is not None  # there is a first checkpoint
    return example, pixels, answers
