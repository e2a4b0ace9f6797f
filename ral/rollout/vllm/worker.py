"""Main module of the process with a vLLM engine: python -m ral.rollout.vllm.worker <file descriptor of a pipe>.

It answers messages (ral.rollout.vllm.wire) one at a time, and ends when the other end of the pipe closes.
"""

from __future__ import annotations

import shutil
import sys
from multiprocessing.connection import Connection

from vllm import LLM

from ral.rollout.vllm.clip_times import keep_clip_times
from ral.rollout.vllm.handling import Handler
from ral.rollout.vllm.wire import Message, packed, unpacked


def serve(pipe: Connection, start: Message) -> None:
    """Make the engine that `start` describes, then reply to messages until one says "stop".

    EOFError or ConnectionError where the trainer is gone.
    """
    keep_clip_times()
    llm = LLM(**start.head["engine"])
    handler = Handler(llm)
    pipe.send_bytes(packed(Message({"ready": True})))
    while (message := unpacked(pipe.recv_bytes())).head["do"] != "stop":
        pipe.send_bytes(packed(Message(handler.reply(message))))


def main() -> None:
    """Answer the trainer's messages; where the trainer is gone, remove the folder of weights that it left behind."""
    pipe = Connection(int(sys.argv[1]))
    start = unpacked(pipe.recv_bytes())
    try:
        serve(pipe, start)
    except (EOFError, ConnectionError):
        shutil.rmtree(start.head["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
