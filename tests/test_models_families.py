"""What differs between families: prompt tokens, pixels, positions, deepstack, files; and which layers can be served."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from conftest import MIXED, SMALL, make_pixels, make_prompts
from transformers import AutoConfig
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from ral.models.attention.kinds import attention_layers, counted
from ral.models.checks import check_spec, same_tokens
from ral.models.families.internvl import tiles
from ral.models.families.qwen3_vl import timed_runs
from ral.models.mllm import MLLM
from ral.models.network_config import shareable
from ral.models.patches import encode_grids
from ral.models.processor import Processor
from ral.models.registry import FAMILIES
from ral.ops.attention import AttentionSpec
from ral.types import Example, Media, Pixels, UserError

CLIP_AMONG_PICTURES = ("image", "video", "image")


def a_batch(model, seconds=0.7, frames=5, question="What color?"):
    """One prompt with a clip between two pictures, and its media."""
    s = max(model.processor.patches.factor, 28)
    media = [make_pixels(k, i, (2 * s, (2 + i) * s), frames) for i, k in enumerate(CLIP_AMONG_PICTURES)]
    media[1] = replace(media[1], seconds_per_frame=seconds)
    paths = tuple(Media(k, Path(f"{i}.x")) for i, k in enumerate(CLIP_AMONG_PICTURES))
    example = Example("0", "q", "red", "free-form", paths, source="data.json entry 1")
    return model.processor.batch([example], [question], [media]), media


def their_processor(model, family):
    """Transformers' processor without its picture and clip parts, which need torchvision."""
    tokenizer, name = model.processor.tokenizer, FAMILIES[family].classes[0]
    theirs = object.__new__(getattr(transformers, name))
    theirs.tokenizer = tokenizer
    marks = FAMILIES[family].placeholders
    theirs.image_token, theirs.video_token = marks.image, marks.video
    theirs.vision_start_token, theirs.vision_end_token = "<|vision_start|>", "<|vision_end|>"
    for own in FAMILIES[family].recipe.named_tokens:
        setattr(theirs, own, getattr(tokenizer, own))
    theirs.image_seq_length = getattr(model.network.config, "image_seq_length", None)
    theirs.image_processor = SimpleNamespace(merge_size=2)
    theirs.video_processor = SimpleNamespace(merge_size=2, temporal_patch_size=2)
    return theirs


def replacements(theirs, batch, media, seconds):
    """What Transformers' processor writes in place of the pictures' and of the clip's placeholders."""
    frames = len(media[1].frames)
    metadata = SimpleNamespace(fps=1 / seconds, frames_indices=list(range(frames)))
    pictures = {"image_grid_thw": batch.media.get("image_grid_thw"), "num_patches": [1, 1]}
    clip = {
        "video_grid_thw": batch.media.get("video_grid_thw"),
        "video_metadata": [metadata],
        "pixel_values_videos": torch.zeros(1, frames, 1),
    }
    return [theirs.replace_image_token(pictures, i) for i in (0, 1)], [theirs.replace_video_token(clip, 0)]


@pytest.mark.parametrize("seconds", [0.5, 0.7, 12.34])
@pytest.mark.parametrize("family", FAMILIES)
def test_prompt_tokens_are_those_of_transformers_processor(family, seconds, load):
    model = load(family)
    batch, media = a_batch(model, seconds)
    theirs = their_processor(model, family)
    (text,), _ = theirs.get_text_with_replacements(list(batch.texts), *replacements(theirs, batch, media, seconds))
    assert batch.token_ids[0].tolist() == model.processor.tokenizer(text)["input_ids"]
    grids = [t * h * w for t, h, w in batch.grids[0]]
    assert int(batch.visual.sum()) == sum(grids)


def test_qwen3_vl_writes_the_mean_time_of_each_pair_of_frames(load):
    settings = load("qwen3_vl").processor.patches
    texts = timed_runs(Pixels("video", torch.zeros(5, 64, 64, 3, dtype=torch.uint8), 1.0), settings).split(
        "<|vision_end|>"
    )
    assert [t.split("<|")[0] for t in texts[:-1]] == ["<0.5 seconds>", "<2.5 seconds>", "<4.0 seconds>"]


def test_internvl_counts_positions_and_numbers_frames(load):
    model = load("internvl")
    batch, media = a_batch(model)
    prepared = model.prepare(batch)
    assert torch.equal(prepared.positions, torch.arange(batch.token_ids.shape[1]).expand(3, 1, -1))
    assert int(prepared.next_position) == batch.token_ids.shape[1]
    text = model.processor.tokenizer.decode(batch.token_ids[0])
    assert [f"Frame{n}: <img>" in text for n in (1, 5, 6)] == [True, True, False]
    settings = model.processor.patches
    assert torch.equal(batch.media["pixel_values"], torch.cat([tiles(p, settings) for p in media]))


@pytest.mark.parametrize("sides", [(112, 112), (60, 200), (333, 251)])
def test_internvl_tiles_are_those_of_transformers_picture_processor(sides, load, model_folder):
    raw = json.loads((model_folder("internvl") / "preprocessor_config.json").read_text())
    theirs = GotOcr2ImageProcessorPil(**{k: raw[k] for k in ("size", "image_mean", "image_std", "max_patches")})
    noise = torch.rand(1, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, sides, mode="bilinear")[0].permute(1, 2, 0)
    picture = Pixels("image", (smooth[None] * 255).to(torch.uint8))
    want = theirs(images=[picture.frames[0].numpy()], crop_to_patches=True, return_tensors="pt")["pixel_values"]
    settings = load("internvl").processor.patches
    got = tiles(picture, settings)
    assert got.shape == want.shape == (1, 3, 112, 112)
    levels = ((got - want) * torch.tensor(settings.std).view(3, 1, 1) * 255).abs()
    assert float(levels.max()) < 2.1 and float(levels.mean()) < 0.01, "pillow and torch round 8-bit values differently"


def test_qwen3_vl_adds_visual_features_to_the_first_layers(load):
    model = load("qwen3_vl")
    prompts = make_prompts(model, MIXED)
    with torch.no_grad():
        prepared = model.prepare(prompts)
    assert prepared.seen.deepstack.shape == (2, *prompts.token_ids.shape, 64)
    filled = prepared.seen.deepstack.abs().sum(-1) > 0
    assert torch.equal(filled, prompts.visual.expand(2, -1, -1))
    part = prepared.take([1, 2])
    assert torch.equal(part.seen.deepstack, prepared.seen.deepstack[:, 1:3, -part.seen.deepstack.shape[2] :])
    assert torch.equal(prepared.repeat(2).seen.deepstack, prepared.seen.deepstack.repeat_interleave(2, 1))


def test_features_come_joined_or_one_tensor_for_each_picture():
    """Transformers 5.17 joins deepstack features of all pictures, later ones split them like the others."""
    parts = [torch.arange(6.0).view(3, 2), torch.arange(4.0).view(2, 2) + 10]
    media = {"pixel_values": torch.zeros(20, 4), "image_grid_thw": torch.ones(2, 3)}
    for deepstack in ([tuple(parts)], [torch.cat(parts)]):
        out = SimpleNamespace(pooler_output=tuple(parts), deepstack_features=deepstack)
        model = SimpleNamespace(get_image_features=lambda *_, out=out, **__: out, get_video_features=None)
        (seen,) = encode_grids(model, media).values()
        assert len(seen) == 2 and all(torch.equal(found, torch.cat(parts)) for found in seen)


@pytest.mark.parametrize("family", FAMILIES)
def test_everything_between_pixels_and_embeddings_is_frozen_or_trained(family, load):
    for freeze in (True, False):
        model = load(family, freeze_vision=freeze)
        prompts = make_prompts(model, (("image", "video"),))
        ids = torch.tensor([[5, 6, 7]])
        model.states(model.prepare(prompts), ids, torch.ones_like(ids).bool(), None).hidden.square().sum().backward()
        text = {id(p) for p in model.network.model.language_model.parameters()} | {id(model.network.lm_head.weight)}
        vision = {n: p for n, p in model.network.named_parameters() if id(p) not in text}
        assert model.trains_vision is not freeze
        unmoved = [n for n, p in vision.items() if p.grad is None or not bool(p.grad.any())]
        assert unmoved == (list(vision) if freeze else [])
        assert {p.requires_grad for p in vision.values()} == {not freeze}
        assert model.frozen_copy().sees_like(model) is freeze


@pytest.mark.parametrize("family", FAMILIES)
def test_an_exported_folder_has_what_auto_processor_wants(family, load, tmp_path):
    load(family).save(tmp_path)
    processor, picture, clip = FAMILIES[family].classes
    configs = {
        name: json.loads((tmp_path / name).read_text())
        for name in ("preprocessor_config.json", "video_preprocessor_config.json", "tokenizer_config.json")
    }
    assert (tmp_path / "chat_template.jinja").is_file() and hasattr(transformers, processor)
    assert configs["preprocessor_config.json"]["image_processor_type"] == picture
    assert configs["video_preprocessor_config.json"]["video_processor_type"] == clip
    assert configs["preprocessor_config.json"]["processor_class"] == processor
    again = Processor.from_folder(str(tmp_path))
    assert again.patches == load(family).processor.patches
    recipe = FAMILIES[family].recipe
    assert {name: getattr(again.tokenizer, name) for name in recipe.named_tokens} == recipe.named_tokens
    for name, values in recipe.files(SMALL, (784, 1003520)).items():
        assert values.items() <= json.loads((tmp_path / name).read_text()).items()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_with_one_processor_file_for_all_parts_is_read(family, model_folder, tmp_path):
    """Transformers 5 writes processor_config.json with the picture processor inside."""
    folder = shutil.copytree(model_folder(family), tmp_path / "m")
    inside = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": inside}))
    want = Processor.from_folder(str(model_folder(family))).patches
    assert Processor.from_folder(str(folder)).patches == want


@pytest.mark.parametrize("family", FAMILIES)
def test_a_placeholder_in_the_question_is_named(family, load):
    model = load(family)
    with pytest.raises(UserError, match=r"data.json entry 1.* 4 placeholders for 3 .*out of the question"):
        a_batch(model, question=f"What is {FAMILIES[family].placeholders.image}?")


def test_a_teacher_that_reads_pixels_otherwise_is_refused(load):
    """Same tokenizer, but other patches."""
    student, teacher = load("qwen2_5_vl").processor, load("qwen3_vl").processor
    same_tokens(student, load("qwen2_vl").processor)
    with pytest.raises(UserError, match="different visual tokens"):
        same_tokens(student, teacher)


def config_with(layer_types, **text):
    """An InternVL configuration on a decoder with the given layers."""
    text = {"model_type": "qwen2", "num_hidden_layers": len(layer_types), "layer_types": layer_types, **text}
    return AutoConfig.for_model("internvl", text_config=text)


def model_with(config):
    """As much of an MLLM as check_spec looks at."""
    depth = len(attention_layers(config))
    return SimpleNamespace(depth=depth, network=SimpleNamespace(config=config), processor=SimpleNamespace(name="m"))


FULL, LINEAR, SLIDING = "full_attention", "linear_attention", "sliding_attention"


def test_which_networks_the_shared_prompt_layout_can_serve(model_folder):
    for family in FAMILIES:
        assert shareable(AutoConfig.from_pretrained(model_folder(family))) is None
    assert shareable(config_with([FULL, FULL])) is None
    hybrid = config_with([LINEAR, LINEAR, LINEAR, FULL], model_type="qwen3_next")
    assert "layer 0 has linear_attention" in shareable(hybrid)
    assert "layer 1 has sliding_attention" in shareable(config_with([FULL, SLIDING], use_sliding_window=True))
    everywhere = AutoConfig.for_model("internvl", text_config={"model_type": "mistral", "sliding_window": 64})
    assert "layer 0 has sliding_attention" in shareable(everywhere)


def test_a_layer_that_cannot_be_the_policy_is_named_with_those_that_can():
    config = config_with([SLIDING, FULL, SLIDING, FULL], use_sliding_window=True)
    check_spec(AttentionSpec(layers=(-1, 1)), [model_with(config)])
    with pytest.raises(UserError, match=rf"algo.attention_policy.layers names layer 2 .*{SLIDING}.*\[1, 3\]$"):
        check_spec(AttentionSpec(layers=(-2,)), [model_with(config)])
    with pytest.raises(UserError, match=r"names layer 4, but the model has 4 layers .*: write 0 to 3, or -4 to -1"):
        check_spec(AttentionSpec(layers=(4,)), [model_with(config)])
    with pytest.raises(UserError, match="names head 99"):
        check_spec(AttentionSpec(heads=(99,)), [model_with(config)])
    with pytest.raises(UserError, match="heads names none: write all, or some of 0 to"):
        check_spec(AttentionSpec(heads=()), [model_with(config)])


def test_layers_of_the_policy_are_counted_among_those_with_softmax_attention():
    config = config_with([LINEAR, FULL, LINEAR, FULL], model_type="qwen3_next")
    assert attention_layers(config) == (1, 3)
    check_spec(AttentionSpec(layers=(0, -1)), [model_with(config)])
    words = "layer 2, but the model has 2 layers with softmax attention: write 0 to 1, or -2 to -1 from the last one; "
    with pytest.raises(UserError, match=words + "they alone are counted: decoder layers 1, 3 of 4$"):
        check_spec(AttentionSpec(layers=(2,)), [model_with(config)])
    module = SimpleNamespace(layer_idx=3, config=config.get_text_config())
    assert counted(module) == 1 and counted(SimpleNamespace(layer_idx=3)) == 3


def test_a_model_with_a_sliding_window_is_refused_at_load(model_folder, tmp_path):
    folder = shutil.copytree(model_folder(), tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    config["text_config"].pop("layer_types", None)
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"layer 1 has sliding_attention.*choose another model$"):
        MLLM.load(str(folder))


@pytest.mark.parametrize("family", [name for name in FAMILIES if "intern" not in name])
@pytest.mark.parametrize(
    ("key", "name"),
    [("patch_size", "patch_size"), ("merge_size", "spatial_merge_size"), ("temporal_patch_size",) * 2],
)
def test_settings_of_patches_that_contradict_the_network_are_named(family, key, name, model_folder, tmp_path):
    folder = shutil.copytree(model_folder(family), tmp_path / "m")
    file = folder / "preprocessor_config.json"
    raw = json.loads(file.read_text())
    file.write_text(json.dumps(raw | {key: raw[key] + 2}))
    wrong = (
        rf"preprocessor_config.json: {key} is {raw[key] + 2}, where config.json has vision_config.{name} {raw[key]};"
    )
    with pytest.raises(UserError, match=wrong):
        Processor.from_folder(str(folder))
