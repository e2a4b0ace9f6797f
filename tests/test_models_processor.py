"""Patches, placeholders and bans of the processor, for every family, against Transformers' own picture processor."""

from __future__ import annotations

import pytest
import torch
from conftest import MIXED, make_pixels, make_prompts
from transformers import AutoImageProcessor

from ral.models.patches import patch_media, patchify
from ral.models.processor import Processor
from ral.models.registry import FAMILIES
from ral.rewards.format import TAGS
from ral.types import Example, Pixels, UserError


@pytest.mark.parametrize("tokens", [(2, 3), (5, 2), (1, 1)])
@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.pixels.tensors is patch_media])
def test_picture_patches_equal_transformers(family, tokens, model_folder, load):
    settings = load(family).processor.patches
    pixels = make_pixels("image", 3, (tokens[0] * settings.factor, tokens[1] * settings.factor))
    theirs = AutoImageProcessor.from_pretrained(model_folder(family), use_fast=False)(
        images=[pixels.frames[0].numpy()], return_tensors="pt"
    )
    patches, grid = patchify(pixels, settings)
    assert list(grid) == theirs["image_grid_thw"][0].tolist()
    torch.testing.assert_close(patches, theirs["pixel_values"].float(), atol=1e-5, rtol=1e-5)


def test_a_clip_of_equal_frames_has_the_patches_of_the_picture_once_a_pair(load):
    settings = load().processor.patches
    picture = make_pixels("image", 1)
    clip = Pixels("video", picture.frames.expand(4, -1, -1, -1), 1.0)
    one, grid_one = patchify(picture, settings)
    four, grid_four = patchify(clip, settings)
    assert grid_four == (2, *grid_one[1:])
    torch.testing.assert_close(four, torch.cat([one, one]))
    odd, grid_odd = patchify(Pixels("video", picture.frames.expand(3, -1, -1, -1), 1.0), settings)
    assert grid_odd == grid_four and torch.equal(odd, four)


def test_frames_of_a_pair_are_both_in_the_patches(load):
    settings = load().processor.patches
    clip = make_pixels("video", 5, frames=2)
    swapped = Pixels("video", clip.frames.flip(0), clip.seconds_per_frame)
    a, b = patchify(clip, settings)[0], patchify(swapped, settings)[0]
    assert not torch.equal(a, b)
    torch.testing.assert_close(a.unflatten(1, (3, 2, -1)).flip(2), b.unflatten(1, (3, 2, -1)))


@pytest.mark.parametrize("family", FAMILIES)
def test_placeholders_count_visual_tokens_and_prompts_are_padded_on_the_left(family, load):
    model = load(family)
    prompts = make_prompts(model, MIXED)
    for b, grids in enumerate(prompts.grids):
        assert int(prompts.visual[b].sum()) == sum(t * h * w for t, h, w in grids)
        first = int(prompts.valid[b].int().argmax())
        assert bool(prompts.valid[b, first:].all()) and not bool(prompts.valid[b, :first].any())
    assert bool(prompts.valid.all(1).any()), "the longest prompt has no padding"


def test_clip_time_reaches_the_positions(load):
    """The same clip at another frame rate gets other temporal positions (Qwen2.5-VL)."""
    model = load()
    frames = make_pixels("video", 0).frames
    example = Example("0", "q", "a", "free-form", ())
    positions = []
    for seconds in (0.5, 2.0):
        batch = model.processor.batch([example_with_clip(example)], ["What?"], [[Pixels("video", frames, seconds)]])
        positions.append(model.prepare(batch).positions)
    assert not torch.equal(positions[0], positions[1])
    clip = batch.visual[0]
    assert torch.equal(positions[0][1:, 0, clip], positions[1][1:, 0, clip]), "rows and columns do not move with time"


def example_with_clip(example: Example) -> Example:
    """The example with one clip."""
    from dataclasses import replace
    from pathlib import Path

    from ral.types import Media

    return replace(example, media=(Media("video", Path("x.mp4")),))


@pytest.mark.parametrize("family", FAMILIES)
def test_ends_are_allowed_and_every_other_control_token_is_banned(family, load):
    processor = load(family).processor
    ends = {processor.tokenizer.convert_tokens_to_ids(t) for t in ("<|im_end|>", "<|endoftext|>")}
    assert set(processor.end_ids) == ends and not processor.banned[list(ends)].any()
    special = {i for i, t in processor.tokenizer.added_tokens_decoder.items() if t.special}
    assert set(processor.banned.nonzero().flatten().tolist()) == special - ends
    assert processor.banned[[processor.image_id, processor.video_id]].all()
    assert processor.response_ids("<answer>red</answer>")[-1] == processor.end_id
    assert processor.decode(processor.response_ids("<think>a</think><answer>red</answer>")) == (
        "<think>a</think><answer>red</answer>"
    )


def test_a_tokenizer_without_placeholders_is_refused(load):
    tokenizer = load().processor.tokenizer
    processor = load().processor

    class Plain:
        unk_token_id = None
        chat_template = "x"

        def convert_tokens_to_ids(self, token):
            return None if "pad|>" in token else tokenizer.convert_tokens_to_ids(token)

        def __len__(self):
            return len(tokenizer)

    with pytest.raises(UserError, match="image_pad"):
        Processor(Plain(), processor.family, processor.patches, "folder")


def test_the_formats_own_tags_may_be_sampled_as_special_tokens(load) -> None:
    """They stay in decoded text, and a target may hold them; other special tokens stay banned."""
    tokenizer = load().processor.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": [*TAGS, "<secret>"]}, replace_extra_special_tokens=False)
    processor = Processor(tokenizer, load().processor.family, load().processor.patches)
    banned = {token: bool(processor.banned[tokenizer.convert_tokens_to_ids(token)]) for token in (*TAGS, "<secret>")}
    assert banned == dict.fromkeys(TAGS, False) | {"<secret>": True}
    text = "<think>red</think><answer>A</answer>"
    assert processor.decode(processor.response_ids(text)) == text
    assert processor.intruder(text, response=True) is None
    assert processor.intruder("<secret>", response=True) == "control token <secret>"
    assert bool(processor.banned[processor.image_id])
