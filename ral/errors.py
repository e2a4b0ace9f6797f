"""Messages about bad input to the user: an exception and a warning. Imports nothing heavy."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO


class UserError(Exception):
    """Bad input from the user. Its message is one clear line: the fault, the file or key, and what to write instead."""


class UserWarned(UserWarning):
    """A warning about input that does not end a run. Its message is one clear line."""


def warn_in_plain_lines() -> None:
    """Let each UserWarned be printed as `warning: ...`, without file and line of the code; other warnings as before."""
    usual = warnings.showwarning  # not formatwarning, which Lightning sets when it is imported

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarned):
            print(f"warning: {message}", file=file or sys.stderr, flush=True)
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
