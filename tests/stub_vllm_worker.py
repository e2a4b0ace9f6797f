"""vLLM's process with a stand-in for the package: it notes the calls in their order, and fails if used while asleep.

FAKE_VLLM names a JSON file: `seen` is where calls are noted, `read` the ids of each prompt, `deaths` how many processes
end by SIGKILL at the call `at`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file

PLAN = json.loads(Path(os.environ["FAKE_VLLM"]).read_text()) if "FAKE_VLLM" in os.environ else {}
SLEEPERS = {"weights", "kv_cache"}


def note(call: str, **facts: Any) -> None:
    """Write a call down, and end the process where the plan says so."""
    from fake_vllm_worker import die_of

    with Path(PLAN["seen"]).open("a") as file:
        file.write(json.dumps({"call": call, **facts}) + "\n")
    if call == PLAN.get("at"):
        die_of(Path(PLAN["seen"] + ".died"), PLAN["deaths"])


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


class Model:
    """A model that keeps what it is given."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}

    def load_weights(self, pairs: Any) -> None:
        self.weights |= {name: value for name, value in pairs}


class LLM:
    """vLLM's engine: a worker with the mixin of `worker_extension_cls`, and memory that sleeps."""

    def __init__(self, **arguments: Any) -> None:
        kept = ("enable_sleep_mode", "enable_lora", "max_lora_rank", "max_loras")
        note("start", **{name: arguments[name] for name in kept if name in arguments})
        self.sleeps, self.asleep = arguments.get("enable_sleep_mode", False), set[str]()
        self.model, self.adapters = Model(), dict[int, str]()
        module, _, name = arguments["worker_extension_cls"].rpartition(".")
        worker: Any = type("Worker", (getattr(importlib.import_module(module), name),), {})()
        worker.device = torch.device("cpu")
        worker.vllm_config = SimpleNamespace(model_config=None)
        runner = SimpleNamespace(get_model=lambda: self.model, reset_lora_state=lambda: self.adapters.clear())
        worker.model_runner, worker.reload_weights = runner, self.reload
        self.worker, self.llm_engine = worker, self

    def reload(self, weights_iterator: Any) -> None:
        self.model.load_weights(weights_iterator)
        self.adapters.clear()

    def need(self, *names: str) -> None:
        """Raise where one of these is asleep."""
        if missing := self.asleep & set(names):
            raise RuntimeError(f"used while asleep: {sorted(missing)}")

    def collective_rpc(self, name: str, args: tuple[Any, ...] = ()) -> None:
        if name != "join":
            self.need("weights")
        note(name)
        getattr(self.worker, name)(*args)
        if name in ("take_weights", "finish_weights"):
            note("weights", digest=digest(self.model.weights))

    def sleep(self, level: int) -> None:
        assert self.sleeps
        self.need(*SLEEPERS)
        note("sleep", level=level)
        self.asleep = set(SLEEPERS)
        if level == 2:
            self.model.weights.clear()

    def wake_up(self, tags: list[str]) -> None:
        note("wake", tags=tags)
        self.asleep -= set(tags)

    def is_sleeping(self) -> bool:
        return bool(self.asleep)

    def reset_encoder_cache(self) -> None: ...

    def reset_mm_cache(self) -> None: ...

    def reset_prefix_cache(self) -> bool:
        note("reset")
        return True

    def add_lora(self, request: Any) -> bool:
        self.need("weights")
        if request.load_inplace or request.lora_int_id not in self.adapters:
            file = Path(request.lora_path) / "adapter_model.safetensors"
            self.adapters[request.lora_int_id] = digest(load_file(file))
        note("adapter", digest=self.adapters[request.lora_int_id])
        return True

    def generate(self, prompts: Any, parameters: Any, use_tqdm: bool, lora_request: Any) -> list[Any]:
        self.need(*SLEEPERS)
        assert self.model.weights and (lora_request is None or not lora_request.load_inplace)
        adapter = None if lora_request is None else self.adapters[lora_request.lora_int_id]
        note("generate", digest=digest(self.model.weights), adapter=adapter)
        ids = (5, 6, parameters[0].stop_token_ids[0])
        one = SimpleNamespace(
            token_ids=ids, logprobs=[{i: SimpleNamespace(logprob=-1.0)} for i in ids], finish_reason="stop"
        )
        return [SimpleNamespace(prompt_token_ids=read, outputs=[one] * parameters[0].n) for read in PLAN["read"]]


class LoRARequest(SimpleNamespace):
    """vLLM's request for adapters."""

    def __init__(self, lora_name: str, lora_int_id: int, lora_path: str, load_inplace: bool = False) -> None:
        super().__init__(lora_name=lora_name, lora_int_id=lora_int_id, lora_path=lora_path, load_inplace=load_inplace)


class Around:
    """A context that does nothing."""

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


class Parser:
    """vLLM's parser of media."""

    _parse_video_data: Any = None


PARTS: dict[str, dict[str, Any]] = {
    "vllm": {"LLM": LLM, "SamplingParams": SimpleNamespace},
    "vllm.config": {"set_current_vllm_config": Around},
    "vllm.lora": {},
    "vllm.lora.request": {"LoRARequest": LoRARequest},
    "vllm.sampling_params": {"RequestOutputKind": SimpleNamespace(FINAL_ONLY=2)},
    "vllm.v1": {},
    "vllm.v1.sample": {},
    "vllm.v1.sample.logits_processor": {"LogitsProcessor": object},
    "vllm.multimodal": {},
    "vllm.multimodal.inputs": {"MultiModalFieldConfig": None},
    "vllm.multimodal.parse": {"DictEmbeddingItems": None},
    "vllm.model_executor": {},
    "vllm.model_executor.models": {"qwen2_vl": SimpleNamespace(Qwen2VLMultiModalDataParser=Parser)},
    "vllm.model_executor.model_loader": {},
    "vllm.model_executor.model_loader.reload": {
        "initialize_layerwise_reload": lambda model: model.weights.clear(),
        "finalize_layerwise_reload": lambda model, config: None,
    },
    "ral.rollout.vllm.positions": {"use_own_positions": lambda model: None},  # it imports Transformers
}
"""Module -> what is used of it."""


if __name__ == "__main__":
    for name, parts in PARTS.items():
        module = ModuleType(name)
        vars(module).update(parts)
        sys.modules[name] = module
    from ral.rollout.vllm import inside, worker

    inside.renew_packed_head = lambda model: None
    worker.main()
