"""This repository on disk: its root, its programs, and the model that is shipped in it. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent if (PACKAGE.parent / "train.py").is_file() else PACKAGE / "shipped"
"""The checkout; of an installed package, where its build has put conf/ and the shipped model (setup.py)."""
CONF, DOCS, OUTPUTS = ROOT / "conf", ROOT / "docs", ROOT / "outputs"
TRAIN, EVALUATE = ROOT / "train.py", ROOT / "evaluate.py"
SHIPPED = "assets/tiny"
"""The shipped model as configurations name it: relative to the root."""


def find(pretrained: str) -> str:
    """Return the folder that is meant, `~` and this repository's own included; a hub id as it is."""
    path = Path(pretrained).expanduser()
    own = ROOT / path
    return str(own if not path.exists() and own.exists() else path)
