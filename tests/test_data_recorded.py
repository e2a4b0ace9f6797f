"""Media of evaluation records are read again as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ral.data.recorded import reading, recorded
from ral.types import Media, UserError


@pytest.mark.parametrize(
    "media",
    [
        Media("image", Path("a.png")),
        Media("image", Path("a.png"), min_pixels=10, max_pixels=20),
        Media("video", Path("a.mp4"), start=1.5, end=3.0, frame_count=4),
        Media("video", Path("1.jpg"), frames=(Path("1.jpg"), Path("2.jpg")), fps=2.0),
    ],
)
def test_a_medium_comes_back_from_its_record(media: Media) -> None:
    said = json.loads(json.dumps(reading(media)))
    assert recorded(media.kind, media.path, said) == media


def test_a_whole_file_needs_no_words() -> None:
    assert reading(Media("video", Path("a.mp4"))) == {}


def test_what_is_in_no_file_is_said() -> None:
    said = reading(Media("image", Path("data.json entry 3"), data=b"x"))
    with pytest.raises(UserError, match="stands in the entry itself"):
        recorded("image", Path("data.json entry 3"), said)
