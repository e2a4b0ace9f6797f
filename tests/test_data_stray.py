"""Times and numbers of frames beside a clip that nothing reads are refused; what only describes it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own


def clip(folder: Path, **fields: Any) -> None:
    (folder / "c.mp4").write_bytes(b"not opened here")
    data = {"question": "What?", "answer": "x", "video": "c.mp4", **fields}
    parse_own(Entry(folder / "data.jsonl", 7, data, folder))


PARTS = [
    *[("timestamps", [0.0, 0.5, 1.0], "video_start and video_end"), ("timestamps", ["00:01", "00:02"], "video_end")],
    *[("timestamp", "00:03:12", "video_start and video_end"), ("ts", [2, 5], "video_start and video_end")],
    *[("video_timestamps", [[1, 2], [3, 4]], "video_end"), ("frame_timestamps", [0.1], "video_end")],
    *[("video_start_time", 3, "video_start, in seconds"), ("videoEndTime", "00:05", "video_end, in seconds")],
    *[("startTime", 1.5, "video_start, in seconds"), ("clip-end", 9, "video_end, in seconds")],
    *[("frame_idx", [1, 2, 3], "these frames as pictures in order"), ("frame_indices", [4], "or nframes")],
    *[
        ("segment", [1, 2], "video_end"),
        ("clip_segment", {"from": 1, "to": 2}, "video_end"),
        ("start", 1, "video_start"),
    ],
]


@pytest.mark.parametrize(("name", "value", "write"), PARTS, ids=str)
def test_parts_of_a_clip_that_nothing_reads(tmp_path: Path, name: str, value: Any, write: str) -> None:
    said = rf"^\S+data.jsonl: entry 7: field '{name}': nothing reads it, and it looks like a part of the clip; write .*"
    with pytest.raises(BadSample, match=f"{said}{write}"):
        clip(tmp_path, **{name: value})
    clip(tmp_path, **{name: value, "video_start": 0.5})
    clip(tmp_path, **{name: None})


@pytest.mark.parametrize(
    "fields",
    [
        *[{"timestamp": "2024-05-01 10:00"}, {"timestamp": 1714557600}, {"timestamps": "early"}, {"times": 3}],
        *[{"duration": 12.5}, {"num_frames": 1200}, {"frame_idx": "all"}, {"segments": [{"text": "hello"}]}],
        *[{"started": 1}, {"endings": [1, 2]}, {"frame_indices": []}],
    ],
    ids=str,
)
def test_what_describes_an_entry_stays(tmp_path: Path, fields: dict[str, Any]) -> None:
    clip(tmp_path, **fields)


def test_times_beside_pictures_are_nobodys(tmp_path: Path) -> None:
    data = {"question": "What?", "answer": "x", "images": [], "timestamps": [1, 2]}
    assert parse_own(Entry(tmp_path / "data.jsonl", 7, data, tmp_path)).media == ()
