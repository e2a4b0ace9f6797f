"""Facts about a model by which a trainer checks that a server has the same one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")


def facts_of(config: Any, dtype: str, banned: Sequence[int] | None) -> dict[str, Any]:
    """Return family and sizes of a model by its configuration, dtype of the arithmetic, and sorted banned tokens."""
    text = config.get_text_config()
    sizes = {name: getattr(text, name, None) for name in SIZES}
    return {"model_type": config.model_type, **sizes, "dtype": dtype, "banned": banned and sorted(banned)}


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """Return, in words, the first fact that differs; None where none does."""
    for name, value in ours.items():
        other = theirs.get(name)
        if other != value:
            told = f"{name} is {other} there and {value} here" if name != "banned" else "it bans other tokens"
            return told if name != "banned" or other else "it bans no tokens: start it by scripts/serve_vllm.py"
    return None
