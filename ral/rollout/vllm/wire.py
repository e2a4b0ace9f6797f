"""Messages between trainer and engine as bytes: JSON, then tensors in safetensors' format. Nothing is unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

LENGTH_BYTES = 8
"""Number of bytes of the integer that holds the length of the JSON part."""


@dataclass(frozen=True)
class Message:
    """Message between trainer and engine. head: JSON values; tensors: {name: tensor}."""

    head: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)


def packed(message: Message) -> bytes:
    """Return a message as bytes; tensors are copied to main memory."""
    head = json.dumps(message.head).encode()
    tensors = {name: value.detach().cpu().contiguous() for name, value in message.tensors.items()}
    return len(head).to_bytes(LENGTH_BYTES, "little") + head + (save(tensors) if tensors else b"")


def unpacked(data: bytes) -> Message:
    """Return the message of bytes made by `packed`; its tensors are in main memory."""
    end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    rest = data[end:]
    return Message(json.loads(data[LENGTH_BYTES:end]), load(rest) if rest else {})
