"""Evaluation of held-out prompts: greedy answers, their rewards, and where the answer tokens look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ral.data.recorded import about
from ral.learner.experience import Forward
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.processor import Processor
from ral.ops.attention import AttentionSpec, CapturedAttention, renormalise
from ral.ops.grounding import evidence_tokens
from ral.rewards.answers import answer_span, extract_answer
from ral.rollout.engine import Engine, Sampling
from ral.types import Example, PromptBatch, Rollout, Scores


def answer_tokens(processor: Processor, ids: Sequence[int], text: str) -> list[bool]:
    """Mark the tokens of a response that lie inside its answer block (tags left out); none where there is no block."""
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
    """Return one record a prompt (the fields of eval/*.jsonl, documented in docs/outputs.md), of the engine's answer.

    all_layers: records also hold `grounding_by_layer`; the same pass captures every layer.
    """
    prepared = policy.prepare(prompts)
    rollout = engine.generate(prepared, 1, sampling, seed=0)
    scores = reward(rollout)
    chosen = passes.spec.resolve_layers(policy.depth)
    captured = tuple(range(policy.depth)) if all_layers else chosen
    spec = AttentionSpec(layers=captured, heads=passes.spec.heads, query=passes.spec.query, keys="all")
    view = View(policy, prepared, policy.show(prepared, rollout))
    states = replace(passes, spec=spec).states(view, rollout, attention=True)
    attention: CapturedAttention = states.attention  # type: ignore[assignment]
    rows = prompt_rows(layers_of(attention, chosen) if all_layers else attention)
    records = [record(policy.processor, rollout, scores, rows[n], n) for n in range(len(rollout.texts))]
    return with_layers(records, policy.processor, rollout, attention) if all_layers else records


def layers_of(attention: CapturedAttention, chosen: Sequence[int]) -> CapturedAttention:
    """The same pass, some of its captured layers alone."""
    return replace(attention, layers=tuple(attention.layers[n] for n in chosen))


def prompt_rows(attention: CapturedAttention) -> Tensor:
    """The attention policy over the prompt's positions [N C P], mean over the layers, on the CPU."""
    return attention.rows().mean(0)[..., : attention.prompt_valid.shape[1]].cpu()


def with_layers(
    records: list[dict[str, Any]], processor: Processor, rollout: Rollout, attention: CapturedAttention
) -> list[dict[str, Any]]:
    """Records with `grounding_by_layer` after `grounding`; rows of one layer at a time, so memory is that of one."""
    columns = []
    for layer in range(len(attention.layers)):
        rows = prompt_rows(layers_of(attention, (layer,)))
        columns.append([grounding_of(processor, rollout, rows[n], n) for n in range(len(records))])
    by_layer = [None if None in found else list(found) for found in zip(*columns, strict=True)]
    return [insert_after(r, "grounding", "grounding_by_layer", own) for r, own in zip(records, by_layer, strict=True)]


def insert_after(record: dict[str, Any], key: str, name: str, value: Any) -> dict[str, Any]:
    """The record with one more field, right after `key`."""
    names = list(record)
    place = names.index(key) + 1
    return {**{k: record[k] for k in names[:place]}, name: value, **{k: record[k] for k in names[place:]}}


def grounding_of(processor: Processor, rollout: Rollout, rows: Tensor, n: int) -> float | None:
    """Return the grounding of response n by one layer's rows [C P]: the share of them that lies inside the evidence."""
    ids = rollout.token_ids[n][rollout.trainable[n]].tolist()
    look = attention_of_answer(processor, rollout, rows, n, ids)
    return None if look is None else grounding(rollout.prompts.examples[n], look)


def record(processor: Processor, rollout: Rollout, scores: Scores, rows: Tensor, n: int) -> dict[str, Any]:
    """The record of response n; rows [C P]: its attention policy over the prompt's positions."""
    example, text = rollout.prompts.examples[n], rollout.texts[n]
    ids = rollout.token_ids[n][rollout.trainable[n]].tolist()
    look = attention_of_answer(processor, rollout, rows, n, ids)
    return {
        **about(example),
        "response": text,
        "answer": extract_answer(text),
        "reward": float(scores.reward[n]),
        **{name: float(part[n]) for name, part in scores.parts.items()},
        "tokens": len(ids),
        "finished": rollout.finish_reasons[n] == "stop",
        "grounding": None if look is None else grounding(example, look),
        "evidence": [{"box": list(e.box), "span": list(e.span) if e.span else None} for e in example.evidence],
        "attention": look,
    }


def attention_of_answer(
    processor: Processor, rollout: Rollout, rows: Tensor, n: int, ids: Sequence[int]
) -> dict[str, Any] | None:
    """Mean attention of the answer tokens on the first medium's visual tokens, renormalised; None without either."""
    return attention_of_tokens(rollout, rows, n, answer_tokens(processor, ids, rollout.texts[n]))


def attention_of_tokens(rollout: Rollout, rows: Tensor, n: int, inside: Sequence[bool]) -> dict[str, Any] | None:
    """The same of the tokens of response n that are `inside`."""
    grids = rollout.prompts.grids[n]
    if not grids or not any(inside):
        return None
    t, h, w = grids[0]
    visual = rollout.prompts.visual[n].nonzero().squeeze(-1)[: t * h * w]
    sampled = rows[rollout.trainable[n].cpu()]
    seen = sampled[torch.tensor(inside)][:, visual].float()
    weights = renormalise(seen, torch.ones_like(seen, dtype=torch.bool)).mean(0)
    return {"grid": [t, h, w], "weights": weights.tolist(), "seconds_per_slot": slot_seconds(rollout.prompts, n)}


def slot_seconds(prompts: PromptBatch, n: int) -> float:
    """Seconds that one temporal slot of example n's first clip spans; 0 for a picture."""
    if prompts.examples[n].media[0].kind != "video":
        return 0.0
    before = sum(m.kind == "video" for e in prompts.examples[:n] for m in e.media)
    return float(prompts.media["second_per_grid_ts"][before])


def grounding(example: Example, look: dict[str, Any]) -> float | None:
    """Share of the answer tokens' visual attention that falls inside the evidence; None without evidence."""
    if not example.evidence:
        return None
    inside = evidence_tokens(example.evidence, tuple(look["grid"]), look["seconds_per_slot"])
    return float(torch.tensor(look["weights"])[inside.flatten()].sum())
