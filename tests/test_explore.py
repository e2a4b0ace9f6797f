"""Noise on the attention of a rollout, in every rollout path, and whole runs of the two methods beyond the paper."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import MIXED, make_prompts, native

from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES
from ral.ops.attention import AttentionSpec
from ral.rollout.native import EXPLORING, explore
from ral.rollout.noise import Exploration, Noise, smooth, waves
from ral.rollout.seeds import hash_seed, prompt_seeds
from ral.types import Prepared, Rollout, UserError


def explored(
    model: MLLM, prepared: Prepared, sigma: float, spec: AttentionSpec | None = None, group: int = 3, seed: int = 1
) -> Rollout:
    """A rollout with noise of 7 tokens at most."""
    noise = Noise(sigma, spec or AttentionSpec())
    return native(group, temperature=0.9, max_new_tokens=7, noise=noise)(model, prepared, seed)


SPECS = (
    AttentionSpec(),
    AttentionSpec(layers=(0, -1), heads=(1,)),
    AttentionSpec(query="previous"),
    AttentionSpec(keys="prompt"),
    AttentionSpec(keys="visual", query="previous"),
)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_noise_worth_the_name_the_recorded_rows_are_those_of_training(family, kind, model_folder) -> None:
    model = kind.load(str(model_folder(family)))
    prepared = model.prepare(make_prompts(model, MIXED))
    for spec in SPECS:
        rollout = explored(model, prepared, 1e-9, spec)
        plain = native(3, temperature=0.9, max_new_tokens=7)(model, prepared, 1)
        assert torch.equal(rollout.token_ids, plain.token_ids) and plain.attention_rows is None
        mask = rollout.valid
        with torch.no_grad():
            want = model.states(prepared, rollout.token_ids, mask, spec).attention.rows()
        fed = torch.zeros_like(mask)
        if spec.query == "self":
            fed[:, :-1] = mask[:, 1:]
        else:
            fed[:, 1:] = mask[:, 1:]
        assert rollout.attention_rows is not None and rollout.attention_rows.shape == want.shape
        torch.testing.assert_close(rollout.attention_rows, want * fed[None, ..., None], atol=2e-6, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_and_plain_path_try_the_same_attention(family, model_folder) -> None:
    rollouts = []
    for kind in (MLLM, PlainMLLM):
        model = kind.load(str(model_folder(family)))
        rollouts.append(explored(model, model.prepare(make_prompts(model, MIXED)), 2.0))
    shared, plain = rollouts
    assert torch.equal(shared.token_ids, plain.token_ids)
    torch.testing.assert_close(shared.attention_rows, plain.attention_rows, atol=2e-6, rtol=0)
    torch.testing.assert_close(shared.log_probs, plain.log_probs, atol=1e-4, rtol=1e-4)


def test_noise_changes_what_is_sampled_and_what_is_looked_at(load) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    quiet, loud = explored(model, prepared, 1e-9), explored(model, prepared, 3.0)
    assert not torch.equal(quiet.log_probs, loud.log_probs)
    assert torch.equal(loud.token_ids, explored(model, prepared, 3.0).token_ids)
    assert not torch.equal(loud.log_probs, explored(model, prepared, 3.0, seed=2).log_probs)
    same = loud.token_ids[:, 0] == quiet.token_ids[:, 0]  # the first token is fed before any noise
    assert bool(same.all())


def test_recorded_rows_are_the_softmax_of_logits_and_noise(load) -> None:
    """Layer -1 alone: its queries and keys do not depend on its own noise, so training's give the logits."""
    model, sigma = load(), 1.5
    prepared = model.prepare(make_prompts(model, (("image",), ("image",))))
    rollout = explored(model, prepared, sigma, group=2)
    mask, p = rollout.valid, prepared.valid.shape[1]
    with torch.no_grad():
        captured = model.states(prepared, rollout.token_ids, mask, AttentionSpec()).attention
    seeds = prompt_seeds([e.uid for e in prepared.prompts.examples], hash_seed(1, EXPLORING))
    state = explore(model, prepared, Noise(sigma, AttentionSpec()), seeds, 2)
    (layer,) = captured.layers
    heads = layer.query.shape[1] * layer.query.shape[2]
    for n, t in mask[:, 1:].nonzero().tolist():
        b, g = divmod(n, 2)
        eps = state._draw(model.depth - 1, heads, t + 1)[b, g]
        query = layer.query[b, :, :, g, t] * captured.scaling  # [H R D]
        keys = torch.cat([layer.prompt_keys[b], layer.response_keys[b, :, g, : t + 1]], dim=1)
        scores = torch.einsum("hrd,hkd->hrk", query, keys).flatten(0, 1) + sigma * eps
        valid = torch.cat([prepared.valid[b], torch.ones(t + 1, dtype=torch.bool)])
        mean = torch.softmax(scores.masked_fill(~valid, -torch.inf), -1).mean(0)[: p + t]
        torch.testing.assert_close(rollout.attention_rows[0, n, t, : p + t], mean / mean.sum(), atol=2e-6, rtol=0)


def test_noise_of_a_prompt_does_not_depend_on_its_batch(load) -> None:
    model = load()
    prompts = make_prompts(model, MIXED)
    prepared = model.prepare(prompts)
    whole = explored(model, prepared, 2.0)
    for n in range(len(MIXED)):
        part = prepared.take([n])
        alone, own = explored(model, part, 2.0), whole.take(part.prompts, [n])
        assert torch.equal(alone.token_ids, own.token_ids)
        torch.testing.assert_close(alone.attention_rows, own.attention_rows, atol=2e-6, rtol=0)


def test_buckets_of_prompts_are_joined_with_their_rows(load, monkeypatch) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    whole = explored(model, prepared, 2.0)
    monkeypatch.setattr("ral.rollout.decoding.LONGEST", 1.0)
    parts = explored(model, prepared, 2.0)
    assert torch.equal(whole.token_ids, parts.token_ids)
    torch.testing.assert_close(whole.attention_rows, parts.attention_rows, atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
@pytest.mark.parametrize("spec", [SPECS[0], SPECS[2]], ids=["self", "previous"])
def test_responses_that_leave_the_batch_change_nothing(kind, spec, model_folder, monkeypatch) -> None:
    """A quarter of all tokens ends a response, so that places of the batch are given up again and again, or never."""
    model = kind.load(str(model_folder()))
    object.__setattr__(model.processor, "end_ids", tuple(range(0, model.processor.vocab_size, 4)))
    prepared = model.prepare(make_prompts(model, MIXED))
    left: list[int] = []
    keep = Exploration.keep
    monkeypatch.setattr(Exploration, "keep", lambda self, *at: left.append(1) or keep(self, *at))
    found = []
    for below in (0.9, 0.0):
        monkeypatch.setattr("ral.rollout.decoding.COMPACT_BELOW", below)
        left.clear()
        found.append(explored(model, prepared, 2.0, spec, group=6))
        assert bool(left) == (below > 0)
    eager, lazy = found
    assert torch.equal(eager.token_ids, lazy.token_ids) and torch.equal(eager.valid, lazy.valid)
    torch.testing.assert_close(eager.attention_rows, lazy.attention_rows, atol=2e-6, rtol=0)


def test_draws_are_standard_normal_and_leave_padding_and_other_heads_alone() -> None:
    valid = torch.ones(2, 300, dtype=torch.bool)
    valid[1, :100] = False
    noise = Noise(1.0, AttentionSpec(heads=(0, 2)))
    state = Exploration(noise, (0,), [3, 4], valid, valid, 8)
    drawn = state._draw(0, 4, 1)
    assert drawn.shape == (2, 8, 4, 301)
    assert not drawn[:, :, [1, 3]].any() and not drawn[1, :, :, :100].any()
    values = drawn[0, :, [0, 2]]
    assert abs(float(values.mean())) < 0.05 and abs(float(values.std()) - 1) < 0.05
    assert not torch.equal(drawn, state._draw(1, 4, 1)[..., :301])


LOOK = {"keys": "visual", "shared": True, "record": "noise"}
"""Noise of few dimensions, recorded itself."""


@pytest.mark.parametrize("fresh", ["token", "response"])
@pytest.mark.parametrize("query", ["self", "previous"])
def test_noise_of_few_dimensions_is_on_pictures_alone_and_the_same_for_all_heads(fresh: str, query: str) -> None:
    valid = torch.ones(2, 30, dtype=torch.bool)
    valid[1, :10] = False
    visual = valid & (torch.arange(30) % 2 == 0)
    noise = Noise(2.0, AttentionSpec(query=query), **LOOK, fresh=fresh)
    state = Exploration(noise, (0,), [3, 4], valid, visual, 4)
    steps = [state._draw(0, 3, own) for own in (1, 2)]
    for own, drawn in enumerate(steps, start=1):
        assert drawn.shape == (2, 4, 3, 30 + own) and not drawn[..., 30:].any()
        assert torch.equal(drawn[:, :, :1].expand_as(drawn), drawn)
        assert torch.equal(drawn[..., :30] != 0, visual[:, None, None].expand(2, 4, 3, 30))
    assert torch.equal(steps[0][..., :30], steps[1][..., :30]) == (fresh == "response")
    assert not torch.equal(steps[0][:, 0], steps[0][:, 1])


@pytest.mark.parametrize("fresh", ["token", "response"])
def test_recorded_noise_is_what_was_added_to_the_logits(fresh: str, load) -> None:
    """Layer -1 alone: training's logits, and the noise that is recorded, make the rows that a twin rollout records."""
    model, spec, group = load(), AttentionSpec(query="previous"), 2
    prepared = model.prepare(make_prompts(model, (("image",), ("image",))))
    noises = [Noise(1.5, spec, **(LOOK | {"record": record}), fresh=fresh) for record in ("noise", "rows")]
    found, twin = (native(group, temperature=0.9, max_new_tokens=7, noise=n)(model, prepared, 1) for n in noises)
    assert torch.equal(found.token_ids, twin.token_ids) and not found.attention_rows[0, :, 0].any()
    with torch.no_grad():
        captured = model.states(prepared, found.token_ids, found.valid, spec).attention
    (layer,), p = captured.layers, prepared.valid.shape[1]
    for n, t in found.valid.nonzero().tolist():
        if t == 0:
            continue
        b, g = divmod(n, group)
        keys = torch.cat([layer.prompt_keys[b], layer.response_keys[b, :, g, :t]], dim=1)
        scores = torch.einsum("hrd,hkd->hrk", layer.query[b, :, :, g, t] * captured.scaling, keys).flatten(0, 1)
        valid = torch.cat([prepared.valid[b], torch.ones(t, dtype=torch.bool)])
        tried = (scores + found.attention_rows[0, n, t, : p + t]).masked_fill(~valid, -torch.inf).softmax(-1).mean(0)
        torch.testing.assert_close(twin.attention_rows[0, n, t, : p + t], tried, atol=2e-6, rtol=0)


def test_both_paths_record_the_same_noise(model_folder) -> None:
    noise, rows = Noise(1.5, AttentionSpec(), **LOOK), []
    for kind in (MLLM, PlainMLLM):
        model = kind.load(str(model_folder()))
        prepared = model.prepare(make_prompts(model, MIXED))
        rows.append(native(3, temperature=0.9, max_new_tokens=7, noise=noise)(model, prepared, 1).attention_rows)
    assert torch.equal(*rows) and bool(rows[0].any())


def test_smooth_noise_is_a_projection_on_few_waves_of_each_medium() -> None:
    grids, white = [(1, 4, 5), (2, 3, 3)], torch.randn(2000, 38, generator=torch.Generator().manual_seed(0))
    flat = smooth(white, grids, 1)
    torch.testing.assert_close(flat[:, :20], white[:, :20].mean(1, keepdim=True).expand(-1, 20))
    torch.testing.assert_close(flat[:, 20:], white[:, 20:].mean(1, keepdim=True).expand(-1, 18))
    torch.testing.assert_close(smooth(white, grids, 5), white)  # as many waves as places: nothing is lost
    few = smooth(white, grids, 2)
    torch.testing.assert_close(smooth(few, grids, 2), few)
    assert (
        torch.linalg.matrix_rank(few[:, :20], rtol=1e-4) == 4 and torch.linalg.matrix_rank(few[:, 20:], rtol=1e-4) == 8
    )
    coefficients = torch.linalg.svdvals(few[:, :20])[:4] / 2000**0.5  # standard normal in orthonormal waves
    assert bool(((coefficients - 1).abs() < 0.1).all())
    columns = waves(5, 3)
    torch.testing.assert_close(columns.T @ columns, torch.eye(3, dtype=torch.float64))


def test_a_rollout_with_smooth_noise_records_waves_of_its_pictures(load) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    noise = Noise(2.0, AttentionSpec(query="previous"), **LOOK, fresh="response", modes=2)
    found = native(3, temperature=0.9, max_new_tokens=7, noise=noise)(model, prepared, 1).attention_rows
    assert found is not None
    for n, grids in enumerate(prepared.prompts.grids):
        own = found[0, 3 * n : 3 * n + 3, :, : prepared.visual.shape[1]][..., prepared.visual[n]]
        torch.testing.assert_close(smooth(own, grids, 2) if grids else own, own)
        told = own.flatten(0, 1)[own.flatten(0, 1).any(-1)]
        assert bool(len(told)) == bool(grids)
        part = prepared.take([n])
        alone = native(3, temperature=0.9, max_new_tokens=7, noise=noise)(model, part, 1).attention_rows
        shown = alone[0, :, :, : part.visual.shape[1]][..., part.visual[0]]
        torch.testing.assert_close(shown, own[:, : shown.shape[1]])


def test_recorded_noise_of_a_prompt_does_not_depend_on_its_batch(load) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    for fresh in ("token", "response"):
        noise = Noise(2.0, AttentionSpec(query="previous"), **LOOK, fresh=fresh)
        engine = native(3, temperature=0.9, max_new_tokens=7, noise=noise)
        whole = engine(model, prepared, 1)
        for n in range(len(MIXED)):
            part = prepared.take([n])
            own = whole.take(part.prompts, [n])
            assert torch.equal(engine(model, part, 1).attention_rows, own.attention_rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keys": "prompt"}, "keys is 'prompt': write all or visual"),
        ({"fresh": "step"}, "fresh is 'step': write token or response"),
        ({"record": "eps"}, "record is 'eps': write rows or noise"),
        ({"fresh": "response"}, "fresh=response is for keys that all tokens see: write .*keys=visual"),
        ({"modes": 0, "keys": "visual"}, "modes is 0: write 1 or more, or null"),
        ({"modes": 2}, "modes is of pictures and clips: write .*keys=visual"),
        ({"record": "noise"}, "record=noise is for one number that all heads get: write .*shared=true"),
    ],
)
def test_options_of_noise_that_mean_nothing(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=rf"algo\.sampling\.noise\.{message}"):
        Noise(1.0, AttentionSpec(), **options)


def test_a_term_that_reads_another_record_says_so(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match=r"noise\.record=rows, and algo\.score reads the noise: write .*record=noise"):
        run("algo=ral_look", "algo.sampling.noise.record=rows", *small)
    with pytest.raises(UserError, match=r"noise\.record=noise, and algo\.explore reads the rows: write .*record=rows"):
        run("algo=ral_look", "algo.objective=[token,kl,explore]", *small)


def test_a_sigma_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"algo\.sampling\.noise\.sigma is 0\.0: write more than 0"):
        Noise(0.0, AttentionSpec())


def test_the_first_update_has_a_signal(run: Callable[..., Path], small: list[str]) -> None:
    """Where RAL has none (tests/test_training.py), with one update too; and no gap between sampler and training."""
    reward = "reward.parts.accuracy.function._target_=test_training.short_is_good"
    for algo, term in (("ral_explore", "explore"), ("ral_look", "score"), ("ral_group", "group_attention")):
        folder = run(f"algo={algo}", *small, reward, "diagnostics.every=1", "algo.updates_per_rollout=1", folder=algo)
        line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[1])
        assert line[f"train/grad_norm_{term}_update_1"] > 1e-6
        assert ("train/engine_log_prob_gap" in line) == (algo == "ral_group")


@pytest.mark.parametrize("against", ["old", "sampler"])
def test_both_treatments_of_the_token_log_probs(against: str, run: Callable[..., Path], small: list[str]) -> None:
    """old: the ratio starts at 1. sampler: it corrects for the noise, so it does not."""
    folder = run("algo=ral_explore", f"algo.token.against={against}", "algo.updates_per_rollout=1", *small)
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[1])
    assert (line["train/ratio"] == pytest.approx(1.0, abs=1e-6)) == (against == "old")


def test_a_term_that_needs_noise_says_so(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"algo\.explore compares with attention under .*algo\.sampling\.noise is not set"
    ):
        run("algo=ral_explore", "algo.sampling.noise=null", *small)


def test_noise_elsewhere_than_the_objective_looks_is_refused(run: Callable[..., Path], small: list[str]) -> None:
    other = "algo.sampling.noise.attention={_target_: ral.ops.attention.AttentionSpec, layers: [0]}"
    with pytest.raises(UserError, match=r"differs from algo\.attention_policy"):
        run("algo=ral_explore", other, *small)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "algo.token.against=smapler",
            "algo.token.against='smapler' is unknown: write .* or algo.token.against=sampler",
        ),
        ("algo.sampling.noise.sigma=-1", "algo.sampling.noise.sigma=-1 is too small"),
        ("algo.objective=[explore] algo.group_size=1", "algo.group_size=1: the advantage compares"),
    ],
)
def test_settings_that_mean_nothing(override: str, message: str, run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match=message):
        run("algo=ral_explore", *override.split(), *small)


def test_an_anchor_of_the_group_that_is_none(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match=r"algo\.group_attention\.against=.odl. is unknown"):
        run("algo=ral_group", "algo.group_attention.against=odl", *small)
