"""scripts/export.py: one process writes the model of a checkpoint that several wrote in shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from commands import call
from conftest import CONF, load_script
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from ral.assembly.exported import as_typed, refuse_no_adapter, write_merged
from ral.assembly.models import load_policy
from ral.errors import UserError
from ral.files.pretrained import check_folder
from ral.learner.checkpoints import CONFIG, FILE
from ral.learner.shards import FOLDER, write_shards
from ral.models.adapters.lora import Adapters, add_adapters, merged, save_adapters
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
    save_file({"a": torch.ones(1)}, tmp_path / "mine" / "adapter_model.safetensors")
    done = call("scripts/export.py", tmp_path / "mine", folder=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: --base=/gone: no such folder"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, model_folder: Callable[..., Path]) -> Path:
    """An adapter of no run, as peft writes one."""
    policy = load(base := str(model_folder()))
    add_adapters(policy, Adapters(2, 4.0, ("q_proj",)), seed=0)
    folder = tmp_path_factory.mktemp("adapters") / "whole"
    save_adapters(policy.network.state_dict(), policy.network, base, folder)
    return folder


def of_config(**facts: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | facts))

    return change


def halved(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(file).items() if "lora_A" in name}, file)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"x"), "is cut off or no safetensors file"),
        (of_config(r=8), "and adapter_config.json beside it says r=8"),
        (of_config(use_dora=True), "DoRA, which this project does not train; merge it into its model with peft's"),
        (of_config(peft_type="IA3"), "says peft_type 'IA3'; only LORA is read"),
        (of_config(base_model_name_or_path=None), "names no base model: add --base <folder or hub id>"),
        (halved, "adapter_model.safetensors lacks layers.0"),
    ],
)
def test_a_broken_adapter_is_named_as_it_was_typed(
    change: Callable[[Path], None], words: str, adapter: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "mine"))
    change(folder)
    with pytest.raises(UserError) as told:
        write_merged(folder)
    assert str(told.value).startswith(f"{folder}: ") and words in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_is_no_adapter_says_what_is_lacking(adapter: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    folder = Path(shutil.copytree(adapter, run / "adapter"))
    for typed, words in [
        (run, f"the folder of a run; write its adapter, {folder}"),
        (folder / "adapter_config.json", f"a file; write its folder, {folder}"),
    ]:
        with pytest.raises(UserError, match=f"{typed}: {words}"):
            refuse_no_adapter(typed)
    refuse_no_adapter(tmp_path)
    (folder / "adapter_config.json").unlink()
    with pytest.raises(UserError, match=r"safetensors is there, and adapter_config.json is missing"):
        refuse_no_adapter(folder)


def test_a_checkpoint_is_named_as_it_was_typed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}: a/state.pt cannot be read$"), as_typed(tmp_path):
        raise UserError("resume: a/state.pt cannot be read")
