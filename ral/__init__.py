"""Reinforced Attention Learning: reinforce where a multimodal language model looks.

For notebooks and programs: `ral.load`, `ral.sample`, `ral.attention_rows`, `ral.overlay`, `ral.compose`, `ral.train`,
`ral.evaluate`, `ral.knockout` (docs/python.md). Each is imported when it is first asked for, so `import ral` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ral.api.looks import attention_rows as attention_rows
    from ral.api.looks import load as load
    from ral.api.looks import overlay as overlay
    from ral.api.looks import sample as sample
    from ral.api.runs import compose as compose
    from ral.api.runs import evaluate as evaluate
    from ral.api.runs import knockout as knockout
    from ral.api.runs import train as train
    from ral.errors import UserError as UserError

__version__ = "0.2.0"

_FROM = {
    **dict.fromkeys(("load", "sample", "attention_rows", "overlay"), "ral.api.looks"),
    **dict.fromkeys(("compose", "train", "evaluate", "knockout"), "ral.api.runs"),
    "UserError": "ral.errors",
}
"""Name -> the module that it is imported from when it is asked for (PEP 562)."""

__all__ = ["UserError", "attention_rows", "compose", "evaluate", "knockout", "load", "overlay", "sample", "train"]


def __getattr__(name: str) -> Any:
    """Import and return a public name of this package. AttributeError for any other name."""
    if name not in _FROM:
        raise AttributeError(f"module 'ral' has no attribute {name!r}: it has {', '.join(__all__)}")
    return getattr(import_module(_FROM[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
