"""The part of a clip as one text, or in two fields whose names differ in a word, is never dropped without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.data.time_texts import opened, seconds_of, two_times


def clip(folder: Path, **fields: Any) -> None:
    (folder / "c.mp4").write_bytes(b"not opened here")
    data = {"question": "What?", "answer": "x", "video": "c.mp4", **fields}
    parse_own(Entry(folder / "data.jsonl", 7, data, folder))


TEXTS = [
    *["0:07 - 0:11", "3.5-9.25", "[3.5, 9.25]", "(3.5, 9.25)", "3.5,9.25", "3s-9s", "3.5s to 9.2s", "from 3 to 9"],
    *["00:00:03,500 --> 00:00:09,000", "01:03–01:19", "3.5 ~ 9", "1m30s - 1m45s", "3.5_9.2", "00:01:10.5/00:01:12.5"],
    *["[[3.5, 9.25]]", '{"start": 3.5, "end": 9.25}', "['00:03', '00:09']", "2:4", "3 .. 9"],
]


@pytest.mark.parametrize(
    "name", ["time", "timestamp", "segment", "span", "time_range", "clip", "subclip", "video_window"]
)
@pytest.mark.parametrize("text", TEXTS)
def test_a_part_as_one_text_is_a_part(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(
        BadSample, match=f"field '{name}': nothing reads it, and .*looks like a part of the clip; write"
    ):
        clip(tmp_path, **{name: text})
    clip(tmp_path, **{name: text}, video_start=0.5)


@pytest.mark.parametrize(
    "fields",
    [
        *[{"where": "0:07 - 0:11"}, {"where": "[3.5, 9.25]"}, {"cue": "00:00:03,500 --> 00:00:09,000"}],
        *[{"time_reference": "3-9"}, {"starting_timestamp": 3, "ending_timestamp": 9}, {"endingTime": 9}],
        *[{"tstart": 3.5, "tend": 9.2}, {"in": 3, "out": 9}, {"in_sec": 3.5, "out_sec": 9.2}, {"s": 3, "e": 9}],
        *[{"first_sec": 3.5, "last_sec": 9.2}, {"st": 3, "et": 9}, {"time_in": "0:03", "time_out": "0:09"}],
        *[{"start": "1m30s"}, {"time": "00:00:03,500"}, {"segments": ["0:03-0:09", "0:12-0:14"]}],
        *[{"frame_idx": "[1, 2, 3]"}, {"frame_range": "20-40"}],
    ],
    ids=str,
)
def test_parts_under_further_names(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(BadSample, match="looks like a part of the clip"):
        clip(tmp_path, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        *[{"timestamp": "2023-05-01"}, {"time": "2019-2020"}, {"time": "05-12"}, {"timestamp": "2023-05-01T10:00:00"}],
        *[{"timestamp": "2023-05-01 10:00:00"}, {"time": "12/05/2023"}, {"duration": "00:12"}, {"duration": "3-9"}],
        *[{"duration": 12.5}, {"section": "2.5-4.2"}, {"version": "2.5-4.2"}, {"price": "2.5 - 4.2"}, {"time": "9-3"}],
        *[{"time": "10 to 11 in the morning"}, {"segment": "3-9 people"}, {"first": 1, "last": 9}, {"in": 3}],
        *[{"ending": 2}, {"out": 9}, {"starting_lineup": 11}, {"ratio": "9:16"}, {"in": "a", "out": "b"}],
        *[{"starting_timestamp_for_subtitles": 3.5}, {"in": 9, "out": 3}, {"span": "[]"}, {"clip": "[intro, 3]"}],
    ],
    ids=str,
)
def test_dates_lengths_and_other_numbers_stay(tmp_path: Path, fields: dict[str, Any]) -> None:
    clip(tmp_path, **fields)


def test_a_text_whose_times_are_the_answer_is_no_part(tmp_path: Path) -> None:
    clip(tmp_path, answer="from 3.5 to 9.2 s", time="3.5 - 9.2")
    clip(tmp_path, answer="from 3.5 to 9.2 s", segment="[3.5, 9.2]")
    clip(tmp_path, evidence=[{"box": [0, 0, 1, 1], "span": [3, 9]}], where="0:03 - 0:09")


def test_seconds() -> None:
    texts = ["75", "75.0 s", "01:15", "00:01:15,250", "1m15s", "1h 2m", "2 min"]
    assert [seconds_of(text) for text in texts] == [75, 75, 75, 75.25, 75, 3720, 120]
    assert two_times("00:00:02,500 --> 00:00:04,000") == (2.5, 4.0) and two_times("1m5s-1m7s") == (65, 67)
    assert two_times("4-2") is None and opened("[1, 2]") == [1, 2] and opened("[a") == "[a"
