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
    """Shape of the decoder. layers: number of layers. width: width of the hidden states.

    heads, kv_heads: numbers of query heads and of key heads. head_width: width of a head. mlp: inner width of the MLP
    that a token passes; in a mixture, of all experts that it is sent to. vocabulary: number of tokens. normed_heads:
    whether queries and keys are normalised. attending: number of layers with softmax attention; the others have linear
    attention. state: numbers in the linear-attention states of one response, over all layers.
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
        """Return the width of a layer's queries, heads * head_width."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Return the width of a layer's keys, kv_heads * head_width."""
        return self.kv_heads * self.head_width


@dataclass(frozen=True)
class Vision:
    """Shape of the vision tower. depth: number of blocks. width, mlp: widths of its states and of its MLP.

    patches: number of patches in a visual token. frames: number of a video's frames in one time slot. side: side of a
    visual token in pixels. tile: number of visual tokens of every image and frame; None where it depends on their size.
    deepstack: number of decoder layers that get visual embeddings of their own.
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
        """Return how many numbers a patch has: the 3 colours of each of its pixels, in all its frames."""
        return 3 * self.frames * self.side**2 // self.patches


@dataclass(frozen=True)
class Counts:
    """Numbers of parameters in the parts of a network.

    embeddings: the table of embeddings. head: the output head; 0 where it is the table of embeddings. layers: all
    decoder layers. norm: the rest of the decoder. vision: the vision tower. linear: for each kind of linear layer in
    the decoder, {last part of its name: sum of input and output widths over all layers}.
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
        """Return the number of parameters of low-rank adapters, rank * (input + output width) for each linear layer.

        targets: last parts of the names of the linear layers with an adapter.
        """
        return rank * sum(size for name, size in self.linear.items() if name in targets)


@dataclass(frozen=True)
class Architecture:
    """Shapes and counts of a network. name: its folder or hub id. half: whether its files hold every weight in bf16."""

    name: str
    decoder: Decoder
    vision: Vision
    counts: Counts
    half: bool


@lru_cache(maxsize=16)
def architecture_of(pretrained: str) -> Architecture:
    """Return the architecture of a model, from its folder (config.json and headers of files) or as a known checkpoint.

    UserError for any other name, and where files of the folder cannot be read or are unfit.
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
    """Return how many numbers the linear-attention states of one response have, over all layers.

    They are the recurrent states and the inputs of convolutions. config: Transformers' configuration. 0 for a network
    without linear attention.
    """
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
    """Return the counts of the network that a configuration of Transformers describes; it is made without memory."""
    with torch.device("meta"):
        network = AutoModelForImageTextToText.from_config(config)
    return counted(network, FAMILIES[config.model_type].network.towers)


def counted(network: Any, towers: tuple[str, ...]) -> Counts:
    """Return the counts of a network. towers: names of the modules of `network.model` that are its vision tower."""
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
    """Return {last part of a name: sum of the input and output widths of all linear layers in `layers` with it}."""
    sums: Counter[str] = Counter()
    for name, module in layers.named_modules():
        if isinstance(module, nn.Linear):
            sums[name.rpartition(".")[2]] += module.in_features + module.out_features
    return dict(sums)
