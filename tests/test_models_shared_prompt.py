"""The shared-prompt forward, the capture and the sampler against Transformers' own model on the plain layout."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from conftest import MIXED, make_prompts, native
from transformers import AutoModelForImageTextToText

from ral.models.attention.interface import NAME
from ral.models.registry import FAMILIES
from ral.ops.attention import AttentionSpec


def responses(model, count, length=6, seed=0):
    """Random response ids [N C] with ragged lengths."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 250, (count, length), generator=generator)
    lengths = torch.randint(1, length + 1, (count,), generator=generator)
    lengths[0] = length
    return ids, torch.arange(length)[None] < lengths[:, None]


@cache
def eager(folder):
    """Transformers' own model with its plainest attention."""
    return AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")


def plain_rows(model_folder, family, model, prompts, ids, mask, n, group):
    """Transformers' eager model on prompt n // group and response n alone: (states, logits, attentions)."""
    hf, b = eager(model_folder(family)), n // group
    prompt = prompts.token_ids[b][prompts.valid[b]]
    row = torch.cat([prompt, ids[n][mask[n]]])[None]
    return hf(**inputs_of(family, model, prompts, b, row), output_attentions=True, output_hidden_states=True)


OF_SOME = ("second_per_grid_ts", "mm_token_type_ids")
"""Inputs of Transformers' models that not all families take: the time between frames, the kinds of tokens."""


def inputs_of(family, model, prompts, b, row):
    """What Transformers' model of the family takes: ids [1 T] that begin with prompt b, and that prompt's media."""
    inputs = {"input_ids": row, "attention_mask": torch.ones_like(row), **media_of(prompts, b)}
    inputs["mm_token_type_ids"] = (row == model.processor.image_id).int() + 2 * (row == model.processor.video_id)
    taken = FAMILIES[family].facts.inputs
    return {name: value for name, value in inputs.items() if name not in OF_SOME or name in taken}


def media_of(prompts, b):
    """The vision tensors of prompt b alone."""
    out = {}
    if "pixel_values" in prompts.media and prompts.media["pixel_values"].ndim == 4:  # tiles of all media in order
        tiles = prompts.media["pixel_values"].split([sum(t for t, _, _ in grids) for grids in prompts.grids])
        return {"pixel_values": tiles[b]} if len(tiles[b]) else {}
    for kind, values, grid in (
        ("image", "pixel_values", "image_grid_thw"),
        ("video", "pixel_values_videos", "video_grid_thw"),
    ):
        if values not in prompts.media:
            continue
        owner = [i for i, e in enumerate(prompts.examples) for m in e.media if m.kind == kind]
        mine = [k for k, i in enumerate(owner) if i == b]
        if mine:
            sizes = prompts.media[grid].prod(1).tolist()
            pieces = prompts.media[values].split(sizes)
            out[values] = torch.cat([pieces[k] for k in mine])
            out[grid] = prompts.media[grid][mine]
            if kind == "video":
                out["second_per_grid_ts"] = prompts.media["second_per_grid_ts"][mine]
    return out


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_and_rows_equal_the_eager_model(family, load, model_folder):
    model, group = load(family), 3
    prompts = make_prompts(model, MIXED)
    ids, mask = responses(model, len(prompts) * group)
    prepared = model.prepare(prompts)
    for spec in (AttentionSpec(), AttentionSpec(layers=(0, -1), heads=(1,))):
        with torch.no_grad():
            states = model.states(prepared, ids, mask, spec)
            rows = states.attention.rows(chunk=4)
        for n in range(len(ids)):
            out = plain_rows(model_folder, family, model, prompts, ids, mask, n, group)
            valid = prompts.valid[n // group]
            p, c = int(valid.sum()), int(mask[n].sum())
            ours = model.head(states.hidden[n, :c])
            torch.testing.assert_close(ours, out.logits[0, p - 1 : p + c - 1, : ours.shape[-1]], atol=2e-5, rtol=1e-4)
            for index, layer in enumerate(spec.resolve_layers(model.depth)):
                heads = out.attentions[layer][0]
                mean = heads.mean(0) if spec.heads == "mean" else heads[list(spec.heads)].mean(0)
                for t in range(c):
                    want = mean[p + t, : p + t] / mean[p + t, : p + t].sum()
                    got = torch.cat([rows[index, n, t, : valid.shape[0]][valid], rows[index, n, t, valid.shape[0] :]])
                    torch.testing.assert_close(got[: p + t], want, atol=1e-6, rtol=0)
                    assert float(got[p + t :].abs().sum()) == 0.0


def test_previous_query_looks_from_the_position_that_produced_the_token(load, model_folder):
    model = load()
    prompts = make_prompts(model, (("image",), ("video",)))
    ids, mask = responses(model, 4)
    spec = AttentionSpec(query="previous", keys="all")
    with torch.no_grad():
        rows = model.states(model.prepare(prompts), ids, mask, spec).attention.rows()
    for n in range(4):
        out = plain_rows(model_folder, "qwen2_5_vl", model, prompts, ids, mask, n, 2)
        valid = prompts.valid[n // 2]
        p = int(valid.sum())
        mean = out.attentions[-1][0].mean(0)
        for t in range(int(mask[n].sum())):
            got = torch.cat([rows[0, n, t, : valid.shape[0]][valid], rows[0, n, t, valid.shape[0] :]])[: p + t]
            torch.testing.assert_close(got, mean[p + t - 1, : p + t], atol=1e-6, rtol=0)


@pytest.mark.parametrize("keys", ["prompt", "visual"])
def test_key_sets_are_renormalised(keys, load):
    model = load()
    prompts = make_prompts(model, MIXED)
    ids, mask = responses(model, len(prompts))
    with torch.no_grad():
        prepared = model.prepare(prompts)
        rows = model.states(prepared, ids, mask, AttentionSpec(keys=keys)).attention.rows()[0]
        all_rows = model.states(prepared, ids, mask, AttentionSpec()).attention.rows()[0]
    p = prompts.valid.shape[1]
    kept = prompts.valid if keys == "prompt" else prompts.visual
    want = all_rows[..., :p] * kept[:, None]
    want = want / want.sum(-1, keepdim=True).clamp_min(1e-30)
    torch.testing.assert_close(rows[..., :p], want, atol=1e-6, rtol=1e-5)
    assert float(rows[..., p:].abs().sum()) == 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_rollout_equals_generate(family, load, model_folder):
    model = load(family)
    prompts = make_prompts(model, MIXED)
    rollout = native(2, temperature=1.0, max_new_tokens=8, greedy=True)(model, model.prepare(prompts))
    hf = AutoModelForImageTextToText.from_pretrained(model_folder(family))
    banned = [[int(i)] for i in model.processor.banned.nonzero()]
    for b in range(len(prompts)):
        row = prompts.token_ids[b][prompts.valid[b]][None]
        out = hf.generate(
            **inputs_of(family, model, prompts, b, row),
            max_new_tokens=8,
            do_sample=False,
            bad_words_ids=banned,
            eos_token_id=list(model.processor.end_ids),
        )[0, row.shape[1] :]
        for n in (2 * b, 2 * b + 1):
            assert rollout.token_ids[n][rollout.valid[n]].tolist() == out.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_rollout_log_probs_equal_training_log_probs(family, load):
    """The decoding path and the training path give the same distribution for the same tokens."""
    model = load(family)
    prompts = make_prompts(model, MIXED)
    prepared = model.prepare(prompts)
    rollout = native(3, temperature=0.7, max_new_tokens=7)(model, prepared, 1)
    with torch.no_grad():
        trained = model.states(prepared, rollout.token_ids, rollout.valid, None).hidden
        hidden, state = model.prefill(prepared, 3)
        for t in range(rollout.token_ids.shape[1]):
            keep = rollout.valid[:, t]
            torch.testing.assert_close(hidden[keep], trained[keep, t], atol=2e-5, rtol=1e-4)
            hidden = model.decode(rollout.token_ids[:, t], state)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_loves_placeholders_never_samples_them(family, load):
    model = load(family)
    with torch.no_grad():
        weight = model.network.lm_head.weight
        weight.zero_()
        weight[model.processor.banned.nonzero().flatten()] = 10.0
    prompts = make_prompts(model, (("image",), ("video",)))
    rollout = native(8, temperature=0.9, max_new_tokens=12)(model, model.prepare(prompts), 0)
    used = rollout.token_ids[rollout.valid]
    assert not bool(model.processor.banned[used].any())
    for token in ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|im_start|>"):
        assert model.processor.banned[model.processor.tokenizer.convert_tokens_to_ids(token)]


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(family, load):
    """Other prompts in the batch, padded values and group mates leave a response's states untouched."""
    model = load(family)
    prompts = make_prompts(model, MIXED)
    ids, mask = responses(model, 8)
    with torch.no_grad():
        together = model.states(model.prepare(prompts), ids, mask, AttentionSpec())
        scrambled = torch.where(mask, ids, torch.full_like(ids, 7))
        again = model.states(model.prepare(prompts), scrambled, mask, AttentionSpec())
        part = model.prepare(prompts).take([1])
        alone = model.states(part, ids[2:4], mask[2:4], None)
    close = 1e-5 if model.linear else 2e-6  # padding moves the chunks in which the delta rule is computed
    torch.testing.assert_close(together.hidden[mask], again.hidden[mask], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(together.attention.rows(), again.attention.rows(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(alone.hidden[mask[2:4]], together.hidden[2:4][mask[2:4]], atol=close, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shipped_attention_still_serves_generate(family, load):
    """A model under our attention implementation generates as usual: no layout means plain SDPA."""
    model = load(family)
    assert model.network.model.language_model.config._attn_implementation == NAME
    row = torch.tensor([[5, 6, 7, 8]])
    ours = model.network.generate(input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=4, do_sample=False)
    model.network.set_attn_implementation("sdpa")
    theirs = model.network.generate(
        input_ids=row, attention_mask=torch.ones_like(row), max_new_tokens=4, do_sample=False
    )
    assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_copy_shares_the_tower_and_does_not_move(family, load):
    model = load(family)
    twin = model.frozen_copy()
    assert twin.sees_like(model)
    before = twin.network.lm_head.weight.clone()
    with torch.no_grad():
        model.network.lm_head.weight.add_(1.0)
    assert torch.equal(twin.network.lm_head.weight, before)
    assert not any(p.requires_grad for p in twin.parameters())
