"""Times and numbers of frames beside a clip that nothing reads are refused; what only describes it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.parse import parse_own
from ral.data.pictures import load_picture


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
        ("start_ms", 1500, r"video_start, .*1500 ms are 1.5"),
        ("end_ms", "2500", "video_end"),
        ("t_start", 1, "video_start"),
    ],
    *[("time_start", 2, "video_start"), ("time_end", 4.5, "video_end"), ("startsec", 1, "video_start")],
    *[("clip_start", "00:02", "video_start"), ("start_offset", 3, "video_start"), ("begin_time", 1, "video_start")],
    *[("moment", [2, 5], "video_end"), ("moment", 3.5, "video_end"), ("time", "0:05", "video_end")],
    *[("time_stamp", 3, "video_end"), ("question_time", 12, "video_end"), ("time_window", [1, 2], "video_end")],
    *[("start_end", [1, 2], "video_end"), ("event_span", [[1, 2]], "video_end"), ("times", [2.6, 8.9], "evidence")],
    *[("frame", 12, "or nframes"), ("frameNumber", 3, "or nframes"), ("segments", [[2, 5]], '"evidence"')],
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
        *[{"started": 1}, {"endings": [1, 2]}, {"frame_indices": []}, {"frame_count": 240}, {"total_frames": 240}],
        *[{"relevant_windows": [[2, 5]]}, {"gt_span": [2, 5]}, {"answer_start": 5}, {"segment_id": 4}, {"frame_id": 7}],
        *[{"frame_rate": 30}, {"video_fps": 29.97}, {"sample_rate": 44100}, {"moment_id": 3}, {"range": [0, 100]}],
        *[{"end": "late"}, {"to": "the shop"}, {"time": "2024-05-01"}, {"frames": "many"}, {"video_config": {"a": 1}}],
    ],
    ids=str,
)
def test_what_describes_an_entry_stays(tmp_path: Path, fields: dict[str, Any]) -> None:
    clip(tmp_path, **fields)


BY_VALUE: list[dict[str, Any]] = [
    *[{"t0": 0.5, "t1": 1.5}, {"offset": 0.5, "duration": 1.0}, {"seconds": [0.5, 1.5]}, {"range": [0.5, 1.5]}],
    *[{"t1": 3, "t2": 7}, {"seconds": [2, 5]}, {"excerpt": [[12.0, 30.5]]}, {"piece": ["00:12", "00:30"]}],
    *[{"video_offset": 4, "length": 2.5}, {"where": {"start_s": 0.5, "end_s": 2.0}}, {"sec": [0.2, 0.8]}],
]


@pytest.mark.parametrize("fields", BY_VALUE, ids=str)
def test_two_times_under_any_name_are_a_part(tmp_path: Path, fields: dict[str, Any]) -> None:
    name = next(iter(fields))
    said = rf"field '{name}': nothing reads it, and .* looks like a part of the clip; write video_start and video_end"
    with pytest.raises(BadSample, match=said):
        clip(tmp_path, **fields)
    clip(tmp_path, **fields, video_start=0.5)


OF_SOMETHING_ELSE: list[dict[str, Any]] = [
    *[{"resolution": [720, 1280]}, {"size": [0.5, 1.5]}, {"score1": 2.5, "score2": 3.5}, {"probs": [0.3, 0.7]}],
    *[{"bbox": [0.5, 1.5, 2.5, 3.5]}, {"x0": 0.5, "x1": 1.5}, {"point": [10.5, 20.5]}, {"range": [1.5, 0.5]}],
    *[{"range": [0, 100]}, {"shares": [0.2, 0.8]}, {"ratings": [2.5, 4.5]}, {"crop": [0.5, 1.5]}, {"offset": 3}],
    *[
        {"levels": [1, 5]},
        {"a0": 0.5, "a1": 1.5, "a2": 2.5},
        {"a0": 0.5, "a7": 1.5},
        {"stats": {"mean": 2.0, "sd": 3.5}},
    ],
    *[
        {"gt_windows": [[2.5, 5.0]]},
        {"range": [-1.5, 2.5]},
        {"pair": ["red", "blue"]},
        {"duration": 12.5, "offset": None},
    ],
]


@pytest.mark.parametrize("fields", OF_SOMETHING_ELSE, ids=str)
def test_two_numbers_of_something_else_stay(tmp_path: Path, fields: dict[str, Any]) -> None:
    clip(tmp_path, **fields)


def test_two_times_that_are_asked_for_or_shown_are_no_part(tmp_path: Path) -> None:
    box = [0, 0, 1, 1]
    for fields in BY_VALUE[:4]:
        clip(tmp_path, answer="from 0.5 to 1.5 s", **fields)
        clip(tmp_path, evidence=[{"box": box, "span": [0.5, 1.5]}], **fields)
        with pytest.raises(BadSample, match="looks like a part"):
            clip(tmp_path, evidence=[{"box": box, "span": [0.5, 1.0]}], **fields)


def test_numbers_of_read_fields_are_no_times(tmp_path: Path) -> None:
    clip(tmp_path, options=["0.5", "1.5"], answer="0.5", id=3.5)


def test_times_beside_pictures_are_nobodys(tmp_path: Path) -> None:
    data = {"question": "What?", "answer": "x", "images": [], "timestamps": [1, 2]}
    assert parse_own(Entry(tmp_path / "data.jsonl", 7, data, tmp_path)).media == ()


@pytest.mark.parametrize("name", ["num_frames", "n_frames", "frames", "video_num_frames", "sampleFrames", "nframe"])
def test_a_number_of_frames_that_nothing_reads(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSample, match=f"'{name}': nothing reads it, and it looks like frames to read.*write nframes"):
        clip(tmp_path, **{name: 8})
    with pytest.raises(BadSample, match="write nframes"):
        clip(tmp_path, **{name: "8"})  # a cell of a table
    clip(tmp_path, **{name: 8, "nframes": 4})
    clip(tmp_path, **{name: 1200})  # the clip's own


@pytest.mark.parametrize("name", ["target_fps", "max_fps", "sampling_rate"])
def test_a_rate_that_nothing_reads(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSample, match="write fps"):
        clip(tmp_path, **{name: 2})


@pytest.mark.parametrize(("key", "write"), [("nframes", "nframes"), ("start", "video_start"), ("total_pixels", "max_")])
def test_settings_in_an_object_that_nothing_reads(tmp_path: Path, key: str, write: str) -> None:
    with pytest.raises(BadSample, match=f"'video_kwargs': nothing reads it, and it has '{key}'; write {write}"):
        clip(tmp_path, video_kwargs={key: 4})


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        ("The given query happens in 26.3 - 36 seconds", {"segments": [[26.34, 36.0]]}),
        ("2.6 to 8.9 s", {"times": [2.6, 8.9]}),
        ("from 00:26 to 01:10", {"timestamps": [[26, 70]]}),
        ("[2.0, 5.5]", {"start": 2.0, "end": 5.5}),
        ("12.5", {"timestamp": 12.5}),
        ("12.5", {"timestamp": "00:12.5"}),
    ],
    ids=str,
)
def test_times_that_are_the_answer_are_no_part_to_read(tmp_path: Path, answer: str, fields: dict[str, Any]) -> None:
    clip(tmp_path, answer=answer, **fields)


def test_times_of_the_right_option_are_the_answer(tmp_path: Path) -> None:
    options = ["A. 0 to 2 s", "B. 2 to 5 s"]
    clip(tmp_path, answer="B", options=options, segments=[[2, 5]])
    with pytest.raises(BadSample, match=r"segments.*or leave it out; .* the answer '.*' does not have its times$"):
        clip(tmp_path, answer="A", options=options, segments=[[2, 5]])


def test_a_count_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(BadSample, match="video_start"):
        clip(tmp_path, answer="2", start=2)


def bad(folder: Path, **fields: Any) -> str:
    data = {"question": "What?", "answer": "x", **fields}
    with pytest.raises(BadSample) as told:
        parse_own(Entry(folder / "data.jsonl", 7, data, folder))
    return str(told.value)


def test_data_type_has_to_be_the_kind_of_the_media(tmp_path: Path) -> None:
    (tmp_path / "c.mp4").write_bytes(b"not opened here")
    (tmp_path / "p.png").write_bytes(b"not opened here")
    assert "it says video, and the media are pictures" in bad(tmp_path, image="p.png", data_type="video")
    assert "it says image, and the media are clips" in bad(tmp_path, video="c.mp4", data_type="Image")
    clip(tmp_path, data_type="video")
    clip(tmp_path, data_type="image", image="p.png")  # one of each


def test_thought_and_process_have_to_say_the_same(tmp_path: Path) -> None:
    message = bad(tmp_path, images=[], thought="it is red", process="it is blue")
    assert "field 'process': there is thought, too, and the two differ; write one of them" in message
    clip(tmp_path, thought="it is red", process="<think>It is red.</think>")


@pytest.mark.parametrize("begins", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM", b"RIFF____WEBP", b"____ftypavif"])
def test_a_picture_under_the_name_of_a_clip_is_refused(tmp_path: Path, begins: bytes) -> None:
    for name in ("c.mp4", "c.png", "c"):
        (tmp_path / name).write_bytes(begins)
        for fields in ({"video": name}, {"path": name, "data_type": "video"}):
            assert f'{name} is a picture, not a clip; write it as "image"' in bad(tmp_path, **fields)


def test_a_clip_under_the_name_of_a_picture_is_a_clip(tmp_path: Path) -> None:
    (tmp_path / "c.jpg").write_bytes(b"____ftypisom")
    clip(tmp_path, video="c.jpg")


CLIPS = [b"____ftypisom", b"____ftypM4V ", b"\x1aE\xdf\xa3", b"RIFF____AVI ", b"FLV\x01", b"G" + bytes(187) + b"G"]


@pytest.mark.parametrize("begins", CLIPS)
def test_a_clip_in_the_place_of_a_picture_is_called_that(tmp_path: Path, begins: bytes) -> None:
    (tmp_path / "p.png").write_bytes(begins + bytes(200))
    with pytest.raises(BadSample, match='a clip; write it under "video"'):
        load_picture(tmp_path / "p.png")
