"""scripts/export.py: one process writes the model of a checkpoint that several wrote in shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from conftest import CONF, load_script
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.assembly.models import load_policy
from ral.learner.checkpoints import CONFIG, FILE
from ral.learner.shards import FOLDER, write_shards


def test_one_process_exports_the_shards_of_several(tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    model = [f"model.pretrained={model_folder()}", "hardware.accelerator=cpu", "hardware.precision=32-true"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["hardware=fsdp", *model])
    assert cfg.hardware.shard is not None
    text = yaml.safe_dump(OmegaConf.to_container(cfg, resolve=False))
    checkpoint = tmp_path / "checkpoints" / "step_000001"
    checkpoint.mkdir(parents=True)
    cfg.hardware.shard = None  # to have the weights here
    weights = {name: weight.detach() + 1 for name, weight in load_policy(cfg).trained_parameters()}
    torch.save({CONFIG: text}, checkpoint / FILE)
    write_shards({"weights": {"policy": weights}}, checkpoint / FOLDER)
    folder = load_script("export").export(checkpoint, tmp_path / "out")
    cfg.model.pretrained = str(folder)
    exported = dict(load_policy(cfg).trained_parameters())
    assert set(exported) == set(weights) and len(weights) > 10
    assert all(torch.equal(exported[name], weight) for name, weight in weights.items())
