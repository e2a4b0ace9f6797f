"""Images and videos of entries as uint8 RGB pixels, of a size that a vision tower can cut into patches.

Videos are read by decord and, where it cannot or takes too long, by PyAV (`ral.data.clips`); images by pillow
(`ral.data.pictures`).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ral.data import clips
from ral.data.asked import asked
from ral.data.bad import ROOT_KEY
from ral.data.clip_times import WHOLE, BadRequest, Excerpt
from ral.data.clips import ClipReader
from ral.data.decoder import Decoder, reason_of
from ral.data.disk_cache import DiskCache, cache_key
from ral.data.pictures import BadMedia, read_picture, read_pictures, refuse_pointer
from ral.data.pictures import load_picture as load_picture
from ral.data.sizes import TOKEN_PIXELS as TOKEN_PIXELS
from ral.data.sizes import Frames, MediaSettings
from ral.types import Media, Pixels

MOST_TRIES = 2  # readings, of a file that none succeeds for

Decode = Callable[[ClipReader, Path, MediaSettings], tuple[Frames, float]]


def _here(reader: ClipReader, path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    return reader(path, settings)


def read_clip(
    path: Path, settings: MediaSettings, decode: Decode = _here, part: Excerpt = WHOLE
) -> tuple[Frames, float]:
    """Return a video as frames [T H W 3] uint8, T even, and the length in seconds of the part that they show.

    decode: a function that calls a reader, in this process or in another. part: the part to read. BadMedia, with all
    reasons, where no reader can read the file; BadRequest where the video has no such part.
    """
    reasons = []
    for name, reader in clips.READERS:
        try:
            return decode(reader if part == WHOLE else partial(reader, part=part), path, settings)
        except BadRequest:
            raise
        except Exception as error:  # decoders raise many kinds; all reasons are reported below
            reasons.append(f"{name}: {reason_of(error)}")
    refuse_pointer(path)
    said = {reason.partition(": ")[2] for reason in reasons}
    why = said.pop() if len(said) == 1 else "; ".join(reasons)
    raise BadMedia(path, f"unreadable clip, or no frames in it ({why})")


def _name(media: Media) -> Media:
    """Return a medium as a key for lookups: the bytes of an image in its entry are replaced by their digest."""
    return media if media.data is None else replace(media, data=hashlib.sha256(media.data).digest())


class MediaReader:
    """Reader of images and videos that keeps its latest results, up to `cache_bytes` of pixels. Never write to results.

    disk: where decoded frames are kept beyond this process; None for nowhere. A file that failed twice is not read
    again; a first failure may have been a passing fault.
    """

    def __init__(self, settings: MediaSettings, cache_bytes: int = 0, disk: DiskCache | None = None) -> None:
        self.settings, self.cache_bytes, self.disk = settings, cache_bytes, disk
        self.held_bytes = 0
        self._cache: OrderedDict[Media, Pixels] = OrderedDict()
        self._bad: dict[Media, tuple[int, str, str]] = {}  # times, reason and what to do
        self._decoder = Decoder()

    def read(self, media: Media) -> Pixels:
        """Return the pixels of one image or video. BadMedia, naming the file, where it cannot be read."""
        name = _name(media)
        times, reason, write = self._bad.get(name, (0, "", ""))
        if times == MOST_TRIES:
            raise BadMedia(media.path, reason, write)
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        try:
            frames, seconds = self._kept(media)
        except BadMedia as error:
            self._bad[name] = (times + 1, error.reason, error.write)
            raise
        self._bad.pop(name, None)
        pixels = Pixels(media.kind, torch.from_numpy(frames), seconds / len(frames), media.start or 0.0)
        self._keep(name, pixels)
        return pixels

    def _kept(self, media: Media) -> tuple[Frames, float]:
        """Return frames [T H W 3] and their length in seconds: from the disk cache, or decoded and then kept there."""
        for path in () if media.data is not None else media.frames or (media.path,):
            if not path.is_file():
                raise BadMedia(path, "no such file", f"check {ROOT_KEY}")
        try:
            settings, part = asked(media, self.settings)
            key = None if self.disk is None else cache_key(media, settings)
            if self.disk is not None and key is not None and (found := self.disk.get(key)) is not None:
                return found
            frames, seconds = self._decoded(media, settings, part)
        except BadRequest as error:
            raise BadMedia(media.path, error.reason, error.write) from error
        if self.disk is not None and key is not None:
            self.disk.put(key, frames, seconds)
        return frames, seconds

    def _decoded(self, media: Media, settings: MediaSettings, part: Excerpt) -> tuple[Frames, float]:
        if media.kind == "image":
            return read_picture(media.path, settings, media.data)
        if media.frames:
            return read_pictures(media.frames, settings, part, media.fps)
        decode = _here if settings.timeout_s is None else self._decoder.read
        return read_clip(media.path, settings, decode, part)

    def _keep(self, name: Media, pixels: Pixels) -> None:
        """Keep a result in memory and drop those unused for longest; a result larger than the cache is not kept."""
        if pixels.frames.nbytes > self.cache_bytes:
            return
        self._cache[name] = pixels
        self.held_bytes += pixels.frames.nbytes
        while self.held_bytes > self.cache_bytes:
            _, dropped = self._cache.popitem(last=False)
            self.held_bytes -= dropped.frames.nbytes


def media_reader(
    settings: MediaSettings, *, cache_gb: float = 0.0, disk_cache: str | None = None, disk_cache_gb: float = 0.0
) -> MediaReader:
    """Return a MediaReader with its caches.

    cache_gb, disk_cache_gb: sizes in 2**30 bytes. disk_cache: folder; None or "" for no cache on disk. UserError where
    the folder cannot be written.
    """
    disk = DiskCache(Path(disk_cache), int(disk_cache_gb * 2**30)) if disk_cache else None
    return MediaReader(settings, int(cache_gb * 2**30), disk)
