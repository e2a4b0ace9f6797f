"""Synthetic data and benchmarks of scale=tiny: Video-R1's two files and fifteen benchmarks in their schemas."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ral.study.paper import made_clips, made_pictures
from ral.study.paper.graph import Places
from ral.worlds import visual_search

SIZES = {"sft": 384, "train": 384}  # entries
"""Number of entries of each split."""
FILES = {"sft": "Video-R1-COT-165k.json", "train": "Video-R1-260k.json"}
"""{split of visual_search: the file of Video-R1 that it replaces}"""
SEED = 4
"""Seed of the entries, other than the seeds of the default data and of the study."""
OWN = "evidence"
"""Field of visual_search that Video-R1's entries do not have."""
WHOLE = ".whole"
"""Empty file that marks a benchmark's folder as finished."""


def make_inputs(places: Places) -> None:
    """Write the synthetic data and benchmarks into their folders, `places.data` and `places.benchmarks`.

    What is finished there already stays.
    """
    places.data.mkdir(parents=True, exist_ok=True)
    for split, file in FILES.items():
        made = visual_search.make(places.data / "made", split, size=SIZES[split], seed=SEED, free_form_share=0.4)
        write_entries(made, places.data, file)
    for name, write in {**made_clips.MAKERS, **made_pictures.MAKERS}.items():
        folder = places.benchmarks / name
        if not (folder / WHOLE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            write(folder)
            (folder / WHOLE).touch()


def write_entries(made: Path, data: Path, file: str) -> None:
    """Write the entries of a split of visual_search with Video-R1's fields alone.

    made: the split's file. data: the folder to write to, from which paths of media start. file: name of the file to
    write. Nothing is written where that file is not older than `made`.
    """
    if (data / file).exists() and (data / file).stat().st_mtime >= made.stat().st_mtime:
        return
    below = made.parent.relative_to(data)
    entries = [
        {k: f"./{below / v}" if k == "path" else v for k, v in entry.items() if k != OWN}
        for entry in json.loads(made.read_text(encoding="utf-8"))
    ]
    draft = data / f".{file}"
    draft.write_text(json.dumps(entries, indent=1), encoding="utf-8")
    draft.replace(data / file)
