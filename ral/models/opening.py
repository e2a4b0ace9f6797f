"""The opening of a model: from a folder or hub id to the class whose path can serve it."""

from __future__ import annotations

import logging

from ral.models.mllm import MLLM
from ral.models.network_config import read_config, shareable
from ral.models.plain import PlainMLLM

log = logging.getLogger(__name__)


def load(
    pretrained: str,
    *,
    share_prompt: bool = True,
    dtype: str = "float32",
    freeze_vision: bool = True,
    trained: bool = True,
    whole: bool = True,
) -> MLLM:
    """Return the model of a folder or hub id, on the shared-prompt path where it can go there, else on the plain one.

    trained: False for a model whose own weights never change, so that all of them are in `dtype`. whole: False for a
    network on the meta device, whose weights are read when it is sharded.
    """
    reason = shareable(read_config(pretrained)) if share_prompt else None
    if reason is not None:
        log.warning("%s: %s: its prompts are computed once per response (the plain path)", pretrained, reason)
    kind = MLLM if share_prompt and reason is None else PlainMLLM
    return kind.load(pretrained, dtype=dtype, freeze_vision=freeze_vision, trained=trained, whole=whole)
