"""The attention policy (RAL Eq. 2) against hand-computed rows, python loops, finite differences and plain autograd."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ops_reference import QUICK, capture, copied, gradients, leaves, loop_rows, ragged, random_rows, with_leaves

from ral.ops.attention import (
    AttentionSpec,
    CapturedAttention,
    QueriesAndKeys,
    renormalise,
    row_entropy,
    share_on,
)
from ral.ops.divergence import DIVERGENCES, divergence, jsd

SEEDS = st.integers(0, 10_000)
SPECS = [AttentionSpec(query=q, keys=k) for q in ("self", "previous") for k in ("all", "prompt", "visual")]


def by_hand(query: str = "self", keys: str = "all", second_head: float | None = None) -> CapturedAttention:
    """Keys 0, ln 2 | ln 5, ln 3 under the query 1 (and another): weights 1 : 2 : 5 : 3. The second place is visual."""
    numbers = [1.0] if second_head is None else [1.0, second_head]
    q = torch.tensor(numbers, dtype=torch.float64)[None, None, :, None, None, None].expand(1, 1, -1, 1, 2, 1)
    prompt_keys = torch.tensor([0.0, math.log(2)], dtype=torch.float64).view(1, 1, 2, 1)
    own = torch.tensor([math.log(5), math.log(3)], dtype=torch.float64).view(1, 1, 1, 2, 1)
    visual = torch.tensor([[False, True]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    spec = AttentionSpec(query=query, keys=keys)
    return CapturedAttention((QueriesAndKeys(q, prompt_keys, own),), torch.ones_like(visual), visual, mask, 1.0, spec)


@pytest.mark.parametrize(
    ("captured", "first", "second"),
    [
        (by_hand(), (1 / 3, 2 / 3, 0, 0), (1 / 8, 2 / 8, 5 / 8, 0)),
        (by_hand(keys="prompt"), (1 / 3, 2 / 3, 0, 0), (1 / 3, 2 / 3, 0, 0)),
        (by_hand(keys="visual"), (0, 1, 0, 0), (0, 1, 0, 0)),
        (by_hand(query="previous"), (1 / 3, 2 / 3, 0, 0), (1 / 8, 2 / 8, 5 / 8, 0)),
        # A second head that looks everywhere alike. The token's own place is in each head's softmax, and heads are
        # averaged before it is left out: t=0: 1/8 + 1/3 : 2/8 + 1/3; t=1: 1/11 + 1/4 : 2/11 + 1/4 : 5/11 + 1/4.
        (by_hand(second_head=0.0), (11 / 25, 14 / 25, 0, 0), (15 / 65, 19 / 65, 31 / 65, 0)),
        # Without its own place in the softmax: t=0: 1/3 + 1/2 : 2/3 + 1/2; t=1: 1/8 + 1/3 : 2/8 + 1/3 : 5/8 + 1/3.
        (by_hand(query="previous", second_head=0.0), (5 / 12, 7 / 12, 0, 0), (11 / 48, 14 / 48, 23 / 48, 0)),
    ],
)
def test_hand_computed_rows(captured, first, second):
    rows = captured.rows()
    assert rows.shape == (1, 1, 2, 4)
    torch.testing.assert_close(rows[0, 0], torch.tensor([first, second], dtype=torch.float64))


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.query}-{s.keys}")
@pytest.mark.parametrize(("heads", "repeat"), [(1, 1), (2, 3)])
def test_loop_equals_vectorised(spec, heads, repeat):
    captured = capture(7, layers=2, heads=heads, repeat=repeat, spec=spec)
    torch.testing.assert_close(captured.rows(), loop_rows(captured), rtol=1e-9, atol=1e-12)
    in_fp32 = with_leaves(captured, [t.float() for t in leaves(captured)]).rows()
    assert in_fp32.dtype == torch.float32
    torch.testing.assert_close(in_fp32.double(), loop_rows(captured), rtol=1e-4, atol=1e-6)


def of_turns(captured: CapturedAttention, seed: int) -> CapturedAttention:
    """The same responses, of whose tokens some were shown, a few of these visual; each keeps a sampled one."""
    generator = torch.Generator().manual_seed(seed)
    valid = captured.mask
    sampled = valid & (torch.rand(valid.shape, generator=generator) < 0.5)
    sampled[:, 0] = True
    seen = valid & ~sampled & (torch.rand(valid.shape, generator=generator) < 0.6)
    return replace(captured, mask=sampled, valid=valid, own_visual=seen)


@QUICK
@given(SEEDS, st.sampled_from(SPECS), st.sampled_from((None, 1, 3)))
def test_rows_of_several_turns_equal_the_loop(seed: int, spec: AttentionSpec, chunk: int | None) -> None:
    """Sampled tokens alone have rows, over all that was said and shown before; what pads changes nothing."""
    captured = of_turns(capture(seed, heads=2, layers=2, spec=spec, responses=(5, 2, 4, 1)), seed)
    rows = captured.rows(chunk)
    torch.testing.assert_close(rows, loop_rows(captured), atol=1e-12, rtol=0)
    assert not bool(rows[:, ~captured.mask].any())
    if spec.keys == "all":
        assert torch.equal((rows.sum(-1) > 0).all(0), captured.mask)
    padding = captured.valid[:, None, :, None].view(2, 1, 2, -1, 1)
    spoilt = [replace(x, response_keys=x.response_keys.masked_fill(~padding, torch.nan)) for x in captured.layers]
    assert torch.equal(replace(captured, layers=tuple(spoilt)).rows(chunk), rows)


def test_half_precision_inputs_are_widened_to_fp32():
    captured = capture(1)
    half = [t.bfloat16() for t in leaves(captured)]
    rows = with_leaves(captured, half).rows()
    assert rows.dtype == torch.float32
    assert torch.equal(rows, with_leaves(captured, [t.float() for t in half]).rows())


@QUICK
@given(
    SEEDS,
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(SPECS),
    st.sampled_from([torch.float32, torch.float64]),
    st.data(),
)
def test_rows_are_distributions_over_allowed_keys_or_zero(seed, prompts, group, spec, dtype, data):
    count = len(prompts) * group
    responses = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    captured = capture(
        seed, prompts=tuple(prompts), group=group, responses=tuple(responses), spec=spec, dtype=dtype, heads=2
    )
    rows, p, c = captured.rows(), max(prompts), max(responses)
    sums = rows.sum(-1)[0]
    has_keys = captured.visual.any(1).repeat_interleave(group)[:, None] if spec.keys == "visual" else True
    expected = (captured.mask & has_keys).to(dtype)
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-6)
    assert (rows >= 0).all() and rows.isfinite().all()
    valid = captured.prompt_valid.repeat_interleave(group, 0)
    assert (rows[0, :, :, :p].movedim(-1, 1)[~valid] == 0).all()
    not_before = torch.ones(c, c, dtype=torch.bool).triu()
    assert (rows[0, :, :, p:][:, not_before] == 0).all()
    assert (rows[0, ~captured.mask] == 0).all()


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.query}-{s.keys}")
def test_each_prompt_alone_gives_the_same_rows(spec):
    captured = capture(5, layers=2, heads=2, prompts=(4, 2, 3), responses=(3, 1, 2, 3, 1, 2), spec=spec)
    rows = captured.rows()
    for b, length in enumerate((4, 2, 3)):
        cut = [t[b : b + 1, :, 4 - length :] if t.dim() == 4 else t[b : b + 1] for t in leaves(captured)]
        alone = with_leaves(
            captured,
            cut,
            prompt_valid=captured.prompt_valid[b : b + 1, 4 - length :],
            visual=captured.visual[b : b + 1, 4 - length :],
            mask=captured.mask[2 * b : 2 * b + 2],
        )
        torch.testing.assert_close(alone.rows(), rows[:, 2 * b : 2 * b + 2, :, 4 - length :])


@QUICK
@given(SEEDS, st.permutations(range(3)))
def test_order_of_prompts_does_not_matter(seed, order):
    captured = capture(seed, layers=2, prompts=(4, 2, 3), responses=(3, 1, 2, 3, 1, 2))
    responses = [2 * b + g for b in order for g in range(2)]
    moved = replace(
        with_leaves(captured, [t[order] for t in leaves(captured)]),
        prompt_valid=captured.prompt_valid[order],
        visual=captured.visual[order],
        mask=captured.mask[responses],
    )
    torch.testing.assert_close(moved.rows(), captured.rows()[:, responses])


def test_grouped_queries_are_heads_with_repeated_keys():
    captured = capture(4, heads=2, repeat=3)
    query, prompt_keys, response_keys = leaves(captured)
    repeated = (keys.repeat_interleave(3, 1) for keys in (prompt_keys, response_keys))
    spread = with_leaves(captured, [query.flatten(1, 2).unsqueeze(2), *repeated])
    torch.testing.assert_close(spread.rows(), captured.rows())


def test_scaling_multiplies_the_scores():
    captured = capture(4)
    bigger = with_leaves(captured, [3 * t if t.dim() == 6 else t for t in leaves(captured)])
    torch.testing.assert_close(replace(captured, scaling=3 * captured.scaling).rows(), bigger.rows())
    uniform = replace(captured, scaling=0.0).rows()[0, 0, 2]
    torch.testing.assert_close(uniform, torch.tensor([1, 1, 1, 1, 1, 1, 0], dtype=torch.float64) / 6)


def test_later_tokens_and_other_responses_have_no_influence():
    captured = capture(9, requires_grad=True, prompts=(3, 3), responses=(3, 3, 3, 3))
    row = captured.rows()[0, 1, 1]  # response 1 (prompt 0, second of its group), token 1
    weights = torch.randn(row.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    query, prompt_keys, response_keys = gradients((row * weights).sum(), leaves(captured))
    used = torch.zeros(2, 2, 3, dtype=torch.bool)
    used[0, 1, 1] = True
    assert (query.abs().sum((1, 2, 5)) > 0).equal(used)
    used[0, 1, 0] = True  # its own key tells the heads apart, the later one does nothing
    assert (response_keys.abs().sum((1, 4)) > 0).equal(used)
    assert prompt_keys[0].abs().min() > 0 and (prompt_keys[1] == 0).all()


@pytest.mark.parametrize("padding", [math.nan, math.inf, 1e30])
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.query}-{s.keys}")
def test_padding_changes_neither_rows_nor_gradients(spec, padding):
    clean = copied(capture(3, layers=2, heads=2, spec=spec, dtype=torch.float32))
    padded = copied(clean, padding)
    assert torch.equal(padded.rows(), clean.rows())
    weights = random_rows(0, *clean.rows().shape, dtype=torch.float32)
    expected = gradients((clean.rows() * weights).sum(), leaves(clean))
    for got, want in zip(gradients((padded.rows() * weights).sum(), leaves(padded)), expected, strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize("padding", [math.nan, 1e30])
@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_padding_changes_neither_comparison_nor_gradients(name, padding):
    clean = copied(capture(3, layers=2, dtype=torch.float32))
    anchor = capture(4, layers=2, dtype=torch.float32).rows()
    padded = copied(clean, padding)
    keys = torch.cat([clean.prompt_valid.repeat_interleave(2, 0), clean.mask], dim=1)[:, None]
    strange = anchor.masked_fill(~(clean.mask[..., None] & keys), padding)
    value, other = clean.compare(anchor, divergence(name)), padded.compare(strange, divergence(name))
    assert torch.equal(value, other)
    expected = gradients(value.sum(), leaves(clean))
    for got, want in zip(gradients(other.sum(), leaves(padded)), expected, strict=True):
        assert torch.equal(got, want)


@QUICK
@given(SEEDS, st.integers(1, 6), st.sampled_from(SPECS))
def test_chunks_do_not_change_rows(seed, chunk, spec):
    captured = capture(seed, layers=2, responses=(5, 1, 2, 4), spec=spec)
    torch.testing.assert_close(captured.rows(chunk), captured.rows(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.query}-{s.keys}")
@pytest.mark.parametrize("chunk", [1, 2, 3, 64, None])
def test_ranges_of_positions_are_those_of_the_whole(chunk, spec):
    captured = capture(4, layers=2, heads=2, responses=(5, 1, 2, 4), spec=spec, requires_grad=True)
    ranges = list(captured.pieces(chunk))
    assert [n for at, _ in ranges for n in range(at.start, at.stop)] == list(range(5))
    rows = torch.cat([rows for _, rows in ranges], dim=2)
    torch.testing.assert_close(rows, captured.rows(), rtol=1e-12, atol=1e-14)
    weights = torch.rand(rows.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = gradients((captured.rows() * weights).sum(), leaves(captured))
    torch.testing.assert_close(gradients((rows * weights).sum(), leaves(captured)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 2, None])
def test_responses_without_a_gradient_are_passed_over(chunk):
    captured = capture(2, layers=2, heads=2, group=3, responses=(3, 1, 2, 3, 2, 1), requires_grad=True)
    anchor = capture(3, layers=2, heads=2, group=3, responses=(3, 1, 2, 3, 2, 1)).rows()
    advantages = torch.tensor([0.0, 1.5, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)[:, None]
    plain = (jsd(captured.rows(), anchor).mean(0) * advantages).sum()
    expected = gradients(plain, leaves(captured))
    found = gradients((captured.compare(anchor, jsd, chunk) * advantages).sum(), leaves(captured))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert all(bool((g[1] == 0).all()) and bool(g[0].any()) for g in found)


@pytest.mark.parametrize("chunk", [1, 2, 3, 64])
@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_compare_and_its_gradients_equal_the_plain_computation(name, chunk):
    captured = capture(2, layers=2, heads=2, requires_grad=True)
    anchor = capture(3, layers=2, heads=2).rows()
    plain = divergence(name)(captured.rows(), anchor).mean(0)
    value = captured.compare(anchor, divergence(name), chunk)
    assert value.shape == captured.mask.shape
    torch.testing.assert_close(value, plain, rtol=1e-10, atol=1e-12)
    weights = torch.rand(value.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = gradients((plain * weights).sum(), leaves(captured))
    assert all(g.abs().max() > 0 for g in expected)
    torch.testing.assert_close(gradients((value * weights).sum(), leaves(captured)), expected, rtol=1e-9, atol=1e-12)


def test_compare_averages_over_layers():
    captured, anchor = capture(2, layers=3), capture(3, layers=3).rows()
    single = [
        replace(captured, layers=(layer,)).compare(anchor[i : i + 1], jsd) for i, layer in enumerate(captured.layers)
    ]
    torch.testing.assert_close(captured.compare(anchor, jsd), sum(single) / 3)


def test_compare_keeps_no_rows_for_the_backward_pass():
    captured = capture(2, prompts=(40, 40), responses=(9, 9, 9, 9), requires_grad=True)
    anchor = capture(3, prompts=(40, 40), responses=(9, 9, 9, 9)).rows()
    sizes: list[int] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        captured.compare(anchor, jsd, chunk=3).sum()
    assert max(sizes, default=0) < anchor.numel() / 3


def test_compare_refuses_rows_of_another_shape():
    captured = capture(2, layers=2)
    good = captured.rows()
    for wrong in (good[:1], good[:, :2], good[:, :, :2], good[..., :1], good[..., 1:]):
        with pytest.raises(ValueError, match="anchor rows have shape"):
            captured.compare(wrong, jsd)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.query}-{s.keys}")
def test_autograd_equals_finite_differences(spec):
    captured = capture(6, heads=2, width=2, prompts=(3, 2), group=1, responses=(2, 1), spec=spec, requires_grad=True)
    anchor = capture(8, heads=2, width=2, prompts=(3, 2), group=1, responses=(2, 1), spec=spec).rows()
    assert torch.autograd.gradcheck(lambda *t: with_leaves(captured, t).rows(), leaves(captured))
    assert torch.autograd.gradcheck(lambda *t: with_leaves(captured, t).compare(anchor, jsd), leaves(captured))


def test_gradient_is_the_formula_of_section_3_4_for_a_single_softmax():
    # One head and query "previous": the row is one softmax, so dJ/de_i = p_i (dJ/dp_i - sum_j p_j dJ/dp_j).
    captured = capture(
        6, repeat=1, width=1, prompts=(5,), group=1, responses=(1,), spec=AttentionSpec(query="previous")
    )
    captured = replace(copied(captured), scaling=1.0)
    q = random_rows(1, 1, 1, 1, 6)
    q = renormalise(q, torch.tensor([True] * 5 + [False]).expand(q.shape))
    (gradient,) = gradients(captured.compare(q, jsd).sum(), [captured.layers[0].prompt_keys])
    p, q, query = captured.rows()[0, 0, 0, :5].detach(), q[0, 0, 0, :5], captured.layers[0].query.item()
    dp = 0.5 * torch.log(2 * p / (p + q))
    de = p * (dp - (p * dp).sum())
    torch.testing.assert_close(gradient[0, 0, :, 0], query * de, rtol=1e-9, atol=1e-12)  # e_i = query * key_i


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.query}-{s.keys}")
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_one_token_prompts_and_responses_and_one_hot_rows_are_finite(spec, scale):
    captured = capture(2, prompts=(1, 1), responses=(1, 1, 1, 1), spec=spec, dtype=torch.float32)
    longer = capture(2, prompts=(3, 1), responses=(2, 1, 3, 1), spec=spec, dtype=torch.float32)
    for c in (captured, longer):
        c = copied(with_leaves(c, [scale * t for t in leaves(c)]))
        anchor = random_rows(3, *c.rows().shape, dtype=torch.float32)
        for name in DIVERGENCES:
            value = c.compare(anchor, divergence(name))
            assert value.isfinite().all()
            assert all(g.isfinite().all() for g in gradients(value.sum(), leaves(c)))
    expected = 0.0 if spec.keys == "visual" else 1.0  # place 0 of a prompt is not visual
    assert torch.equal(captured.rows()[..., 0], torch.full((1, 4, 1), expected))


def test_a_prompt_without_visual_keys_gets_zero_rows_and_no_gradient():
    captured, other = (capture(seed, spec=AttentionSpec(keys="visual"), requires_grad=True) for seed in (2, 3))
    visual = captured.visual & torch.tensor([[True], [False]])
    captured, other = replace(captured, visual=visual), replace(other, visual=visual)
    rows = captured.rows()
    assert (rows[0, 2:] == 0).all()
    torch.testing.assert_close(rows[0, 0].sum(-1), torch.ones(3, dtype=torch.float64))
    value = captured.compare(other.rows().detach(), jsd)
    assert (value[2:] == 0).all() and value[0].min() > 0
    for gradient in gradients(value.sum(), leaves(captured)):
        assert gradient.isfinite().all() and (gradient[1] == 0).all() and gradient[0].abs().max() > 0


def test_entropy_of_rows():
    rows = torch.tensor([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.5, 0.25, 0.25, 0.0]])
    expected = torch.tensor([math.log(4), 0.0, 0.0, 1.5 * math.log(2)])
    torch.testing.assert_close(row_entropy(rows), expected)


def test_share_on_is_a_mean_over_layers_of_prompt_keys_only():
    rows = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.3, 0.3, 0.4, 0.0]])[:, None, None]  # two layers, P = 3, C = 1
    visual = torch.tensor([[False, True, True]])
    torch.testing.assert_close(share_on(rows, visual), torch.tensor([[(0.5 + 0.7) / 2]]))
    both = share_on(rows.expand(2, 2, 1, 4), torch.tensor([[False, True, True], [True, False, False]]))
    torch.testing.assert_close(both, torch.tensor([[0.6], [0.2]]))


def test_renormalise_restricts_and_rescales():
    rows = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.0, 0.0], [math.nan, 0.2, 0.2, 0.6]])
    keep = torch.tensor([[False, True, True, False], [False, False, True, True], [False, True, True, True]])
    expected = torch.tensor([[0.0, 0.4, 0.6, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.2, 0.6]])
    torch.testing.assert_close(renormalise(rows, keep), expected)


def test_renormalise_counts_a_mass_below_1e_19_as_nothing():
    rows = torch.tensor([[1.0, 1e-18, 3e-18], [1.0, 1e-20, 3e-20], [1.0, 0.0, 0.0]])
    expected = torch.tensor([[0.0, 0.25, 0.75], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(renormalise(rows, torch.tensor([False, True, True]).expand(3, 3)), expected)


@pytest.mark.parametrize("gap", [10.0, 40.0, 60.0, 86.0, 87.0, 95.0, 200.0])
@pytest.mark.parametrize("name", sorted(DIVERGENCES))
def test_a_nearly_unseen_picture_gives_finite_gradients(name, gap):
    # Two visual keys lie `gap` and `gap + 6` nats below the text: a mass of exp(-gap) to renormalise.
    logits = torch.tensor([0.0, -gap, -gap - 6], requires_grad=True)
    rows = renormalise(logits.softmax(-1), torch.tensor([False, True, True]))
    value = divergence(name)(rows, torch.tensor([0.0, 0.01, 0.99]))
    (gradient,) = gradients(value, [logits])
    assert value.isfinite() and gradient.isfinite().all()
    assert (gradient[1:] != 0).all() if gap < 43 else (gradient == 0).all()


@QUICK
@given(SEEDS)
def test_visual_keys_are_the_prompt_rows_renormalised(seed):
    captured = capture(seed, prompts=(4, 3), heads=2)
    rows = captured.rows()[..., :4]
    visual = captured.visual.repeat_interleave(2, 0)[None, :, None].expand(rows.shape)
    only = replace(captured, spec=AttentionSpec(keys="visual")).rows()
    torch.testing.assert_close(only[..., :4], renormalise(rows, visual & captured.mask[None, ..., None]))
    assert (only[..., 4:] == 0).all()


def test_layers_are_resolved_and_wrong_settings_are_named():
    assert AttentionSpec().resolve_layers(28) == (27,)
    assert AttentionSpec(layers=(0, -2, 3)).resolve_layers(4) == (0, 2, 3)
    for wrong in (4, -5):
        with pytest.raises(ValueError, match=f"names layer {wrong}, but the model has 4 layers"):
            AttentionSpec(layers=(wrong,)).resolve_layers(4)
    with pytest.raises(ValueError, match="names one of the model's 4 layers twice, the second time as -1"):
        AttentionSpec(layers=(3, 0, -1)).resolve_layers(4)
    for settings, message in (
        ({"query": "next"}, "'next'"),
        ({"keys": "own"}, "'own'"),
        ({"heads": "max"}, "'max'"),
        ({"layers": ()}, "layers is empty"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):  # TypeError: by annotation
            AttentionSpec(**settings)


def test_mask_of_ragged_inputs_is_as_the_types_say():
    assert ragged((2, 3), 3, left=True).tolist() == [[False, True, True], [True] * 3]
    assert ragged((2, 3), 3).tolist() == [[True, True, False], [True] * 3]
