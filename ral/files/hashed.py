"""Hashes of files: content that is written once under its hash, and weights that are told apart."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

ENDS = 2**20
"""Bytes at either end of a file of weights that enter its fingerprint."""


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


def fingerprint(checkpoint: str) -> str | None:
    """Return a hash, 16 hexadecimal digits, of the names, sizes and ends of a folder's *.safetensors files.

    None where there are no such files, as for a hub id.
    """
    files = sorted(Path(checkpoint).glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as handle:
            digest.update(f"{file.name} {size}".encode() + handle.read(ENDS))
            handle.seek(max(0, size - ENDS))
            digest.update(handle.read())
    return digest.hexdigest()[:16] if files else None
