"""What libraries print when they are imported does not reach a user."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_importing_adapters_prints_nothing() -> None:
    pytest.importorskip("bitsandbytes")
    code = (
        "import logging, ral.models.adapters.lora; "
        "logging.getLogger('bitsandbytes.backends.cpu.ops').warning('no kernel for CPUs')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert (run.stdout, run.stderr) == ("", "")
