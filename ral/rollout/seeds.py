"""Seeds and random numbers of a rollout: each prompt has its own, whatever batch or rank it is in."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def hash_seed(*parts: int) -> int:
    """Make one 63-bit seed from several small numbers, well spread (splitmix64 of each in turn)."""
    state = 0
    for part in parts:
        state = (state ^ (part + 0x9E3779B97F4A7C15)) & (2**64 - 1)
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        state ^= state >> 31
    return state >> 1


def occurrences(uids: Iterable[str]) -> list[int]:
    """Count for each prompt of a batch how many before it have the same uid."""
    seen: Counter[str] = Counter()
    found = []
    for uid in uids:
        found.append(seen[uid])
        seen[uid] += 1
    return found


def prompt_seeds(uids: Sequence[str], seed: int) -> list[int]:
    """Return a seed for each prompt; one that occurs again gets another."""
    return [hash_seed(seed, zlib.crc32(u.encode()), n) for u, n in zip(uids, occurrences(uids), strict=True)]


def uniforms(seeds: Sequence[int], count: int, length: int) -> Tensor:
    """Draw a number in [0, 1) for every token of `count` responses a seed, [len(seeds)*count length] fp64."""
    rows = []
    for own in seeds:
        generator = torch.Generator().manual_seed(own)
        rows.append(torch.rand(count, length, generator=generator, dtype=torch.float64))
    return torch.cat(rows)
