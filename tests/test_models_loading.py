"""A checkpoint is loaded whole or not at all: one line with file, tensor and remedy, and the good ones load."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ENVIRONMENT, ROOT
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from ral.files.pretrained import MODEL_TYPES, check_folder, read_header
from ral.models.loading import load_network, remedy
from ral.models.mllm import MLLM
from ral.models.network_config import layer_types, read_config
from ral.models.norms import multiplying
from ral.models.registry import FAMILIES
from ral.types import UserError

Weights = dict[str, torch.Tensor]
FILE = "model.safetensors"
EMBEDDINGS = "model.embed_tokens.weight"


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {n: w for n, w in weights.items() if part not in n}


def put(name: str, at: int, value: float) -> Callable[[Weights], Weights]:
    def change(weights: Weights) -> Weights:
        found = next(n for n in weights if n.endswith(name))
        weights[found].view(-1)[at] = value
        return weights

    return change


def halved(weights: Weights) -> Weights:
    name = next(n for n in weights if n.endswith("layers.1.mlp.down_proj.weight"))
    return weights | {name: weights[name][:, ::2].clone()}


BROKEN = {
    "one weight": (without("layers.1.self_attn.k_proj.bias"), r"1 of \d+ weights are missing: \S+k_proj.bias;"),
    "a layer": (without("layers.2."), r"12 of \d+ weights are missing: (\S+, ){2}\S+ and 9 more"),
    "the tower": (without("visual."), r"\d+ of \d+ weights are missing: model.visual"),
    "one too many": (lambda w: w | {"model.layers.9.extra.weight": torch.ones(2)}, "does not know: .*extra.weight"),
    "a wrapper nobody knows": (lambda w: {f"student.{n}": x for n, x in w.items()}, "begins with 'student'"),
    "a wrapper nobody knows, and a value head": (
        lambda w: (
            {f"student.{n}": x for n, x in w.items()} | {f"v_head.{n}": torch.ones(2) for n in ("weight", "bias")}
        ),
        r"in the files but v_head.bias, v_head.weight begins with 'student', .*, and what is no part of .* out",
    ),
    "two models": (
        lambda w: {f"{m}.{n}": x.clone() for n, x in w.items() for m in ("actor", "critic")},
        "download the weights again, or save the whole model",
    ),
    "a shape": (halved, r"1 weight of another shape .*down_proj.weight has \(64, 48\) .*should have \(64, 96\)"),
    "NaN": (put("layers.0.mlp.up_proj.weight", 7, float("nan")), r"not finite .*: \S+0.mlp.up_proj.weight"),
    "infinity": (put("norm.weight", 3, float("-inf")), "not finite"),
    "zeros": (lambda w: {n: torch.zeros_like(x) for n, x in w.items()}, r"(\d+) of \1 matrices hold nothing but zeros"),
    "a norm of zeros": (
        lambda w: {n: x * (0 if n.endswith("layers.1.input_layernorm.weight") else 1) for n, x in w.items()},
        r"1 norm whose weight is nothing but zeros, so that nothing goes through: \S+1.input_layernorm.weight;",
    ),
    "adapters": (lambda w: w | {"model.layers.0.q_proj.lora_A.default.weight": torch.ones(2, 2)}, "merge them"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_whole_is_refused(name: str, copied: Callable[..., Path]) -> None:
    change, message = BROKEN[name]
    with pytest.raises(UserError, match=message) as found:
        MLLM.load(str(copied(change)))
    assert "\n" not in str(found.value) and str(found.value).startswith("model.pretrained=")


def test_a_head_of_its_own_must_be_there(copied: Callable[..., Path]) -> None:
    folder = copied(tie_word_embeddings=False)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"lm_head.weight is missing.*tie_word_embeddings"):
        MLLM.load(str(folder))
    weights = load_file(folder / FILE)
    save_file(weights | {"lm_head.weight": weights[EMBEDDINGS] * 2}, folder / FILE, metadata={"format": "pt"})
    network = MLLM.load(str(folder)).network
    assert torch.equal(network.lm_head.weight, 2 * network.get_input_embeddings().weight)


@pytest.mark.parametrize("prefix", ["base_model.model.", "module.", "_orig_mod.", "module._orig_mod."])
def test_the_name_of_a_wrapper_is_taken_off(prefix: str, copied: Callable[..., Path], load: Any) -> None:
    got = MLLM.load(str(copied(lambda weights: {prefix + n: w for n, w in weights.items()}))).network.state_dict()
    assert all(torch.equal(got[name], value) for name, value in load().network.state_dict().items())


@pytest.mark.parametrize("prefix", ["base_model.model.", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_it_is_taken_off_in_files_of_pytorch_too(
    prefix: str, zipped: bool, copied: Callable[..., Path], load: Any
) -> None:
    folder = copied()
    weights = {prefix + name: weight for name, weight in load_file(folder / FILE).items()}
    (folder / FILE).unlink()
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    got = MLLM.load(str(folder)).network.state_dict()
    assert all(torch.equal(got[name], value) for name, value in load().network.state_dict().items())


def test_a_prefix_of_no_library_in_files_of_pytorch_is_named(copied: Callable[..., Path]) -> None:
    folder = copied()
    weights = {f"student.{name}": weight for name, weight in load_file(folder / FILE).items()}
    (folder / FILE).unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="every name in the files begins with 'student', which is to be taken off"):
        MLLM.load(str(folder))
    (folder / "pytorch_model.bin").write_bytes((folder / "pytorch_model.bin").read_bytes()[:5000])
    with pytest.raises(UserError, match=r"its weights cannot be read.*download it again"):
        MLLM.load(str(folder))


def test_without_names_of_the_files_the_prefix_is_that_of_unknown_names() -> None:
    assert "begins with 'student'" in remedy(["student.a.weight"], (), ["model.a.weight"])


@pytest.mark.parametrize("prefix", ["", "base_model.model.", "module._orig_mod."])
def test_a_model_read_under_a_wrapper_is_saved_by_its_own_names(
    prefix: str, copied: Callable[..., Path], load: Any, tmp_path: Path
) -> None:
    """The folder has the names of one that never had a wrapper, inside or around, and loads again."""

    def change(weights: Weights) -> Weights:
        inside = {n.replace(".layers.1.", ".layers.1._orig_mod."): w for n, w in weights.items()}
        return {prefix + n: w for n, w in inside.items()}

    own, saved = copied(change), tmp_path / "saved"
    MLLM.load(str(own)).save(saved)
    load().save(tmp_path / "plain")
    found, plain = load_file(saved / FILE), load_file(tmp_path / "plain" / FILE)
    assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)
    assert MLLM.load(str(saved)).depth == 3


def test_wrappers_inside_names_and_older_layouts_are_mapped(copied: Callable[..., Path], load: Any) -> None:
    def change(weights: Weights) -> Weights:
        return {n.replace(".layers.1.", ".layers.1._checkpoint_wrapped_module."): w for n, w in weights.items()}

    got = MLLM.load(str(copied(change))).network.state_dict()
    assert all(torch.equal(got[name], value) for name, value in load().network.state_dict().items())


def pointer(folder: Path) -> None:
    (folder / FILE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 7\n")


def cut(folder: Path) -> None:
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:-1])


def begun(folder: Path) -> None:
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:20])


def shard(folder: Path) -> None:
    (folder / FILE).rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/base"}))


def as_run(folder: Path) -> None:
    shutil.move(shutil.copytree(folder, folder.parent / "aside"), folder / "hf")
    (folder / "config.json").unlink()


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    beside(folder)


def gguf(folder: Path) -> None:
    emptied(folder)
    (folder / "q4.gguf").touch()


def text_model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2"}))


def quantised(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))


def checkpoint(folder: Path) -> None:
    emptied(folder)
    (folder / "state.pt").touch()


def settings(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text("{")


def link(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / FILE).symlink_to("/nowhere/model.safetensors")


def whole_numbers(folder: Path) -> None:
    weights = load_file(folder / FILE)
    save_file({n: w.to(torch.int8) if w.ndim == 2 else w for n, w in weights.items()}, folder / FILE)


def blind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]
    (folder / "config.json").write_text(json.dumps(config))


FILES = {
    settings: "preprocessor_config.json is not valid JSON",
    link: "model.safetensors is a link to /nowhere/model.safetensors, which is not there",
    whole_numbers: "is of type I8: the weights are quantized",
    blind: "config.json has no vision_config",
    pointer: "model.safetensors is a Git LFS pointer",
    cut: "model.safetensors has .* bytes where its header says",
    begun: "model.safetensors is cut off",
    shard: "model-00002-of-00002.safetensors is missing, which model.safetensors.index.json names",
    beside: "a model and an adapter of some/base in one folder",
    as_run: "the folder of a run, whose model is in hf/; write .*/hf",
    emptied: "the folder is empty",
    adapter: "an adapter of some/base, no model; make a model of it with python scripts/export.py ",
    gguf: "GGUF",
    text_model: r"model_type 'qwen2' \(a model without pictures\)",
    quantised: r"quantized \(awq\)",
    checkpoint: "scripts/export.py",
}


@pytest.mark.parametrize("spoil", FILES, ids=lambda f: f.__name__)
def test_files_are_checked_without_reading_weights(spoil: Callable[[Path], None], copied: Callable[..., Path]) -> None:
    folder = copied()
    check_folder(str(folder))
    spoil(folder)
    with pytest.raises(UserError, match=FILES[spoil]) as found:
        check_folder(str(folder), "checkpoint")
    assert str(found.value).startswith(f"checkpoint={folder}: ")


def test_parts_of_a_run_name_its_model(copied: Callable[..., Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "step_000001").mkdir(parents=True)
    (run / "checkpoints" / "step_000001" / "state.pt").touch()
    with pytest.raises(UserError, match=r"scripts/export.py .*step_000001$"):
        check_folder(str(run / "checkpoints" / "step_000001" / "state.pt"))
    shutil.copytree(copied(), run / "hf")
    with pytest.raises(UserError, match=r"whose model is in hf/; write .*/run/hf"):
        check_folder(str(run / "checkpoints"))


def test_names_that_are_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ral.files.hub.unreachable", lambda env: None)
    check_folder("someone/some-model")  # a hub id
    for name in ("/gone/model", "./gone", "gone", "a/b/c", "assets/gone"):
        with pytest.raises(UserError, match="no such folder"):
            check_folder(name)
    (tmp_path / FILE).touch()
    with pytest.raises(UserError, match=f"a file; write its folder, {tmp_path}"):
        check_folder(str(tmp_path / FILE))
    assert set(MODEL_TYPES) == set(FAMILIES)


def test_a_wrong_folder_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    told = "import sys; sys.argv[1:] = ['model.pretrained=/gone']; import runpy, atexit; "
    told += "atexit.register(lambda: print('torch' in sys.modules)); runpy.run_path('train.py', run_name='__main__')"
    command = [sys.executable, "-c", told.replace("/gone'", f"/gone', 'hydra.run.dir={tmp_path}'")]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (1, "False")
    assert done.stderr.strip() == (
        "error: model.pretrained=/gone: no such folder; write a folder that holds a config.json, or a hub id"
    )


# --- tokenizers and templates


def with_tokens(folder: Path, special: bool, tokens: tuple[str, ...]) -> None:
    raw = json.loads((folder / "tokenizer.json").read_text())
    top = max(token["id"] for token in raw["added_tokens"])
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    raw["added_tokens"] += [{"id": top + n, "content": t, **plain} for n, t in enumerate(tokens, start=1)]
    (folder / "tokenizer.json").write_text(json.dumps(raw))


def test_tokens_beyond_the_embeddings_are_named(copied: Callable[..., Path]) -> None:
    folder = copied()
    with_tokens(folder, False, ("<box>", "<point>"))
    with pytest.raises(UserError, match=r"token <box> has id \d+, and embeddings .* \d+ rows \(2 such tokens\)"):
        MLLM.load(str(folder))


def test_a_tokenizer_of_another_model_is_named(copied: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r"config.json says image_token_id=7, and the tokenizer's <.image_pad.> has id"):
        MLLM.load(str(copied(image_token_id=7)))


TEMPLATES = {
    "{% for m in messages %}{{ m.role }": "fails on a picture",
    "{% for m in messages %}{{ m.role + m.content }}{% endfor %}": "fails on a picture",
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}": "writes no <.image_pad.> for a picture",
    "{% for m in messages %}<|image_pad|>{% endfor %}": "leaves a question's words out",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_without_pictures_is_refused(template: str, copied: Callable[..., Path]) -> None:
    (folder := copied()).joinpath("chat_template.jinja").write_text(template)
    with pytest.raises(UserError, match=f"its chat template {TEMPLATES[template]}"):
        MLLM.load(str(folder))


@pytest.mark.parametrize(
    ("put", "words"), [("", "no <.video_pad.> for a clip"), (2 * "<|video_pad|>", "2 times for a clip")]
)
def test_a_template_of_pictures_alone_is_refused(put: str, words: str, copied: Callable[..., Path]) -> None:
    template = (folder := copied()) / "chat_template.jinja"
    whole = template.read_text()
    assert "<|video_pad|>" in whole
    template.write_text(whole.replace("<|video_pad|>", put))
    with pytest.raises(
        UserError, match=rf"{folder}: its chat template writes .*{words}: it is of a model of pictures alone"
    ):
        MLLM.load(str(folder))


def test_a_placeholder_of_the_other_kind_in_a_template_is_named(copied: Callable[..., Path]) -> None:
    template = (folder := copied()) / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|image_pad|>", "<|video_pad|>"))
    with pytest.raises(UserError, match=r"no <.image_pad.> for a picture: it writes <.video_pad.> there"):
        MLLM.load(str(folder))


def test_a_template_whose_turns_end_otherwise_is_refused(copied: Callable[..., Path]) -> None:
    template = (folder := copied()) / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>", "</s>"))
    with pytest.raises(UserError, match=r"ends a turn of the model with '</s>.*' where <.im_end.> should stand"):
        MLLM.load(str(folder))


def test_a_template_that_takes_one_turn_alone_is_loaded(copied: Callable[..., Path]) -> None:
    template = (folder := copied()) / "chat_template.jinja"
    refusal = "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}"
    template.write_text(refusal + template.read_text())
    assert MLLM.load(str(folder)).depth > 0


PIXELS = {
    "no deviation": ({"image_std": [0, 0, 0]}, "image_std .* three numbers above 0"),
    "one mean": ({"image_mean": [0.5]}, "image_mean .* three numbers"),
    "NaN": ({"image_mean": [0.5, float("nan"), 0.5]}, "image_mean .* three numbers"),
    "negative": ({"image_std": [0.5, 0.5, -0.5]}, "image_std .* three numbers above 0"),
}


@pytest.mark.parametrize("family", ["qwen2_5_vl", "internvl"])
@pytest.mark.parametrize("name", PIXELS)
def test_settings_that_make_no_pixels_are_refused(name: str, family: str, copied: Callable[..., Path]) -> None:
    keys, words = PIXELS[name]
    path = (folder := copied(family=family)) / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    with pytest.raises(UserError, match=rf"{folder}: preprocessor_config.json: {words}"):
        MLLM.load(str(folder))


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_sections_of_positions_that_do_not_cover_a_head_are_refused(family: str, copied: Callable[..., Path]) -> None:
    path = (folder := copied(family=family)) / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["rope_parameters"]["mrope_section"][0] += 1
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"{folder}: config.json has mrope_section .* has to be \d+, half of a head"):
        MLLM.load(str(folder))


MROPE = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")


@pytest.mark.parametrize("family", MROPE)
def test_sections_that_config_json_does_not_name_are_those_of_the_network(
    family: str, copied: Callable[..., Path]
) -> None:
    path = (folder := copied(family=family)) / "config.json"
    config = json.loads(path.read_text())
    del config["text_config"]["rope_parameters"]["mrope_section"]
    path.write_text(json.dumps(config))
    default = AutoConfig.from_pretrained(folder)
    rotary = AutoModelForImageTextToText.from_config(default).model.language_model.rotary_emb
    said = rf"{folder}: config.json has no mrope_section .* takes \[{', '.join(map(str, rotary.mrope_section))}\]"
    with pytest.raises(UserError, match=said):
        read_config(str(folder))


def test_a_file_of_the_tokenizer_that_is_cut_in_half_is_named(copied: Callable[..., Path]) -> None:
    name = "tokenizer.json"
    path = (folder := copied()) / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(
        UserError, match=rf"{folder}: its tokenizer cannot be read \({name} is no JSON; download it again"
    ):
        MLLM.load(str(folder))


NORMS = ("layers.1.input_layernorm.weight", "model.norm.weight", "blocks.0.norm1.weight")


@pytest.mark.parametrize(("family", "name"), [*[("qwen2_5_vl", name) for name in NORMS], ("qwen3_vl", "q_norm.weight")])
def test_a_norm_of_zeros_is_refused(family: str, name: str, copied: Callable[..., Path]) -> None:
    def emptied(weights: Weights) -> Weights:
        found = next(n for n in weights if n.endswith(name) or n.replace("language_model.", "").endswith(name))
        return weights | {found: torch.zeros_like(weights[found])}

    words = rf"1 norm whose weight is nothing but zeros, so that nothing goes through: \S*{name.rpartition('.')[0]}\.w"
    with pytest.raises(UserError, match=words) as told:
        MLLM.load(str(copied(emptied, family=family)))
    assert "\n" not in str(told.value)


def test_norms_of_one_plus_the_weight_may_be_zeros(load: Any) -> None:
    """Qwen3.5's decoder begins so; its tower, and the norms inside linear attention, multiply."""
    network = load("qwen3_5").network
    held, weights = multiplying(network), dict(network.named_parameters())
    plus = {name for name in weights if "norm" in name and name.endswith("weight")} - held
    assert any("visual" in name for name in held) and any("linear_attn.norm" in name for name in held)
    assert any(name.endswith("input_layernorm.weight") for name in plus) and not any("visual" in name for name in plus)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_norm_of_a_family_is_known(family: str, load: Any) -> None:
    network = load(family).network
    norms = {n for n, w in network.named_parameters() if "norm" in n.rsplit(".", 2)[-2] and n.endswith("weight")}
    held = multiplying(network)
    assert all(network.get_parameter(name).ndim == 1 and (network.get_parameter(name) != 0).all() for name in held)
    assert norms and (family == "qwen3_5" or held >= norms)


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.network.hands_states])
def test_a_window_that_is_not_used_is_full_attention(family: str, copied: Callable[..., Path]) -> None:
    folder = copied(family=family)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"].pop("layer_types", None)
    config["text_config"] |= {"sliding_window": 64, "use_sliding_window": False}
    (folder / "config.json").write_text(json.dumps(config))
    assert set(layer_types(read_config(str(folder)))) == {"full_attention"}


def test_half_precision_files_are_read_as_they_are(copied: Callable[..., Path]) -> None:
    folder = str(copied(lambda weights: {n: w.bfloat16() for n, w in weights.items()}))
    assert {w.dtype for w in load_network(folder, torch.bfloat16).parameters()} == {torch.bfloat16}
    assert {w.dtype for w in load_network(folder, torch.float32).parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("text_config", "hidden_size", "64"), ("vision_config", "depth", " 2 "), ("", "image_token_id", "7")],
)
def test_numbers_in_quotes_are_named(tmp_path: Path, part: str, key: str, value: str) -> None:
    folder = shutil.copytree("assets/tiny", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config)[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    dotted = f"{part}.{key}".strip(".")
    words = f'config.json has {dotted}="{value.strip()}", a text; write the number {value.strip()} without quotes'
    with pytest.raises(UserError, match=re.escape(words)):
        check_folder(str(folder))


def test_a_field_of_config_json_that_is_no_number_is_named(tmp_path: Path) -> None:
    folder = shutil.copytree("assets/tiny", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["hidden_size"] = "large"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config.json does not fit its model \(.*hidden_size.*\w.*\); take the one"):
        read_config(str(folder))


def test_gguf_bytes_are_named_whatever_the_file_is_called(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UserError, match=r"m: model.safetensors is a GGUF file, which cannot be trained"):
        read_header(file, "m")
