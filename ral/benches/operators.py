"""Definitions that let torchvision be imported beside a CPU build of torch, without its compiled operators."""

from __future__ import annotations

from importlib.metadata import version

import torch


def name_missing_operators() -> torch.library.Library | None:
    """Return a library that defines the operators which torchvision's import looks up; None where torchvision has them.

    The definitions last as long as the library is referenced.
    """
    if torch.version.cuda is not None or "+" in version("torchvision"):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
