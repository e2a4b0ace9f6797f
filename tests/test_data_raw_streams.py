"""Raw streams, which have no timestamps: their times come from the frame rate in the codec's header."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ral.data.clip_times import BadRequest
from ral.data.clips import read_by_decord, read_by_pyav
from ral.data.media import BadMedia, MediaReader
from ral.data.packets import look
from ral.data.sizes import Frames, MediaSettings
from ral.types import Media

SIDE, BITS = 64, 8
SETTINGS = MediaSettings(fps=2.0, video_min_pixels=784)


def raw(path: Path, codec: str, rate: int | Fraction, **opt: str) -> Path:
    """A raw stream of 60 frames whose frame n shows n as bars, one a bit."""
    ticks = Fraction(opt.pop("ticks", rate))  # a second, of the header's clock
    with av.open(str(path), "w", format="m4v" if path.suffix == ".m4v" else None) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=opt)
        stream.codec_context.time_base = 1 / ticks
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(60):
            bars = np.array([235 if number >> bit & 1 else 16 for bit in range(BITS)], np.uint8).repeat(SIDE // BITS)
            pixels = np.broadcast_to(bars[None, :, None], (SIDE, SIDE, 3)).copy()
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base, frame.pts = 1 / ticks, int(number * ticks / rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(frames: Frames) -> list[int]:
    """Which frames these are."""
    bars = [np.array_split(frame.mean((0, 2)), BITS) for frame in frames]
    return [sum(1 << bit for bit in range(BITS) if bar[bit].mean() > 125) for bar in bars]


STREAMS: list[tuple[str, str, dict[str, str]]] = [
    *(("a.h264", "libx264", {"bf": "3"}), ("a.264", "libx264", {"bf": "0"})),
    *(("a.hevc", "libx265", {}), ("a.265", "libx265", {})),
    ("interlaced.h264", "libx264", {"x264-params": "interlaced=1:tff=1"}),
]


@pytest.mark.parametrize("rate", [10, 25, 30, Fraction(30000, 1001), 50])
@pytest.mark.parametrize(("name", "codec", "options"), STREAMS, ids=[name for name, *_ in STREAMS])
def test_the_rate_of_the_header_gives_the_times(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], rate: int | Fraction
) -> None:
    path = raw(tmp_path / name, codec, rate, **options)
    for reader in (read_by_decord, read_by_pyav):
        frames, seconds = reader(path, SETTINGS)
        assert seconds == pytest.approx(float(60 / rate), rel=1e-3) and numbers(frames)[-1] == 59
    assert look(path).rate == pytest.approx(float(rate), rel=1e-3)


@pytest.mark.parametrize("rate", [10, 30])
def test_raw_mpeg_4(tmp_path: Path, rate: int) -> None:
    assert look(raw(tmp_path / "a.m4v", "mpeg4", rate)).timeline().seconds == pytest.approx(60 / rate)


@pytest.mark.parametrize(
    ("rate", "ask", "wanted"),
    [
        (10, {"start": 2.0, "end": 3.0}, [20, 29]),
        (10, {"start": 5.0}, [50, 59]),
        (30, {"start": 1.0, "end": 2.0}, [30, 59]),
        (30, {"end": 1.0, "frame_count": 4}, [0, 10, 19, 29]),
    ],
)
@pytest.mark.parametrize(("name", "codec"), [("a.264", "libx264"), ("a.265", "libx265")])
def test_parts_are_cut_by_these_times(
    tmp_path: Path, name: str, codec: str, rate: int, ask: dict[str, Any], wanted: list[int]
) -> None:
    pixels = MediaReader(SETTINGS).read(Media("video", raw(tmp_path / name, codec, rate), **ask))
    assert numbers(pixels.frames.numpy()) == wanted


@pytest.mark.parametrize(("rate", "takes"), [(10, 6), (30, 2)])
def test_a_part_behind_the_end_is_refused(tmp_path: Path, rate: int, takes: int) -> None:
    path = raw(tmp_path / "a.h264", "libx264", rate)
    with pytest.raises(BadMedia, match=f"ends at 7 s, but the clip takes {takes} s"):
        MediaReader(SETTINGS).read(Media("video", path, end=7.0))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.hevc", "libx265", {"x265-params": "vui-timing-info=0:log-level=0"}),
        ("a.mjpeg", "mjpeg", {}),
        ("a.h264", "libx264", {"ticks": "1000"}),
    ],
)
def test_without_a_rate_it_is_one_bad_entry(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = raw(tmp_path / name, codec, 25, **options)
    with pytest.raises(BadRequest, match="without times and without a frame rate"):
        look(path)
    with pytest.raises(BadMedia, match=r"raw (hevc|mjpeg|h264) stream .*; write it to a file with times") as caught:
        MediaReader(SETTINGS).read(Media("video", path))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_container_keeps_its_own_rate(tmp_path: Path) -> None:
    path = raw(tmp_path / "a.avi", "libx264", 10, bf="2")
    assert look(path).rate == 10 and look(path).timeline().seconds == pytest.approx(6)
