"""Objects from the nodes of a configuration."""

from __future__ import annotations

from typing import Any

from ral.config.schema import Node
from ral.errors import UserError


def instantiate(node: Any, **more: Any) -> Any:
    """Make the object that a `_target_` node names; `more` are further keywords. A node that is None gives None.

    Lists and mappings become plain ones, so that packages below the composition roots need no OmegaConf. UserError
    where the callable raises UserError or ValueError.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate as make

    try:
        return make(node, _convert_="all", **more)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError | ValueError):
            raise UserError(" ".join(str(error.__cause__).split())) from error
        raise


def precision_of(hardware: Node) -> str:
    """Return Lightning's name of the arithmetic, "bf16-mixed" or "32-true": hardware.precision.

    Where that is auto, the arithmetic follows hardware.dtype, the type of frozen weights. hardware: cfg.hardware.
    """
    auto = "bf16-mixed" if hardware["dtype"] == "bfloat16" else "32-true"
    return auto if hardware["precision"] == "auto" else str(hardware["precision"])
