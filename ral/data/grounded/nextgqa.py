"""NExT-GQA (Xiao et al. 2024, arXiv 2309.01327): questions on videos, with the seconds in which their answer is seen.

The files of github.com/doc-doc/NExT-GQA, datasets/nextgqa: SPLIT.csv (video_id, question, answer, qid, type, a0 .. a4;
the answer is the text of an option), gsub_SPLIT.json ({video: {"duration": s, "location": {qid: [[start, end], ...]},
"fps": ...}}) and map_vid_vidorID.json ({video: "0101/2909445186"}). SPLIT is val or test, since the train split has no
times. Videos are NExTVideo/0101/2909445186.mp4 beside these files, or below media_root.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ral.data.bad import BadSample
from ral.data.entries import Entries
from ral.data.fields import Entry, shown
from ral.data.files import located
from ral.data.grounded.boxes import as_own, spans_of
from ral.data.sources import SPLITS, TRAINING
from ral.types import Example, UserError

COLUMNS = ("video_id", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4")
KINDS = {"C": "causal", "T": "temporal", "D": "descriptive"}  # by the first letter of `type`, such as CW or TN
EXPECTED = "val.csv, test.csv, gsub_val.json, gsub_test.json and map_vid_vidorID.json of NExT-GQA"
FOLDERS = ("NExTVideo", "videos", "")


class Questions:
    """The rows of SPLIT.csv with their times. UserError for a file that is missing or has another layout."""

    def __init__(self, folder: Path, split: str) -> None:
        self.path, self.shape = folder / f"{split}.csv", "a CSV of questions beside a JSON of their times"
        self.times, self.videos = _object(folder / f"gsub_{split}.json"), _object(folder / "map_vid_vidorID.json")
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                self.table = list(csv.DictReader(file))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(f"{self.path}: cannot be read ({type(error).__name__}); expected {EXPECTED}") from error
        missing = [column for column in COLUMNS if not self.table or column not in self.table[0]]
        if missing:
            raise UserError(f"{self.path}: has no column '{missing[0]}'; expected {EXPECTED}")

    def __len__(self) -> int:
        return len(self.table)

    def row(self, index: int) -> dict[str, Any]:
        """Return the question at a position, with "file" and "times" of its video and "id".

        BadSample for a row of another length than the header.
        """
        found = self.table[index]
        if None in found or None in found.values():
            problem, write = (
                "has another number of cells than the first row",
                "write as many, with quotes around commas",
            )
            raise BadSample(f"{self.path}: entry {index + 1}", problem, write)
        video = found["video_id"]
        clip = {"file": self.videos.get(video, video), "times": self.times.get(video)}
        return {**found, **clip, "id": f"{video}/{found['qid']}"}

    def ids(self) -> list[dict[str, str]]:
        """Return {"id": video/question} of all rows, for `ral.data.names.repeated`."""
        return [{"id": f"{found['video_id']}/{found['qid']}"} for found in self.table]


def _object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. UserError where it cannot be read, or is no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({type(error).__name__}); expected {EXPECTED}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: is no object by the names of clips; expected {EXPECTED}")
    return found


def parse(entry: Entry) -> Example:
    """Return the example of one question. BadSample where a field is malformed, or a time lies outside the video."""
    data = entry.data
    names = [Path(folder, f"{data['file']}.mp4") for folder in FOLDERS]
    clip = next((name for name in names if (entry.media_root / name).is_file()), names[0])
    fields = {"question": data["question"], "answer": data["answer"], "video": str(clip)}
    fields |= {"options": [data[f"a{n}"] for n in range(5)], "problem_type": "multiple choice"}
    example = as_own(entry, f"{KINDS.get(str(data['type'])[:1], 'other')}/{data['id']}", fields)
    times = _object_in(entry, data, "times", '{"duration": 35, "location": {...}}')
    location = _object_in(entry, times, "location", '{"8": [[2.5, 7.0]]}')
    return replace(example, evidence=spans_of(entry, "location", location.get(data["qid"]), times.get("duration")))


def _object_in(entry: Entry, data: Mapping[str, Any], field: str, wanted: str) -> Mapping[str, Any]:
    """Return the object in a field; {} where it is missing or null. BadSample for any other value."""
    value = data.get(field)
    if value is not None and not isinstance(value, Mapping):
        entry.fail(field, f"{shown(value)} is no object", wanted)
    return value or {}


def read(path: str | Path, *, split: str = "test", media_root: str | Path | None = None) -> Entries:
    """Return the questions of one published split, "val" or "test", in a folder.

    media_root: folder of the videos; None: `path`. UserError for files that are missing or have another layout.
    """
    folder = located(path)
    rows = Questions(folder, split)
    return Entries(rows, folder if media_root is None else located(media_root), parse, range(len(rows)))


def source(split: str, *, path: str | Path, media_root: str | Path | None = None, limit: int | None = None) -> Entries:
    """Return the examples of a split: the published val, which has times, for training; the published test is held out.

    media_root: as in `read`. limit: first training entries to keep; None for all. UserError for an unknown split, and
    for files that are missing or have another layout.
    """
    if split not in SPLITS:
        raise UserError(f"{path}: unknown split {split!r}; write one of {', '.join(SPLITS)}")
    entries = read(path, split="val" if split in TRAINING else "test", media_root=media_root)
    return entries[:limit] if split in TRAINING else entries
