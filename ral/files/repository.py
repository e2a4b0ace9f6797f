"""This repository on disk: its root, its programs, and the model shipped with it. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent if (PACKAGE.parent / "train.py").is_file() else PACKAGE / "shipped"
"""Root of the checkout; of an installed package, the folder with conf/ and the shipped model (setup.py)."""
CONF, DOCS, OUTPUTS = ROOT / "conf", ROOT / "docs", ROOT / "outputs"
TRAIN, EVALUATE = ROOT / "train.py", ROOT / "evaluate.py"
SHIPPED = "assets/tiny"
"""The shipped model as configurations name it, relative to ROOT."""


def find(pretrained: str) -> str:
    """Return the path of the model's folder that `pretrained` names; a hub id is returned as it is.

    `~` is expanded. A path below the working directory comes first, then one below ROOT.
    """
    path = Path(pretrained).expanduser()
    own = ROOT / path
    return str(own if not path.exists() and own.exists() else path)
