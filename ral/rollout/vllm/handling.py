"""Handling of the trainer's messages inside vLLM's process."""

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
    """Receiver of the trainer's messages, which calls the method named by a message's "do". llm: the vLLM engine.

    adapters: vLLM's request for the policy's adapters, sent along with every prompt; None where no adapters are loaded.
    """

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self.adapters: Any = None
        self.functions: dict[str, Callable[[Message], dict[str, Any] | None]] = {
            name: getattr(self, name)
            for name in ("push", "join", "begin", "bucket", "finish", "adapter", "sleep", "wake", "ask")
        }

    def reply(self, message: Message) -> dict[str, Any]:
        """Call the method that a message names; return the head of the reply.

        The head is {} where the method returns nothing, and {"error": type and message, one line} where it raises.
        """
        try:
            return self.functions[message.head["do"]](message) or {}
        except Exception as error:
            return {"error": one_line(error)}

    def push(self, message: Message) -> None:
        """Load weights from the safetensors files message.head["files"], in place of earlier ones, and drop caches."""
        self.llm.collective_rpc("take_weights", args=(message.head["files"],))
        drop_caches(self.llm)

    def join(self, message: Message) -> None:
        """Join the trainer's process group, for broadcasts. message.head["file"]: path by which the processes meet."""
        self.llm.collective_rpc("join", args=(message.head["file"],))

    def begin(self, message: Message) -> None:
        """Start to load new weights, which follow in buckets."""
        self.llm.collective_rpc("begin_weights")

    def bucket(self, message: Message) -> None:
        """Load one bucket of new weights. message.head: as in `Weights.take_bucket`."""
        self.llm.collective_rpc("take_bucket", args=(message.head,))

    def finish(self, message: Message) -> None:
        """End the loading of new weights after the last bucket, and drop caches."""
        self.llm.collective_rpc("finish_weights")
        drop_caches(self.llm)

    def adapter(self, message: Message) -> None:
        """Load the adapters in the folder message.head["folder"], in place of earlier ones, and drop caches.

        RuntimeError where vLLM does not load them.
        """
        folder = message.head["folder"]
        if not self.llm.llm_engine.add_lora(adapters_in(folder, load=True)):
            raise RuntimeError("the adapters could not be loaded")
        drop_caches(self.llm)
        self.adapters = adapters_in(folder)

    def sleep(self, message: Message) -> None:
        """Free the memory of weights and caches.

        message.head["level"]: 1 keeps the weights in main memory, 2 drops them.
        """
        self.llm.sleep(level=message.head["level"])

    def wake(self, message: Message) -> None:
        """Take memory again for what message.head["tags"] names: "weights" or "kv_cache"."""
        self.llm.wake_up(tags=message.head["tags"])

    def ask(self, message: Message) -> dict[str, Any]:
        """Return vLLM's responses to the prompts of a question, as {"answers": [...]} (`answer_of`).

        RuntimeError where vLLM is asleep: its engine would wait for ever.
        """
        if self.llm.llm_engine.is_sleeping():
            raise RuntimeError("vLLM is asleep")
        prompts, parameters = prompts_of(message), parameters_of(message)
        outputs = self.llm.generate(prompts, parameters, use_tqdm=False, lora_request=self.adapters)
        return {"answers": [answer_of(output) for output in outputs]}
