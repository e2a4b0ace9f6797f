"""Main module of the process with a vLLM engine: python -m ral.rollout.vllm.worker <file descriptor of a pipe>.

It answers one message after another (ral.rollout.vllm.wire), and ends when the other end of the pipe closes.
"""

from __future__ import annotations

import shutil
import sys
from multiprocessing.connection import Connection
from typing import Any

from vllm import LLM

from ral.rollout.vllm.clip_times import keep_clip_times
from ral.rollout.vllm.inside import answer_of, one_line, parameters_of, prompts_of
from ral.rollout.vllm.wire import Message, packed, unpacked


def drop_caches(llm: Any) -> None:
    """Remove all caches made with old weights: visual embeddings, processed media, keys and values of prompts.

    RuntimeError where the prefix cache cannot be reset.
    """
    llm.llm_engine.reset_encoder_cache()
    llm.reset_mm_cache()
    if not llm.reset_prefix_cache():
        raise RuntimeError("the prefix cache could not be reset")


def answer(llm: Any, message: Message) -> dict[str, Any]:
    """Do what a message asks for, "push" (load weights) or "ask" (answer prompts); return the head of the reply."""
    if message.head["do"] == "push":
        llm.collective_rpc("take_weights", args=(message.head["files"],))
        drop_caches(llm)
        return {}
    outputs = llm.generate(prompts_of(message), parameters_of(message), use_tqdm=False)
    return {"answers": [answer_of(output) for output in outputs]}


def reply(call: Any) -> dict[str, Any]:
    """Return the result of a call, or {"error": one line} where it raises."""
    try:
        return dict(call())
    except Exception as error:
        return {"error": one_line(error)}


def serve(pipe: Connection, start: Message) -> None:
    """Make the engine of `start`, then answer messages until one says "stop"."""
    keep_clip_times()
    llm = LLM(**start.head["engine"])
    pipe.send_bytes(packed(Message({"ready": True})))
    while (message := unpacked(pipe.recv_bytes())).head["do"] != "stop":
        pipe.send_bytes(packed(Message(reply(lambda m=message: answer(llm, m)))))


def main() -> None:
    """Answer the trainer; where it is gone, remove the folder of weights that it left."""
    pipe = Connection(int(sys.argv[1]))
    start = unpacked(pipe.recv_bytes())
    try:
        serve(pipe, start)
    except (EOFError, ConnectionError):
        shutil.rmtree(start.head["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
