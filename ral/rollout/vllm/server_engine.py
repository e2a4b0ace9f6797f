"""The rollout engine `vllm_server`: vLLM servers started by scripts/serve_vllm.py, on this machine or others."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch.distributed as dist

from ral.machine import BesideTrainer
from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.vllm.adapters import FILES, rank_of, write_adapters
from ral.rollout.vllm.answers import rollout_of
from ral.rollout.vllm.arguments import banned_tokens, head_rows
from ral.rollout.vllm.engine import Adapters, answered, check_beside, engine_dtype
from ral.rollout.vllm.facts import difference, facts_of
from ral.rollout.vllm.http import Pushed, Servers
from ral.rollout.vllm.questions import Kind, check_family
from ral.rollout.vllm.weights import first_of_node, make_folder, on_each_rank, write_weights
from ral.types import Prepared, Rollout, UserError


class VLLMServers:
    """Rollout engine that samples from copies of the weights in vLLM servers.

    Which server answers a prompt changes nothing but rounding. urls: of the servers. media, precision, folder,
    adapters: as of `vllm_engine`. timeout_s: seconds for one answer of a server. patience_s: seconds to wait for a
    server that does not answer, before the run ends. UserError where urls is empty or vLLM does not serve the family.
    """

    max_lag: float = 0

    def __init__(
        self,
        policy: MLLM,
        *,
        urls: Sequence[str],
        media: Kind = "embeddings",
        precision: str = "auto",
        folder: str | None = None,
        timeout_s: float = 600.0,
        patience_s: float = 300.0,
        adapters: Adapters = "merged",
    ) -> None:
        if not urls:
            raise UserError(
                "rollout.urls is empty: write rollout.urls=[http://127.0.0.1:8000], of scripts/serve_vllm.py"
            )
        check_family(policy.processor)
        self.policy, self.media, self.dtype, self.version = policy, media, engine_dtype(policy, precision), 0
        self.urls, self.root, self.seconds = list(urls), folder, (timeout_s, patience_s)
        self.rank = rank_of(policy) if adapters == "alone" else None
        check_beside(BesideTrainer(adapters, self.rank))
        self.files: list[Path] = []
        self.folder: Path | None = None
        self.servers: Servers | None = None

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses. UserError where a server reads other ids, and for noise."""
        assert self.servers is not None, "the engine is asked before it was given weights"
        found = answered(self.policy, self.servers.ask, self.media, prompts, count, sampling, seed)
        return rollout_of(self.policy.processor, prompts, found, count, sampling, self.version)

    def session(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: the servers have their weights."""
        return nullcontext()

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Send the weights to every server, from rank 0; the first call checks that servers have this model."""
        self.policy, rank = policy, dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        self.folder = self.folder or make_folder(self.root)
        pushed = self.written(policy, self.folder, version)
        on_each_rank(lambda: self.push(pushed, rank))
        self.version = version

    def written(self, policy: MLLM, folder: Path, version: int) -> Pushed:
        """Write the weights, or, where the frozen ones are written, the adapters alone; return what servers need."""
        writes, alone = first_of_node(), self.rank is not None
        if not alone or not self.files:
            self.files = write_weights(policy, self.dtype, folder, writes, merge=not alone)
        own = write_adapters(policy, folder, writes) if alone else None
        adapters = [own / name for name in FILES] if own else []
        return Pushed(f"{folder.name}:{version}", self.files, adapters, folder.name)

    def push(self, pushed: Pushed, rank: int) -> None:
        """Send weights from rank 0; the first call checks that servers have this model."""
        if self.servers is None:
            self.servers = Servers(self.urls, rank, *self.seconds)
            self.check(self.servers)
        self.servers.push(pushed, sends=rank == 0)

    def check(self, servers: Servers) -> None:
        """Raise UserError for a server with another model, dtype or set of banned tokens, or no room for adapters."""
        processor, network = self.policy.processor, self.policy.network
        banned = banned_tokens(processor, head_rows(network.config))
        ours = facts_of(network.config, str(self.dtype).removeprefix("torch."), banned)
        for url, theirs in servers.facts().items():
            if told := difference(ours, theirs):
                raise UserError(
                    f"rollout.urls: {url} is of another model than model.pretrained={processor.name}: {told}"
                )
            if self.rank is not None and int(theirs.get("adapters") or 0) < self.rank:
                raise UserError(
                    f"rollout.urls: {url} has no room for adapters of rank {self.rank}: start it by "
                    f"scripts/serve_vllm.py --adapter-rank {self.rank}, or write rollout.engine.adapters=merged"
                )

    def close(self) -> None:
        """Remove the files of the weights; the servers keep running."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
