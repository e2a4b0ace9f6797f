"""Small models of each family from random weights, with a tokenizer trained on given text: for assets and tests.

Their folders load by Transformers' `from_pretrained` like any published model's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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

from ral.models.family import Family
from ral.models.recipe import Sizes
from ral.models.registry import FAMILIES
from ral.rewards.format import TAGS

VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
"""Qwen's control tokens of images and videos; every random model has them."""
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pattern by which Qwen2's tokenizer splits text into pieces, within which bytes are merged."""


def train_tokenizer(texts: Iterable[str], vocab_size: int, family: str = "qwen2_5_vl") -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer like Qwen2's on `texts`, with the family's control tokens and chat template.

    vocab_size: number of tokens before control tokens and the tags of ral.rewards.format.TAGS are added, one token
    each. family: a key of FAMILIES.
    """
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
    model, own = json.loads(raw.to_str())["model"], FAMILIES[family]
    merges = [tuple(m) if not isinstance(m, str) else tuple(m.split(" ")) for m in model["merges"]]
    tokenizer = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        unk_token=None,
        eos_token=own.turns.end,
        pad_token=own.turns.text_end,
        model_specific_special_tokens=own.recipe.named_tokens,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": control_tokens(own)})
    tokenizer.add_tokens(list(TAGS))  # one token each, ordinary text otherwise (as Qwen3's has the think tags)
    tokenizer.chat_template = own.recipe.chat_template
    return tokenizer


def control_tokens(family: Family) -> list[str]:
    """Return the special tokens of a family's random model in the order of their ids, without recipe.named_tokens."""
    turns, marks, recipe = family.turns, family.placeholders, family.recipe
    media = (*VISION_TOKENS, *recipe.token_ids.values(), marks.image, marks.video, *marks.kinds)
    tokens = dict.fromkeys((turns.text_end, *turns.starts, turns.end, *media))
    return [token for token in tokens if token not in recipe.named_tokens.values()]


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


def fresh_config(family: str, tokenizer: PreTrainedTokenizerFast, sizes: Sizes) -> Any:
    """Return Transformers' configuration of a small network of `family`, a key of FAMILIES.

    tokenizer: gives the vocabulary and the ids of control tokens. sizes: widths and numbers of layers and heads.
    """
    recipe, turns = FAMILIES[family].recipe, FAMILIES[family].turns
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
        "bos_token_id": tokenizer.convert_tokens_to_ids(turns.text_end),
        "eos_token_id": tokenizer.convert_tokens_to_ids(turns.end),
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


def fresh_network(
    family: str,
    tokenizer: PreTrainedTokenizerFast,
    sizes: Sizes,
    seed: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """Return a network of `family` with random weights, the same for the same seed, device and dtype.

    family, tokenizer, sizes: as in `fresh_config`.
    """
    with torch.random.fork_rng([] if device == "cpu" else [device]), torch.device(device):
        torch.manual_seed(seed)
        network = AutoModelForImageTextToText.from_config(fresh_config(family, tokenizer, sizes), dtype=dtype)
    if (settle := FAMILIES[family].recipe.settle) is not None:
        settle(network)
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
    """Write a model folder with random weights and a tokenizer trained on `texts`; return the folder.

    family: a key of FAMILIES. sizes: None for Sizes(). seed: fixes the weights. vocab_size: as in train_tokenizer.
    pixels: least and largest area of an image, in pixels, for the files of Transformers' processors. device: where the
    weights are drawn; billions of them take a minute on a CPU and a second on a GPU. dtype: dtype of the weights.
    """
    sizes = sizes or Sizes()
    tokenizer = train_tokenizer(texts, vocab_size, family)
    fresh_network(family, tokenizer, sizes, seed, device, dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor, picture, clip = FAMILIES[family].classes
    kinds = {"preprocessor_config.json": {"image_processor_type": picture}}
    kinds["video_preprocessor_config.json"] = {"video_processor_type": clip}
    for name, values in FAMILIES[family].recipe.files(sizes, pixels).items():
        values = kinds.get(name, {}) | {"processor_class": processor} | values
        (folder / name).write_text(json.dumps(values, indent=2))
    return folder
