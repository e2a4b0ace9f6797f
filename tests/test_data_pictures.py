"""Oddities of picture files that show what they should, pictures in memory, and pictures in order as one clip."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ral.data.media import BadMedia, MediaReader, load_picture
from ral.data.sizes import MediaSettings
from ral.types import Media

SETTINGS = MediaSettings(image_min_pixels=784, video_min_pixels=784, max_frames=8)
RED = (255, 0, 0)


def png(path: Path, *chunks: tuple[bytes, bytes], sums: bool = True) -> Path:
    """A red PNG with more chunks behind its header; sums: whether their checksums are right."""
    Image.new("RGB", (64, 64), RED).save(path)
    content = path.read_bytes()
    more = b"".join(
        struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held) ^ (not sums))
        for name, held in chunks
    )
    path.write_bytes(content[:33] + more + content[33:])  # signature 8, header chunk 25
    return path


BIG = zlib.compress(b"x" * 3_000_000)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"workflow\0\0" + BIG),
        (b"iTXt", b"prompt\0\1\0\0\0" + BIG),
        (b"iCCP", b"profile\0\0" + BIG),
        (b"tEXt", b"parameters\0" + b"y" * 3_000_000),
    ],
)
def test_large_texts_and_profiles_cost_nothing(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    path = png(tmp_path / "a.png", chunk)
    assert load_picture(path).getpixel((9, 9)) == RED
    assert load_picture(Path("in the entry"), path.read_bytes()).getpixel((9, 9)) == RED


def test_many_texts_and_damaged_ones_cost_nothing(tmp_path: Path) -> None:
    many = [(b"zTXt", f"k{n}".encode() + b"\0\0" + zlib.compress(b"x" * 1_000_000)) for n in range(70)]
    assert load_picture(png(tmp_path / "a.png", *many)).getpixel((9, 9)) == RED
    assert load_picture(png(tmp_path / "b.png", (b"tEXt", b"a\0b"), sums=False)).getpixel((9, 9)) == RED


def test_transparency_and_rotation_survive_large_texts(tmp_path: Path) -> None:
    text, exif = PngImagePlugin.PngInfo(), Image.Exif()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    exif[0x0112] = 6
    picture = Image.new("P", (40, 20), 1)
    picture.putpalette([0, 0, 0, *RED])
    picture.paste(0, (0, 0, 20, 20))
    picture.save(tmp_path / "a.png", pnginfo=text, exif=exif, transparency=0)
    found = load_picture(tmp_path / "a.png")
    assert found.size == (20, 40) and found.getpixel((9, 3)) == (255, 255, 255) and found.getpixel((9, 30)) == RED


def test_bombs_and_truncated_files_stay_bad(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    Image.new("1", (13_500, 13_500)).save(tmp_path / "bomb.png", pnginfo=text)
    Image.effect_noise((64, 64), 90).save(tmp_path / "cut.png", pnginfo=text)
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 3 * 2])
    for name, reason in (("bomb.png", "decompression bomb"), ("cut.png", "unreadable picture")):
        with pytest.raises(BadMedia, match=reason) as caught:
            load_picture(tmp_path / name)
        assert "BytesIO" not in str(caught.value)


def odd(kind: str, path: Path) -> None:
    """A red picture of an odd kind."""
    red = Image.new("RGB", (64, 64), RED)
    if kind == "MPO":
        red.save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 64), "blue")])
    elif kind == "animated WebP":
        red.save(path, "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 64), "blue")], lossless=True)
    elif kind == "animated PNG":
        red.save(path, "PNG", save_all=True, append_images=[Image.new("RGB", (64, 64), "blue")])
    elif kind == "16 bits a colour":
        rows = b"".join(b"\0" + struct.pack(">3H", 65535, 0, 0) * 64 for _ in range(64))
        chunks = (
            (b"IHDR", struct.pack(">2I5B", 64, 64, 16, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(rows)),
            (b"IEND", b""),
        )
        parts = (struct.pack(">I", len(h)) + n + h + struct.pack(">I", zlib.crc32(n + h)) for n, h in chunks)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    else:
        red.convert(kind).save(path, {"LA": "PNG", "1": "PNG", "LAB": "TIFF", "YCbCr": "JPEG"}.get(kind, "TIFF"))


@pytest.mark.parametrize("kind", ["MPO", "animated WebP", "animated PNG", "16 bits a colour", "YCbCr", "CMYK", "RGBX"])
def test_odd_pictures_are_red(tmp_path: Path, kind: str) -> None:
    odd(kind, tmp_path / "a.gif")  # a suffix decides nothing
    assert np.abs(np.array(load_picture(tmp_path / "a.gif").getpixel((9, 9))) - RED).max() <= 4


def test_black_and_white_is_read(tmp_path: Path) -> None:
    for kind in ("1", "LA"):
        odd(kind, tmp_path / "a.png")
        assert load_picture(tmp_path / "a.png").mode == "RGB"


# --- in memory --------------------------------------------------------------------------------------------------------


def tif(path: Path, values: Any) -> Path:
    Image.fromarray(np.asarray(values, np.float32)).save(path)
    return path


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_pixels_that_are_no_numbers_make_a_bad_picture(tmp_path: Path, value: float) -> None:
    with pytest.raises(BadMedia, match="pixels that are no numbers, NaN or infinity"):
        load_picture(tif(tmp_path / "a.tif", [[0.5] * 56, [0.5] * 55 + [value]] * 28))


@pytest.mark.parametrize(("scale", "seen"), [(1.0, 128), (255.0, 128), (65535.0, 128), (1000.0, 2)])
def test_fractions_are_read_by_the_greatest_of_them(tmp_path: Path, scale: float, seen: int) -> None:
    """Up to 1, up to 255, and above that as 16 bits."""
    pixels = np.asarray(load_picture(tif(tmp_path / "a.tif", [[0.5 * scale] * 56, [scale] * 56] * 28)))
    assert abs(int(pixels[0, 0, 0]) - seen) <= 1 and pixels.shape == (56, 56, 3)


def encoded(colour: Any = RED) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (56, 56), colour).save(file, "PNG")
    return file.getvalue()


def test_a_picture_in_the_entry_is_read_and_kept_by_what_it_is() -> None:
    place, reader = Path("data.jsonl entry 3 image_url"), MediaReader(SETTINGS, cache_bytes=10**6)
    first = reader.read(Media("image", place, data=encoded()))
    assert first.frames[0, 5, 5].tolist() == list(RED) and reader.read(Media("image", place, data=encoded())) is first
    assert reader.read(Media("image", place, data=encoded("blue"))).frames[0, 5, 5].tolist() == [0, 0, 255]
    assert all(len(held.data or b"") == 32 for held in reader._cache)  # a digest, not the bytes
    for data in (b"", b"no picture", encoded()[:60]):
        with pytest.raises(BadMedia, match=r"^data\.jsonl entry 3 image_url: unreadable picture") as caught:
            reader.read(Media("image", place, data=data))
        assert "BytesIO" not in str(caught.value)


# --- a clip of pictures -----------------------------------------------------------------------------------------------


def pictures(folder: Path, count: int) -> tuple[Path, ...]:
    """Grey ones, brighter by 10 each; every second one of another size."""
    paths = tuple(folder / f"{n:03d}.png" for n in range(count))
    for n, path in enumerate(paths):
        Image.new("RGB", (56, 84) if n % 2 == 0 else (112, 56), (10 * n,) * 3).save(path)
    return paths


@pytest.mark.parametrize(
    "count, ask, wanted, step, start",
    [
        (4, {}, [0, 1, 2, 3], 0.5, 0),
        (3, {}, [0, 1, 2, 2], 0.5, 0),
        (1, {}, [0, 0], 0.5, 0),
        (4, {"fps": 4.0}, [0, 1, 2, 3], 0.25, 0),
        (7, {"fps": 1.0}, [0, 1, 2, 3, 4, 5, 6, 6], 1.0, 0),
        (9, {}, [0, 1, 2, 3, 5, 6, 7, 8], 4.5 / 8, 0),  # one more than max_frames
        (20, {"frame_count": 4}, [0, 6, 13, 19], 2.5, 0),
        (3, {"frame_count": 3}, [0, 1, 2, 2], 0.5, 0),
        (20, {"start": 2.0, "end": 4.0}, [4, 5, 6, 7], 0.5, 2),
    ],
)
def test_pictures_in_order_are_one_clip(
    tmp_path: Path, count: int, ask: dict[str, Any], wanted: list[int], step: float, start: float
) -> None:
    paths = pictures(tmp_path, count)
    pixels = MediaReader(SETTINGS).read(Media("video", paths[0], frames=paths, **ask))
    assert pixels.frames.shape == (len(wanted), 84, 56, 3) and pixels.kind == "video"
    assert [int(frame.float().mean()) // 10 for frame in pixels.frames] == wanted
    assert pixels.seconds_per_frame == pytest.approx(step) and pixels.start == start


def test_a_bad_one_of_the_pictures_is_named(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 4)
    clip = Media("video", paths[0], frames=paths)
    paths[2].write_bytes(b"no picture")
    with pytest.raises(BadMedia, match=r"^\S*002.png: unreadable picture"):
        MediaReader(SETTINGS).read(clip)
    paths[2].unlink()
    with pytest.raises(BadMedia, match=r"^\S*002.png: no such file"):
        MediaReader(SETTINGS).read(clip)
    with pytest.raises(BadMedia, match="asks for 6 frames, but 2 pictures are there; ask for 2 at most"):
        MediaReader(SETTINGS).read(Media("video", paths[0], frames=paths[:2], frame_count=6))
    with pytest.raises(BadMedia, match="from 9 s on, but the clip takes 1 s"):
        MediaReader(SETTINGS).read(Media("video", paths[0], frames=paths[:2], start=9.0))


@pytest.mark.parametrize(("kind", "name"), [("image", "a.png"), ("video", "c.mp4")])
def test_a_pointer_of_git_lfs_is_called_that(tmp_path: Path, kind: Any, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12345\n")
    with pytest.raises(BadMedia, match=f"{name}: a Git LFS pointer, not the file itself; fetch it: git lfs pull"):
        MediaReader(SETTINGS).read(Media(kind, tmp_path / name))
