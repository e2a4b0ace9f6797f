"""Parts of a run whose tensors have no numbers: networks, prompts of a plan's size, responses, a backend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoModelForImageTextToText

from ral.checks.shapes import Shapes, really
from ral.files.repository import SHIPPED, find
from ral.models.masters import DTYPES, settle
from ral.models.mllm import MLLM
from ral.models.network_config import read_config
from ral.models.processor import Processor
from ral.models.states import TokenRows
from ral.models.stored import Stored
from ral.planning.architecture import known_config
from ral.planning.workload import Batch
from ral.types import Example, Grid, Media, MediaKind, Pixels, PromptBatch, Rollout, Sequences, finish_reasons


class Assumed(Stored):
    """Weights that are in no file. All are taken to have the dtype of the files, so that reading them loses nothing."""

    def lossless(self, name: str, dtype: torch.dtype) -> bool:
        """Return True."""
        return True


def load(
    pretrained: str,
    *,
    share_prompt: bool = True,
    dtype: str = "float32",
    freeze_vision: bool = True,
    trained: bool = True,
    whole: bool = True,
) -> MLLM:
    """Return a model as ral.models.opening.load does, without its weights.

    pretrained: a folder with a config.json, or the name of a known checkpoint. Weights stay on the meta device until
    they are filled. UserError for another name. share_prompt, whole: ignored.
    """
    config, kind = config_of(pretrained), DTYPES[dtype]
    with init_empty_weights(include_buffers=False):
        network = AutoModelForImageTextToText.from_config(config, dtype=kind)
    network.tie_weights()
    stored = Assumed(pretrained, kind, network, {})
    processor = widened(Processor.from_folder(find(SHIPPED)), pretrained, config.get_text_config().vocab_size)
    model = MLLM(network, processor, freeze_vision=freeze_vision, dtype=kind, stored=stored)
    if not trained:
        model.requires_grad_(False)
    settle(network, kind, stored)
    return model


def config_of(pretrained: str) -> Any:
    """Return Transformers' configuration of a folder or of a known checkpoint. UserError for another name."""
    return read_config(pretrained) if Path(find(pretrained)).is_dir() else known_config(pretrained)


def widened(processor: Processor, name: str, vocabulary: int) -> Processor:
    """Give the processor another name and size of its vocabulary, in place; return it.

    vocabulary: number of tokens; those beyond the processor's own have no meaning.
    """
    banned = torch.zeros(vocabulary, dtype=torch.bool)
    banned[: processor.vocab_size] = processor.banned[:vocabulary]
    processor.name, processor.vocab_size, processor.banned = name, vocabulary, banned
    return processor


def shortened(model: MLLM) -> None:
    """Keep two blocks of the vision tower: one with windowed attention, where it has such, and one with full attention.

    Without gradient, a block takes as much memory as any other of its kind. A tower that is trained, or returns
    features of several blocks, keeps all.
    """
    tower: Any = model.network.model.visual
    several = bool(getattr(tower, "deepstack_visual_indexes", ()))
    if several or model.trains_vision:
        return
    whole = getattr(tower, "fullatt_block_indexes", [0])
    windowed = [index for index in range(len(tower.blocks)) if index not in whole and hasattr(tower, "window_size")]
    tower.blocks = nn.ModuleList([*(tower.blocks[index] for index in windowed[:1]), tower.blocks[whole[0]]])
    tower.fullatt_block_indexes = [len(tower.blocks) - 1]


def prompts_of(processor: Processor, batch: Batch, frames: int) -> PromptBatch:
    """Return a rank's prompts of a step, each of one video or image of batch.visual tokens, and of words.

    A prompt has batch.prompt tokens, or up to two fewer. frames: frames of a video; an image takes its place where
    batch.visual is no multiple of the video's time slots.
    """
    slots = -(-frames // processor.patches.temporal_patch_size)
    slots = slots if batch.visual % slots == 0 else 1
    rows = next(n for n in range(math.isqrt(batch.visual // slots), 0, -1) if batch.visual // slots % n == 0)
    columns, side = batch.visual // slots // rows, processor.patches.factor
    kind: MediaKind = "video" if slots > 1 else "image"
    count = slots * processor.patches.temporal_patch_size if slots > 1 else 1
    pixels = Pixels(kind, torch.zeros(count, rows * side, columns * side, 3, dtype=torch.uint8), 1.0 * (slots > 1))
    examples = [Example(str(n), "?", "a", "free-form", (Media(kind, Path(kind)),)) for n in range(batch.prompts)]
    text = words(processor, examples[0], pixels, (slots, rows, columns), batch.prompt)
    return processor.batch(examples, [text] * batch.prompts, [[pixels]] * batch.prompts)


def words(processor: Processor, example: Example, pixels: Pixels, grid: Grid, length: int) -> str:
    """Return the longest text of equal words with which the prompt has at most `length` tokens.

    pixels, grid: the prompt's medium, and its grid of visual tokens (time, rows, columns).
    """
    count = 1
    while len(processor.prompt(example, "a" + " a" * count, [pixels], [grid])[1]) <= length:
        count += 1
    return "a" + " a" * (count - 1)


def responses(prompts: PromptBatch, batch: Batch) -> Rollout:
    """Return batch.group responses to each prompt, all of batch.response tokens, as a rollout."""
    count = batch.prompts * batch.group
    valid = torch.ones(count, batch.response, dtype=torch.bool)
    return Rollout(
        prompts=prompts,
        token_ids=torch.full_like(valid, 5, dtype=torch.int64),
        valid=valid,
        trainable=valid,
        texts=("?",) * count,
        finish_reasons=finish_reasons(torch.ones(count, dtype=torch.bool)),
        group_size=batch.group,
        log_probs=torch.zeros(count, batch.response),
        policy_version=0,
    )


class PlainBackend:
    """Backend (ral.learner.update) of plain PyTorch, for the first of `ranks` ranks. sums_once: as in the protocol."""

    rank = 0

    def __init__(self, optimizer: Any, ranks: int, sums_once: bool) -> None:
        self.optimizer, self.ranks, self.sums_once = optimizer, ranks, sums_once

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of the loss times the number of ranks, as LightningBackend does."""
        (loss * self.ranks).backward()


@contextmanager
def pretended_ranks(count: int) -> Iterator[Any]:
    """Yield a device mesh of `count` ranks for the block.

    This process is the first rank, and the others do not exist.
    """
    dist.init_process_group("fake", rank=0, world_size=count, store=FakeStore())
    try:
        yield dist.init_device_mesh("cpu", (count,), mesh_dim_names=("data_parallel",))
    finally:
        dist.destroy_process_group()


@contextmanager
def without_numbers(mode: Shapes) -> Iterator[None]:
    """Let a run's code work inside the block without files of weights and other ranks, and as on a GPU.

    Positions are computed for real. As many attention scores exist at once as on a GPU.
    """
    positions = MLLM._positions

    def computed(model: MLLM, rows: Sequences) -> Tensor:
        media = {name: value for name, value in rows.media.items() if not name.startswith("pixel_values")}
        found: Tensor = really(
            mode, lambda *parts: positions(model, TokenRows(*parts)), rows.token_ids, rows.valid, media
        )
        return found

    with ExitStack() as stack:
        stack.enter_context(patch("ral.ops.attention.SCORES_AT_ONCE", {"cpu": 2**26}))
        stack.enter_context(patch("ral.learner.ranks.several", lambda: False))
        stack.enter_context(patch("ral.models.filling.read_part", lambda *_: None))
        stack.enter_context(patch.object(MLLM, "_positions", computed))
        yield
