"""Checks, made when a model is loaded, that its tokenizer and chat template fit its network and family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import PreTrainedModel

from ral.files.pretrained import KEY
from ral.models.processor import Processor
from ral.types import Example, Media, Pixels, PromptBatch, UserError

QUESTION = "What is this?"


def check_fit(processor: Processor, network: PreTrainedModel) -> None:
    """Raise UserError unless tokenizer, chat template and media fit the network; weights may be on the meta device."""
    check_tokens(processor, network)
    check_template(processor)
    check_media(processor)


def check_tokens(processor: Processor, network: PreTrainedModel) -> None:
    """Raise UserError where embeddings or head have no row for an id of the tokenizer, or placeholder ids differ.

    Placeholder ids are compared with image_token_id and video_token_id of config.json.
    """
    parts: dict[str, Any] = {"embeddings": network.get_input_embeddings(), "the head": network.get_output_embeddings()}
    for what, part in parts.items():
        rows = len(part.weight)
        beyond = sorted((index, token) for token, index in processor.tokenizer.get_vocab().items() if index >= rows)
        if beyond:
            index, token = beyond[0]
            raise UserError(
                f"{KEY}={processor.name}: the tokenizer's token {token} has id {index}, and {what} of the network "
                f"{'has' if what == 'the head' else 'have'} {rows} rows ({len(beyond)} such tokens); save the model "
                "again after network.resize_token_embeddings(len(tokenizer)), or take the tokenizer it came with"
            )
    marks = processor.family.placeholders
    ours = {"image_token_id": (marks.image, processor.image_id), "video_token_id": (marks.video, processor.video_id)}
    for key, (token, index) in ours.items():
        theirs = getattr(network.config, key, None)
        if theirs is not None and theirs != index:
            raise UserError(
                f"{KEY}={processor.name}: config.json says {key}={theirs}, and the tokenizer's {token} has id {index}: "
                "it is the tokenizer of another model; take the one this model came with"
            )


REMEDY = "take the chat_template.jinja that the model came with"


def check_template(processor: Processor) -> None:
    """Raise UserError unless the chat template writes one placeholder for each image or video, and the question.

    UserError also where it does not end assistant turns with the family's end token, or does not open the assistant's
    turn.
    """
    marks, named = processor.family.placeholders, f"{KEY}={processor.name}"
    for kind, token, what in (("image", marks.image, "picture"), ("video", marks.video, "clip")):
        text = _written(processor, kind, what)
        found = text.count(token)
        if found != 1:
            how = f"{token} {found} times" if found else f"no {token}"
            raise UserError(
                f"{named}: its chat template writes {how} for a {what}: {_cause(processor, kind, text)}; {REMEDY}"
            )
        if QUESTION not in text:
            raise UserError(f"{named}: its chat template leaves a question's words out; {REMEDY}")
    check_turns(processor, named)
    check_opening(processor, named)


def check_opening(processor: Processor, named: str) -> None:
    """Raise UserError where the chat template does not open the assistant's turn, which a response continues.

    named: setting and model, with which the message begins.
    """
    turns = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    with_it, without = (
        processor.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asked)
        for asked in (True, False)
    )
    behind = with_it.partition(QUESTION)[2].strip()  # a template may open the turn whatever it is asked
    if with_it == without and (not behind or behind.endswith(processor.family.turns.end)):
        raise UserError(
            f"{named}: its chat template does not open the turn of the model (add_generation_prompt changes nothing), "
            f"so that responses would continue the question; {REMEDY}"
        )


def check_turns(processor: Processor, named: str) -> None:
    """Raise UserError where the chat template does not end an assistant turn with the family's end token.

    named: setting and model, with which the message begins. A template that refuses conversations of several turns
    passes.
    """
    answer, end = "An answer.", processor.family.turns.end
    texts = (("user", QUESTION), ("assistant", answer), ("user", QUESTION))
    turns = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in texts]
    try:
        text = processor.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except TemplateError:
        return
    after = text.partition(answer)[2]
    if not after.lstrip().startswith(end):
        shown = after.lstrip()[: len(end)] or "nothing"
        raise UserError(
            f"{named}: its chat template ends a turn of the model with {shown!r} where {end} should stand, by which "
            f"a response ends; {REMEDY}"
        )


def _cause(processor: Processor, kind: str, text: str) -> str:
    """Return, in words, why the template's `text` for an image or video may lack its placeholder."""
    marks = processor.family.placeholders
    other = marks.video if kind == "image" else marks.image
    if other in text:
        return f"it writes {other} there"
    return "it is of a text model" if kind == "image" else "it is of a model of pictures alone"


def black(processor: Processor) -> dict[str, Pixels]:
    """Return {"picture": image, "clip": video}: the smallest black ones that the vision tower takes."""
    side = processor.patches.factor
    frames = torch.zeros(processor.patches.temporal_patch_size, side, side, 3, dtype=torch.uint8)
    return {"picture": Pixels("image", frames[:1]), "clip": Pixels("video", frames, 1.0)}


def check_media(processor: Processor) -> None:
    """Raise UserError unless pixels.expand turns an image and a video into placeholders of placeholders.kinds only."""
    marks = processor.family.placeholders
    for what, pixels in black(processor).items():
        text = processor.family.pixels.expand(pixels, processor.patches)
        left = [token for token in (marks.image, marks.video, *marks.kinds) if token in text]
        strange = [token for token in left if token not in marks.kinds]
        if strange or not left:
            found = f"{strange[0]}, of which placeholders.kinds does not say the kind" if strange else "no placeholder"
            names = f"family {processor.family.model_type}: pixels.expand"
            raise UserError(f"{names} leaves for a {what} {found}; name there what it leaves: {', '.join(marks.kinds)}")


def check_seen(processor: Processor, look: Callable[[PromptBatch], object]) -> None:
    """Raise UserError where image and video share a placeholder and the tower's embeddings do not match the tokens.

    look: function of prompts that runs the vision tower, here on one prompt with a black image and a black video, and
    raises the error where the tower gives another number of embeddings than there are placeholders (`sight.see`).
    """
    if processor.family.placeholders.image != processor.family.placeholders.video:
        return
    media = black(processor).values()
    shown = tuple(Media(pixels.kind, Path("black")) for pixels in media)
    example = Example("black", QUESTION, "", "free-form", shown, source="a black picture and clip")
    with torch.no_grad():
        look(processor.batch([example], [QUESTION], [list(media)]))


def _written(processor: Processor, kind: str, what: str) -> str:
    """Return the prompt that the chat template makes of an image or video with a question; UserError where it fails."""
    content = [{"type": kind, kind: "file"}, {"type": "text", "text": QUESTION}]
    try:
        text = processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{KEY}={processor.name}: its chat template fails on a {what} with a question ({words}); {REMEDY}"
        ) from error
    return str(text)
