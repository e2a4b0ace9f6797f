"""Answers to the trainer's messages inside vLLM's process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ral.rollout.vllm.inside import adapters_in, answer_of, one_line, parameters_of, prompts_of
from ral.rollout.vllm.wire import Message


def drop_caches(llm: Any) -> None:
    """Remove all caches made with old weights: visual embeddings, processed media, keys and values of prompts.

    RuntimeError where the prefix cache cannot be reset.
    """
    llm.llm_engine.reset_encoder_cache()
    llm.reset_mm_cache()
    if not llm.reset_prefix_cache():
        raise RuntimeError("the prefix cache could not be reset")


class Handler:
    """Answers messages by a vLLM engine; which function does so, the message's "do" says.

    adapters: vLLM's request for them, which goes with every question; None without adapters.
    """

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self.adapters: Any = None
        self.functions: dict[str, Callable[[Message], dict[str, Any] | None]] = {
            name: getattr(self, name)
            for name in ("push", "join", "begin", "bucket", "finish", "adapter", "sleep", "wake", "ask")
        }

    def reply(self, message: Message) -> dict[str, Any]:
        """Do what a message asks for; return the head of the reply, {"error": one line} where that raises."""
        try:
            return self.functions[message.head["do"]](message) or {}
        except Exception as error:
            return {"error": one_line(error)}

    def push(self, message: Message) -> None:
        """Load weights from files."""
        self.llm.collective_rpc("take_weights", args=(message.head["files"],))
        drop_caches(self.llm)

    def join(self, message: Message) -> None:
        """Join the trainer's process group, for broadcasts."""
        self.llm.collective_rpc("join", args=(message.head["file"],))

    def begin(self, message: Message) -> None:
        """Start to load weights bucket by bucket."""
        self.llm.collective_rpc("begin_weights")

    def bucket(self, message: Message) -> None:
        """Load one bucket."""
        self.llm.collective_rpc("take_bucket", args=(message.head,))

    def finish(self, message: Message) -> None:
        """End the loading of buckets."""
        self.llm.collective_rpc("finish_weights")
        drop_caches(self.llm)

    def adapter(self, message: Message) -> None:
        """Load the adapters of a folder, in place of those loaded before. RuntimeError where vLLM does not."""
        folder = message.head["folder"]
        if not self.llm.llm_engine.add_lora(adapters_in(folder, load=True)):
            raise RuntimeError("the adapters could not be loaded")
        drop_caches(self.llm)
        self.adapters = adapters_in(folder)

    def sleep(self, message: Message) -> None:
        """Free the memory of weights and caches."""
        self.llm.sleep(level=message.head["level"])

    def wake(self, message: Message) -> None:
        """Take memory for weights or caches again."""
        self.llm.wake_up(tags=message.head["tags"])

    def ask(self, message: Message) -> dict[str, Any]:
        """Answer prompts. RuntimeError where vLLM is asleep: it would wait for ever."""
        if self.llm.llm_engine.is_sleeping():
            raise RuntimeError("vLLM is asleep")
        prompts, parameters = prompts_of(message), parameters_of(message)
        outputs = self.llm.generate(prompts, parameters, use_tqdm=False, lora_request=self.adapters)
        return {"answers": [answer_of(output) for output in outputs]}
