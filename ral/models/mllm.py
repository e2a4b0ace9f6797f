"""A multimodal LLM as a policy: positions, visual embeddings, and the three forward passes of a step.

Every pass goes through `MLLM.__call__("name", ...)`, so that wrappers around the module (FSDP2 above all) see it.
The same function makes positions for rollouts and for training; the vision tower runs once per prompt and step.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from ral.models.layout import NAME, Decode, Layout, Packed, Prefill
from ral.models.processor import Processor
from ral.ops.attention import AttentionSpec, CapturedAttention
from ral.types import PromptBatch, UserError

FAMILIES = ("qwen2_vl", "qwen2_5_vl")
"""Values of config.json's model_type that this module loads."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Prepared:
    """Prompts on the device with positions, and their visual embeddings [B P D] (zero where no visual token is)."""

    prompts: PromptBatch
    vision: Tensor

    def select(self, start: int, stop: int) -> Prepared:
        """Prompts start..stop, without their pixels (the embeddings stand for them) and without shared padding."""
        p = self.prompts
        assert p.position_ids is not None and p.next_position is not None
        rows = slice(start, stop)
        keep = slice(int(p.valid[rows].int().argmax(1).min()), None)
        part = replace(
            p,
            token_ids=p.token_ids[rows, keep],
            valid=p.valid[rows, keep],
            visual=p.visual[rows, keep],
            media={},
            examples=p.examples[rows],
            texts=p.texts[rows],
            grids=p.grids[rows],
            targets=p.targets[rows] if p.targets else None,
            position_ids=p.position_ids[:, rows, keep],
            next_position=p.next_position[rows],
        )
        return Prepared(part, self.vision[rows, keep])


@dataclass(frozen=True)
class States:
    """hidden [N C D]: the state that predicts each response token; attention: what was captured, if asked."""

    hidden: Tensor
    attention: CapturedAttention | None


class MLLM(nn.Module):
    """A Hugging Face Qwen-VL network with its processor; `network` keeps its own module names and state dict."""

    def __init__(self, network: PreTrainedModel, processor: Processor, *, freeze_vision: bool = True) -> None:
        super().__init__()
        self.network, self.processor = network, processor
        self.network.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
        if freeze_vision:
            self.network.model.visual.requires_grad_(False)
        self.network.eval()  # no dropout anywhere: rollout and training are the same function

    @classmethod
    def load(cls, pretrained: str, *, dtype: str = "float32", freeze_vision: bool = True) -> MLLM:
        """Load a folder written by save_pretrained, or a hub id. UserError: one line on what is wrong with it."""
        check_folder(pretrained)
        network = AutoModelForImageTextToText.from_pretrained(pretrained, dtype=DTYPES[dtype])
        return cls(network, Processor.from_folder(pretrained), freeze_vision=freeze_vision)

    def frozen_copy(self) -> MLLM:
        """A copy that is never trained and shares the vision tower when that is frozen (no second tower in memory)."""
        tower = self.network.model.visual
        shared = {id(p): p for p in [*tower.parameters(), *tower.buffers()] if not p.requires_grad}
        twin = copy.deepcopy(self, memo={id(self.processor): self.processor, **shared})
        return twin.requires_grad_(False)

    def sees_like(self, other: MLLM) -> bool:
        """Whether both have the very same vision tower, so that one's visual embeddings serve the other."""
        ours, theirs = (next(m.network.model.visual.parameters()) for m in (self, other))
        return ours is theirs

    @property
    def trains_vision(self) -> bool:
        """Whether the vision tower gets gradients; its embeddings then hold for a single update."""
        return any(p.requires_grad for p in self.network.model.visual.parameters())

    @property
    def depth(self) -> int:
        """Number of decoder layers."""
        return int(self.network.config.get_text_config().num_hidden_layers)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def trained_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters an optimizer gets: the language model, unless vision was left unfrozen."""
        return ((name, p) for name, p in self.network.named_parameters() if p.requires_grad)

    def head(self, hidden: Tensor) -> Tensor:
        """States [M D] -> logits [M V] over the tokenizer's vocabulary (the padding rows of the matrix are dropped)."""
        return self.network.lm_head(hidden)[:, : self.processor.vocab_size]

    def forward(self, step: str, *args: Any, **kwargs: Any) -> Any:
        """Run one of the passes below by name."""
        return getattr(self, step)(*args, **kwargs)

    def prepare(self, prompts: PromptBatch) -> Prepared:
        """Move prompts to the device, make their positions, run the vision tower: once per prompt and step."""
        prompts = prompts.to(self.device)
        position_ids, next_position = self._positions(prompts)
        return Prepared(replace(prompts, position_ids=position_ids, next_position=next_position), self._see(prompts))

    def _positions(self, prompts: PromptBatch) -> tuple[Tensor, Tensor]:
        """mRoPE positions [3 B P] of prompts, and [B] of the first response token; times of clips included."""
        types = torch.zeros_like(prompts.token_ids)
        types[prompts.token_ids == self.processor.image_id] = 1
        types[prompts.token_ids == self.processor.video_id] = 2
        rope = self.network.model.get_rope_index
        grids = {k: v for k, v in prompts.media.items() if k in inspect.signature(rope).parameters}
        positions, _ = rope(prompts.token_ids, mm_token_type_ids=types, attention_mask=prompts.valid.long(), **grids)
        following = positions.masked_fill(~prompts.valid, -1).amax(dim=(0, 2)) + 1
        return positions, following

    def _see(self, prompts: PromptBatch) -> Tensor:
        """Visual embeddings at their places, [B P D]."""
        model, media = self.network.model, prompts.media
        weight = self.network.get_input_embeddings().weight
        out = torch.zeros(*prompts.token_ids.shape, weight.shape[1], dtype=weight.dtype, device=weight.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains_vision):
            for index, encode, values, grid in (
                (self.processor.image_id, model.get_image_features, "pixel_values", "image_grid_thw"),
                (self.processor.video_id, model.get_video_features, "pixel_values_videos", "video_grid_thw"),
            ):
                if values in media:
                    features = torch.cat(encode(media[values], media[grid], return_dict=True).pooler_output)
                    where = ((prompts.token_ids == index) & prompts.valid)[..., None].expand_as(out)
                    out = out.masked_scatter(where, features.to(out.dtype))
        return out

    def _embed(self, prepared: Prepared) -> Tensor:
        """Prompt embeddings [B P D]: text from the trained table, visual tokens from the vision tower."""
        words = self.network.get_input_embeddings()(prepared.prompts.token_ids)
        return torch.where(prepared.prompts.visual[..., None], prepared.vision.to(words.dtype), words)

    def _decoder(self, embeds: Tensor, position_ids: Tensor, layout: Layout) -> Tensor:
        """The decoder stack under a layout, [B S D] -> [B S D]."""
        return self.network.model.language_model(
            inputs_embeds=embeds,
            position_ids=position_ids,
            attention_mask={"full_attention": None, "sliding_attention": None},
            use_cache=False,
            layout=layout,
        ).last_hidden_state

    def score(self, prepared: Prepared, response_ids: Tensor, mask: Tensor, spec: AttentionSpec | None) -> States:
        """One pass over [prompt | r1 | ... | rG] of each prompt: states that predict every response token.

        response_ids, mask [N C]; spec: which attention to capture, None for none.
        """
        prompts = prepared.prompts
        assert prompts.position_ids is not None and prompts.next_position is not None
        batch, (count, length) = len(prompts), response_ids.shape
        group = count // batch
        words = self.network.get_input_embeddings()(response_ids.reshape(batch, group * length))
        places = torch.arange(length, device=words.device).repeat(group) + prompts.next_position[:, None]
        positions = torch.cat([prompts.position_ids, places.expand(3, -1, -1)], dim=-1)
        layers = spec.resolve_layers(self.depth) if spec else ()
        layout = Packed(prompts.valid, group, length, layers)
        out = self._decoder(torch.cat([self._embed(prepared), words], dim=1), positions, layout)
        p = prompts.token_ids.shape[1]
        own = out[:, p:].unflatten(1, (group, length))
        first = out[:, p - 1 : p, None].expand(-1, group, -1, -1)
        hidden = torch.cat([first, own[:, :, :-1]], dim=2).flatten(0, 1)
        return States(hidden, layout.captured(spec, prompts.visual, mask) if spec else None)

    def prefill(self, prepared: Prepared, group_size: int, capacity: int) -> tuple[Tensor, Decode]:
        """One pass over the prompts: the state [N D] that predicts every first token, and the decoding state."""
        layout = Prefill(prepared.prompts.valid)
        assert prepared.prompts.position_ids is not None
        out = self._decoder(self._embed(prepared), prepared.prompts.position_ids, layout)
        state = Decode(prepared.prompts.valid, layout.cache, capacity)
        return out[:, -1].repeat_interleave(group_size, dim=0), state

    def decode(self, prepared: Prepared, token_ids: Tensor, state: Decode) -> Tensor:
        """One token for each of N responses: ids [N] -> the state [N D] that predicts the next one."""
        batch = len(prepared.prompts)
        assert prepared.prompts.next_position is not None
        words = self.network.get_input_embeddings()(token_ids.reshape(batch, -1))
        places = (prepared.prompts.next_position + state.step)[:, None].expand(batch, words.shape[1])
        out = self._decoder(words, places.expand(3, -1, -1), state)
        state.step += 1
        return out.flatten(0, 1)

    def save(self, folder: Path) -> None:
        """Write a folder that `from_pretrained` of plain Transformers loads: model, tokenizer, processor files."""
        save_network(self.network, self.network.state_dict(), self.processor, folder)


def save_network(network: PreTrainedModel, state: dict[str, Tensor], processor: Processor, folder: Path) -> None:
    """save_pretrained with the attention setting of a plain model."""
    folder.mkdir(parents=True, exist_ok=True)
    network.set_attn_implementation({"text_config": "sdpa", "vision_config": "sdpa"})
    try:
        network.save_pretrained(folder, state_dict=state)
    finally:
        network.set_attn_implementation({"text_config": NAME, "vision_config": "sdpa"})
    processor.save(folder, processor.name)


def check_folder(pretrained: str) -> None:
    """UserError unless `pretrained` is a Qwen-VL folder (or hub id that can be had); reads config.json alone."""
    path = Path(pretrained)
    if path.is_dir() and not (path / "config.json").is_file():
        raise UserError(f"model.pretrained={pretrained}: the folder has no config.json: not a Hugging Face model")
    if not path.exists() and (path.is_absolute() or pretrained.startswith(".") or pretrained.count("/") != 1):
        raise UserError(f"model.pretrained={pretrained}: no such folder")
    try:
        config = AutoConfig.from_pretrained(pretrained)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"model.pretrained={pretrained}: cannot be read as a model folder or hub id ({reason})"
        ) from error
    if config.model_type not in FAMILIES:
        raise UserError(
            f"model.pretrained={pretrained}: config.json says model_type {config.model_type!r}; "
            f"this project trains {', '.join(FAMILIES)}"
        )


def same_tokens(student: Processor, teacher: Processor) -> None:
    """UserError unless both models read the same ids: distillation compares them token by token."""
    if student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
        raise UserError(
            f"teacher {teacher.name} and student {student.name} have different tokenizers: "
            "distillation needs one vocabulary"
        )
    ours, theirs = student.patches, teacher.patches
    if (ours.factor, ours.temporal_patch_size) != (theirs.factor, theirs.temporal_patch_size):
        raise UserError(f"teacher {teacher.name} and student {student.name} make different numbers of visual tokens")


def check_spec(spec: AttentionSpec, models: Sequence[MLLM]) -> None:
    """ValueError where a model lacks a layer or head that the attention policy names."""
    for model in models:
        spec.resolve_layers(model.depth)
        heads = int(model.network.config.get_text_config().num_attention_heads)
        if not isinstance(spec.heads, str) and max(spec.heads) >= heads:
            raise ValueError(f"attention_policy.heads names head {max(spec.heads)}, but the model has {heads}")
