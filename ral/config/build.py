"""Objects from the nodes of a configuration."""

from __future__ import annotations

from typing import Any

from ral.config.schema import Node


def instantiate(node: Any, **more: Any) -> Any:
    """Make what a `_target_` node names; its lists and mappings come as plain ones, so that below the composition
    roots nothing knows of OmegaConf."""
    from hydra.utils import instantiate as make

    return make(node, _convert_="all", **more)


def precision_of(hardware: Node) -> str:
    """Return Lightning's name of the arithmetic: that of hardware.precision, or with auto that of hardware.dtype."""
    auto = "bf16-mixed" if hardware["dtype"] == "bfloat16" else "32-true"
    return auto if hardware["precision"] == "auto" else str(hardware["precision"])
