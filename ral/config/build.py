"""Makes objects from the nodes of a configuration."""

from __future__ import annotations

from typing import Any

from ral.config.schema import Node
from ral.errors import UserError


def instantiate(node: Any, **more: Any) -> Any:
    """Return the object that a `_target_` node describes: call the named callable with the node's keywords and `more`.

    A node that is None gives None. Lists and mappings of OmegaConf become plain ones, so that the callables need no
    OmegaConf. UserError where the callable raises UserError or ValueError; after any other error of the callable
    Hydra's InstantiationException.
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
    """Return hardware.precision, Lightning's name of the arithmetic: "bf16-mixed" or "32-true".

    A precision of auto gives the one that fits hardware.dtype, the type of frozen weights. hardware: that node of a
    configuration.
    """
    auto = "bf16-mixed" if hardware["dtype"] == "bfloat16" else "32-true"
    return auto if hardware["precision"] == "auto" else str(hardware["precision"])
