"""Write a checkpoint's policy as a Hugging Face folder, from whole checkpoints and from those in shards.

    python scripts/export.py outputs/.../checkpoints/step_000050 [--output my_model]

One process is enough, however many wrote the shards. Adapters (lora.rank) are added in, and lie beside it as adapter/.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ral.errors import UserError
from ral.machine import check_alone

if TYPE_CHECKING:
    from ral.models.mllm import MLLM


def trained_weights(policy: MLLM, checkpoint: Path) -> dict[str, Any]:
    """The weights that the checkpoint has of the policy."""
    import torch

    from ral.learner.checkpoints import read
    from ral.learner.shards import FOLDER, read_shards

    state = read(checkpoint)
    if "weights" not in state:
        state = {"weights": {"policy": {n: torch.empty_like(p) for n, p in policy.trained_parameters()}}}
        read_shards(state, checkpoint / FOLDER)
    return state["weights"]["policy"]


def export(checkpoint: Path, output: Path) -> Path:
    """Write hf/ (and adapter/) below `output`; the folder of the model. UserError where the checkpoint is no good."""
    from omegaconf import OmegaConf

    from ral.assembly.models import load_policy
    from ral.learner.checkpoints import verified
    from ral.models.adapters.lora import merged, save_adapters
    from ral.models.saving import save_network
    from ral.starting import config_of, quiet_libraries

    quiet_libraries()
    config = config_of(verified(checkpoint, key=""))
    if config is None:
        raise UserError(f"{checkpoint.parent.parent / 'config.yaml'}: missing; export from the run's own folder")
    cfg = OmegaConf.create(config)
    cfg.lora.resume, cfg.hardware.shard = None, None  # the checkpoint has the adapters; one process holds all of it
    policy = load_policy(cfg)
    policy.network.load_state_dict(trained_weights(policy, checkpoint), strict=False)  # a tied head follows
    state = policy.network.state_dict()
    if cfg.lora.rank:
        save_adapters(state, policy.network, str(cfg.model.pretrained), output / "adapter")
        state = merged(state, policy.network)
    save_network(policy.network, state, policy.processor, output / "hf")
    return output / "hf"


def main() -> None:
    """Export the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=lambda text: Path(text).absolute(), help="folder step_N of a run")
    parser.add_argument("--output", type=Path, help="folder for hf/ (default: exported_step_N in the run's folder)")
    given = parser.parse_args()
    output = given.output or given.checkpoint.parents[1] / f"exported_{given.checkpoint.name}"
    try:
        check_alone(os.environ, "scripts/export.py")
        print(f"model: {export(given.checkpoint, output)}")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
