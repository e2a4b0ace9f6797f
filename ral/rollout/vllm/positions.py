"""Positions of a prompt's tokens in vLLM by the trainer's own rule.

In vLLM 0.32 the text after a video continues after the video's last time slot, in Transformers 5 after its rows and
columns too: text after a long video would have other positions. vLLM is given the family's rule of the installed
Transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from ral.models.family import IMAGE, VIDEO
from ral.models.registry import FAMILIES
from ral.models.states import TokenRows


def use_own_positions(model: Any) -> None:
    """Make a vLLM model compute positions by its family's rule (NetworkRules.positions), in place."""
    kind = MODEL_MAPPING[type(model.config)]
    rule = kind.__new__(kind)  # for the network's rule of positions alone, without weights
    nn.Module.__init__(rule)
    rule.config = model.config
    positions = FAMILIES[model.config.model_type].network.positions

    def get_mrope_input_positions(self: Any, input_tokens: list[int], mm_features: Sequence[Any]) -> tuple[Tensor, int]:
        ids = torch.tensor([input_tokens])
        kinds = (ids == self.config.image_token_id) * IMAGE + (ids == self.config.video_token_id) * VIDEO
        rows = TokenRows(ids, torch.ones_like(ids, dtype=torch.bool), media_of(mm_features))
        found = positions(rule, rows, kinds.int())[:, 0]
        return found, int(found.max()) + 1 - len(input_tokens)

    model.get_mrope_input_positions = MethodType(get_mrope_input_positions, model)


def media_of(features: Sequence[Any]) -> dict[str, Tensor]:
    """Return {name: patch grids, or seconds per time slot} of a prompt's media, stacked in the order of placeholders.

    features: vLLM's features of the prompt's media.
    """
    found: dict[str, list[Tensor]] = {}
    for feature in sorted(features, key=lambda feature: feature.mm_position.offset):
        for name in ("image_grid_thw", "video_grid_thw", "second_per_grid_ts"):
            if (element := feature.data.get(name)) is not None:
                found.setdefault(name, []).append(torch.as_tensor(element.data))
    return {name: torch.stack(values) for name, values in found.items()}
