"""Small models of each family from random weights, with a tokenizer trained on given text: for assets and tests.

Real classes, real file formats: what is written here loads by `from_pretrained` like any checkpoint folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from ral.models.family import FAMILIES
from ral.rewards.format import TAGS

CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
INTERNVL_TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
"""InternVL's own control tokens, under the names by which its processor asks the tokenizer."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's turns without its default system message, which would cost a tiny model a fifth of its prompt."""

INTERNVL_TEMPLATE = CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<IMG_CONTEXT>\n").replace(
    "<|vision_start|><|video_pad|><|vision_end|>", "<video>\n"
)

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2's tokenizer cuts text into pieces before merging bytes."""


@dataclass(frozen=True)
class Sizes:
    """Width and depth of a network. Head width is 32; the vision tower's last block sees the whole picture.

    tile: side in pixels of what a tower of tiles sees.
    """

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    mlp: int = 352
    vision_hidden: int = 64
    vision_depth: int = 2
    vision_heads: int = 2
    tile: int = 112


def train_tokenizer(texts: Iterable[str], vocab_size: int, family: str = "qwen2_5_vl") -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of Qwen2's kind with the family's control tokens; `texts` decide its merges."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(raw.to_str())["model"]
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_specific_special_tokens=RECIPES[family].named_tokens,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(CONTROL_TOKENS)})
    tokenizer.add_tokens(list(TAGS))  # one token each, ordinary text otherwise (as Qwen3's has the think tags)
    tokenizer.chat_template = RECIPES[family].chat_template
    return tokenizer


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def fresh_config(family: str, tokenizer: PreTrainedTokenizerFast, sizes: Sizes) -> Any:
    """Configuration of a small network of `family`, a key of RECIPES."""
    recipe = RECIPES[family]
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.mlp,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "max_position_embeddings": 32768,
        "initializer_range": sizes.hidden**-0.5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "bos_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "tie_word_embeddings": True,
    }
    vision: dict[str, Any] = {"initializer_range": sizes.vision_hidden**-0.5}
    parts = recipe.parts(sizes)
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in recipe.token_ids.items()}
    return AutoConfig.for_model(
        family,
        text_config=text | parts.pop("text"),
        vision_config=vision | parts.pop("vision"),
        tie_word_embeddings=True,
        **ids,
        **parts,
    )


def qwen_parts(sizes: Sizes, vision: dict[str, Any]) -> dict[str, Any]:
    """What configurations of Qwen2-VL and Qwen2.5-VL share: three axes of positions, patches merged 2 x 2."""
    half = sizes.hidden // sizes.heads // 2
    sections = [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8]
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}
    common = {"depth": sizes.vision_depth, "num_heads": sizes.vision_heads, "patch_size": 14}
    common |= {"spatial_merge_size": 2, "temporal_patch_size": 2}
    return {"text": {"rope_parameters": rope}, "vision": common | vision}


def qwen2_parts(sizes: Sizes) -> dict[str, Any]:
    """Qwen2-VL."""
    return qwen_parts(sizes, {"embed_dim": sizes.vision_hidden, "hidden_size": sizes.hidden, "mlp_ratio": 2})


def qwen2_5_parts(sizes: Sizes) -> dict[str, Any]:
    """Qwen2.5-VL: the last vision block sees the whole picture, the others windows."""
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"out_hidden_size": sizes.hidden, "fullatt_block_indexes": [sizes.vision_depth - 1]}
    return qwen_parts(sizes, {**vision, "tokens_per_second": 2})


def qwen3_parts(sizes: Sizes) -> dict[str, Any]:
    """Qwen3-VL: interleaved axes, larger patches, the states of every vision block handed to the first layers."""
    head = sizes.hidden // sizes.heads
    sections = [head // 2 - 2 * (head * 5 // 32), head * 5 // 32, head * 5 // 32]
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"out_hidden_size": sizes.hidden, "patch_size": 16, "num_position_embeddings": 16**2}
    vision |= {"deepstack_visual_indexes": list(range(sizes.vision_depth))}
    parts = qwen_parts(sizes, vision)
    parts["text"]["rope_parameters"] |= {"mrope_section": sections, "mrope_interleaved": True}
    parts["text"]["head_dim"] = head
    return parts


def internvl_parts(sizes: Sizes) -> dict[str, Any]:
    """InternVL on a Qwen2 decoder: 14-pixel patches of one tile, merged 2 x 2."""
    vision: dict[str, Any] = {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
    vision |= {"num_hidden_layers": sizes.vision_depth, "num_attention_heads": sizes.vision_heads}
    vision |= {"image_size": [sizes.tile, sizes.tile], "patch_size": [14, 14]}
    return {"text": {"model_type": "qwen2"}, "vision": vision, "image_seq_length": (sizes.tile // 28) ** 2}


def patch_files(sizes: Sizes, pixels: tuple[int, int], patch_size: int = 14) -> dict[str, dict[str, Any]]:
    """Processor files of towers that take patches."""
    common = {
        "patch_size": patch_size,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]},
    }
    return {"preprocessor_config.json": common, "video_preprocessor_config.json": common}


def tile_files(sizes: Sizes, pixels: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Processor files of towers that take tiles, one tile a picture; `pixels` means nothing to them."""
    common = {
        "size": {"height": sizes.tile, "width": sizes.tile},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    return {
        "preprocessor_config.json": common | {"crop_to_patches": False, "min_patches": 1, "max_patches": 1},
        "video_preprocessor_config.json": common,
        "processor_config.json": {"image_seq_length": (sizes.tile // 28) ** 2},
    }


@dataclass(frozen=True)
class Recipe:
    """How a folder of one family is written. parts: its configuration's own keys; token_ids: config key -> token."""

    parts: Callable[[Sizes], dict[str, Any]]
    files: Callable[[Sizes, tuple[int, int]], dict[str, dict[str, Any]]] = patch_files
    token_ids: dict[str, str] = field(
        default_factory=lambda: {
            "image_token_id": "<|image_pad|>",
            "video_token_id": "<|video_pad|>",
            "vision_start_token_id": "<|vision_start|>",
            "vision_end_token_id": "<|vision_end|>",
        }
    )
    named_tokens: dict[str, str] = field(default_factory=dict)
    chat_template: str = CHAT_TEMPLATE


RECIPES: dict[str, Recipe] = {
    "qwen2_vl": Recipe(qwen2_parts),
    "qwen2_5_vl": Recipe(qwen2_5_parts),
    "qwen3_vl": Recipe(qwen3_parts, partial(patch_files, patch_size=16)),
    "internvl": Recipe(
        internvl_parts, tile_files, {"image_token_id": "<IMG_CONTEXT>"}, INTERNVL_TOKENS, INTERNVL_TEMPLATE
    ),
}
"""One for each key of ral.models.family.FAMILIES."""


def fresh_network(
    family: str,
    tokenizer: PreTrainedTokenizerFast,
    sizes: Sizes,
    seed: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """A network with random weights, the same for the same seed, device and dtype."""
    with torch.random.fork_rng([] if device == "cpu" else [device]), torch.device(device):
        torch.manual_seed(seed)
        network = AutoModelForImageTextToText.from_config(fresh_config(family, tokenizer, sizes), dtype=dtype)
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    network.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    return network


def write_model(
    folder: Path,
    texts: Iterable[str],
    *,
    family: str = "qwen2_5_vl",
    sizes: Sizes | None = None,
    seed: int = 0,
    vocab_size: int = 1024,
    pixels: tuple[int, int] = (784, 1003520),
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write a model folder from nothing. pixels: least and largest area of a picture for Transformers' processors.

    device: where the weights are drawn; billions of them take a minute on a CPU and a second on a GPU.
    """
    sizes = sizes or Sizes()
    tokenizer = train_tokenizer(texts, vocab_size, family)
    fresh_network(family, tokenizer, sizes, seed, device, dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor, picture, clip = FAMILIES[family].classes
    kinds = {"preprocessor_config.json": {"image_processor_type": picture}}
    kinds["video_preprocessor_config.json"] = {"video_processor_type": clip}
    for name, values in RECIPES[family].files(sizes, pixels).items():
        values = kinds.get(name, {}) | {"processor_class": processor} | values
        (folder / name).write_text(json.dumps(values, indent=2))
    return folder
