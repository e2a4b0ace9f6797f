"""vLLM's process with one fault planted: STALE names what a push of weights leaves as the old ones made it."""

from __future__ import annotations

import os
from typing import Any

from ral.rollout.vllm import clip_times, handling, inside, worker


class Keeps:
    """An engine one of whose caches is not dropped."""

    def __init__(self, llm: Any, cache: str) -> None:
        self.llm, self.cache = llm, cache

    def reset_prefix_cache(self) -> bool:
        return self.cache == "prefix" or self.llm.reset_prefix_cache()

    def reset_mm_cache(self) -> None:
        self.llm.reset_mm_cache()

    @property
    def llm_engine(self) -> Any:
        return self if self.cache == "encoder" else self.llm.llm_engine

    def reset_encoder_cache(self) -> None: ...


if __name__ == "__main__":
    stale, drop = os.environ["STALE"], handling.drop_caches
    if stale in ("prefix", "encoder"):
        handling.drop_caches = lambda llm: drop(Keeps(llm, stale))
    if stale == "adapters":
        usual = handling.adapters_in
        handling.adapters_in = lambda folder, load=False: usual(folder)
    if stale == "head":
        inside.renew_packed_head = lambda model: None
    if stale == "positions":
        inside.use_own_positions = lambda model: None
    if stale == "times":
        worker.keep_clip_times = lambda: None
    assert clip_times.SECONDS
    worker.main()
