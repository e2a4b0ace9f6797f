"""Objects from the nodes of a configuration."""

from __future__ import annotations

from typing import Any

from ral.config.schema import Node
from ral.errors import UserError


def instantiate(node: Any, **more: Any) -> Any:
    """Make what a `_target_` node names; its lists and mappings come as plain ones, so that below the composition
    roots nothing knows of OmegaConf. UserError for a value that what is named refuses."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate as make

    try:
        return make(node, _convert_="all", **more)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError | ValueError):
            raise UserError(" ".join(str(error.__cause__).split())) from error
        raise


def precision_of(hardware: Node) -> str:
    """Return Lightning's name of the arithmetic: that of hardware.precision, or with auto that of hardware.dtype."""
    auto = "bf16-mixed" if hardware["dtype"] == "bfloat16" else "32-true"
    return auto if hardware["precision"] == "auto" else str(hardware["precision"])
