"""Lets torchvision load beside a CPU build of torch, for which its compiled operators were not built."""

from __future__ import annotations

from importlib.metadata import version

import torch


def name_missing_operators() -> torch.library.Library | None:
    """Name the operators that torchvision's import asks for; they go with the result. None where they are there."""
    if torch.version.cuda is not None or "+" in version("torchvision"):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
