"""How a model folder says that pixels are made: what is kept, and what is refused because it would be ignored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from ral.errors import UserError
from ral.models.family import PatchSettings
from ral.models.patches import normalised
from ral.models.pixel_files import pixel_settings
from ral.models.processor import Processor
from ral.models.registry import FAMILIES

PICTURES, CLIPS, BOTH = "preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree("assets/tiny", tmp_path / "model")


def write(folder: Path, file: str, **keys: Any) -> None:
    path = folder / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.is_file() else {}) | keys))


def settings(folder: Path) -> PatchSettings:
    config = AutoConfig.from_pretrained(folder)
    return pixel_settings(str(folder), config, FAMILIES[config.model_type])


UNKEPT: dict[str, tuple[str, Any]] = {
    "pixels up to 255": ("do_rescale", False),
    "not normalised": ("do_normalize", False),
    "a text": ("do_rescale", "false"),
    "pixels of -1 to 1": ("rescale_factor", 1 / 127.5),
    "as they are": ("rescale_factor", 1),
    "blue first": ("do_flip_channel_order", True),
    "not resized": ("do_resize", False),
    "bilinear": ("resample", 2),
    "cropped": ("do_center_crop", True),
    "grey": ("do_convert_rgb", False),
}


@pytest.mark.parametrize("file", [PICTURES, CLIPS])
@pytest.mark.parametrize("name", UNKEPT)
def test_settings_that_are_not_kept_are_refused(folder: Path, name: str, file: str) -> None:
    key, value = UNKEPT[name]
    write(folder, file, **{key: value})
    with pytest.raises(UserError, match=rf"^model.pretrained={folder}: {file}: {key} is \S+, and pixels are made with"):
        settings(folder)


def test_what_published_files_say_passes(folder: Path) -> None:
    plain = settings(folder)
    rescaled = {"do_rescale": True, "rescale_factor": 0.00392156862745098, "resample": 3, "do_center_crop": None}
    for file in (PICTURES, CLIPS):
        write(folder, file, do_normalize=True, do_resize=True, do_pad=None, crop_size=None, **rescaled)
    assert settings(folder) == plain


def test_mean_and_deviation_are_kept(folder: Path) -> None:
    for file in (PICTURES, CLIPS):
        write(folder, file, image_mean=0.5, image_std=[0.5, 0.25, 0.5])  # one number stands for all colours
    found = settings(folder)
    assert found.mean == (0.5, 0.5, 0.5) and found.std == (0.5, 0.25, 0.5)
    white = normalised(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8), found)
    assert white[0, :, 0, 0].tolist() == [1.0, 2.0, 1.0]
    write(folder, PICTURES, image_mean=None, image_std=None)
    write(folder, CLIPS, image_mean=None, image_std=None)
    assert settings(folder).mean == PatchSettings().mean


def test_those_for_pixels_up_to_255_are_told(folder: Path) -> None:
    write(folder, PICTURES, image_mean=[123.675, 116.28, 103.53])
    with pytest.raises(UserError, match=r"image_mean is \[123.675, .*\], of pixels up to 255.*divide it by 255"):
        settings(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [("image_mean", [0.5, 0.5, 0.5]), ("image_std", 0.5), ("temporal_patch_size", 1), ("patch_size", 16)],
)
def test_pictures_and_clips_of_different_settings_are_refused(folder: Path, key: str, value: Any) -> None:
    write(folder, CLIPS, **{key: value})
    with pytest.raises(UserError, match=rf"{key} is .* in {PICTURES} and .* in {CLIPS}; copy the file"):
        settings(folder)


def test_two_files_about_pictures_that_differ_are_refused(folder: Path) -> None:
    write(folder, BOTH, image_processor=json.loads((folder / PICTURES).read_text()))
    settings(folder)
    write(folder, BOTH, image_processor={"image_std": [0.5, 0.5, 0.5]})
    with pytest.raises(UserError, match=rf"image_std is .* in {PICTURES} and .* in {BOTH}, image_processor"):
        settings(folder)


def test_a_file_that_cannot_be_understood_is_named(folder: Path) -> None:
    write(folder, PICTURES, image_mean=True)
    with pytest.raises(UserError, match=rf"{PICTURES} cannot be understood \(TypeError"):
        settings(folder)


def test_tiles_are_squares(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("internvl"), tmp_path / "model")
    write(folder, PICTURES, size={"height": 112, "width": 224})
    with pytest.raises(UserError, match="size is 112 x 224, and pictures become squares here"):
        settings(folder)
    write(folder, PICTURES, size={"shortest_edge": 112})
    with pytest.raises(UserError, match=rf"{PICTURES} cannot be understood \(KeyError: 'height'\)"):
        settings(folder)


@pytest.mark.parametrize("name", [PICTURES, CLIPS, BOTH, "chat_template.json"])
@pytest.mark.parametrize(("text", "problem"), [('{"a": ', "is no JSON .*"), ("[1]", "holds no JSON object")])
def test_a_file_of_settings_that_is_broken_is_named_with_a_remedy(
    folder: Path, name: str, text: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ral.models.processor.read_config", AutoConfig.from_pretrained)  # as for an id of the hub
    if name == "chat_template.json":
        (folder / "chat_template.jinja").unlink()
    (folder / name).write_text(text)
    with pytest.raises(UserError, match=rf"^model.pretrained={folder}: {name} {problem}; download it again$"):
        Processor.from_folder(str(folder))


def test_a_folder_without_config_is_named_before_anything_is_read(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=rf"^model.pretrained={folder}: the folder has no config.json: .*; write"):
        Processor.from_folder(str(folder))
