"""TreeBench (Wang et al. 2025, arXiv 2507.07999): TreeBench.tsv of HaochenWang/TreeBench, 405 questions.

Columns image (base64 JPEG), question, multi-choice options (text, one a line), answer (a letter), category, and
target_instances (a list of boxes as text, [left, top, right, bottom] in pixels), as the authors' inference_treebench.py
reads them; the file itself was not seen. Questions of the category OCR hold their options themselves.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from ral.data.entries import Entries
from ral.data.fields import Entry, shown
from ral.data.files import UNPACKED
from ral.data.grounded.boxes import CORNERS, as_own, on_picture
from ral.data.sources import read_file
from ral.types import Example

OCR = "OCR"
OPTIONS = "multi-choice options"


def parse(entry: Entry) -> Example:
    """Return the example of one row. BadSample where a column is missing or malformed."""
    data = entry.data
    fields = {name: data.get(name) for name in ("question", "answer")} | {"image": data.get("image")}
    if data.get("category") != OCR:
        fields["options"] = data.get(OPTIONS)
        if not fields["options"]:
            entry.fail(OPTIONS, "missing or empty", f'a line each, "A. red\\nB. blue", or the category {OCR}')
    category = str(data.get("category") or "").replace("/", " ")
    return on_picture(
        entry, as_own(entry, f"{category}/{entry.number}", fields), "target_instances", _boxes(entry), CORNERS
    )


def _boxes(entry: Entry) -> Any:
    """Return the list that the text of target_instances holds; None for null. BadSample for any other text."""
    value = entry.data.get("target_instances")
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        entry.fail("target_instances", f"{shown(value)} is no list of boxes", f"[[{CORNERS}], ...] in pixels")


def read(path: str | Path, *, unpacked: str | Path = UNPACKED) -> Entries:
    """Return all entries of TreeBench.tsv. unpacked: folder for the copy of the file as JSON lines."""
    return read_file(Path(path), parse=parse, unpacked=Path(unpacked))
