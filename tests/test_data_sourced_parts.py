"""Pictures in parts as Anthropic's messages have them: `source` with base64 or a URL."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.sources import jsonl
from ral.types import Example


def picture(color: str) -> bytes:
    held = BytesIO()
    Image.new("RGB", (56, 84), color).save(held, "PNG")
    return held.getvalue()


def read(folder: Path, *sources: Any, **more: Any) -> Example:
    parts = [{"type": "image", "source": source, **more} for source in sources]
    asked = {"role": "user", "content": [*parts, {"type": "text", "text": "Which color?"}]}
    entry = {"messages": [asked, {"role": "assistant", "content": [{"type": "text", "text": "blue"}]}]}
    (folder / "data.json").write_text(json.dumps([entry, entry]), encoding="utf-8")
    example: Example = jsonl("train", path=folder / "data.json", validation_size=1)[0]
    return example


def encoded(data: bytes) -> dict[str, str]:
    return {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()}


def test_base64_in_a_source_is_the_picture(tmp_path: Path) -> None:
    red, blue = picture("red"), picture("blue")
    example = read(tmp_path, encoded(blue), encoded(red))
    assert [medium.data for medium in example.media] == [blue, red] and example.answer == "blue"
    assert example.media[0].kind == "image" and example.question.endswith("Which color?")


def test_a_url_in_a_source_is_read_where_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("blue"))
    example = read(tmp_path, {"type": "url", "url": f"file://{tmp_path}/a.png"})
    assert example.media[0].path == tmp_path / "a.png"
    with pytest.raises(BadSample, match=r"field 'messages': 'https://x\.org/a\.png' is not on this machine"):
        read(tmp_path, {"type": "url", "url": "https://x.org/a.png"})


@pytest.mark.parametrize("source", [{"type": "file", "file_id": "file_1"}, "a.png", {}, {"type": "base64", "data": 3}])
def test_another_source_is_named(tmp_path: Path, source: Any) -> None:
    with pytest.raises(BadSample, match=r"field 'messages': source .* holds neither base64 nor a URL; write a part"):
        read(tmp_path, source)


def test_damaged_base64_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSample, match=r"field 'messages': .*base64 is damaged or empty"):
        read(tmp_path, encoded(b"") | {"data": "!!"})
    with pytest.raises(BadSample, match="that are no picture"):
        read(tmp_path, encoded(b"no picture at all"))


def test_a_source_beside_the_picture_itself_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture("blue"))
    example = read(tmp_path, "coco", image="a.png")
    assert [medium.path for medium in example.media] == [tmp_path / "a.png"]
