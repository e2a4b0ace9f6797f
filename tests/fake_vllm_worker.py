"""In place of ral.rollout.vllm.worker: answers as vLLM's process does, without vLLM; FAKE_VLLM says what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ral.rollout.vllm.wire import Message, packed, unpacked

SAID = [5, 6]


def die_of(path: Path, times: int) -> None:
    """End by SIGKILL as long as fewer than `times` processes did."""
    died = int(path.read_text()) if path.exists() else 0
    if died < times:
        path.write_text(str(died + 1))
        os.kill(os.getpid(), signal.SIGKILL)


def answer(message: Message, plan: dict[str, Any]) -> dict[str, Any]:
    """Two tokens and an end to every prompt, whose runs of placeholders the plan's `read` gives back."""
    with Path(plan["seen"]).open("a") as file:
        file.write(json.dumps({**message.head, "tensors": sorted(message.tensors)}) + "\n")
    if message.head["do"] == "push":
        return {} if all(Path(file).is_file() for file in message.head["files"]) else {"error": "no such file"}
    if "deaths" in plan:
        die_of(Path(plan["seen"] + ".died"), plan["deaths"])
    if "refuse" in plan:
        return {"error": plan["refuse"]}
    parameters = message.head["parameters"]
    ids = [*plan.get("said", SAID), parameters["stop_token_ids"][0]]
    one = {"ids": ids, "log_probs": [-1.0, -2.0, -3.0][: len(ids)], "stopped": True}
    reads = plan["read"]
    return {"answers": [{"read": read, "responses": [one] * parameters["n"]} for read in reads]}


def main() -> None:
    """Serve until the pipe ends."""
    plan = json.loads(Path(os.environ["FAKE_VLLM"]).read_text())
    if "never" in plan:
        sys.exit(plan["never"])
    pipe = Connection(int(sys.argv[1]))
    unpacked(pipe.recv_bytes())
    pipe.send_bytes(packed(Message({"ready": True})))
    while (message := unpacked(pipe.recv_bytes())).head["do"] != "stop":
        pipe.send_bytes(packed(Message(answer(message, plan))))


if __name__ == "__main__":
    main()
