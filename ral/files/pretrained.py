"""Checks the folder of a pretrained model by the names and headers of its files alone: no torch, an answer at once.

Every problem is a UserError of one line, begun with `named` ("model.pretrained=<folder>"). `names` are the folder's
files. A folder that passes may still lack weights that its network needs: see ral.models.loading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.files.adapter_words import in_place_of
from ral.files.hub import check_reachable
from ral.files.lfs import is_pointer
from ral.files.rank_parts import parts_of_ranks, without_weights
from ral.files.repository import ROOT, find
from ral.files.weight_sets import refuse_two_sets

KEY = "model.pretrained"
CONFIG, ADAPTER = "config.json", "adapter_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
LENGTH_BYTES = 8
"""Bytes at the beginning of a safetensors file that hold the length of its header."""
FAMILIES = Path(__file__).resolve().parents[1] / "models" / "families"
MODEL_TYPES = sorted(path.stem for path in FAMILIES.glob("[!_]*.py"))
"""Values of config.json's model_type that this project loads; ral.models.registry adds further ones."""
OWN_FAMILY = "; a family of your own is named by model.family=module.NAME"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
SETTINGS = (*PROCESSORS, "video_preprocessor_config.json", "tokenizer_config.json", "generation_config.json")
"""Small JSON files that are read with the model if they are there."""
FLOATS = ("F64", "F32", "F16", "BF16")
"""Types of numbers, as safetensors names them, in which weights can be trained or frozen."""
AGAIN = "download it again"


@dataclass(frozen=True)
class Header:
    """The entry of one tensor in a safetensors header: its type as named there (such as BF16), and its shape."""

    dtype: str
    shape: tuple[int, ...]


def check_folder(pretrained: str, key: str = KEY, any_type: bool = False) -> None:
    """Raise UserError for a folder that holds no whole model, and for a hub id whose model can certainly not be had.

    key: the setting whose value `pretrained` is. any_type: True to allow a model_type that is none of MODEL_TYPES.
    """
    path = Path(find(pretrained))
    named = f"{key}={pretrained}"
    if not path.exists():
        if is_hub_id(pretrained):
            return check_reachable(pretrained, key)
        raise UserError(f"{named}: no such folder; write a folder that holds a config.json, or a hub id")
    if not path.is_dir():
        raise UserError(f"{named}: {a_file(path)}")
    names = sorted(p.name for p in path.iterdir())
    for lost in (name for name in names if (path / name).is_symlink() and not (path / name).exists()):
        raise UserError(f"{named}: {lost} is a link to {(path / lost).readlink()}, which is not there; {AGAIN}")
    if CONFIG not in names:
        raise UserError(f"{named}: {no_model(path, names, key)}")
    check_config(path, named, names, any_type)
    check_types(read_headers(path, named), named)
    check_processor(path, named, names)


def is_hub_id(name: str) -> bool:
    """Tell whether a name that is no folder may be a hub id: `owner/model`, where there is no folder `owner`."""
    owner = Path(name).parent
    return bool(HUB_ID.fullmatch(name)) and not owner.is_dir() and not (ROOT / owner).is_dir()


def a_file(path: Path) -> str:
    """Return the end of the error for a path that is a file, not a folder: its kind, and what to write."""
    if path.suffix == ".gguf":
        return "a GGUF file, which cannot be trained; write the folder of the safetensors model it was made from"
    if (path.parent / "state.pt").exists():
        return no_model(path.parent, [p.name for p in path.parent.iterdir()])
    return f"a file; write its folder, {path.parent}"


def no_model(path: Path, names: Sequence[str], key: str = KEY) -> str:
    """Return the end of the error for a folder without config.json: the folder's kind, and what to write in `key`."""
    inner = sorted(p.parent.name for p in path.glob("*/config.json"))
    if not names:
        return "the folder is empty; write the folder of a model, with its config.json"
    if ADAPTER in names:
        base = adapter_base(path)
        return f"an adapter of {base}, no model; {in_place_of(path, base, KEY if key == KEY else None)}"
    if (path / "hf" / CONFIG).is_file():
        return f"the folder of a run, whose model is in hf/; write {path / 'hf'}"
    if (path / "adapter" / ADAPTER).is_file():
        own, base = path / "adapter", adapter_base(path / "adapter")
        return f"the folder of a run of adapters; {in_place_of(own, base, KEY if key == KEY else None)}"
    if "state.pt" in names:
        return f"a checkpoint of a run; make a model of it with python scripts/export.py {path}"
    if path.name == "checkpoints" and (path.parent / "hf" / CONFIG).is_file():
        return f"the checkpoints of a run, whose model is in hf/; write {path.parent / 'hf'}"
    if (path / "checkpoints").is_dir() or path.name == "checkpoints":
        return "a run that wrote no hf/ yet; make a model with python scripts/export.py <its checkpoints/step_N>"
    if any(name.endswith(".gguf") for name in names):
        return "GGUF files, which cannot be trained; write the folder of the safetensors model they were made from"
    if any(name.endswith(".ckpt") for name in names):
        return "a checkpoint of Lightning, no model; export its weights with save_pretrained first"
    if parts := parts_of_ranks(path):
        return parts
    if snapshots := sorted((path / "snapshots").glob("*/config.json")):
        return f"a folder of the hub's cache; write {snapshots[-1].parent}"
    if inner:
        return f"the folder has no config.json, but {inner[-1]} in it has one; write {path / inner[-1]}"
    return "the folder has no config.json: not a Hugging Face model; write the folder that holds one"


def adapter_base(folder: Path) -> str:
    """Return the name of the base model in a folder's adapter_config.json; "<its base model>" where it has none."""
    return str(read_json(folder / ADAPTER, str(folder)).get("base_model_name_or_path") or "<its base model>")


def read_json(path: Path, named: str) -> dict[str, Any]:
    """Return the object in a JSON file. UserError for one that is unreadable, holds none, or is a Git LFS pointer."""
    if is_pointer(path):
        raise UserError(f"{named}: {path.name} is a Git LFS pointer, not the file; fetch it with git lfs pull")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{named}: {path.name} is not valid JSON ({error}); {AGAIN}") from error
    if not isinstance(content, dict):
        raise UserError(f"{named}: {path.name} holds no object; {AGAIN}")
    return content


def check_config(path: Path, named: str, names: Sequence[str], any_type: bool = False) -> None:
    """Raise UserError for broken JSON, a type not in MODEL_TYPES, no vision, quantization, quoted numbers, adapters."""
    config = read_json(path / CONFIG, named)
    kind = config.get("model_type")
    if kind not in MODEL_TYPES and not any_type:
        pictures = any("vision" in name or "visual" in name for name in config)
        what = "" if pictures or kind is None else " (a model without pictures)"
        trained = ", ".join(MODEL_TYPES)
        raise UserError(
            f"{named}: config.json says model_type {kind!r}{what}; this project trains {trained}{OWN_FAMILY}"
        )
    if (quoted := next(numbers_as_text(config), None)) is not None:
        key, value = quoted
        raise UserError(f'{named}: config.json has {key}="{value}", a text; write the number {value} without quotes')
    if not isinstance(config.get("vision_config"), dict):
        raise UserError(f"{named}: config.json has no vision_config: not a model that sees; take the one it came with")
    if ADAPTER in names:
        raise UserError(
            f"{named}: a model and an adapter of {adapter_base(path)} in one folder; move adapter_config.json and "
            "adapter_model.safetensors to a folder of their own, and name that with lora.resume to continue it"
        )
    if method := config.get("quantization_config"):
        how = method.get("quant_method", "some method") if isinstance(method, Mapping) else method
        raise UserError(f"{named}: its weights are quantized ({how}), which cannot be trained; name the bf16 model")


def numbers_as_text(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted key, value) of each number in config.json that stands in quotes, except versions."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from numbers_as_text(value, f"{prefix}{key}.")
        elif isinstance(value, str) and NUMBER.fullmatch(value.strip()) and not key.endswith("version"):
            yield prefix + key, value.strip()


def check_processor(path: Path, named: str, names: Sequence[str]) -> None:
    """Raise UserError where files of the tokenizer or the processor are missing, broken, or pointers of Git LFS."""
    for files, what in ((TOKENIZERS, "tokenizer"), (PROCESSORS, "settings of pictures")):
        found = [name for name in files if name in names]
        if not found:
            raise UserError(
                f"{named}: {files[0]} is missing ({what}): not a multimodal model; copy it from the model that this "
                "one was made from"
            )
        for name in found:
            if is_pointer(path / name):
                raise UserError(f"{named}: {name} is a Git LFS pointer, not the file; fetch it with git lfs pull")
    for name in (name for name in SETTINGS if name in names):
        read_json(path / name, named)


def check_named(cfg: Mapping[str, Any]) -> None:
    """Raise UserError where the model, teacher or adapter that `cfg`, a training configuration, names is not whole."""
    outside = cfg.get("model", {}).get("family") is not None  # it is imported later: that takes torch
    for group, name, key in (("model", "pretrained", KEY), ("algo", "teacher", "model.teacher")):
        named = cfg.get(group, {}).get(name)
        if named is not None:
            check_folder(str(named), key, any_type=outside)
    adapter = cfg.get("lora", {}).get("resume")
    if adapter is not None:
        check_adapter(str(adapter))


# --- adapters

ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
RESUME = "lora.resume"


def check_adapter(folder: str) -> tuple[dict[str, Any], Path]:
    """Return (content of adapter_config.json, path of the weights) of an adapter. UserError unless both are whole."""
    path, named = Path(folder).expanduser(), f"{RESUME}={folder}"
    if not path.is_dir():
        raise UserError(f"{named}: no such folder; write the folder that holds the adapter's adapter_config.json")
    if not (path / ADAPTER).is_file():
        inner = path / "adapter"
        where = f"; write {inner}" if (inner / ADAPTER).is_file() else "; write adapter/ of a run, or one of peft's"
        raise UserError(f"{named}: no adapter: it has no {ADAPTER}{where}")
    facts = read_json(path / ADAPTER, named)
    file = next((path / name for name in ADAPTER_WEIGHTS if (path / name).is_file()), None)
    if file is None:
        raise UserError(f"{named}: {ADAPTER_WEIGHTS[0]} is missing; {AGAIN}")
    if is_pointer(file):
        raise UserError(f"{named}: {file.name} is a Git LFS pointer, not the weights; fetch them with git lfs pull")
    if file.suffix == ".safetensors":
        read_header(file, named)
    return facts, file


# --- weights


def read_headers(path: Path, named: str | None = None) -> dict[str, Header]:
    """Return {name: type and shape} of every tensor in a folder's safetensors files; {} for weights in .bin files.

    named: None for model.pretrained=<path>. UserError for no or two sets of weights, or a file missing or broken.
    """
    named = named or f"{KEY}={path}"
    found: dict[str, Header] = {}
    for name, expected in weight_files(path, named).items():
        file = path / name
        if not file.is_file():
            raise UserError(f"{named}: {name} is missing, which {expected} names; {AGAIN}")
        if is_pointer(file):
            raise UserError(f"{named}: {name} is a Git LFS pointer, not the weights; fetch them with git lfs pull")
        if name.endswith(".safetensors"):
            found |= read_header(file, named)
        elif file.stat().st_size == 0:
            raise UserError(f"{named}: {name} is empty; {AGAIN}")
    return found


def weight_files(path: Path, named: str) -> dict[str, str]:
    """Return {file of weights: the index that lists it, or "the folder"}. UserError for no set, two, a broken index."""
    for whole, index in ((WEIGHTS, INDEX), (BIN, BIN_INDEX)):
        shards = read_json(path / index, named).get("weight_map") if (path / index).exists() else None
        if (path / whole).exists():
            refuse_two_sets(path, whole, index, shards if isinstance(shards, dict) else None, named)
            return {whole: "the folder"}
        if (path / index).exists():
            if not isinstance(shards, dict) or not shards:
                raise UserError(f"{named}: {index} has no weight_map; {AGAIN}")
            return dict.fromkeys(map(str, shards.values()), index)
    parts = sorted(p.name for p in path.glob("*.safetensors"))
    if parts:
        raise UserError(f"{named}: {parts[0]} is there, but neither {WEIGHTS} nor {INDEX} that names it; {AGAIN}")
    raise UserError(f"{named}: {without_weights(path, WEIGHTS, AGAIN)}")


def check_types(headers: Mapping[str, Header], named: str) -> None:
    """Raise UserError for weights and biases that are not floating-point numbers (FLOATS), as in a quantized model."""
    for name, header in headers.items():
        if name.endswith((".weight", ".bias")) and header.dtype not in FLOATS:
            raise UserError(
                f"{named}: {name} is of type {header.dtype}: the weights are quantized, which cannot be trained; name "
                "the bf16 or fp32 model that they were made of"
            )


def read_header(file: Path, named: str) -> dict[str, Header]:
    """Return {name: type and shape} of the tensors in a safetensors file. UserError for a broken or cut-off file."""
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(head := handle.read(LENGTH_BYTES), "little")
        if head[:4] == b"GGUF" or size < LENGTH_BYTES or length > size - LENGTH_BYTES:
            cut = f"cut off or no safetensors file ({size:,} bytes); {AGAIN}"
            raise UserError(f"{named}: {file.name} is {a_file(Path('x.gguf')) if head[:4] == b'GGUF' else cut}")
        raw = handle.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(raw).items() if name != "__metadata__"}
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
        headers = {name: Header(str(e["dtype"]), tuple(map(int, e["shape"]))) for name, e in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{named}: {file.name} is no safetensors file ({error}); {AGAIN}") from error
    whole = LENGTH_BYTES + length + max(ends, default=0)
    if size != whole:
        raise UserError(f"{named}: {file.name} has {size:,} bytes where its header says {whole:,}; {AGAIN}")
    return headers
