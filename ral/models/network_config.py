"""config.json of a model: reading, checks, and whether responses can share a prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, AutoConfig, Cache, PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from ral.errors import UserError
from ral.files.pretrained import OWN_FAMILY, check_folder
from ral.files.repository import find
from ral.models.attention.kinds import FULL, LINEAR, layer_types
from ral.models.config_fields import check_fields
from ral.models.registry import FAMILIES

SECTIONS = {
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), (16, 24, 24)),
    "qwen3_vl": (24, 20, 20),
    "qwen3_5": (11, 11, 10),
}
"""model_type -> the sections of mRoPE that Transformers takes where config.json names none."""


def read_config(pretrained: str) -> PreTrainedConfig:
    """Return config.json of a model folder or hub id.

    UserError where the folder is not whole, or config.json cannot be read, is of no known family, or has impossible
    fields.
    """
    check_folder(pretrained)
    check_known(pretrained)
    try:
        config = AutoConfig.from_pretrained(find(pretrained))
    except Exception as error:  # checks of its fields have classes of their own in each release of Transformers
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        if Path(find(pretrained)).is_dir():
            reason = re.sub(r"^\w*(?:Error|Exception): ", "", next((s for s in lines if not s.endswith(":")), lines[0]))
            problem = f"config.json does not fit its model ({reason}); take the one that the model came with"
        else:
            problem = f"no folder, and no hub id that can be read ({lines[0]})"
        raise UserError(f"model.pretrained={pretrained}: {problem}") from error
    if config.model_type not in FAMILIES:
        raise UserError(
            f"model.pretrained={pretrained}: config.json says model_type {config.model_type!r}; "
            f"this project trains {', '.join(FAMILIES)}{OWN_FAMILY}"
        )
    check_fields(pretrained, config)
    check_rotation(pretrained, config.get_text_config(), SECTIONS.get(config.model_type))
    return config


def check_known(pretrained: str) -> None:
    """Raise UserError where config.json is of a family of FAMILIES that the installed Transformers lacks."""
    file = Path(find(pretrained)) / "config.json"
    family = json.loads(file.read_text()).get("model_type") if file.is_file() else None
    if family in FAMILIES and family not in CONFIG_MAPPING:
        raise UserError(
            f"model.pretrained={pretrained}: Transformers {transformers.__version__} does not know model_type "
            f"{family!r}: pip install -U transformers"
        )


def check_rotation(pretrained: str, text: Any, default: Sequence[int] | None = None) -> None:
    """Raise UserError unless the sections of mRoPE (time, row, column) cover half of a head's dimensions.

    text: the text model's configuration. default: the sections that the network takes where config.json names none;
    None for a network without sections.
    """
    rope = getattr(text, "rope_parameters", None) or {}
    named = rope.get("mrope_section")
    sections = default if named is None else named
    if sections is None:
        return
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    half = int(head * rope.get("partial_rotary_factor", 1.0)) // 2
    if sum(sections) != half:
        has = (
            "has no mrope_section (rope_parameters), so that the network takes"
            if named is None
            else "has mrope_section"
        )
        raise UserError(
            f"model.pretrained={pretrained}: config.json {has} {list(sections)}, whose sum is {sum(sections)} and has "
            f"to be {half}, half of a head's {head} dimensions; take the one that the model came with"
        )


def shareable(config: Any) -> str | None:
    """Return, in words, why responses cannot share a prompt in a network with this `config`; None where they can."""
    family = FAMILIES.get(config.model_type)
    handed = family is not None and family.network.hands_states
    for layer, kind in enumerate(layer_types(config)):
        if kind == LINEAR and handed:
            if missing := without_states():
                return missing
        elif kind != FULL:
            return f"decoder layer {layer} has {kind}, and responses share a prompt only through full_attention"
    return None


def without_states() -> str | None:
    """Return, in words, that the installed Transformers cannot hand linear-attention states to responses; else None."""
    asked = hasattr(Cache, "get_conv_state") and hasattr(Cache, "get_recurrent_state")
    if asked and hasattr(GradientCheckpointingLayer, "_can_checkpoint_with_cache"):
        return None
    return f"Transformers {transformers.__version__} does not ask a cache for its linear-attention layers' states"
