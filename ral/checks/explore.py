"""The viewer's page for the attention of responses, from a composed configuration.

In this module `cfg` is that configuration (conf/explore.yaml).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from transformers.utils.logging import disable_progress_bar

from ral.config.as_trained import dataset_as_trained
from ral.config.check import overridden
from ral.errors import UserError
from ral.evaluating import load_policy
from ral.evaluation.attention_map import said_of
from ral.files import run_folder
from ral.models.mllm import MLLM
from ral.report.viewer import ASKED_WITH, VIEWER_NAME
from ral.viewing.pages import Kept, Side, make_page, told, view_run
from ral.viewing.questions import Question, dataset_questions, own_question, own_settings


def explore(cfg: DictConfig) -> None:
    """Write the page of responses and their attention rows; the last line printed is its path.

    With cfg.run the page shows that run's recorded responses; else one or two checkpoints respond, greedily. UserError
    where a model or the data cannot be used, or the page cannot be made.
    """
    disable_progress_bar()  # of loading weights
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    kept = Kept(tuple(cfg.queries), None if cfg.layers is None else tuple(cfg.layers), float(cfg.max_mb))
    path = Path(cfg.output) / VIEWER_NAME
    if cfg.run is not None:
        path, holds = view_run(Path(cfg.run), path, lambda checkpoint: opened(cfg, "run", checkpoint), kept)
    else:
        holds = of_checkpoints(cfg, path, kept)
    run_folder.begin(path.parent)  # before it, a failure leaves nothing
    print(holds)
    print(f"viewer: {path}", flush=True)


def of_checkpoints(cfg: DictConfig, path: Path, kept: Kept) -> str:
    """Write the page for the responses of one or two checkpoints; return lines on prompts, entries and content."""
    skipped, counted = list[str](), set[str]()
    own = cfg.image is not None or cfg.video is not None
    cfg, line = (cfg, f"asked with {said_of(own_settings(cfg))}") if own else dataset_as_trained(cfg, overridden())

    def questions(policy: MLLM) -> Sequence[Question]:
        if own:
            return own_question(cfg, policy)
        found, entries = dataset_questions(cfg, policy, skipped)
        counted.add(count_of(len(found), entries, cfg))
        return found

    after = Side(
        "answer" if cfg.before is None else "after", lambda: opened(cfg, "checkpoint", cfg.checkpoint), questions
    )
    before = [] if cfg.before is None else [Side("before", lambda: opened(cfg, "before", cfg.before), questions)]
    facts = facts_of(cfg) | {ASKED_WITH: line.removeprefix(f"{ASKED_WITH} ")}
    holds = make_page(path, (*before, after), kept, facts, lambda: told(skipped))
    return "\n".join((line, *counted, holds))


def count_of(asked: int, entries: int, cfg: DictConfig) -> str:
    """Return a line with the number of entries asked, their split, and the settings that would choose other entries.

    asked: number of entries asked. entries: number of entries in the split.
    """
    more = f"; limit={entries} takes all" if asked == cfg.limit < entries else ""
    other = "train" if cfg.split != "train" else "validation"
    return f"asked: {asked} of {entries} entries of split {cfg.split}{more}; split={other} takes the others"


def opened(cfg: DictConfig, key: str, checkpoint: str) -> MLLM:
    """Return a checkpoint's model on the device that the settings name.

    UserError where it cannot be loaded; the message names the setting `key`.
    """
    try:
        return load_policy(OmegaConf.merge(cfg, {"checkpoint": checkpoint}))  # type: ignore[arg-type]
    except UserError as error:
        raise UserError(str(error).replace("checkpoint=", f"{key}=", 1)) from error


def facts_of(cfg: DictConfig) -> dict[str, str]:
    """Return {label: text} for the top of the page: the models and the data."""
    asked = cfg.image or cfg.video or f"{HydraConfig.get().runtime.choices['dataset']}, {cfg.split}"
    models = {"before": str(cfg.before), "after": str(cfg.checkpoint)} if cfg.before else {"model": str(cfg.checkpoint)}
    return {**models, "asked": str(asked)}
