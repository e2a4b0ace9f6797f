"""Models of a checkpoint, and of an adapter added into its base model, as Hugging Face folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from transformers.utils.logging import disable_progress_bar

from ral.assembly.models import load_policy
from ral.files.pretrained import ADAPTER, ADAPTER_WEIGHTS, RESUME, check_adapter, read_json
from ral.files.repository import find
from ral.files.targets import check_apart, check_free, replacing
from ral.learner.checkpoints import EXPORTED, verified
from ral.learner.weights import weights_of
from ral.models.adapters.files import read_adapters
from ral.models.adapters.lora import merged, save_adapters
from ral.models.loading import named
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.models.saving import save_network
from ral.types import UserError


def write_merged(adapter: Path, output: Path | None = None, base: str | None = None, overwrite: bool = False) -> Path:
    """Write hf/ below `output`: the base model with the adapter in the folder `adapter` added in. Return its folder.

    output: None for the adapter's run, or for NAME_merged beside an adapter of no run. base: folder or hub id of the
    base model; None for the one that the adapter names. UserError where one of them is no good, and where a model is
    there already and not to be overwritten.
    """
    run = adapter.parent / "config.yaml"
    output = output or (adapter.parent if run.is_file() else adapter.with_name(f"{adapter.name}_merged"))
    check_free([output / "hf"], overwrite)
    with as_typed(adapter):
        check_adapter(str(adapter))
        base = base or own_base(adapter)
        check_apart(output / "hf", [Path(base)])
        disable_progress_bar()  # of loading and writing weights
        policy = with_adapter(adapter, base, run if run.is_file() else None)
    state = merged(policy.network.state_dict(), policy.network)
    with replacing(output) as aside:
        save_network(policy.network, state, policy.processor, aside / "hf")
    return output / "hf"


def write_checkpoint(
    checkpoint: Path, config_of: Callable[[Path], dict[str, Any] | None], output: Path, overwrite: bool = False
) -> Path:
    """Write hf/ (and adapter/) below `output`; return the folder of the model.

    config_of: function, checkpoint -> the configuration that it was made with, or None. UserError where the checkpoint
    is no good, where a model is there already and not to be overwritten, and where that is the model that the run began
    with. What is there stays until the new model is whole.
    """
    targets = [output / name for name in EXPORTED]
    check_free(targets, overwrite)
    config = config_of(verified(checkpoint, key=""))
    if config is None:
        raise UserError(f"{checkpoint.parent.parent / 'config.yaml'}: missing; export from the run's own folder")
    cfg = OmegaConf.create(config)
    cfg.lora.resume, cfg.hardware.shard = None, None  # the checkpoint has the adapters; one process holds all of it
    for target in targets:
        check_apart(target, [Path(str(cfg.model.pretrained))])
    policy = load_policy(cfg)
    with as_typed(checkpoint):
        trained = weights_of(checkpoint, "policy", dict(policy.trained_parameters()))
    policy.network.load_state_dict(trained, strict=False)  # a tied head follows
    state = policy.network.state_dict()
    with replacing(output) as aside:
        if cfg.lora.rank:
            save_adapters(state, policy.network, str(cfg.model.pretrained), aside / "adapter")
            state = merged(state, policy.network)
        save_network(policy.network, state, policy.processor, aside / "hf")
    return output / "hf"


@contextmanager
def as_typed(folder: Path) -> Iterator[None]:
    """Let UserErrors inside the block name `folder`, which the command line has, in place of settings of train.py."""
    try:
        yield
    except UserError as error:
        said = str(error).replace(f"{RESUME}={folder}", str(folder))
        raise UserError(re.sub("^resume: ", f"{folder}: ", said)) from error


def own_base(adapter: Path) -> str:
    """Return the name of the base model in adapter_config.json. UserError where it has none."""
    named: str | None = read_json(adapter / ADAPTER, str(adapter)).get("base_model_name_or_path")
    if not named:
        raise UserError(f"{adapter}: {ADAPTER} names no base model: add --base <folder or hub id>")
    return named


def refuse_no_adapter(folder: Path) -> None:
    """Raise UserError for a file, and for a folder that looks like one of an adapter and lacks adapter_config.json."""
    if (inner := folder / "adapter" / ADAPTER).is_file() and not (folder / "checkpoints").is_dir():
        raise UserError(f"{folder}: the folder of a run; write its adapter, {inner.parent}")
    if folder.is_file():
        raise UserError(f"{folder}: a file; write its folder, {folder.parent}")
    lost = [name for name in ADAPTER_WEIGHTS if (folder / name).exists()]
    if lost:
        raise UserError(f"{folder}: {lost[0]} is there, and {ADAPTER} is missing: take both from one source")


def with_adapter(adapter: Path, base: str, run: Path | None) -> MLLM:
    """Return the base model with the adapter put on: in 4 bits where its run trained it so.

    run: config.yaml of the adapter's run; None for an adapter of no run. UserError where one of them is no good.
    """
    with named("--base"):
        if run is not None:
            cfg = _config(run)
            cfg.model.pretrained, cfg.lora.resume, cfg.hardware.shard = base, str(adapter), None
            cfg.lora.rank = 0  # the adapter says its own
            return load_policy(cfg)
        policy = load(find(base), trained=False)
    read_adapters(str(adapter), policy).put(policy)
    return policy


def _config(run: Path) -> DictConfig:
    """Return the configuration of a run. UserError where the file is none."""
    try:
        cfg = OmegaConf.load(run)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{run}: cannot be read, and says how the adapter was trained: move adapter/ away") from error
    if not isinstance(cfg, DictConfig) or not {"model", "lora", "hardware"} <= set(cfg):
        raise UserError(f"{run}: no configuration of a run, which says how the adapter was trained: move adapter/ away")
    return cfg
