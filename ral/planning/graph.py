"""Plans of several runs, one after another: a table, the hours of all, and the disk that they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ral.files.markdown import table
from ral.planning.host import EXPORT_BYTES
from ral.planning.memory import GB
from ral.planning.plan import Plan

HEAD = ("stage", "GPUs", "GB of each", "main memory, GB", "disk, GB", "hours", "fits")


def table_of(plans: Mapping[str, Plan]) -> str:
    """Return a Markdown table with a line for each run and one for all. plans: {name of a run: its plan}."""
    rows = [
        (
            *(name, plan.networks.work.ranks.count if plan.networks.work.ranks.on_gpu else 0, f"{plan.gpu_gb:.1f}"),
            *(f"{plan.host_gb:.1f}", f"{plan.disk_gb:.1f}", f"{plan.hours:.3g}", "yes" if plan.fits else "no"),
        )
        for name, plan in plans.items()
    ]
    found = totals(plans)
    last = ("all", "", f"{found['gpu_gb']:.1f}", f"{found['host_gb']:.1f}", f"{found['disk_gb']:.1f}")
    return table(HEAD, [*rows, (*last, f"{found['hours']:.3g}", "yes" if found["fits"] else "no")])


def totals(plans: Mapping[str, Plan]) -> dict[str, Any]:
    """Return, by name, the numbers of all runs: most memory of any run, disk, summed hours, and whether all fit."""
    made = plans.values()
    return {
        "gpu_gb": round(max((plan.gpu_gb for plan in made), default=0.0), 2),
        "host_gb": round(max((plan.host_gb for plan in made), default=0.0), 2),
        "disk_gb": round(disk_gb(plans), 2),
        "hours": float(f"{sum(plan.hours for plan in made):.4g}"),
        "fits": all(plan.fits for plan in made),
    }


def disk_gb(plans: Mapping[str, Plan]) -> float:
    """Return the disk, in GB, that runs one after another take, if the checkpoints of each are removed at its end.

    It holds hf/ of all runs, and the checkpoints of the run with the largest ones.
    """
    exported = {name: plan.networks.policy.counts.total * EXPORT_BYTES / GB for name, plan in plans.items()}
    most = max((plan.disk_gb - exported[name] for name, plan in plans.items()), default=0.0)
    return sum(exported.values()) + most
