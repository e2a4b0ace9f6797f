"""Copies in the arithmetic's dtype for a rollout: the same tokens to the last bit, and nothing left behind."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from conftest import MIXED, make_prompts
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ral.models.adapters.lora import Adapters, add_adapters
from ral.models.cast_once import cast_once, wider
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES
from ral.models.states import Openings
from ral.ops.logprobs import token_log_probs
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine, read_by_decoding
from ral.types import Rollout

BF16 = torch.bfloat16
TARGETS = ("q_proj", "v_proj", "down_proj")
SAMPLED, GREEDY = Sampling(0.9, 9), Sampling(1.0, 9, greedy=True)


def lasting(model: MLLM) -> int:
    """Number of modules whose forward is not their class's."""
    return sum("forward" in vars(m) for m in model.network.modules())


def adapted(model: MLLM) -> MLLM:
    """With adapters that change the model."""
    add_adapters(model, Adapters(4, 8.0, TARGETS))
    torch.manual_seed(0)
    for _, weight in model.trained_parameters():
        nn.init.normal_(weight, std=0.2)
    return model


def both(model: MLLM, sampling: Sampling, kinds: Any = MIXED) -> tuple[Rollout, Rollout]:
    """Rollouts with copies and without."""
    prepared = model.prepare(make_prompts(model, kinds))
    one, other = (NativeEngine(model, cast_once=once).generate(prepared, 2, sampling, 5) for once in (True, False))
    return one, other


def assert_equal(one: Rollout, other: Rollout) -> None:
    """Check that ids and log-probs are equal to the last bit."""
    assert torch.equal(one.token_ids, other.token_ids) and torch.equal(one.valid, other.valid)
    assert one.log_probs is not None and other.log_probs is not None and torch.equal(one.log_probs, other.log_probs)


class Casts(TorchDispatchMode):
    """Counts casts of fp32 tensors of the shapes of weights."""

    def __init__(self, model: MLLM) -> None:
        super().__init__()
        self.shapes = {m.weight.shape for part in read_by_decoding(model) for m in wider(part, BF16)}
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and count."""
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default and kwargs.get("dtype") == BF16 and args[0].shape in self.shapes:
            self.count += 1
        return func(*args, **kwargs)


# ------------------------------------------------------------------------------------------------------- same numbers


@pytest.mark.parametrize("sampling", [SAMPLED, GREEDY], ids=["sampled", "greedy"])
@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_and_log_probs_are_those_of_casts_at_every_token(
    family: str, sampling: Sampling, load: Callable[..., MLLM]
) -> None:
    """A trained vision tower is fp32: a CPU has no LayerNorm of bf16 numbers over fp32 states."""
    assert_equal(*both(load(family, dtype="bfloat16", freeze_vision=False), sampling))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_adapters_are_cast_and_not_added_in(dtype: str, load: Callable[..., MLLM]) -> None:
    """Added to bf16 weights, most of a small adapter would round away, and scoring would be of another policy."""
    model = adapted(load(dtype=dtype))
    with torch.autocast("cpu", BF16, cache_enabled=False):
        assert_equal(*both(model, SAMPLED))


def test_arithmetic_that_the_trainer_sets_counts(load: Callable[..., MLLM]) -> None:
    """hardware.precision=bf16-mixed is an autocast around the step, over a model whose dtype is float32."""
    model, counts = load(), []
    for once in (True, False):
        with torch.autocast("cpu", BF16, cache_enabled=False), Casts(model) as casts:
            NativeEngine(model, cast_once=once).generate(model.prepare(make_prompts(model, ((),))), 1, GREEDY, 0)
        counts.append(casts.count)
    assert counts[0] == len([m for part in read_by_decoding(model) for m in wider(part, BF16)])
    assert counts[1] > 5 * counts[0]
    with torch.autocast("cpu", BF16, cache_enabled=False):
        assert_equal(*both(model, SAMPLED))


def test_the_plain_path_has_the_same_tokens_too(model_folder: Callable[..., Any]) -> None:
    assert_equal(*both(PlainMLLM.load(str(model_folder()), dtype="bfloat16"), SAMPLED))


def test_openings_are_continued_alike(load: Callable[..., MLLM]) -> None:
    model = load(dtype="bfloat16")
    prepared = model.prepare(make_prompts(model, MIXED))
    ids = torch.randint(5, 200, (2 * len(MIXED), 3), generator=torch.Generator().manual_seed(1))
    openings = Openings(ids, torch.tensor([3, 0, 1, 2] * 2), torch.ones(len(ids), dtype=torch.bool))
    asked = (prepared, openings, SAMPLED, range(len(ids)))
    assert_equal(*(NativeEngine(model, cast_once=once).continue_prefixes(*asked) for once in (True, False)))


@pytest.mark.parametrize("lora", [False, True])
def test_log_probs_are_within_the_bound_of_a_training_pass(lora: bool, load: Callable[..., MLLM]) -> None:
    model = load(dtype="bfloat16")
    rollout, _ = both(adapted(model) if lora else model, SAMPLED)
    assert rollout.log_probs is not None
    gap = (scored(model, rollout) - rollout.log_probs).abs()[rollout.trainable].mean()
    assert float(gap) < 2e-2  # ral.assembly.learner.LOG_PROB_GAPS


def scored(model: MLLM, rollout: Rollout) -> torch.Tensor:
    """Log-probs [N C] of a rollout's tokens by a training pass."""
    with torch.no_grad():
        states = model.states(model.prepare(rollout.prompts), rollout.token_ids, rollout.valid, None)
        ids, mask, banned = rollout.token_ids, rollout.trainable, model.processor.banned
        return token_log_probs(states.hidden, ids, mask, model.head, temperature=0.9, banned=banned)[0]


# ------------------------------------------------------------------------------------------------------- what is copied


def test_weights_are_cast_once_a_session(load: Callable[..., MLLM]) -> None:
    """Not at every token, nor for every call inside a session; the tied table of embeddings stays fp32."""
    model = load(dtype="bfloat16")
    engine, prepared = NativeEngine(model), model.prepare(make_prompts(model, MIXED))
    layers = [m for part in read_by_decoding(model) for m in wider(part, BF16)]
    assert len(layers) == 7 * model.depth + 1
    with Casts(model) as casts, engine.session():
        for _ in range(2):
            engine.generate(prepared, 2, GREEDY, 0)
        assert lasting(model) == len(layers)
    assert casts.count == len(layers)
    assert model.network.get_input_embeddings().weight.dtype == torch.float32 and lasting(model) == 0


def test_frozen_weights_are_shared_and_adapters_alone_are_copied(load: Callable[..., MLLM]) -> None:
    model = adapted(load(dtype="bfloat16"))
    layers = [m for part in read_by_decoding(model) for m in wider(part, BF16)]
    names = {id(m): n for n, m in model.network.named_modules()}
    kept = [names[id(m)] for m in layers]
    assert kept.pop() == "lm_head"  # the table of embeddings, of numbers that bf16 does not have
    assert len(kept) == 2 * len(TARGETS) * model.depth and all(".lora_" in name for name in kept)
    whole = load(dtype="bfloat16", trained=False)
    decoder, head = read_by_decoding(whole)
    assert not wider(decoder, BF16) and wider(head, BF16) == [head]


def test_nothing_is_copied_in_fp32_or_where_it_is_not_wanted(load: Callable[..., MLLM]) -> None:
    for model, wanted in ((load(), True), (load(dtype="bfloat16"), False)):
        with NativeEngine(model, cast_once=wanted).session():
            assert lasting(model) == 0


def test_copies_are_freed_at_the_end_and_after_an_error(load: Callable[..., MLLM]) -> None:
    model = load(dtype="bfloat16")
    engine, held = NativeEngine(model), []
    with pytest.raises(RuntimeError, match="planted"), engine.session():
        held += [weakref.ref(m.forward.keywords["weight"]) for m in model.network.modules() if "forward" in vars(m)]
        assert held and all(ref() is not None for ref in held)
        raise RuntimeError("planted")
    assert lasting(model) == 0 and all(ref() is None for ref in held)


def test_an_update_between_rollouts_counts(load: Callable[..., MLLM]) -> None:
    model = load(dtype="bfloat16")
    engine, prepared = NativeEngine(model), model.prepare(make_prompts(model, MIXED))
    before = engine.generate(prepared, 2, GREEDY, 0)
    with torch.no_grad():
        for _, weight in model.trained_parameters():
            weight.mul_(0.5)
    after, fresh = engine.generate(prepared, 2, GREEDY, 0), NativeEngine(model, cast_once=False)
    assert_equal(after, fresh.generate(prepared, 2, GREEDY, 0))
    assert not torch.equal(before.log_probs[:, 0], after.log_probs[:, 0])  # type: ignore[index]


def test_gathered_weights_are_those_that_are_copied(load: Callable[..., MLLM]) -> None:
    """The copies are made after a sharded policy's weights are put together, and go before they are given back."""
    model, seen = load(dtype="bfloat16"), []

    @contextmanager
    def gather(policy: MLLM) -> Iterator[None]:
        seen.append(lasting(policy))
        yield
        seen.append(lasting(policy))

    with NativeEngine(model, gather_weights=gather).session():
        seen.append(lasting(model))
    assert seen == [0, 7 * model.depth + 1, 0]


# ------------------------------------------------------------------------------------------------------- other passes


def test_a_pass_with_gradient_or_without_autocast_reads_the_weights_themselves() -> None:
    layer, rows = nn.Linear(8, 4), torch.randn(3, 8)
    own = layer(rows)
    with cast_once([layer], BF16):
        assert torch.equal(layer(rows), own)
        with torch.no_grad():
            assert torch.equal(layer(rows), own)
        with torch.autocast("cpu", BF16):
            layer(rows).float().sum().backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None


def test_the_bias_counts() -> None:
    layer, rows = nn.Linear(8, 4), torch.randn(3, 8)
    with torch.no_grad(), torch.autocast("cpu", BF16, cache_enabled=False):
        own = layer(rows)
        with cast_once([layer], BF16):
            assert torch.equal(layer(rows), own) and layer.forward.keywords["bias"].dtype == BF16


def test_layers_of_another_kind_are_left_alone() -> None:
    class Doubled(nn.Linear):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            """Twice the product."""
            return 2 * super().forward(rows)

    layers = nn.ModuleList([Doubled(4, 4), nn.Linear(4, 4, dtype=BF16), nn.Linear(4, 4), nn.Embedding(4, 4)])
    assert wider(layers, BF16) == [layers[2]]
