"""vLLM's responses as a Rollout: ids exactly as sampled, with vLLM's log-probs. Checks come first."""

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
"""vLLM's reply to each prompt: {"read": ids that vLLM read, "responses": [{"ids", "log_probs", "stopped"}, ...]}."""


def rollout_of(
    processor: Processor, prepared: Prepared, answered: Answered, count: int, sampling: Sampling, version: int
) -> Rollout:
    """Return the rollout of vLLM's responses, `count` to each of the B prompts.

    answered: vLLM's replies to the prompts. version: version of the weights that sampled. UserError where vLLM read
    other ids than the prompts', sampled a banned token, or returned another number of prompts or responses.
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
    """Return `count` responses to a prompt: the sampled ones, or `count` times the single greedy one.

    responses: those of vLLM to the prompt. UserError where their number is wrong.
    """
    found = [*responses] * (count if greedy else 1)
    if len(found) != count:
        raise UserError(f"rollout: vLLM gave {len(found)} responses to a prompt, and {count} were asked for")
    return found


def check_read(prepared: Prepared, answered: Answered) -> None:
    """Raise UserError unless vLLM read all of the prompts, and exactly the ids of each. answered: vLLM's replies."""
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
    """Raise UserError where a response holds a banned token, which a vLLM without this project's arguments may sample.

    rows: the ids of each response.
    """
    for index in {i for row in rows for i in row}:
        if index >= processor.vocab_size or bool(processor.banned[index]):
            raise UserError(
                f"rollout: vLLM sampled token {index}, which no response may hold: start it by scripts/serve_vllm.py"
            )


def right_pad(rows: Sequence[Sequence[float]], filler: float) -> Tensor:
    """Return N lists of numbers as one tensor [N C], C the greatest length, padded on the right with `filler`."""
    length = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (length - len(row))] for row in rows])


def log_probs_of(responses: Sequence[Any], sampling: Sampling, device: torch.device) -> Tensor | None:
    """Return the log-probs of the responses' tokens, [N C] fp32, nats, under the distribution that vLLM sampled from.

    None for greedy sampling at a temperature other than 1, since vLLM then gives log-probs at temperature 1.
    """
    if sampling.greedy and sampling.temperature != 1:
        return None
    return right_pad([each["log_probs"] for each in responses], 0.0).float().to(device)
