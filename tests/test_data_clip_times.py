"""Which frames of a clip are read: those that a player shows, by their times, the same from both readers; and parts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

from ral.data.asked import asked, even
from ral.data.clip_times import WHOLE, BadRequest, Excerpt, Timeline, frames_at, last_held, span, timeline
from ral.data.clips import read_by_decord, read_by_pyav
from ral.data.media import BadMedia, MediaReader
from ral.data.packets import look
from ral.data.sizes import Frames, MediaSettings
from ral.types import Media

SIDE, BITS, COUNT = 64, 8, 60
SETTINGS = MediaSettings(fps=2.0, video_min_pixels=784)
READERS = [read_by_decord, read_by_pyav]


def pattern(number: int) -> Frames:
    """A frame that shows its number as bars, one a bit."""
    bars = np.array([235 if number >> bit & 1 else 16 for bit in range(BITS)], np.uint8)
    return np.broadcast_to(bars.repeat(SIDE // BITS)[None, :, None], (SIDE, SIDE, 3)).copy()


def numbers(frames: Frames) -> list[int]:
    """Which frames these are."""
    bars = [np.array_split(frame.mean((0, 2)), BITS) for frame in frames]
    return [sum(1 << bit for bit in range(BITS) if bar[bit].mean() > 125) for bar in bars]


def clip(path: Path, times: Callable[[int], int] = lambda n: n * 100, *, codec: str = "libx264", base: int = 1000,
         rate: int = 10, drop: int = 0, count: int = COUNT, **options: str) -> Path:  # fmt: skip
    """A clip whose frame n is pattern(n) at times(n) / base seconds, without its first `drop` packets."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options={"g": "12", "bf": "0"} | options)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, base)
        packets = []
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(pattern(number), format="rgb24")
            frame.time_base, frame.pts = Fraction(1, base), times(number)
            packets += stream.encode(frame)
        container.mux((packets + stream.encode(None))[drop:])
    return path


def uneven(number: int) -> int:
    """A second at 30 frames a second, then one frame a second, in ms."""
    return number * 33 if number < 30 else 1000 * (number - 29)


OPEN = {"bf": "3", "x264-params": "open-gop=1:scenecut=0:b-adapt=0"}
ORDINARY = (0, 60, 6.0)
KINDS: dict[str, tuple[str, dict[str, Any], tuple[int, int, float]]] = {  # file, how it is made, frames shown, seconds
    "plain": ("a.mp4", {}, ORDINARY),
    "B-frames": ("a.mp4", {"bf": "3"}, ORDINARY),
    "Matroska": ("a.mkv", {"bf": "3"}, ORDINARY),
    "open groups": ("a.mp4", OPEN, ORDINARY),
    "hidden 1": ("a.mp4", {"times": lambda n: (n - 1) * 100, "g": "250"}, (1, 60, 5.9)),
    "hidden 7": ("a.mp4", {"times": lambda n: (n - 7) * 100, "g": "250"}, (7, 60, 5.3)),
    "hidden 40, B-frames": ("a.mp4", {"times": lambda n: (n - 40) * 100, "g": "250", "bf": "3"}, (40, 60, 2.0)),
    "shown late": ("a.mp4", {"times": lambda n: 3000 + n * 100, "bf": "2"}, ORDINARY),
    "negative times": ("a.mkv", {"times": lambda n: (n - 20) * 100}, ORDINARY),
    "transport stream": ("a.ts", {"bf": "3"}, ORDINARY),
    "without its first packets": ("a.ts", {"drop": 5}, (8, 60, 5.2)),
    "MPEG": ("a.mpg", {"codec": "mpeg1video", "times": lambda n: n, "base": 25, "rate": 25}, (0, 60, 2.4)),
    "no times": ("a.h264", {"times": lambda n: n, "base": 10, "bf": "3"}, ORDINARY),  # by the rate of its header
    "AVI with B-frames": ("a.avi", {"codec": "mpeg4", "times": lambda n: n, "base": 10, "bf": "2"}, ORDINARY),
}


@pytest.mark.parametrize("kind", KINDS)
def test_both_readers_give_the_frames_that_are_shown(tmp_path: Path, kind: str) -> None:
    name, made, (first, behind, seconds) = KINDS[kind]
    path = clip(tmp_path / name, **made)
    for reader in READERS:
        frames, taken = reader(path, SETTINGS)
        assert taken == pytest.approx(seconds, abs=0.002)
        assert len(frames) == int(round(2 * seconds, 2)) // 2 * 2
        wanted = np.linspace(first, behind - 1, len(frames)).round().astype(int)
        assert numbers(frames) == wanted.tolist(), reader
        frames, taken = reader(path, SETTINGS, part=Excerpt(0.5, 1.5, 4))
        rate = (behind - first) / seconds
        shown = np.linspace(first + 0.5 * rate, first + np.ceil(1.5 * rate - 0.02) - 1, 4)
        assert taken == pytest.approx(1) and np.abs(numbers(frames) - shown).max() <= 0.51


@pytest.mark.parametrize("suffix, options", [("mp4", {}), ("mp4", {"bf": "3"}), ("mkv", {})])
@pytest.mark.parametrize("reader", READERS)
def test_a_changing_rate_is_sampled_by_time(
    tmp_path: Path, suffix: str, options: dict[str, str], reader: Callable[..., tuple[Frames, float]]
) -> None:
    frames, seconds = reader(clip(tmp_path / f"a.{suffix}", uneven, rate=30, **options), replace(SETTINGS, fps=1.0))
    assert 30 <= seconds <= 31 and len(frames) == 30
    times = np.array([uneven(number) / 1000 for number in numbers(frames)])
    assert np.abs(times - np.arange(30) * seconds / 30).max() <= 1.0
    assert (np.diff(times) <= 2).all()  # by index half of them would be of the first second


def test_joined_streams_whose_times_start_again_are_read_in_order(tmp_path: Path) -> None:
    content = clip(tmp_path / "a.ts").read_bytes()
    (tmp_path / "b.ts").write_bytes(2 * content)
    for reader in READERS:
        frames, seconds = reader(tmp_path / "b.ts", replace(SETTINGS, fps=1.0))
        assert seconds == pytest.approx(12) and numbers(frames)[0] == 0 and numbers(frames)[-1] == 59
        assert np.diff(numbers(frames)).min() < 0 < np.diff(numbers(frames)).max()


def tracks(path: Path, default: tuple[bool, ...]) -> Path:
    """A clip of one track for each entry: track n is of 10 (n + 1) frames, the first of which is pattern(100 n)."""
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("libx264", rate=10) for _ in default]
        for stream, chosen in zip(streams, default, strict=True):
            stream.width = stream.height = SIDE
            stream.pix_fmt = "yuv420p"
            stream.disposition = Disposition.default if chosen else Disposition(0)
        for number, stream in enumerate(streams):
            for place in range(10 * (number + 1)):
                frame = av.VideoFrame.from_ndarray(pattern(100 * number + place), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(
    ("default", "shown"), [((False, True), 1), ((True, False), 0), ((False, True, True), 1), ((False, False, True), 2)]
)
def test_the_default_track_is_read(tmp_path: Path, suffix: str, default: tuple[bool, ...], shown: int) -> None:
    path = tracks(tmp_path / f"a.{suffix}", default)
    assert not look(path).plain
    for reader in READERS:
        frames, seconds = reader(path, SETTINGS)
        assert seconds == pytest.approx(shown + 1, abs=0.01)
        assert {number // 100 for number in numbers(frames)} == {shown}


def test_only_clips_that_decord_counts_right_go_to_it(tmp_path: Path) -> None:
    assert look(clip(tmp_path / "a.mp4", bf="3")).plain and look(clip(tmp_path / "a.mkv")).plain
    for name, made in (
        ("b.mp4", OPEN),
        ("c.ts", {}),
        ("d.mp4", {"times": lambda n: 100 * (n - 1)}),
        ("e.mp4", {"drop": 2}),
    ):
        assert not look(clip(tmp_path / name, **made)).plain  # type: ignore[arg-type]


# --- times ------------------------------------------------------------------------------------------------------------


def noise(path: Path, codec: str = "libx264", audio: int = 0, container_options: dict[str, str] | None = None) -> Path:
    """60 frames of noise in 6 s, and so many seconds of silence beside them."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        sound: Any = container.add_stream("aac", rate=48000) if audio else None
        for _ in range(COUNT):
            pixels = rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        for start in range(0, audio * 48000, 960):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 48000, start
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None) if audio else [])
    return path


CUT = [("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.flv", "flv1"), ("a.avi", "mpeg4")]


@pytest.mark.parametrize("name, codec", CUT)
def test_a_clip_that_ends_before_its_header_says_is_refused(tmp_path: Path, name: str, codec: str) -> None:
    path = noise(tmp_path / name, codec)
    assert look(path).timeline().seconds == pytest.approx(6)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    for reader in READERS:
        with pytest.raises(ValueError, match=r"cut off: [\d.]+ of 6 s are there|cut off: \d+ of 60 frames"):
            reader(path, SETTINGS)


@pytest.mark.parametrize("name, codec", [("a.mkv", "libx264"), ("a.flv", "flv1"), ("a.avi", "mpeg4")])
def test_sound_may_go_on_behind_the_pictures(tmp_path: Path, name: str, codec: str) -> None:
    assert look(noise(tmp_path / name, codec, audio=12)).timeline().seconds == pytest.approx(6, abs=0.11)


def test_a_header_without_a_duration_is_no_sign_of_a_cut(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.webm", "libvpx-vp9", container_options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
    assert look(path).timeline().seconds == pytest.approx(6)


def even_times(count: int = 10, gap: float = 0.1) -> Timeline:
    return Timeline(np.arange(count) * gap, count * gap)


@pytest.mark.parametrize(
    "ticks, held, seconds, times",
    [
        ([5, 6, 7, 8], 1, 4, [0, 1, 2, 3]),
        ([-3, -2, -1], 9, 9 + 2, [0, 1, 2]),  # the last one is held
        ([0, 1, 2], 99, 3, [0, 1, 2]),  # too long to be true
        ([0, 1, 2], None, 3, [0, 1, 2]),
        ([7], 2, 2, [0]),
        ([None, None, None, None], None, 2, [0, 0.5, 1, 1.5]),
        ([None, 1, None, 3, None], None, 5, [0, 1, 2, 3, 4]),
        ([1, 4, 3, 2], 1, 4, [0, 1, 2, 3]),  # times of decoding
        ([0, 1, 2, 0, 1, 2], 1, 3, [0, 0.5, 1, 1.5, 2, 2.5]),  # they start again
    ],
)
def test_timelines_by_hand(ticks: list[int | None], held: int | None, seconds: float, times: list[float]) -> None:
    found = timeline(ticks, 1.0, held, rate=2.0)
    assert found.times.tolist() == times and found.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "ticks, rate, reason",
    [
        ([0, 0, 0], 25, "no duration"),
        ([None, None], 0, "no duration"),
        ([None], float("nan"), "no duration"),
        ([0, 1, 10**9], 25, "leap"),
    ],
)
def test_timelines_that_say_nothing(ticks: list[int | None], rate: float, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        timeline(ticks, 1.0, None, rate)


def test_how_long_the_last_frame_stays() -> None:
    gaps = np.array([0.1, 0.1, 0.1])
    assert [last_held(held, gaps) for held in (None, 0.1, 0.001, 5.0, 3000.0)] == pytest.approx([0.1, 0.1, 0.1, 5, 0.1])
    slow = np.array([4.0, 4.0, 4.0, 4.0])  # a duration that somebody chose counts, one of a nominal rate does not
    asked = (1.0, 3.0, 4.1, 0.12, 0.04, 12.0)
    assert [last_held(held, slow) for held in asked] == pytest.approx([1, 3, 4, 0.12, 4, 4])


@pytest.mark.parametrize(
    "part, first, last, begin, seconds",
    [
        (WHOLE, 0, 9, 0, 1),
        (Excerpt(0.2, 0.5), 2, 4, 0.2, 0.3),
        (Excerpt(0.25, 0.55), 2, 5, 0.25, 0.3),
        (Excerpt(0.95), 9, 9, 0.95, 0.05),
        (Excerpt(None, 0.05), 0, 0, 0, 0.05),
        (Excerpt(0.5, 1.3), 5, 9, 0.5, 0.5),  # slightly beyond the end
    ],
)
def test_parts(part: Excerpt, first: int, last: int, begin: float, seconds: float) -> None:
    found = span(even_times(), part)
    assert (found.first, found.last, found.begin) == (first, last, begin) and found.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "part, reason", [(Excerpt(1.0), "from 1 s on.*takes 1 s"), (Excerpt(0, 1.6), "ends at 1.6 s.*takes 1 s")]
)
def test_parts_that_are_not_there(part: Excerpt, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        span(even_times(), part)


def test_a_frame_that_is_held_is_shown_until_the_next() -> None:
    slides = Timeline(np.array([0, 0.1, 20, 40.0]), 41.0)
    assert frames_at(slides, span(slides, Excerpt(2, 41)), 6) == [1, 1, 1, 2, 2, 3]
    assert frames_at(even_times(24, 0.25), span(even_times(24, 0.25), WHOLE), 6) == [0, 5, 9, 14, 18, 23]
    assert frames_at(even_times(1), span(even_times(1), WHOLE), 2) == [0, 0]


# --- what entries ask for ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 seconds at 10 frames a second."""
    return clip(tmp_path_factory.mktemp("ten") / "a.mp4")


@pytest.mark.parametrize(
    "ask, wanted, step",
    [
        ({"start": 2.0, "end": 3.0}, [20, 29], 0.5),
        ({"start": 2.0, "end": 3.0, "fps": 4.0}, [20, 23, 26, 29], 0.25),
        ({"start": 5.0}, [50, 59], 0.5),
        ({"end": 1.0, "frame_count": 4}, [0, 3, 6, 9], 0.25),
        ({"frame_count": 3}, [0, 20, 39, 59], 1.5),
        ({"fps": 0.5}, [0, 59], 3.0),
        ({"end": 6.3, "fps": 0.5}, [0, 59], 3.0),
    ],
)
@pytest.mark.parametrize("timeout", [None, 20.0])
def test_what_an_entry_asks_is_read(
    ten: Path, ask: dict[str, Any], wanted: list[int], step: float, timeout: float | None
) -> None:
    pixels = MediaReader(MediaSettings(video_min_pixels=784, timeout_s=timeout)).read(Media("video", ten, **ask))
    assert numbers(pixels.frames.numpy()) == wanted and pixels.seconds_per_frame == pytest.approx(step)
    assert pixels.start == ask.get("start", 0.0)


@pytest.mark.parametrize(
    "ask, reason",
    [
        ({"start": 6.0}, "from 6 s on, but the clip takes 6 s"),
        ({"end": 7.0}, "ends at 7 s, but the clip takes 6 s"),
        ({"start": 3.0, "end": 3.0}, "from 3 s to 3 s; write an end behind"),
        ({"start": -1.0}, "start=-1"),
        ({"end": float("nan")}, "end=nan"),
        ({"fps": 0.0}, "0 frames a second"),
        ({"fps": float("inf")}, "fps=inf"),
        ({"fps": 1.0, "frame_count": 4}, "fps=1 and for 4 frames in all; write one"),
        ({"frame_count": 1}, "asks for 1 frames; ask for 2 or more"),
        ({"frame_count": 62}, "asks for 62 frames, but 60 are there; ask for 60 at most"),
        ({"start": 1.0, "end": 1.5, "frame_count": 6}, "asks for 6 frames, but 5 are there"),
        ({"max_pixels": 100}, "below one visual token"),
        ({"min_pixels": 9000, "max_pixels": 8000}, "min_pixels=9000 above max_pixels=8000"),
        ({"data": b"x"}, "stands in the entry itself"),
    ],
)
@pytest.mark.parametrize("timeout", [None, 20.0])
def test_what_cannot_be_had_is_one_line(ten: Path, ask: dict[str, Any], reason: str, timeout: float | None) -> None:
    reader = MediaReader(MediaSettings(video_min_pixels=784, timeout_s=timeout))
    with pytest.raises(BadMedia, match=reason) as caught:
        reader.read(Media("video", ten, **ask))
    assert str(caught.value).startswith(f"{ten}: ") and "decord" not in str(caught.value)


def test_pictures_have_no_times() -> None:
    for ask in ({"start": 1.0}, {"fps": 1.0}, {"frame_count": 2}, {"frames": (Path("b"),)}):
        with pytest.raises(BadRequest, match=f"is a picture and has {next(iter(ask))}"):
            asked(Media("image", Path("a"), **ask), SETTINGS)  # type: ignore[arg-type]


def test_bounds_of_an_entry_move_the_others_along() -> None:
    def bounds(kind: str, **ask: int) -> tuple[int, int]:
        found, _ = asked(Media(kind, Path("a"), **ask), SETTINGS)  # type: ignore[arg-type]
        return getattr(found, f"{kind}_min_pixels"), getattr(found, f"{kind}_max_pixels")

    assert bounds("image", max_pixels=50176) == (50176, 50176)  # the settings' lower bound is above that
    assert bounds("image", min_pixels=9 * 10**6) == (9 * 10**6, 9 * 10**6)
    assert bounds("video", max_pixels=12544) == (784, 12544)
    assert asked(Media("image", Path("a"), max_pixels=50176), SETTINGS)[0].video_max_pixels == SETTINGS.video_max_pixels


def test_odd_numbers_of_frames() -> None:
    assert [even(n) for n in (None, 2, 3, 4, 5, 6, 7, 9)] == [None, 2, 4, 4, 4, 6, 8, 8]
    assert pickle.loads(pickle.dumps(BadRequest("a", "b"))).write == "b"
