"""Starts vLLM's OpenAI-compatible server with what rollout=vllm_server needs of it; --help says how."""

from __future__ import annotations

import installed  # noqa: F401

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoConfig

from ral.errors import UserError
from ral.files.repository import find
from ral.models.processor import Processor
from ral.rollout.vllm.adapters import arguments_for
from ral.rollout.vllm.arguments import engine_arguments, head_rows
from ral.rollout.vllm.process import check_package, server_environment
from ral.rollout.vllm.questions import check_family


def flags(arguments: dict[str, Any]) -> Iterator[str]:
    """Yield arguments of vLLM's engine as its command line has them."""
    for name, value in arguments.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            yield flag if value else f"--no-{flag[2:]}"
        elif isinstance(value, list):
            yield from (flag, *map(str, value))
        else:
            yield from (flag, json.dumps(value) if isinstance(value, dict) else str(value))


def main() -> None:
    """Read the model's tokens, then become the server."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="Further arguments go to vLLM as they are.")
    parser.add_argument("--model", required=True, help="folder or hub id: model.pretrained of the training")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; another one is open to its network")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--dtype", default="auto", help="float32, bfloat16, or auto: bfloat16 on a GPU, float32 without"
    )
    parser.add_argument("--max-length", type=int, help="tokens of a prompt with its response")
    parser.add_argument("--adapter-rank", type=int, help="lora.rank, where rollout.engine.adapters=alone")
    parser.add_argument("--cache-gb", type=float, default=1.0, help="memory of keys and values")
    given, further = parser.parse_known_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = given.dtype if given.dtype != "auto" else "bfloat16" if device.type == "cuda" else "float32"
    try:
        check_package()
        processor = Processor.from_folder(find(given.model))
        check_family(processor)
    except UserError as error:
        sys.exit(f"error: {error}")
    rows, sizes = head_rows(AutoConfig.from_pretrained(processor.name)), (given.max_length, given.cache_gb)
    own = arguments_for(given.adapter_rank) if given.adapter_rank else {}
    cpu = device.type == "cpu"
    made = engine_arguments(processor, rows, dtype, max_length=sizes[0], cache_gb=sizes[1], cpu=cpu, options=own)
    server = ["-m", "vllm.entrypoints.openai.api_server", "--host", given.host, "--port", str(given.port)]
    ours = ["--middleware", "ral.rollout.vllm.served.Served", "--served-model-name", "policy"]
    command = [sys.executable, *server, *ours, *flags(made), *further]
    env = server_environment(cpu, os.environ)
    os.execve(sys.executable, command, env)


if __name__ == "__main__":
    main()
