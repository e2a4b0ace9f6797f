"""The rollout engine `vllm_server`: asks vLLM servers started by scripts/serve_vllm.py, on any machine."""

from __future__ import annotations

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
from ral.rollout.vllm.folders import hold, remove
from ral.rollout.vllm.http import Pushed, Servers
from ral.rollout.vllm.questions import Kind, check_family
from ral.rollout.vllm.weights import first_of_node, make_folder, on_each_rank, write_weights
from ral.types import Prepared, Rollout, UserError


class VLLMServers:
    """Rollout engine that samples from copies of the weights in vLLM servers.

    Responses do not depend on the server that samples them, but for rounding. urls: addresses of the servers. media,
    precision, folder, adapters: as in `vllm_engine`. timeout_s: seconds for one reply of a server. patience_s: seconds
    to wait for a server that is away before the run ends. UserError where `urls` is empty, `precision` is unknown, vLLM
    does not serve the family, or the adapters cannot be sent alone.
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
        self.lock: int | None = None
        self.servers: Servers | None = None

    def generate(self, prompts: Prepared, count: int, sampling: Sampling, seed: int) -> Rollout:
        """Return a rollout of N = B * count responses, `count` to each of the B prompts.

        UserError for noise or media that vLLM cannot serve; where a server refuses or stays away, reads other ids than
        the prompts', or returns banned tokens or another number of responses.
        """
        assert self.servers is not None, "the engine is asked before it was given weights"
        found = answered(self.policy, self.servers.ask, self.media, prompts, count, sampling, seed)
        return rollout_of(self.policy.processor, prompts, found, count, sampling, self.version)

    def session(self) -> AbstractContextManager[None]:
        """Return a context that does nothing: the servers keep their weights."""
        return nullcontext()

    def update_weights(self, policy: MLLM, version: int) -> None:
        """Hand the policy's weights, as version `version`, to all servers; only rank 0 sends.

        The first call also checks the model of each server. UserError, on all ranks, where the check fails, the folder
        is full, or a server refuses or stays away.
        """
        self.policy, rank = policy, dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
        if self.folder is None:
            self.folder = make_folder(self.root)
            self.lock = hold(self.folder)
        pushed = self.written(policy, self.folder, version)
        on_each_rank(lambda: self.push(pushed, rank))
        self.version = version

    def written(self, policy: MLLM, folder: Path, version: int) -> Pushed:
        """Write the weights that servers need to `folder`; return the files with the tag of this state, for `push`.

        Where adapters are sent alone, the frozen weights are written once, and later calls write the adapters only.
        version: version of the policy's weights, a part of the tag. UserError, on all ranks, where the folder is full.
        """
        writes, alone = first_of_node(), self.rank is not None
        if not alone or not self.files:
            self.files = write_weights(policy, self.dtype, folder, writes, merge=not alone)
        own = write_adapters(policy, folder, writes) if alone else None
        adapters = [own / name for name in FILES] if own else []
        return Pushed(f"{folder.name}:{version}", self.files, adapters, folder.name)

    def push(self, pushed: Pushed, rank: int) -> None:
        """Hand weights to all servers from rank 0; the first call checks the servers' models."""
        if self.servers is None:
            self.servers = Servers(self.urls, rank, *self.seconds)
            self.check(self.servers)
        self.servers.push(pushed, sends=rank == 0)

    def check(self, servers: Servers) -> None:
        """Raise UserError for a server with another model, dtype or banned tokens, or without room for the adapters."""
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
        """Remove the files of the weights; servers keep running."""
        if self.folder is not None:
            remove(self.folder, self.lock)
            self.lock = None
