"""Prompts as questions to vLLM: ids with one placeholder for each image or video, and its embeddings or pixels.

vLLM replaces each placeholder by as many as there are visual tokens; the ids it then reads must be the prompt's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ral.models.processor import Processor
from ral.rollout.engine import Sampling
from ral.rollout.requests import Request, SeenMedium, requests
from ral.rollout.vllm.pixels import frames_of
from ral.rollout.vllm.wire import Message
from ral.types import Prepared, UserError

SERVED: dict[str, tuple[str, ...]] = {
    "qwen2_5_vl": ("image", "video"),
    "qwen2_vl": ("image", "video"),
    "qwen3_vl": ("image",),
}
"""Family -> kinds of media for which vLLM reads the same ids as this project; not so for Qwen3-VL's videos."""
MOST_SEED = 2**62 - 1
"""Greatest seed: vLLM adds a response's index to its prompt's seed, and the sum has to stay below 2^63."""

Kind = Literal["embeddings", "pixels"]
"""Form in which media are sent: the trainer's own visual embeddings, or pixels that the engine's vision tower reads."""


def numbers(processor: Processor, count: int, sampling: Sampling) -> dict[str, Any]:
    """Return vLLM's sampling parameters, which are the same for all prompts. UserError for noise on attention.

    count: number of responses to each prompt. Greedy sampling becomes temperature 0 with a single response.
    """
    if sampling.noise is not None:
        raise UserError("algo.sampling.noise: vLLM has no noise on attention: write rollout=native")
    return {
        "n": 1 if sampling.greedy else count,
        "temperature": 0.0 if sampling.greedy else sampling.temperature,
        "top_p": 1.0,
        "top_k": -1,
        "max_tokens": sampling.max_new_tokens,
        "logprobs": 0,
        "stop_token_ids": list(processor.end_ids),
        "ignore_eos": True,
        "detokenize": False,
    }


def ask(
    processor: Processor, prepared: Prepared, parameters: dict[str, Any], seeds: Sequence[int], kind: Kind
) -> Message:
    """Return the message that asks vLLM for responses to prompts.

    parameters: result of `numbers`. seeds: one for each prompt. kind: whether media are sent as embeddings or as
    pixels. UserError for media that vLLM reads as other tokens, or whose times or pixels are unknown.
    """
    check_media(processor, prepared)
    asked = requests(prepared)
    media = media_of(processor, prepared, asked) if kind == "embeddings" else pixels_of(processor, prepared)
    prompts: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for b, (request, own, seed) in enumerate(zip(asked, media, seeds, strict=True)):
        prompts.append({"ids": list(request.token_ids), "seed": seed & MOST_SEED, "media": sorted(own)})
        tensors |= {f"{b}.{name}": value for name, value in own.items()}
    return Message({"do": "ask", "parameters": parameters, "prompts": prompts}, tensors)


def check_family(processor: Processor) -> None:
    """Raise UserError for a family whose prompts vLLM may read as other tokens (not in SERVED)."""
    if processor.family.model_type not in SERVED:
        raise UserError(
            f"rollout: vLLM is known to read this project's tokens for {', '.join(SERVED)}, not for"
            f" {processor.family.model_type}: write rollout=native"
        )


def check_media(processor: Processor, prepared: Prepared) -> None:
    """Raise UserError for media in the prompts that vLLM reads as other tokens (not in SERVED)."""
    family = processor.family.model_type
    there = {kind for wording in prepared.prompts.wordings for kind in wording.kinds}
    if other := sorted(there - set(SERVED[family])):
        raise UserError(f"rollout: vLLM reads a {other[0]} of {family} as other tokens: write rollout=native")


def prompt_ids(prepared: Prepared, index: int) -> list[int]:
    """Return the ids of the prompt at position `index`, without padding."""
    prompts = prepared.prompts
    return [int(i) for i in prompts.token_ids[index][prompts.valid[index]]]


def media_of(processor: Processor, prepared: Prepared, asked: Sequence[Request]) -> list[dict[str, Tensor]]:
    """Return {name: tensor} for each prompt: visual embeddings [M (1+J)*D], patch grids, and seconds per time slot.

    M: visual tokens of all media of one kind. Each has its embedding and J deepstack features side by side, all of
    width D. Grids are [media 3]: numbers of patches in time, rows and columns. asked: the prompts as requests.
    UserError where times are unknown.
    """
    merge, seconds = processor.patches.merge_size, clip_seconds(prepared)
    found = []
    for request in asked:
        own: dict[str, Tensor] = {}
        for kind in sorted({medium.kind for medium in request.media}):
            media = [medium for medium in request.media if medium.kind == kind]
            own[f"{kind}.embeds"] = torch.cat([embeddings(medium) for medium in media])
            own[f"{kind}.grid"] = torch.tensor([(t, h * merge, w * merge) for t, h, w in (m.grid for m in media)])
            if kind == "video":
                own["video.seconds"] = torch.tensor([next(seconds) for _ in media])
        found.append(own)
    return found


def embeddings(medium: SeenMedium) -> Tensor:
    """Return the embedding and the J deepstack features of each of M visual tokens, side by side, [M (1+J)*D]."""
    return torch.cat([medium.states, *medium.deepstack.unbind(0)], dim=-1)


def clip_seconds(prepared: Prepared) -> Iterator[float]:
    """Yield, for each video in the batch, the seconds of a time slot. UserError where the batch does not hold them."""
    prompts = prepared.prompts
    clips = sum(kind == "video" for wording in prompts.wordings for kind in wording.kinds)
    seconds = prompts.media.get("second_per_grid_ts", torch.zeros(0)).tolist()
    if len(seconds) != clips:
        raise UserError(
            "rollout: the times of clips are known of whole batches of first turns alone: write rollout=native"
        )
    yield from seconds


def pixels_of(processor: Processor, prepared: Prepared) -> list[dict[str, Tensor]]:
    """Return {name: tensor} for each prompt: frames uint8 [F H W 3] of its media, and seconds between a video's frames.

    UserError for prompts that continue a trajectory, since their pixels, or times, are unknown.
    """
    media, patches = prepared.prompts.media, processor.patches
    wanted = sum(len(wording.kinds) for wording in prepared.prompts.wordings)
    frames = {kind: iter(frames_of(media, kind, patches)) for kind in ("image", "video")}
    if wanted != sum(len(media.get(f"{kind}_grid_thw", ())) for kind in frames):
        raise UserError(
            "rollout.engine.media=pixels: later turns have no pixels: write rollout.engine.media=embeddings"
        )
    seconds, found = clip_seconds(prepared), []
    for wording in prepared.prompts.wordings:
        own: dict[str, Tensor] = {}
        for n, kind in enumerate(wording.kinds):
            own[f"{kind}.frames.{n:04d}"] = next(frames[kind])
            if kind == "video":
                own[f"video.every.{n:04d}"] = torch.tensor(next(seconds) / patches.temporal_patch_size)
        found.append(own)
    return found
