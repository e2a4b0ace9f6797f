"""Seeds and random numbers of a rollout: each prompt has its own, in any batch and on any rank."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def hash_seed(*parts: int) -> int:
    """Return one 63-bit seed made from several integers by hashing them in turn (splitmix64)."""
    state = 0
    for part in parts:
        state = (state ^ (part + 0x9E3779B97F4A7C15)) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return state >> 1


def occurrences(uids: Iterable[str]) -> list[int]:
    """Return, for each prompt of a batch, the number of prompts before it with the same uid."""
    seen: Counter[str] = Counter()
    found = []
    for uid in uids:
        found.append(seen[uid])
        seen[uid] += 1
    return found


def prompt_seeds(uids: Sequence[str], seed: int) -> list[int]:
    """Return a seed for each prompt, made from `seed`, its uid, and how often this uid occurred before in the batch."""
    return [hash_seed(seed, zlib.crc32(u.encode()), n) for u, n in zip(uids, occurrences(uids), strict=True)]


def uniforms(seeds: Sequence[int], count: int, length: int) -> Tensor:
    """Draw numbers in [0, 1), fp64 [len(seeds) * count, length]: one for each token of `count` responses to a seed."""
    rows = []
    for own in seeds:
        generator = torch.Generator().manual_seed(own)
        rows.append(torch.rand(count, length, generator=generator, dtype=torch.float64))
    return torch.cat(rows)
