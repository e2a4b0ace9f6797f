"""What a user is told of bad input: an exception, or a warning. Alone here, so that reporting needs no heavy import."""

from __future__ import annotations

import warnings


class UserError(Exception):
    """Bad input from the user. Its message is one clear line: what was wrong, where, and what to write instead."""


class UserWarned(UserWarning):
    """Something that a run goes on in spite of. Its message is one clear line."""


def warn_in_plain_lines() -> None:
    """Let each UserWarned be shown as `warning: ...`, without the file and line of the code; others as ever."""
    usual = warnings.formatwarning

    def line(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, UserWarned):
            return f"warning: {message}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = line
