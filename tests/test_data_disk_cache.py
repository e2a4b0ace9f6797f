"""The disk cache: what a key depends on, that results are the same, that the cap holds, and damage."""

from __future__ import annotations

import os
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ral.data import disk_cache, media
from ral.data.disk_cache import DiskCache, cache_key
from ral.data.media import MediaReader, media_reader
from ral.data.sizes import MediaSettings
from ral.types import Media, UserError
from ral.worlds.draw import write_frames

SETTINGS = MediaSettings(image_min_pixels=784, video_min_pixels=784)


def noise(path: Path, side: int = 56) -> Path:
    Image.effect_noise((side, side), 60).convert("RGB").save(path)
    return path


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name != "size")


def test_what_is_kept_is_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames([Image.effect_noise((56, 56), 40 + n).convert("RGB") for n in range(5)], tmp_path / "a.mp4")
    both = [Media("image", noise(tmp_path / "a.png")), Media("video", tmp_path / "a.mp4")]
    plain, first = MediaReader(SETTINGS), media_reader(SETTINGS, disk_cache=str(tmp_path / "cache"), disk_cache_gb=1)
    wanted = [plain.read(m) for m in both]
    assert all(torch.equal(first.read(m).frames, w.frames) for m, w in zip(both, wanted, strict=True))
    monkeypatch.setattr(media, "read_clip", None)  # another process, which decodes nothing
    monkeypatch.setattr(media, "read_picture", None)
    again = media_reader(SETTINGS, disk_cache=str(tmp_path / "cache"), disk_cache_gb=1)
    for item, pixels in zip(both, wanted, strict=True):
        found = again.read(item)
        assert torch.equal(found.frames, pixels.frames) and found.frames.is_contiguous()
        assert (found.kind, found.seconds_per_frame) == (pixels.kind, pixels.seconds_per_frame)


def test_a_key_changes_with_all_that_the_frames_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = noise(tmp_path / "a.png")
    item = Media("image", path)
    first = cache_key(item, SETTINGS)
    assert cache_key(item, replace(SETTINGS, timeout_s=5.0)) == first
    asked = {"start": 1.0, "end": 2.0, "fps": 2.0, "frame_count": 4, "min_pixels": 5, "max_pixels": 6, "data": b"x"}
    asked |= {"kind": "video", "frames": (path, path), "path": noise(tmp_path / "b.png")}
    assert set(asked) == set(Media.__dataclass_fields__)
    others = {cache_key(replace(item, **{name: value}), SETTINGS) for name, value in asked.items()}  # type: ignore[arg-type]
    changes = {"fps": 2.0, "max_frames": 4, "image_min_pixels": 1, "image_max_pixels": 785, "factor": 32}
    changes |= {"video_min_pixels": 1, "video_max_pixels": 785}
    assert {*changes, "timeout_s"} == set(MediaSettings.__dataclass_fields__)
    others |= {cache_key(item, replace(SETTINGS, **{name: v})) for name, v in changes.items()}  # type: ignore[arg-type]
    with monkeypatch.context() as patch:  # what an older way of reading has made is not used
        patch.setattr(disk_cache, "READING", disk_cache.READING - 1)
        others.add(cache_key(item, SETTINGS))
    os.utime(path, ns=(1, 1))
    others.add(cache_key(item, SETTINGS))
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(1, 1))
    others.add(cache_key(item, SETTINGS))
    assert first not in others and len(others) == len(changes) + len(asked) + 3


def test_pictures_in_the_entry_and_clips_of_pictures_have_keys(tmp_path: Path) -> None:
    paths = tuple(noise(tmp_path / f"{n}.png") for n in range(3))
    one, other = (Media("image", Path("x"), data=data) for data in (b"1", b"2"))
    assert cache_key(one, SETTINGS) != cache_key(other, SETTINGS)
    clip = Media("video", paths[0], frames=paths)
    before = cache_key(clip, SETTINGS)
    os.utime(paths[2], ns=(1, 1))
    assert len({before, cache_key(clip, SETTINGS), cache_key(replace(clip, frames=paths[::-1]), SETTINGS)}) == 3


def test_the_cap_holds_and_the_longest_unused_go(tmp_path: Path) -> None:
    frames = np.zeros((1, 56, 56, 3), np.uint8)
    one = frames.nbytes + 300
    cache = DiskCache(tmp_path / "cache", 5 * one)
    for n in range(5):
        cache.put(f"{n}", frames, float(n))
        os.utime(tmp_path / "cache" / f"{n}.npy", ns=(n, n))
    assert cache.get("0") is not None  # used now, so that 1 is the longest unused
    for n in range(5, 8):
        cache.put(f"{n}", frames, float(n))
        assert size_of(tmp_path / "cache") <= 5 * one
    assert cache.get("1") is None and cache.get("2") is None
    assert cache.get("0") is not None and cache.get("7")[1] == 7.0  # type: ignore[index]
    assert int((tmp_path / "cache" / "size").read_text()) == size_of(tmp_path / "cache")
    cache.put("large", np.zeros((1, 999, 999, 3), np.uint8), 0.0)
    assert cache.get("large") is None and cache.get("7") is not None


def _fill(folder: str, name: str) -> None:
    cache = DiskCache(Path(folder), 200_000)
    for n in range(60):
        cache.put(f"{name}{n}", np.full((1, 56, 56, 3), n, np.uint8), 0.0)
        cache.get(f"{name}{n // 2}")


@pytest.mark.parametrize("left", ["", "garbage"])
def test_a_total_that_was_lost_is_counted_anew(tmp_path: Path, left: str) -> None:
    """A process was killed while it wrote the total."""
    frames = np.zeros((1, 56, 56, 3), np.uint8)
    one = frames.nbytes + 300
    for n in range(8):
        DiskCache(tmp_path, 5 * one).put(f"{n}", frames, float(n))
        (tmp_path / "size").write_text(left)
    assert size_of(tmp_path) <= 5 * one
    DiskCache(tmp_path, 5 * one)
    assert int((tmp_path / "size").read_text()) == size_of(tmp_path)


def test_frames_are_on_the_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, synced = DiskCache(tmp_path, 10**6), []
    monkeypatch.setattr(
        disk_cache.os, "fsync", lambda number: synced.append((os.fstat(number), list(tmp_path.iterdir())))
    )
    cache.put("a", np.zeros((1, 28, 28, 3), np.uint8), 0.0)
    ((status, there),) = synced
    assert status.st_size == (tmp_path / "a.npy").stat().st_size and tmp_path / "a.npy" not in there


def test_processes_share_the_cap(tmp_path: Path) -> None:
    context = get_context("fork")
    workers = [context.Process(target=_fill, args=(str(tmp_path), name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert 100_000 < size_of(tmp_path) <= 200_000
    assert int((tmp_path / "size").read_text()) == size_of(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.count(".") > 1]


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    item = Media("image", noise(tmp_path / "a.png"))
    wanted = media_reader(SETTINGS, disk_cache=str(tmp_path / "cache"), disk_cache_gb=1).read(item)
    (kept,) = (tmp_path / "cache").glob("*.npy")
    for content in (b"", kept.read_bytes()[:-9], b"something else"):
        kept.write_bytes(content)
        reader = media_reader(SETTINGS, disk_cache=str(tmp_path / "cache"), disk_cache_gb=1)
        assert torch.equal(reader.read(item).frames, wanted.frames)
        assert kept.stat().st_size > wanted.frames.nbytes


def test_files_of_another_user_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time of use cannot be set."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    cache = DiskCache(tmp_path, 10**6)
    cache.put("a", np.zeros((1, 28, 28, 3), np.uint8), 3.0)
    monkeypatch.setattr(disk_cache.os, "utime", refused)
    found = cache.get("a")
    assert found is not None and found[1] == 3.0


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    item = Media("image", noise(tmp_path / "a.png"))
    first = media_reader(SETTINGS, disk_cache=str(tmp_path / "cache"), disk_cache_gb=1).read(item)
    noise(item.path, 84)
    second = media_reader(SETTINGS, disk_cache=str(tmp_path / "cache"), disk_cache_gb=1).read(item)
    assert first.frames.shape[1] == 56 and second.frames.shape[1] == 84


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"dataset.disk_cache=.*file/cache: .*; name a folder to write to"):
        DiskCache(tmp_path / "file" / "cache", 1)


def test_a_full_disk_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cache = DiskCache(tmp_path / "cache", 10**6)
    monkeypatch.setattr(disk_cache.np, "save", full)
    with pytest.warns(UserWarning, match="No space left on device; nothing more is kept"):
        cache.put("a", np.zeros((1, 28, 28, 3), np.uint8), 0.0)
    cache.put("b", np.zeros((1, 28, 28, 3), np.uint8), 0.0)  # a warning would be an error
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["size"]
