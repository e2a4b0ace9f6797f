"""From examples to the tensors a Qwen-VL model reads: chat template, placeholders, patches, left padding.

The patches and the token layout are those of Transformers' Qwen2-VL processors (a test proves it), made here because
those need torchvision for clips, which CPU machines may not have.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ral.types import Example, Pixels, PromptBatch, UserError

IMAGE_TOKEN, VIDEO_TOKEN = "<|image_pad|>", "<|video_pad|>"
END_OF_TURN = "<|im_end|>"
END_OF_TEXT = "<|endoftext|>"


@dataclass(frozen=True)
class PatchSettings:
    """How a vision tower wants its pixels; from the folder's preprocessor_config.json."""

    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    @property
    def factor(self) -> int:
        """Sides of a picture are multiples of this many pixels."""
        return self.patch_size * self.merge_size


def patchify(pixels: Pixels, settings: PatchSettings) -> tuple[Tensor, tuple[int, int, int]]:
    """Normalised patches [t*h*w, 3*temporal*patch*patch] fp32, merged blocks together, and their grid (t, h, w).

    A clip whose number of frames is not a multiple of temporal_patch_size repeats its last frame.
    """
    frames = pixels.frames.permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (settings.mean, settings.std))
    frames = (frames - mean) / std
    missing = -frames.shape[0] % settings.temporal_patch_size
    frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    p, m, tp = settings.patch_size, settings.merge_size, settings.temporal_patch_size
    t, h, w = frames.shape[0] // tp, frames.shape[2] // p, frames.shape[3] // p
    blocks = frames.reshape(t, tp, 3, h // m, m, p, w // m, m, p).permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return blocks.reshape(t * h * w, -1), (t, h, w)


def _vision_tensors(pixels: Sequence[Pixels], settings: PatchSettings) -> tuple[dict[str, Tensor], list[tuple]]:
    """The vision tower's keyword tensors for media in order, and the grid (t, h, w) of patches of each."""
    media: dict[str, Tensor] = {}
    cut = [patchify(p, settings) for p in pixels]
    for kind, values_key, grid_key in (
        ("image", "pixel_values", "image_grid_thw"),
        ("video", "pixel_values_videos", "video_grid_thw"),
    ):
        mine = [(p, c) for p, c in zip(pixels, cut, strict=True) if p.kind == kind]
        if mine:
            media[values_key] = torch.cat([c[0] for _, c in mine])
            media[grid_key] = torch.tensor([c[1] for _, c in mine])
        if mine and kind == "video":
            seconds = [p.seconds_per_frame * settings.temporal_patch_size for p, _ in mine]
            media["second_per_grid_ts"] = torch.tensor(seconds)
    return media, [c[1] for c in cut]


class Processor:
    """Tokenizer, chat template and patch settings of one model folder.

    end_ids: tokens that end a response. banned [V] bool: tokens that no response may contain: placeholders of media and
    every other control token except the ends. V = vocab_size, the number of ids the tokenizer knows.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, patches: PatchSettings, name: str = "model") -> None:
        self.tokenizer, self.patches, self.name = tokenizer, patches, name
        self.vocab_size = len(tokenizer)
        self.image_id, self.video_id = (self._id(token) for token in (IMAGE_TOKEN, VIDEO_TOKEN))
        self.end_id = self._id(END_OF_TURN)
        ends = [self.end_id, tokenizer.convert_tokens_to_ids(END_OF_TEXT)]
        self.end_ids = tuple(i for i in ends if i is not None)
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_ids[-1]
        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.banned = torch.zeros(self.vocab_size, dtype=torch.bool)
        self.banned[[*(special - set(self.end_ids)), self.image_id, self.video_id]] = True

    @classmethod
    def from_folder(cls, folder: str) -> Processor:
        """Read a model folder's (or hub id's) tokenizer and patch settings. UserError names what is missing."""
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if tokenizer.chat_template is None:
            tokenizer.chat_template = _file(folder, "chat_template.jinja") or _json(folder, "chat_template.json").get(
                "chat_template"
            )
        if tokenizer.chat_template is None:
            raise UserError(f"model.pretrained={folder}: the folder has no chat template (chat_template.jinja)")
        raw = _json(folder, "preprocessor_config.json") or _json(folder, "processor_config.json").get("image_processor")
        if not raw:
            raise UserError(f"model.pretrained={folder}: preprocessor_config.json is missing: not a Qwen-VL folder")
        known = PatchSettings()
        return cls(
            tokenizer,
            PatchSettings(
                patch_size=raw.get("patch_size", known.patch_size),
                merge_size=raw.get("merge_size", known.merge_size),
                temporal_patch_size=raw.get("temporal_patch_size", known.temporal_patch_size),
                mean=tuple(raw.get("image_mean", known.mean)),
                std=tuple(raw.get("image_std", known.std)),
            ),
            name=folder,
        )

    def _id(self, token: str) -> int:
        index = self.tokenizer.convert_tokens_to_ids(token)
        if index is None or index == self.tokenizer.unk_token_id:
            raise UserError(f"model.pretrained={self.name}: its tokenizer has no {token}: not a Qwen-VL tokenizer")
        return int(index)

    def render(self, example: Example, text: str) -> str:
        """The prompt as text: one user turn of the example's media and `text`, up to where the response starts."""
        content: list[dict[str, Any]] = [{"type": m.kind, m.kind: str(m.path)} for m in example.media]
        content.append({"type": "text", "text": text})
        messages = [{"role": "user", "content": content}]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _token_ids(self, text: str, grids: Sequence[tuple[int, int, int]]) -> list[int]:
        """Ids of a prompt with each placeholder repeated once per visual token of its medium, in order."""
        merged = self.patches.merge_size**2
        sizes = iter([t * h * w // merged for t, h, w in grids])
        ids: list[int] = []
        for index in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
            ids += [index] * next(sizes) if index in (self.image_id, self.video_id) else [index]
        return ids

    def batch(
        self, examples: Sequence[Example], texts: Sequence[str], media: Sequence[Sequence[Pixels]]
    ) -> PromptBatch:
        """B prompts from examples, their user texts and their decoded media (in the order of example.media)."""
        flat = [pixels for group in media for pixels in group]
        tensors, patch_grids = _vision_tensors(flat, self.patches)
        rendered = [self.render(e, t) for e, t in zip(examples, texts, strict=True)]
        rest, rows, grids = iter(patch_grids), [], []
        for text, group in zip(rendered, media, strict=True):
            mine = [next(rest) for _ in group]
            rows.append(self._token_ids(text, mine))
            m = self.patches.merge_size
            grids.append(tuple((t, h // m, w // m) for t, h, w in mine))
        token_ids, valid = left_pad(rows, self.pad_id)
        return PromptBatch(
            token_ids=token_ids,
            valid=valid,
            visual=((token_ids == self.image_id) | (token_ids == self.video_id)) & valid,
            media=tensors,
            examples=tuple(examples),
            texts=tuple(rendered),
            grids=tuple(grids),
        )

    def response_ids(self, text: str) -> list[int]:
        """Ids of a given response (an SFT target), with the end of the turn."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of a response without end tokens."""
        return str(self.tokenizer.decode([i for i in ids if i not in self.end_ids], skip_special_tokens=False))

    def char_starts(self, ids: Sequence[int]) -> list[int]:
        """Where in the decoded text each token starts, in characters; exact where tokens are whole characters."""
        starts, at = [], 0
        for index in ids:
            starts.append(at)
            at += len(self.decode([index]))
        return starts

    def save(self, folder: Path, origin: str) -> None:
        """Write the tokenizer and copy every processor file of the folder it came from."""
        self.tokenizer.save_pretrained(folder)
        for name in ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json"):
            if raw := _file(origin, name):
                (folder / name).write_text(raw)


def left_pad(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Rows of ids -> ids [B P] and valid [B P], padded on the left."""
    length = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (length - len(row)) + list(row) for row in rows])
    valid = torch.tensor([[False] * (length - len(row)) + [True] * len(row) for row in rows])
    return ids, valid


def _file(folder: str, name: str) -> str | None:
    """Text of a file of a model folder, or of a hub id that Transformers can find; None where there is none."""
    from transformers.utils import cached_file

    path = cached_file(folder, name, _raise_exceptions_for_missing_entries=False)
    return Path(path).read_text() if path else None


def _json(folder: str, name: str) -> dict[str, Any]:
    raw = _file(folder, name)
    return json.loads(raw) if raw else {}
