"""Steps of fixed shapes: the tokens of ordinary ones, also where a step is recorded once and replayed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import CONF, MIXED, make_prompts
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from test_cast_once import adapted
from test_rollout_shared import ASKED, questions
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from ral.evaluation.shared_questions import respond, share
from ral.models.attention import fixed_layouts, rollout_layouts
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES
from ral.ops.attention import AttentionSpec
from ral.rollout import native as native_module
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.noise import Noise
from ral.rollout.stepping import Step, called
from ral.types import Cut, Prepared, Rollout, UserError

SAMPLED, GREEDY = Sampling(0.9, 12), Sampling(1.0, 12, greedy=True)
REPLAYED = [name for name, family in FAMILIES.items() if not family.network.hands_states]
BF16 = torch.bfloat16
WAITS = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)
"""Operators that wait for the device, which no capture permits."""


class Recording(TorchDispatchMode):
    """Notes the operators of a step, so that they can be run again as a CUDA graph would, on the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and note."""
        assert func not in WAITS, f"{func} waits for the device"
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        """Run the operators again. A tensor from outside is read where it is, one made inside is made again."""
        made: dict[int, Any] = {}

        def standing(value: Any) -> Any:
            return made.get(id(value), value) if isinstance(value, Tensor) else value

        for func, args, kwargs, out in self.calls:
            with torch.autocast("cpu", enabled=False):  # what autocast adds has been noted
                again = func(*tree_map(standing, args), **tree_map(standing, kwargs))
            olds, news = (list(x) if isinstance(x, list | tuple) else [x] for x in (out, again))
            made.update({id(old): new for old, new in zip(olds, news, strict=True) if isinstance(old, Tensor)})


class Recorded:
    """Captures as a CUDA graph does, by a recording: counts captures and replays."""

    def __init__(self) -> None:
        self.captures, self.replays = 0, 0

    def __call__(self, step: Step) -> Step:
        """Run a step once for warming up, once for the recording; return what replays it."""
        step()
        with Recording() as recording:
            step()
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            recording.replay()

        return replay


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Steps of fixed shapes are recorded and replayed; small buffers, so that they grow."""
    capture = Recorded()
    monkeypatch.setattr(native_module, "called", capture)
    for module in (fixed_layouts, rollout_layouts):
        monkeypatch.setattr(module, "CAPACITY", 4)
    return capture


def ending(model: MLLM, share: int = 12) -> MLLM:
    """A model many of whose tokens end a response, so that responses leave the batch at different steps."""
    ends = [n for n in range(10, model.processor.vocab_size, share) if not model.processor.banned[n]]
    object.__setattr__(model.processor, "end_ids", tuple(ends))
    return model


def asked(model: MLLM, sampling: Sampling, prepared: Prepared | None = None, count: int = 2) -> list[Rollout]:
    """Rollouts by ordinary steps and by steps of fixed shapes."""
    prepared = prepared or model.prepare(make_prompts(model, MIXED))
    return [NativeEngine(model, fixed_shapes=f).generate(prepared, count, sampling, 5) for f in (False, True)]


def assert_alike(one: Rollout, other: Rollout, bound: float = 1e-5) -> None:
    """Check that tokens are equal and log-probs within the order of sums."""
    assert torch.equal(one.valid, other.valid) and torch.equal(one.token_ids, other.token_ids)
    assert one.log_probs is not None and other.log_probs is not None
    torch.testing.assert_close(one.log_probs, other.log_probs, rtol=bound, atol=bound)
    assert one.finish_reasons == other.finish_reasons


# ------------------------------------------------------------------------------------------------------- same tokens


@pytest.mark.parametrize(
    ("family", "sampling"), [*((f, SAMPLED) for f in REPLAYED), *((f, GREEDY) for f in ("qwen2_5_vl", "qwen3_vl"))]
)
def test_replayed_steps_sample_the_tokens_of_ordinary_ones(
    family: str, sampling: Sampling, load: Callable[..., MLLM], recorded: Recorded
) -> None:
    """Pictures, clips, text, several media; responses that end at different steps, buffers that grow twice."""
    one, other = asked(ending(load(family)), sampling)
    assert_alike(one, other)
    lengths = one.valid.sum(1)
    assert int(lengths.max()) > 9 and (sampling.greedy or int(lengths.min()) < 8)
    assert 3 <= recorded.captures < recorded.replays


@pytest.mark.parametrize("kinds", [(("image",),), ((),), (("video", "image"), ())])
def test_one_kind_of_prompt_and_several(
    kinds: tuple[tuple[str, ...], ...], load: Callable[..., MLLM], recorded: Recorded
) -> None:
    model = ending(load())
    assert_alike(*asked(model, SAMPLED, model.prepare(make_prompts(model, kinds))))


def test_without_a_gpu_the_step_is_called(load: Callable[..., MLLM]) -> None:
    step = lambda: None  # noqa: E731
    assert called(step) is step
    assert_alike(*asked(ending(load()), Sampling(0.9, 80)))


def test_a_single_token_and_a_full_buffer(load: Callable[..., MLLM], recorded: Recorded) -> None:
    model = load()
    for most in (1, 4, 5, 9):
        assert_alike(*asked(model, Sampling(0.9, most), count=1))


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("lora", [True, False])
def test_bf16_arithmetic_and_adapters(lora: bool, once: bool, load: Callable[..., MLLM], recorded: Recorded) -> None:
    """Equal tokens, whether weights are cast once or in the step that is recorded."""
    model = load(dtype="bfloat16")
    model = ending(adapted(model) if lora else model)
    prepared = model.prepare(make_prompts(model, MIXED))
    one, other = (
        NativeEngine(model, fixed_shapes=f, cast_once=once).generate(prepared, 2, SAMPLED, 5) for f in (False, True)
    )
    assert_alike(one, other, 2e-3)


def test_questions_on_one_prefix(load: Callable[..., MLLM], recorded: Recorded) -> None:
    """Responses that begin with words of different number, and fillers, continue alike."""
    model = ending(load())
    joint = share(model.processor, *questions(model))
    ordinary, fixed = (respond(NativeEngine(model, fixed_shapes=f), model, joint, SAMPLED, 3) for f in (False, True))
    assert ordinary == fixed and len(ordinary) == len(ASKED) and recorded.captures


@pytest.mark.parametrize("layers", [None, (1,)])
def test_a_cut_of_attention(layers: tuple[int, ...] | None, load: Callable[..., MLLM], recorded: Recorded) -> None:
    model = ending(load())
    prepared = model.prepare(make_prompts(model, MIXED))
    cut = replace(prepared, cut=Cut(prepared.visual, torch.zeros_like(prepared.visual), True, layers))
    one, other = asked(model, SAMPLED, cut)
    assert_alike(one, other)
    whole, _ = asked(model, SAMPLED, prepared)
    assert not torch.equal(one.log_probs[:, 1], whole.log_probs[:, 1])  # type: ignore[index]


def test_the_prompts_cache_is_held_once_for_its_responses(load: Callable[..., MLLM]) -> None:
    model = load()
    prepared = model.prepare(make_prompts(model, MIXED))
    with torch.no_grad():
        _, state = model.prefill(prepared, 5)
    fixed = fixed_layouts.FixedDecode.of(state, 7)
    for layer, (key, _) in state.cache.items():
        assert fixed.cache[layer][0] is key and len(key) == len(MIXED)
        assert fixed.own[layer][0].shape == (len(MIXED), key.shape[1], 5, 7, key.shape[3])


# ------------------------------------------------------------------------------------------------------- where not


@contextmanager
def whole(policy: MLLM) -> Iterator[None]:
    """Gather nothing."""
    yield


NOISY = Sampling(0.9, 4, noise=Noise(2.0, AttentionSpec()))


def test_what_steps_of_fixed_shapes_cannot_serve_is_refused_in_words(
    load: Callable[..., MLLM], model_folder: Callable[..., Any]
) -> None:
    model, plain = load(), PlainMLLM.load(str(model_folder()))
    growing, experts = load(), load()
    growing.network.config.get_text_config().rope_parameters = {"rope_type": "dynamic"}
    experts.network.config.get_text_config().num_experts = 4
    cases = [
        (NativeEngine(model, fixed_shapes=True), NOISY, "noise on attention"),
        (NativeEngine(plain, fixed_shapes=True), SAMPLED, "a row of its own"),
        (NativeEngine(model, fixed_shapes=True, gather_weights=whole), SAMPLED, "sharded weights"),
        (NativeEngine(growing, fixed_shapes=True), SAMPLED, "longest position"),
        (NativeEngine(experts, fixed_shapes=True), SAMPLED, "layers of experts"),
        (NativeEngine(load("qwen3_5"), fixed_shapes=True), SAMPLED, "layers of linear attention"),
    ]
    for engine, sampling, said in cases:
        prepared = engine.policy.prepare(make_prompts(engine.policy, ((),)))
        with pytest.raises(UserError, match=f"^rollout.engine.fixed_shapes=true: .*{said}.*; write .*=auto$"):
            engine.generate(prepared, 1, sampling, 0)


def test_auto_on_a_gpu_says_once_why_steps_are_ordinary(
    load: Callable[..., MLLM], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = load()
    engine = NativeEngine(model)
    assert engine._capture(SAMPLED) is None and not caplog.records  # a CPU: nothing to tell
    monkeypatch.setattr(MLLM, "device", torch.device("cuda"))
    with caplog.at_level(logging.WARNING):
        assert engine._capture(SAMPLED) is native_module.captured
        assert [engine._capture(NOISY) for _ in range(3)] == [None] * 3
    assert [r.getMessage().split(": ")[1] for r in caplog.records] == [
        "noise on attention is drawn and recorded on the CPU at every token"
    ]
    assert NativeEngine(model, fixed_shapes=False)._capture(SAMPLED) is None


@pytest.mark.parametrize(("given", "kept"), [("auto", "auto"), ("true", True), ("false", False)])
def test_the_yaml_key_reaches_the_engine(given: str, kept: bool | str, load: Callable[..., MLLM]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"rollout.engine.fixed_shapes={given}"])
    assert instantiate(cfg.rollout.engine)(load()).fixed_shapes == kept


def test_another_word_is_refused(load: Callable[..., MLLM]) -> None:
    with pytest.raises(UserError, match=r"^rollout.engine.fixed_shapes=always: write auto, true or false$"):
        NativeEngine(load(), fixed_shapes="always")  # type: ignore[arg-type]
