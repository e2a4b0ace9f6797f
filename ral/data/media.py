"""Pictures and clips on disk -> uint8 RGB pixels of a size that Qwen2-VL's vision tower can cut into patches.

Clips are read by decord and, where it cannot or takes too long, by PyAV (`ral.data.clips`).
"""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image

from ral.data import clips
from ral.data.bad import BadSample
from ral.data.clips import TOKEN_PIXELS as TOKEN_PIXELS
from ral.data.clips import Frames, MediaSettings, Reader, resized, smart_resize
from ral.data.decoder import Decoder, reason_of
from ral.data.disk_cache import DiskCache, cache_key
from ral.types import Media, Pixels

SIXTEEN_BITS = 257  # a 16-bit value is that many times the 8-bit one
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""
REPLACE = "replace or remove the file"
MOST_TRIES = 2  # readings, of a file that none succeeds for


class BadMedia(BadSample):
    """A file that cannot be read as the picture or clip it should be; the message names the file."""

    def __init__(self, path: Path, reason: str, write: str = REPLACE) -> None:
        named = rf":? ?'?{re.escape(str(path))}'?(\.\.\.)?"  # decoders name the file again
        super().__init__(path, re.sub(named, "", reason), write, path)


def _opaque(image: Image.Image) -> Image.Image:
    """Any mode -> RGB: transparency over white, 16-bit grey scaled down to 8 bits, fractions up to 1 scaled up."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        deep = image.mode.startswith("I;16") or (image.mode == "I" and values.max(initial=0) > 255)
        white = 1 if image.mode == "F" and values.max(initial=0) <= 1 else 255 * (SIXTEEN_BITS if deep else 1)
        return Image.fromarray((255 * values / white).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image


def _upright(image: Image.Image) -> Image.Image:
    """A loaded picture turned as its EXIF says; as it is where the EXIF is damaged, for its pixels are not."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # pillow raises many kinds here too
        return image
    return image if turn is None else image.transpose(turn)


def load_picture(path: Path) -> Image.Image:
    """An RGB picture, upright; the first frame of an animated one. BadMedia where it cannot be read.

    Above pillow's bound against decompression bombs (179 million pixels) it is refused.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # half that bound, and oddities that pillow copes with
            with Image.open(path) as image:
                image.load()
                return _opaque(_upright(image)).convert("RGB")
    except Exception as error:  # pillow's plugins raise many kinds for a damaged file
        raise BadMedia(path, f"unreadable picture ({reason_of(error)})") from error


def read_picture(path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    """A picture as frames [1 H W 3]; it takes 0 seconds."""
    picture = load_picture(path)
    bounds = (settings.image_min_pixels, settings.image_max_pixels)
    try:
        size = smart_resize(picture.height, picture.width, settings.factor, *bounds)
    except ValueError as error:
        raise BadMedia(path, str(error), "crop or remove the file") from error
    return resized(picture, size)[None], 0.0


Decode = Callable[[Reader, Path, MediaSettings], tuple[Frames, float]]


def _here(reader: Reader, path: Path, settings: MediaSettings) -> tuple[Frames, float]:
    return reader(path, settings)


def read_clip(path: Path, settings: MediaSettings, decode: Decode = _here) -> tuple[Frames, float]:
    """A clip as frames [T H W 3], T even, and its duration in seconds. BadMedia where no reader can give them.

    decode: how a reader is called.
    """
    reasons = []
    for name, reader in clips.READERS:
        try:
            return decode(reader, path, settings)
        except Exception as error:  # decoders raise many kinds; all reasons are reported below
            reasons.append(f"{name}: {reason_of(error)}")
    raise BadMedia(path, f"unreadable clip, or no frames in it ({'; '.join(reasons)})")


class MediaReader:
    """Reads media and keeps the latest results, at most `cache_bytes` of pixels. Results are shared: do not write.

    disk: where results are kept beyond this process; None = nowhere. A file that was bad twice is not read again: once
    may have been a passing fault.
    """

    def __init__(self, settings: MediaSettings, cache_bytes: int = 0, disk: DiskCache | None = None) -> None:
        self.settings, self.cache_bytes, self.disk = settings, cache_bytes, disk
        self.held_bytes = 0
        self._cache: OrderedDict[Media, Pixels] = OrderedDict()
        self._bad: dict[Media, tuple[int, str, str]] = {}  # times, reason and what to do
        self._decoder = Decoder()

    def read(self, media: Media) -> Pixels:
        """The pixels of one picture or clip. Errors: BadMedia naming the file."""
        times, reason, write = self._bad.get(media, (0, "", ""))
        if times == MOST_TRIES:
            raise BadMedia(media.path, reason, write)
        if media in self._cache:
            self._cache.move_to_end(media)
            return self._cache[media]
        try:
            frames, seconds = self._kept(media)
        except BadMedia as error:
            self._bad[media] = (times + 1, error.reason, error.write)
            raise
        self._bad.pop(media, None)
        pixels = Pixels(media.kind, torch.from_numpy(frames), seconds / len(frames))
        self._keep(media, pixels)
        return pixels

    def _kept(self, media: Media) -> tuple[Frames, float]:
        """Frames and seconds from the disk cache, else decoded and put there."""
        if not media.path.is_file():
            raise BadMedia(media.path, "no such file", "check the dataset's path and media_root")
        if self.disk is None:
            return self._decoded(media)
        key = cache_key(media.path, media.kind, self.settings)
        if (found := self.disk.get(key)) is not None:
            return found
        frames, seconds = self._decoded(media)
        self.disk.put(key, frames, seconds)
        return frames, seconds

    def _decoded(self, media: Media) -> tuple[Frames, float]:
        if media.kind == "image":
            return read_picture(media.path, self.settings)
        decode = _here if self.settings.timeout_s is None else self._decoder.read
        return read_clip(media.path, self.settings, decode)

    def _keep(self, media: Media, pixels: Pixels) -> None:
        """Add a result, dropping the longest unused ones; one larger than the cache is not kept."""
        if pixels.frames.nbytes > self.cache_bytes:
            return
        self._cache[media] = pixels
        self.held_bytes += pixels.frames.nbytes
        while self.held_bytes > self.cache_bytes:
            _, dropped = self._cache.popitem(last=False)
            self.held_bytes -= dropped.frames.nbytes


def media_reader(
    settings: MediaSettings, *, cache_gb: float = 0.0, disk_cache: str | None = None, disk_cache_gb: float = 0.0
) -> MediaReader:
    """A MediaReader with its caches, sizes in 2**30 bytes. UserError where the cache's folder cannot be written."""
    disk = DiskCache(Path(disk_cache), int(disk_cache_gb * 2**30)) if disk_cache else None
    return MediaReader(settings, int(cache_gb * 2**30), disk)
