"""Attention that is cut, on the shared and the plain path, against Transformers' own model under its own masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import MIXED, make_prompts, native
from test_models_shared_prompt import eager, plain_rows, responses
from torch import Tensor

from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES
from ral.types import Cut, Prepared, PromptBatch

GROUP = 2
SIDES = {"response": (False, True), "question": (True, False), "both": (True, True)}


def some_keys(prompts: PromptBatch) -> Tensor:
    """Every other visual token."""
    return prompts.visual & (torch.arange(prompts.visual.shape[1]) % 2 == 0)


def cut_of(prompts: PromptBatch, side: str, layers: frozenset[int] | None = None) -> Cut:
    of_question, response = SIDES[side]
    queries = prompts.valid & ~prompts.visual if of_question else torch.zeros_like(prompts.valid)
    return Cut(some_keys(prompts), queries, response, layers)


@contextmanager
def masked(network: Any, queries: Tensor, keys: Tensor, layers: frozenset[int] | None) -> Iterator[None]:
    """Transformers' model with some keys [T] masked for some queries [T] of its one row, in some decoder layers."""

    def hook(module: Any, arguments: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        hidden = torch.zeros(len(queries), len(keys)).masked_fill(queries[:, None] & keys[None], -torch.inf)
        if layers is None or module.layer_idx in layers:
            kwargs["attention_mask"] = kwargs["attention_mask"] + hidden
        return arguments, kwargs

    decoder = network.model.language_model.layers
    hooks = [layer.self_attn.register_forward_pre_hook(hook, with_kwargs=True) for layer in decoder]
    try:
        yield
    finally:
        for found in hooks:
            found.remove()


@pytest.mark.parametrize("layers", [None, frozenset({1})])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.network.hands_states])
def test_a_cut_is_a_mask_in_transformers_own_model(
    family: str,
    kind: type[MLLM],
    side: str,
    layers: frozenset[int] | None,
    model_folder: Callable[..., Path],
) -> None:
    """Training pass, prefill and decoding: the states that predict every token of every response."""
    model = kind.load(str(model_folder(family)))
    prompts = make_prompts(model, MIXED)
    ids, mask = responses(model, len(prompts) * GROUP)
    cut = cut_of(prompts, side, layers)
    prepared = replace(model.prepare(prompts), cut=cut)
    with torch.no_grad():
        trained, decoded = model.states(prepared, ids, mask, None).hidden, stepwise(model, prepared, ids)
        for n in range(len(ids)):
            valid, c = prompts.valid[n // GROUP], int(mask[n].sum())
            keys = torch.cat([cut.keys[n // GROUP][valid], torch.zeros(c, dtype=torch.bool)])
            queries = torch.cat([cut.queries[n // GROUP][valid], torch.full((c,), cut.response)])
            with masked(eager(model_folder(family)), queries, keys, layers):
                out = plain_rows(model_folder, family, model, prompts, ids, mask, n, GROUP)
            p = int(valid.sum())
            want = out.logits[0, p - 1 : p + c - 1].log_softmax(-1)
            for ours in (trained, decoded):
                got = model.head(ours[n, :c])
                torch.testing.assert_close(
                    got.log_softmax(-1), want[:, : got.shape[-1]].log_softmax(-1), atol=1e-5, rtol=1e-5
                )


def stepwise(model: MLLM, prepared: Prepared, ids: Tensor) -> Tensor:
    """The states [N C D] of prefill and decoding steps."""
    hidden, state = model.prefill(prepared, GROUP)
    found = [hidden]
    for t in range(ids.shape[1] - 1):
        found.append(model.decode(ids[:, t], state))
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_every_side_and_layer_of_a_cut_changes_the_answer(kind: type[MLLM], model_folder: Callable[..., Path]) -> None:
    """Otherwise the comparison with the masked model could compare nothing."""
    model = kind.load(str(model_folder()))
    prompts = make_prompts(model, (("image",), ("video",)))
    prepared, (ids, _) = model.prepare(prompts), responses(model, 4)
    cuts = [None, *(cut_of(prompts, side, layers) for side in SIDES for layers in (None, frozenset({1})))]
    with torch.no_grad():
        states = [stepwise(model, replace(prepared, cut=cut), ids)[:, 1:] for cut in cuts]
    for n, one in enumerate(states):
        assert all(float((one - other).abs().max()) > 1e-4 for other in states[:n])


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_a_cut_of_nothing_changes_nothing(kind: type[MLLM], model_folder: Callable[..., Path]) -> None:
    """No key, no query, no layer: the same numbers, bit for bit."""
    model = kind.load(str(model_folder()))
    prompts = make_prompts(model, MIXED)
    prepared, (ids, mask) = model.prepare(prompts), responses(model, len(prompts) * GROUP)
    whole = cut_of(prompts, "both")
    nothing = (
        replace(whole, keys=torch.zeros_like(whole.keys)),
        replace(whole, queries=torch.zeros_like(whole.queries), response=False),
        replace(whole, layers=frozenset()),
    )
    with torch.no_grad():
        states, steps = model.states(prepared, ids, mask, None).hidden, stepwise(model, prepared, ids)
        for cut in nothing:
            same = replace(prepared, cut=cut)
            assert torch.equal(model.states(same, ids, mask, None).hidden, states)
            assert torch.equal(stepwise(model, same, ids), steps)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_a_cut_follows_its_prompt_through_buckets_and_leaving(
    kind: type[MLLM], model_folder: Callable[..., Path]
) -> None:
    """Prompts of very different length, and responses that end early, are decoded as each one alone."""
    model = kind.load(str(model_folder()))
    words = ("What color is the star?", "What color?" + " Think" * 200, "What color is the star? Think", "What?")
    prompts = make_prompts(model, (("image",), ("image", "image"), ("video",), ("image",)), words)
    prepared = replace(model.prepare(prompts), cut=cut_of(prompts, "both"))
    answer = native(GROUP, temperature=1.0, max_new_tokens=12)
    together = answer(model, prepared)
    assert len({int(length) for length in together.valid.sum(1)}) > 1
    for n in range(len(prompts)):
        alone = answer(model, prepared.take([n]))
        for g in range(GROUP):
            a, b = together.token_ids[n * GROUP + g], alone.token_ids[g]
            assert a[together.valid[n * GROUP + g]].tolist() == b[alone.valid[g]].tolist()


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_responses_that_stay_keep_their_own_prompts_cut(kind: type[MLLM], model_folder: Callable[..., Path]) -> None:
    """After the others have left: the third prompt's second response is decoded as before."""
    model = kind.load(str(model_folder()))
    prompts = make_prompts(model, (("image",), ("video",), ("image",)))
    keys = some_keys(prompts)
    keys[0] = keys[1] = False  # only what stays is cut
    prepared = replace(model.prepare(prompts), cut=replace(cut_of(prompts, "response"), keys=keys))
    ids, _ = responses(model, 3 * GROUP)
    with torch.no_grad():
        whole = stepwise(model, prepared, ids)
        _, state = model.prefill(prepared, GROUP)
        model.decode(ids[:, 0], state)
        state.keep(torch.tensor([2]), torch.tensor([[1]]))
        for t in (1, 2):
            left = model.decode(ids[5:6, t], state)
            torch.testing.assert_close(left[0], whole[5, t + 1], atol=1e-5, rtol=1e-5)
