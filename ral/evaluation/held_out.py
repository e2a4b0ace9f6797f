"""Evaluation of held-out prompts: responses, their rewards, and measures of their attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from ral.data.recorded import about
from ral.evaluation.looks import MEASURES, attention_of_tokens, grounding, looks_of
from ral.learner.experience import Forward
from ral.models.attention.kinds import FULL, attention_types
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.ops.attention import AttentionSpec, CapturedAttention
from ral.rewards.answers import answer_span, extract_answer
from ral.rollout.engine import Engine, Sampling
from ral.types import PromptBatch, Rollout, Scores


def answer_tokens(processor: Processor, ids: Sequence[int], text: str) -> list[bool]:
    """Return, for each token of a response, whether it lies inside the answer block, tags left out.

    Without an answer block no token does.
    """
    found = answer_span(text)
    if found is None:
        return [False] * len(ids)
    start, stop = found
    return [start <= at < stop for at in processor.char_starts(ids)]


@torch.no_grad()
def evaluate_prompts(
    policy: MLLM,
    prompts: PromptBatch,
    engine: Engine,
    sampling: Sampling,
    reward: Callable[[Rollout], Scores],
    passes: Forward,
    all_layers: bool = False,
) -> list[dict[str, Any]]:
    """Return one record for each prompt, with one response (fields of eval/*.jsonl: docs/outputs.md).

    engine, sampling: sample the responses. reward: scores them. passes: the forward pass whose attention is measured.
    all_layers: whether records also hold the grounding of each layer, which the same pass then captures.

    Grounding is measured by the rows of producing positions (query=previous), since the position before a token
    produces it; `grounding_answer`, of the tokens of the answer block, by the query of `passes`.
    """
    prepared = policy.prepare(prompts)
    rollout = engine.generate(prepared, 1, sampling, seed=0)
    scores = reward(rollout)
    chosen = passes.spec.resolve_layers(policy.depth)
    captured = tuple(range(policy.depth)) if all_layers else chosen
    view = View(policy, prepared, policy.show(prepared, rollout))

    def capture(query: Literal["self", "previous"], layers: Sequence[int]) -> CapturedAttention:
        spec = AttentionSpec(layers=layers, heads=passes.spec.heads, query=query, keys="all")
        return replace(passes, spec=spec).states(view, rollout, attention=True).attention  # type: ignore[return-value]

    if FULL not in attention_types(policy.network.config):  # no layer has rows over all positions
        return [record(policy.processor, rollout, scores, (None, None), n) for n in range(len(rollout.texts))]
    own = prompt_rows(capture(passes.spec.query, chosen))
    attention = capture("previous", captured)
    rows = prompt_rows(layers_of(attention, chosen) if all_layers else attention)
    records = [record(policy.processor, rollout, scores, (rows[n], own[n]), n) for n in range(len(rollout.texts))]
    return with_layers(records, policy.processor, rollout, attention) if all_layers else records


def layers_of(attention: CapturedAttention, chosen: Sequence[int]) -> CapturedAttention:
    """Return the attention of some captured layers alone. chosen: their positions among the captured layers."""
    return replace(attention, layers=tuple(attention.layers[n] for n in chosen))


def prompt_rows(attention: CapturedAttention) -> Tensor:
    """Return the attention policy over the prompt's positions, mean over the layers, [N C P], on the CPU.

    N responses of C tokens, P prompt tokens.
    """
    return attention.rows().mean(0)[..., : attention.prompt_valid.shape[1]].cpu()


def with_layers(
    records: list[dict[str, Any]], processor: Processor, rollout: Rollout, attention: CapturedAttention
) -> list[dict[str, Any]]:
    """Return the records with the measures of each layer. One layer's rows are held at a time, to save memory."""
    layers = []
    for layer in range(len(attention.layers)):
        rows = prompt_rows(layers_of(attention, (layer,)))
        layers.append([looks_of(processor, rollout, rows[n], n) for n in range(len(records))])
    for name in reversed(MEASURES):
        columns = zip(*([getattr(look, name) for look in layer] for layer in layers), strict=True)
        by_layer = [None if None in found else list(found) for found in columns]
        pairs = zip(records, by_layer, strict=True)
        records = [insert_after(r, "grounding_answer", f"{name}_by_layer", own) for r, own in pairs]
    return records


def insert_after(record: dict[str, Any], key: str, name: str, value: Any) -> dict[str, Any]:
    """Return the record with one more field, `name` with `value`, right after `key`."""
    names = list(record)
    place = names.index(key) + 1
    return {**{k: record[k] for k in names[:place]}, name: value, **{k: record[k] for k in names[place:]}}


def record(
    processor: Processor, rollout: Rollout, scores: Scores, rows: tuple[Tensor | None, Tensor | None], n: int
) -> dict[str, Any]:
    """Return the record of response n.

    rows: attention [C P] of its C tokens over the P positions of the prompt, first by the query "previous", then by the
    query of the forward pass; (None, None) where no layer has rows over all positions.
    """
    example, text = rollout.prompts.examples[n], rollout.texts[n]
    ids = rollout.token_ids[n][rollout.trainable[n]].tolist()
    looks = looks_of(processor, rollout, rows[0], n)
    answer = attention_of_tokens(rollout, rows[1], n, answer_tokens(processor, ids, text))
    return {
        **about(example),
        "response": text,
        "answer": extract_answer(text),
        "reward": float(scores.reward[n]),
        **{name: float(part[n]) for name, part in scores.parts.items()},
        "tokens": len(ids),
        "finished": rollout.finish_reasons[n] == "stop",
        **{name: getattr(looks, name) for name in MEASURES},
        "grounding_answer": None if answer is None else grounding(example, answer),
        "evidence": [{"box": list(e.box), "span": list(e.span) if e.span else None} for e in example.evidence],
        "attention": looks.attention,
    }
