"""Odd but good media are read right, broken ones told by their reason; ral.worlds.broken makes both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ral.data import clips
from ral.data.clips import read_by_decord, read_by_pyav
from ral.data.media import BadMedia, MediaReader, load_picture
from ral.data.sizes import MediaSettings
from ral.types import Media, Pixels
from ral.worlds import broken as made
from ral.worlds.draw import write_frames

SETTINGS = MediaSettings(image_min_pixels=784, video_min_pixels=784)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return made.odd_media(tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return made.broken_media(tmp_path_factory.mktemp("broken"))


def read(path: Path, kind: str, settings: MediaSettings = SETTINGS) -> Pixels:
    return MediaReader(settings).read(Media(kind, path))  # type: ignore[arg-type]


def halves(pixels: Pixels) -> tuple[list[int], list[int]]:
    """Mean colours of the left and of the right half, rounded to tens."""
    middle = pixels.frames.shape[2] // 2
    parts = (pixels.frames[0, :, : middle - 4], pixels.frames[0, :, middle + 4 :])
    left, right = (part.float().mean((0, 1)).div(10).round().int().tolist() for part in parts)
    return left, right


def tens(colour: tuple[int, ...]) -> list[int]:
    return torch.tensor(colour).float().div(10).round().int().tolist()


def colours(number: int) -> tuple[list[int], list[int]]:
    """What make_broken_dataset.picture(number) shows."""
    return tens((number * 37 % 256, 60, 200)), tens((250, number * 53 % 256, 20))


@pytest.mark.parametrize(
    "kind, number", [("picture under a clip's name", 6), ("8k picture", 7), ("CMYK", 8), ("animated", 3)]
)
def test_odd_pictures_show_what_they_should(odd: dict[str, Path], kind: str, number: int) -> None:
    pixels = read(odd[kind], "image")
    found, wanted = torch.tensor(halves(pixels)), torch.tensor(colours(number))
    assert (found - wanted).abs().max() <= 1 and pixels.frames.shape[0] == 1
    assert pixels.frames.shape[1:3].numel() <= SETTINGS.image_max_pixels


def test_sixteen_bits_palette_alpha_and_rotation(odd: dict[str, Path]) -> None:
    assert read(odd["16 bits"], "image").frames.unique().tolist() == [100]
    left, right = halves(read(odd["palette"], "image"))
    assert abs(left[2] - 20) <= 1 and abs(right[0] - 25) <= 1
    faded = read(odd["alpha"], "image").frames[0].float()
    assert faded[0].mean() > 250 > 180 > faded[-1].mean()  # white where it is transparent
    turned = read(odd["rotated by its EXIF"], "image").frames[0].float()
    assert turned.shape[0] == 2 * turned.shape[1]
    assert tens(tuple(turned[:48].mean((0, 1)).tolist())) == colours(2)[0]  # what lay on the left is on top


def test_dark_sixteen_bits_stay_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((28, 28), 200, np.uint16)).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", "image").frames.max() <= 1


def brightness(pixels: Pixels) -> list[int]:
    return [round((value - 10) / 10) for value in pixels.frames.float().mean((1, 2, 3)).tolist()]


@pytest.mark.parametrize("reader", [read_by_decord, read_by_pyav])
@pytest.mark.parametrize(
    "kind, frames, seconds",
    [
        ("clip under a picture's name", range(8), 1.0),
        ("clip of one frame", [0, 0], 0.5),
        ("clip that claims three hours", range(8), 1.0),
    ],
)
def test_odd_clips_are_read_right(
    odd: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    reader: clips.ClipReader,
    kind: str,
    frames: list[int],
    seconds: float,
) -> None:
    monkeypatch.setattr(clips, "READERS", (("it", reader),))
    pixels = read(odd[kind], "video")
    assert brightness(pixels) == list(frames) and pixels.seconds_per_frame == seconds


def shown_by(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Write a clip of a red top left, a green top right and a blue bottom, with a display matrix in its header."""
    pixels = np.zeros((56, 112, 3), np.uint8)
    pixels[:28, :56, 0] = pixels[:28, 56:, 1] = pixels[28:, :, 2] = 255
    write_frames([Image.fromarray(pixels)] * 4, path)
    content, (a, b, c, d) = bytearray(path.read_bytes()), matrix
    start = content.find(b"tkhd") + 44
    for at, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 14)):
        content[start + 4 * at : start + 4 * at + 4] = round(65536 * value).to_bytes(4, "big", signed=True)
    path.write_bytes(content)


def corners(frame: Any) -> str:
    """The first letters of the strongest colour in the four corners: top left and right, bottom left and right."""
    return "".join("rgb"[frame[y, x].argmax()] for y in (8, -8) for x in (8, -8))


@pytest.mark.parametrize("reader", [read_by_decord, read_by_pyav])
@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        ((1, 0, 0, 1), "rgbb"),
        *[((0, 1, -1, 0), "brbg"), ((-1, 0, 0, -1), "bbgr"), ((0, -1, 1, 0), "gbrb")],  # turned, as a phone's are
        *[
            ((-1, 0, 0, 1), "grbb"),
            ((1, 0, 0, -1), "bbrg"),
            ((0, 1, 1, 0), "rbgb"),
            ((0, -1, -1, 0), "bgbr"),
        ],  # mirrored
        *[((2, 0, 0, 2), "rgbb"), ((0.5, 0.001, -0.001, 0.5), "rgbb")],
    ],
)
def test_a_clip_stands_as_a_player_shows_it(
    tmp_path: Path, reader: clips.ClipReader, matrix: tuple[float, float, float, float], seen: str
) -> None:
    shown_by(tmp_path / "a.mp4", matrix)
    frames, _ = reader(tmp_path / "a.mp4", SETTINGS)
    assert corners(frames[0]) == corners(frames[-1]) == seen
    assert frames.shape[1:3] == ((112, 56) if matrix[0] == 0 else (56, 112))


@pytest.mark.parametrize("reader", [read_by_decord, read_by_pyav])
def test_a_clip_that_is_turned_by_a_slant_is_refused(tmp_path: Path, reader: clips.ClipReader) -> None:
    shown_by(tmp_path / "a.mp4", (0.9, 0.4, -0.4, 0.9))
    with pytest.raises(ValueError, match=r"its display matrix \(0.9 0.4 -0.4 0.9\) turns it by no right angle"):
        reader(tmp_path / "a.mp4", SETTINGS)


def test_frames_are_those_of_one_batch_however_few_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames([Image.effect_noise((56, 56), 40 + n).convert("RGB") for n in range(20)], tmp_path / "a.mp4")
    whole = read_by_decord(tmp_path / "a.mp4", SETTINGS)[0]
    monkeypatch.setattr(clips, "UNSIZED_BYTES", 3 * 56 * 56 * 3)
    assert (read_by_decord(tmp_path / "a.mp4", SETTINGS)[0] == whole).all()
    assert whole.shape[0] == 20 and np.unique(whole.mean((1, 2, 3))).size == 20


def test_a_clip_without_times_in_its_header_is_read_by_its_frames(tmp_path: Path) -> None:
    made.clip(tmp_path / "whole.mp4")
    made.claim(tmp_path / "whole.mp4", tmp_path / "a.mp4", 0)
    assert read(tmp_path / "a.mp4", "video").seconds_per_frame == 1.0


def test_slow_clips_are_not_filled_with_copies(tmp_path: Path) -> None:
    """Four frames a second are asked for, one is there."""
    made.clip(tmp_path / "a.mp4", frames=6)
    pixels = read(tmp_path / "a.mp4", "video", MediaSettings(video_min_pixels=784, fps=4.0))
    assert brightness(pixels) == list(range(6)) and pixels.seconds_per_frame == 1.0


REASONS = {
    "missing file": "no such file",
    "zero bytes": "unreadable picture",
    "text under a picture's name": "a web page; write the file itself",
    "truncated picture": "unreadable picture .*truncated",
    "truncated clip": "unreadable clip",
    "audio without video": "unreadable clip.*no video stream",
    "clip without duration": "unreadable clip.*no (duration|video stream)",
}


@pytest.mark.parametrize("kind", REASONS)
def test_broken_media_are_bad(broken: dict[str, list[Path]], kind: str) -> None:
    assert set(REASONS) == set(broken)
    for path in broken[kind]:
        with pytest.raises(BadMedia, match=REASONS[kind]) as caught:
            read(path, "video" if made.is_clip(path) else "image")
        assert caught.value.file == path and "\n" not in str(caught.value) and str(path) not in caught.value.reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tif"])
def test_no_truncated_picture_passes(tmp_path: Path, suffix: str) -> None:
    Image.effect_noise((200, 200), 90).convert("RGB").save(tmp_path / f"a.{suffix}")
    content = (tmp_path / f"a.{suffix}").read_bytes()
    for share in (0.3, 0.6, 0.9):
        (tmp_path / f"a.{suffix}").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BadMedia, match="unreadable picture"):
            read(tmp_path / f"a.{suffix}", "image")


@pytest.mark.parametrize("share", [0.5, 0.75, 0.85])
@pytest.mark.parametrize("reader", [read_by_decord, read_by_pyav])
def test_a_clip_that_lost_its_end_is_bad(tmp_path: Path, share: float, reader: clips.ClipReader) -> None:
    noise = [Image.effect_noise((56, 56), 50 + n).convert("RGB") for n in range(60)]
    write_frames(noise, tmp_path / "a.mp4", 5)
    made.faststart(tmp_path / "a.mp4", tmp_path / "b.mp4")
    made.cut(tmp_path / "b.mp4", tmp_path / "c.mp4", share)
    assert reader(tmp_path / "b.mp4", SETTINGS)[1] == pytest.approx(12)
    with pytest.raises(Exception, match=r".+"):
        reader(tmp_path / "c.mp4", SETTINGS)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """20,000 x 20,000 pixels that take a few kB."""
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(BadMedia, match="decompression bomb"):
        read(tmp_path / "a.png", "image")


def test_a_damaged_exif_block_costs_nothing(tmp_path: Path) -> None:
    made.picture(4).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12", quality=95)
    assert (torch.tensor(halves(read(tmp_path / "a.jpg", "image"))) - torch.tensor(colours(4))).abs().max() <= 1


def test_an_exif_block_that_cannot_be_written_again_still_turns(tmp_path: Path) -> None:
    """A description of the wrong type beside an orientation that is right: turned to the right by 90 degrees."""
    tags = bytes.fromhex("0107 0002 00000006 00000026 0112 0003 00000001 0006 0000")
    made.picture(4).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\2" + tags + b"\0\0\0\0hello\0")
    with Image.open(tmp_path / "a.png") as picture, pytest.raises(Exception, match="not an integer"):
        ImageOps.exif_transpose(picture)  # what is at stake
    assert load_picture(tmp_path / "a.png").size == made.picture(4).size[::-1]


def test_many_pixels_below_the_bound_are_read(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Above half of pillow's bound, where it warns."""
    Image.new("L", (9_500, 9_500), 70).save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png").getpixel((9, 9)) == (70, 70, 70) and not recwarn.list


def test_cover_pictures_are_no_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A song with a cover: its one video stream is marked as an attached picture."""
    import av

    made.picture(1, (56, 56)).save(tmp_path / "cover.jpg")
    made.audio_only(tmp_path / "song.mp4")
    with (
        av.open(str(tmp_path / "song.mp4")) as song,
        av.open(str(tmp_path / "cover.jpg")) as cover,
        av.open(str(tmp_path / "both.mp4"), "w") as both,
    ):
        sources = (song.streams.audio[0], cover.streams.video[0])
        targets = [both.add_stream_from_template(source) for source in sources]
        targets[1].disposition = av.stream.Disposition.attached_pic
        for source, target in zip(sources, targets, strict=True):
            for packet in source.container.demux(source):
                if packet.dts is not None:
                    packet.stream = target
                    both.mux(packet)
    with pytest.raises(BadMedia, match="no video stream"):
        read(tmp_path / "both.mp4", "video")


def test_kinds_are_those_that_are_made(odd: dict[str, Path]) -> None:
    kinds: Callable[[str], bool] = made.BROKEN.__contains__
    assert len(made.BROKEN) == 9 and len(odd) == 11 and all(kinds(kind) for kind in REASONS)
