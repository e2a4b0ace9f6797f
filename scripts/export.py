"""Write a checkpoint's policy as a Hugging Face folder, from whole checkpoints and from those in shards.

    python scripts/export.py outputs/.../checkpoints/step_000050 [--output my_model]
    python scripts/export.py outputs/.../checkpoints/step_000050 --overwrite    # in place of what was exported before
    python scripts/export.py outputs/.../adapter        # a run's adapter, or peft's, added into its base model

One process is enough, however many wrote the shards. Adapters (lora.rank) are added in, and lie beside it as adapter/.
The model of an adapter is written to hf/ of its run, or beside the folder to NAME_merged/hf.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ral.errors import UserError
from ral.files.pretrained import ADAPTER, adapter_base
from ral.files.repository import find
from ral.files.targets import HELP, OVERWRITE, check_apart, check_free, replacing
from ral.machine import check_alone

if TYPE_CHECKING:
    from ral.models.mllm import MLLM


def export(checkpoint: Path, output: Path, overwrite: bool = False) -> Path:
    """Write hf/ (and adapter/) below `output`; the folder of the model.

    UserError where the checkpoint is no good, where a model is there already and not to be overwritten, and where that
    is the model that the run began with. What is there stays until the new model is whole.
    """
    from omegaconf import OmegaConf

    from ral.assembly.models import load_policy
    from ral.learner.checkpoints import EXPORTED, verified
    from ral.learner.weights import weights_of
    from ral.models.adapters.lora import merged, save_adapters
    from ral.models.saving import save_network
    from ral.starting import config_of, quiet_libraries

    targets = [output / name for name in EXPORTED]
    check_free(targets, overwrite)
    quiet_libraries()
    config = config_of(verified(checkpoint, key=""))
    if config is None:
        raise UserError(f"{checkpoint.parent.parent / 'config.yaml'}: missing; export from the run's own folder")
    cfg = OmegaConf.create(config)
    cfg.lora.resume, cfg.hardware.shard = None, None  # the checkpoint has the adapters; one process holds all of it
    for target in targets:
        check_apart(target, [Path(str(cfg.model.pretrained))])
    policy = load_policy(cfg)
    trained = weights_of(checkpoint, "policy", dict(policy.trained_parameters()))
    policy.network.load_state_dict(trained, strict=False)  # a tied head follows
    state = policy.network.state_dict()
    with replacing(output) as aside:
        if cfg.lora.rank:
            save_adapters(state, policy.network, str(cfg.model.pretrained), aside / "adapter")
            state = merged(state, policy.network)
        save_network(policy.network, state, policy.processor, aside / "hf")
    return output / "hf"


def export_adapter(adapter: Path, output: Path, base: str | None = None, overwrite: bool = False) -> Path:
    """Write hf/ below `output`: the base model with the adapter in `adapter` added in; return its folder.

    base: folder or hub id of the base model; None for the one that the adapter names. The adapter of a run is added to
    the model that this run trained it on, in 4 bits where it did. UserError where one of them is no good, and where a
    model is there already and not to be overwritten.
    """
    from ral.models.adapters.lora import merged
    from ral.models.saving import save_network
    from ral.starting import quiet_libraries

    target = output / "hf"
    check_free([target], overwrite)
    base = base or adapter_base(adapter)
    check_apart(target, [Path(base)])
    quiet_libraries()
    policy = with_adapter(adapter, base)
    state = merged(policy.network.state_dict(), policy.network)
    with replacing(output) as aside:
        save_network(policy.network, state, policy.processor, aside / "hf")
    return target


def with_adapter(adapter: Path, base: str) -> MLLM:
    """Return the base model with the adapter put on, as its run had it. UserError where one of them is no good."""
    from omegaconf import OmegaConf

    from ral.assembly.models import load_policy
    from ral.models.adapters.files import read_adapters
    from ral.models.loading import named
    from ral.models.opening import load
    from ral.starting import parsed

    run = adapter.parent / "config.yaml"
    with named("--base"):
        if run.is_file():
            cfg = OmegaConf.create(parsed(run, lambda: run.read_text(encoding="utf-8")))
            cfg.model.pretrained, cfg.lora.resume, cfg.hardware.shard = base, str(adapter), None
            return load_policy(cfg)
        policy = load(find(base), trained=False)
    read_adapters(str(adapter), policy).put(policy)
    return policy


def main() -> None:
    """Export the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkpoint", type=lambda text: Path(text).absolute(), help="folder step_N of a run, or of an adapter"
    )
    parser.add_argument("--output", type=Path, help="folder for hf/ (default: exported_step_N in the run's folder)")
    parser.add_argument("--base", help="of an adapter: its base model (default: the one that the adapter names)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    folder: Path = given.checkpoint
    try:
        check_alone(os.environ, "scripts/export.py")
        if (folder / ADAPTER).is_file():
            merged = folder.parent if (folder.parent / "config.yaml").is_file() else Path(f"{folder}_merged")
            print(f"model: {export_adapter(folder, given.output or merged, given.base, given.overwrite)}")
        else:
            output = given.output or folder.parents[1] / f"exported_{folder.name}"
            print(f"model: {export(folder, output, given.overwrite)}")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
