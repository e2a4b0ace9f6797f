"""Settings for reading one image or video: the dataset's, replaced where the entry itself asks for something."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ral.data.clip_times import BadRequest, Excerpt
from ral.data.sizes import MediaSettings
from ral.types import Media

PICTURES_A_SECOND = 2.0  # of a clip given as pictures, where the entry does not say; as in qwen-vl-utils


def asked(media: Media, settings: MediaSettings) -> tuple[MediaSettings, Excerpt]:
    """Return the settings for reading one image or video, and the part of a video to read (for an image Excerpt()).

    What the entry says replaces the dataset's settings. BadRequest where the entry contradicts itself, or asks for what
    no file can give, such as 0 frames a second.
    """
    _numbers(media)
    if media.kind == "image":
        return _bounded(media, settings, "image"), Excerpt()
    fps = settings.fps if media.fps is None else media.fps
    excerpt = Excerpt(media.start, media.end, even(media.frame_count))
    return replace(_bounded(media, settings, "video"), fps=fps), excerpt


def even(count: int | None) -> int | None:
    """Return the even number nearest to `count` frames: for an odd one its neighbour that is a multiple of 4.

    As in qwen-vl-utils. None for None. BadRequest where the result is below 2.
    """
    if count is None:
        return None
    frames = 2 * round(count / 2)
    if frames < 2:
        raise BadRequest(f"asks for {count} frames", "ask for 2 or more")
    return frames


def _numbers(media: Media) -> None:
    """Raise BadRequest for numbers that are out of range or contradict each other, and for times of an image."""
    times = {"start": media.start, "end": media.end, "fps": media.fps}
    for name, value in times.items():
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise BadRequest(f"{name}={value:g} is no time or rate", "write a number of 0 or more")
    if media.fps == 0:
        raise BadRequest("asks for 0 frames a second", "write fps above 0, or leave it out")
    if media.kind == "image":
        if found := [name for name in (*times, "frame_count", "frames") if _given(media, name)]:
            raise BadRequest(f"is a picture and has {' and '.join(found)}", "leave that out, or name it as a video")
        return
    if media.data is not None:
        raise BadRequest("is a clip that stands in the entry itself", "write it to a file and name that")
    if media.start is not None and media.end is not None and media.end <= media.start:
        raise BadRequest(f"asks for a part from {media.start:g} s to {media.end:g} s", "write an end behind the start")
    if media.fps is not None and media.frame_count is not None and not media.frames:
        raise BadRequest(f"asks for fps={media.fps:g} and for {media.frame_count} frames in all", "write one of them")


def _given(media: Media, name: str) -> bool:
    return getattr(media, name) not in (None, ())


def _bounded(media: Media, settings: MediaSettings, kind: str) -> MediaSettings:
    """Return the settings with the entry's bounds of the area. kind: "image" or "video".

    Where the entry gives one bound only, the dataset's other bound moves to it if they would cross. BadRequest for
    bounds that are not above 0, cross each other, or leave less than one visual token.
    """
    low, high = getattr(settings, f"{kind}_min_pixels"), getattr(settings, f"{kind}_max_pixels")
    least, most = media.min_pixels, media.max_pixels
    for name, value in (("min_pixels", least), ("max_pixels", most)):
        if value is not None and value <= 0:
            raise BadRequest(f"asks for {name}={value}", "write a number of pixels above 0")
    if most is not None and most < settings.factor**2:
        raise BadRequest(f"asks for max_pixels={most}, below one visual token", f"write at least {settings.factor**2}")
    if least is not None and most is not None and least > most:
        raise BadRequest(f"asks for min_pixels={least} above max_pixels={most}", "write min_pixels <= max_pixels")
    low = min(low, most or low) if least is None else least
    high = max(high, low) if most is None else most
    bounds: dict[str, Any] = {f"{kind}_min_pixels": low, f"{kind}_max_pixels": high}
    return replace(settings, **bounds)
