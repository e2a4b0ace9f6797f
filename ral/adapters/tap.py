"""Recording of queries and keys in any network of Transformers, from which RAL's attention rows are made.

The network keeps its class and its forward pass. Its decoder is set to the attention function `ral` of Transformers'
registry (`ral.models.attention.interface`), which is PyTorch's fast attention. While the tap is open, a hook gives each
pass of the decoder a recorder, which receives the queries and keys of the chosen layers.

Sequences are rows of their own, [prompt | response], prompts padded on the left and responses on the right: N rows of P
and C tokens, K = P + C; L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ral.errors import UserError
from ral.models.attention.interface import NAME
from ral.models.attention.kinds import attention_types
from ral.models.attention.training_layouts import Recorder
from ral.ops.attention import AttentionSpec, CapturedAttention


@dataclass(frozen=True)
class Tokens:
    """Masks of the tokens of N rows. prompt [N P], response [N C]: tokens that are no padding.

    trained [N C]: tokens sampled by the policy. visual [N P]: visual tokens of the prompts, read where
    AttentionSpec.keys is "visual".
    """

    prompt: Bool[Tensor, "N P"]
    response: Bool[Tensor, "N C"]
    trained: Bool[Tensor, "N C"]
    visual: Bool[Tensor, "N P"]

    def take(self, rows: slice) -> Tokens:
        """Return the masks of some of the N rows."""
        return Tokens(self.prompt[rows], self.response[rows], self.trained[rows], self.visual[rows])


@dataclass
class Tap:
    """A recorder of one network's attention. network: a network with its head, as Transformers or PEFT makes it.

    spec: layers, heads, query and keys of the attention rows. recorders: a recorder and its masks for each pass since
    the last call of `open`. tokens: masks of the rows inside `open`; None outside. UserError for layers that the
    network does not have, or whose attention is not over all earlier tokens.
    """

    network: nn.Module
    spec: AttentionSpec
    recorders: list[tuple[Recorder, Tokens]] = field(default_factory=list)
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        config: Any = self.network.config
        kinds = attention_types(config)
        try:
            self.layers = self.spec.resolve_layers(len(kinds))
        except ValueError as error:
            raise UserError(str(error)) from error
        for layer in self.layers:
            if kinds[layer] != "full_attention":
                raise UserError(f"attention_policy.layers names layer {layer}, which is {kinds[layer]}: name another")
        network: Any = self.network
        parts = {"text_config": NAME} if config.get_text_config() is not config else NAME
        network.set_attn_implementation(parts)
        network.get_decoder().register_forward_pre_hook(self._hand_recorder, with_kwargs=True)

    def _hand_recorder(
        self, decoder: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]] | None:
        """Hand a pass of the decoder a recorder, for the rows that come next, while the tap is open."""
        if self.tokens is None:
            return None
        states = next(x for x in (kwargs.get("inputs_embeds"), kwargs.get("input_ids"), *args) if x is not None)
        start = sum(len(tokens.prompt) for _, tokens in self.recorders)
        own = self.tokens.take(slice(start, start + len(states)))
        recorder = Recorder(own.prompt, 1, own.response.shape[1], self.layers)
        self.recorders.append((recorder, own))
        return args, {**kwargs, "layout": recorder}

    @contextmanager
    def open(self, tokens: Tokens) -> Iterator[None]:
        """Capture the passes made inside the block. tokens: masks of all their rows, in the order of the passes."""
        self.recorders, self.tokens = [], tokens
        try:
            yield
        finally:
            self.tokens = None

    def captured(self) -> CapturedAttention:
        """Return the attention of the only pass since `open`, with its graph.

        UserError where it has no gradient although autograd is on, or the network's layers do not call Transformers'
        attention interface. ValueError where there were several passes, or none.
        """
        (only,) = self.recorders
        found = self._captured(*only)
        if torch.is_grad_enabled() and not found.layers[0].query.requires_grad:
            raise UserError(
                "the attention has no gradient: write activation_checkpointing_kwargs={'use_reentrant': False},"
                " or train the weights of its layer"
            )
        return found

    def rows(self) -> Float[Tensor, "L N C K"]:
        """Return the attention policy (RAL, Eq. 2) of all passes since `open`, without a graph, rows in their order.

        UserError where the network's layers do not call Transformers' attention interface.
        """
        with torch.no_grad():
            return torch.cat([self._captured(*one).rows() for one in self.recorders], dim=1)

    def _captured(self, recorder: Recorder, tokens: Tokens) -> CapturedAttention:
        if set(self.layers) - recorder.recorded.keys():
            family = type(self.network).__name__
            raise UserError(f"{family}: its layers do not call Transformers' attention interface, so nothing is seen")
        captured = recorder.captured(self.spec, tokens.visual, tokens.response)
        return replace(captured, mask=tokens.trained, valid=tokens.response)
