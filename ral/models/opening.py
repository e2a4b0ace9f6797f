"""Loading of a model from a folder or hub id, with the class (shared prompts or plain path) that its network allows."""

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
    """Load the model of a folder or hub id. UserError where it is unreadable or unfit.

    share_prompt: whether to compute each prompt once for all its responses; a network that does not allow this gets the
    plain path, with a warning. dtype: dtype of the arithmetic, "float32" or "bfloat16". trained: False freezes every
    weight. freeze_vision: True freezes the vision tower. Frozen weights are in `dtype`, except norms and embeddings
    that it would round; these and all trained weights are fp32. whole: False leaves weights on the meta device until
    they are sharded.
    """
    reason = shareable(read_config(pretrained)) if share_prompt else None
    if reason is not None:
        log.warning("%s: %s: its prompts are computed once per response (the plain path)", pretrained, reason)
    kind = MLLM if share_prompt and reason is None else PlainMLLM
    return kind.load(pretrained, dtype=dtype, freeze_vision=freeze_vision, trained=trained, whole=whole)
