"""The architecture of a network as numbers: shapes, and counts of parameters (on the meta device, without memory)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from ral.errors import UserError
from ral.files.pretrained import read_headers
from ral.files.repository import find
from ral.models.attention.kinds import attention_layers, layer_types
from ral.models.network_config import read_config
from ral.models.registry import FAMILIES

KNOWN = Path(__file__).parent / "known.yaml"
"""File with the shapes of known checkpoints on the hub."""
IN_TEXT = {"internvl": {"model_type": "qwen2"}}
"""Family -> keys of the text part of its known checkpoints' configuration that all of them share."""


@dataclass(frozen=True)
class Decoder:
    """Shape of the decoder. mlp: inner width that a token passes (of mixtures: of the experts that it is sent to).

    attending: number of layers with softmax attention; the others have linear attention, whose states of one response
    are `state` numbers, all layers together. normed_heads: whether queries and keys are normalised.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    mlp: int
    vocabulary: int
    normed_heads: bool
    attending: int
    state: int = 0

    @property
    def queries(self) -> int:
        """Return the width of all queries of a layer together."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Return the width of all keys of a layer together."""
        return self.kv_heads * self.head_width


@dataclass(frozen=True)
class Vision:
    """Shape of the vision tower.

    patches: of a visual token; frames: of a video in one time slot of visual tokens. side: pixels of a visual token's
    side. tile: visual tokens of every image and frame, None where they are of any size. deepstack: number of decoder
    layers that get visual embeddings of their own.
    """

    depth: int
    width: int
    mlp: int
    patches: int
    frames: int
    side: int
    tile: int | None
    deepstack: int = 0

    @property
    def values(self) -> int:
        """Return the numbers of a patch: 3 colors of its pixels in all its frames."""
        return 3 * self.frames * self.side**2 // self.patches


@dataclass(frozen=True)
class Counts:
    """Numbers of parameters. linear: {name: input + output width, summed} of the decoder's linear layers.

    head: 0 where it is the table of embeddings.
    """

    embeddings: int
    head: int
    layers: int
    norm: int
    vision: int
    linear: Mapping[str, int]

    @property
    def decoder(self) -> int:
        """Return the number of parameters outside of the vision tower."""
        return self.embeddings + self.head + self.layers + self.norm

    @property
    def total(self) -> int:
        """Return the number of all parameters."""
        return self.decoder + self.vision

    def adapters(self, rank: int, targets: tuple[str, ...]) -> int:
        """Return the number of parameters of low-rank adapters: rank * (input + output width) of each named linear
        layer.
        """
        return rank * sum(size for name, size in self.linear.items() if name in targets)


@dataclass(frozen=True)
class Architecture:
    """Shapes and counts of a network. half: whether its files hold every weight in bf16."""

    name: str
    decoder: Decoder
    vision: Vision
    counts: Counts
    half: bool


@lru_cache(maxsize=16)
def architecture_of(pretrained: str) -> Architecture:
    """Return the architecture of a model's folder (its config.json and headers) or of a known checkpoint.

    UserError for any other name.
    """
    folder = Path(find(pretrained))
    if folder.is_dir():
        types = {header.dtype for header in read_headers(folder).values()}
        return described(pretrained, read_config(pretrained), half=types == {"BF16"})
    return described(pretrained, known_config(pretrained), half=True)


@lru_cache(maxsize=1)
def known() -> dict[str, Any]:
    """Return {hub id: shape} of the known checkpoints."""
    return dict(yaml.safe_load(KNOWN.read_text(encoding="utf-8")))


def known_config(name: str) -> Any:
    """Return Transformers' configuration of a known checkpoint. UserError for another name."""
    found = {key.lower(): value for key, value in known().items()}.get(name.lower())
    if found is None:
        raise UserError(
            f"model.pretrained={name}: no folder, and no checkpoint whose shape plan=true knows: write a folder with "
            f"its config.json, or one of {', '.join(known())}"
        )
    text = {**found["text"], **IN_TEXT.get(found["family"], {}), "tie_word_embeddings": found["tied"]}
    return AutoConfig.for_model(
        found["family"], text_config=text, vision_config=dict(found["vision"]), tie_word_embeddings=found["tied"]
    )


def described(name: str, config: Any, half: bool) -> Architecture:
    """Return the architecture of a configuration of Transformers. half: whether the files hold every weight in bf16."""
    return Architecture(name, decoder_of(config), vision_of(config), counts_of(config), half)


def decoder_of(config: Any) -> Decoder:
    """Return the decoder's shape from a configuration of Transformers."""
    text = config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    experts = getattr(text, "num_experts", None)
    mlp = text.num_experts_per_tok * text.moe_intermediate_size if experts else text.intermediate_size
    return Decoder(
        layers=text.num_hidden_layers,
        width=text.hidden_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_width=head,
        mlp=mlp,
        vocabulary=text.vocab_size,
        normed_heads="qwen3" in str(text.model_type),
        attending=len(attention_layers(config)),
        state=state_of(config),
    )


def state_of(config: Any) -> int:
    """Return the numbers in linear attention's states of one response: recurrent ones and inputs of convolutions."""
    text = config.get_text_config()
    layers = len(layer_types(config)) - len(attention_layers(config))
    if not layers or not hasattr(text, "linear_key_head_dim"):
        return 0
    recurrent = text.linear_num_value_heads * text.linear_key_head_dim * text.linear_value_head_dim
    keys = 2 * text.linear_num_key_heads * text.linear_key_head_dim
    channels = keys + text.linear_num_value_heads * text.linear_value_head_dim
    return int(layers * (recurrent + channels * text.linear_conv_kernel_dim))


def vision_of(config: Any) -> Vision:
    """Return the vision tower's shape from a configuration of Transformers, whichever names its family uses."""
    part = config.vision_config
    side = _first(part, "patch_size")
    merge = getattr(part, "spatial_merge_size", None) or round(1 / getattr(config, "downsample_ratio", 0.5))
    frames = getattr(part, "temporal_patch_size", 1)
    width = getattr(part, "embed_dim", None) or part.hidden_size
    inner = getattr(part, "intermediate_size", None) or round(width * part.mlp_ratio)
    tile = (_first(part, "image_size") // (side * merge)) ** 2 if hasattr(part, "image_size") else None
    return Vision(
        depth=getattr(part, "depth", None) or part.num_hidden_layers,
        width=width,
        mlp=inner,
        patches=merge**2,
        frames=frames,
        side=side * merge,
        tile=tile,
        deepstack=len(getattr(part, "deepstack_visual_indexes", ())),
    )


def _first(part: Any, name: str) -> int:
    """Return a number, or the first of a pair."""
    value = getattr(part, name)
    return int(value[0] if isinstance(value, list | tuple) else value)


def counts_of(config: Any) -> Counts:
    """Count the parameters of the network of a configuration, which is made without memory."""
    with torch.device("meta"):
        network = AutoModelForImageTextToText.from_config(config)
    return counted(network, FAMILIES[config.model_type].network.towers)


def counted(network: Any, towers: tuple[str, ...]) -> Counts:
    """Count the parameters of a network by part. towers: names of the modules of the vision tower."""
    decoder = network.model.language_model
    tied = network.lm_head.weight is network.get_input_embeddings().weight
    embeddings, layers = size(decoder.embed_tokens), size(decoder.layers)
    return Counts(
        embeddings=embeddings,
        head=0 if tied else size(network.lm_head),
        layers=layers,
        norm=size(decoder) - embeddings - layers,
        vision=sum(size(getattr(network.model, name)) for name in towers),
        linear=linear_sizes(decoder.layers),
    )


def size(module: nn.Module) -> int:
    """Return the number of a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def linear_sizes(layers: nn.Module) -> dict[str, int]:
    """Return {last part of the name: input + output width, summed} of all linear layers inside `layers`."""
    sums: Counter[str] = Counter()
    for name, module in layers.named_modules():
        if isinstance(module, nn.Linear):
            sums[name.rpartition(".")[2]] += module.in_features + module.out_features
    return dict(sums)
