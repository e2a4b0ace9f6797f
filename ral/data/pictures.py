"""Image files, and encoded images in memory, as upright RGB pixels, resized; several images in order as a video."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from ral.data.asked import PICTURES_A_SECOND
from ral.data.bad import BadSample
from ral.data.clip_times import BadRequest, Excerpt, Span, Timeline, frames_at, span
from ral.data.clips import fitted
from ral.data.decoder import reason_of
from ral.data.foreign import HEAD, foreign
from ral.data.sizes import Frames, MediaSettings, resized, smart_resize
from ral.files.lfs import is_pointer

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
"""{EXIF orientation: the transposition that makes the image upright}"""
REPLACE = "replace or remove the file"
PNG_BEGINS = b"\x89PNG\r\n\x1a\n"
NOT_PIXELS = {b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"tIME", b"pHYs", b"sPLT", b"hIST", b"cHRM", b"gAMA", b"sRGB"}
"""Chunks of a PNG on which its pixels do not depend."""


class BadMedia(BadSample):
    """Raised for a file that cannot be read as the image or video that it should be. The message names the file."""

    def __init__(self, path: Path, reason: str, write: str = REPLACE) -> None:
        named = rf":? ?'?{re.escape(str(path))}'?(\.\.\.)?"  # decoders name the file again
        super().__init__(path, re.sub(named, "", reason), write, path)


def refuse_pointer(path: Path) -> None:
    """Raise BadMedia where a file is a Git LFS pointer in place of the file itself."""
    if is_pointer(path):
        raise BadMedia(path, "a Git LFS pointer, not the file itself", "fetch it: git lfs pull")


def refuse_foreign(path: Path) -> None:
    """Raise BadMedia where a file that no reader takes is something else, such as a document or a web page."""
    try:
        with path.open("rb") as file:
            found = foreign(file.read(HEAD))
    except OSError:
        return
    if found:
        raise BadMedia(path, found[0], f"write {found[1]}")


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image ready to be converted to RGB: transparency over white, deep grey scaled down to 8 bits.

    Fractions (mode F) are scaled up where none is above 1. Numbers of mode I or F are read as 16 bits where one is
    above 255. ValueError for pixels that are no numbers.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("pixels that are no numbers, NaN or infinity")
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        white = 1 if image.mode == "F" and values.max(initial=0) <= 1 else 255 * (SIXTEEN_BITS if deep else 1)
        return Image.fromarray((255 * values / white).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Return a loaded image turned as its EXIF says; unchanged where the EXIF is damaged, since the pixels are not."""
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # pillow raises many kinds here too
        return image
    return image if turn is None else image.transpose(turn)


def load_picture(path: Path, data: bytes | None = None) -> Image.Image:
    """Return an RGB image, upright; of an animated one the first frame. BadMedia where it cannot be read.

    data: the encoded image, where it is not in the file `path`, which then is only a name for the message; None to read
    the file. An image above pillow's bound against decompression bombs (179 million pixels) counts as unreadable.
    """
    try:
        try:
            return _rgb(path if data is None else BytesIO(data))
        except (ValueError, SyntaxError, OSError):
            if (bare := _without_words(path, data)) is None:
                raise
            return _rgb(BytesIO(bare))
    except Exception as error:  # pillow's plugins raise many kinds for a damaged file
        if data is None:
            refuse_pointer(path)
            refuse_foreign(path)
        reason = re.sub(r" <_io\.BytesIO[^>]*>", "", reason_of(error))
        raise BadMedia(path, f"unreadable picture ({reason})") from error


def _rgb(source: Path | BytesIO) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # half the bound against bombs, and oddities that pillow copes with
        with Image.open(source) as image:
            image.load()
            return _opaque(_upright(image)).convert("RGB")


def _without_words(path: Path, data: bytes | None) -> bytes | None:
    """Return the bytes of a PNG without the chunks of NOT_PIXELS; None for no PNG, or one without such chunks.

    pillow refuses texts and colour profiles above 1 MB, and damaged ones.
    """
    content = path.read_bytes() if data is None else data
    if not content.startswith(PNG_BEGINS):
        return None
    kept, at = [PNG_BEGINS], len(PNG_BEGINS)
    while at + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length  # length, name, what it holds, checksum
        if name not in NOT_PIXELS:
            kept.append(content[at:end])
        at = end
    bare = b"".join(kept)
    return bare if len(bare) < len(content) else None


def read_picture(path: Path, settings: MediaSettings, data: bytes | None = None) -> tuple[Frames, float]:
    """Return an image as frames [1 H W 3] uint8, resized within the settings' bounds, and 0.0, its length in seconds.

    data: the encoded image; None to read the file. BadMedia where it cannot be read or is too elongated.
    """
    picture = load_picture(path, data)
    bounds = (settings.image_min_pixels, settings.image_max_pixels)
    try:
        size = smart_resize(picture.height, picture.width, settings.factor, *bounds)
    except ValueError as error:
        raise BadMedia(path, str(error), "crop or remove the file") from error
    return resized(picture, size)[None], 0.0


def read_pictures(
    paths: Sequence[Path], settings: MediaSettings, part: Excerpt, rate: float | None
) -> tuple[Frames, float]:
    """Return images in order as a video [T H W 3] uint8, T even, and its length in seconds.

    All are resized to the size that fits the first one. rate: images a second; None: PICTURES_A_SECOND. All images of
    the part are taken, the last one twice where their number is odd; where they are more than part.count
    (settings.max_frames where it is None), that many are taken, evenly in time. BadMedia, naming the image, where one
    cannot be read or the first one is too elongated; BadRequest for a part that does not exist or has too few images.
    """
    rate = PICTURES_A_SECOND if rate is None else rate
    shown = Timeline(np.arange(len(paths)) / rate, len(paths) / rate)
    numbers, seconds = _chosen(shown, span(shown, part), part.count, settings.max_frames // 2 * 2, rate)
    try:
        return np.stack(fitted((np.asarray(load_picture(paths[n])) for n in numbers), settings)), seconds
    except ValueError as error:
        raise BadMedia(paths[numbers[0]], str(error), "crop or remove the file") from error


def _chosen(shown: Timeline, part: Span, count: int | None, most: int, rate: float) -> tuple[list[int], float]:
    """Return the indices of the images to take of a part, an even number, and their length in seconds as a video."""
    doubled = part.total + part.total % 2
    if count is not None and count > doubled:
        raise BadRequest(f"asks for {count} frames, but {part.total} pictures are there", f"ask for {doubled} at most")
    if (count or most) < part.total:
        return frames_at(shown, part, count or most), part.seconds
    numbers = list(range(part.first, part.last + 1))
    return numbers + numbers[-1:] * (part.total % 2), doubled / rate
