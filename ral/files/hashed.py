"""Files that are named by the hash of their content, so that the same content is written once."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal digits. The text may hold bytes that are not UTF-8, as names of files
    do.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def store(folder: Path, content: bytes, suffix: str, spread: bool = False) -> Path:
    """Return the absolute path of the file in `folder` with this content; write it unless it is there.

    The file is named by its SHA-256 and `suffix`; it is written under another name, then renamed. spread: True to use
    subfolders named by the first two digits, for very many files. OSError where it cannot be written.
    """
    digest = hashlib.sha256(content).hexdigest()
    path = (folder / (digest[:2] if spread else "") / f"{digest}{suffix}").absolute()
    if path.exists():
        return path
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise
    return path
