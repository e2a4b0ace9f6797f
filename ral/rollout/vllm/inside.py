"""Code that vLLM loads by name into its own processes: banned tokens, loading of weights, prompts in vLLM's format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from vllm import SamplingParams
from vllm.config import set_current_vllm_config
from vllm.lora.request import LoRARequest
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.sampling_params import RequestOutputKind
from vllm.v1.sample.logits_processor import LogitsProcessor

from ral.rollout.vllm.handles import opened
from ral.rollout.vllm.packing import room_of, unpacked_bucket
from ral.rollout.vllm.pair import ENGINE, broadcast, joined
from ral.rollout.vllm.positions import use_own_positions
from ral.rollout.vllm.wire import Message

ADAPTERS = "policy"
"""vLLM's name for the policy's adapters."""


class Banned(LogitsProcessor):
    """Logits processor that gives banned tokens, vllm_config.additional_config["banned"], probability 0."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.ids = torch.tensor(vllm_config.additional_config["banned"], dtype=torch.long, device=device)

    def is_argmax_invariant(self) -> bool:
        """Return False: the likeliest token may be banned."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Do nothing: banned tokens are the same for all requests."""

    def apply(self, logits: Tensor) -> Tensor:
        """Set the logits [R V] of banned tokens to -inf, in place, R requests over V tokens; return them."""
        return logits.index_fill_(-1, self.ids, -torch.inf)


class Weights:
    """Mixin of vLLM's workers that loads the trainer's weights, from files or in buckets.

    A layer is replaced in place once all weights of it have come (vllm.model_executor.model_loader.reload, which vLLM's
    own weight transfer uses), so that CUDA graphs stay valid.
    """

    device: torch.device
    vllm_config: Any
    model_runner: Any
    reload_weights: Callable[..., None]
    pair: Any = None
    """The process group with the trainer; None before `join`."""

    def take_weights(self, files: list[str]) -> None:
        """Load new weights from safetensors files, one tensor at a time; update all that depends on them (`renew`)."""
        self.reload_weights(weights_iterator=tensors_of(files))
        self.renew()

    def begin_weights(self) -> None:
        """Start to load new weights, which follow in buckets."""
        with set_current_vllm_config(self.vllm_config):
            initialize_layerwise_reload(self.model_runner.get_model())

    def take_bucket(self, head: dict[str, Any]) -> None:
        """Load the weights of one bucket.

        head: the description from `packed_bucket`. With a "handle" in it the bucket is read from the trainer's memory,
        otherwise it is received by broadcast.
        """
        received = self.copied(head["handle"]) if "handle" in head else self.broadcast(head)
        with set_current_vllm_config(self.vllm_config):
            self.model_runner.get_model().load_weights(unpacked_bucket(head, received))

    def copied(self, handle: str) -> Tensor:
        """Return a copy, complete on return, of the trainer's tensor that a handle (ral.rollout.vllm.handles) names.

        Without the copy, vLLM's layers would keep memory that the trainer reuses for the next bucket.
        """
        copy = opened(handle, self.device).clone()
        if copy.is_cuda:
            torch.cuda.synchronize(copy.device)
        return copy

    def broadcast(self, head: dict[str, Any]) -> Tensor:
        """Return a bucket, [total], that the trainer sends by broadcast. RuntimeError where the trainer is gone.

        head: the description from `packed_bucket`.
        """
        room, trainer = room_of(head, self.device), os.getppid()
        if not broadcast(self.pair, room, lambda: os.getppid() == trainer):
            raise RuntimeError("the trainer's broadcast did not arrive")
        return room

    def finish_weights(self) -> None:
        """End the loading of new weights after the last bucket; update all that depends on them (`renew`)."""
        with set_current_vllm_config(self.vllm_config):
            finalize_layerwise_reload(self.model_runner.get_model(), self.vllm_config.model_config)
        self.model_runner.reset_lora_state()
        self.renew()

    def renew(self) -> None:
        """Make the packed output head from the new weights (on a CPU), and set the rule of positions."""
        model = self.model_runner.get_model()
        renew_packed_head(model)
        use_own_positions(model)

    def join(self, file: str) -> None:
        """Join the process group with the trainer. file: path of the file by which both processes meet."""
        self.pair = joined(Path(file), ENGINE, self.device)


def tensors_of(files: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of all tensors in safetensors files."""
    for file in files:
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118, it is no dict
                yield name, opened.get_tensor(name)


def adapters_in(folder: str, load: bool = False) -> LoRARequest:
    """Return vLLM's request for the adapters in a folder.

    load: whether vLLM reads the folder now, in place of earlier adapters. Requests that go with questions have
    load=False: with True vLLM would read the folder again at every token.
    """
    return LoRARequest(ADAPTERS, 1, folder, load_inplace=load)


def renew_packed_head(model: Any) -> None:
    """Make a new packed copy of the output head, which vLLM uses on a CPU and a reload of weights leaves unchanged."""
    head = model.get_language_model().lm_head
    if head.weight.device.type == "cpu":
        head.quant_method.process_weights_after_loading(head)


def parameters_of(message: Message) -> list[SamplingParams]:
    """Return vLLM's sampling parameters, one for each prompt of a question, which differ only in their seeds."""
    shared = {**message.head["parameters"], "output_kind": RequestOutputKind.FINAL_ONLY}
    return [SamplingParams(**shared, seed=prompt["seed"]) for prompt in message.head["prompts"]]


def prompts_of(message: Message) -> list[dict[str, Any]]:
    """Return the prompts of a question, in vLLM's format of inputs."""
    found = []
    for b, prompt in enumerate(message.head["prompts"]):
        tensors = {name: message.tensors[f"{b}.{name}"] for name in prompt["media"]}
        made: dict[str, Any] = {"prompt_token_ids": prompt["ids"]}
        if tensors:
            embedded = any(name.endswith(".embeds") for name in tensors)
            made["multi_modal_data"] = embeddings(tensors) if embedded else frames(tensors)
        if tensors and not embedded:
            made["mm_processor_kwargs"] = {"do_resize": False}
        found.append(made)
    return found


def embeddings(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a prompt's media in vLLM's format: visual embeddings, patch grids and, for videos, seconds per time slot.

    tensors: the prompt's tensors of the question, by name.
    """
    found: dict[str, Any] = {}
    for kind in ("image", "video"):
        if f"{kind}.embeds" in tensors:
            found[kind] = {f"{kind}_embeds": tensors[f"{kind}.embeds"], f"{kind}_grid_thw": tensors[f"{kind}.grid"]}
    if "video.seconds" in tensors:
        found["video"]["second_per_grid_ts"] = tensors["video.seconds"]
    return found


def frames(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return a prompt's media in vLLM's format: images as PIL images, videos as frames with their times.

    tensors: the prompt's tensors of the question, by name.
    """
    found: dict[str, Any] = {"image": [], "video": []}
    for name in sorted(name for name in tensors if ".frames." in name):
        kind, _, number = name.split(".")
        values = tensors[name].numpy()
        if kind == "image":
            found[kind].append(Image.fromarray(values[0]))
        else:
            found[kind].append((values, times(len(values), float(tensors[f"video.every.{number}"]))))
    return {kind: items for kind, items in found.items() if items}


def times(count: int, every: float) -> dict[str, Any]:
    """Return the metadata that vLLM takes with a video of `count` frames, all to be read, one every `every` seconds."""
    known = {"total_num_frames": count, "frames_indices": list(range(count)), "do_sample_frames": False}
    return {**known, "fps": 1 / every, "duration": count * every, "video_backend": "given"}


def answer_of(output: Any) -> dict[str, Any]:
    """Return vLLM's responses to one prompt as JSON values: one item of `ral.rollout.vllm.answers.Answered`."""
    responses = [
        {
            "ids": list(each.token_ids),
            "log_probs": [found[i].logprob for i, found in zip(each.token_ids, each.logprobs, strict=True)],
            "stopped": each.finish_reason == "stop",
        }
        for each in output.outputs
    ]
    return {"read": list(output.prompt_token_ids), "responses": responses}


def one_line(error: BaseException) -> str:
    """Return type and first line of an error's message, as one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'without a message'}"
