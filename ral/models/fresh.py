"""Small Qwen-VL models from random weights, with a tokenizer trained on given text: the shipped models and the tests.

Real classes, real file formats: what is written here loads by `from_pretrained` like any checkpoint folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
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

CONTROL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TAG_TOKENS = ("<think>", "</think>", "<answer>", "</answer>")
"""One token each, ordinary text otherwise (as Qwen3's tokenizer has the think tags)."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's turns without its default system message, which would cost a tiny model a fifth of its prompt."""

QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2's tokenizer cuts text into pieces before merging bytes."""


@dataclass(frozen=True)
class Sizes:
    """Width and depth of a network. Head width is 32; the vision tower's last block sees the whole picture."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    mlp: int = 352
    vision_hidden: int = 64
    vision_depth: int = 2
    vision_heads: int = 2


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of Qwen2's kind with Qwen's control tokens; `texts` decide its merges."""
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
        vocab=model["vocab"], merges=merges, unk_token=None, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(CONTROL_TOKENS)})
    tokenizer.add_tokens(list(TAG_TOKENS))
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def fresh_config(family: str, tokenizer: PreTrainedTokenizerFast, sizes: Sizes) -> Any:
    """Configuration of a small network of `family` ("qwen2_vl" or "qwen2_5_vl")."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in CONTROL_TOKENS}
    head = sizes.hidden // sizes.heads
    sections = [head // 2 - 2 * (head * 3 // 16), head * 3 // 16, head * 3 // 16]
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.mlp,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "max_position_embeddings": 32768,
        "initializer_range": sizes.hidden**-0.5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections},
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "tie_word_embeddings": True,
    }
    vision: dict[str, Any] = {"depth": sizes.vision_depth, "num_heads": sizes.vision_heads}
    vision |= {"patch_size": 14, "spatial_merge_size": 2}
    vision |= {"temporal_patch_size": 2, "initializer_range": sizes.vision_hidden**-0.5}
    if family == "qwen2_vl":
        vision |= {"embed_dim": sizes.vision_hidden, "hidden_size": sizes.hidden, "mlp_ratio": 2}
    else:
        vision |= {"hidden_size": sizes.vision_hidden, "intermediate_size": 2 * sizes.vision_hidden}
        vision |= {
            "out_hidden_size": sizes.hidden,
            "fullatt_block_indexes": [sizes.vision_depth - 1],
            "tokens_per_second": 2,
        }
    return AutoConfig.for_model(
        family,
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def fresh_network(family: str, tokenizer: PreTrainedTokenizerFast, sizes: Sizes, seed: int) -> PreTrainedModel:
    """A network with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AutoModelForImageTextToText.from_config(fresh_config(family, tokenizer, sizes))
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
) -> Path:
    """Write a model folder from nothing. pixels: least and largest area of a picture for Transformers' processors."""
    tokenizer = train_tokenizer(texts, vocab_size)
    fresh_network(family, tokenizer, sizes or Sizes(), seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    common = {
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]},
    }
    processor = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}[family]
    picture = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": processor, **common}
    clip = {"video_processor_type": "Qwen2VLVideoProcessor", "processor_class": processor, **common}
    (folder / "preprocessor_config.json").write_text(json.dumps(picture, indent=2))
    (folder / "video_preprocessor_config.json").write_text(json.dumps(clip, indent=2))
    return folder
