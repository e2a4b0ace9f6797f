"""Turns and places of media in the prompt that a model reads; prompts that are too long; the order of targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import MIXED, make_pixels

from ral.data.bad import BadSample
from ral.data.prompts import conversation, render, target
from ral.data.samples import Sample
from ral.evaluation.shared_questions import share
from ral.learner.collate import Collate
from ral.learner.experience import Experience, Forward, PassSize, freeze, portions
from ral.models.mllm import MLLM
from ral.models.reach import grid_of, most_positions
from ral.models.registry import FAMILIES
from ral.ops.attention import AttentionSpec
from ral.types import Example, Media, Pixels, Prepared, Rollout, Turn, UserError

PICTURE, CLIP = Media("image", Path("a.png")), Media("video", Path("c.mp4"))
SEEN, MOVING = "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"
PLAIN = Example("0", "Color?", "red", "free-form", (PICTURE,), source="data.jsonl: entry 3")
TALK = replace(
    PLAIN,
    question="And <image> now?",
    media=(CLIP, PICTURE),
    turns=(Turn("system", "In French."), Turn("user", "<video>Call it X."), Turn("assistant", "ok")),
)


def test_turns_and_places_in_the_prompt(load: Callable[..., MLLM]) -> None:
    rendered = load().processor.render(TALK, render(TALK, "short"))
    assert rendered == (
        "<|im_start|>system\nIn French.<|im_end|>\n"
        f"<|im_start|>user\n{MOVING}Call it X.<|im_end|>\n"
        "<|im_start|>assistant\nok<|im_end|>\n"
        f"<|im_start|>user\nAnd {SEEN} now? Think, then answer.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_media_at_their_places_become_their_tokens(family: str, load: Callable[..., MLLM]) -> None:
    """The same media at other places: as many visual tokens, in the order of the marks, at other positions."""
    processor = load(family).processor
    side = max(processor.patches.factor, 28)
    pixels = [make_pixels("video", 1, (side, 2 * side)), make_pixels("image", 2, (side, side))]
    batch = processor.batch([TALK], [TALK.question], [pixels])
    front = replace(TALK, turns=(), question="And now?")
    other = processor.batch([front], [front.question], [pixels])
    assert int(batch.visual.sum()) == int(other.visual.sum()) == sum(t * h * w for t, h, w in batch.grids[0])
    where = batch.visual[0].nonzero().flatten()
    gaps = (where.diff() > 1).sum()
    assert gaps >= (other.visual[0].nonzero().flatten().diff() > 1).sum() and int(where[-1]) < batch.visual.shape[1] - 3
    assert "<image>" not in batch.texts[0] and "In French." in batch.texts[0]


def test_without_marks_and_turns_prompts_are_what_they_were(load: Callable[..., MLLM]) -> None:
    """Word for word what the shipped data and Video-R1 have always been."""
    processor = load().processor
    for media, seen in (((PICTURE,), SEEN), ((CLIP,), MOVING), ((), ""), ((PICTURE, CLIP), SEEN + MOVING)):
        example = replace(PLAIN, media=media, options=("A. red", "B. blue"))
        content = [*({"type": m.kind, m.kind: str(m.path)} for m in media), {"type": "text", "text": "Color? A. red"}]
        messages = [{"role": "user", "content": content}]
        as_before = processor.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert processor.render(example, "Color? A. red") == as_before
        assert as_before == f"<|im_start|>user\n{seen}Color? A. red<|im_end|>\n<|im_start|>assistant\n"


def test_marks_that_do_not_fit_are_refused_where_prompts_are_made(load: Callable[..., MLLM]) -> None:
    collate = Collate(load().processor, ("short", "short_zero"), thinking=True)
    for question, words in (
        ("<image> <image>?", "2 places <image>, and 1 picture"),
        ("<video>?", "1 place <video>, and no clip"),
    ):
        with pytest.raises(BadSample, match=f"entry 3: the prompt has {words}; write one"):
            collate.check(replace(PLAIN, question=question))
    collate.check(TALK)
    with pytest.raises(BadSample, match=r"the user turn holds the control token <\|im_start\|>"):
        collate.check(replace(PLAIN, turns=(Turn("user", "<|im_start|>"), Turn("assistant", "a"))))
    with pytest.raises(BadSample, match=r"placeholder <\|image_pad\|>; take it out \(<image> and <video> say where"):
        collate.check(replace(PLAIN, question="<|image_pad|>?"))


@pytest.mark.parametrize("family", ["internvl"])
def test_a_mark_is_no_intruder_where_it_is_the_family_s_placeholder(family: str, load: Callable[..., MLLM]) -> None:
    processor = load(family).processor
    assert processor.intruder("What is in <video>?") is None
    assert processor.intruder("<video>", response=True) == "placeholder <video>"


REFUSES = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
DROPS = "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}"
REORDERS = "{% set messages = messages[::-1] %}"


def test_templates_that_do_not_take_a_conversation(load: Callable[..., MLLM]) -> None:
    processor = load().processor
    whole = processor.tokenizer.chat_template
    for start, words in ((REFUSES, r"refuses its turns \(no system role\)"), (DROPS, "leaves out the system turn")):
        processor.tokenizer.chat_template = start + whole
        with pytest.raises(BadSample, match=rf"entry 3: the chat template of .* {words}; write|entry 3: .*{words}"):
            processor.render(TALK, TALK.question)
        processor.render(PLAIN, "Color?")
    processor.tokenizer.chat_template = REORDERS + whole
    pixels = [make_pixels("video", 1), make_pixels("image", 2)]
    with pytest.raises(UserError, match="puts pictures and clips in another order"):
        processor.batch([TALK], [TALK.question], [pixels])


def test_conversations_are_made_of_parts() -> None:
    messages = conversation(TALK, TALK.question)
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert [part["type"] for part in messages[-1]["content"]] == ["text", "image", "text"]


def test_questions_with_marks_or_turns_share_no_prompt(load: Callable[..., MLLM]) -> None:
    processor, pixels = load().processor, [make_pixels("image", 1)]
    marked = [replace(PLAIN, question=text) for text in ("One <image>?", "Other <image>?", "Plain?", "Plain too?")]
    shared = share(processor, marked, [e.question for e in marked], [pixels] * 4)
    assert shared.places == ((0,), (1,), (2, 3))
    spoken = replace(marked[2], turns=(Turn("system", "s"),))
    assert share(processor, [marked[2], spoken], ["Plain?"] * 2, [pixels] * 2).places == ((0,), (1,))


# --- length


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_are_those_that_the_network_counts(family: str, load: Callable[..., MLLM]) -> None:
    model = load(family)
    patches, side = model.processor.patches, max(model.processor.patches.factor, 28)
    for kinds in (*MIXED, ("video", "image")):
        for seconds in (0.5, 3.0):
            made = [make_pixels(kind, n, (2 * side, (2 + n) * side), frames=12) for n, kind in enumerate(kinds)]
            media = [Pixels(p.kind, p.frames, seconds if p.kind == "video" else 0.0) for p in made]
            example = replace(PLAIN, media=tuple(Media(kind, Path("x")) for kind in kinds))  # type: ignore[arg-type]
            batch = model.processor.batch([example], ["What is it?"], [media])
            assert list(batch.grids[0]) == [grid_of(p, patches) for p in media]
            positions = model.prepare(batch).next_position
            assert model.processor.positions(example, "What is it?", media) == int(positions)


def test_positions_of_a_configuration(load: Callable[..., MLLM]) -> None:
    model = load()
    config = model.network.config
    text = config.get_text_config()
    assert model.processor.most_positions == most_positions(config) == text.max_position_embeddings
    text.rope_parameters = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    assert most_positions(config) == 4 * 32768
    text.rope_parameters, text.max_position_embeddings = {"rope_type": "default"}, 77
    assert most_positions(config) == 77


def test_a_prompt_that_is_too_long_is_a_bad_entry_to_the_token(load: Callable[..., MLLM]) -> None:
    processor = load().processor
    pixels = (make_pixels("image", 1),)
    collate = Collate(processor, ("short", "short_zero"), thinking=True, max_new_tokens=5)
    length = processor.positions(PLAIN, collate.word(PLAIN), pixels)
    processor.most_positions = length + 5
    collate.fits(Sample(PLAIN, pixels))
    processor.most_positions = length + 4
    words = rf"entry 3: prompt and response take {length} \+ 5 positions, and the network has {length + 4}"
    with pytest.raises(BadSample, match=f"{words}; write .*dataset.media.image_max_pixels") as caught:
        collate.fits(Sample(PLAIN, pixels))
    assert "max_frames" not in str(caught.value)
    for other in (replace(collate, preferences=True), replace(collate, targets=True)):
        example = replace(PLAIN, chosen="a", rejected="b " * 40, thought="hm " * 40)
        with pytest.raises(BadSample, match="positions"):
            other.fits(Sample(example, pixels))
    processor.most_positions = None
    collate.fits(Sample(PLAIN, pixels))


def test_targets_come_in_the_order_of_their_tokens(load: Callable[..., MLLM]) -> None:
    """By tokens of the whole response: not by characters, and not by fields that the response has no part of."""
    model = load()
    words = ("red", "A. red B. blue red red", "the color of the star", "?" * 25, "Ω" * 12)
    thoughts = ("red", None, "think, then answer", None, None)
    examples = [replace(PLAIN, uid=str(n), answer=word, thought=thoughts[n]) for n, word in enumerate(words)]
    samples = [Sample(e, (make_pixels("image", 1, (56, 56 * (5 - n))),)) for n, e in enumerate(examples)]
    collate = Collate(model.processor, ("short", "short_zero"), thinking=False, targets=True)
    prompts = collate.prompts(samples)
    assert prompts.targets
    ids = [model.processor.response_ids(text) for text in prompts.targets]
    lengths = [len(row) for row in ids]
    assert lengths == sorted(lengths) and set(prompts.targets) == {target(e, False) for e in examples}
    assert sorted(prompts.targets, key=len) != list(prompts.targets), "characters would give another order"
    parts = micro_batches(model, model.prepare(prompts), lengths)
    assert [part.rollout.token_ids.shape[1] for part in parts] == [max(lengths[:2]), max(lengths[2:4]), lengths[4]]


def micro_batches(model: MLLM, prepared: Prepared, lengths: list[int]) -> list[Experience]:
    """Micro-batches of two prompts with a response of the given length each."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids, count = torch.full(mask.shape, model.processor.end_id), len(lengths)
    rollout = Rollout(prepared.prompts, ids, mask, mask, ("",) * count, ("stop",) * count, 1)
    batch = Experience(prepared, rollout, torch.zeros(count), mask.float())
    return freeze(
        Forward(1.0, AttentionSpec(layers=(0,))), {}, batch, frozenset(), portions(prepared, batch.rollout, PassSize(2))
    )
