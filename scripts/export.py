"""Write a checkpoint's policy as a Hugging Face folder, from whole checkpoints and from those in shards.

    python scripts/export.py outputs/.../checkpoints/step_000050 [--output my_model]
    python scripts/export.py outputs/.../checkpoints/step_000050 --overwrite    # in place of what was exported before

One process is enough, however many wrote the shards. Adapters (lora.rank) are added in, and lie beside it as adapter/.
"""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import os
import sys
from pathlib import Path

from ral.errors import UserError
from ral.files.targets import HELP, OVERWRITE, check_apart, check_free, replacing
from ral.machine import check_alone


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


def main() -> None:
    """Export the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=lambda text: Path(text).absolute(), help="folder step_N of a run")
    parser.add_argument("--output", type=Path, help="folder for hf/ (default: exported_step_N in the run's folder)")
    parser.add_argument(OVERWRITE, action="store_true", help=HELP)
    given = parser.parse_args()
    output = given.output or given.checkpoint.parents[1] / f"exported_{given.checkpoint.name}"
    try:
        check_alone(os.environ, "scripts/export.py")
        print(f"model: {export(given.checkpoint, output, given.overwrite)}")
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
