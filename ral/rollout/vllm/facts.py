"""Facts about a model by which a trainer checks that a server holds the same model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")


def facts_of(config: Any, dtype: str, banned: Sequence[int] | None) -> dict[str, Any]:
    """Return facts about a model, as JSON values: its family, sizes, dtype of the arithmetic, and sorted banned tokens.

    config: Transformers' configuration of the model. dtype: name of the dtype in torch. banned: ids of the banned
    tokens; None where they are not known.
    """
    text = config.get_text_config()
    sizes = {name: getattr(text, name, None) for name in SIZES}
    return {"model_type": config.model_type, **sizes, "dtype": dtype, "banned": banned and sorted(banned)}


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """Return, in words, the first of the trainer's facts that differs from the server's; None where all are equal."""
    for name, value in ours.items():
        other = theirs.get(name)
        if other != value:
            told = f"{name} is {other} there and {value} here" if name != "banned" else "it bans other tokens"
            return told if name != "banned" or other else "it bans no tokens: start it by scripts/serve_vllm.py"
    return None
