"""Trained weights are fp32 whatever hardware.dtype is, and a weight that rests in bf16 changes no number of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import MIXED, make_prompts, native
from safetensors.torch import load_file
from torch import Tensor, nn

from ral.learner.experience import Forward
from ral.learner.moved_share import Moved, draw
from ral.learner.signs import History, Signs, weights_at_rest
from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.attention.rollout_layouts import Decode
from ral.models.masters import settle
from ral.models.mllm import MLLM
from ral.models.reward import add_head
from ral.models.saving import save_network
from ral.ops.attention import AttentionSpec

BF16 = torch.bfloat16
IDS = torch.randint(5, 200, (2 * len(MIXED), 6), generator=torch.Generator().manual_seed(1))
MASK = torch.ones_like(IDS, dtype=torch.bool)


def kinds(model: MLLM, trained: bool) -> set[torch.dtype]:
    return {p.dtype for p in model.network.parameters() if p.requires_grad == trained}


def loss_of(model: MLLM) -> Tensor:
    """Mean negative log-prob of fixed responses to a mixed batch."""
    states = model.states(model.prepare(make_prompts(model, MIXED)), IDS, MASK, None)
    logits = model.head(states.hidden.flatten(0, 1)).float()
    return nn.functional.cross_entropy(logits, IDS.flatten())


def moved(model: MLLM, steps: int = 3) -> dict[str, Tensor]:
    """What some steps of AdamW change."""
    weights = dict(model.trained_parameters())
    before = {name: w.detach().clone() for name, w in weights.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-4)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    assert all(v.dtype == torch.float32 for s in optimizer.state.values() for v in s.values())
    return {name: w.detach() - before[name] for name, w in weights.items()}


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Distance of two changes relative to their size."""
    assert one.keys() == other.keys()
    flat, same = (torch.cat([x[name].flatten() for name in sorted(one)]) for x in (one, other))
    return float((flat - same).norm() / same.norm())


def test_whatever_is_trained_is_fp32(load: Callable[..., MLLM]) -> None:
    full = load(dtype="bfloat16")
    assert kinds(full, True) == {torch.float32} and kinds(full, False) == {BF16}
    average, reference = full.frozen_copy(averaged=True), full.frozen_copy()
    own = dict(full.trained_parameters())
    assert {p.dtype for n, p in average.network.named_parameters() if n in own} == {torch.float32}
    assert BF16 in {p.dtype for n, p in reference.network.named_parameters() if n in own}
    add_head(full)
    assert full.network.reward_head.weight.dtype == torch.float32
    add_adapters(adapted := load(dtype="bfloat16"), Adapters(4, 8.0, ("q_proj", "up_proj")))
    assert kinds(adapted, True) == {torch.float32} and BF16 in kinds(adapted, False)
    assert load(dtype="bfloat16", trained=False).network.model.language_model.layers[0].mlp.up_proj.weight.dtype == BF16


def test_numbers_of_bf16_rest_in_it_everywhere() -> None:
    norm = nn.LayerNorm(4).requires_grad_(False)
    settle(norm, BF16)
    assert norm.weight.dtype == BF16  # ones are numbers of bf16
    norm = nn.LayerNorm(4).requires_grad_(False)
    norm.weight.fill_(1.001)
    settle(norm, BF16)
    assert norm.weight.dtype == torch.float32 and norm.bias.dtype == BF16


def test_full_training_in_bf16_is_fp32_masters_under_bf16_arithmetic(load: Callable[..., MLLM]) -> None:
    """Bit for bit: the same steps as those of an fp32 model whose passes run under autocast."""
    ours, theirs = load(dtype="bfloat16"), load()
    got = moved(ours)
    with torch.autocast("cpu", BF16, cache_enabled=False):
        expected = moved(theirs)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    exact = moved(load())
    assert apart(expected, exact) > 1e-4  # the arithmetic was not fp32


def test_a_bf16_base_moves_the_same_adapters(load: Callable[..., MLLM]) -> None:
    changes = []
    for settings, autocast in (({"dtype": "bfloat16", "trained": False}, False), ({}, True)):
        add_adapters(model := load(**settings), Adapters(4, 8.0, ("q_proj", "v_proj", "down_proj")), seed=3)
        with torch.autocast("cpu", BF16, enabled=autocast, cache_enabled=False):
            changes.append(moved(model))
    assert all(torch.equal(changes[0][name], changes[1][name]) for name in changes[1])  # 1e-2 would do
    assert all(bool((delta != 0).any()) for delta in changes[0].values())


def test_the_reference_begins_where_the_policy_does(load: Callable[..., MLLM]) -> None:
    policy = load(dtype="bfloat16")
    with torch.no_grad():
        assert torch.equal(loss_of(policy), loss_of(policy.frozen_copy()))


def test_an_export_keeps_small_updates(load: Callable[..., MLLM], tmp_path: Path) -> None:
    model = load(dtype="bfloat16")
    weight = model.network.model.language_model.layers[1].mlp.up_proj.weight
    with torch.no_grad():
        weight += 1e-6
    save_network(model.network, model.network.state_dict(), model.processor, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {w.dtype for w in saved.values()} == {torch.float32}
    assert torch.equal(next(w for n, w in saved.items() if n.endswith("layers.1.mlp.up_proj.weight")), weight)
    config = json.loads((tmp_path / "config.json").read_text())
    assert {config.get("dtype"), config["text_config"].get("dtype", "float32")} == {"float32"}


# --- decoding


def test_decoding_in_bf16_adds_up_scores_in_fp32() -> None:
    """Attention of a decoding step against fp64, from the same bf16 numbers."""
    torch.manual_seed(0)
    heads, kv_heads, group, width, prompt = 4, 2, 3, 48, 200
    key, value = torch.randn(2, kv_heads, prompt, width).to(BF16) * 2, torch.randn(2, kv_heads, prompt, width).to(BF16)
    query = torch.randn(2, heads, group, width).to(BF16) * 2
    own_key, own_value = torch.randn(2, 2, kv_heads, group, width).to(BF16)
    state = Decode(torch.ones(2, prompt, dtype=torch.bool), torch.zeros(2, group), {0: (key, value)})
    with torch.autocast("cpu", BF16):
        got = state.attend(0, query, own_key, own_value, width**-0.5).double().transpose(1, 2)
    keys, values = (
        torch.cat([x[:, :, None].expand(-1, -1, group, -1, -1), own[:, :, :, None]], 3).repeat_interleave(2, 1).double()
        for x, own in ((key, own_key), (value, own_value))
    )
    weights = torch.softmax((query.double()[..., None, :] @ keys.mT) * width**-0.5, -1)
    expected = (weights @ values)[..., 0, :]
    assert float((got - expected).norm() / expected.norm()) < 4e-3


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("bfloat16", 2e-2)])
@torch.no_grad()
def test_sampler_and_training_agree_within_the_bound_of_the_arithmetic(dtype: str, bound: float) -> None:
    model = MLLM.load("assets/tiny", dtype=dtype)
    rollout = native(2, max_new_tokens=40)(model, prepared := model.prepare(make_prompts(model, MIXED)), 0)
    states = model.states(prepared, rollout.token_ids, rollout.valid, None)
    trained, _ = Forward(0.9, AttentionSpec()).log_probs(model, states, rollout)
    assert rollout.log_probs is not None
    assert float((trained - rollout.log_probs).abs()[rollout.valid].mean()) < bound


# --- the share of weights that move


def steps_of(dtype: torch.dtype, rate: float) -> tuple[int, int]:
    torch.manual_seed(0)
    table, weight = nn.Parameter(torch.randn(50, 8).to(dtype)), nn.Parameter((torch.randn(8, 40) * 0.02).to(dtype))
    unused = nn.Parameter(torch.randn(3, dtype=dtype))
    optimizer = torch.optim.AdamW([table, weight, unused], lr=rate, weight_decay=0.1)
    moved, result = Moved(seed=0), (0, 0)
    for _ in range(2):
        optimizer.zero_grad()
        (table[:10] @ weight).square().sum().backward()  # 40 rows of the table get no gradient
        sample = moved.sample([table, weight, unused])
        optimizer.step()
        result = sample.changed()
    return result


def test_the_share_of_moved_weights_tells_fp32_from_bf16() -> None:
    fine, coarse = steps_of(torch.float32, 1e-6), steps_of(BF16, 1e-6)
    assert fine[1] == coarse[1] == 10 * 8 + 8 * 40
    assert fine[0] / fine[1] > 0.95 and coarse[0] / coarse[1] < 0.1


def test_the_sample_is_bounded_and_spread() -> None:
    parts = draw([1000, 10, 0, 9000], 500, seed=1)
    assert [int(p.max()) < n for p, n in zip(parts, (1000, 10, 1, 9000), strict=True) if len(p)]
    assert 400 < sum(map(len, parts)) <= 500 and len(parts[3]) > 5 * len(parts[0]) > 0 == len(parts[2])
    assert all(bool((a == b).all()) for a, b in zip(parts, draw([1000, 10, 0, 9000], 500, seed=1), strict=True))
    assert [len(p) for p in draw([3, 4], 500, seed=1)] == [3, 4]


def test_weights_at_rest_are_told() -> None:
    def told(*parts: tuple[float, float, int]) -> str | None:
        history = History()
        for share, rate, count in parts:
            for _ in range(count):
                history.add({"train/moved_share": share, "train/learning_rate": rate})
        return weights_at_rest(history)

    assert "raise algo.learning_rate" in str(told((0.03, 1e-6, 5)))
    assert told((0.03, 1e-6, 4)) is None and told((0.95, 1e-6, 5)) is None
    assert told((0.99, 1e-6, 5), (0.0, 1e-9, 5)) is None  # the schedule's end
    assert weights_at_rest(History()) is None


@pytest.mark.parametrize(("share", "steps", "said"), [(0.03, 3, "over 3 steps"), (0.03, 1, "over 1 step)")])
def test_they_are_told_at_the_end_of_a_run_too_short_to_see_them_before(share: float, steps: int, said: str) -> None:
    def at_end(share: float, steps: int) -> str | None:
        signs = Signs()
        for _ in range(steps):
            list(signs.look({"train/moved_share": share, "train/learning_rate": 1e-6}))
        return signs.at_end()

    assert said in str(at_end(share, steps))
    assert at_end(0.95, steps) is None and at_end(share, 5) is None and Signs().at_end() is None


@pytest.mark.parametrize("more", [[], ["lora.rank=4"]], ids=["full", "lora"])
def test_a_run_in_bf16_moves_its_weights(more: list[str], run: Callable[..., Path], small: list[str]) -> None:
    often = [*small, *more, "algo=sft", "hardware.dtype=bfloat16", "algo.learning_rate=1e-6", "eval.every=0"]
    folder = run(*often)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    shares = [line["train/moved_share"] for line in lines if "train/moved_share" in line]
    assert len(shares) == 2 and min(shares) > 0.5
    state = torch.load(folder / "checkpoints" / "step_000002" / "state.pt", weights_only=True)
    assert {w.dtype for w in state["weights"]["policy"].values()} == {torch.float32}
