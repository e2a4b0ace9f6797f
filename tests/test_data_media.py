"""Pictures of every mode, clips through both readers, sizes, sampling, the cache, and files that cannot be read."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from conftest import CONF
from hydra import compose, initialize_config_dir
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ral.data import clips
from ral.data.clips import frame_count, frame_indices
from ral.data.evidence import evidence_mask, since
from ral.data.media import BadMedia, MediaReader, load_picture
from ral.data.sizes import MediaSettings, resized, smart_resize
from ral.models.family import PatchSettings
from ral.models.patches import patchify
from ral.types import Evidence, Example, Media, Pixels, PromptBatch, UserError, Wording
from ral.worlds.draw import write_frames

SMALL = MediaSettings(image_min_pixels=28 * 28, video_min_pixels=28 * 28)
side = st.integers(1, 3000)


@settings(max_examples=300, deadline=None)
@given(side, side, st.sampled_from([14, 28, 32]), st.integers(1, 200), st.integers(0, 5000))
def test_smart_resize_is_that_of_transformers(height: int, width: int, factor: int, low: int, more: int) -> None:
    theirs = importlib.import_module("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").smart_resize
    assume(max(height, width) <= 200 * min(height, width))
    bounds = (low * 28 * 28, (low + more) * 28 * 28)
    assert smart_resize(height, width, factor, *bounds) == theirs(height, width, factor, *bounds)


def test_smart_resize_by_hand() -> None:
    assert smart_resize(112, 112, 28, 28 * 28, 10**7) == (112, 112)
    assert smart_resize(1000, 500, 28, 28 * 28, 128 * 28 * 28) == (448, 224)  # exactly 128 tokens
    assert smart_resize(10, 10, 28, 56 * 56, 10**7) == (56, 56)
    with pytest.raises(ValueError, match="aspect ratio"):
        smart_resize(1, 201, 28, 28 * 28, 10**7)


@pytest.mark.parametrize(
    "total, seconds, fps, most, wanted",
    [
        (200, 8, 1, 128, 8),
        (200, 9.9, 1, 128, 8),
        (200, 7.99999, 1, 128, 8),
        (200, 0.1, 1, 128, 2),
        (999, 500, 1, 128, 128),
        (999, 500, 1, 7, 6),
        (200, 5, 2, 9, 8),
        (5, 500, 1, 128, 4),  # not more than there are
        (1, 500, 1, 128, 2),
    ],
)
def test_frame_count(total: int, seconds: float, fps: float, most: int, wanted: int) -> None:
    assert frame_count(total, seconds, MediaSettings(fps=fps, max_frames=most)) == wanted


def test_frame_indices() -> None:
    assert frame_indices(8, 8) == list(range(8))
    assert frame_indices(100, 4) == [0, 33, 66, 99]
    assert frame_indices(1, 2) == [0, 0]


def save(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)  # type: ignore[arg-type]
    return path


HALVES = np.zeros((20, 40, 3), dtype=np.uint8)
HALVES[:, :20] = (255, 0, 0)
HALVES[:, 20:] = (0, 0, 255)


@pytest.mark.parametrize(
    "mode, suffix", [("RGB", "png"), ("P", "png"), ("P", "gif"), ("CMYK", "tif"), ("RGBA", "webp")]
)
def test_modes_become_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    picture = load_picture(save(tmp_path / f"a.{suffix}", HALVES, mode, **options))
    assert picture.mode == "RGB" and picture.size == (40, 20)
    assert np.abs(np.asarray(picture).astype(int) - HALVES).max() <= 4


def test_transparent_is_white(tmp_path: Path) -> None:
    layer = np.dstack([HALVES, np.where(HALVES[..., :1] > 0, 255, 0).astype(np.uint8)])
    pixels = np.asarray(load_picture(save(tmp_path / "a.png", layer)))
    assert (pixels[:, :20] == (255, 0, 0)).all() and (pixels[:, 20:] == 255).all()
    grey = Image.new("L", (4, 4), 7)
    grey.save(tmp_path / "b.png", transparency=7)
    assert np.asarray(load_picture(tmp_path / "b.png")).min() == 255


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    ramp = np.array([[0, 257 * 100, 65535]], dtype=np.uint16)
    assert np.asarray(load_picture(save(tmp_path / "a.png", ramp)))[0, :, 0].tolist() == [0, 100, 255]


@pytest.mark.parametrize("name", ["hf", "jsonl", "video_r1", "video_r1_cot"])
def test_workers_keep_no_media_unless_told(name: str) -> None:
    """Each has its own, on every rank; in a large dataset nothing comes again soon."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert compose(f"dataset/{name}").dataset.cache_gb == 0


def test_fractions_are_scaled(tmp_path: Path) -> None:
    for top, wanted in ((1.0, [0, 51, 255]), (255.0, [0, 51, 255]), (0.0, [0, 0, 0])):
        ramp = np.array([[0.0, 0.2, 1.0]], dtype=np.float32) * top
        assert np.asarray(load_picture(save(tmp_path / "a.tif", ramp)))[0, :, 0].tolist() == wanted


def test_a_passing_fault_is_forgotten_and_a_lasting_one_is_not_met_again(tmp_path: Path) -> None:
    item, reader = Media("image", tmp_path / "a.png"), MediaReader(SMALL)
    for _ in range(2):
        item.path.unlink(missing_ok=True)
        with pytest.raises(BadMedia, match="no such file"):
            reader.read(item)
        save(item.path, HALVES)
        assert reader.read(item).frames.shape[0] == 1
    item.path.unlink()
    for _ in range(2):
        with pytest.raises(BadMedia, match="no such file"):
            reader.read(item)
    save(item.path, HALVES)
    with pytest.raises(BadMedia, match="no such file"):
        reader.read(item)


def test_camera_rotation_is_undone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(HALVES).save(tmp_path / "a.png", exif=exif)
    picture = np.asarray(load_picture(tmp_path / "a.png"))
    assert picture.shape == (40, 20, 3) and (picture[0] == (255, 0, 0)).all() and (picture[-1] == (0, 0, 255)).all()


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_that_of_pillow(tmp_path: Path, orientation: int) -> None:
    exif, corners = Image.Exif(), np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    exif[0x0112] = orientation
    Image.fromarray(corners).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        wanted = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(np.asarray(load_picture(tmp_path / "a.png")), wanted)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert np.asarray(load_picture(tmp_path / "a.gif"))[0, 0].tolist() == [254, 0, 0] or np.asarray(
        load_picture(tmp_path / "a.gif")
    )[0, 0].tolist() == [255, 0, 0]


def test_picture_is_resized_as_transformers_does(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    pixels = MediaReader(SMALL).read(Media("image", save(tmp_path / "a.png", noise)))
    wanted = np.asarray(Image.fromarray(noise).resize((84, 56), Image.Resampling.BICUBIC))
    assert pixels.kind == "image" and pixels.seconds_per_frame == 0
    assert pixels.frames.dtype == torch.uint8 and pixels.frames.shape == (1, 56, 84, 3)
    assert (pixels.frames[0].numpy() == wanted).all()


def grey_clip(path: Path, frames: int, fps: int = 1) -> Path:
    """A clip whose frame n is grey of brightness about 10 + 10 n."""
    images = [Image.new("RGB", (56, 56), (10 + 10 * n,) * 3) for n in range(frames)]
    write_frames(images, path, fps)
    return path


def brightness(frames: torch.Tensor) -> list[int]:
    return [round((value - 10) / 10) for value in frames.float().mean((1, 2, 3)).tolist()]


def clip(path: Path, settings: MediaSettings = SMALL) -> Pixels:
    return MediaReader(settings).read(Media("video", path))


@pytest.mark.parametrize("reader", ["decord", "PyAV"])
@pytest.mark.parametrize(
    "frames, fps, wanted, seconds",
    [(8, 1, list(range(8)), 1.0), (24, 4, [0, 5, 9, 14, 18, 23], 1.0), (5, 1, [0, 1, 3, 4], 1.25), (1, 1, [0, 0], 0.5)],
)
def test_clip_frames(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reader: str,
    frames: int,
    fps: int,
    wanted: list[int],
    seconds: float,
) -> None:
    monkeypatch.setattr(clips, "READERS", [pair for pair in clips.READERS if pair[0] == reader])
    pixels = clip(grey_clip(tmp_path / "a.mp4", frames, fps))
    assert brightness(pixels.frames) == wanted
    assert pixels.seconds_per_frame == pytest.approx(seconds)
    assert pixels.kind == "video" and pixels.frames.shape == (len(wanted), 56, 56, 3)


def test_second_reader_where_the_first_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, settings: MediaSettings) -> tuple[clips.Frames, float]:
        raise RuntimeError("cannot open")

    monkeypatch.setattr(clips, "READERS", (("decord", broken), clips.READERS[1]))
    assert brightness(clip(grey_clip(tmp_path / "a.mp4", 4)).frames) == [0, 1, 2, 3]


def video_processor() -> Any:
    """Transformers' own, where torchvision is there; skips where it is not. A CPU torch lacks two of its operators."""
    pytest.importorskip("torchvision.version", reason="torchvision is not installed", exc_type=Exception)  # type: ignore[arg-type]
    from transformers import Qwen2VLVideoProcessor

    return Qwen2VLVideoProcessor(cap_pixels_per_frame=False)


@pytest.mark.parametrize("sides, most", [((112, 140), 1e-6), ((90, 150), 0.016), ((480, 640), 0.016)])
def test_clip_tensors_are_those_of_transformers_video_processor(sides: tuple[int, int], most: float) -> None:
    """Equal where no frame is resized; else pillow and torch round differently by one of 255 levels (0.015)."""
    processor = video_processor()
    noise = [Image.effect_noise((sides[1], sides[0]), 70).convert("RGB") for _ in range(4)]
    frames = torch.stack([torch.from_numpy(np.array(image)) for image in noise])
    low, high = MediaSettings().video_min_pixels, MediaSettings().video_max_pixels
    theirs = processor(
        videos=[frames.permute(0, 3, 1, 2)],
        do_sample_frames=False,
        size={"shortest_edge": low, "longest_edge": high},
        return_tensors="pt",
    )
    size = smart_resize(*sides, 28, low, high)
    ours = torch.stack([torch.from_numpy(resized(image, size)) for image in noise])
    patches, grid = patchify(Pixels("video", ours, 1.0), PatchSettings())
    assert theirs["video_grid_thw"].tolist() == [list(grid)]
    difference = (patches - theirs["pixel_values_videos"]).abs()
    assert difference.max() < most and difference.mean() < 1e-3


def test_bounds_of_clips_and_pictures_differ(tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", HALVES)
    bounds = MediaSettings(
        image_min_pixels=4 * 784, image_max_pixels=4 * 784, video_min_pixels=784, video_max_pixels=784
    )
    reader = MediaReader(bounds)
    assert reader.read(Media("video", grey_clip(tmp_path / "a.mp4", 2))).frames.shape == (2, 28, 28, 3)
    assert reader.read(Media("image", image)).frames.shape[1:3].numel() <= 6 * 784


def test_evidence_of_a_cut_clip_falls_on_its_own_slots() -> None:
    """Seconds 12 to 14 of a clip that is read from 10 s on: with slots of two frames, a second each, the second one."""
    flags = torch.ones(1, 4, dtype=torch.bool)
    example = Example("0", "q", "a", "free-form", evidence=(Evidence((0, 0, 1, 1), (12.0, 14.0)),))
    prompts = PromptBatch(flags, flags, flags, {}, (example,), (Wording(""),), (((4, 1, 1),),), flags)
    frames = torch.zeros(8, 28, 28, 3)

    def slots(start: float) -> list[bool]:
        return evidence_mask(prompts, [[Pixels("video", frames, 1.0, start)]], 2)[0].tolist()

    assert slots(10.0) == [False, True, False, False]
    assert slots(0.0) == [False] * 4 and slots(13.0) == [True, False, False, False] and slots(14.0) == [False] * 4
    assert since(Evidence((0, 0, 1, 1)), 10.0).span is None


def test_cache_is_bounded_and_drops_the_longest_unused(tmp_path: Path) -> None:
    files = [Media("image", save(tmp_path / f"{n}.png", np.full((28, 28, 3), n, dtype=np.uint8))) for n in range(3)]
    one = 28 * 28 * 3
    reader = MediaReader(SMALL, cache_bytes=2 * one)
    first, second = reader.read(files[0]), reader.read(files[1])
    assert reader.read(files[0]) is first
    reader.read(files[2])  # the second is now the longest unused
    assert reader.held_bytes == 2 * one and reader.read(files[0]) is first
    assert reader.read(files[1]) is not second and reader.held_bytes == 2 * one
    tiny = MediaReader(SMALL, cache_bytes=one - 1)
    assert tiny.read(files[0]) is not tiny.read(files[0]) and tiny.held_bytes == 0


def test_reader_goes_to_workers(tmp_path: Path) -> None:
    reader = pickle.loads(pickle.dumps(MediaReader(SMALL, cache_bytes=10)))
    assert reader.settings == SMALL


def empty_clip(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width = stream.height = 56
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    return path


@pytest.mark.parametrize(
    "kind, message", [("image", "unreadable picture"), ("video", "unreadable clip, or no frames in it")]
)
def test_damaged_files_are_named(tmp_path: Path, kind: str, message: str) -> None:
    damaged = tmp_path / "a.bin"
    whole = grey_clip(tmp_path / "a.mp4", 8) if kind == "video" else save(tmp_path / "a.png", HALVES)
    for content in (b"", b"not media", whole.read_bytes()[: len(whole.read_bytes()) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(BadMedia, match=message) as caught:
            MediaReader(SMALL).read(Media(kind, damaged))  # type: ignore[arg-type]
        assert str(damaged) in str(caught.value) and "\n" not in str(caught.value)


def test_clip_without_frames_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match=r"empty.mp4: unreadable clip, or no frames in it \(no video stream\); replace"):
        MediaReader(SMALL).read(Media("video", empty_clip(tmp_path / "empty.mp4")))
    with pytest.raises(BadMedia, match=r"gone.png: no such file"):
        MediaReader(SMALL).read(Media("image", tmp_path / "gone.png"))


def test_sliver_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((1, 300, 3), dtype=np.uint8))
    with pytest.raises(BadMedia, match=r"a.png: aspect ratio of 300 x 1 pixels is above 200"):
        MediaReader(SMALL).read(Media("image", path))


@pytest.mark.parametrize("values", [{"fps": 0}, {"max_frames": 1}, {"image_min_pixels": 10**9}])
def test_settings_that_cannot_work(values: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"media: .*write"):
        MediaSettings(**values)
