"""vLLM's answers as a Rollout, after checks: ids exactly as sampled, with vLLM's log-probs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ral.models.processor import Processor
from ral.rollout.engine import Sampling
from ral.rollout.single_answers import make_rollout
from ral.rollout.vllm.questions import prompt_ids
from ral.types import Prepared, Rollout, UserError

Answered = Sequence[Mapping[str, Any]]
"""For each prompt {"read": ids that vLLM read, "responses": [{"ids", "log_probs", "stopped"}, ...]}."""


def rollout_of(
    processor: Processor, prepared: Prepared, answered: Answered, count: int, sampling: Sampling, version: int
) -> Rollout:
    """Return the rollout of vLLM's answers, `count` responses to each prompt; version: of the weights.

    UserError where vLLM read other ids, sampled banned tokens, or gave another number of responses.
    """
    check_read(prepared, answered)
    responses = [each for answer in answered for each in copies(answer["responses"], count, sampling.greedy)]
    check_sampled(processor, [each["ids"] for each in responses])
    ids = right_pad([each["ids"] for each in responses], processor.pad_id)
    lengths = torch.tensor([len(each["ids"]) for each in responses])
    mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
    finished = torch.tensor([bool(each["stopped"]) for each in responses])
    device = prepared.token_ids.device
    rollout = make_rollout(processor, prepared, ids.to(device), mask.to(device), finished, count)
    return replace(rollout, log_probs=log_probs_of(responses, sampling, device), policy_version=version)


def copies(responses: Sequence[Any], count: int, greedy: bool) -> list[Any]:
    """Return `count` responses to a prompt: those sampled, or copies of the single greedy one.

    UserError where vLLM gave another number.
    """
    found = [*responses] * (count if greedy else 1)
    if len(found) != count:
        raise UserError(f"rollout: vLLM gave {len(found)} responses to a prompt, and {count} were asked for")
    return found


def check_read(prepared: Prepared, answered: Answered) -> None:
    """Raise UserError unless vLLM read exactly the ids of each prompt."""
    if len(answered) != len(prepared):
        raise UserError(f"rollout: vLLM answered {len(answered)} of {len(prepared)} prompts")
    for b, (answer, example) in enumerate(zip(answered, prepared.prompts.examples, strict=True)):
        own = prompt_ids(prepared, b)
        if list(answer["read"]) != own:
            raise UserError(
                f"{example.source or example.uid}: vLLM read another prompt ({len(answer['read'])} tokens, and it has "
                f"{len(own)}): pictures were resized or counted otherwise; write rollout.engine.media=embeddings"
            )


def check_sampled(processor: Processor, rows: Sequence[Sequence[int]]) -> None:
    """Raise UserError for a banned token in responses, which shows that vLLM was started without banned tokens."""
    for index in {i for row in rows for i in row}:
        if index >= processor.vocab_size or bool(processor.banned[index]):
            raise UserError(
                f"rollout: vLLM sampled token {index}, which no response may hold: start it by scripts/serve_vllm.py"
            )


def right_pad(rows: Sequence[Sequence[float]], filler: float) -> Tensor:
    """Return N lists as one tensor [N C], padded on the right with `filler`."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (length - len(row))] for row in rows])


def log_probs_of(responses: Sequence[Any], sampling: Sampling, device: torch.device) -> Tensor | None:
    """Return log-probs [N C] fp32, nats, under the sampling distribution; None where vLLM gives those of another one.

    For greedy sampling vLLM gives log-probs at temperature 1, whatever the sampling temperature.
    """
    if sampling.greedy and sampling.temperature != 1:
        return None
    return right_pad([each["log_probs"] for each in responses], 0.0).float().to(device)
