"""A multimodal LLM as a policy: positions, visual embeddings, and three forward passes (states, prefill, decode).

Axes: `ral.types`. The same function makes positions for rollouts and for training; the vision tower runs once per
prompt and step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ral.models.attention.interface import NAME, Layout
from ral.models.attention.kinds import LINEAR, attention_layers, layer_types
from ral.models.attention.recurrent import LinearStates
from ral.models.attention.rollout_layouts import Decode, Extend, Prefill
from ral.models.attention.training_layouts import Packed, Recorder
from ral.models.decoder import open_by_token, run_decoder, states_kept
from ral.models.empty_network import empty_network
from ral.models.loading import load_network
from ral.models.masters import DTYPES, arithmetic, in_own_arithmetic, settle
from ral.models.network_config import read_config, shareable
from ral.models.processor import Processor
from ral.models.recomputation import recomputation
from ral.models.saving import save_network
from ral.models.sight import kinds, see
from ral.models.states import Openings, States, TokenRows, joined_deepstack
from ral.models.stored import Stored
from ral.models.tokens import check_fit, check_seen
from ral.ops.attention import AttentionSpec
from ral.types import Prepared, PromptBatch, Rollout, Sequences, Shown, UserError, VisualStates

PASSES = ("prepare", "show", "states", "prefill", "decode")
"""Methods of MLLM that compute with its weights; sharding registers each of them with FSDP2."""


class MLLM(nn.Module):
    """A Hugging Face network with its processor; `network` keeps its own module names and state dict.

    `processor.family` holds the rules of its family. shares: whether passes compute a prompt once for all its
    responses. dtype: dtype of the arithmetic; for weights see ral.models.masters. stored: files from which weights on
    the meta device are read when the network is sharded (ral.models.filling); None where all are in memory.
    """

    shares = True

    def __init__(
        self,
        network: PreTrainedModel,
        processor: Processor,
        *,
        freeze_vision: bool = True,
        dtype: torch.dtype = torch.float32,
        stored: Stored | None = None,
    ) -> None:
        super().__init__()
        self.network, self.processor, self.dtype, self.stored = network, processor, dtype, stored
        self.network.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
        if freeze_vision:
            for part in self._towers():
                part.requires_grad_(False)
        self.network.eval()  # no dropout anywhere: rollout and training are the same function

    @classmethod
    def load(
        cls,
        pretrained: str,
        *,
        dtype: str = "float32",
        freeze_vision: bool = True,
        trained: bool = True,
        whole: bool = True,
    ) -> MLLM:
        """Load the model of a folder or hub id; keywords as in ral.models.opening.load.

        UserError where it is unreadable or unfit. MLLM.load itself (subclasses do not) also raises UserError for a
        network whose responses cannot share the computation of their prompt.
        """
        reason = shareable(read_config(pretrained)) if cls is MLLM else None  # a subclass may serve what this cannot
        if reason is not None:
            raise UserError(f"model.pretrained={pretrained}: {reason}; choose another model")
        kind = DTYPES[dtype]
        network, stored = (load_network(pretrained, kind), None) if whole else empty_network(pretrained, kind)
        processor = Processor.from_folder(pretrained)
        check_fit(processor, network)
        if whole:
            check_seen(processor, partial(see, network, processor))
        model = cls(network, processor, freeze_vision=freeze_vision, dtype=kind, stored=stored)
        if not trained:
            model.requires_grad_(False)
        settle(network, kind, stored)
        return model

    def frozen_copy(self, *, averaged: bool = False) -> MLLM:
        """Return a frozen copy, which shares the memory of the vision tower where that is frozen in this model.

        averaged: True for an EMA, which keeps the weights' dtypes; else they become those of frozen weights.
        """
        parts = [tensor for tower in self._towers() for tensor in (*tower.parameters(), *tower.buffers())]
        shared = {id(p): p for p in parts if not p.requires_grad}
        twin = copy.deepcopy(self, memo={id(self.processor): self.processor, **shared}).requires_grad_(False)
        if not averaged:
            settle(twin.network, self.dtype, self.stored)
        return twin

    def arithmetic(self) -> AbstractContextManager[object]:
        """Return the context inside which passes run: matrix products in `dtype`, sums in fp32 (autocast)."""
        return arithmetic(self.device, self.dtype)

    def sees_like(self, other: MLLM) -> bool:
        """Tell whether both models share one vision tower in memory, and so have the same visual embeddings."""
        ours, theirs = ([p for tower in m._towers() for p in tower.parameters()] for m in (self, other))
        return len(ours) == len(theirs) and all(p is q for p, q in zip(ours, theirs, strict=True))

    def _towers(self) -> list[nn.Module]:
        """Return the parts of the network between pixels and visual embeddings."""
        return [getattr(self.network.model, name) for name in self.processor.family.network.towers]

    @property
    def trains_vision(self) -> bool:
        """Tell whether the vision tower is trained; its embeddings are then valid for a single update."""
        return any(p.requires_grad for tower in self._towers() for p in tower.parameters())

    @property
    def depth(self) -> int:
        """Return the number of decoder layers that have softmax attention."""
        return len(attention_layers(self.network.config))

    @property
    def linear(self) -> bool:
        """Tell whether some decoder layers have linear attention, whose states prompts pass on to their responses."""
        return LINEAR in layer_types(self.network.config)

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(self.network.parameters()).device

    def trained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return an iterator over (name, parameter) of the trained parameters."""
        return ((name, p) for name, p in self.network.named_parameters() if p.requires_grad)

    def head(self, hidden: Tensor) -> Tensor:
        """Return logits [M V] of hidden states [M D], over the tokenizer's vocabulary (padded rows are dropped)."""
        with self.arithmetic():
            return self.network.lm_head(hidden)[:, : self.processor.vocab_size]

    @in_own_arithmetic
    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Move prompts to the device, make their positions, run the vision tower; call it once per prompt and step.

        Pixels stay where they are, in Prepared.prompts, for models with another vision tower.
        """
        here = prompts.to(self.device)
        seen = self._see(here)
        return Prepared(
            prompts=prompts,
            token_ids=here.token_ids,
            valid=here.valid,
            visual=here.visual,
            evidence=here.evidence,
            positions=self._positions(here),
            seen=seen,
        )

    @in_own_arithmetic
    def show(self, prepared: Prepared, rollout: Rollout) -> Shown | None:
        """Return positions [3 N C] and visual embeddings [N C D] of responses with shown segments (`Shown`).

        The vision tower runs. prepared: the prompts. None for a rollout whose `shown` is None: all tokens are sampled.
        """
        if rollout.shown is None:
            return None
        ids = rollout.token_ids.masked_fill(~rollout.valid, self.processor.pad_id)
        media = {name: value.to(self.device) for name, value in rollout.shown.media.items()}
        rows = TokenRows(ids, rollout.valid, media)
        start = prepared.next_position.repeat_interleave(rollout.group_size)
        return Shown(
            trainable=rollout.trainable,
            visual=rollout.shown.visual,
            positions=self._positions(rows) + start[:, None],
            seen=self._see(rows),
        )

    def _positions(self, rows: Sequences) -> Tensor:
        """Return positions [3 M S] (time, row, column) of M token sequences, from 0 at the first valid token."""
        return self.processor.family.network.positions(self.network.model, rows, kinds(self.processor, rows))

    def _see(self, rows: Sequences) -> VisualStates:
        """Return visual embeddings [M S D] of token sequences, with gradient if the vision tower is trained."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_vision):
            return see(self.network, self.processor, rows)

    def _words(self, token_ids: Tensor) -> Tensor:
        """Return token embeddings in fp32: hidden states are fp32 between layers, whatever the arithmetic."""
        return self.network.get_input_embeddings()(token_ids).float()

    def _embed(self, prepared: Prepared) -> Tensor:
        """Return prompt embeddings [B P D]: text from the embedding table, visual tokens from the vision tower."""
        words = self._words(prepared.token_ids)
        return torch.where(prepared.visual[..., None], prepared.seen.states.to(words.dtype), words)

    def _decoder(self, embeds: Tensor, positions: Tensor, layout: Layout, deepstack: Tensor | None = None) -> Tensor:
        """Run the decoder under a layout, [B S D] -> [B S D]. positions [3 B S]; deepstack [J B P D], P <= S."""
        axes = self.processor.family.network.axes
        return run_decoder(self.network.model.language_model, embeds, positions[:axes], layout, deepstack)

    @in_own_arithmetic
    def states(
        self,
        prepared: Prepared,
        token_ids: Tensor,
        valid: Tensor,
        spec: AttentionSpec | None,
        shown: Shown | None = None,
    ) -> States:
        """Run one pass over [prompt | r1 | ... | rG] of each prompt; return hidden states that predict response tokens.

        token_ids, valid [N C]: the responses, N = B * G. spec: attention to capture; None for none. shown: from `show`.
        """
        batch, (count, length) = len(prepared), token_ids.shape
        group = count // batch
        words = self._words(token_ids.reshape(batch, group * length))
        places = torch.arange(length, device=words.device).repeat(group) + prepared.next_position[:, None]
        places, deepstack = places.expand(3, -1, -1), prepared.seen.deepstack
        if shown is not None:
            words = torch.where(shown.visual.view(batch, -1, 1), shown.seen.states.reshape(words.shape), words)
            places = shown.positions.reshape(places.shape)
            deepstack = joined_deepstack(deepstack, shown.seen.deepstack.reshape(-1, *words.shape))
        positions = torch.cat([prepared.positions, places], dim=-1)
        layout = self._training_layout(prepared, valid, spec.resolve_layers(self.depth) if spec else ())
        with recomputation(self.network):
            embeds = torch.cat([self._embed(prepared), words], dim=1)
            out = self._decoder(embeds, positions, layout, deepstack)
        p = prepared.token_ids.shape[1]
        own = out[:, p:].unflatten(1, (group, length))
        first = out[:, p - 1 : p, None].expand(-1, group, -1, -1)
        hidden = torch.cat([first, own[:, :, :-1]], dim=2).flatten(0, 1)
        return States(hidden, layout.captured(spec, prepared.visual, valid, shown) if spec else None)

    def _training_layout(self, prepared: Prepared, valid: Tensor, layers: tuple[int, ...]) -> Recorder:
        """Return the layout of `states`. valid [N C]: response tokens that are no padding; layers: those captured."""
        sizes = len(valid) // len(prepared), valid.shape[1]
        return Packed(prepared.valid, *sizes, layers, past=states_kept(self.linear), cut=prepared.cut)

    def checkpoint_layers(self) -> None:
        """Turn on gradient checkpointing: decoder layers are recomputed in the backward pass from now on."""
        network: Any = self.network  # Transformers 5.2x renamed the method
        enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
        enable({"use_reentrant": False})

    @in_own_arithmetic
    def prefill(self, prepared: Prepared, group_size: int, openings: Openings | None = None) -> tuple[Tensor, Decode]:
        """Run one pass over the prompts; return hidden states [N D] that predict first tokens, and the decoding state.

        group_size: G. openings: response prefixes, fed before the first sampled token; None for no prefixes.
        """
        layout = Prefill(prepared.valid, past=states_kept(self.linear), cut=prepared.cut)
        out = self._decoder(self._embed(prepared), prepared.positions, layout, prepared.seen.deepstack)
        hidden, positions = out[:, -1].repeat_interleave(group_size, dim=0), prepared.next_position[:, None]
        state = Decode(prepared.valid, positions.expand(-1, group_size), layout.cache, cut=prepared.cut)
        state.past = layout.past.handed(group_size) if isinstance(layout.past, LinearStates) else None
        if openings is not None and bool(openings.lengths.any()):
            assert prepared.cut is None, "openings may hold words of the question, which a cut knows as the prompt's"
            hidden = self._open(hidden, state, openings)
        return hidden, state

    def _open(self, hidden: Tensor, state: Decode, openings: Openings) -> Tensor:
        """Feed response prefixes in one pass, into `state`; return hidden states [N D] that predict the next tokens."""
        if isinstance(state.past, LinearStates):
            return open_by_token(self.decode, hidden, state, openings)
        (batch, group), length = state.position.shape, openings.ids.shape[1]
        layout = Extend(state.valid, group, length, cache=state.cache)
        places = state.position[..., None] + torch.arange(length, device=hidden.device)
        words = self._words(openings.ids.view(batch, -1))
        out = self._decoder(words, places.flatten(1).expand(3, -1, -1), layout)
        out, lengths = out.unflatten(1, (group, length)).flatten(0, 1), openings.lengths
        state.own, state.position = layout.own, state.position + lengths.view(batch, group)
        state.given = openings.mask().unflatten(0, (batch, group))
        last = out[torch.arange(len(out), device=out.device), (lengths - 1).clamp_min(0)]
        return torch.where(lengths[:, None] > 0, last, hidden)

    @in_own_arithmetic
    def decode(self, token_ids: Tensor, state: Decode) -> Tensor:
        """Feed one token, ids [N], to each response of a decoding state; return hidden states [N D] for the next."""
        words = self._words(token_ids.view(state.position.shape))
        out = self._decoder(words, state.places().expand(3, -1, -1), state)
        state.advance()
        return out.flatten(0, 1)

    def save(self, folder: Path) -> None:
        """Write a folder that plain Transformers' `from_pretrained` loads: model, tokenizer, processor files; fp32."""
        save_network(self.network, self.network.state_dict(), self.processor, folder)
