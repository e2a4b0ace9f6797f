"""Messages about bad input to the user: an exception, or a warning. Alone here: reporting needs no heavy import."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO


class UserError(Exception):
    """Bad input from the user. Its message is one clear line: what was wrong, where, and what to write instead."""


class UserWarned(UserWarning):
    """Something that a run goes on in spite of. Its message is one clear line."""


def warn_in_plain_lines() -> None:
    """Let each UserWarned be shown as `warning: ...`, without the file and line of the code; others as ever."""
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
