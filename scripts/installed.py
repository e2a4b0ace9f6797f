"""Imported first by every script: one line, and no traceback, where a script is started outside the environment."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # last, so that a `ral` that is installed comes before

import ral.installed  # noqa: F401
