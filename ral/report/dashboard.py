"""The W&B dashboard as code: a workspace with a section for each question about a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.errors import UserError

STEP = "trainer/global_step"
"""Metric on the horizontal axis of every chart (docs/sweeps.md)."""
SECTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "Reward: does it learn?": {
        "reward": ("train/reward", "eval/reward"),
        "accuracy, held out": ("eval/accuracy",),
        "accuracy and format of what is sampled": ("train/accuracy", "train/format"),
        "groups without signal, answers cut": ("train/groups_without_signal", "train/truncated"),
        "KL to the reference": ("train/kl",),
        "entropy of tokens": ("train/entropy",),
    },
    "Attention: does the term act?": {
        "how far rows moved since the rollout": ("train/attention_jsd",),
        "divergence from the anchor": ("train/attention_divergence",),
        "gradient, attention over token, by update": tuple(
            f"train/attention_gradient_ratio_update_{k}" for k in range(1, 5)
        ),
        "entropy of rows": ("train/attention_entropy",),
        "share on visual tokens": ("train/attention_visual_share",),
    },
    "Grounding: does it look at the evidence?": {
        "tokens that look hardest": ("eval/grounding",),
        "all tokens, answer tokens": ("eval/grounding_all", "eval/grounding_answer"),
        "step by step": ("eval/grounding_steps",),
        "evidence, while training": ("train/attention_evidence_share",),
    },
    "Cost: where do seconds go?": {
        "seconds a step": ("time/step_s",),
        "its parts": (
            "time/data_s",
            "time/vision_s",
            "time/rollout_s",
            "time/reward_s",
            "time/freeze_s",
            "time/update_s",
        ),
        "tokens of a response": ("train/response_length", "eval/tokens"),
        "gradient norm, updates skipped": ("train/grad_norm", "train/skipped_updates"),
    },
}
"""{title of a section: {title of a chart: its metrics (docs/metrics.md)}}"""
INSTALL = "the package wandb-workspaces is not installed: write pip install '.[dashboard]'"


def workspace(entity: str, project: str) -> Any:
    """Return the dashboard as an object of wandb_workspaces. UserError where that package is not installed."""
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        from wandb_workspaces import reports, workspaces
    except ImportError as error:
        raise UserError(INSTALL) from error
    charts = reports.v2
    sections = [
        workspaces.Section(
            name=title,
            panels=[charts.LinePlot(title=name, x=STEP, y=list(metrics)) for name, metrics in plots.items()],
            is_open=True,
        )
        for title, plots in SECTIONS.items()
    ]
    return workspaces.Workspace(entity=entity, project=project, name="ral", sections=sections)


def write(entity: str, project: str, path: Path) -> Path:
    """Write the dashboard as JSON, in W&B's format, to `path`, without a network; return the path.

    UserError where the package wandb-workspaces is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    model = workspace(entity, project)._to_model()
    path.write_text(model.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n", encoding="utf-8")
    return path


def upload(entity: str, project: str) -> str:
    """Save the dashboard in W&B and return its address.

    UserError where W&B refuses or cannot be reached, or the package wandb-workspaces is not installed.
    """
    made = workspace(entity, project)
    try:
        made.save()
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"W&B did not take the dashboard ({reason}): its JSON is written; try again later") from error
    return str(made.url)
