"""scripts/export.py: one process writes the model of a checkpoint that several wrote in shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from commands import call
from conftest import CONF, load_script
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.assembly.models import load_policy
from ral.errors import UserError
from ral.files.pretrained import check_folder
from ral.learner.checkpoints import CONFIG, FILE
from ral.learner.shards import FOLDER, write_shards
from ral.models.adapters.lora import merged, save_adapters
from ral.models.opening import load


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


@pytest.mark.parametrize("of_a_run", [True, False])
def test_an_adapter_becomes_the_model_with_it_added_in(
    of_a_run: bool, tmp_path: Path, model_folder: Callable[..., Path]
) -> None:
    """And whoever names the adapter, or its run, as a model is told the command, or that model once it is there."""
    base, run = str(model_folder()), tmp_path / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"model.pretrained={base}", "lora.rank=2", "lora.alpha=6", "lora.merge=false"])
    policy = load_policy(cfg)
    for name, weight in policy.trained_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(len(name)))
    state = policy.network.state_dict()
    save_adapters(state, policy.network, base, run / "adapter")
    if of_a_run:
        (run / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    command = f"make a model of it with python scripts/export.py {run / 'adapter'}"
    for typed in (run, run / "adapter"):
        with pytest.raises(UserError) as told:
            check_folder(str(typed), "checkpoint")
        assert str(told.value).endswith(f"; {command}") and "lora.resume" not in str(told.value)
        with pytest.raises(UserError, match=f"lora.resume={run / 'adapter'} to go on training it, or {command}"):
            check_folder(str(typed))
    done = call("scripts/export.py", run / "adapter", folder=tmp_path)
    folder = run / "hf" if of_a_run else run / "adapter_merged" / "hf"
    assert done.returncode == 0 and done.stdout == f"model: {folder}\n", done.stderr
    found, wanted = load(str(folder)).network.state_dict(), merged(state, policy.network)
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())
    plain = load(base).network.state_dict()
    assert any(not torch.equal(found[name], weight) for name, weight in plain.items())
    if of_a_run:
        with pytest.raises(UserError, match=rf"no model; write {folder}, which has it added in$"):
            check_folder(str(run / "adapter"), "checkpoint")
    again = call("scripts/export.py", run / "adapter", folder=tmp_path)
    assert again.returncode == 1 and "add --overwrite" in again.stderr


def test_an_adapter_of_a_base_that_is_gone_names_the_flag(tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "adapter_config.json").write_text('{"base_model_name_or_path": "/gone"}')
    done = call("scripts/export.py", tmp_path / "mine", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: --base=/gone: no such folder"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
