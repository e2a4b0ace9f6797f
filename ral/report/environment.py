"""The environment of a run: versions, machine, commit and command, as environment.json in the run's folder."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import torch

PACKAGES = ("torch", "transformers", "lightning", "hydra-core", "numpy", "pillow", "decord")


def git_commit() -> str:
    """Return the commit of this code, with "+changes" where files have changed since; "unknown" outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("+changes" if changed.stdout.strip() else "")


def processor_name() -> str:
    """Return the CPU's name from /proc/cpuinfo, or Python's name of the processor where that is missing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def gpu_names() -> str:
    """Return the names of this machine's GPUs, joined by commas; "none" where it has none."""
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())) or "none"


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread" + ("" if count == 1 else "s")


def environment() -> dict[str, str]:
    """Return {name: text} of date, command, commit, versions and machine. It holds no environment variable."""
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": git_commit(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "machine": platform.platform(),
        "cpu": f"{processor_name()}, {os.cpu_count()} cores, {_threads()}",
        "gpu": gpu_names(),
    }


def write_environment(folder: Path) -> None:
    """Write environment.json, the result of `environment`, into a run's folder."""
    (folder / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
