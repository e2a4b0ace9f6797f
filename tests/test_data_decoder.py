"""Clips are read in a process of their own: one that hangs, crashes or leaks costs a clip, not the run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ral.data import clips, decoder
from ral.data.clips import read_by_decord, read_by_pyav
from ral.data.decoder import Decoder
from ral.data.media import BadMedia, MediaReader
from ral.data.sizes import MediaSettings
from ral.types import Media
from ral.worlds.draw import write_frames

SETTINGS = MediaSettings(video_min_pixels=784, timeout_s=1.0)
READERS = """
import ctypes, os, signal, sys, time
import numpy as np

def hangs(path, settings):  # in C, where no signal handler of Python's would run
    ctypes.CDLL(None).pause()

def sleeps(path, settings):
    time.sleep(0.2)
    return process(path, settings)

def crashes(path, settings):
    os.kill(os.getpid(), signal.SIGSEGV)

def leaves(path, settings):
    os._exit(3)

def prints(path, settings):
    os.write(1, b"noise" * 1000)
    os.write(2, b"noise" * 1000)
    return process(path, settings)

def process(path, settings):
    return np.full((2, 28, 28, 3), 7, np.uint8), float(os.getpid())

def raises(path, settings):
    raise RuntimeError("first line\\nsecond line")
"""


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Readers in a module that the decoder's process can import."""
    (tmp_path / "strange_readers.py").write_text(READERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    import strange_readers  # type: ignore[import-not-found]

    return strange_readers


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_frames([Image.effect_noise((56, 56), 40).convert("RGB") for _ in range(8)], tmp_path / "a.mp4")
    return tmp_path / "a.mp4"


@pytest.mark.parametrize("reader", [read_by_decord, read_by_pyav])
def test_same_frames_as_without_it(clip: Path, reader: clips.ClipReader) -> None:
    apart, here = Decoder().read(reader, clip, SETTINGS), reader(clip, SETTINGS)
    assert (apart[0] == here[0]).all() and apart[1] == here[1] == 8.0
    assert apart[0].flags.writeable


def test_a_reader_that_hangs_ends_at_the_limit_and_the_next_clip_is_read(readers: object, clip: Path) -> None:
    reader, started = Decoder(), time.perf_counter()
    with pytest.raises(ValueError, match="not done after 1 s"):
        reader.read(readers.hangs, clip, SETTINGS)  # type: ignore[attr-defined]
    assert 1 <= time.perf_counter() - started < 8
    assert reader.read(readers.process, clip, SETTINGS)[0].max() == 7  # type: ignore[attr-defined]


def test_the_limit_is_for_each_clip(readers: object, clip: Path) -> None:
    reader = Decoder()
    first = [reader.read(readers.sleeps, clip, SETTINGS)[1] for _ in range(6)]  # type: ignore[attr-defined]
    assert len(set(first)) == 1


@pytest.mark.parametrize(
    "name, reason",
    [("crashes", r"crashed \(SIGSEGV\)"), ("leaves", "ended with exit code 3"), ("raises", "^first line$")],
)
def test_other_ends_are_reasons(readers: object, clip: Path, name: str, reason: str) -> None:
    reader = Decoder()
    for _ in range(2):
        with pytest.raises(ValueError, match=reason):
            reader.read(getattr(readers, name), clip, SETTINGS)


def test_what_was_not_read_is_no_answer_to_the_next_clip(
    readers: object, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is larger than this process has memory for, say."""

    def fails(_: object) -> None:
        raise MemoryError

    reader = Decoder()
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(decoder.pickle, "load", fails)
        reader.read(readers.process, clip, SETTINGS)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="first line"):
        reader.read(readers.raises, clip, SETTINGS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "code, reason",
    [
        (
            "pickle.dump((99, (None, 0.0)), sys.stdout.buffer); sys.stdout.flush(); time.sleep(60)",
            "the answer to another request",
        ),
        ("time.sleep(60)", r"not done after 0.1 s, nor ended then"),
    ],
)
def test_the_process_answers_what_was_asked_in_time(
    clip: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    """Also one whose own limit does not work: nothing ends it while it waits for a disk that is gone."""
    monkeypatch.setattr(decoder, "COMMAND", (sys.executable, "-c", f"import pickle, sys, time; {code}"))
    monkeypatch.setattr(decoder, "START_S", 0.3 if code.startswith("time") else 9.0)
    reader, started = Decoder(), time.perf_counter()
    with pytest.raises(ValueError, match=reason):
        reader.read(read_by_pyav, clip, MediaSettings(timeout_s=0.1))
    assert reader._process is None and time.perf_counter() - started < 9


def test_what_a_reader_prints_does_not_get_between(
    readers: object, clip: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert Decoder().read(readers.prints, clip, SETTINGS)[0].shape == (2, 28, 28, 3)  # type: ignore[attr-defined]
    assert "noise" not in "".join(capfd.readouterr())


def test_processes_are_replaced_and_ended(readers: object, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "CLIPS_OF_A_PROCESS", 2)
    reader = Decoder()
    numbers = [int(reader.read(readers.process, clip, SETTINGS)[1]) for _ in range(5)]  # type: ignore[attr-defined]
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3] != numbers[4]
    del reader
    for number in set(numbers):
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_it_goes_to_workers_without_its_process(readers: object, clip: Path) -> None:
    reader = Decoder()
    first = reader.read(readers.process, clip, SETTINGS)[1]  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(reader)).read(readers.process, clip, SETTINGS)[1] != first  # type: ignore[attr-defined]


def test_the_second_reader_takes_over_then_the_clip_is_bad(
    readers: object, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, media = readers.hangs, Media("video", clip)  # type: ignore[attr-defined]
    monkeypatch.setattr(clips, "READERS", (("decord", hangs), ("PyAV", read_by_pyav)))
    assert (MediaReader(SETTINGS).read(media).frames.numpy() == read_by_pyav(clip, SETTINGS)[0]).all()
    monkeypatch.setattr(clips, "READERS", (("decord", readers.crashes), ("PyAV", hangs)))  # type: ignore[attr-defined]
    reader, started = MediaReader(SETTINGS), time.perf_counter()
    for _ in range(9):  # from the third time on it is known
        with pytest.raises(BadMedia, match=r"decord: crashed \(SIGSEGV\); PyAV: not done after 1 s"):
            reader.read(media)
    assert time.perf_counter() - started < 8


SOURCE = "[09:12:13] /io/decord/src/video/threaded_decoder.cc"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("[02:18:52] /github/src/reader.cc:151: Check failed: no video stream\nmore", "no video stream"),
        (
            "[02:18:52] /github/src/reader.cc:270: [/data/x y.mp4] Failed to measure duration.",
            "Failed to measure duration",
        ),
        (
            f"{SOURCE}:292: {SOURCE}:218: Check failed: send(d.get(), p.get()) >= 0 (-11 vs. 0) Error sending",
            "Error sending",
        ),
        ("[1:2:3] /a/b.cpp:3: Check failed: st_nb >= 0 (-1 vs. 0) ERROR no stream -1", "ERROR no stream -1"),
        ("[1:2:3] src/b.h:3: Check failed: p != nullptr", "the reader's own check failed"),
        ("[Errno 541478725] End of file: '/data/a b.mp4'; last error log: [mov] no atom", "End of file"),
        ("aspect ratio of 9 x 3000 pixels is above 200", "aspect ratio of 9 x 3000 pixels is above 200"),
    ],
)
def test_a_reason_is_about_the_clip_and_not_about_the_reader(said: str, reason: str) -> None:
    assert decoder.reason_of(RuntimeError(said)) == reason


def test_the_process_loads_nothing_heavy() -> None:
    code = "import ral.data.decoder, sys; print([m for m in ('torch', 'hydra', 'lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numpy_is_what_comes_back(clip: Path) -> None:
    frames, _ = Decoder().read(read_by_decord, clip, SETTINGS)
    assert isinstance(frames, np.ndarray) and frames.dtype == np.uint8
