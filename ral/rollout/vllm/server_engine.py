"""The rollout engine `vllm_server`: vLLM servers started by scripts/serve_vllm.py, on this machine or others."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch.distributed as dist

from ral.models.mllm import MLLM
from ral.rollout.engine import Sampling
from ral.rollout.vllm.answers import rollout_of
from ral.rollout.vllm.arguments import banned_tokens, head_rows
from ral.rollout.vllm.engine import answered, engine_dtype
from ral.rollout.vllm.facts import difference, facts_of
from ral.rollout.vllm.http import Servers
from ral.rollout.vllm.questions import Kind, check_family
from ral.rollout.vllm.weights import first_of_node, make_folder, on_all_ranks, write_weights
from ral.types import Prepared, Rollout, UserError


class VLLMServers:
    """Rollout engine that samples from copies of the weights in vLLM servers.

    Which server answers a prompt changes nothing but rounding. urls: of the servers. media, precision, folder: as in
    `vllm_engine`. timeout_s: seconds for one answer of a server. patience_s: seconds to wait for a server that does not
    answer, before the run ends. UserError where urls is empty or vLLM does not serve the family.
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
    ) -> None:
        if not urls:
            raise UserError(
                "rollout.urls is empty: write rollout.urls=[http://127.0.0.1:8000], of scripts/serve_vllm.py"
            )
        check_family(policy.processor)
        self.policy, self.media, self.dtype, self.version = policy, media, engine_dtype(policy, precision), 0
        self.urls, self.root, self.seconds = list(urls), folder, (timeout_s, patience_s)
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
        files, error = write_weights(policy, self.dtype, self.folder, writes=first_of_node()), None
        try:
            if self.servers is None:
                self.servers = Servers(self.urls, rank, *self.seconds)
                self.check(self.servers)
            self.servers.push(files, f"{self.folder.name}:{version}", sends=rank == 0)
        except UserError as raised:
            error = str(raised)
        on_all_ranks(error)
        self.version = version

    def check(self, servers: Servers) -> None:
        """Raise UserError for a server with another model, dtype or set of banned tokens."""
        processor, network = self.policy.processor, self.policy.network
        banned = banned_tokens(processor, head_rows(network.config))
        ours = facts_of(network.config, str(self.dtype).removeprefix("torch."), banned)
        for url, theirs in servers.facts().items():
            if told := difference(ours, theirs):
                raise UserError(
                    f"rollout.urls: {url} is of another model than model.pretrained={processor.name}: {told}"
                )

    def close(self) -> None:
        """Remove the files of the weights; the servers keep running."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
