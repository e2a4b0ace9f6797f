"""One command in several processes of one thread each, as the ranks of a run."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.files.repository import ROOT

TIMEOUT = 900
"""Seconds after which a run is ended."""
POLL = 0.2
"""Seconds between two looks at the processes of a run."""


def run(
    module: str, folder: Path, spec: Mapping[str, Any], ranks: int, more: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Run a module in `ranks` processes; return the content of each one's file <folder>/rank_<number>.json.

    spec: argument of the module, to which the folder is added, passed as JSON. more: environment variables. UserError
    where a process fails, or the run takes longer than TIMEOUT.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", module, json.dumps({**spec, "folder": str(folder)})]
    kept = {key: value for key, value in os.environ.items() if key != "RAL_RUN_FOLDER"}
    kept |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), **more}
    port = free_port()
    with ExitStack() as stack:
        logs = [stack.enter_context((folder / f"rank_{rank}.log").open("w+")) for rank in range(ranks)]
        processes = [
            subprocess.Popen(command, env=kept | of_rank(rank, ranks, port), stdout=log, stderr=subprocess.STDOUT)
            for rank, log in enumerate(logs)
        ]
        codes = ended(processes)
    for rank in sorted(
        range(ranks), key=lambda rank: codes[rank] < 0
    ):  # one that failed before those that it took along
        if codes[rank]:
            words = (folder / f"rank_{rank}.log").read_text().strip().splitlines() or ["nothing"]
            raise UserError(
                f"rank {rank} of {ranks} ended; its last words: {words[-1]} (all: {folder}/rank_{rank}.log)"
            )
    return [json.loads((folder / f"rank_{rank}.json").read_text()) for rank in range(ranks)]


def ended(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Wait until all processes have ended; return their exit codes.

    All are killed as soon as one fails, or after TIMEOUT seconds; a killed one has a negative code.
    """
    until = time.monotonic() + TIMEOUT
    while any(process.poll() is None for process in processes):
        if time.monotonic() > until or any(process.poll() for process in processes):
            for process in processes:
                process.kill()
        time.sleep(POLL)
    return [process.returncode for process in processes]


def of_rank(rank: int, ranks: int, port: int) -> dict[str, str]:
    """Return the environment variables by which Lightning tells a process its rank; {} for a single process."""
    if ranks == 1:
        return {}
    own = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {name: str(value) for name, value in own.items()}


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])
