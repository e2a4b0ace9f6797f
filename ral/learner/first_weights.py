"""Loading of sharded networks: each rank reads its part of the weights, all ranks check the whole."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ral.files.pretrained import KEY
from ral.learner.ranks import gather, together
from ral.models.filling import fill, joined
from ral.models.loading import check_numbers, named
from ral.models.mllm import MLLM
from ral.models.norms import multiplying
from ral.models.sharding import reshard
from ral.models.stored import own_name
from ral.models.tokens import check_seen

KEYS = {"teacher": "model.teacher"}
"""{network: configuration key that names its folder}; the key of all others is model.pretrained."""


def load_shards(networks: Mapping[str, MLLM], device: torch.device) -> None:
    """Read this rank's part of the weights of networks that are not loaded yet, onto `device`; every rank must call it.

    networks: {name: network}. UserError, on all ranks, where one of them cannot read its part; where weights are not
    finite or too large, matrices of a part are mostly zeros, or a norm's weight is all zeros; and where the embeddings
    of images and videos do not fit the placeholder tokens.
    """
    waiting = {name: model for name, model in networks.items() if model.stored is not None}
    found = together(lambda: fill(waiting, device))
    for name, numbers in joined(gather(found)).items():
        with named(KEYS.get(name, KEY)):
            norms = frozenset(map(own_name, multiplying(waiting[name].network)))
            check_numbers(waiting[name].processor.name, numbers, norms)
    for model in waiting.values():
        check_seen(model.processor, model.prepare)
        reshard(model)
