"""Data URIs in every form of RFC 2397, and what stands in a picture's place and has no pixels."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.foreign import foreign
from ral.data.parse import parse_own
from ral.data.pictures import BadMedia, load_picture
from ral.data.uris import data_uri


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((21, 9), 80).convert("RGB").save(file, kind)
    return file.getvalue()


RAW = encoded("PNG")
TEXT, QUOTED = base64.b64encode(RAW).decode(), quote_from_bytes(RAW)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>'
HEADS = ["image/png", "", "image/png;charset=utf-8", 'image/png;name="a,b;base64.png"', "IMAGE/PNG;a=1;b=2", "image/*"]


def medium(text: object) -> bytes | None:
    data = {"question": "Color?", "answer": "red", "image": text}
    (found,) = parse_own(Entry(Path("data.jsonl"), 3, data, Path())).media
    return found.data


@pytest.mark.parametrize("head", HEADS)
def test_a_picture_is_the_same_in_base64_and_percent_encoded(head: str) -> None:
    spellings = [f"data:{head};base64,{TEXT}", f"data:{head};BASE64,{TEXT.rstrip('=')}", f"data:{head},{QUOTED}"]
    spellings.append(f"data:{head}; base64,{quote_from_bytes(TEXT.encode(), safe='')}")
    for text in (*spellings, f"data:{head};base64;charset=utf-8,{TEXT}"):
        assert medium(text) == RAW


def test_jpegs_and_objects_too() -> None:
    jpeg = encoded("JPEG")
    for text in (f"data:image/jpeg,{quote_from_bytes(jpeg)}", {"url": f"data:image/jpeg,{quote_from_bytes(jpeg)}"}):
        assert medium(text) == jpeg


@pytest.mark.parametrize(
    "text, said",
    [
        (f"data:image/svg+xml,{SVG}", "an SVG drawing, which has no pixels.*; write the picture drawn as PNG"),
        (f"data:image/svg+xml;charset=utf-8,{quote_from_bytes(SVG.encode())}", "an SVG drawing"),
        (f"data:image/svg+xml;base64,{base64.b64encode(SVG.encode()).decode()}", "an SVG drawing"),
        ("data:text/html,<!DOCTYPE html><html>", "a web page"),
        (f"data:image/png,{QUOTED[:9]}", "bytes in the entry that are no picture"),
        ("data:,", "0 bytes in the entry that are no picture"),
        ("data:image/png;charset=utf-8;base64,", "base64 is damaged or empty"),
        ("data:image/png;base64,@@@", "base64 is damaged or empty"),
        ("data:png;base64,AAAA", "is no data URI"),
        ("data:image/png", "is no data URI: a type and a comma are missing"),
        (f"data:video/mp4,{QUOTED}", "a clip as a data URI is not read"),
    ],
)
def test_what_is_no_picture_is_said(text: str, said: str) -> None:
    with pytest.raises(BadSample, match=rf"^data.jsonl: entry 3: field 'image': .*{said}"):
        medium(text)


def test_a_plus_is_a_plus_and_commas_in_the_data_stay() -> None:
    found = data_uri("data:text/plain;charset=utf-8,a+b,%2Cc%20d")
    assert found is not None and (found.kind, found.base64, found.data) == ("text/plain", False, b"a+b,,c d")
    assert data_uri("data:;base64,YSs") == ("", True, b"a+")


@pytest.mark.parametrize(
    "content, said",
    [
        (b'<?xml version="1.0"?>\n<!-- made -->\n<svg width="4">', "an SVG drawing, which has no pixels"),
        (b"\xef\xbb\xbf<svg:svg xmlns:svg='x'/>", "an SVG drawing"),
        (b"\n<!doctype HTML><title>Log in</title>", "a web page; write the file itself"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\0\0\0\x18ftypheic\0\0", "a HEIC picture, which is not read"),
        (b"\0\0\0\x18ftypisom\0\0", "a clip; write it under"),
        (b"a note about <svg >", "unreadable picture"),
        (b"", "unreadable picture"),
    ],
)
def test_files_without_pixels_are_called_by_their_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(BadMedia, match=rf"^{path}: {said}"):
        load_picture(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_pictures_are_nothing_foreign(kind: str) -> None:
    assert foreign(encoded(kind)) is None
