"""Files of a model folder with the settings of its image and video processors: reading and checks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.models.family import Family, PatchSettings
from ral.models.patches import misfit

PICTURES, CLIPS, BOTH = "preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"
INSIDE = f"{BOTH}, image_processor"
FILES = (PICTURES, CLIPS, BOTH)
KEPT: Mapping[str, Any] = {
    **dict.fromkeys(("do_rescale", "do_normalize", "do_convert_rgb", "do_resize"), True),
    **dict.fromkeys(("do_center_crop", "do_flip_channel_order"), False),
    **{"rescale_factor": 1 / 255, "resample": 3},
}
"""Settings that are fixed in this project; files with other values are refused. 3 is pillow's bicubic."""
ALIKE = ("image_mean", "image_std", "patch_size", "merge_size", "temporal_patch_size")
"""Settings that have to be equal for images and videos, as one tower reads both; for towers of tiles the first two."""
NEAR = 1e-6
COPY = "copy the file from the model it is of"


def file_of(folder: str, name: str) -> str | None:
    """Return the text of a file of a model folder or hub id; None where there is none."""
    from transformers.utils import cached_file

    path = cached_file(folder, name, _raise_exceptions_for_missing_entries=False)
    return Path(path).read_text() if path else None


def json_of(folder: str, name: str) -> dict[str, Any]:
    """Return the object in a JSON file of a model folder or hub id; {} where the file is missing or empty.

    UserError for a file that holds no JSON object.
    """
    try:
        raw = file_of(folder, name)
        content = json.loads(raw) if raw else {}
    except ValueError as error:
        raise UserError(f"model.pretrained={folder}: {name} is no JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise UserError(f"model.pretrained={folder}: {name} holds no JSON object; download it again")
    return content


TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json")
"""Files of a tokenizer that hold JSON."""


def broken_json(folder: str, names: Sequence[str]) -> str:
    """Return the first name of `names` whose file is in the folder and holds no JSON object; "" where there is none."""
    for name in names:
        try:
            json_of(folder, name)
        except UserError:
            return name
    return ""


def pixel_settings(folder: str, config: Any, family: Family) -> PatchSettings:
    """Return the PatchSettings of a model, read from the files of its image and video processors.

    folder: folder or hub id. config: Transformers' configuration of the model. family: family of the model. UserError,
    naming the file, where one holds no JSON object, or settings are missing, impossible, contradict each other or are
    not supported here.
    """
    found = dict(_settings_files(folder))
    name, raw = next(((n, r) for n, r in found.items() if n in (PICTURES, INSIDE)), ("", {}))
    named = f"model.pretrained={folder}"
    if not name:
        raise UserError(f"{named}: preprocessor_config.json is missing: not a multimodal model")
    try:
        settings = family.pixels.settings(config, raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{named}: {name} cannot be understood ({type(error).__name__}: {error}); {COPY}") from error
    for file, said in found.items():
        if problem := unkept(said):
            raise UserError(f"{named}: {file}: {problem}")
    if problem := misfit(settings, getattr(config, "vision_config", None)) or _no_square(settings, raw):
        raise UserError(f"{named}: {name}: {problem}; {COPY}")
    for file, said in found.items():
        if key := _differs(raw, said, ALIKE[:2] if settings.tile else ALIKE):
            raise UserError(f"{named}: {key} is {raw[key]} in {name} and {said[key]} in {file}; {COPY}")
    return settings


def _settings_files(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file, its settings) of each file with settings of pixels; keys that are null are left out."""
    both = json_of(folder, BOTH)
    for name, raw in (
        (PICTURES, json_of(folder, PICTURES)),
        (INSIDE, both.get("image_processor")),
        (CLIPS, json_of(folder, CLIPS)),
        (f"{BOTH}, video_processor", both.get("video_processor")),
    ):
        if raw:
            yield name, {key: _three(key, value) for key, value in raw.items() if value is not None}


def _three(key: str, value: Any) -> Any:
    """Return a single number of image_mean or image_std as three, one for each colour; any other value as it is."""
    one = key in ALIKE[:2] and isinstance(value, int | float) and not isinstance(value, bool)
    return [value] * 3 if one else value


def unkept(raw: Mapping[str, Any]) -> str:
    """Return, in words, the first unsupported setting in `raw`, a file's content, and a remedy; "" for none."""
    for key, kept in KEPT.items():
        if (value := raw.get(key)) is not None and not _same(value, kept):
            shown, ours = json.dumps(value), "1/255" if key == "rescale_factor" else json.dumps(kept)
            return (
                f"{key} is {shown}, and pixels are made with {ours} here: the model would see other pictures than it "
                "was trained on; take a checkpoint of its family that keeps it"
            )
    return ""


def _same(ours: Any, theirs: Any) -> bool:
    """Tell whether two settings are equal: numbers up to rounding, lists item by item."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (ours, theirs))
    return math.isclose(ours, theirs, rel_tol=NEAR, abs_tol=NEAR * NEAR) if numbers else bool(ours == theirs)


def _differs(ours: Mapping[str, Any], theirs: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the first of `keys` that both files have with different values; "" where there is none."""
    return next((k for k in keys if k in ours and k in theirs and not _same(ours[k], theirs[k])), "")


def _no_square(settings: PatchSettings, raw: Mapping[str, Any]) -> str:
    """Return, in words, that tiles are no squares; "" where they are squares, or the tower takes no tiles."""
    size = raw.get("size")
    if settings.tile is None or not isinstance(size, Mapping) or size.get("width") == size.get("height"):
        return ""
    return f"size is {size.get('height')} x {size.get('width')}, and pictures become squares here"
