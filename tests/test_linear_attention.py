"""Layers of linear attention: a prompt's states handed to its answers, in updates and while decoding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MIXED, make_prompts
from torch import Tensor
from transformers import Cache
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ral.checks.knockout import check_cuttable
from ral.errors import UserError
from ral.models.attention.recurrent import Kept, LinearStates
from ral.models.mllm import MLLM
from ral.models.network_config import read_config, shareable
from ral.models.plain import PlainMLLM
from ral.models.states import Openings
from ral.ops.attention import AttentionSpec
from ral.rollout import decoding
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.vllm.questions import check_family

GROUP = 3
SPEC = AttentionSpec(layers=(0, -1))


@pytest.fixture
def folder(model_folder: Callable[..., Path]) -> str:
    return str(model_folder("qwen3_5"))


def given(count: int, length: int = 6) -> tuple[Tensor, Tensor]:
    """Answers of different lengths [N C], the longest and one of a single token among them."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(5, 250, (count, length), generator=generator)
    lengths = torch.randint(1, length + 1, (count, 1), generator=generator)
    lengths[0], lengths[1] = length, 1
    return ids, torch.arange(length) < lengths


def read(model: MLLM, ids: Tensor, mask: Tensor, chosen: slice = slice(None)) -> tuple[Tensor, Tensor]:
    """Log-probs of given answers, and their rows on the valid tokens; of some prompts of the batch."""
    prepared = model.prepare(make_prompts(model, MIXED)).take(list(range(len(MIXED)))[chosen])
    states = model.states(prepared, ids, mask, SPEC)
    assert states.attention is not None
    logits = model.head(states.hidden.flatten(0, 1)).log_softmax(-1)
    log_probs = logits.gather(-1, ids.flatten()[:, None]).view(ids.shape)
    return log_probs, states.attention.rows()


def gradients(model: MLLM, log_probs: Tensor, rows: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Gradients of a sum of both that weighs every token otherwise."""
    weights = torch.linspace(-1, 1, mask.numel()).view(mask.shape) * mask
    loss = (weights * log_probs).sum() + (weights[..., None] * rows[..., : rows.shape[-1] // 2].square()).sum()
    named = dict(model.trained_parameters())
    return dict(zip(named, torch.autograd.grad(loss / mask.sum(), list(named.values())), strict=True))


def close(found: dict[str, Tensor], wanted: dict[str, Tensor], bound: float = 1e-5) -> None:
    for name, want in wanted.items():
        assert float((found[name] - want).abs().max()) <= bound, name


def test_one_answer_s_padding_and_the_plain_path_change_nothing(folder: str) -> None:
    """Text, pictures, clips: log-probs, rows and every gradient, to 1e-5; padded tokens are of any kind."""
    ids, mask = given(GROUP * len(MIXED))
    found = []
    for kind, own in ((MLLM, ids), (PlainMLLM, ids), (MLLM, torch.where(mask, ids, 9))):
        model = kind.load(folder)
        log_probs, rows = read(model, own, mask)
        found.append((log_probs[mask], rows[:, mask], gradients(model, log_probs, rows, mask)))
    for other in found[1:]:
        torch.testing.assert_close(found[0][0], other[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(found[0][1][..., :-6], other[1][..., :-6], atol=1e-5, rtol=0)
        close(found[0][2], other[2])


def test_a_prompt_gets_the_gradient_of_its_answers_through_the_states_alone(folder: str) -> None:
    """Of the convolution and the recurrent state of the first layer, before any softmax attention reads the prompt."""
    model = MLLM.load(folder)
    ids, mask = given(GROUP * len(MIXED))
    seen: list[Tensor] = []
    take = LinearStates.update_recurrent_state

    def watched(self: LinearStates, state: Tensor, layer: int, *others: Any) -> Tensor:
        if self.before is None:
            state.retain_grad()
            seen.append(state)
        return take(self, state, layer, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LinearStates, "update_recurrent_state", watched)
        log_probs, _ = read(model, ids, mask)
    log_probs[mask].sum().backward()
    assert len(seen) == 1 and len(seen[0]) == len(MIXED)  # one linear layer, one state a prompt
    assert float(seen[0].grad.flatten(1).abs().amax(1).min()) > 1e-7


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_checkpointed_layers_read_and_leave_the_same_states(kind: type[MLLM], folder: str) -> None:
    ids, mask = given(GROUP * len(MIXED))
    found = []
    for checkpointing in (False, True):
        model = kind.load(folder)
        if checkpointing:
            model.checkpoint_layers()
        found.append(gradients(model, *read(model, ids, mask), mask))
    close(found[1], found[0], 1e-7)


def test_micro_batches_add_up(folder: str) -> None:
    ids, mask = given(GROUP * len(MIXED))
    model = MLLM.load(folder)
    whole, _ = read(model, ids, mask)
    for b in range(len(MIXED)):
        rows = slice(GROUP * b, GROUP * b + GROUP)
        part, _ = read(model, ids[rows], mask[rows], slice(b, b + 1))
        torch.testing.assert_close(part[mask[rows]], whole[rows][mask[rows]], atol=1e-5, rtol=0)


def test_answers_that_leave_the_batch_take_their_states_along(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MLLM.load(folder)
    ends = [n for n in range(10, model.processor.vocab_size, 8) if not model.processor.banned[n]]
    object.__setattr__(model.processor, "end_ids", tuple(ends))
    prepared = model.prepare(make_prompts(model, MIXED))
    rows: list[int] = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda ids, state: (rows.append(len(ids)), decode(ids, state))[1])
    sampling, found = Sampling(1.2, 24), []
    for compact in (decoding.COMPACT_BELOW, -1.0):
        monkeypatch.setattr(decoding, "COMPACT_BELOW", compact)
        monkeypatch.setattr(decoding, "LONGEST", 1e9)
        found.append(NativeEngine(model).generate(prepared, 4, sampling, 3))
    assert min(rows) < max(rows) == 16
    assert torch.equal(found[0].token_ids, found[1].token_ids)
    states = model.states(prepared, found[0].token_ids, found[0].valid, None)
    log_probs = (model.head(states.hidden.flatten(0, 1)) / 1.2).masked_fill(model.processor.banned, -torch.inf)
    chosen = log_probs.log_softmax(-1).gather(-1, found[0].token_ids.flatten()[:, None]).view(found[0].valid.shape)
    torch.testing.assert_close(chosen[found[0].valid], found[0].log_probs[found[0].valid], atol=2e-5, rtol=0)


def test_openings_of_different_lengths_leave_the_states_of_their_own_tokens(folder: str) -> None:
    model = MLLM.load(folder)
    prepared = model.prepare(make_prompts(model, MIXED))
    ids, mask = given(2 * len(MIXED), 5)
    mask[3] = False  # one that begins with nothing
    after = torch.full((len(ids),), 7)
    with torch.no_grad():
        hidden, state = model.prefill(prepared, 2, Openings(ids, mask.sum(1), mask[:, 0]))
        then = model.decode(after, state)
        for n in range(len(ids)):
            own = torch.cat([ids[n][mask[n]], after[:1], after[:1]])[None]
            want = model.states(prepared.take([n // 2]), own, torch.ones_like(own) > 0, None).hidden[0]
            length = int(mask[n].sum())
            torch.testing.assert_close(hidden[n], want[length], atol=2e-5, rtol=1e-4)
            torch.testing.assert_close(then[n], want[length + 1], atol=2e-5, rtol=1e-4)


def test_states_are_kept_once_and_handed_to_every_row_of_a_group() -> None:
    states = LinearStates(Kept({0: torch.ones(2, 3, 4)}, {0: torch.arange(2.0).view(2, 1, 1, 1)}), group=2)
    assert states.get_recurrent_state(0).flatten().tolist() == [0, 0, 1, 1]
    whole = states.update_conv_state(torch.full((4, 3, 1), 5.0), 0, conv_kernel_size=4)
    assert whole[0, 0].tolist() == [1, 1, 1, 1, 5] and states.kept.conv[0][0, 0].tolist() == [1, 1, 1, 5]
    states.update_conv_state(torch.full((4, 3, 1), 6.0), 0, conv_kernel_size=4)
    assert states.kept.conv[0][0, 0].tolist() == [1, 1, 1, 5] and states.before.conv[0].eq(1).all()
    short = LinearStates()
    assert short.update_conv_state(torch.full((1, 3, 2), 5.0), 0, conv_kernel_size=4).shape[-1] == 2
    assert short.kept.conv[0][0, 0].tolist() == [0, 0, 5, 5]


def test_what_cannot_be_had_of_it_is_refused_in_one_line(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MLLM.load(folder)
    with pytest.raises(
        UserError, match=r"^checkpoint=mine: a knock-out cuts softmax attention, .*choose a model whose"
    ):
        check_cuttable(model, "mine")
    with pytest.raises(UserError, match=r"^rollout: vLLM is known .* not for qwen3_5: write rollout=native$"):
        check_family(model.processor)
    monkeypatch.delattr(Cache, "get_conv_state")
    reason = shareable(read_config(folder))
    assert reason is not None and "does not ask a cache for its linear-attention layers' states" in reason


def test_a_transformers_that_lacks_the_family_is_named(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(CONFIG_MAPPING._mapping, "qwen3_5")
    with pytest.raises(UserError, match=r"Transformers [\d.]+ does not know model_type 'qwen3_5'.*pip install -U"):
        read_config(folder)


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["sft", "grpo", "ral"])
def test_a_run_trains_exports_and_loads_again(
    algo: str, run: Callable[..., Path], small: list[str], folder: str
) -> None:
    given = [f"model.{name}={folder}" for name in ("pretrained", "teacher")]
    own = run(
        f"algo={algo}", "model=qwen3_5", *small, *given, "algo.learning_rate=1e-2", "eval.every=0", "algo.warmup=0"
    )
    before, after = MLLM.load(folder), MLLM.load(str(own / "hf"))
    moved = {
        name: float((weight - old).detach().abs().max())
        for (name, weight), (_, old) in zip(
            after.network.named_parameters(), before.network.named_parameters(), strict=True
        )
    }
    if algo == "sft":
        assert min(v for name, v in moved.items() if "language_model" in name and "embed" not in name) > 1e-4
    assert max(v for name, v in moved.items() if ".visual." in name) == 0
    steps = [json.loads(line) for line in (own / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in steps) == 2
